package rocrate

import (
	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// workflowTypes are the types of a workflow protocol.
const workflowTypes = jsonld.ComputationalWorkflow | jsonld.SoftwareSourceCode | jsonld.LabProtocol

// workflowProtocol gives the first workflow protocol among the main entities of a part.
func (r *reader) workflowProtocol(n jsonld.Node) (jsonld.Node, bool) {
	for entity := range n.Nodes(jsonld.MainEntity) {
		if entity.Is(workflowTypes) {
			return entity, true
		}
	}
	return jsonld.Node{}, false
}

// workflow reads a workflow. That a main entity is a complete workflow protocol makes it one,
// but the first computational workflow among them describes it.
func (r *reader) workflow(n, protocol jsonld.Node) *arc.Workflow {
	for entity := range n.Nodes(jsonld.MainEntity) {
		if entity.Is(jsonld.ComputationalWorkflow) {
			protocol = entity
			break
		}
	}
	w := &arc.Workflow{
		Identifier:  r.folder(n),
		Title:       r.optional(n, jsonld.Name),
		Description: r.optional(n, jsonld.Description),
		URI:         r.optional(protocol, jsonld.URL),
		Version:     r.optional(protocol, jsonld.Version),
		Contacts:    r.persons(n),
		Comments:    r.comments(n),
		DataMap:     r.dataMap(n),
		Unit:        r.unit(protocol, true),
	}
	is := func(n jsonld.Node) bool { return isA(n, jsonld.DefinedTerm, jsonld.Name) }
	if term, ok := r.formerly(protocol, jsonld.IntendedUse, is); ok {
		w.Type = r.termOf(term, jsonld.TermCode)
	}
	for _, tool := range r.nodesFormerly(nil, protocol, jsonld.ComputationalTool, 0) {
		w.Components = append(w.Components, r.component(tool))
	}
	return w
}

// component reads a tool of a workflow: its value as text, with unit and short form.
func (r *reader) component(n jsonld.Node) arc.Component {
	c := arc.Component{Type: r.termOf(n, jsonld.PropertyID)}
	value, hasValue := r.text(n, jsonld.ValueProperty)
	unit, hasUnit := r.text(n, jsonld.UnitText)
	code, hasCode := r.text(n, jsonld.UnitCode)
	if reference, ok := r.text(n, jsonld.ValueReference); ok {
		c.Name = value + " (" + arc.NewTerm("", reference).Short() + ")"
		return c
	}
	switch {
	case hasValue && (hasUnit || hasCode):
		c.Name = value + " " + unit + " (" + arc.NewTerm("", code).Short() + ")"
	default:
		c.Name = value
	}
	return c
}

// run reads a run. Its main invocation is the first process in about that executes a workflow protocol;
// the other processes are its tables.
func (r *reader) run(n jsonld.Node) *arc.Run {
	run := &arc.Run{
		Identifier:  r.folder(n),
		Title:       r.optional(n, jsonld.Name),
		Description: r.optional(n, jsonld.Description),
		Performers:  r.persons(n),
		Comments:    r.comments(n),
		DataMap:     r.dataMap(n),
	}
	run.MeasurementType, run.TechnologyType, run.TechnologyPlatform = r.measurement(n)
	invocation, protocol, ok := r.mainInvocation(n)
	if !ok {
		r.error(codeWorkflow, n, "the run has no workflow invocation in about that executes a workflow protocol",
			"add a process of the types CreateAction and LabProcess with name, instrument and executesLabProtocol")
		return run
	}
	if main, ok := r.workflowProtocol(n); ok {
		protocol = main
	}
	run.Unit = r.unit(protocol, true)
	for _, input := range r.nodes(invocation, jsonld.Object, 0) {
		r.checkInput(input)
	}
	id := invocation.ID()
	run.Tables = r.tables(func(yield func(jsonld.Node) bool) {
		for p := range r.processes(n) {
			if p.ID() != id && !yield(p) {
				return
			}
		}
	})
	return run
}

func (r *reader) mainInvocation(n jsonld.Node) (invocation, protocol jsonld.Node, ok bool) {
	for _, p := range r.nodes(n, jsonld.About, jsonld.CreateAction|jsonld.LabProcess, jsonld.Instrument, jsonld.Name) {
		if protocol := r.executed(p); protocol.Exists() && protocol.Is(workflowTypes) {
			return p, protocol, true
		}
	}
	return jsonld.Node{}, jsonld.Node{}, false
}

// checkInput checks an input value of a run, which is not kept.
func (r *reader) checkInput(n jsonld.Node) {
	parameter, ok := n.Node(jsonld.ExampleOfWork)
	if !ok || r.isNoParameter(parameter) {
		r.error(codeWorkflow, n, "an input of the run has no exampleOfWork that is a formal parameter",
			"refer to the FormalParameter that it is a value of")
		return
	}
	r.required(parameter, jsonld.Name)
	isFile := isA(n, jsonld.File, jsonld.Name)
	isValue := isA(n, jsonld.PropertyValue, jsonld.Name) && n.HasAdditionalType("WorkflowInput") && n.Mentions(jsonld.ValueProperty)
	if !isFile && !isValue {
		r.error(codeWorkflow, n, "an input of the run is neither a file nor a workflow input with a value",
			"make it a File, or a PropertyValue with the additionalType WorkflowInput and a value")
	}
}

// isNoParameter says whether a node is anything but a formal parameter.
func (r *reader) isNoParameter(n jsonld.Node) bool {
	for range n.AdditionalTypes() {
		return !n.Is(jsonld.FormalParameter)
	}
	return true
}
