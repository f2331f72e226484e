package source

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// sample is a relation as it would be found in a database.
func sample(d *Dialect) *relation {
	v := Views()[1]
	r := &relation{view: v, from: d.quote("vStudy"), columns: make([]string, len(v.Columns)), keyType: "text"}
	for i, c := range v.Columns {
		if c.Name != "description_text" {
			r.columns[i] = d.quote(c.Name)
		}
	}
	return r
}

// The statements are right in the SQL of each product, also of those that no
// test can start: quoting, parameters, limits, missing columns.
func TestStatements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect                              *Dialect
		rows, count, repeated, unmarked, all string
	}{
		{
			PostgreSQL,
			`SELECT "identifier"::text, "title"::text, NULL, "submission_date"::text, "public_release_date"::text, "investigation_ref"::text FROM "vStudy" WHERE "investigation_ref" = ANY($1::text[])`,
			`SELECT COUNT(*), COALESCE(SUM(CASE WHEN "identifier" IS NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN "title" IS NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN "investigation_ref" IS NULL THEN 1 ELSE 0 END), 0) FROM "vStudy"`,
			`SELECT LTRIM(RTRIM("identifier"::text)), COUNT(*) FROM "vStudy" WHERE "identifier" IS NOT NULL GROUP BY LTRIM(RTRIM("identifier"::text)) HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 5`,
			`SELECT 1 FROM "vStudy" WHERE "investigation_ref" IS NULL LIMIT 1`,
			`"vStudy" "vstudy"`,
		},
		{
			MySQL,
			"SELECT `identifier`, `title`, NULL, `submission_date`, `public_release_date`, `investigation_ref` FROM `vStudy` WHERE `investigation_ref` IN (?, ?)",
			"SELECT COUNT(*), COALESCE(SUM(CASE WHEN `identifier` IS NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN `title` IS NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN `investigation_ref` IS NULL THEN 1 ELSE 0 END), 0) FROM `vStudy`",
			"SELECT LTRIM(RTRIM(BINARY CONVERT(`identifier` USING utf8mb4))), COUNT(*) FROM `vStudy` WHERE `identifier` IS NOT NULL GROUP BY LTRIM(RTRIM(BINARY CONVERT(`identifier` USING utf8mb4))) HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 5",
			"SELECT 1 FROM `vStudy` WHERE `investigation_ref` IS NULL LIMIT 1",
			"`vStudy` `vstudy`",
		},
		{
			SQLServer,
			"SELECT [identifier], [title], NULL, [submission_date], [public_release_date], [investigation_ref] FROM [vStudy] WHERE [investigation_ref] IN (@p1, @p2)",
			"SELECT COUNT(*), COALESCE(SUM(CASE WHEN [identifier] IS NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN [title] IS NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN [investigation_ref] IS NULL THEN 1 ELSE 0 END), 0) FROM [vStudy]",
			"SELECT TOP (5) LTRIM(RTRIM(CAST([identifier] AS NVARCHAR(4000)) COLLATE Latin1_General_BIN2)), COUNT(*) FROM [vStudy] WHERE [identifier] IS NOT NULL GROUP BY LTRIM(RTRIM(CAST([identifier] AS NVARCHAR(4000)) COLLATE Latin1_General_BIN2)) HAVING COUNT(*) > 1 ORDER BY 1",
			"SELECT TOP (1) 1 FROM [vStudy] WHERE [investigation_ref] IS NULL",
			"[vStudy] [vstudy]",
		},
		{
			Oracle,
			`SELECT "identifier", "title", NULL, "submission_date", "public_release_date", "investigation_ref" FROM "vStudy" WHERE "investigation_ref" IN (:1, :2)`,
			`SELECT COUNT(*), COALESCE(SUM(CASE WHEN "identifier" IS NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN "title" IS NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN "investigation_ref" IS NULL THEN 1 ELSE 0 END), 0) FROM "vStudy"`,
			`SELECT LTRIM(RTRIM("identifier")), COUNT(*) FROM "vStudy" WHERE "identifier" IS NOT NULL GROUP BY LTRIM(RTRIM("identifier")) HAVING COUNT(*) > 1 ORDER BY 1 FETCH FIRST 5 ROWS ONLY`,
			`SELECT 1 FROM "vStudy" WHERE "investigation_ref" IS NULL FETCH FIRST 1 ROWS ONLY`,
			`"vStudy" "VSTUDY" "vstudy"`,
		},
	} {
		d, r := c.dialect, sample(c.dialect)
		count, _ := d.selectProblems(r)
		for _, pair := range [][2]string{
			{d.selectRows(r, 0, d.whereKeys(r, 2)), c.rows},
			{count, c.count},
			{d.selectDuplicates(r, 5), c.repeated},
			{d.selectUnmarked(r), c.unmarked}, // the column in that place
			{strings.Join(d.spellings("vStudy"), " "), c.all},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s:\ngot  %s\nwant %s", d.Name, pair[0], pair[1])
			}
		}
	}
}

