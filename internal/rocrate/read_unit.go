package rocrate

import (
	"slices"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// Additional types of workflow protocols; any other stands for a command line tool.
const (
	workflowDescription   = "WorkflowDescription"
	expressionDescription = "ExpressionToolDescription"
	operationDescription  = "OperationDescription"
)

// noExpression is what an expression tool without a description computes.
const noExpression = "$(null)"

// unit reads the processing unit of a workflow protocol. Steps of a workflow are looked up in the graph
// if expand says so.
func (r *reader) unit(n jsonld.Node, expand bool) *arc.ProcessingUnit {
	kind, ok := n.Text(jsonld.AdditionalType)
	if !ok {
		r.error(codeWorkflow, n, "a workflow protocol has no additionalType, or one that the context does not know",
			"give it the additionalType WorkflowProtocol, and a context with additionalType")
	}
	u := &arc.ProcessingUnit{
		Class:   arc.CommandLineTool,
		Inputs:  r.formalParameters(n, jsonld.Input),
		Outputs: r.formalParameters(n, jsonld.Output),
	}
	switch kind {
	case workflowDescription:
		u.Class = arc.CWLWorkflow
		u.Steps = r.steps(n)
		if expand {
			r.expand(u, protocolPath(n), n)
		}
	case expressionDescription:
		u.Class = arc.ExpressionTool
		expression, ok := r.text(n, jsonld.Description)
		if !ok {
			expression = noExpression
		}
		u.Expression = &expression
	case operationDescription:
		u.Class = arc.Operation
	}
	return u
}

// protocolPath gives the file of a workflow protocol.
func protocolPath(n jsonld.Node) string {
	if path, ok := n.Text(jsonld.Identifier); ok {
		return path
	}
	return n.ID()
}

// parameterCost is what a parameter takes in the model, in bytes.
const parameterCost = 128

// formalParameters reads the inputs or outputs of a workflow protocol.
func (r *reader) formalParameters(n jsonld.Node, p jsonld.Property) []arc.CWLParameter {
	isOther := func(parameter jsonld.Node) bool { return r.isNoParameter(parameter.In(n)) }
	nodes := slices.DeleteFunc(r.nodes(n, p, 0), isOther)
	if former, ok := p.Former(); ok && len(nodes) == 0 {
		nodes = slices.DeleteFunc(r.nodes(n, former, 0), isOther)
	}
	var list []arc.CWLParameter
	for _, parameter := range nodes {
		if r.spend(parameterCost, parameter) {
			list = append(list, r.formalParameter(parameter, p == jsonld.Input))
		}
	}
	return list
}

func (r *reader) formalParameter(n jsonld.Node, isInput bool) arc.CWLParameter {
	parameter := arc.CWLParameter{Name: r.required(n, jsonld.Name)}
	types := slices.Collect(n.AdditionalTypes())
	if len(types) == 1 {
		t, err := parseCWLType(types[0].Text())
		if err != nil {
			r.errorIn(codeCWLType, n, types[0], "the type of a formal parameter is not a type of CWL: "+err.Error(),
				"use File, Directory, string, int, long, float, double, boolean, null or stdout, with [] and ?, or flow-style YAML")
		}
		parameter.Type = t
	} else {
		r.error(codeCWLType, n, "a formal parameter has more than one additionalType", "give it exactly one, its CWL type")
	}
	for _, id := range r.nodes(n, jsonld.Identifier, 0) {
		if isA(id, jsonld.PropertyValue, jsonld.Name) {
			r.binding(&parameter, id, isInput)
		}
	}
	return parameter
}

// binding reads how a parameter is bound: the first prefix, position and glob count.
func (r *reader) binding(p *arc.CWLParameter, n jsonld.Node, isInput bool) {
	name, named := n.Text(jsonld.Name)
	value, ok := r.text(n, jsonld.ValueProperty)
	switch {
	case !named || !ok:
	case isInput && name == "Prefix" && p.Prefix == nil:
		p.Prefix = &value
	case isInput && name == "Position" && p.Position == nil:
		if i, ok := parseInt32(value); ok {
			position := int(i)
			p.Position = &position
		}
	case !isInput && name == "Glob" && p.Glob == nil:
		p.Glob = &value
	}
}

func (r *reader) steps(n jsonld.Node) []arc.CWLStep {
	var steps []arc.CWLStep
	for _, step := range r.nodes(n, jsonld.HasPart, 0) {
		if r.spend(parameterCost, step) {
			steps = append(steps, arc.CWLStep{Name: r.required(step, jsonld.Name), Run: r.required(step, jsonld.Identifier)})
		}
	}
	return steps
}
