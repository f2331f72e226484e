package mapping

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/scaffold/xlsx"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// maxRow is the last row of a sheet, less its header.
const maxRow = 1<<20 - 2

// maxGrid bounds the cells of one table, filled or not: a stray row number must
// not cost memory without end.
const maxGrid = 1 << 22

// tableKey identifies an annotation table.
type tableKey struct{ targetType, target, name string }

// columnKey identifies a column by all of its attributes.
type columnKey [source.CellColumnVersion - source.CellColumnType + 1]source.Value

// grid is a table under construction: rows of the view by column and row.
type grid struct {
	key     tableKey
	byKey   map[columnKey]int
	columns []gridColumn
	rows    int
	next    int // the column that comes next if rows are listed one by one
}

type gridColumn struct {
	key   columnKey
	cells []source.Row // by row index; nil where there is none
}

// tables builds the annotation tables out of their cells.
func (b *builder) tables(rows []source.Row) {
	var grids []*grid
	byKey := map[tableKey]*grid{}
	var current *grid
	for _, row := range rows {
		if !b.complete(cells, row, tableName(row)) {
			continue
		}
		index, ok := rowNumber(row.Text(source.CellRow))
		if !ok {
			b.skip(cells, tableName(row), "row_index", fmt.Sprintf("%q is not a row number from 0 to %d", row.Text(source.CellRow), maxRow), "count rows from 0")
			continue
		}
		// As their targets are looked up.
		key := tableKey{word(row.Text(source.CellTargetType)), strings.TrimSpace(row.Text(source.CellTarget)), row.Text(source.CellTable)}
		if current == nil || current.key != key {
			if current = byKey[key]; current == nil {
				current = &grid{key: key, byKey: map[columnKey]int{}}
				byKey[key] = current
				grids = append(grids, current)
			}
		}
		if !current.put(row, index) {
			b.once(cells, tableName(row), "row_index", "cells are given twice, with different values: the last one counts", "give each row of a column one cell")
		}
	}
	for _, g := range grids {
		b.table(g)
	}
	for _, s := range b.result.ARC.Studies {
		b.sheets(s.Tables, "study", s.Identifier)
	}
	for _, a := range b.result.ARC.Assays {
		b.sheets(a.Tables, "assay", a.Identifier)
	}
}

// sheets reports, once for a dataset, tables whose sheets in git are called otherwise.
func (b *builder) sheets(tables []*arc.Table, kind, target string) {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.Name
	}
	for i, sheet := range xlsx.SheetNames(names) {
		if sheet != names[i] {
			b.once(cells, fmt.Sprintf("table %q of %s %q", names[i], kind, target), "table_name",
				"not all tables keep their names in git: a sheet cannot be called so, or another one is",
				fmt.Sprintf("use names of at most %d characters that differ not only in case", xlsx.MaxSheetName))
			return
		}
	}
}

// rowNumber reads the number of a row. Databases spell that of a column of
// decimal numbers with the zeros behind the point.
func rowNumber(text string) (int, bool) {
	whole, fraction, _ := strings.Cut(strings.TrimSpace(text), ".")
	n, err := strconv.Atoi(whole)
	return n, err == nil && strings.Trim(fraction, "0") == "" && n >= 0 && n <= maxRow
}

func tableName(row source.Row) string {
	return fmt.Sprintf("table %q of %s %q", row.Text(source.CellTable), row.Text(source.CellTargetType), row.Text(source.CellTarget))
}

// put files a cell. Of two cells at one place the last one counts; it is false if
// that loses something.
func (g *grid) put(row source.Row, index int) bool {
	key := columnKey(row[source.CellColumnType : source.CellColumnVersion+1])
	at := g.next
	if at >= len(g.columns) || g.columns[at].key != key {
		var known bool
		if at, known = g.byKey[key]; !known {
			at = len(g.columns)
			g.byKey[key] = at
			g.columns = append(g.columns, gridColumn{key: key})
		}
	}
	g.next = at + 1
	if g.next == len(g.columns) {
		g.next = 0
	}
	c := &g.columns[at]
	for len(c.cells) <= index {
		c.cells = append(c.cells, nil)
	}
	former := c.cells[index]
	c.cells[index] = row
	g.rows = max(g.rows, index+1)
	return former == nil || slices.Equal(former[source.CellValue:], row[source.CellValue:])
}