// Names and constants cannot break out of their quotes.
func TestQuoting(t *testing.T) {
	t.Parallel()
	for d, want := range map[*Dialect]string{PostgreSQL: `"a""b]c` + "`" + `d"`, MySQL: "`a\"b]c``d`", SQLServer: "[a\"b]]c`d]", Oracle: `"a""b]c` + "`" + `d"`} {
		if got := d.quote("a\"b]c`d"); got != want {
			t.Errorf("%s: got %s, want %s", d.Name, got, want)
		}
	}
	if got, want := quoteLiteral(`it's \ "`), `E'it''s \\ "'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := string(arrayLiteral([]string{`a"b`, `c\d`, "", "e,f"})), `{"a\"b","c\\d","","e,f"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The statements of init name every view and column, in each dialect.
func TestCreateViewsIsComplete(t *testing.T) {
	t.Parallel()
	for _, d := range []*Dialect{PostgreSQL, MySQL, SQLServer, Oracle} {
		text := d.CreateViews()
		for _, v := range Views() {
			if !strings.Contains(text, "VIEW "+d.quote(v.Name)+" AS") {
				t.Errorf("%s: no %s", d.Name, v.Name)
			}
			for _, c := range v.Columns {
				if !strings.Contains(text, ") AS "+d.quote(c.Name)) {
					t.Errorf("%s: no %s.%s", d.Name, v.Name, c.Name)
				}
			}
		}
	}
}

// Values of drivers that no test can connect become the text that their databases
// would show: times without a zone stay so, and nothing is shifted.
func TestSpelling(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 10, 0, 0, 250_000_000, time.FixedZone("", 7200))
	for _, c := range []struct {
		value    any
		typeName string
		want     string
	}{
		{at, "DATETIME2", "2026-03-01T10:00:00.25"},
		{at, "DATE", "2026-03-01T10:00:00.25"}, // of Oracle, which has a time of day
		{at, "TIMESTAMPDTY", "2026-03-01T10:00:00.25"},
		{at, "DATETIMEOFFSET", "2026-03-01T10:00:00.25+02:00"},
		{at, "TIMESTAMPTZ_DTY", "2026-03-01T10:00:00.25+02:00"},
		{at, "TIMESTAMPLTZ_DTY", "2026-03-01T10:00:00.25+02:00"},
		{at, "TIME", "10:00:00.25"},
		{[]byte("12.50"), "DECIMAL", "12.50"},
		{[]byte("19.9900"), "MONEY", "19.9900"},
		{"12.5", "NUMBER", "12.5"},
		{int64(-7), "BIGINT", "-7"},
		{0.1, "FLOAT", "0.1"},
		{1e21, "FLOAT", "1000000000000000000000"},
		{true, "BIT", "true"},
		{"Ü 🌱", "NVARCHAR", "Ü 🌱"},
		{"ab  ", "NCHAR", "ab"},
		{"ab  ", "NVARCHAR", "ab  "},
		{[]byte{0xc2, 0x3e, 0xe2, 0xb7, 0xf0, 0x9a, 0x07, 0x4b, 0x8f, 0x0a, 0, 0, 0, 0, 0, 1}, "UNIQUEIDENTIFIER", "B7E23EC2-9AF0-4B07-8F0A-000000000001"},
		{[]byte{0xff, 0x00}, "VARBINARY", "ff00"},
	} {
		if got := string(spell(c.value, c.typeName)); got != c.want {
			t.Errorf("%v as %s: got %q, want %q", c.value, c.typeName, got, c.want)
		}
	}
	if spell(nil, "NVARCHAR") != nil {
		t.Error("NULL became a text")
	}
}

