package source_test

import (
	"context"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// versioned has a table, a partitioned table, an enumeration and a view of a view.
var versioned = []string{
	`CREATE TYPE state AS ENUM ('draft', 'final')`,
	`CREATE TABLE inv (id text PRIMARY KEY, title text, day timestamptz DEFAULT '2026-01-02 03:04:05+00', s state DEFAULT 'draft', a integer)`,
	`INSERT INTO inv SELECT 'I' || i, 'title', '2026-01-02', 'draft', i FROM generate_series(1, 3) i`,
	`CREATE VIEW inner_inv AS SELECT id, title || ' (' || s || ')' AS title, to_char(day, 'YYYY') || concat_ws('-', a, s) AS text, day::date AS day FROM inv`,
	`CREATE VIEW vinvestigation AS SELECT id AS identifier, title, text AS description_text, day AS submission_date, NULL::date AS public_release_date FROM inner_inv WHERE day < '2030-01-01'::timestamptz`,
	`CREATE TABLE study (id text, inv text, n integer) PARTITION BY RANGE (n)`,
	`CREATE TABLE study1 PARTITION OF study FOR VALUES FROM (0) TO (10)`,
	`INSERT INTO study SELECT 'S' || i, 'I' || i % 3 + 1, i FROM generate_series(0, 9) i`,
	`CREATE VIEW vstudy AS SELECT id AS identifier, 'S' AS title, inv AS investigation_ref FROM study`,
	`CREATE TABLE other (a integer)`,
}

// each runs statements, each in a transaction of its own.
func each(t *testing.T, connectionString string, statements []string) {
	t.Helper()
	for _, statement := range statements {
		pgExec(t, connectionString, statement)
	}
}

// marker reads the datasets, and gives the marker of one.
func marker(t *testing.T, connectionString string) [16]byte {
	t.Helper()
	d := open(t, connectionString, source.SchemaViews)
	resolve(t, d)
	never := func(string) (e source.Earlier, ok bool, err error) { return }
	all := readAll(t, d, source.ReadOptions{Known: never}, 1)
	return all["I1"].Marker
}

// What a view shows is what it showed before, if no row of any table below it has another version and nothing else has
// changed that decides what is shown. Whatever might have changed something costs a look.
func TestVersionsTellOfEveryChange(t *testing.T) {
	t.Parallel()
	const same, changed = true, false
	steps := []struct {
		statements []string
		want       bool
	}{
		{[]string{"SELECT 1"}, same},
		{[]string{"INSERT INTO other VALUES (1)"}, same},
		{[]string{"BEGIN; UPDATE inv SET title = 'undone'; ROLLBACK"}, same},
		{[]string{"VACUUM ANALYZE", "VACUUM FREEZE inv"}, same},
		{[]string{"CHECKPOINT"}, same},
		{[]string{"UPDATE inv SET title = 'other' WHERE id = 'I2'"}, changed},
		{[]string{"UPDATE inv SET title = title WHERE id = 'I2'"}, changed},
		{[]string{"UPDATE study SET id = 'S' WHERE n = 5"}, changed},
		{[]string{"INSERT INTO inv (id, title) VALUES ('I4', 'new')"}, changed},
		{[]string{"DELETE FROM study WHERE n = 6"}, changed},
		{[]string{"DELETE FROM inv WHERE id = 'I4'", "VACUUM inv", "INSERT INTO inv (id, title) VALUES ('I4', 'newer')"}, changed},
		{[]string{"TRUNCATE study"}, changed},
		{[]string{"CREATE TABLE study2 PARTITION OF study FOR VALUES FROM (10) TO (20)", "INSERT INTO study VALUES ('S11', 'I1', 11)"}, changed},
		{[]string{"ALTER TABLE study DETACH PARTITION study2"}, changed},
		{[]string{"ALTER TYPE state RENAME VALUE 'draft' TO 'begun'"}, changed},
		{[]string{"ALTER TABLE inv ADD COLUMN b text DEFAULT 'b'"}, changed},
		{[]string{"CREATE OR REPLACE VIEW vstudy AS SELECT id AS identifier, 'T' AS title, inv AS investigation_ref FROM study"}, changed},
		{[]string{"CREATE OR REPLACE VIEW inner_inv AS SELECT id, title, to_char(day, 'MM') AS text, day::date AS day FROM inv"}, changed},
		{[]string{"ALTER TABLE inv RENAME TO before", "CREATE TABLE inv (LIKE before)", "INSERT INTO inv SELECT * FROM before"}, changed},
		{[]string{"CREATE OR REPLACE VIEW inner_inv AS SELECT id, title, to_char(day, 'MM') AS text, day::date AS day FROM inv"}, changed},
		{[]string{"CREATE MATERIALIZED VIEW kept AS SELECT id, inv FROM study", "CREATE OR REPLACE VIEW vstudy AS SELECT id AS identifier, 'T' AS title, inv AS investigation_ref FROM kept"}, changed},
		{[]string{"INSERT INTO study VALUES ('S7', 'I2', 7)"}, same},
		{[]string{"REFRESH MATERIALIZED VIEW kept"}, changed},
		{[]string{`ALTER DATABASE "%d" SET intervalstyle TO iso_8601`}, changed},
	}
	connection := postgres(t)
	each(t, connection, versioned)
	address, _, _ := strings.Cut(connection, "?")
	name := address[strings.LastIndexByte(address, '/')+1:]
	before := marker(t, connection)
	for _, step := range steps {
		for i := range step.statements {
			step.statements[i] = strings.ReplaceAll(step.statements[i], "%d", name)
		}
		each(t, connection, step.statements)
		after := marker(t, connection)
		if after == [16]byte{} {
			t.Fatalf("%q: no versions", step.statements)
		}
		if (after == before) != step.want {
			t.Errorf("%q: same versions %v, want %v", step.statements, after == before, step.want)
		}
		before = after
	}
}

// Versions that are the same spare the look at the rows, unless a thorough one is asked for; where only some datasets are
// wanted, those are cheaper to look at.
func TestVersionsStandForTheRows(t *testing.T) {
	t.Parallel()
	connection := postgres(t)
	each(t, connection, versioned)
	earlier := source.Earlier{Fingerprint: [32]byte{1}, Marker: marker(t, connection)}
	for name, c := range map[string]struct {
		options source.ReadOptions
		looked  bool
	}{
		"all":      {source.ReadOptions{}, false},
		"thorough": {source.ReadOptions{Thorough: true}, true},
		"only":     {source.ReadOptions{Only: []string{"I1"}}, true},
		"limit":    {source.ReadOptions{Limit: 1}, true},
	} {
		d := open(t, connection, source.SchemaViews)
		resolve(t, d)
		c.options.Known = func(key string) (source.Earlier, bool, error) { return earlier, key == "I1", nil }
		got := readAll(t, d, c.options, 1)["I1"]
		if got.Unchanged == c.looked || (got.Fingerprint == earlier.Fingerprint) == c.looked {
			t.Errorf("%s: unchanged %v, fingerprint %x", name, got.Unchanged, got.Fingerprint[:4])
		}
	}
}

// Where a view may show something else although no row has changed, or where the rows cannot be seen, no versions stand
// for them, and a check tells why.
func TestVersionsAreNotTrusted(t *testing.T) {
	t.Parallel()
	for why, statements := range map[string][]string{
		"calls now":                                    {`CREATE OR REPLACE VIEW vstudy AS SELECT id AS identifier, now()::text AS title, inv AS investigation_ref FROM study`},
		"calls random":                                 {`CREATE OR REPLACE VIEW vstudy AS SELECT id AS identifier, random()::text AS title, inv AS investigation_ref FROM study`},
		"calls pg_typeof":                              {`CREATE OR REPLACE VIEW vstudy AS SELECT id AS identifier, pg_typeof(n)::text AS title, inv AS investigation_ref FROM study`},
		"asks for sqlvaluefunction":                    {`CREATE OR REPLACE VIEW inner_inv AS SELECT id, title, title AS text, day::date FROM inv WHERE day < CURRENT_DATE`},
		"asks for tablesampleclause":                   {`CREATE OR REPLACE VIEW inner_inv AS SELECT id, title, title AS text, day::date FROM inv TABLESAMPLE SYSTEM (10)`},
		"depends on function own":                      {`CREATE FUNCTION own(a text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT a'`, `CREATE OR REPLACE VIEW vstudy AS SELECT id AS identifier, own(id) AS title, inv AS investigation_ref FROM study`},
		"different rows to different":                  {`ALTER TABLE inv ENABLE ROW LEVEL SECURITY`},
		"outside is no ordinary":                       {`CREATE FOREIGN DATA WRAPPER w`, `CREATE SERVER s FOREIGN DATA WRAPPER w`, `CREATE FOREIGN TABLE outside PARTITION OF study FOR VALUES FROM (20) TO (30) SERVER s`},
		"numbers is no ordinary":                       {`CREATE SEQUENCE numbers`, `CREATE OR REPLACE VIEW vstudy AS SELECT id AS identifier, last_value::text AS title, inv AS investigation_ref FROM study, numbers`},
		"a view reads pg_class":                        {`CREATE OR REPLACE VIEW vstudy AS SELECT id AS identifier, reltuples::text AS title, inv AS investigation_ref FROM study, pg_class`},
		"names of the catalogue":                       {`CREATE OR REPLACE VIEW vstudy AS SELECT id AS identifier, (a::oid::regclass)::text AS title, inv AS investigation_ref FROM study, other`},
		"inv.k is of the type regproc":                 {`ALTER TABLE inv ADD COLUMN k regproc`},
		"inv.k is of the type state_of":                {`CREATE TYPE state_of AS (a text)`, `ALTER TABLE inv ADD COLUMN k state_of[]`},
		"many times as many rows":                      {`CREATE TABLE large (a integer PRIMARY KEY, t text)`, `INSERT INTO large SELECT i, 'x' FROM generate_series(1, 20000) i`, `ANALYZE`, `CREATE OR REPLACE VIEW vstudy AS SELECT 'S'::text AS identifier, t AS title, 'I1'::text AS investigation_ref FROM large WHERE a = 7`},
		"may not read what the views are made of: inv": {`DROP ROLE IF EXISTS vreader`, `CREATE ROLE vreader LOGIN`, `GRANT SELECT ON vinvestigation, vstudy, study TO vreader`},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			connection := postgres(t)
			each(t, connection, versioned)
			each(t, connection, statements)
			// As other programs may need it.
			each(t, connection, []string{`DO $$ BEGIN
				EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database());
				EXECUTE format('ALTER DATABASE %I SET quote_all_identifiers = on', current_database());
			END $$`})
			if strings.HasPrefix(why, "may not read") {
				connection = "postgresql://vreader@" + connection[strings.IndexByte(connection, '@')+1:]
			}
			d := open(t, connection, source.SchemaViews)
			resolve(t, d)
			_, findings, err := d.Inspect(t.Context())
			if err != nil && !strings.Contains(why, "outside") {
				t.Fatal(err)
			}
			told := err != nil
			for _, f := range findings {
				told = told || f.Severity == source.Note && strings.Contains(f.Text, why)
				if strings.HasPrefix(why, "may not read") && !strings.Contains(f.Remedy, "GRANT SELECT ON inv TO vreader") {
					t.Errorf("remedy: %s", f.Remedy)
				}
			}
			if !told {
				t.Errorf("check does not tell: %v", findings)
			}
		})
	}
}