// table turns a grid into a table of its target.
func (b *builder) table(g *grid) {
	name := fmt.Sprintf("table %q of %s %q", g.key.name, g.key.targetType, g.key.target)
	at, ok := b.find(cells, name, source.Value{Text: g.key.targetType, Valid: true}, source.Value{Text: g.key.target, Valid: true})
	if !ok {
		return
	}
	if g.rows*len(g.columns) > maxGrid {
		b.skip(cells, name, "row_index", fmt.Sprintf("%d rows by %d columns are too many for a table", g.rows, len(g.columns)), "number rows without gaps")
		return
	}
	headers := make([]arc.Header, 0, len(g.columns))
	columns := make([]gridColumn, 0, len(g.columns))
	var input, output bool
	for _, c := range g.columns {
		h, ok := b.header(c.key, name)
		if !ok {
			continue
		}
		seen := &input
		switch h.Kind {
		case arc.OutputColumn:
			seen = &output
			fallthrough
		case arc.InputColumn:
			if *seen {
				b.report(source.Warning, cells, name, "column_type", fmt.Sprintf("the table has a second column %s, which is left out", h.Text()),
					"use one input and one output per table")
				continue
			}
			*seen = true
		}
		if at.study != nil {
			b.listedColumn(h, c, name)
		}
		headers, columns = append(headers, h), append(columns, c)
	}
	if len(columns) == 0 {
		return
	}
	b.bare(headers, input, output, name)
	t := arc.NewTableBuilder(g.key.name)
	for i := range g.rows {
		for k, c := range columns {
			var row source.Row
			if i < len(c.cells) {
				row = c.cells[i]
			}
			t.Add(headers[k], b.cell(headers[k], row, name))
		}
		t.EndRow()
	}
	if at.study != nil {
		at.study.Tables = append(at.study.Tables, t.Table())
		return
	}
	at.assay.Tables = append(at.assay.Tables, t.Table())
}

// ioNames are the documented kinds of inputs and outputs.
var ioNames = map[string]string{
	"source_name": arc.IOSource, "sample_name": arc.IOSample, "data": arc.IOData, "material_name": arc.IOMaterial,
}

// termColumns are the columns about an ontology term.
var termColumns = map[string]arc.ColumnKind{
	"characteristic": arc.CharacteristicColumn, "component": arc.ComponentColumn,
	"factor": arc.FactorColumn, "parameter": arc.ParameterColumn,
}

// header makes the head of a column, or reports that it cannot be one.
func (b *builder) header(key columnKey, table string) (arc.Header, bool) {
	at := func(column int) source.Value { return key[column-source.CellColumnType] }
	kind := word(at(source.CellColumnType).Text)
	io := word(at(source.CellColumnIO).Text)
	if k, ok := termColumns[kind]; ok {
		name := at(source.CellColumnTerm)
		if name.Text == "" {
			b.report(source.Warning, cells, table, "column_annotation_term", "a "+kind+" column has no term and is left out", "give it a term")
			return arc.Header{}, false
		}
		b.accession("column_annotation_uri", at(source.CellColumnURI).Text, true, table)
		return arc.Header{Kind: k, Term: arc.NewTerm(name.Text, at(source.CellColumnURI).Text)}, true
	}
	switch kind {
	case "input":
		return arc.NewHeader(arc.InputColumn, ioName(at(source.CellColumnIO).Text, io, arc.IOSource)), true
	case "output":
		if io == "source_name" {
			b.report(source.Note, cells, table, "column_io_type", "an output cannot be a source and becomes a sample", "write sample_name")
			io = "sample_name"
		}
		return arc.NewHeader(arc.OutputColumn, ioName(at(source.CellColumnIO).Text, io, arc.IOSample)), true
	case "comment":
		if at(source.CellColumnValue).Text == "" {
			b.report(source.Warning, cells, table, "column_value", "a comment column has no name and is left out", "name it")
			return arc.Header{}, false
		}
		return arc.NewHeader(arc.CommentColumn, at(source.CellColumnValue).Text), true
	case "date":
		b.fades(kind, table)
		return arc.NewHeader(arc.DateColumn, ""), true
	case "performer":
		b.fades(kind, table)
		return arc.NewHeader(arc.PerformerColumn, ""), true
	}
	b.report(source.Warning, cells, table, "column_type", fmt.Sprintf("%q is not a documented type; the column is left out", at(source.CellColumnType).Text),
		"write one of characteristic, comment, component, date, factor, input, output, parameter, performer")
	return arc.Header{}, false
}

