package source_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/sqltoarc/mariadbtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// typesPostgreSQL has views such as people make them: whatever type a column has
// in their tables, and references of another type than what they refer to.
const typesPostgreSQL = `
CREATE TYPE kind AS ENUM ('study', 'assay', 'investigation');
CREATE VIEW vInvestigation (identifier, title, description_text, submission_date, public_release_date) AS VALUES
	('7'::char(10), true, 1.50::numeric(6,2), date '2026-03-01', timestamptz '2026-03-01 10:00:00.25+02'),
	('b7e23ec2-9af0-4b07-8f0a-000000000001', false, 1e3::numeric, NULL, NULL),
	('text', NULL, NULL, '-infinity', NULL);
CREATE VIEW "vStudy" AS SELECT 'S'::varchar(3) AS "Identifier", E'\\x41'::bytea AS "TITLE", NULL AS description_text, 7 AS investigation_ref;
CREATE VIEW vassay AS SELECT 12::bigint AS identifier, '["S"]'::jsonb AS study_ref, 'b7e23ec2-9af0-4b07-8f0a-000000000001'::uuid AS investigation_ref;
CREATE VIEW vcontact AS SELECT '[{"term": "a"}]'::json AS roles, 'investigation'::kind AS target_type, NULL AS target_ref, n AS investigation_ref
	FROM (VALUES (7::numeric), (8.0)) t (n);
CREATE VIEW vpublication AS SELECT 12345678::integer AS pubmed_id, 'study'::kind AS target_type, 'S'::char(5) AS target_ref, 'text'::char(20) AS investigation_ref`

// typesMariaDB is the same for MariaDB, in a table of another character set.
const typesMariaDB = `
CREATE TABLE inv (id CHAR(10), u CHAR(36), t VARCHAR(50)) CHARACTER SET latin1 COLLATE latin1_german1_ci;
INSERT INTO inv VALUES ('7', 'x', CONVERT('Müller' USING latin1));
CREATE VIEW vInvestigation AS SELECT id AS identifier, t AS title, CAST(1.50 AS DECIMAL(6,2)) AS description_text, DATE '2026-03-01' AS submission_date,
	TIMESTAMP '2026-03-01 10:00:00.25' AS public_release_date FROM inv;
CREATE TABLE c (kind ENUM('investigation', 'study'), roles JSON, ref INT, y YEAR, f DOUBLE, flag BIT(9)) CHARACTER SET utf8mb4;
INSERT INTO c VALUES ('investigation', '[{"term": "a"}]', 7, 2026, 0.1, b'100000001');
CREATE VIEW vstudy AS SELECT 'S' AS Identifier, TRUE AS TITLE, flag AS description_text, 7 AS investigation_ref FROM c;
CREATE VIEW vassay AS SELECT CAST(12 AS UNSIGNED) AS identifier, JSON_ARRAY('S') AS study_ref, '7' COLLATE utf8mb4_bin AS investigation_ref;
CREATE VIEW vContact AS SELECT roles, kind AS target_type, NULL AS target_ref, y AS phone, f AS fax, ref AS investigation_ref FROM c`

