package rocrate

import (
	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// fragmentDescriptor is the name of property values that are rows of a data map.
const fragmentDescriptor = "FragmentDescriptor"

// isFragment says whether a node is a row of a data map.
func (r *reader) isFragment(n jsonld.Node) bool {
	return isA(n, jsonld.PropertyValue, jsonld.Name) && r.required(n, jsonld.Name) == fragmentDescriptor
}

// dataMap reads the data map of a part.
func (r *reader) dataMap(n jsonld.Node) arc.DataMap {
	var rows arc.DataMap
	for _, v := range r.nodes(n, jsonld.VariableMeasured, 0) {
		if r.isFragment(v.In(n)) {
			if !r.spend(personCost, v) {
				break
			}
			rows = append(rows, r.dataContext(v))
		}
	}
	return rows
}

// dataContext reads a row of a data map. The reference library looks most of it up without the context of the
// crate, so it is found under full IRIs and under the terms of the row's own context only.
func (r *reader) dataContext(n jsonld.Node) arc.DataContext {
	file, ok := n.Node(jsonld.SubjectOf)
	if !ok {
		r.error(codeDataMap, n, "a fragment descriptor has no file in subjectOf", "refer to the file that it describes")
		return arc.DataContext{}
	}
	row := arc.DataContext{Data: r.fileOf(file)}
	if pattern, ok := file.Node(jsonld.Pattern); ok {
		if isA(pattern, jsonld.DefinedTerm, jsonld.Name) {
			row.ObjectType = r.termOf(pattern, jsonld.TermCode)
		} else {
			r.error(codeDataMap, file, "the pattern of a described file is no defined term", "make it a DefinedTerm with a name")
		}
	}
	alone := n.Alone()
	row.Explication = arc.NewTerm(r.under(n, alone, jsonld.ValueProperty), r.under(n, alone, jsonld.ValueReference))
	row.Unit = arc.NewTerm(r.under(n, alone, jsonld.UnitText), r.under(n, alone, jsonld.UnitCode))
	row.Description = r.under(n, alone, jsonld.Description)
	row.GeneratedBy = r.under(n, alone, jsonld.MeasurementMethod)
	row.Label = r.under(n, alone, jsonld.AlternateName)
	for text := range alone.Texts(jsonld.DisambiguatingDescription) {
		row.Comments = append(row.Comments, parseComment(text))
	}
	return row
}

// under gives the text that a row of a data map has in a property when it is looked at alone.
func (r *reader) under(n, alone jsonld.Node, p jsonld.Property) string {
	text, ok := alone.Text(p)
	if !ok && n.Value(p).Kind() == jsondoc.String {
		r.warn(codeIgnored, n, n.Value(p), "the "+p.Name()+" of a fragment descriptor is read under its full IRI only and gets lost",
			"write the key as "+p.IRI())
	}
	r.spend(len(text), n)
	return text
}