// bare reports, once for a dataset, a table in which values have nothing to hang on:
// in a crate characteristics are those of an input, factors those of an output.
func (b *builder) bare(headers []arc.Header, input, output bool, table string) {
	has := func(kind arc.ColumnKind) bool {
		return slices.ContainsFunc(headers, func(h arc.Header) bool { return h.Kind == kind })
	}
	if !input && has(arc.CharacteristicColumn) {
		b.once(cells, table, "column_type", "there are characteristics but no input: in git the table has an input column with made-up names", "add a column of type input")
	}
	if !output && has(arc.FactorColumn) {
		b.once(cells, table, "column_type", "there are factors but no output: in git the table has an output column with made-up names", "add a column of type output")
	}
}

// fades reports, once for a dataset, a column that a crate holds, but from which no
// ARC tool makes a column again (docs/sql-to-arc.md).
func (b *builder) fades(kind, table string) {
	b.once(cells, table, "column_type", "the values of "+kind+" columns are sent, but do not arrive in the tables in git",
		fmt.Sprintf("send them as a comment: column_type comment, column_value %q", kind))
}

// accession reports, once for a dataset, an accession that a crate holds, but a table
// in git does not: there it is derived from the short form, in columns of terms.
func (b *builder) accession(column, uri string, ofTerms bool, table string) {
	switch {
	case uri == "":
	case !ofTerms:
		b.once(cells, table, column, "a column of texts has no place for the accessions of terms: they do not arrive in git", "put the term into a characteristic, factor, parameter or component")
	default:
		if _, _, ok := arc.ParseAccession(uri); ok {
			return
		}
		b.once(cells, table, column, "accessions without a short form such as UO:0000015 are sent, but do not arrive in the tables in git",
			"give the accession as IDSPACE:NUMBER, or as an address that ends in /IDSPACE_NUMBER")
	}
}

// listed reports, once for a dataset and column, a term that stands in a list in a
// workbook, in which it looks like two: not all programs can read such a workbook.
func (b *builder) listed(view int, row, column string, texts ...string) {
	if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, ";") }) {
		b.once(view, row, column, "a semicolon separates terms in workbooks: this one is read as several, or keeps ARC tools from reading the ARC", "use another character")
	}
}

// listedColumn does so for the columns that studies list with their protocols.
func (b *builder) listedColumn(h arc.Header, column gridColumn, table string) {
	if h.Kind != arc.ParameterColumn && h.Kind != arc.ComponentColumn {
		return
	}
	b.listed(cells, table, "column_annotation_term", h.Term.Name, h.Term.TAN)
	if h.Kind == arc.ParameterColumn {
		return
	}
	for _, row := range column.cells {
		if row != nil {
			b.listed(cells, table, "cell_value", row.Text(source.CellValue), row.Text(source.CellTerm), row.Text(source.CellURI))
		}
	}
}

// ioName gives the kind of an input or output; undocumented ones stay as they
// are, which the ARC specification allows.
func ioName(given, word, fallback string) string {
	if word == "" {
		return fallback
	}
	if name, ok := ioNames[word]; ok {
		return name
	}
	return strings.TrimSpace(given)
}

// cell makes a cell such as its column holds.
func (b *builder) cell(h arc.Header, row source.Row, table string) arc.Cell {
	var value, name, uri source.Value
	if row != nil {
		value, name, uri = row[source.CellValue], row[source.CellTerm], row[source.CellURI]
	}
	if name.Text != "" {
		b.accession("cell_annotation_uri", uri.Text, h.Holds() == arc.TermCell, table)
	}
	switch h.Holds() {
	case arc.TermCell:
		switch {
		case value.Valid && name.Text != "":
			return arc.NewUnitizedCell(value.Text, arc.NewTerm(name.Text, uri.Text))
		case name.Text != "":
			return arc.NewTermCell(arc.NewTerm(name.Text, uri.Text))
		}
		return arc.NewTermCell(arc.OntologyTerm{Name: value.Text})
	case arc.DataCell:
		return arc.NewDataCell(arc.Data{Name: b.plain(h, value, name, table)})
	}
	text := b.plain(h, value, name, table)
	if h.Kind == arc.CommentColumn && strings.Contains(text, `"`) {
		b.once(cells, table, "cell_value", "double quotes in comment columns become single ones: a crate cannot hold them there", "use another character")
	}
	return arc.NewTextCell(text)
}

// plain gives the text for a column that has no place for terms.
func (b *builder) plain(h arc.Header, value, name source.Value, table string) string {
	switch {
	case name.Text == "":
		return value.Text
	case !value.Valid:
		return name.Text
	}
	b.report(source.Note, cells, table, "cell_annotation_term", fmt.Sprintf("the column %s holds texts; value and unit are joined", h.Text()),
		"put the unit into the value")
	return value.Text + " " + name.Text
}
