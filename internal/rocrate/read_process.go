package rocrate

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// tableCell is a cell of a row under construction.
type tableCell struct {
	header *arc.Header
	cell   *arc.Cell
	index  int // from columnIndex
}

// rowBuffers are used again for every process.
type rowBuffers struct {
	cells           []tableCell
	inputs, outputs jsonld.Refs
	process         []tableCell // values of the process
	values          []jsonld.Node
	comments        []arc.Comment
}

// cellCost is what a cell of a table takes, in bytes.
const cellCost = 16

// tables groups processes by name and turns each group into a table, in the order in which
// the names appear.
func (r *reader) tables(processes iter.Seq[jsonld.Node]) []*arc.Table {
	var (
		builders []*arc.TableBuilder
		first    []Origin // of each of them, if somebody wants to know
		byName   = map[string]*arc.TableBuilder{}
		last     string // the name of b
		b        *arc.TableBuilder
	)
	r.graph.Pass(true)
	defer r.graph.Pass(false)
	for p := range processes {
		protocol := r.executed(p)
		if name := r.tableName(p, protocol); b == nil || name != last {
			known, ok := byName[name]
			if !ok {
				known = arc.NewTableBuilder(name)
				byName[name] = known
				builders = append(builders, known)
				if r.origins != nil {
					first = append(first, originOf(p))
				}
			}
			b, last = known, name
		}
		if !r.addRows(b, p, protocol) {
			return nil
		}
		r.graph.Forget()
	}
	tables := make([]*arc.Table, len(builders))
	for i, b := range builders {
		tables[i] = b.Table()
	}
	for i, at := range first {
		r.origins[tables[i]] = at
	}
	return tables
}

// executed gives the protocol that a process executes, if it is one.
func (r *reader) executed(p jsonld.Node) jsonld.Node {
	n, _ := r.formerly(p, jsonld.ExecutesLabProtocol, func(n jsonld.Node) bool { return n.Is(jsonld.LabProtocol) })
	return n
}

// formerly gives the first node of a property if it is what is wanted, else that of the property
// with the former IRI.
func (r *reader) formerly(n jsonld.Node, p jsonld.Property, wanted func(jsonld.Node) bool) (jsonld.Node, bool) {
	if node, ok := n.Node(p); ok && wanted(node) {
		return node, true
	}
	if former, ok := p.Former(); ok {
		if node, ok := n.Node(former); ok && wanted(node) {
			return node, true
		}
	}
	return jsonld.Node{}, false
}

// nodesFormerly is appendNodes for a property that had another IRI once.
func (r *reader) nodesFormerly(list []jsonld.Node, n jsonld.Node, p jsonld.Property, types jsonld.Type, needs ...jsonld.Property) []jsonld.Node {
	before := len(list)
	list = r.appendNodes(list, n, p, types, needs...)
	if former, ok := p.Former(); ok && len(list) == before {
		list = r.appendNodes(list, n, former, types, needs...)
	}
	return list
}

// tableName gives the name of the table that a process belongs to.
func (r *reader) tableName(p, protocol jsonld.Node) string {
	name, named := p.Text(jsonld.Name)
	if named {
		if group, number, ok := cutProcessNumber(name); ok {
			if _, err := strconv.ParseUint(number, 10, 31); err != nil {
				r.errorIn(codeProcess, p, p.Value(jsonld.Name), "the number at the end of the name of the process is larger than 2147483647",
					"number the processes of a table from 0")
			}
			return group
		}
	}
	if protocol.Exists() {
		if of, ok := protocol.Text(jsonld.Name); ok {
			return of
		}
		if !named {
			return protocol.ID()
		}
	}
	if named {
		return name
	}
	return r.missingIdentifier()
}

// cutProcessNumber splits the name of a process into that of its table and a number: on the
// first line that has an underscore with something before it and a digit behind it, the last such.
func cutProcessNumber(name string) (table, number string, ok bool) {
	name = arc.TrimSpace(name)
	if strings.IndexByte(name, '_') < 0 {
		return "", "", false
	}
	for line := range strings.FieldsFuncSeq(name, isLineEnd) {
		for i := len(line) - 2; i > 0; i-- {
			if line[i] != '_' || line[i+1] < '0' || line[i+1] > '9' {
				continue
			}
			end := i + 1
			for end < len(line) && '0' <= line[end] && line[end] <= '9' {
				end++
			}
			return line[:i], line[i+1 : end], true
		}
	}
	return "", "", false
}

// isLineEnd says whether a character ends a line in ECMAScript.
func isLineEnd(c rune) bool { return c == '\n' || c == '\r' || c == '\u2028' || c == '\u2029' }