// The number of a transaction that a crash has lost is given again, maybe to one that writes something else into the same
// place.
func TestVersionsEndWithTheServer(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{})
	connection := pgURL(t, cluster.DSN())
	each(t, connection, versioned)
	before := marker(t, connection)
	differs := func(when string) {
		t.Helper()
		after := marker(t, connection)
		if after == before || after == [16]byte{} {
			t.Errorf("%s: %x, before %x", when, after, before)
		}
		before = after
	}
	conn, err := pgx.Connect(t.Context(), connection)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	first := ""
	if err := conn.QueryRow(t.Context(), "SELECT stats_reset::text FROM pg_stat_archiver").Scan(&first); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(int(conn.PgConn().PID()), syscall.SIGKILL); err != nil { // a process of this test's server
		t.Fatal(err)
	}
	// The server takes connections for a moment before it has noticed.
	started := func() (at string) {
		again, err := pgx.Connect(t.Context(), connection)
		if err != nil {
			return ""
		}
		defer func() { _ = again.Close(context.WithoutCancel(t.Context())) }()
		_ = again.QueryRow(t.Context(), "SELECT stats_reset::text FROM pg_stat_archiver").Scan(&at)
		return at
	}
	testenv.Await(t, "the server is back", func() bool { at := started(); return at != "" && at != first })
	differs("after a crash")
	cluster.Stop()
	cluster.Restart()
	differs("after a restart")
}
