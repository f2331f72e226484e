package rocrate

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairagro/middleware-api/internal/arc"
)

// Errors about types of CWL.
var (
	errCWLType  = errors.New("unknown type")
	errCWLDepth = errors.New("nested too deeply")
	errCWLForm  = errors.New("not a type in YAML")

	errCWLMissing = errors.New("a field of it is missing")
)

// Limits of a type: its length, and how deep it is nested.
const (
	maxCWLLength = 64 << 10
	maxCWLDepth  = 64
)

// parseCWLType reads a type of CWL (Common Workflow Language v1.2, CWLType): a name with [] and ?, or
// YAML for unions, arrays, records and enums.
func parseCWLType(text string) (arc.CWLType, error) {
	if t, err := namedCWLType(text); err == nil {
		return t, nil
	}
	if len(text) > maxCWLLength {
		return arc.CWLType{}, errCWLForm
	}
	if strings.Count(text, "[")+strings.Count(text, "{") > 1000 {
		return arc.CWLType{}, errCWLDepth
	}
	if strings.HasPrefix(strings.TrimLeft(text, "\r\n"), " ") {
		return arc.CWLType{}, errCWLForm // the first line must not be indented
	}
	trimmed := arc.TrimSpace(text)
	if strings.HasPrefix(trimmed, "[") || strings.HasPrefix(trimmed, "{") {
		return parseFlow(text)
	}
	return parseBlock(trimmed)
}

// parseFlow reads a type in brackets, which is on one line, without comments, and has nothing behind it. YAML itself is not so
// strict.
func parseFlow(text string) (arc.CWLType, error) {
	trimmed := arc.TrimSpace(text)
	if !isBracketed(trimmed) || strings.ContainsAny(trimmed, "\r\n") || hasComment(trimmed) {
		return arc.CWLType{}, errCWLForm
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 || hasGluedKey(doc.Content[0]) {
		n, err := parseLooseFlow(text)
		if err != nil || strings.HasSuffix(text, "?") {
			return arc.CWLType{}, errCWLForm
		}
		return decodeCWLType(n, 0)
	}
	return decodeCWLType(doc.Content[0], 0)
}

// isBracketed says whether a text begins with a bracket and ends with its counterpart.
func isBracketed(text string) bool {
	return strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") ||
		strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}")
}

// hasComment says whether a text has a # that is not in quotes.
func hasComment(text string) bool {
	quote := rune(0)
	for _, c := range text {
		switch {
		case quote == c:
			quote = 0
		case quote != 0:
		case c == '"', c == '\'':
			quote = c
		case c == '#':
			return true
		}
	}
	return false
}

// hasGluedKey says whether a mapping is written without blanks, {type:array}, which YAML takes for a single key.
func hasGluedKey(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && len(n.Content) > 0 && strings.Contains(n.Content[0].Value, ":")
}

// parseBlock reads a type that is written on several lines, or a name in quotes or with a comment.
func parseBlock(text string) (arc.CWLType, error) {
	decoder := yaml.NewDecoder(strings.NewReader(text + "\n"))
	var doc, more yaml.Node
	if decoder.Decode(&doc) != nil || !errors.Is(decoder.Decode(&more), io.EOF) {
		return arc.CWLType{}, errCWLForm
	}
	n := doc.Content[0]
	switch n.Kind {
	case yaml.MappingNode:
	case yaml.ScalarNode, yaml.SequenceNode:
		// A comment on a line of its own counts as something else beside the type.
		if hasOwnLine := func(n *yaml.Node) bool { return n.HeadComment+n.FootComment != "" }; hasOwnLine(&doc) || hasOwnLine(n) ||
			slices.ContainsFunc(n.Content, hasOwnLine) {
			return arc.CWLType{}, errCWLForm
		}
		if n.Kind == yaml.SequenceNode && n.Anchor != "" {
			return arc.CWLType{}, errCWLForm
		}
	default:
		return arc.CWLType{}, errCWLForm
	}
	return decodeCWLType(n, 0)
}

