// Package xlsx writes workbooks: texts in cells, Excel tables over them, and
// nothing else. No number, date, formula, width or font, since the workbooks of
// an ARC have none.
//
// The same workbook always gives the same bytes. Parts come in a fixed order
// with a fixed time, the container is written here, and the compressor is a module whose version is
// pinned, neither those of the Go release. Sheets are written while their rows are produced;
// only the distinct texts are kept until the end.
//
// What is written is what the strict readers among the tools of the ARC
// community understand (Office Open XML, ECMA-376, is wider): fixed part names,
// no prefixes but r:id, shared strings with exactly one <t> in each <si>.
//
// A Workbook may be written by several goroutines at once when its sheets'
// Write functions allow it.
package xlsx

import (
	"io"
	"strconv"
)

// The limits of spreadsheet programs.
const (
	MaxRows      = 1 << 20
	MaxColumns   = 1 << 14
	MaxSheetName = 31 // UTF-16 units
	// MaxSheets and MaxCells are not theirs: the container holds 65,535 parts and 4 GiB.
	MaxSheets = 20_000
	MaxCells  = 80_000_000
)

// Workbook is a list of sheets. Their names must be acceptable and distinct, see
// SheetNames.
type Workbook struct {
	Sheets []Sheet
}

// Sheet is a sheet of a workbook.
type Sheet struct {
	Name  string
	Table *Table      // the Excel table that begins at A1; nil when there is none
	Write func(*Rows) // produces the rows, each time it is called the same
}

// Table is an Excel table.
type Table struct {
	Name    string   // unique in the workbook, letters and digits
	Headers []string // the texts of the first row
	Rows    int      // including the headers
}

// WriteTo writes the workbook and tells how many bytes it has.
func (wb *Workbook) WriteTo(out io.Writer) (int64, error) {
	p := &parts{container: container{out: out}, workspace: workspaces.Get().(*workspace)}
	defer workspaces.Put(p.workspace)
	kind := wb.kind()
	p.fixed("[Content_Types].xml", kind, wb.writeContentTypes)
	p.fixed("_rels/.rels", "", writeRootRelationships)
	p.part("xl/workbook.xml", wb.writeWorkbook)
	p.fixed("xl/_rels/workbook.xml.rels", kind, wb.writeWorkbookRelationships)
	p.fixed("xl/styles.xml", "", writeStyles)
	shared := newSharedStrings()
	tables := 0
	for i := range wb.Sheets {
		sheet := &wb.Sheets[i]
		n := strconv.Itoa(i + 1)
		p.part("xl/worksheets/sheet"+n+".xml", func(w *sink) { sheet.write(w, shared) })
		if sheet.Table != nil {
			tables++
			id := strconv.Itoa(tables)
			p.fixed("xl/worksheets/_rels/sheet"+n+".xml.rels", id, func(w *sink) { writeSheetRelationships(w, id) })
			p.part("xl/tables/table"+id+".xml", func(w *sink) { sheet.Table.write(w, id) })
		}
	}
	p.part("xl/sharedStrings.xml", shared.write)
	p.close()
	return p.offset, p.err
}

// kind is the same for workbooks whose sheets are alike but for their names and contents.
func (wb *Workbook) kind() string {
	kind := make([]byte, len(wb.Sheets))
	for i := range wb.Sheets {
		kind[i] = 's'
		if wb.Sheets[i].Table != nil {
			kind[i] = 't'
		}
	}
	return string(kind)
}
