package rocrate

import (
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
)

// workflow gives a workflow with its protocol, without which readers do not
// see it.
func (w *crateWriter) workflow(f *arc.Workflow) ref {
	e := part("workflows", "Workflow", f.Identifier, f.Title, f.Description)
	e.refs("creator", w.persons(f.Contacts))
	e.refs("comment", w.comments(f.Comments))
	protocol := w.unit("#WorkflowProtocol_"+f.Identifier, f.Unit)
	protocol.text("version", f.Version)
	protocol.text("url", f.URI)
	protocol.ref("intendedUse", w.term(f.Type))
	var components []ref
	for _, c := range f.Components {
		v := entity{id: "#Component_" + c.Type.Name + "_" + c.Name, types: []string{"PropertyValue"}, additional: "Component"}
		v.must("name", c.Type.Name)
		v.text("propertyID", accession(c.Type))
		v.text("value", c.Name)
		components = append(components, w.share(v))
	}
	protocol.refs("computationalTool", components)
	e.ref("mainEntity", w.add(protocol))
	e.refs("variableMeasured", w.dataMap(e.id, f.DataMap))
	return w.add(e)
}

// run gives a run with its main invocation, without which it is an error.
func (w *crateWriter) run(r *arc.Run) ref {
	e := part("runs", "Run", r.Identifier, r.Title, r.Description)
	e.refs("creator", w.persons(r.Performers))
	e.refs("comment", w.comments(r.Comments))
	protocol := w.add(w.unit("#RunProtocol_"+r.Identifier, r.Unit))
	invocation := entity{id: "#Invocation_" + r.Identifier, types: []string{"CreateAction", "LabProcess"}}
	invocation.must("name", r.Identifier)
	invocation.ref("instrument", protocol)
	invocation.ref("executesLabProtocol", protocol)
	e.ref("mainEntity", protocol)
	e.refs("about", append([]ref{w.add(invocation)}, w.tables(e.id, r.Tables)...))
	w.measurement(&e, r.MeasurementType, r.TechnologyType, r.TechnologyPlatform, r.DataMap)
	return w.add(e)
}

// unitKinds are the additional types that stand for the classes of CWL. Readers
// take any other for a command line tool.
var unitKinds = map[arc.UnitClass]string{
	arc.CommandLineTool: "ToolDescription",
	arc.CWLWorkflow:     "WorkflowDescription",
	arc.ExpressionTool:  "ExpressionToolDescription",
	arc.Operation:       "OperationDescription",
}

// unit gives the workflow protocol of a processing unit.
func (w *crateWriter) unit(id string, u *arc.ProcessingUnit) entity {
	if u == nil {
		u = &arc.ProcessingUnit{Class: arc.CommandLineTool}
	}
	e := entity{
		id:         id,
		types:      []string{"ComputationalWorkflow", "SoftwareSourceCode", "LabProtocol"},
		additional: unitKinds[u.Class],
	}
	if u.Expression != nil {
		e.must("description", *u.Expression)
	}
	e.refs("input", w.parameters(u.Inputs))
	e.refs("output", w.parameters(u.Outputs))
	var steps []ref
	for _, s := range u.Steps {
		step := entity{id: "#Step_" + id + "_" + s.Name, types: []string{"HowToStep"}}
		step.must("name", s.Name)
		step.must("identifier", s.Run)
		steps = append(steps, w.add(step))
		if s.Unit != nil && !w.used[s.Run] {
			w.used[s.Run] = true // before the steps of the unit, which may lead back here
			inner := w.unit(s.Run, s.Unit)
			appendEntity(&w.graph, inner)
		}
	}
	e.refs("hasPart", steps)
	return e
}

func (w *crateWriter) parameters(list []arc.CWLParameter) []ref {
	var ids []ref
	for _, p := range list {
		e := entity{id: "#Parameter_" + p.Name, types: []string{"FormalParameter"}, additional: cwlText(p.Type)}
		e.must("name", p.Name)
		var bindings []ref
		bind := func(name, value string) {
			v := entity{id: "#" + name + "_" + value, types: []string{"PropertyValue"}}
			v.must("name", name)
			v.must("value", value)
			bindings = append(bindings, w.share(v))
		}
		if p.Prefix != nil {
			bind("Prefix", *p.Prefix)
		}
		if p.Position != nil {
			bind("Position", strconv.Itoa(*p.Position))
		}
		if p.Glob != nil {
			bind("Glob", *p.Glob)
		}
		e.refs("identifier", bindings)
		ids = append(ids, w.share(e))
	}
	return ids
}

// cwlText gives a CWL type in flow-style YAML.
func cwlText(t arc.CWLType) string {
	switch t.Kind {
	case arc.CWLArray:
		if t.Items == nil {
			return "File[]"
		}
		simple := cwlText(*t.Items)
		if len(t.Notes) == 0 && (!strings.ContainsAny(simple, "{[?") || strings.HasSuffix(simple, "[]")) {
			return simple + "[]"
		}
		return "{type: array, items: " + innerText(*t.Items) + notesText(t.Notes) + "}"
	case arc.CWLEnum:
		symbols := make([]string, len(t.Symbols))
		for i, s := range t.Symbols {
			symbols[i] = flowText(s)
		}
		return "{type: enum, symbols: [" + strings.Join(symbols, ", ") + "]" + notesText(t.Notes) + "}"
	case arc.CWLRecord:
		fields := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			fields[i] = "{name: " + flowText(f.Name) + ", type: " + innerText(f.Type) + notesText(f.Notes) + "}"
		}
		return "{type: record, fields: [" + strings.Join(fields, ", ") + "]" + notesText(t.Notes) + "}"
	case arc.CWLUnion:
		if len(t.Members) == 2 && t.Members[0].Kind == arc.CWLNull {
			if inner := cwlText(t.Members[1]); !strings.ContainsAny(inner, "{?") && !strings.HasPrefix(inner, "[") {
				return inner + "?"
			}
		}
		members := make([]string, len(t.Members))
		for i, m := range t.Members {
			members[i] = innerText(m)
			if m.Kind == arc.CWLNull {
				members[i] = `"null"`
			}
		}
		return "[" + strings.Join(members, ", ") + "]"
	case arc.CWLFile, arc.CWLDirectory:
		if len(t.Notes) > 0 {
			return "{type: " + string(t.Kind) + notesText(t.Notes) + "}"
		}
	}
	return string(t.Kind)
}

// innerText gives a CWL type as it stands within another one, where a name with brackets needs quotes.
func innerText(t arc.CWLType) string {
	text := cwlText(t)
	if !strings.HasPrefix(text, "[") && (strings.HasSuffix(text, "[]") || strings.HasSuffix(text, "[]?")) {
		return strconv.Quote(text)
	}
	return text
}

// flowText gives a text as it stands in flow-style YAML.
func flowText(s string) string {
	if wordForm.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// notesText gives what is said about a type, to stand behind its fields.
func notesText(list []arc.CWLNote) string {
	var b strings.Builder
	for _, n := range list {
		b.WriteString(", " + n.Key + ": " + valueText(n.Value))
	}
	return b.String()
}

func valueText(v arc.CWLValue) string {
	switch {
	case v.List != nil:
		items := make([]string, len(v.List))
		for i, item := range v.List {
			items[i] = valueText(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.Fields != nil:
		return "{" + strings.TrimPrefix(notesText(v.Fields), ", ") + "}"
	case v.Written && v.Text == "":
		return "null"
	case v.Written:
		return v.Text
	}
	return strconv.Quote(v.Text)
}
