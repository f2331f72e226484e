package rocrate

import (
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// valueCell is a property value as a cell.
type valueCell struct {
	header arc.Header
	cell   arc.Cell
	index  int
}

// value reads a property value as a cell of a column of a kind, unless it was read lately.
func (r *reader) value(n jsonld.Node, kind arc.ColumnKind) tableCell {
	v, known := (*n.Memo()).(*valueCell)
	if !known {
		v = &valueCell{header: arc.Header{Kind: kind, Term: r.termOf(n, jsonld.PropertyID)}, cell: r.cell(n), index: columnIndex(n)}
		*n.Memo() = v
	}
	header := &v.header
	if header.Kind != kind { // one value may be several kinds
		header = &arc.Header{Kind: kind, Term: v.header.Term}
	}
	return tableCell{header: header, cell: &v.cell, index: v.index}
}

// cell reads the value of a property value: a term, or a number with a unit.
func (r *reader) cell(n jsonld.Node) arc.Cell {
	value := r.optional(n, jsonld.ValueProperty)
	reference, isTerm := r.text(n, jsonld.ValueReference)
	unit, hasUnit := r.text(n, jsonld.UnitText)
	code, hasCode := r.text(n, jsonld.UnitCode)
	switch {
	case isTerm && (hasUnit || hasCode):
		r.errorIn(codeValue, n, n.Value(jsonld.ValueReference), "the value has a valueReference and a unit", "remove one of them")
	case hasUnit || hasCode:
		return arc.NewUnitizedCell(value, arc.NewTerm(unit, code))
	case isTerm:
		return arc.NewTermCell(arc.NewTerm(value, reference))
	}
	return arc.NewTermCell(arc.OntologyTerm{Name: value})
}

// lastColumn is the place of columns that do not tell theirs.
const lastColumn = 10000

// columnIndex gives the place of a value in its row.
func columnIndex(n jsonld.Node) int {
	text, ok := n.KeyText(jsonld.ColumnIndexIRI)
	if !ok {
		text, ok = n.KeyText(jsonld.ColumnIndexKey)
	}
	if ok {
		if i, ok := parseInt32(text); ok {
			return int(i)
		}
	}
	return lastColumn
}

// parseInt32 reads an integer of 32 bits as the reference library does: blanks around it, a sign,
// underscores and the prefixes 0x, 0o and 0b are allowed.
func parseInt32(text string) (int32, bool) {
	n, ok := parseInteger(text, 32)
	return int32(n), ok //nolint:gosec // it has 32 bits
}

// parseInteger is parseInt32 for integers of any number of bits up to 64. Behind a prefix the highest bit is the sign.
func parseInteger(text string, bits int) (int64, bool) {
	s := arc.TrimSpace(strings.ReplaceAll(text, "_", ""))
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	base := 10
	if len(s) > 2 && s[0] == '0' {
		switch s[1] {
		case 'x', 'X':
			base = 16
		case 'o', 'O':
			base = 8
		case 'b', 'B':
			base = 2
		}
	}
	if base != 10 {
		s = s[2:]
	}
	n, err := strconv.ParseUint(s, base, 64)
	if err != nil {
		return 0, false
	}
	limit := uint64(1) << (bits - 1) // one more than the largest
	switch {
	case n < limit && !negative:
		return int64(n), true
	case n <= limit && negative:
		return -int64(n), true
	case base != 10 && !negative && n>>(bits-1) == 1:
		return int64(n - limit<<1), true
	}
	return 0, false
}

// end reads an input or an output of a process.
func (r *reader) end(n jsonld.Node, input bool) (arc.Header, arc.Cell) {
	kind := arc.OutputColumn
	if input {
		kind = arc.InputColumn
	}
	is := n.Types()
	named := n.Has(jsonld.Name)
	switch {
	case is&jsonld.Sample != 0 && named:
		what := arc.IOSample
		switch {
		case input && n.HasAdditionalType("Source"):
			what = arc.IOSource
		case n.HasAdditionalType("Material"):
			what = arc.IOMaterial
		}
		return arc.NewHeader(kind, what), arc.NewTextCell(r.required(n, jsonld.Name))
	case is&jsonld.File != 0 && named:
		return arc.NewHeader(kind, arc.IOData), arc.NewDataCell(r.data(n))
	}
	first, ok := n.FirstType()
	if !ok {
		r.error(codeRequired, n, "an input or output of a process has no type", "give it an @type")
	}
	return arc.NewHeader(kind, first), arc.NewTextCell(r.required(n, jsonld.Name))
}

// data reads a file.
func (r *reader) data(n jsonld.Node) arc.Data {
	if kind, ok := n.Text(jsonld.DisambiguatingDescription); ok {
		switch kind {
		case "Raw Data File", "Derived Data File", "Image File", "RawDataFileJson", "DerivedDataFileJson", "ImageFileJson":
		default:
			r.errorIn(codeFile, n, n.Value(jsonld.DisambiguatingDescription), "the disambiguatingDescription of a file is no kind of data file",
				"use Raw Data File, Derived Data File or Image File, or leave it out")
		}
	}
	return r.fileOf(n)
}

// fileOf reads what a table or a data map keeps of a file.
func (r *reader) fileOf(n jsonld.Node) arc.Data {
	return arc.Data{
		Name:           strings.Trim(r.required(n, jsonld.Name), "#"),
		Format:         r.optional(n, jsonld.EncodingFormat),
		SelectorFormat: r.optional(n, jsonld.UsageInfo),
	}
}
