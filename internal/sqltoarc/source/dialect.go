package source

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxKeys is how many keys one query may name: Oracle takes at most 1000
// expressions in a list, SQL Server 2100 parameters in all.
const maxKeys = 1000

// Dialect is one database product. What differs between them is collected here:
// spelling of names and parameters, how a snapshot is begun, error codes.
type Dialect struct {
	// Name is the product as people call it.
	Name string
	// driver is the name of the driver in database/sql,
	// empty for PostgreSQL, which is spoken to directly.
	driver string
	quote  func(name string) string
	// parameter gives the n-th parameter, counted from 1.
	parameter func(n int) string
	// limit gives the text before and after the rest of a SELECT that keeps its
	// result to n rows.
	limit func(n int) (before, after string)
	// text gives an expression that is the value of a column as text.
	text func(column string) string
	// exact gives an expression that is equal for equal texts only, whatever the
	// collation of the column.
	exact func(column string) string
}

func quoteWith(open, end string) func(string) string {
	return func(name string) string { return open + strings.ReplaceAll(name, end, end+end) + end }
}

func asIs(s string) string { return s }

func limitAfter(n int) (before, after string) { return "", " LIMIT " + strconv.Itoa(n) }

// The dialects.
var (
	PostgreSQL = &Dialect{
		Name:      "PostgreSQL",
		quote:     quoteWith(`"`, `"`),
		parameter: func(n int) string { return "$" + strconv.Itoa(n) },
		limit:     limitAfter,
		text:      func(c string) string { return c + "::text" },
		exact:     func(c string) string { return c + "::text" },
	}
	MySQL = &Dialect{
		Name:      "MySQL/MariaDB",
		driver:    "mysql",
		quote:     quoteWith("`", "`"),
		parameter: func(int) string { return "?" },
		limit:     limitAfter,
		text:      asIs,
		exact:     func(c string) string { return "BINARY CONVERT(" + c + " USING utf8mb4)" },
	}
	SQLServer = &Dialect{
		Name:      "Microsoft SQL Server",
		driver:    "sqlserver",
		quote:     quoteWith("[", "]"),
		parameter: func(n int) string { return "@p" + strconv.Itoa(n) },
		limit: func(n int) (before, after string) {
			return fmt.Sprintf("TOP (%d) ", n), ""
		},
		text:  asIs,
		exact: func(c string) string { return "CAST(" + c + " AS NVARCHAR(4000)) COLLATE Latin1_General_BIN2" },
	}
	Oracle = &Dialect{
		Name:      "Oracle",
		driver:    "oracle",
		quote:     quoteWith(`"`, `"`),
		parameter: func(n int) string { return ":" + strconv.Itoa(n) },
		limit: func(n int) (before, after string) {
			return "", fmt.Sprintf(" FETCH FIRST %d ROWS ONLY", n)
		},
		text:  asIs,
		exact: asIs,
	}
)

// spellings gives the names under which a view is looked for: as documented,
// then as a script without quotes creates it.
func (d *Dialect) spellings(view string) []string {
	names := []string{view, strings.ToLower(view)}
	if d == Oracle {
		names = []string{view, strings.ToUpper(view), strings.ToLower(view)}
	}
	quoted := make([]string, 0, len(names))
	for i, name := range names {
		if i == 0 || name != names[0] {
			quoted = append(quoted, d.quote(name))
		}
	}
	return quoted
}

// relation is a view (or a table that stands for it) as it was found in the
// database.
type relation struct {
	view *View
	// from is what follows FROM.
	from string
	// columns are the SQL expressions of the view's columns, "" for those that
	// are missing.
	columns []string
	// keyType is the type of the column that names the investigation, where
	// the dialect has to know it.
	keyType string
	// widened tells that the column that names the investigation has to be converted
	// to be compared; MySQL then reads without its index.
	widened bool
	// unspelled are the characters of PostgreSQL that have no form in UTF-8, as an SQL
	// expression; "" if there are none.
	unspelled string
}

// unspelled gives, for the encodings of PostgreSQL that have them, the bytes that stand for
// no character and are stored nevertheless: UTF-8 that was taken for Windows' texts is full
// of them. One of them would end the reading of everything.
var unspelled = map[string][]byte{
	"WIN1250": {129, 131, 136, 144, 152},
	"WIN1251": {152},
	"WIN1252": {129, 141, 143, 144, 157},
	"WIN1254": {129, 141, 142, 143, 144, 157, 158},
	"WIN1257": {129, 131, 136, 138, 140, 144, 152, 154, 156, 159, 161, 165},
}

// unspelledIn gives them as an SQL expression.
func unspelledIn(encoding string) string {
	characters := make([]string, len(unspelled[encoding]))
	for i, b := range unspelled[encoding] {
		characters[i] = fmt.Sprintf("chr(%d)", b)
	}
	return strings.Join(characters, "||")
}

// value gives the expression that a column is read by. What has no form in UTF-8 becomes
// the character SUBSTITUTE, of which the owner of the data is told.
func (r *relation) value(d *Dialect, column string) string {
	if r.unspelled == "" {
		return d.text(column)
	}
	return "translate(" + d.text(column) + ", " + r.unspelled + ", repeat(chr(26), length(" + r.unspelled + ")))"
}

