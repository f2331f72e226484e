package rocrate

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairagro/middleware-api/internal/arc"
)

// Errors about types of CWL.
var (
	errCWLType  = errors.New("unknown type")
	errCWLDepth = errors.New("nested too deeply")
	errCWLForm  = errors.New("not flow-style YAML")
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
	if len(text) > maxCWLLength || !isBracketed(arc.TrimSpace(text)) {
		return arc.CWLType{}, errCWLForm
	}
	if strings.Count(text, "[")+strings.Count(text, "{") > 1000 {
		return arc.CWLType{}, errCWLDepth
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		n, err := parseLooseFlow(text)
		if err != nil || strings.HasSuffix(text, "?") {
			return arc.CWLType{}, errCWLForm
		}
		return decodeCWLType(n, 0)
	}
	if doc.Content[0].Kind == yaml.ScalarNode {
		return arc.CWLType{}, errCWLType // a name counts as it is written, without quotes and comments
	}
	return decodeCWLType(doc.Content[0], 0)
}

// isBracketed says whether a text begins with a bracket and ends with its counterpart. YAML itself would let
// something follow.
func isBracketed(text string) bool {
	return strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") ||
		strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}")
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
		return decodeCWLRecord(n, depth)
	case "enum":
		symbols := yamlField(n, "symbols")
		if symbols == nil || symbols.Kind != yaml.SequenceNode {
			return arc.CWLType{}, errCWLForm
		}
		t := arc.CWLType{Kind: arc.CWLEnum}
		for _, s := range symbols.Content {
			if s.Kind != yaml.ScalarNode {
				return t, errCWLForm
			}
			t.Symbols = append(t.Symbols, s.Value)
		}
		return t, nil
	case "array":
		items := yamlField(n, "items")
		if items == nil {
			return arc.CWLType{}, errCWLForm
		}
		of, err := decodeCWLType(items, depth+1)
		return arc.CWLType{Kind: arc.CWLArray, Items: &of}, err
	default:
		return namedCWLType(kind.Value)
	}
}

// decodeCWLRecord reads a record, whose fields are a list of name and type or a map of these.
func decodeCWLRecord(n *yaml.Node, depth int) (arc.CWLType, error) {
	t := arc.CWLType{Kind: arc.CWLRecord}
	fields := yamlField(n, "fields")
	if fields == nil {
		return t, nil
	}
	add := func(name, of *yaml.Node) error {
		if name == nil || of == nil || name.Kind != yaml.ScalarNode {
			return errCWLForm
		}
		is, err := decodeCWLType(of, depth+1)
		t.Fields = append(t.Fields, arc.CWLField{Name: name.Value, Type: is})
		return err
	}
	switch fields.Kind {
	case yaml.SequenceNode:
		for _, f := range fields.Content {
			if err := add(yamlField(f, "name"), yamlField(f, "type")); err != nil {
				return t, err
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(fields.Content); i += 2 {
			if err := add(fields.Content[i], fields.Content[i+1]); err != nil {
				return t, err
			}
		}
	default:
		return t, errCWLForm
	}
	return t, nil
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
