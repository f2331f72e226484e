package scaffold

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/scaffold/xlsx"
)

// WriteTo gives the sheets their final names and writes them.
func (wb workbook) WriteTo(w io.Writer) (int64, error) {
	sheets := wb()
	names := xlsx.SheetNames(collect(sheets, func(s sheet) string { return s.name }))
	book := xlsx.Workbook{Sheets: make([]xlsx.Sheet, len(sheets))}
	for i, s := range sheets {
		book.Sheets[i] = xlsx.Sheet{Name: names[i], Table: s.table, Write: s.write}
	}
	return book.WriteTo(w)
}

func tableSheets(tables []*arc.Table) []sheet {
	sheets := make([]sheet, len(tables))
	for i, t := range tables {
		l := newLayout(t)
		sheets[i] = sheet{name: t.Name, write: l.write}
		if headers := l.headers(); len(headers) > 0 {
			sheets[i].table = &xlsx.Table{
				Name:    "annotationTable" + strconv.Itoa(i),
				Headers: headers,
				Rows:    max(t.NumRows()+1, 2), // an Excel table has at least one row below its headers
			}
		}
	}
	return sheets
}

// layout says where the columns of an annotation table stand in its sheet.
type layout struct {
	table   *arc.Table
	columns []placed // by column of the table
	order   []int    // columns of the table from left to right
	width   int      // in spreadsheet columns
}

// placed is a column of the table in the sheet. It takes one or several
// spreadsheet columns.
type placed struct {
	first int // the leftmost spreadsheet column
	units bool
	data  bool
}

// newLayout sorts the columns by group and finds out which of them have units
// and which data.
func newLayout(t *arc.Table) *layout {
	l := &layout{table: t, columns: make([]placed, len(t.Columns())), order: make([]int, len(t.Columns()))}
	for i := range l.order {
		l.order[i] = i
	}
	slices.SortStableFunc(l.order, func(a, b int) int {
		return cmp.Compare(t.Columns()[a].Group(), t.Columns()[b].Group())
	})
	for i := range t.NumRows() {
		for column, ref := range t.RowRefs(i) {
			switch t.CellKind(ref) {
			case arc.UnitizedCell:
				l.columns[column].units = true
			case arc.DataCell:
				l.columns[column].data = true
			}
		}
	}
	for _, column := range l.order {
		p := &l.columns[column]
		p.first = l.width
		l.width += len(p.headers(t.Columns()[column]))
	}
	return l
}

// headers gives the texts of the first row for a column of the table.
func (p placed) headers(h arc.Header) []string {
	switch h.Holds() {
	case arc.TermCell:
		short := h.Accession()
		tsr, tan := "Term Source REF ("+short+")", "Term Accession Number ("+short+")"
		if p.units {
			return []string{h.Text(), "Unit", tsr, tan}
		}
		return []string{h.Text(), tsr, tan}
	case arc.DataCell:
		if p.data {
			return []string{h.Text(), "Data Format", "Data Selector Format"}
		}
	}
	return []string{h.Text()}
}

// headers gives the first row. Headers must be distinct, so one that stands
// further left already gets a blank for each time it does.
func (l *layout) headers() []string {
	out := make([]string, 0, l.width)
	count := map[string]int{}
	for _, column := range l.order {
		for _, text := range l.columns[column].headers(l.table.Columns()[column]) {
			out = append(out, text+strings.Repeat(" ", count[text]))
			count[text]++
		}
	}
	return out
}

func (l *layout) write(rows *xlsx.Rows) {
	if l.width == 0 {
		return
	}
	rows.Next()
	for column, text := range l.headers() {
		rows.Text(column, text)
	}
	// The texts of a distinct cell are looked up once.
	texts := make([]cellTexts, l.table.NumCells())
	var row []rowCell
	for i := range l.table.NumRows() {
		rows.Next()
		row = row[:0]
		for column, ref := range l.table.RowRefs(i) {
			row = append(row, rowCell{l.columns[column], ref})
		}
		slices.SortFunc(row, func(a, b rowCell) int { return cmp.Compare(a.place.first, b.place.first) })
		for _, c := range row {
			t := &texts[c.ref]
			if !t.known {
				t.read(rows, l.table.Cell(c.ref))
			}
			c.write(rows, t)
		}
	}
}

