package source_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/sqltoarc/datagen"
	"github.com/fairagro/middleware-api/internal/sqltoarc/mariadbtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

func pgExec(tb testing.TB, url, statements string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(tb.Context(), statements); err != nil {
		tb.Fatal(err)
	}
}

func has(findings []source.Finding, severity source.Severity, parts ...string) bool {
	for _, f := range findings {
		found := f.Severity == severity
		for _, p := range parts {
			found = found && strings.Contains(f.String(), p)
		}
		if found {
			return true
		}
	}
	return false
}

// One check tells everything that is not as documented, in one list.
func TestResolveTellsEverything(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	pgExec(t, url, `
		CREATE VIEW "vInvestigation" AS SELECT 'a'::text AS identifier, 'soon'::text AS submission_date, 1 AS own;
		CREATE VIEW vstudy AS SELECT 'a'::text AS identifier, 't'::text AS title;
		CREATE VIEW "vAssay" AS SELECT 1/0 AS identifier, 'a'::text AS investigation_ref;
		CREATE TABLE hidden (target_type text, investigation_ref text);
		CREATE ROLE reader_of_views; `)
	d := open(t, url, source.SchemaViews)
	findings := resolve(t, d)
	for _, want := range []struct {
		severity source.Severity
		parts    []string
	}{
		{source.Error, []string{"vInvestigation.title", "missing"}},
		{source.Warning, []string{"vInvestigation", "count as NULL: description_text, public_release_date"}},
		{source.Warning, []string{"vInvestigation.submission_date", "text", "not dates"}},
		{source.Note, []string{"vInvestigation", "own"}},
		{source.Error, []string{"vStudy.investigation_ref", "missing"}},
		{source.Warning, []string{"vStudy", "description_text, submission_date, public_release_date"}},
		{source.Warning, []string{"vPublication", "does not exist"}},
		{source.Warning, []string{"vContact", "does not exist"}},
		{source.Warning, []string{"vAnnotationTable", "does not exist"}},
	} {
		if !has(findings, want.severity, want.parts...) {
			t.Errorf("missing finding %v in:\n%v", want, findings)
		}
	}
	if source.Usable(findings) {
		t.Error("a database without a required column counts as usable")
	}
}

// Values missing where they are required, and identifiers given twice, are
// counted.
func TestInspect(t *testing.T) {
	t.Parallel()
	shape := datagen.Shape{Investigations: 6, Studies: 2, Assays: 1, Cells: 5}
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			change := func(n int, d *source.Dataset) {
				switch n {
				case 1:
					d.Investigation[source.InvestigationIdentifier].Text = "DS-0000000"
				case 2, 3:
					d.Studies[0][source.StudyTitle] = source.Value{}
				}
			}
			if err := datagen.Load(t.Context(), url, shape, datagen.Options{Change: change}); err != nil {
				t.Fatal(err)
			}
			d := open(t, url, source.SchemaViews)
			resolve(t, d)
			counts, findings, err := d.Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(counts) != 6 || counts[0].Rows != 6 || counts[1].Rows != 12 {
				t.Errorf("counts: %v", counts)
			}
			if !has(findings, source.Warning, "vStudy.title", ": 2 of 12;") {
				t.Errorf("missing values not told: %v", findings)
			}
			if !has(findings, source.Warning, "vInvestigation.identifier", "DS-0000000", "2 investigations") {
				t.Errorf("identifier given twice not told: %v", findings)
			}
			// Dataset 1 has taken the identifier of dataset 0, so that its own rows are lost.
			if !has(findings, source.Warning, "vStudy.investigation_ref", "2 rows name an investigation that does not exist") {
				t.Errorf("references to nothing not told: %v", findings)
			}
		})
	}
}

// What init prints creates all views, and the check has no complaint about them
// but that they are empty.
func TestCreatedViewsAreAsDocumented(t *testing.T) {
	t.Parallel()
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			dialect, err := source.ParseConnectionString(url)
			if err != nil {
				t.Fatal(err)
			}
			if dialect == source.PostgreSQL {
				pgExec(t, url, dialect.CreateViews())
			} else {
				mariadbtest.Exec(t, url, dialect.CreateViews())
			}
			d := open(t, url, source.SchemaViews)
			if findings := resolve(t, d); len(findings) > 0 {
				t.Errorf("findings: %v", findings)
			}
			counts, findings, err := d.Inspect(t.Context())
			if err != nil || len(counts) != 6 || !has(findings, source.Warning, "no investigations") {
				t.Errorf("inspect: %v, %v, %v", counts, findings, err)
			}
			if got := readAll(t, d, source.ReadOptions{}, 2); len(got) != 0 {
				t.Errorf("read %d datasets out of nothing", len(got))
			}
		})
	}
}

