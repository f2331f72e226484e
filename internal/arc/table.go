package arc

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"math"
	"slices"
)

// Table is an annotation table: columns with a header each, and rows that have
// a cell in some or all of the columns.
//
// It is laid out for many rows. Distinct cells are stored once, in the spelling
// of the first, column by column, and rows hold numbers of cells. Rows that have the same columns
// share one shape. So a row costs four bytes for each cell that it has, eight
// of its own and nothing for cells it does not have, however wide the table.
type Table struct {
	Name    string
	columns []Header
	shapes  []shape
	rows    []tableRow
	cells   []uint32 // numbers of the cells of all rows, one row after the other
	pool    pool
}

// tableRow is a row: the number of its shape and where its cells begin.
type tableRow struct{ shape, start uint32 }

// shape is what rows with the same sequence of headers have in common.
type shape struct {
	headers []uint32 // numbers of headers, in the order in which they were added
	opened  []Header // the headers of the first such row, whose accessions count
	columns []uint32 // the column of each, ascending
}

// NumRows is the number of rows.
func (t *Table) NumRows() int { return len(t.rows) }

// Filled is the number of cells of all rows.
func (t *Table) Filled() int { return len(t.cells) }

// Columns gives the headers from left to right, in the order in which the rows
// brought them. The slice must not be changed.
func (t *Table) Columns() []Header { return t.columns }

// Row gives the cells of a row with the numbers of their columns, ascending.
// Columns in which the row has no cell are left out.
func (t *Table) Row(i int) iter.Seq2[int, Cell] {
	return func(yield func(int, Cell) bool) {
		for column, ref := range t.RowRefs(i) {
			if !yield(column, t.pool.cell(uint32(ref))) {
				return
			}
		}
	}
}

// CellRef is the number of a distinct cell of a table: equal numbers are equal
// cells. Numbers are dense, from 0 to NumCells.
type CellRef uint32

// RowRefs is Row for those who keep something for each distinct cell.
func (t *Table) RowRefs(i int) iter.Seq2[int, CellRef] {
	return func(yield func(int, CellRef) bool) {
		row := t.rows[i]
		columns := t.shapes[row.shape].columns
		for k, n := range t.cells[row.start : int(row.start)+len(columns)] {
			if !yield(int(columns[k]), CellRef(n)) {
				return
			}
		}
	}
}

// NumCells is the number of distinct cells.
func (t *Table) NumCells() int { return t.pool.n }

// Cell gives a distinct cell.
func (t *Table) Cell(ref CellRef) Cell { return t.pool.cell(uint32(ref)) }

// CellKind gives the kind of a distinct cell, which is quicker than the cell.
func (t *Table) CellKind(ref CellRef) CellKind { return t.pool.at(uint32(ref)).kind }

// TableBuilder makes a table row by row: Add the cells of a row from left to
// right, then EndRow; at the end Table.
//
// Rows mostly look like the row above them, so that is where everything is looked for first.
type TableBuilder struct {
	table    Table
	headers  map[headerKey]uint32
	keys     []headerKey // by number of header
	byShape  map[string]uint32
	interned interner
	variants []variant

	row    []uint32 // header numbers of the row under construction
	opened []Header
	key    []byte
}

// variant is a place among the cells of all rows whose cell is spelled otherwise than the
// one that is stored, and the number of its own term.
type variant struct{ at, term uint32 }

// NewTableBuilder begins a table.
func NewTableBuilder(name string) *TableBuilder {
	return &TableBuilder{
		table:    Table{Name: name},
		headers:  map[headerKey]uint32{},
		byShape:  map[string]uint32{},
		interned: newInterner(),
	}
}

// Add adds a cell to the row under construction, to the right of the previous.
func (b *TableBuilder) Add(h Header, c Cell) {
	k := h.key()
	header, cell, ok := b.above(len(b.row))
	if !ok || b.keys[header] != k {
		header = b.header(k)
	}
	b.row = append(b.row, header)
	b.opened = append(b.opened, h)
	n, extra := b.interned.intern(&b.table.pool, c, cell)
	if b.table.pool.at(n).extra != extra {
		b.variants = append(b.variants, variant{uint32(len(b.table.cells)), extra})
	}
	b.table.cells = append(b.table.cells, n)
}

// above gives the numbers of header and cell at a place of the row that was ended last.
func (b *TableBuilder) above(place int) (header, cell uint32, ok bool) {
	if len(b.table.rows) == 0 {
		return 0, 0, false
	}
	last := b.table.rows[len(b.table.rows)-1]
	headers := b.table.shapes[last.shape].headers
	if place >= len(headers) {
		return 0, 0, false
	}
	return headers[place], b.table.cells[int(last.start)+place], true
}

