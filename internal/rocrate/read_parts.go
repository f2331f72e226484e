package rocrate

import (
	"iter"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// Additional types of the parts of an ARC.
const (
	additionalStudy    = "Study"
	additionalAssay    = "Assay"
	additionalWorkflow = "Workflow"
	additionalRun      = "Run"
)

func (r *reader) investigation(root jsonld.Node) *arc.Investigation {
	inv := &arc.Investigation{
		Identifier:        r.required(root, jsonld.Identifier),
		Description:       r.optional(root, jsonld.Description),
		SubmissionDate:    r.optional(root, jsonld.DateCreated),
		PublicReleaseDate: r.optional(root, jsonld.DatePublished),
	}
	r.identity = inv.Identifier
	title, ok := r.text(root, jsonld.Name)
	if !ok {
		title = r.optional(root, jsonld.Headline)
	}
	inv.Title = title
	inv.Publications = r.publications(root)
	inv.Contacts = r.persons(root)
	inv.Comments = r.commentsAndModified(root)
	r.parts(inv, root)
	inv.License = r.license(root)
	return origin(r, inv, root)
}

// parts reads the datasets of the investigation. One may be several kinds of parts.
func (r *reader) parts(inv *arc.Investigation, root jsonld.Node) {
	listed := r.listedAgain(root)
	for _, part := range r.nodes(root, jsonld.HasPart, jsonld.Dataset) {
		known := false
		name := listed(part)
		if !part.Is(jsonld.Dataset) { // only the own context of the root makes it one
			r.warn(codeIgnored, part, jsondoc.Value{}, "the part is a Dataset by the @context of the root data entity only and gets lost",
				"define the type Dataset in the @context of the crate")
			continue
		}
		if part.HasAdditionalType(additionalStudy) {
			inv.Studies = append(inv.Studies, named(r, r.study(part), part, name))
			known = true
		}
		if part.HasAdditionalType(additionalAssay) {
			inv.Assays = append(inv.Assays, named(r, r.assay(part), part, name))
			known = true
		}
		if part.HasAdditionalType(additionalWorkflow) {
			if protocol, ok := r.workflowProtocol(part); ok {
				inv.Workflows = append(inv.Workflows, named(r, r.workflow(part, protocol), part, name))
			} else {
				r.warn(codeIgnored, part, jsondoc.Value{}, "the workflow has no mainEntity that is a workflow protocol and gets lost",
					"give it a mainEntity of the types ComputationalWorkflow, SoftwareSourceCode and LabProtocol")
			}
			known = true
		}
		if part.HasAdditionalType(additionalRun) {
			inv.Runs = append(inv.Runs, named(r, r.run(part), part, name))
			known = true
		}
		if !known {
			r.warn(codeIgnored, part, jsondoc.Value{}, "the dataset is neither Study nor Assay nor Workflow nor Run and gets lost",
				"say in additionalType what it is")
		}
	}
}

// listedAgain gives a function that tells for each part of the root, in their order, where its name stands: in its identifier
// or, for an entity that is listed again, in the list.
func (r *reader) listedAgain(root jsonld.Node) func(jsonld.Node) jsondoc.Value {
	if r.origins == nil {
		return func(jsonld.Node) jsondoc.Value { return jsondoc.Value{} }
	}
	before := map[int]bool{}
	again := map[int][]jsondoc.Value{}
	for v := range root.Values(jsonld.HasPart) {
		if n, ok := r.graph.Resolve(v); ok {
			at := n.At().Offset()
			if before[at] {
				again[at] = append(again[at], v)
			}
			before[at] = true
		}
	}
	seen := map[int]int{}
	return func(part jsonld.Node) jsondoc.Value {
		at := part.At().Offset()
		nth := seen[at]
		seen[at]++
		if nth > 0 {
			return again[at][nth-1]
		}
		return part.Value(jsonld.Identifier)
	}
}

// named is origin for a part with a name of its own.
func named[T any](r *reader, part *T, n jsonld.Node, name jsondoc.Value) *T {
	if r.origins != nil && name.Exists() {
		r.origins[Named{part}] = Origin{Pointer: name.Pointer(), Entity: n.ID()}
	}
	return origin(r, part, n)
}

func (r *reader) study(n jsonld.Node) *arc.Study {
	r.warnNested(n)
	return &arc.Study{
		Identifier:        r.folder(n),
		Title:             r.optional(n, jsonld.Name),
		Description:       r.optional(n, jsonld.Description),
		SubmissionDate:    r.optional(n, jsonld.DateCreated),
		PublicReleaseDate: r.optional(n, jsonld.DatePublished),
		Publications:      r.publications(n),
		Contacts:          r.persons(n),
		Comments:          r.commentsAndModified(n),
		Tables:            r.tables(r.processes(n)),
		DataMap:           r.dataMap(n),
	}
}

// warnNested reports assays below a study: only parts of the root are read.
func (r *reader) warnNested(study jsonld.Node) {
	for part := range study.Nodes(jsonld.HasPart) {
		if part.HasAdditionalType(additionalAssay) && part.Is(jsonld.Dataset) {
			r.warn(codeIgnored, part, jsondoc.Value{}, "an assay below a study is not read",
				"list the assay in hasPart of the root data entity as well")
		}
	}
}

func (r *reader) assay(n jsonld.Node) *arc.Assay {
	a := &arc.Assay{
		Identifier:  r.folder(n),
		Title:       r.optional(n, jsonld.Name),
		Description: r.optional(n, jsonld.Description),
		Performers:  r.persons(n),
		Comments:    r.comments(n),
		Tables:      r.tables(r.processes(n)),
		DataMap:     r.dataMap(n),
	}
	a.MeasurementType, a.TechnologyType, a.TechnologyPlatform = r.measurement(n)
	return a
}

// measurement reads what an assay or a run measures, and how.
func (r *reader) measurement(n jsonld.Node) (measured, technology, platform arc.OntologyTerm) {
	for v := range n.Nodes(jsonld.VariableMeasured) {
		if !r.isFragment(v) {
			measured = r.termOf(v, jsonld.PropertyID)
			break
		}
	}
	return measured, r.singleTerm(n, jsonld.MeasurementMethod), r.singleTerm(n, jsonld.MeasurementTechnique)
}

// singleTerm gives the first node of a property if it is a defined term.
func (r *reader) singleTerm(n jsonld.Node, p jsonld.Property) arc.OntologyTerm {
	term, ok := n.Node(p)
	if !ok || !isA(term, jsonld.DefinedTerm, jsonld.Name) {
		if v := n.Value(p); v.Exists() && v.Kind() != jsondoc.Object {
			r.warn(codeIgnored, n, v, "the "+p.Name()+" is no entity and gets lost", "make it a DefinedTerm with name and termCode")
		}
		return arc.OntologyTerm{}
	}
	return r.termOf(term, jsonld.TermCode)
}

// termOf reads a node as a term; its accession is in the given property.
func (r *reader) termOf(n jsonld.Node, accession jsonld.Property) arc.OntologyTerm {
	r.spend(nodeCost, n)
	return arc.NewTerm(r.required(n, jsonld.Name), r.optional(n, accession))
}

// folder gives the identifier of a part, which is the name of its folder.
func (r *reader) folder(n jsonld.Node) string {
	raw, ok := n.Text(jsonld.Identifier)
	if !ok {
		return r.required(n, jsonld.Identifier)
	}
	identifier := arc.TrimSpace(raw)
	r.spend(len(raw), n)
	if identifier == "" || strings.ContainsFunc(identifier, isForbidden) {
		r.errorIn(codeIdentifier, n, n.Value(jsonld.Identifier), "the identifier cannot be the name of a folder",
			"use letters A-Z and a-z, digits, blanks, _ and - only")
	}
	return identifier
}

// isForbidden says whether a character cannot be in the identifier of a part.
func isForbidden(c rune) bool {
	switch {
	case c == '_', c == '-', c == ' ', '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		return false
	}
	return true
}

// processes goes through the processes of a part. It is for tables, which forgets one before the next.
func (r *reader) processes(n jsonld.Node) iter.Seq[jsonld.Node] {
	return func(yield func(jsonld.Node) bool) {
		recognised, other := false, jsondoc.Value{} // nodes are good until the next one only
		for v := range n.Values(jsonld.About) {
			p, ok := r.graph.Resolve(v)
			if !ok {
				r.warnDangling(n, jsonld.About, v)
				continue
			}
			if !isA(p.In(n), jsonld.LabProcess, jsonld.Name) {
				other = v
				continue
			}
			recognised = true
			if !r.spend(nodeCost, n) || !yield(p) {
				return
			}
		}
		if n, ok := r.graph.Resolve(other); ok && !recognised {
			r.warn(codeIgnored, n, jsondoc.Value{}, "an entity in about is not recognised as a LabProcess with a name, so there is no table",
				"check the type, the name, and that the context defines LabProcess as https://bioschemas.org/LabProcess")
		}
	}
}

// license gives the first node of the license, if it is a creative work.
func (r *reader) license(root jsonld.Node) *arc.License {
	n, ok := root.Node(jsonld.License)
	if !ok || !n.Is(jsonld.CreativeWork) {
		return nil
	}
	l := &arc.License{ID: n.ID()}
	if text, ok := r.text(n, jsonld.TextProperty); ok {
		l.Text = &text
	}
	return origin(r, l, n)
}