// A database that cannot be reached or does not let us in is told as such, and
// no message shows the password.
func TestOpenFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url  string
		code fault.Code
	}{
		{"postgresql://u:s3cret@127.0.0.1:1/x", source.CodeUnreachable},
		{"mysql+aiomysql://u:s3cret@127.0.0.1:1/x", source.CodeUnreachable},
		{"mssql://u:s3cret@127.0.0.1:1/x?dial+timeout=1", source.CodeUnreachable},
		{"oracle://u:s3cret@127.0.0.1:1/x", source.CodeUnreachable},
		{"sqlite:///s3cret", source.CodeConnectionString},
		{"postgresql://u:s3cret%zz@h/x", source.CodeConnectionString},
		{"postgresql://u:s3cret@h/x?sslmode=s3cret", source.CodeConnectionString},
		{"postgresql+asyncpg://u:p@h/x?ssl=s3cret", source.CodeConnectionString},
		{"postgresql+asyncpg://u:p@127.0.0.1:1/x?ssl=verify-full", source.CodeUnreachable},
		{"postgresql://u:12/s3cret@127.0.0.1:1/x", source.CodeConnectionString},
		{"mysql://u:12/s3cret@127.0.0.1:1/x", source.CodeConnectionString},
		{"", source.CodeConnectionString},
	} {
		_, err := source.Open(t.Context(), c.url, source.SchemaViews)
		if got := fault.CodeOf(err); got != c.code {
			t.Errorf("%s: got %q (%v), want %q", c.url, got, err, c.code)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the message shows the password: %v", err)
		}
	}
}

// A password given apart completes a connection string that has none.
func TestWithPassword(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"postgresql://u@h/d":   "postgresql://u:p%2F%20w@h/d",
		"postgresql://u:x@h/d": "postgresql://u:x@h/d",
	} {
		if got := source.WithPassword(in, "p/ w"); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// Times are spelled as ISO 8601 has them, whichever database they come from.
func TestISOTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2026-03-01 10:00:00":              "2026-03-01T10:00:00",
		"2026-03-01 10:00:00.5":            "2026-03-01T10:00:00.500000",
		"2026-03-01 10:00:00.000000":       "2026-03-01T10:00:00",
		"2026-03-01 10:00:00.1234567":      "2026-03-01T10:00:00.123456",
		"2026-03-01 10:00:00+00":           "2026-03-01T10:00:00+00:00",
		"2026-03-01 10:00:00.25+05:30":     "2026-03-01T10:00:00.250000+05:30",
		"2026-03-01 10:00:00 +01:00":       "2026-03-01T10:00:00+01:00",
		"2026-03-01T10:00:00Z":             "2026-03-01T10:00:00+00:00",
		"2026-03-01T10:00:00.123456-07:00": "2026-03-01T10:00:00.123456-07:00",
		"2026-03-01":                       "2026-03-01T00:00:00",
		"0000-00-00 00:00:00":              "",
		"":                                 "",
	} {
		if got, err := source.ISOTime(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"infinity", "soon", "2026-13-01", "0044-03-15 00:00:00 BC"} {
		if got, err := source.ISOTime(in); err == nil {
			t.Errorf("%q: got %q, want an error", in, got)
		}
	}
}

// A database that the server does not have is a wrong connection string, and the
// message says where to look.
func TestUnknownDatabase(t *testing.T) {
	t.Parallel()
	for product, connection := range map[string]string{"postgresql": postgres(t), "mariadb": mariadbtest.URL(t)} {
		u, err := url.Parse(connection)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/no_such_database"
		d, err := source.Open(t.Context(), u.String(), source.SchemaViews)
		if err == nil {
			d.Close()
			t.Errorf("%s: opened", product)
			continue
		}
		f, ok := fault.Of(err)
		if !ok || f.Code != source.CodeUnreachable || !strings.Contains(f.Remedy, "connection_string") {
			t.Errorf("%s: got %+v, want %s and a remedy that names connection_string", product, err, source.CodeUnreachable)
		}
	}
}

