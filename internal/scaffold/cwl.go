package scaffold

import (
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
)

// cwl is a CWL document as a file.
type cwl struct{ unit *arc.ProcessingUnit }

// WriteTo writes the document. Its sections are separated by empty lines with
// the line ends of Windows, as other ARC tools write them.
func (c cwl) WriteTo(w io.Writer) (int64, error) {
	pairs := unitPairs(c.unit)
	const head = 2 // version and class are one section
	sections := make([]string, 0, len(pairs)-head+1)
	sections = append(sections, cwlSection(pairs[:head]))
	for i := range pairs[head:] {
		sections = append(sections, cwlSection(pairs[head+i:head+i+1]))
	}
	n, err := io.WriteString(w, strings.Join(sections, "\r\n\r\n"))
	return int64(n), err
}

func cwlSection(pairs yamlMap) string {
	w := &yamlWriter{}
	pairs.put(w, 0)
	return strings.TrimRight(strings.ReplaceAll(w.String(), "\r\n", "\n"), "\n")
}

// unitPairs gives a processing unit as the pairs of a mapping.
func unitPairs(u *arc.ProcessingUnit) yamlMap {
	pairs := yamlMap{{"cwlVersion", yamlText("v1.2")}, {"class", yamlText(u.Class)}}
	withInputs := len(u.Inputs) > 0 || u.Class == arc.CWLWorkflow || u.Class == arc.Operation
	if withInputs {
		pairs = append(pairs, yamlPair{"inputs", yamlMap(collect(u.Inputs, cwlInput))})
	}
	if u.Class == arc.CWLWorkflow {
		pairs = append(pairs, yamlPair{"steps", yamlMap(collect(u.Steps, cwlStep))})
	}
	pairs = append(pairs, yamlPair{"outputs", yamlMap(collect(u.Outputs, cwlOutput))})
	if u.Class == arc.ExpressionTool {
		expression := "$(null)"
		if u.Expression != nil {
			expression = *u.Expression
		}
		pairs = append(pairs, yamlPair{"expression", yamlExpression(expression)})
	}
	return pairs
}

func cwlInput(p arc.CWLParameter) yamlPair {
	var binding yamlMap
	if p.Prefix != nil {
		binding = append(binding, yamlPair{"prefix", yamlText(*p.Prefix)})
	}
	if p.Position != nil {
		binding = append(binding, yamlPair{"position", yamlText(strconv.Itoa(*p.Position))})
	}
	kind := parameterType(p.Type)
	if binding == nil {
		return yamlPair{p.Name, kind}
	}
	return yamlPair{p.Name, yamlMap{{"type", kind}, {"inputBinding", binding}}}
}

func cwlOutput(p arc.CWLParameter) yamlPair {
	var binding yamlMap
	if p.Glob != nil {
		binding = yamlMap{{"glob", yamlText(*p.Glob)}}
	}
	return yamlPair{p.Name, yamlMap{{"type", parameterType(p.Type)}, {"outputBinding", binding}}}
}

func cwlStep(s arc.CWLStep) yamlPair {
	var run yaml = yamlText(s.Run)
	if s.Unit != nil {
		run = unitPairs(s.Unit)
	}
	return yamlPair{s.Name, yamlMap{{"run", run}, {"in", yamlMap{}}, {"out", yamlList{}}}}
}

// parameterType gives the type of an input or output. Types that are mappings
// are wrapped once more than elsewhere.
func parameterType(t arc.CWLType) yaml {
	switch {
	case t.Kind == arc.CWLArray && !isPlainItem(t.Items.Kind), t.Kind == arc.CWLRecord, t.Kind == arc.CWLEnum:
		return yamlMap{{"type", schema(t)}}
	}
	return cwlType(t)
}

// isPlainItem tells whether an array of such items is written with brackets
// where it is the type of an input or output.
func isPlainItem(k arc.CWLTypeKind) bool {
	switch k {
	case arc.CWLArray, arc.CWLEnum, arc.CWLRecord, arc.CWLUnion, arc.CWLNull, arc.CWLStdout:
		return false
	}
	return true
}

// cwlType gives a type in its shortest form.
func cwlType(t arc.CWLType) yaml {
	switch t.Kind {
	case arc.CWLUnion:
		if s, ok := optional(t); ok {
			return yamlText(s)
		}
		return yamlList(collect(t.Members, cwlType))
	case arc.CWLRecord, arc.CWLEnum:
		return schema(t)
	case arc.CWLFile, arc.CWLDirectory:
		if len(t.Notes) > 0 {
			return append(yamlMap{{"type", yamlText(t.Kind)}}, notes(t.Notes)...)
		}
	case arc.CWLArray:
		if s, ok := brackets(t); ok {
			return yamlText(s)
		}
		return schema(t)
	}
	return yamlText(t.Kind)
}

