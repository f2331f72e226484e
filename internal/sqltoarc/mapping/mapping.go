// Package mapping turns the rows of a dataset into an ARC: what the columns of
// the views mean is decided here and nowhere else.
//
// A row that cannot be used is reported and left out; a dataset that cannot
// become an ARC is reported and gives none. The package must never change a
// value to make it fit without saying so. Functions are pure and may be called
// concurrently.
package mapping

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/scaffold/xlsx"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// Limits are the sizes beyond which a dataset is not converted. Zero means no
// limit.
type Limits struct {
	Studies int
	Assays  int
}

// Result is what became of a dataset.
type Result struct {
	ARC      *arc.Investigation // nil when the dataset cannot become an ARC
	Findings []source.Finding   // about rows that were left out, or why there is no ARC
	Dropped  int                // findings beyond the first maxFindings
}

// maxFindings bounds what is kept about one dataset: a mistake in a view is
// usually in all of its rows.
const maxFindings = 50

// builder builds one ARC.
type builder struct {
	views   []*source.View
	key     string
	result  Result
	failed  bool
	studies map[string]*arc.Study
	assays  map[string]*arc.Assay
	// rows as they first came, to judge duplicates.
	studyRows map[string]source.Row
	assayRows map[string]source.Row
	told      map[notice]bool
}

// notice is what is told once of a dataset, for the first row or table that it happens in.
type notice struct {
	view         int
	column, text string
}

// Mapper maps datasets.
type Mapper struct {
	limits Limits
	views  []*source.View
}

// New gives a mapper.
func New(limits Limits) *Mapper { return &Mapper{limits: limits, views: source.Views()} }

// Places of the views among [source.Views].
const (
	investigations = iota
	studies
	assays
	publications
	contacts
	cells
)

// Map turns a dataset into an ARC.
func (m *Mapper) Map(d *source.Dataset) Result {
	b := &builder{
		views: m.views, key: d.Key(),
		studies: make(map[string]*arc.Study, len(d.Studies)), studyRows: make(map[string]source.Row, len(d.Studies)),
		assays: make(map[string]*arc.Assay, len(d.Assays)), assayRows: make(map[string]source.Row, len(d.Assays)),
	}
	switch {
	case d.Duplicate:
		b.fail(investigations, "", "identifier", "another investigation has the same identifier; this one is not converted", "make identifiers unique")
	case d.TooLarge:
		b.fail(investigations, "", "", "the dataset has more rows than fit into memory and is not converted",
			"split it, or raise max_dataset_bytes")
	case m.limits.Studies > 0 && len(d.Studies) > m.limits.Studies:
		b.fail(studies, "", "", fmt.Sprintf("%d studies are more than max_studies allows (%d)", len(d.Studies), m.limits.Studies),
			"split the dataset, or raise max_studies")
	case m.limits.Assays > 0 && len(d.Assays) > m.limits.Assays:
		b.fail(assays, "", "", fmt.Sprintf("%d assays are more than max_assays allows (%d)", len(d.Assays), m.limits.Assays),
			"split the dataset, or raise max_assays")
	default:
		b.build(d)
	}
	if b.failed {
		b.result.ARC = nil
	}
	return b.result
}

func (b *builder) build(d *source.Dataset) {
	if !b.investigation(d.Investigation) {
		return
	}
	for _, row := range d.Studies {
		b.study(row)
	}
	for _, row := range d.Assays {
		b.assay(row)
	}
	for _, row := range d.Publications {
		b.publication(row)
	}
	for _, row := range d.Contacts {
		b.contact(row)
	}
	b.tables(d.Cells)
}

// report keeps a finding. row is what people recognise the row by.
func (b *builder) report(severity source.Severity, view int, row, column, text, remedy string) {
	if len(b.result.Findings) >= maxFindings {
		b.result.Dropped++
		return
	}
	b.result.Findings = append(b.result.Findings, source.Finding{
		Severity: severity, View: b.views[view].Name, Key: b.key, Row: row, Column: column, Text: text, Remedy: remedy,
	})
}

// once reports a kind of change for the first row or table of the dataset that it
// happens in. The text tells one kind from another.
func (b *builder) once(view int, row, column, text, remedy string) {
	what := notice{view, column, text}
	if b.told[what] {
		return
	}
	if b.told == nil {
		b.told = map[notice]bool{}
	}
	b.told[what] = true
	b.report(source.Warning, view, row, column, text, remedy)
}

// skip reports that a row was left out.
func (b *builder) skip(view int, row, column, text, remedy string) {
	b.report(source.Warning, view, row, column, text+"; the row is skipped", remedy)
}

// fail reports why the dataset cannot become an ARC. It always gets a place
// among the findings.
func (b *builder) fail(view int, row, column, text, remedy string) {
	b.failed = true
	if len(b.result.Findings) >= maxFindings {
		b.result.Findings = b.result.Findings[:maxFindings-1]
		b.result.Dropped++
	}
	b.report(source.Error, view, row, column, text, remedy)
}

// complete tells whether a row has all values without which it is of no use, and
// only such as an ARC can hold.
func (b *builder) complete(view int, row source.Row, name string) bool {
	column, text, remedy := b.fault(view, row)
	if text != "" {
		b.skip(view, name, column, text, remedy)
		return false
	}
	b.unwritable(view, row, name)
	return true
}

// unwritable reports, once for each column of a dataset, a character that a crate
// holds but a workbook does not.
func (b *builder) unwritable(view int, row source.Row, name string) {
	for i, c := range b.views[view].Columns {
		if at := strings.IndexFunc(row[i].Text, func(r rune) bool { return !xlsx.IsCharacter(r) }); at >= 0 && !c.Extra {
			r, _ := utf8.DecodeRuneInString(row[i].Text[at:])
			b.once(view, name, c.Name, fmt.Sprintf("the character %U is sent, but does not arrive in git: a workbook cannot hold it", r), "remove it, or write it as text")
		}
	}
}

// fault gives what is wrong with a row's values; with an empty text it is nothing.
func (b *builder) fault(view int, row source.Row) (column, text, remedy string) {
	for i, c := range b.views[view].Columns {
		switch value := row[i]; {
		case c.NotNull && !value.Valid:
			return c.Name, "a required value is missing", "give it a value"
		case !utf8.ValidString(value.Text):
			return c.Name, fmt.Sprintf("%+q is not a text in UTF-8", shorten(value.Text)), "convert it in the view, or store it in a column whose encoding the database knows"
		case strings.IndexByte(value.Text, 0) >= 0:
			return c.Name, "the text contains the character NUL", "remove it"
		}
	}
	return "", "", ""
}

// shorten keeps a value on one line of a report.
func shorten(text string) string {
	const limit = 60
	return text[:min(len(text), limit)]
}

// date gives a date in ISO 8601, or reports that it is none.
func (b *builder) date(view int, row source.Row, name string, column int) (string, bool) {
	if !row[column].Valid {
		return "", true
	}
	iso, err := source.ISOTime(row[column].Text)
	if err != nil {
		b.skip(view, name, b.views[view].Columns[column].Name, err.Error(), "store a timestamp")
		return "", false
	}
	return iso, true
}

// term makes an annotation; without a term there is none, whatever else there
// is. Versions have no place in an ARC.
func term(name, uri source.Value) arc.OntologyTerm {
	if name.Text == "" {
		return arc.OntologyTerm{}
	}
	return arc.NewTerm(name.Text, uri.Text)
}