// A database whose connection is cut while it is read cannot be reached; nothing
// is wrong with its views.
func TestCutConnection(t *testing.T) {
	t.Parallel()
	for product, database := range databases(t) {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			connection := database(t)
			if err := datagen.Load(t.Context(), connection, datagen.Shape{Investigations: 5, Studies: 1}, datagen.Options{}); err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(connection)
			if err != nil {
				t.Fatal(err)
			}
			socket := u.Query().Get("unix_socket")
			if product == "postgresql" {
				socket = filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")
			}
			address, cut := wire(t, socket)
			u.Host, u.RawQuery = address, ""
			d := open(t, u.String(), source.SchemaViews)
			resolve(t, d)
			r, _, err := d.Read(t.Context(), source.ReadOptions{BatchSize: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			cut()
			for range 2 { // the second one asks a reader that knows
				_, err = r.Next(t.Context())
				if f, ok := fault.Of(err); !ok || f.Code != source.CodeUnreachable || f.Remedy == "" {
					t.Errorf("got %+v, want %s and a remedy", err, source.CodeUnreachable)
				}
			}
		})
	}
}

// A connection that the server ends, because an operator says so, is a database
// that cannot be reached.
func TestConnectionEndedByTheServer(t *testing.T) {
	t.Parallel()
	for product, database := range databases(t) {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			connection := database(t)
			if err := datagen.Load(t.Context(), connection, datagen.Shape{Investigations: 5, Studies: 1}, datagen.Options{}); err != nil {
				t.Fatal(err)
			}
			d := open(t, connection, source.SchemaViews)
			resolve(t, d)
			r, _, err := d.Read(t.Context(), source.ReadOptions{BatchSize: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if product == "postgresql" {
				pgExec(t, connection, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sql-to-arc'")
			} else {
				mariaExec(t, connection, []string{"BEGIN NOT ATOMIC FOR c IN (SELECT id FROM information_schema.processlist " +
					"WHERE db = DATABASE() AND id <> CONNECTION_ID()) DO KILL c.id; END FOR; END"})
			}
			_, err = r.Next(t.Context())
			if f, ok := fault.Of(err); !ok || f.Code != source.CodeUnreachable {
				t.Errorf("got %+v, want %s", err, source.CodeUnreachable)
			}
		})
	}
}

// A server that does not like idle transactions waits for ours all the same: the
// API may be away for minutes.
func TestSnapshotOutlastsAnIdleTime(t *testing.T) {
	t.Parallel()
	connection := postgres(t)
	if err := datagen.Load(t.Context(), connection, datagen.Shape{Investigations: 5, Studies: 1}, datagen.Options{}); err != nil {
		t.Fatal(err)
	}
	pgExec(t, connection, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout TO 100', current_database()); END $$")
	d := open(t, connection, source.SchemaViews)
	resolve(t, d)
	r, _, err := d.Read(t.Context(), source.ReadOptions{BatchSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Until all are either gone or idle for longer than that.
	pgExec(t, connection, `DO $$ BEGIN
		WHILE EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sql-to-arc'
			AND clock_timestamp() - state_change < interval '300 ms') LOOP
			PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
		END LOOP; END $$`)
	if _, err := r.Next(t.Context()); err != nil {
		t.Errorf("got %v, want a batch", err)
	}
}

// Where investigations have to be spooled and there is no room for it, the disk is
// to blame and not the database.
func TestNoRoomToSpool(t *testing.T) {
	connection := mariadbtest.URL(t)
	if err := datagen.Load(t.Context(), connection, datagen.Shape{Investigations: 1}, datagen.Options{}); err != nil {
		t.Fatal(err)
	}
	d := open(t, connection, source.SchemaViews)
	resolve(t, d)
	folder := filepath.Join(t.TempDir(), "gone")
	t.Setenv("TMPDIR", folder)
	_, _, err := d.Read(t.Context(), source.ReadOptions{})
	if f, ok := fault.Of(err); !ok || f.Code != source.CodeSpool || !strings.Contains(f.Remedy, folder) {
		t.Errorf("got %+v, want %s and a remedy that names the folder", err, source.CodeSpool)
	}
}

// wire leads from an address to a socket until it is cut.
func wire(tb testing.TB, socket string) (address string, cut func()) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var mu sync.Mutex
	var ends []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(tb.Context(), "unix", socket)
			if err != nil {
				tb.Errorf("wire: %v", err)
				_ = near.Close()
				return
			}
			mu.Lock()
			ends = append(ends, near, far)
			mu.Unlock()
			wg.Go(func() { _, _ = io.Copy(near, far) })
			wg.Go(func() { _, _ = io.Copy(far, near) })
		}
	})
	cut = sync.OnceFunc(func() {
		_ = listener.Close()
		mu.Lock()
		for _, end := range ends {
			_ = end.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	tb.Cleanup(cut)
	return listener.Addr().String(), cut
}