// Columns may have any type; their values come as the database spells them, and
// rows find their investigation although the types of the two differ.
func TestColumnTypes(t *testing.T) {
	t.Parallel()
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		connection := postgres(t)
		conn, err := pgx.Connect(t.Context(), connection)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), typesPostgreSQL); err != nil {
			t.Fatal(err)
		}
		d := open(t, connection, source.SchemaViews)
		for _, f := range resolve(t, d) {
			if f.Severity == source.Error {
				t.Errorf("finding: %+v", f)
			}
		}
		got := readAll(t, d, source.ReadOptions{}, 1)
		one, two, three := got["7"], got["b7e23ec2-9af0-4b07-8f0a-000000000001"], got["text"]
		if one == nil || two == nil || three == nil {
			t.Fatalf("got %v", got)
		}
		if len(one.Studies) != 1 || len(two.Assays) != 1 || len(one.Contacts) != 1 || len(three.Publications) != 1 {
			t.Fatalf("rows: %d studies, %d assays, %d contacts, %d publications", len(one.Studies), len(two.Assays), len(one.Contacts), len(three.Publications))
		}
		expect(t, map[string][2]string{
			"boolean":     {one.Investigation.Text(source.InvestigationTitle), "true"},
			"numeric":     {one.Investigation.Text(source.InvestigationDescription), "1.50"},
			"date":        {iso(t, one.Investigation.Text(source.InvestigationSubmission)), "2026-03-01T00:00:00"},
			"timestamptz": {iso(t, one.Investigation.Text(source.InvestigationRelease)), "2026-03-01T08:00:00.250000+00:00"},
			"jsonb":       {two.Assays[0].Text(source.AssayStudies), `["S"]`},
			"bigint":      {two.Assays[0].Text(source.AssayIdentifier), "12"},
			"enum":        {one.Contacts[0].Text(source.ContactTargetType), "investigation"},
			"char":        {three.Publications[0].Text(source.PublicationTarget), "S"},
			"integer":     {three.Publications[0].Text(source.PublicationPubMedID), "12345678"},
			"bytea":       {one.Studies[0].Text(source.StudyTitle), `\x41`},
		})
		if got := readAll(t, d, source.ReadOptions{Only: []string{"7"}}, 1); len(got) != 1 || len(got["7"].Studies) != 1 {
			t.Errorf("only 7: %v", got)
		}
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		for _, mode := range []string{"", "ANSI", "TRADITIONAL", "NO_BACKSLASH_ESCAPES"} {
			connection := mariadbtest.URL(t)
			mariaExec(t, connection, strings.Split(typesMariaDB, ";\n"))
			d := open(t, connection+"&sql_mode="+mode, source.SchemaViews)
			for _, f := range resolve(t, d) {
				if f.Severity == source.Error {
					t.Errorf("finding: %+v", f)
				}
			}
			one := readAll(t, d, source.ReadOptions{Only: []string{"7", `a'b"c\`}}, 1)["7"]
			if one == nil || len(one.Studies) != 1 || len(one.Assays) != 1 || len(one.Contacts) != 1 {
				t.Fatalf("got %+v", one)
			}
			expect(t, map[string][2]string{
				"latin1":  {one.Investigation.Text(source.InvestigationTitle), "Müller"},
				"decimal": {one.Investigation.Text(source.InvestigationDescription), "1.50"},
				"date":    {iso(t, one.Investigation.Text(source.InvestigationSubmission)), "2026-03-01T00:00:00"},
				"time":    {iso(t, one.Investigation.Text(source.InvestigationRelease)), "2026-03-01T10:00:00.250000"},
				"boolean": {one.Studies[0].Text(source.StudyTitle), "1"},
				"bit":     {one.Studies[0].Text(source.StudyDescription), "257"},
				"number":  {one.Assays[0].Text(source.AssayIdentifier), "12"},
				"json":    {one.Contacts[0].Text(source.ContactRoles), `[{"term": "a"}]`},
				"year":    {one.Contacts[0].Text(source.ContactPhone), "2026"},
				"double":  {one.Contacts[0].Text(source.ContactFax), "0.1"},
			})
		}
	})
}

// Bytes that MySQL does not take for text are shown as hexadecimal digits unless
// they are one.
func TestBinaryColumns(t *testing.T) {
	t.Parallel()
	connection := mariadbtest.URL(t)
	mariaExec(t, connection, []string{
		"CREATE TABLE i (id BINARY(4), title VARBINARY(20), description BLOB)",
		"INSERT INTO i VALUES ('DS-1', x'4DC3BC', x'00FF'), ('DS-2', x'FFFE', 'text')",
		"CREATE VIEW vInvestigation AS SELECT id AS identifier, title, description AS description_text FROM i",
	})
	d := open(t, connection, source.SchemaViews)
	if f := resolve(t, d); !has(f, source.Warning, "vInvestigation.description_text", "blob", "hexadecimal") {
		t.Errorf("findings: %v", f)
	}
	got := readAll(t, d, source.ReadOptions{}, 1)
	if got["DS-1"] == nil || got["DS-2"] == nil {
		t.Fatalf("got %v", got)
	}
	one, two := got["DS-1"].Investigation, got["DS-2"].Investigation
	expect(t, map[string][2]string{
		"text in VARBINARY": {one.Text(source.InvestigationTitle), "Mü"}, "BLOB": {one.Text(source.InvestigationDescription), "00ff"},
		"VARBINARY": {two.Text(source.InvestigationTitle), "fffe"}, "text in BLOB": {two.Text(source.InvestigationDescription), "text"},
	})
}

// References in a smaller character set than the identifiers are found, and one identifier that it cannot spell ends no run.
func TestReferencesInAnotherCharacterSet(t *testing.T) {
	t.Parallel()
	connection := mariadbtest.URL(t)
	mariaExec(t, connection, []string{
		"CREATE TABLE i (id VARCHAR(20)) CHARACTER SET utf8mb4",
		"INSERT INTO i VALUES ('DS-1'), ('Köln'), ('Łódź'), ('日本 😀')",
		"CREATE TABLE s (ref VARCHAR(20)) CHARACTER SET latin1 COLLATE latin1_german1_ci",
		"INSERT INTO s VALUES ('DS-1'), ('Köln')",
		"CREATE TABLE a (ref VARCHAR(20)) CHARACTER SET utf8mb4",
		"INSERT INTO a SELECT id FROM i",
		"CREATE VIEW vInvestigation AS SELECT id AS identifier, 'T' AS title FROM i",
		"CREATE VIEW vStudy AS SELECT 'S' AS identifier, 'T' AS title, ref AS investigation_ref FROM s",
		"CREATE VIEW vAssay AS SELECT 'A' AS identifier, ref AS investigation_ref FROM a",
	})
	for _, only := range [][]string{nil, {"DS-1", "Köln", "Łódź", "日本 😀"}} {
		d := open(t, connection, source.SchemaViews)
		resolve(t, d)
		got := readAll(t, d, source.ReadOptions{Only: only}, 1)
		for id, studies := range map[string]int{"DS-1": 1, "Köln": 1, "Łódź": 0, "日本 😀": 0} {
			if d := got[id]; d == nil || len(d.Studies) != studies || len(d.Assays) != 1 {
				t.Errorf("%s: %+v", id, d)
			}
		}
	}
	mariaExec(t, connection, []string{"CREATE OR REPLACE VIEW vInvestigation AS SELECT ref AS identifier, 'T' AS title FROM s"})
	d := open(t, connection, source.SchemaViews)
	resolve(t, d)
	if got := readAll(t, d, source.ReadOptions{Only: []string{"DS-1", "日本"}}, 1); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// Binary identifiers, as which many databases keep UUIDs, are found by those of their kind, and by what they look like.
func TestBinaryReferences(t *testing.T) {
	t.Parallel()
	connection := mariadbtest.URL(t)
	const one, two, text = "b7e23ec29af04b078f0a000000000001", "00010203040506070809000a0b0c0d0e", "0123456789abcdef"
	mariaExec(t, connection, []string{
		"CREATE TABLE i (id BINARY(16), PRIMARY KEY (id))",
		"INSERT INTO i VALUES (UNHEX('" + one + "')), (UNHEX('" + two + "')), ('" + text + "')",
		"CREATE VIEW vInvestigation AS SELECT id AS identifier, 'T' AS title FROM i",
		"CREATE VIEW vStudy AS SELECT 'S' AS identifier, 'T' AS title, id AS investigation_ref FROM i",
		"CREATE VIEW vAssay AS SELECT 'A' AS identifier, IF(id = '" + text + "', id, LOWER(HEX(id))) AS investigation_ref FROM i",
	})
	d := open(t, connection, source.SchemaViews)
	resolve(t, d)
	for _, only := range [][]string{nil, {one, two, text}} {
		got := readAll(t, d, source.ReadOptions{Only: only}, 1)
		for _, id := range []string{one, two, text} {
			if d := got[id]; d == nil || len(d.Studies) != 1 || len(d.Assays) != 1 {
				t.Errorf("%s: %+v", id, d)
			}
		}
	}
}

// A database that does not know the encoding of its texts hands all of them out,
// so that one that is not UTF-8 does not end the run.
func TestUnknownEncoding(t *testing.T) {
	t.Parallel()
	connection := encoded(t, "SQL_ASCII")
	filler, err := pgx.Connect(t.Context(), connection)
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close(context.Background())
	if _, err := filler.Exec(t.Context(), `CREATE VIEW vinvestigation AS SELECT * FROM (VALUES (E'K\xf6ln', E'M\xfcller', 'x'), ('U', E'M\xc3\xbcller', 'x'))
		v (identifier, title, description_text); CREATE VIEW vstudy AS SELECT 'S' AS identifier, 'T' AS title, identifier AS investigation_ref FROM vinvestigation`); err != nil {
		t.Fatal(err)
	}
	d := open(t, connection, source.SchemaViews)
	resolve(t, d)
	got := readAll(t, d, source.ReadOptions{}, 1)
	one, two := got["K\xf6ln"], got["U"]
	if one == nil || two == nil || len(one.Studies) != 1 {
		t.Fatalf("got %v", got)
	}
	expect(t, map[string][2]string{
		"Latin-1": {one.Investigation.Text(source.InvestigationTitle), "M\xfcller"}, "UTF-8": {two.Investigation.Text(source.InvestigationTitle), "Müller"},
	})
	d.Close()
}

// Where case and blanks in the end do not count, a reference that is spelled
// otherwise belongs to no dataset, which the run and the check tell; identifiers
// that differ only so are two.
func TestSpelledOtherwise(t *testing.T) {
	t.Parallel()
	connection := mariadbtest.URL(t)
	mariaExec(t, connection, []string{
		"CREATE TABLE i (id VARCHAR(10)) COLLATE utf8mb4_general_ci",
		"INSERT INTO i VALUES ('ds-1'), ('DS-1'), ('ds-2')",
		"CREATE TABLE s (id VARCHAR(10), ref VARCHAR(10)) CHARACTER SET latin1 COLLATE latin1_swedish_ci",
		"INSERT INTO s VALUES ('a', 'ds-1'), ('b', 'DS-1'), ('c', 'DS-2'), ('d', 'ds-2 '), ('e', 'DS-2')",
		"CREATE VIEW vInvestigation AS SELECT id AS identifier, 'T' AS title, 'D' AS description_text FROM i",
		"CREATE VIEW vStudy AS SELECT id AS identifier, 'T' AS title, ref AS investigation_ref FROM s",
	})
	d := open(t, connection, source.SchemaViews)
	resolve(t, d)
	_, checked, err := d.Inspect(t.Context())
	if err != nil || len(checked) != 2 || !has(checked, source.Note, "MariaDB does not tell the versions of rows") || !has(checked, source.Warning, "vStudy.investigation_ref", "3 rows name an investigation that does not exist") {
		t.Errorf("checked: %v, %v", checked, err)
	}
	r, _, err := d.Read(t.Context(), source.ReadOptions{BatchSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	studies := map[string]string{}
	for {
		batch, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range batch[0].Studies {
			studies[batch[0].Key()] += s.Text(source.StudyIdentifier)
		}
	}
	if want := map[string]string{"ds-1": "a", "DS-1": "b"}; !maps.Equal(studies, want) {
		t.Errorf("got %v, want %v", studies, want)
	}
	strays, err := r.Strays(t.Context())
	if err != nil || len(strays) != 2 || !has(strays, source.Warning, "vStudy.investigation_ref [DS-2]") || !has(strays, source.Warning, "vStudy.investigation_ref [ds-2 ]") {
		t.Errorf("got %v, %v", strays, err)
	}
}

// encoded gives the URL of a PostgreSQL database of an encoding.
func encoded(tb testing.TB, encoding string) string {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), postgres(tb))
	if err != nil {
		tb.Fatal(err)
	}
	name := "encoded_" + strings.ToLower(rand.Text())
	if _, err := conn.Exec(tb.Context(), "CREATE DATABASE "+name+" ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_, _ = conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		_ = conn.Close(context.Background())
	})
	config := conn.Config()
	return (&url.URL{Scheme: "postgresql", User: url.User(config.User), Path: "/" + name, RawQuery: url.Values{"host": {config.Host}}.Encode()}).String()
}

// A byte that the database's encoding has no character for does not end the run.
func TestBytesWithoutACharacter(t *testing.T) {
	t.Parallel()
	for encoding, euro := range map[string]string{"WIN1250": `\x80`, "WIN1251": `\x88`, "WIN1252": `\x80`, "WIN1254": `\x80`, "WIN1257": `\x80`} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			connection := encoded(t, encoding)
			bytes := ""
			for b := 128; b < 256; b++ {
				bytes += fmt.Sprintf(`\x%02x`, b)
			}
			pgExec(t, connection, `SET client_encoding TO `+encoding+`;
				CREATE TABLE inv (id text, title text);
				INSERT INTO inv VALUES ('all', E'`+bytes+`'), ('euro', E'`+euro+`');
				CREATE VIEW vinvestigation AS SELECT id AS identifier, title FROM inv;
				CREATE VIEW vstudy AS SELECT 'S' AS identifier, title, id AS investigation_ref FROM inv`)
			d := open(t, connection, source.SchemaViews)
			resolve(t, d)
			got := readAll(t, d, source.ReadOptions{}, 1)
			all, one := got["all"], got["euro"]
			if all == nil || one == nil || len(all.Studies) != 1 {
				t.Fatalf("got %v", got)
			}
			if text := all.Studies[0].Text(source.StudyTitle); !utf8.ValidString(text) || utf8.RuneCountInString(text) != 128 || !strings.Contains(text, "\x1a") {
				t.Errorf("got %q", text)
			}
			if text := one.Investigation.Text(source.InvestigationTitle); text != "€" {
				t.Errorf("the euro is %q", text)
			}
		})
	}
}

func iso(tb testing.TB, text string) string {
	tb.Helper()
	out, err := source.ISOTime(text)
	if err != nil {
		tb.Error(err)
	}
	return out
}

func expect(tb testing.TB, pairs map[string][2]string) {
	tb.Helper()
	for what, pair := range pairs {
		if pair[0] != pair[1] {
			tb.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
}

// mariaExec runs statements.
func mariaExec(tb testing.TB, connection string, statements []string) {
	tb.Helper()
	u, err := url.Parse(connection)
	if err != nil {
		tb.Fatal(err)
	}
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = u.User.Username(), "unix", u.Query().Get("unix_socket"), strings.TrimPrefix(u.Path, "/")
	connector, err := mysql.NewConnector(config)
	if err != nil {
		tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}