var cwlNames = map[string]arc.CWLTypeKind{
	"File": arc.CWLFile, "Directory": arc.CWLDirectory, "string": arc.CWLString, "int": arc.CWLInt,
	"long": arc.CWLLong, "float": arc.CWLFloat, "double": arc.CWLDouble, "boolean": arc.CWLBoolean,
	"null": arc.CWLNull, "stdout": arc.CWLStdout,
}

// namedCWLType reads a name, which [] makes an array and a final ? optional.
func namedCWLType(text string) (arc.CWLType, error) {
	name, optional := text, strings.HasSuffix(text, "?")
	if optional {
		name = strings.ReplaceAll(text, "?", "")
	}
	dimensions := 0
	for strings.HasSuffix(name, "[]") {
		name = name[:len(name)-2]
		if dimensions++; dimensions > maxCWLDepth {
			return arc.CWLType{}, errCWLDepth
		}
	}
	kind, ok := cwlNames[name]
	if !ok {
		return arc.CWLType{}, errCWLType
	}
	t := arc.CWLType{Kind: kind}
	for range dimensions {
		items := t
		t = arc.CWLType{Kind: arc.CWLArray, Items: &items}
	}
	if optional {
		t = arc.CWLType{Kind: arc.CWLUnion, Members: []arc.CWLType{{Kind: arc.CWLNull}, t}}
	}
	return t, nil
}

func decodeCWLType(n *yaml.Node, depth int) (arc.CWLType, error) {
	if depth > maxCWLDepth {
		return arc.CWLType{}, errCWLDepth
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return namedCWLType(n.Value)
	case yaml.SequenceNode:
		union := arc.CWLType{Kind: arc.CWLUnion}
		for _, member := range n.Content {
			t, err := decodeCWLType(member, depth+1)
			if err != nil {
				return union, err
			}
			union.Members = append(union.Members, t)
		}
		return union, nil
	case yaml.MappingNode:
		return decodeCWLMapping(n, depth)
	default:
		return arc.CWLType{}, errCWLForm
	}
}

func decodeCWLMapping(n *yaml.Node, depth int) (arc.CWLType, error) {
	kind := yamlField(n, "type")
	if kind == nil {
		return arc.CWLType{}, errCWLForm
	}
	if kind.Kind != yaml.ScalarNode {
		return decodeCWLType(kind, depth+1)
	}
	switch kind.Value {
	case "record":
		fields, err := decodeCWLFields(yamlField(n, "fields"), depth)
		if err != nil && !errors.Is(err, errCWLMissing) && !errors.Is(err, errCWLDepth) {
			fields, err = nil, nil // the reference library loses all fields when one is of an unknown type
		}
		return withNotes(arc.CWLType{Kind: arc.CWLRecord, Fields: fields}, n, err, "label", "doc", "name")
	case "enum":
		symbols, err := decodeCWLSymbols(yamlField(n, "symbols"))
		return withNotes(arc.CWLType{Kind: arc.CWLEnum, Symbols: symbols}, n, err, "label", "doc", "name")
	case "array":
		items := yamlField(n, "items")
		if items == nil {
			return arc.CWLType{}, errCWLMissing
		}
		of, err := decodeCWLType(items, depth+1)
		return withNotes(arc.CWLType{Kind: arc.CWLArray, Items: &of}, n, err, "label", "doc", "name")
	case "File", "Directory":
		return withNotes(arc.CWLType{Kind: arc.CWLTypeKind(kind.Value)}, n, nil)
	default:
		return namedCWLType(kind.Value)
	}
}

// decodeCWLSymbols reads the symbols of an enum.
func decodeCWLSymbols(n *yaml.Node) ([]string, error) {
	if n == nil {
		return nil, errCWLMissing
	}
	if n.Kind != yaml.SequenceNode {
		return nil, errCWLForm
	}
	var symbols []string
	for _, s := range n.Content {
		if s.Kind != yaml.ScalarNode {
			return nil, errCWLForm
		}
		symbols = append(symbols, s.Value)
	}
	return symbols, nil
}

