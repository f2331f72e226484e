package scaffold

import (
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/scaffold/xlsx"
)

// metadata is a metadata sheet under construction: a label in the first column
// of each row, and values to its right.
type metadata struct {
	rows [][]string
}

// section begins a section. Its title is a row.
func (m *metadata) section(title string) { m.rows = append(m.rows, []string{title}) }

// write writes the rows. Blank values are left out.
func (m *metadata) write(rows *xlsx.Rows) {
	for _, row := range m.rows {
		rows.Next()
		for column, value := range row {
			if !arc.IsBlank(value) {
				rows.Text(column, value)
			}
		}
	}
}

// field is a row of a section: its label, and how the value of an object is
// found.
type field[T any] struct {
	label string
	value func(T) string
}

// addFields adds the rows of a section, with one column for each object.
func addFields[T any](m *metadata, prefix string, fields []field[T], objects ...T) {
	for _, f := range fields {
		row := make([]string, 1, 1+len(objects))
		row[0] = prefix + f.label
		for _, o := range objects {
			value := ""
			if f.value != nil {
				value = f.value(o)
			}
			row = append(row, value)
		}
		m.rows = append(m.rows, row)
	}
}

// addComments adds the comment rows of a section, with one column for each
// object. A row stands where its name comes last when the comments of all
// objects are listed one after the other.
func (m *metadata) addComments(objects ...[]arc.Comment) {
	last := map[string]int{}
	n := 0
	for _, comments := range objects {
		for _, c := range comments {
			last[c.Name] = n
			n++
		}
	}
	rows := make(map[string][]string, len(last))
	n = 0
	for i, comments := range objects {
		for _, c := range comments {
			row := rows[c.Name]
			if row == nil {
				row = make([]string, 1+len(objects))
				row[0] = "Comment[" + c.Name + "]"
				rows[c.Name] = row
			}
			row[1+i] = c.Value
			if last[c.Name] == n {
				m.rows = append(m.rows, row)
			}
			n++
		}
	}
}

// checkComments reports comments that the sheet cannot hold: two of one name on
// one object, and those named like a row of the section. Of is the object unless that is the part of the ARC.
func checkComments[T any](p *plan, path, entity, prefix string, fields []field[T], comments []arc.Comment, of ...any) {
	seen := make(map[string]bool, len(comments))
	for i, c := range comments {
		parts := append([]any{&comments[i]}, of...)
		switch {
		case seen[c.Name]:
			p.problem(Problem{
				Code: "comment", Path: path, Parts: parts,
				Text:   entity + " has two comments named " + quote(c.Name),
				Remedy: "give the comments of an object distinct names",
			})
		case isLabel(prefix, fields, c.Name):
			p.problem(Problem{
				Code: "comment", Path: path, Parts: parts,
				Text:   entity + " has a comment named " + quote(c.Name) + ", like a row of its metadata sheet",
				Remedy: "rename the comment",
			})
		}
		seen[c.Name] = true
	}
}

func isLabel[T any](prefix string, fields []field[T], name string) bool {
	label, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return false
	}
	for _, f := range fields {
		if f.label == label {
			return true
		}
	}
	return false
}

// termFields gives the three rows of a term. Accessions are written as
// addresses.
func termFields[T any](name, prefix string, term func(T) arc.OntologyTerm) []field[T] {
	return []field[T]{
		{name, func(o T) string { return term(o).Name }},
		{prefix + " Term Accession Number", func(o T) string { return term(o).URLOrTAN() }},
		{prefix + " Term Source REF", func(o T) string { return term(o).TSR }},
	}
}

// termsFields gives the three rows of several terms in one cell.
func termsFields[T any](name, prefix string, terms func(T) []arc.OntologyTerm) []field[T] {
	return []field[T]{
		{name, func(o T) string { return joinNames(terms(o)) }},
		{prefix + " Term Accession Number", func(o T) string { return joinTANs(terms(o)) }},
		{prefix + " Term Source REF", func(o T) string { return joinTSRs(terms(o)) }},
	}
}

func joinNames(terms []arc.OntologyTerm) string {
	return join(terms, func(t arc.OntologyTerm) string { return t.Name })
}

func joinTANs(terms []arc.OntologyTerm) string {
	return join(terms, func(t arc.OntologyTerm) string { return t.TAN })
}

func joinTSRs(terms []arc.OntologyTerm) string {
	return join(terms, func(t arc.OntologyTerm) string { return t.TSR })
}

// join joins what is found in the items. Empty ones keep their place.
func join[T any](items []T, value func(T) string) string {
	var b strings.Builder
	for i, item := range items {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(value(item))
	}
	return b.String()
}

// concat joins lists of rows.
func concat[T any](lists ...[]field[T]) []field[T] {
	var out []field[T]
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
