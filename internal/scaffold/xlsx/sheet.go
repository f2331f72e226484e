package xlsx

import (
	"hash/maphash"
	"strconv"
)

func (s *Sheet) write(w *sink, shared *sharedStrings) {
	w.put(xmlHead, `<worksheet xmlns="`, mainNamespace, `" xmlns:r="`, relNamespace, `"><sheetData>`)
	rows := &Rows{w: w, shared: shared, column: -1}
	if s.Write != nil {
		s.Write(rows)
	}
	rows.end()
	w.put(`</sheetData>`)
	if s.Table != nil {
		w.put(`<tableParts count="1"><tablePart r:id="rId1"/></tableParts>`)
	}
	w.put(`</worksheet>`)
}

// Rows takes the rows of a sheet from top to bottom, and the cells of a row from
// left to right.
type Rows struct {
	w      *sink
	shared *sharedStrings
	row    int  // 1 for the first
	open   bool // whether the row has a cell yet
	column int  // the last that was written
	number []byte
}

// Next begins the next row. The first call begins the first row.
func (r *Rows) Next() {
	r.end()
	r.row++
	r.number = strconv.AppendInt(r.number[:0], int64(r.row), 10)
	r.column = -1
}

func (r *Rows) end() {
	if r.open {
		r.w.put(`</row>`)
		r.open = false
	}
}

// Text writes a text into a column of the row, 0 being column A. A cell without
// text is left out.
func (r *Rows) Text(column int, text string) {
	if text != "" {
		r.Shared(column, r.Number(text))
	}
}

// Number gives the number of a text, for Shared. It is valid in all sheets of
// this writing of the workbook, and never 0.
func (r *Rows) Number(text string) uint32 { return r.shared.number(text) }

// Shared writes the text with the given number into a column of the row.
func (r *Rows) Shared(column int, number uint32) {
	if column <= r.column || r.row == 0 {
		panic("xlsx: cells must come row by row, from left to right")
	}
	r.column = column
	b := r.w.buffer
	if !r.open {
		r.open = true
		b = append(append(append(b, `<row r="`...), r.number...), `">`...)
	}
	b = append(appendColumn(append(b, `<c r="`...), column), r.number...)
	b = strconv.AppendUint(append(b, `" t="s"><v>`...), uint64(number-1), 10)
	b = append(b, `</v></c>`...)
	r.w.buffer = b
	r.w.spill()
	r.shared.uses++
}

// appendColumn appends the letters of a column: A, B, ... Z, AA, AB, ...
func appendColumn(b []byte, column int) []byte {
	if column >= 26 {
		b = appendColumn(b, column/26-1)
	}
	return append(b, byte('A'+column%26))
}

// sharedStrings numbers the distinct texts of a workbook from 1 on: open addressing, never more than three
// quarters full.
type sharedStrings struct {
	seed  maphash.Seed
	slots []slot
	texts []string
	uses  int
}

// slot holds the number of a text, 0 being free, and its hash.
type slot struct{ hash, number uint32 }

func newSharedStrings() *sharedStrings {
	return &sharedStrings{seed: maphash.MakeSeed(), slots: make([]slot, 128)} // numbers do not depend on the seed
}

func (s *sharedStrings) number(text string) uint32 {
	hash := uint32(maphash.String(s.seed, text))
	mask := uint32(len(s.slots) - 1)
	i := hash & mask
	for ; s.slots[i].number != 0; i = (i + 1) & mask {
		if s.slots[i].hash == hash && s.texts[s.slots[i].number-1] == text {
			return s.slots[i].number
		}
	}
	s.texts = append(s.texts, text)
	number := uint32(len(s.texts))
	s.slots[i] = slot{hash, number}
	if 4*len(s.texts) > 3*len(s.slots) {
		s.grow()
	}
	return number
}

func (s *sharedStrings) grow() {
	old := s.slots
	s.slots = make([]slot, 2*len(old))
	mask := uint32(len(s.slots) - 1)
	for _, o := range old {
		if o.number == 0 {
			continue
		}
		i := o.hash & mask
		for s.slots[i].number != 0 {
			i = (i + 1) & mask
		}
		s.slots[i] = o
	}
}

func (s *sharedStrings) write(w *sink) {
	w.put(xmlHead, `<sst xmlns="`, mainNamespace, `" count="`, strconv.Itoa(s.uses), `" uniqueCount="`, strconv.Itoa(len(s.texts)), `">`)
	for _, text := range s.texts {
		if isPlain(text) {
			w.put(`<si><t>`, text, `</t></si>`)
			continue
		}
		if needsPreserving(text) {
			w.put(`<si><t xml:space="preserve">`)
		} else {
			w.put(`<si><t>`)
		}
		writeText(w, text, inElement)
		w.put(`</t></si>`)
	}
	w.put(`</sst>`)
}

// isPlain says whether a text can be written as it is: printable ASCII, no markup, no blanks at its ends, nothing
// that looks like a character escape.
func isPlain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c == ' ' && (i == 0 || i == len(text)-1):
			return false
		case c < ' ', c >= 0x7f, c == '<', c == '>', c == '&':
			return false
		case c == '_' && i+1 < len(text) && text[i+1] == 'x':
			return false
		}
	}
	return true
}