type rowCell struct {
	place placed
	ref   arc.CellRef
}

// cellTexts holds the numbers of the texts of a cell, 0 for those that are
// empty.
type cellTexts struct {
	first  uint32 // text, value, name
	second uint32 // name of the unit, data format
	third  uint32 // term source reference, data selector format
	fourth uint32 // term accession
	known  bool
}

func (t *cellTexts) read(rows *xlsx.Rows, c arc.Cell) {
	number := func(text string) uint32 {
		if text == "" {
			return 0
		}
		return rows.Number(text)
	}
	t.known = true
	switch c.Kind {
	case arc.TermCell:
		t.first, t.third, t.fourth = number(c.Term.Name), number(c.Term.TSR), number(c.Term.URL())
	case arc.UnitizedCell:
		t.first, t.second = number(c.Text), number(c.Term.Name)
		t.third, t.fourth = number(c.Term.TSR), number(c.Term.URL())
	case arc.DataCell:
		t.first, t.second, t.third = number(c.Data.Name), number(c.Data.Format), number(c.Data.SelectorFormat)
	default:
		t.first = number(c.Text)
	}
}

func (c rowCell) write(rows *xlsx.Rows, t *cellTexts) {
	put := func(offset int, text uint32) {
		if text != 0 {
			rows.Shared(c.place.first+offset, text)
		}
	}
	put(0, t.first)
	switch {
	case c.place.units || c.place.data:
		put(1, t.second)
		put(2, t.third)
		put(3, t.fourth)
	default: // one column, or a term without unit
		put(1, t.third)
		put(2, t.fourth)
	}
}

// widest is how many spreadsheet columns a column takes at most.
const widest = 4

// checkTables reports tables that cannot be sheets of a workbook.
func (p *plan) checkTables(path, entity, metadataSheet string, tables []*arc.Table, dm arc.DataMap) {
	taken := map[string]bool{metadataSheet: true}
	if len(dm) > 0 {
		taken[dataMapSheetName] = true
	}
	cells := 0
	for _, t := range tables {
		cells += t.Filled()
	}
	if len(tables) >= xlsx.MaxSheets || cells > xlsx.MaxCells/widest {
		p.problem(Problem{
			Code: "too-large", Path: path,
			Text:   fmt.Sprintf("%s has %d tables with %d cells, more than a workbook can hold", entity, len(tables), cells),
			Remedy: fmt.Sprintf("split it, so that each part has at most %d tables and %d cells", xlsx.MaxSheets-1, xlsx.MaxCells/widest),
		})
		return
	}
	for _, t := range tables {
		what := "the table " + quote(t.Name) + " of " + entity
		problem := func(code, text, remedy string) {
			p.problem(Problem{Code: code, Path: path, Parts: []any{t}, Text: what + " " + text, Remedy: remedy})
		}
		switch {
		case taken[t.Name]:
			problem("sheet-name", "is named like another sheet of the workbook", "rename the table")
		case strings.ContainsAny(t.Name, xlsx.ForbiddenInSheetName):
			problem("sheet-name", "has a name that no sheet can have", "avoid the characters * ? : \\ / [ ] in the names of processes")
		case strings.HasPrefix(t.Name, "'") || strings.HasSuffix(t.Name, "'"):
			problem("sheet-name", "has a name that no sheet can have", "remove the apostrophe at the end of the name")
		}
		taken[t.Name] = true
		if t.NumRows() >= xlsx.MaxRows {
			problem("too-large", fmt.Sprintf("has %d rows, more than a sheet can hold", t.NumRows()), "split the table")
		}
		if widest*len(t.Columns()) > xlsx.MaxColumns {
			if l := newLayout(t); l.width > xlsx.MaxColumns {
				problem("too-large", fmt.Sprintf("needs %d columns, more than a sheet can hold", l.width),
					"let all rows have the same columns in the same order, or split the table")
			}
		}
	}
}