// decodeCWLFields reads the fields of a record: a list of name and type or a map of these.
func decodeCWLFields(n *yaml.Node, depth int) ([]arc.CWLField, error) {
	var pairs [][2]*yaml.Node
	switch {
	case n == nil:
	case n.Kind == yaml.SequenceNode:
		for _, f := range n.Content {
			name, of := yamlField(f, "name"), yamlField(f, "type")
			if name == nil || of == nil {
				return nil, errCWLMissing
			}
			pairs = append(pairs, [2]*yaml.Node{name, f})
		}
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			pairs = append(pairs, [2]*yaml.Node{n.Content[i], n.Content[i+1]})
		}
	}
	var fields []arc.CWLField
	for _, pair := range pairs {
		name, of := pair[0], pair[1]
		if n.Kind == yaml.SequenceNode {
			of = yamlField(of, "type")
		}
		is, err := decodeCWLType(of, depth+1)
		if err != nil {
			return nil, err
		}
		notes, err := decodeCWLNotes(pair[1], []string{"name", "type"}, "doc", "label")
		if err != nil {
			return nil, err
		}
		if name.Kind != yaml.ScalarNode {
			return nil, errCWLForm
		}
		fields = append(fields, arc.CWLField{Name: name.Value, Type: is, Notes: notes})
	}
	return fields, nil
}

// withNotes gives a type with what else its mapping says, unless there was an error.
func withNotes(t arc.CWLType, n *yaml.Node, err error, texts ...string) (arc.CWLType, error) {
	if err != nil {
		return t, err
	}
	t.Notes, err = decodeCWLNotes(n, []string{"type", "class", "items", "symbols", "fields"}, texts...)
	return t, err
}

// decodeCWLNotes reads what a mapping says besides the known fields: first some that have to be texts, then all others in
// their order.
func decodeCWLNotes(n *yaml.Node, known []string, texts ...string) ([]arc.CWLNote, error) {
	var notes []arc.CWLNote
	for _, key := range texts {
		value := yamlField(n, key)
		if value == nil {
			continue
		}
		if value.Kind != yaml.ScalarNode {
			return nil, errCWLForm
		}
		notes = append(notes, arc.CWLNote{Key: key, Value: arc.CWLValue{Text: value.Value}})
	}
	if n.Kind != yaml.MappingNode {
		return notes, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; !slices.Contains(known, key) && !slices.Contains(texts, key) {
			notes = append(notes, arc.CWLNote{Key: key, Value: decodeCWLValue(n.Content[i+1])})
		}
	}
	return notes, nil
}

// decodeCWLValue reads a value of any kind.
func decodeCWLValue(n *yaml.Node) arc.CWLValue {
	switch n.Kind {
	case yaml.SequenceNode:
		list := make([]arc.CWLValue, len(n.Content))
		for i, item := range n.Content {
			list[i] = decodeCWLValue(item)
		}
		return arc.CWLValue{List: list}
	case yaml.MappingNode:
		fields := []arc.CWLNote{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			fields = append(fields, arc.CWLNote{Key: n.Content[i].Value, Value: decodeCWLValue(n.Content[i+1])})
		}
		return arc.CWLValue{Fields: fields}
	default:
		return arc.CWLValue{Text: plainScalar(n)}
	}
}

// plainScalar gives the text of a scalar, truth values and numbers in their usual form unless they are in quotes.
func plainScalar(n *yaml.Node) string {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return n.Value
	}
	if lower := strings.ToLower(n.Value); lower == "true" || lower == "false" {
		return lower
	}
	if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
		return strconv.FormatInt(i, 10)
	}
	if d, ok := strings.CutPrefix(n.Value, "-"); ok || d != "" {
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && strings.Trim(d, "0123456789.eE+-") == "" {
			return strconv.FormatFloat(f, 'f', -1, 64)
		}
	}
	return n.Value
}

// yamlField gives the value of a field of a mapping.
func yamlField(n *yaml.Node, name string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}
