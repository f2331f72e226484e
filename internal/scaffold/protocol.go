package scaffold

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/scaffold/xlsx"
)

// protocol is a column of the section STUDY PROTOCOLS: what the rows of a table
// say about how something was done.
type protocol struct {
	name, description, uri, version string
	kind                            arc.OntologyTerm
	parameters                      []arc.OntologyTerm
	componentNames                  []string
	componentTypes                  []arc.OntologyTerm
}

func protocolFields() []field[protocol] {
	return concat([]field[protocol]{
		{"Name", func(p protocol) string { return p.name }},
	}, termFields("Type", "Type", func(p protocol) arc.OntologyTerm { return p.kind }), []field[protocol]{
		{"Description", func(p protocol) string { return p.description }},
		{"URI", func(p protocol) string { return p.uri }},
		{"Version", func(p protocol) string { return p.version }},
	}, termsFields("Parameters Name", "Parameters", func(p protocol) []arc.OntologyTerm { return p.parameters }), []field[protocol]{
		{"Components Name", func(p protocol) string { return join(p.componentNames, func(s string) string { return s }) }},
	}, termsFields("Components Type", "Components Type", func(p protocol) []arc.OntologyTerm { return p.componentTypes }))
}

// protocols gives the protocols of all tables, each once per table.
func protocols(tables []*arc.Table) []protocol {
	var out []protocol
	for _, t := range tables {
		newProtocolReader(t).read(func(p protocol) bool {
			out = append(out, p)
			return true
		})
	}
	return out
}

// protocolReader finds the protocols in the rows of a table.
type protocolReader struct {
	table      *arc.Table
	parameters []arc.OntologyTerm
	components []arc.OntologyTerm
	component  []int                  // by column: which component it is, or -1
	names      []string               // by distinct cell: its text as a component
	empty      []arc.Cell             // by component: what a row without a cell has
	same       map[arc.Cell]uint64    // by what cells say: a number for each that differs
	numbers    []uint64               // by distinct cell: that number plus one, or 0 when it is not known yet
	last       map[arc.ColumnKind]int // of each kind that describes a protocol: the column that counts
	telling    []int                  // the columns that tell protocols apart
}

func newProtocolReader(t *arc.Table) *protocolReader {
	r := &protocolReader{
		table:     t,
		component: make([]int, len(t.Columns())),
		same:      map[arc.Cell]uint64{},
		numbers:   make([]uint64, t.NumCells()),
		last:      map[arc.ColumnKind]int{},
	}
	for i, h := range t.Columns() {
		r.component[i] = -1
		switch h.Kind {
		case arc.ProtocolREFColumn, arc.ProtocolTypeColumn, arc.ProtocolDescriptionColumn, arc.ProtocolURIColumn, arc.ProtocolVersionColumn:
			r.last[h.Kind] = i // where a column is repeated the last one counts
		case arc.ParameterColumn:
			r.parameters = append(r.parameters, h.Term)
		case arc.ComponentColumn:
			r.component[i] = len(r.components)
			r.components = append(r.components, h.Term)
			r.telling = append(r.telling, i)
		}
	}
	for _, i := range r.last {
		r.telling = append(r.telling, i)
	}
	slices.Sort(r.telling)
	if len(r.components) > 0 {
		r.readComponents()
	}
	return r
}

// readComponents learns how the cells of component columns are written, and what
// a row without a cell has: an empty term, or an empty value with a unit if the
// last cell of the column has one.
func (r *protocolReader) readComponents() {
	r.names = make([]string, r.table.NumCells())
	r.empty = make([]arc.Cell, len(r.components))
	for k := range r.empty {
		r.empty[k].Kind = arc.TermCell
	}
	for i := range r.table.NumRows() {
		for column, ref := range r.table.RowRefs(i) {
			if k := r.component[column]; k >= 0 {
				r.empty[k].Kind = r.table.CellKind(ref)
				if r.names[ref] == "" {
					r.names[ref] = componentName(r.table.Cell(ref))
				}
			}
		}
	}
}

// number gives cells that say the same the same number, whatever their spelling.
func (r *protocolReader) number(ref arc.CellRef) uint64 {
	if r.numbers[ref] == 0 {
		r.numbers[ref] = r.numberOf(r.table.Cell(ref)) + 1
	}
	return r.numbers[ref] - 1
}