// header gives the number of a header.
func (b *TableBuilder) header(k headerKey) uint32 {
	n, ok := b.headers[k]
	if !ok {
		n = uint32(len(b.headers))
		b.headers[k] = n
		b.keys = append(b.keys, k)
	}
	return n
}

// EndRow ends the row under construction, which may have no cell at all.
func (b *TableBuilder) EndRow() {
	b.table.rows = append(b.table.rows, tableRow{shape: b.shape(), start: uint32(len(b.table.cells) - len(b.row))})
	b.row, b.opened = b.row[:0], b.opened[:0]
}

// shape gives the number of the shape of the row under construction.
func (b *TableBuilder) shape() uint32 {
	if n := len(b.table.rows); n > 0 {
		if last := b.table.rows[n-1].shape; slices.Equal(b.table.shapes[last].headers, b.row) {
			return last
		}
	}
	b.key = b.key[:0]
	for _, n := range b.row {
		b.key = binary.AppendUvarint(b.key, uint64(n))
	}
	s, ok := b.byShape[string(b.key)]
	if !ok {
		s = uint32(len(b.table.shapes))
		b.byShape[string(b.key)] = s
		b.table.shapes = append(b.table.shapes, shape{headers: slices.Clone(b.row), opened: slices.Clone(b.opened)})
	}
	return s
}

// Table aligns the rows and gives the table. The builder must not be used any
// more.
//
// Rows are aligned from left to right: the next column is the first remaining
// cell of the first row that still has cells, and every row whose first
// remaining cell has an equal header puts that cell into it. So rows with equal
// headers in another order make repeated columns.
func (b *TableBuilder) Table() *Table {
	t := &b.table
	waiting := make([][]uint32, len(b.headers)) // shapes by the header they come to next
	wait := func(s uint32) {
		if sh := &t.shapes[s]; len(sh.columns) < len(sh.headers) {
			h := sh.headers[len(sh.columns)]
			waiting[h] = append(waiting[h], s)
		}
	}
	for s := range t.shapes {
		t.shapes[s].columns = make([]uint32, 0, len(t.shapes[s].headers))
		wait(uint32(s))
	}
	for first := 0; first < len(t.shapes); {
		sh := &t.shapes[first]
		next := len(sh.columns)
		if next == len(sh.headers) {
			first++
			continue
		}
		h := sh.headers[next]
		column := uint32(len(t.columns))
		t.columns = append(t.columns, sh.opened[next])
		shapes := waiting[h]
		waiting[h] = nil
		for _, s := range shapes {
			t.shapes[s].columns = append(t.shapes[s].columns, column)
		}
		for _, s := range shapes {
			wait(s)
		}
	}
	if len(b.variants) > 0 {
		b.respell()
	}
	for s := range t.shapes {
		t.shapes[s].headers, t.shapes[s].opened = nil, nil
	}
	return t
}

// respell gives the cells of several spellings that of the first, column by column, which is how the reference library
// comes by them; while rows were added it was that of the first row.
func (b *TableBuilder) respell() {
	t := &b.table
	type place struct{ column, at uint32 }
	first := make([]place, t.pool.n) // the zero value is before all others
	for _, v := range b.variants {
		first[t.cells[v.at]].column = math.MaxUint32
	}
	for _, row := range t.rows {
		for k, column := range t.shapes[row.shape].columns {
			at := row.start + uint32(k)
			if f := &first[t.cells[at]]; column < f.column {
				*f = place{column, at}
			}
		}
	}
	for _, v := range b.variants {
		if n := t.cells[v.at]; first[n].at == v.at {
			t.pool.at(n).extra = v.term
		}
	}
}

// pool holds the distinct cells of a table, 24 bytes each, in pieces that are never moved: growing
// one piece would take twice the memory.
type pool struct {
	cells [][]poolCell // all but the last are full
	n     int
	terms []OntologyTerm // units; accessions of term cells, without a name
	data  []dataFormat
}

type poolCell struct {
	text  string // text, name of the term, value, name of the data
	extra uint32 // number of the accession, of the unit, of the data format
	kind  CellKind
}

// dataFormat is what many data cells have in common.
type dataFormat struct{ format, selector string }

// pieceSize is how many cells a piece has. The first grows to that.
const pieceSize = 4096

func (p *pool) at(n uint32) *poolCell { return &p.cells[n/pieceSize][n%pieceSize] }

func (p *pool) add(pc poolCell) {
	last := p.n / pieceSize
	if last == len(p.cells) {
		var piece []poolCell
		if last > 0 {
			piece = make([]poolCell, 0, pieceSize)
		}
		p.cells = append(p.cells, piece)
	}
	p.cells[last] = append(p.cells[last], pc)
	p.n++
}