// selectRows gives the statement that reads all columns; where is appended.
func (d *Dialect) selectRows(r *relation, limit int, where string) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	after := ""
	if limit > 0 {
		before, end := d.limit(limit)
		b.WriteString(before)
		after = end
	}
	for i, column := range r.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		if column == "" {
			b.WriteString("NULL")
			continue
		}
		b.WriteString(r.value(d, column))
	}
	b.WriteString(" FROM " + r.from)
	if where != "" {
		b.WriteString(" WHERE " + where)
	}
	b.WriteString(after)
	return b.String()
}

// keyArrays are the types of arrays to compare keys of PostgreSQL with so that an
// index can be used. Keys of any other type are compared as text.
var keyArrays = map[string]string{
	"text": "text[]", "character varying": "text[]",
	// Without its modifier the name "character" means a single one.
	"character": "bpchar[]",
	"smallint":  "smallint[]", "integer": "integer[]", "bigint": "bigint[]", "uuid": "uuid[]",
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// possibleKeys leaves out the keys that a column cannot hold; PostgreSQL would
// refuse the statement because of them. A binary column of MySQL holds what is shown
// as hexadecimal digits (see spellRaw) or the text itself.
func (d *Dialect) possibleKeys(r *relation, keys []string) []string {
	switch {
	case d == MySQL && slices.Contains([]string{"binary", "varbinary", "blob"}, r.keyType):
		possible := slices.Clone(keys)
		for _, key := range keys {
			if bytes, err := hex.DecodeString(key); err == nil {
				possible = append(possible, string(bytes))
			}
		}
		return possible
	case d != PostgreSQL:
		return keys
	}
	bits := map[string]int{"smallint": 16, "integer": 32, "bigint": 64}[r.keyType]
	if bits == 0 && r.keyType != "uuid" {
		return keys
	}
	possible := make([]string, 0, len(keys))
	for _, key := range keys {
		_, err := strconv.ParseInt(key, 10, max(bits, 1))
		if bits > 0 && err == nil || bits == 0 && uuidForm.MatchString(key) {
			possible = append(possible, key)
		}
	}
	return possible
}

// whereKeys restricts a relation to n investigations. PostgreSQL takes them as
// one array, so that the statement stays the same whatever their number.
func (d *Dialect) whereKeys(r *relation, n int) string {
	key := r.columns[r.view.Ref]
	if d == PostgreSQL {
		if array, ok := keyArrays[r.keyType]; ok {
			return key + " = ANY($1::" + array + ")"
		}
		return "(" + key + ")::text = ANY($1::text[])"
	}
	if d == Oracle && (r.keyType == "char" || r.keyType == "nchar") {
		key = "RTRIM(" + key + ")" // padded to the length of the column
	}
	if r.widened {
		key = "CONVERT(" + key + " USING utf8mb4)"
	}
	var b strings.Builder
	b.WriteString(key + " IN (")
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(d.parameter(i + 1))
	}
	return b.String() + ")"
}

// selectProblems counts the rows, and for each column that must not be NULL the
// rows where it is.
func (d *Dialect) selectProblems(r *relation) (statement string, columns []int) {
	var b strings.Builder
	b.WriteString("SELECT COUNT(*)")
	for i, c := range r.view.Columns {
		if c.NotNull && r.columns[i] != "" {
			b.WriteString(", COALESCE(SUM(CASE WHEN " + r.columns[i] + " IS NULL THEN 1 ELSE 0 END), 0)")
			columns = append(columns, i)
		}
	}
	b.WriteString(" FROM " + r.from)
	return b.String(), columns
}

// selectOrphans counts the rows whose investigation does not exist.
func (d *Dialect) selectOrphans(r, investigations *relation) string {
	ref, identifier := r.columns[r.view.Ref], investigations.columns[InvestigationIdentifier]
	return "SELECT COUNT(*) FROM (SELECT " + d.exact(ref) + " AS ref FROM " + r.from + " WHERE " + ref + " IS NOT NULL) r" +
		" LEFT JOIN (SELECT DISTINCT " + d.exact(identifier) + " AS id FROM " + investigations.from + ") i ON r.ref = i.id WHERE i.id IS NULL"
}

// selectUnmarked gives a row if some investigation has no change_marker.
func (d *Dialect) selectUnmarked(r *relation) string {
	before, after := d.limit(1)
	return "SELECT " + before + "1 FROM " + r.from + " WHERE " + r.columns[InvestigationMarker] + " IS NULL" + after
}

// selectDuplicates lists identifiers that more than one investigation has. Blanks around
// them make no difference to the API.
func (d *Dialect) selectDuplicates(r *relation, limit int) string {
	before, after := d.limit(limit)
	key := "LTRIM(RTRIM(" + d.exact(r.columns[InvestigationIdentifier]) + "))"
	return "SELECT " + before + key + ", COUNT(*) FROM " + r.from + " WHERE " + r.columns[InvestigationIdentifier] + " IS NOT NULL" +
		" GROUP BY " + key + " HAVING COUNT(*) > 1 ORDER BY 1" + after
}

// quoteLiteral spells a text as a constant of PostgreSQL, whatever the setting
// of standard_conforming_strings.
func quoteLiteral(text string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}

func replaceOnce(s, old, replacement string) string { return strings.Replace(s, old, replacement, 1) }