// numberOfNone is the number of a row without a cell in a column: that of an
// empty cell.
func (r *protocolReader) numberOfNone(column int) uint64 {
	if k := r.component[column]; k >= 0 {
		return r.numberOf(r.empty[k])
	}
	return r.numberOf(arc.Cell{Kind: r.table.Columns()[column].Holds()})
}

func (r *protocolReader) numberOf(c arc.Cell) uint64 {
	c.Term = c.Term.Class()
	if c.Kind == arc.UnitizedCell {
		c.Text = normalNumber(c.Text)
	}
	n, known := r.same[c]
	if !known {
		n = uint64(len(r.same))
		r.same[c] = n
	}
	return n
}

// componentName gives a component as text: the term or the value with its unit,
// and the short form of the accession in parentheses.
func componentName(c arc.Cell) string {
	if c.Kind == arc.UnitizedCell {
		return normalNumber(c.Text) + " " + c.Term.Name + " (" + c.Term.Short() + ")"
	}
	return c.Text + c.Term.Name + " (" + c.Term.Short() + ")"
}

// read yields the distinct protocols in the order of the rows.
func (r *protocolReader) read(yield func(protocol) bool) {
	seen := map[string]bool{}
	var key []byte
	refs := make([]arc.CellRef, len(r.table.Columns())) // of the row, plus one
	for i := range r.table.NumRows() {
		clear(refs)
		for column, ref := range r.table.RowRefs(i) {
			refs[column] = ref + 1
		}
		key = key[:0]
		for _, column := range r.telling {
			var n uint64
			if refs[column] > 0 {
				n = r.number(refs[column] - 1)
			} else {
				n = r.numberOfNone(column)
			}
			key = binary.AppendUvarint(key, n)
		}
		if seen[string(key)] {
			continue
		}
		seen[string(key)] = true
		if !yield(r.protocol(refs)) {
			return
		}
	}
}

// protocol gives the protocol of a row. A row without a cell in a column has an
// empty text there.
func (r *protocolReader) protocol(refs []arc.CellRef) protocol {
	cell := func(kind arc.ColumnKind) (c arc.Cell) {
		if column, ok := r.last[kind]; ok && refs[column] > 0 {
			c = r.table.Cell(refs[column] - 1)
		}
		return c
	}
	p := protocol{
		name:           cell(arc.ProtocolREFColumn).Text,
		kind:           cell(arc.ProtocolTypeColumn).Term,
		description:    cell(arc.ProtocolDescriptionColumn).Text,
		uri:            cell(arc.ProtocolURIColumn).Text,
		version:        cell(arc.ProtocolVersionColumn).Text,
		parameters:     r.parameters,
		componentTypes: r.components,
		componentNames: collect(r.empty, componentName),
	}
	if _, named := r.last[arc.ProtocolREFColumn]; !named {
		p.name = r.table.Name
	}
	for column, k := range r.component {
		if k >= 0 && refs[column] > 0 {
			p.componentNames[k] = r.names[refs[column]-1]
		}
	}
	return p
}

// maxComponents is how many components all protocols of a study may have
// together: each protocol lists all component columns of its table, so that an
// ARC could ask for more than any spreadsheet program opens.
const maxComponents = 5_000_000

// checkProtocols reports a study whose protocols its sheet cannot hold.
func (p *plan) checkProtocols(path, entity string, tables []*arc.Table) {
	count, components := 0, 0
	for _, t := range tables {
		if count+t.NumRows() < xlsx.MaxColumns && components+t.NumRows()*len(t.Columns()) < maxComponents {
			count += t.NumRows() // at most, which is enough to know
			components += t.NumRows() * len(t.Columns())
			continue
		}
		r := newProtocolReader(t)
		r.read(func(protocol) bool {
			count++
			components += len(r.components)
			return count < xlsx.MaxColumns && components < maxComponents
		})
	}
	if count >= xlsx.MaxColumns || components >= maxComponents {
		p.problem(Problem{
			Code: "too-large", Path: path,
			Text: fmt.Sprintf("%s has more protocols than its metadata sheet can list: %d or more, with %d or more components",
				entity, count, components),
			Remedy: "let rows share their protocol, or split the study",
		})
	}
}