// addRows adds the rows of a process: one for each pair of input and output. It is false when
// the budget is exceeded.
func (r *reader) addRows(b *arc.TableBuilder, p, protocol jsonld.Node) bool {
	fixed := &protocolCells{}
	if protocol.Exists() {
		fixed = r.protocol(protocol)
	}
	buf := &r.row
	buf.process = r.processValues(buf.process[:0], p)
	if buf.comments = buf.comments[:0]; p.Has(jsonld.DisambiguatingDescription) {
		buf.comments = r.describedComments(buf.comments, p)
	}
	inputs, outputs := r.findEnds(&buf.inputs, p, jsonld.Object), r.findEnds(&buf.outputs, p, jsonld.Result)
	rows := min(inputs, outputs)
	switch {
	case inputs == 0 || outputs == 0:
		rows = max(inputs, outputs, 1)
	case inputs != outputs:
		r.warn(codeRows, p, jsondoc.Value{}, "inputs and outputs are paired, and the process has not as many of one as of the other: the surplus gets lost",
			"give it as many inputs as outputs, or one process for each row")
	}
	for i := range rows {
		// A process may have as many inputs as a table has rows.
		r.graph.Turn()
		var input, output jsonld.Node
		if i < inputs {
			input = buf.inputs.Look(r.graph, i)
		}
		if i < outputs {
			output = buf.outputs.Look(r.graph, i)
		}
		row := r.values(fixed, input, output)
		if !r.spend(cellCost*(len(fixed.cells)+len(row)+len(buf.comments)+3), p) {
			return false
		}
		if input.Exists() {
			b.Add(r.end(input, true))
		}
		for _, c := range fixed.cells {
			b.Add(*c.header, *c.cell)
		}
		for _, c := range row {
			b.Add(*c.header, *c.cell)
		}
		for _, c := range buf.comments {
			b.Add(arc.NewHeader(arc.CommentColumn, c.Name), arc.NewTextCell(c.Value))
		}
		if output.Exists() {
			b.Add(r.end(output, false))
		}
		b.EndRow()
		r.graph.ForgetTurn()
	}
	return true
}

// findEnds makes a list of what leads to the inputs or outputs of a process, and gives its length.
func (r *reader) findEnds(list *jsonld.Refs, p jsonld.Node, property jsonld.Property) int {
	list.Clear()
	for v := range p.Values(property) {
		if !list.Append(r.graph, v) {
			r.warnDangling(p, property, v)
		} else if !r.spend(nodeCost, p) {
			break
		}
	}
	return list.Len()
}

// values gives the cells of a row that have a place: those of the input, the protocol, the process and the output.
func (r *reader) values(fixed *protocolCells, input, output jsonld.Node) []tableCell {
	row := r.row.cells[:0]
	if input.Exists() {
		row = r.additional(row, input, onInput)
	}
	row = append(append(row, fixed.values...), r.row.process...)
	if output.Exists() {
		row = r.additional(row, output, onOutput)
	}
	slices.SortStableFunc(row, func(a, b tableCell) int { return cmp.Compare(a.index, b.index) })
	r.row.cells = row
	return row
}

// processValues appends the values of a process.
func (r *reader) processValues(list []tableCell, p jsonld.Node) []tableCell {
	for c := range valueColumnsOn(onProcess) {
		for _, property := range c.properties {
			r.row.values = r.nodesFormerly(r.row.values[:0], p, property, jsonld.PropertyValue, jsonld.Name)
			for _, v := range r.row.values {
				list = append(list, r.value(v, c.kind))
			}
		}
	}
	return list
}

// additional appends the values of an input or output that have an additional type of a kind of column.
func (r *reader) additional(row []tableCell, n jsonld.Node, on place) []tableCell {
	r.row.values = r.appendNodes(r.row.values[:0], n, jsonld.AdditionalProperty, jsonld.PropertyValue, jsonld.Name)
	for c := range valueColumnsOn(on) {
		for _, v := range r.row.values {
			if slices.ContainsFunc(c.types, v.HasAdditionalType) {
				row = append(row, r.value(v, c.kind))
			}
		}
	}
	return row
}

// protocolCells are the cells that a protocol gives to every row.
type protocolCells struct {
	cells  []tableCell
	values []tableCell
}

// add adds a cell that needs no more than a kind of column.
func (p *protocolCells) add(kind arc.ColumnKind, cell arc.Cell) {
	p.cells = append(p.cells, tableCell{header: &arc.Header{Kind: kind}, cell: &cell})
}

// protocol reads a protocol, unless it was read lately.
func (r *reader) protocol(n jsonld.Node) *protocolCells {
	if known, ok := (*n.Memo()).(*protocolCells); ok {
		return known
	}
	p := &protocolCells{}
	for _, c := range protocolTexts {
		if text, ok := r.text(n, c.property); ok {
			p.add(c.kind, arc.NewTextCell(text))
		}
	}
	if term, ok := r.protocolType(n); ok {
		p.add(arc.ProtocolTypeColumn, arc.NewTermCell(term))
	}
	for c := range valueColumnsOn(onProtocol) {
		for _, property := range c.properties {
			for _, v := range r.nodesFormerly(nil, n, property, 0) {
				p.values = append(p.values, r.value(v, c.kind))
			}
		}
	}
	*n.Memo() = p
	return p
}

// protocolType reads what a protocol is meant for: a defined term or a text.
func (r *reader) protocolType(n jsonld.Node) (arc.OntologyTerm, bool) {
	term, ok := r.formerly(n, jsonld.IntendedUse, func(n jsonld.Node) bool { return isA(n, jsonld.DefinedTerm, jsonld.Name) })
	if ok {
		return r.termOf(term, jsonld.TermCode), true
	}
	text, ok := n.Text(jsonld.IntendedUse)
	if former, _ := jsonld.IntendedUse.Former(); !ok {
		text, ok = n.Text(former)
	}
	return arc.OntologyTerm{Name: text}, ok
}