// Connection strings of the earlier generations, with the driver that they named,
// mean the same databases.
func TestConnectionStringsOfOtherDrivers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*Dialect{
		"postgresql+asyncpg://u:p%23@h/d":                PostgreSQL,
		"postgresql+psycopg://u@/d?host=/run/postgresql": PostgreSQL,
		"mysql+aiomysql://u:p@h:3307/d?charset=utf8mb4":  MySQL,
		"mariadb+asyncmy://u:p@h/d":                      MySQL,
		"mssql+aioodbc://u:p@h:1433/d?driver=ODBC+Driver+18+for+SQL+Server&TrustServerCertificate=yes&Encrypt=no": SQLServer,
		"mssql+pyodbc://u:p@h/d?driver=ODBC+Driver+17+for+SQL+Server":                                             SQLServer,
		"oracle+oracledb_async://u:p@h:1521/?service_name=S":                                                      Oracle,
		"oracle+oracledb://u:p@h/SID":                                                                             Oracle,
	} {
		if got, err := ParseConnectionString(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// Fingerprints differ wherever rows do: in NULL, where a value ends, and in the view that
// a row is in.
func TestFingerprintsDiffer(t *testing.T) {
	t.Parallel()
	type row = [][]byte
	text := func(s string) []byte { return []byte(s) }
	seen := map[[32]byte]string{}
	for name, views := range map[string][6][]row{
		"nothing":      {},
		"NULL":         {1: {{nil, nil}}},
		"empty":        {1: {{text(""), nil}}},
		"ab, c":        {1: {{text("ab"), text("c")}}},
		"a, bc":        {1: {{text("a"), text("bc")}}},
		"another view": {2: {{text("a"), text("bc")}}},
		"twice":        {1: {{text("a"), text("bc")}, {text("a"), text("bc")}}},
		"once in each": {1: {{text("a"), text("bc")}}, 2: {{text("a"), text("bc")}}},
	} {
		f := newFingerprint()
		for view, rows := range views {
			for _, r := range rows {
				f.add(view, encode(nil, r))
			}
		}
		sum := f.sum()
		if other, ok := seen[sum]; ok {
			t.Errorf("%s looks like %s", name, other)
		}
		seen[sum] = name
	}
}

// A server that is going down, full or has lost our snapshot may be back soon; anything
// else has another reason.
func TestClassify(t *testing.T) {
	t.Parallel()
	for want, all := range map[problem][]error{
		unreachable: {
			&pgconn.PgError{Code: "57P01"}, &pgconn.PgError{Code: "57P03"}, &pgconn.PgError{Code: "53300"}, &pgconn.PgError{Code: "40001"},
			&mysql.MySQLError{Number: 1040}, &mysql.MySQLError{Number: 1053}, mysql.ErrInvalidConn,
		},
		accessDenied:   {&pgconn.PgError{Code: "42501"}, &pgconn.PgError{Code: "28P01"}, &mysql.MySQLError{Number: 1045}},
		noSuchRelation: {&pgconn.PgError{Code: "42P01"}, &mysql.MySQLError{Number: 1146}},
		unknownService: {&pgconn.PgError{Code: "3D000"}, &mysql.MySQLError{Number: 1049}},
		// MySQL 8 has its own for what MariaDB calls an illegal mix of collations.
		otherCharacters: {&mysql.MySQLError{Number: 1267}, &mysql.MySQLError{Number: 1271}, &mysql.MySQLError{Number: 3854}, &mysql.MySQLError{Number: 3988}},
		otherProblem:    {&pgconn.PgError{Code: "22012"}, &mysql.MySQLError{Number: 1064}, errors.New("odd")},
	} {
		for _, err := range all {
			if got := classify(fmt.Errorf("read: %w", err)); got != want {
				t.Errorf("%v: %d, want %d", err, got, want)
			}
		}
	}
}