func (p *pool) cell(n uint32) Cell {
	pc := *p.at(n)
	switch pc.kind {
	case TermCell:
		t := p.terms[pc.extra]
		t.Name = pc.text
		return Cell{Kind: TermCell, Term: t}
	case UnitizedCell:
		return Cell{Kind: UnitizedCell, Text: pc.text, Term: p.terms[pc.extra]}
	case DataCell:
		f := p.data[pc.extra]
		return Cell{Kind: DataCell, Data: Data{Name: pc.text, Format: f.format, SelectorFormat: f.selector}}
	}
	return Cell{Kind: pc.kind, Text: pc.text}
}

// interner finds the cell that is already in a pool. It is only needed while a
// table is built.
type interner struct {
	seed    maphash.Seed
	slots   []slot // open addressing, linear probing
	terms   map[OntologyTerm]uint32
	classes map[OntologyTerm]uint32
	classOf []uint32 // by number of term: the number of the first term of its class
	data    map[dataFormat]uint32
}

// slot holds the number of a cell plus one, 0 being free.
type slot struct{ hash, cell uint32 }

func newInterner() interner {
	return interner{
		seed:    maphash.MakeSeed(), // numbers are given in order of appearance, so the seed shows nowhere
		slots:   make([]slot, 16),
		terms:   map[OntologyTerm]uint32{},
		classes: map[OntologyTerm]uint32{},
		data:    map[dataFormat]uint32{},
	}
}

// intern gives the number of a cell, and that of its term or format as it is spelled. It is quick if the cell has much in common with that of the
// number near, if there is one.
func (in *interner) intern(p *pool, c Cell, near uint32) (cell, extra uint32) {
	pc := poolCell{text: c.Text, kind: c.Kind}
	guess := uint32(0)
	if int(near) < p.n && p.at(near).kind == c.Kind {
		guess = p.at(near).extra
	}
	class := uint32(0)
	switch c.Kind {
	case TermCell, UnitizedCell:
		unit := c.Term
		if c.Kind == TermCell { // names differ from cell to cell, accessions seldom do
			pc.text, unit.Name = unit.Name, ""
		}
		pc.extra = in.term(p, unit, guess)
		class = in.classOf[pc.extra]
	case DataCell:
		pc.text = c.Data.Name
		pc.extra = in.format(p, dataFormat{c.Data.Format, c.Data.SelectorFormat})
		class = pc.extra
	}
	if int(near) < p.n && *p.at(near) == pc {
		return near, pc.extra
	}
	h := in.hash(pc.text, pc.kind, class)
	for i := h; ; i++ {
		s := &in.slots[int(i)&(len(in.slots)-1)]
		if s.cell == 0 {
			p.add(pc)
			*s = slot{h, uint32(p.n)}
			if 4*p.n > 3*len(in.slots) {
				in.grow()
			}
			return uint32(p.n - 1), pc.extra
		}
		if s.hash != h {
			continue
		}
		if q := p.at(s.cell - 1); q.kind == pc.kind && q.text == pc.text && in.classOfCell(*q) == class {
			return s.cell - 1, pc.extra
		}
	}
}

func (in *interner) classOfCell(pc poolCell) uint32 {
	if pc.kind == TermCell || pc.kind == UnitizedCell {
		return in.classOf[pc.extra]
	}
	return pc.extra
}

func (in *interner) hash(text string, kind CellKind, class uint32) uint32 {
	h := maphash.String(in.seed, text) ^ (uint64(class)<<8|uint64(kind))*0x9e3779b97f4a7c15
	return uint32(h ^ h>>32)
}

func (in *interner) grow() {
	old := in.slots
	in.slots = make([]slot, 2*len(old))
	for _, s := range old {
		if s.cell == 0 {
			continue
		}
		i := int(s.hash)
		for in.slots[i&(len(in.slots)-1)].cell != 0 {
			i++
		}
		in.slots[i&(len(in.slots)-1)] = s
	}
}

// term gives the number of a term by its exact spelling. It may be the one that is guessed.
func (in *interner) term(p *pool, t OntologyTerm, guess uint32) uint32 {
	if int(guess) < len(p.terms) && p.terms[guess] == t {
		return guess
	}
	n, ok := in.terms[t]
	if ok {
		return n
	}
	n = uint32(len(p.terms))
	p.terms = append(p.terms, t)
	in.terms[t] = n
	class := t.Class()
	first, ok := in.classes[class]
	if !ok {
		first = n
		in.classes[class] = n
	}
	in.classOf = append(in.classOf, first)
	return n
}

// format gives the number of the format of data.
func (in *interner) format(p *pool, f dataFormat) uint32 {
	n, ok := in.data[f]
	if !ok {
		n = uint32(len(p.data))
		p.data = append(p.data, f)
		in.data[f] = n
	}
	return n
}