// schema gives an array, a record or an enumeration as a mapping.
func schema(t arc.CWLType) yaml {
	of := yamlPair{"fields", yamlMap(collect(t.Fields, func(f arc.CWLField) yamlPair {
		return yamlPair{f.Name, append(yamlMap{{"type", cwlType(f.Type)}}, notes(f.Notes)...)}
	}))}
	switch t.Kind {
	case arc.CWLArray:
		of = yamlPair{"items", cwlType(*t.Items)}
	case arc.CWLEnum:
		of = yamlPair{"symbols", yamlList(collect(t.Symbols, func(s string) yaml { return yamlText(s) }))}
	}
	return append(yamlMap{{"type", yamlText(t.Kind)}, of}, notes(t.Notes)...)
}

// notes gives what is said about a type.
func notes(list []arc.CWLNote) yamlMap {
	return collect(list, func(n arc.CWLNote) yamlPair { return yamlPair{n.Key, noteValue(n.Value)} })
}

func noteValue(v arc.CWLValue) yaml {
	switch {
	case v.List != nil && v.Written:
		return yamlLines(collect(v.List, noteValue))
	case v.List != nil:
		return yamlList(collect(v.List, noteValue))
	case v.Fields != nil:
		return notes(v.Fields)
	case v.Written && v.Text == "":
		return yamlNothing{}
	}
	return yamlText(v.Text)
}

// brackets gives a type as a word, arrays with brackets: int[][].
func brackets(t arc.CWLType) (string, bool) {
	switch t.Kind {
	case arc.CWLArray:
		s, ok := brackets(*t.Items)
		return s + "[]", ok
	case arc.CWLEnum, arc.CWLRecord, arc.CWLUnion:
		return "", false
	}
	return string(t.Kind), true
}

// optional gives the union of null and another type as a word: int[]?.
func optional(t arc.CWLType) (string, bool) {
	if len(t.Members) != 2 {
		return "", false
	}
	other := t.Members[1]
	if t.Members[0].Kind != arc.CWLNull {
		if other.Kind != arc.CWLNull {
			return "", false
		}
		other = t.Members[0]
	}
	if other.Kind == arc.CWLNull || other.Kind == arc.CWLStdout {
		return "", false
	}
	s, ok := brackets(other)
	return s + "?", ok
}

// unit adds the CWL document of a workflow or run, if it has one.
func (p *plan) unit(entity, path string, u *arc.ProcessingUnit) {
	if u == nil {
		return
	}
	if newUnitMeter().nodes(u) > maxUnitNodes {
		p.problem(Problem{
			Code: "too-large", Path: path,
			Text:   entity + " has steps within steps that make too long a CWL document",
			Remedy: "refer to the CWL files of nested workflows instead of listing them in the ARC",
		})
		return
	}
	p.add(entity, path, cwl{u})
}

// maxUnitNodes limits a CWL document. A workflow that is a step of several
// others is written once for each, so that a short ARC can ask for a document
// without end.
const maxUnitNodes = 500_000

// unitMeter tells how large a CWL document becomes.
type unitMeter struct {
	known map[*arc.ProcessingUnit]float64
}

func newUnitMeter() unitMeter { return unitMeter{known: map[*arc.ProcessingUnit]float64{}} }

// nodes estimates the size of a unit in nodes; infinite for one that is a part
// of itself.
func (m unitMeter) nodes(u *arc.ProcessingUnit) float64 {
	if n, ok := m.known[u]; ok {
		return n
	}
	m.known[u] = math.Inf(1) // until we know better: whoever comes back here is within u
	n := float64(1)
	for _, p := range [][]arc.CWLParameter{u.Inputs, u.Outputs} {
		for i := range p {
			n += 1 + float64(typeNodes(&p[i].Type))
		}
	}
	for _, s := range u.Steps {
		n++
		if s.Unit != nil {
			n += m.nodes(s.Unit)
		}
	}
	m.known[u] = n
	return n
}

func typeNodes(t *arc.CWLType) int {
	n := 1 + len(t.Symbols)
	if t.Items != nil {
		n += typeNodes(t.Items)
	}
	for i := range t.Fields {
		n += typeNodes(&t.Fields[i].Type)
	}
	for i := range t.Members {
		n += typeNodes(&t.Members[i])
	}
	return n
}
