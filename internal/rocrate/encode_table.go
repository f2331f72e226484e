package rocrate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
)

func (w *crateWriter) tables(owner string, list []*arc.Table) []ref {
	var ids []ref
	for _, t := range list {
		ids = append(ids, w.table(owner, t)...)
	}
	return ids
}

// table gives a process for each row. Readers know the table by the name of the
// process, cut at its last underscore, and the order of its columns by
// columnIndex.
func (w *crateWriter) table(owner string, t *arc.Table) []ref {
	ids := make([]ref, 0, t.NumRows())
	for i := range t.NumRows() {
		row := w.row(owner, t, i)
		name := t.Name + "_" + strconv.Itoa(i+1)
		p := entity{id: "#Process_" + owner + name, types: []string{"LabProcess"}}
		p.must("name", name)
		p.ref("object", w.end(row.input, true, row.valuesOn(onInput), "#Input_"+owner+name))
		p.ref("result", w.end(row.output, false, row.valuesOn(onOutput), "#Output_"+owner+name))
		p.ref("executesLabProtocol", w.protocol(row))
		row.addValues(&p, onProcess)
		if row.performer != "" {
			a := entity{id: "#Performer_" + row.performer, types: []string{"Person"}}
			a.must("givenName", row.performer)
			p.ref("agent", w.share(a))
		}
		p.text("endTime", row.date)
		p.texts("disambiguatingDescription", describeComments(row.comments))
		ids = append(ids, w.add(p))
	}
	return ids
}

// crateRow is a row, sorted into what a process consists of.
type crateRow struct {
	input, output *ioCell
	protocol      []property // name, description, url, version
	intendedUse   ref
	values        [len(valueColumns)][]ref

	comments        []arc.Comment
	performer, date string
}

// ioCell is an input or output with its kind.
type ioCell struct {
	kind string
	cell arc.Cell
}

// row sorts the cells of a row.
func (w *crateWriter) row(owner string, t *arc.Table, i int) crateRow {
	var r crateRow
	for column, cell := range t.Row(i) {
		h := t.Columns()[column]
		switch h.Kind {
		case arc.InputColumn:
			if r.input != nil {
				w.fail("%s: table %q has more than one input in row %d", owner, t.Name, i+1)
			}
			r.input = &ioCell{h.Term.Name, cell}
		case arc.OutputColumn:
			if r.output != nil {
				w.fail("%s: table %q has more than one output in row %d", owner, t.Name, i+1)
			}
			r.output = &ioCell{h.Term.Name, cell}
		case arc.ProtocolTypeColumn:
			r.intendedUse = w.term(cell.Term)
			if r.intendedUse == "" {
				r.intendedUse = w.share(nameless("DefinedTerm"))
			}
		case arc.CommentColumn, arc.FreeTextColumn:
			r.comments = append(r.comments, arc.Comment{Name: h.Term.Name, Value: cellText(cell)})
		case arc.PerformerColumn:
			r.performer = cellText(cell)
		case arc.DateColumn:
			r.date = cellText(cell)
		default:
			if !w.listed(&r, h, cell, column) {
				w.fail("%s: table %q has a column %s, which has no form in a crate", owner, t.Name, h.Text())
			}
		}
	}
	return r
}

// listed adds a cell of a kind that protocolTexts or valueColumns list.
func (w *crateWriter) listed(r *crateRow, h arc.Header, cell arc.Cell, column int) bool {
	for _, c := range protocolTexts {
		if c.kind == h.Kind {
			r.protocol = append(r.protocol, property{c.property.Name(), cellText(cell)})
			return true
		}
	}
	for i, c := range valueColumns {
		if c.kind == h.Kind {
			r.values[i] = append(r.values[i], w.value(c, h, cell, column))
			return true
		}
	}
	return false
}

// valuesOn gives the values of the columns that hang on something. The list must not be changed.
func (r *crateRow) valuesOn(on place) (list []ref) {
	for i, c := range valueColumns {
		switch {
		case c.on != on:
		case list == nil: // mostly there is one such kind, which needs no copy
			list = slices.Clip(r.values[i])
		default:
			list = append(list, r.values[i]...)
		}
	}
	return list
}

// addValues adds the values of the columns that hang on an entity, each kind under a property of its own.
func (r *crateRow) addValues(e *entity, on place) {
	for i, c := range valueColumns {
		if c.on == on {
			e.refs(c.properties[0].Name(), r.values[i])
		}
	}
}

// value gives a property value: a cell together with its header.
func (w *crateWriter) value(vc valueColumn, h arc.Header, c arc.Cell, column int) ref {
	e := entity{
		id:         "#" + strings.TrimSuffix(vc.types[0], "Value") + "_" + h.Term.Name + "_" + cellText(c),
		types:      []string{"PropertyValue"},
		additional: vc.types[0],
	}
	e.must("name", h.Term.Name)
	e.text("propertyID", accession(h.Term))
	switch c.Kind {
	case arc.UnitizedCell:
		e.text("value", c.Text)
		e.must("unitText", c.Term.Name)
		e.text("unitCode", accession(c.Term))
	case arc.TermCell:
		e.text("value", c.Term.Name)
		e.text("valueReference", accession(c.Term))
	default:
		e.text("value", cellText(c))
	}
	e.must("columnIndex", strconv.Itoa(column))
	return w.share(e)
}

// end gives the input or output of a process together with the values that
// hang on it, or, if there are values and nothing to hang them on, one of the
// given @id.
func (w *crateWriter) end(io *ioCell, input bool, values []ref, generated string) ref {
	if io == nil {
		if len(values) == 0 {
			return ""
		}
		io = &ioCell{kind: arc.IOSample, cell: arc.NewTextCell(strings.TrimPrefix(generated, "#"))}
	}
	var e entity
	switch io.kind {
	case arc.IOData:
		e = w.file(data(io.cell))
	case arc.IOSource, arc.IOSample, arc.IOMaterial:
		e = entity{id: "#Sample_" + cellText(io.cell), types: []string{"Sample"}}
		switch {
		case io.kind == arc.IOSource && input:
			e.id, e.additional = "#Source_"+cellText(io.cell), "Source"
		case io.kind == arc.IOMaterial:
			e.id, e.additional = "#Material_"+cellText(io.cell), "Material"
		}
		e.must("name", cellText(io.cell))
	default:
		e = entity{id: "#" + io.kind + "_" + cellText(io.cell), types: []string{io.kind}}
		e.must("name", cellText(io.cell))
	}
	e.refs("additionalProperty", values)
	return w.share(e)
}

// protocol gives the protocol of a row, if the row says anything of one.
func (w *crateWriter) protocol(r crateRow) ref {
	e := entity{id: "#Protocol_", types: []string{"LabProtocol"}, properties: r.protocol}
	for _, p := range r.protocol {
		if p.name == "name" {
			e.id += p.value.(string)
		}
	}
	e.ref("intendedUse", r.intendedUse)
	r.addValues(&e, onProtocol)
	if len(e.properties) == 0 {
		return ""
	}
	return w.share(e)
}

// cellText gives what a cell says where only a text can stand.
func cellText(c arc.Cell) string {
	switch c.Kind {
	case arc.TermCell:
		return c.Term.Name
	case arc.DataCell:
		return c.Data.Name
	}
	return c.Text
}

// data gives what a cell says where data is meant.
func data(c arc.Cell) arc.Data {
	if c.Kind == arc.DataCell {
		return c.Data
	}
	return arc.Data{Name: cellText(c)}
}
