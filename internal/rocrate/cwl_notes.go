package rocrate

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairagro/middleware-api/internal/arc"
)

// withNotes gives a schema with what else its mapping says, unless there was an error.
func withNotes(t arc.CWLType, n *yaml.Node, err error, known ...string) (arc.CWLType, error) {
	if err != nil {
		return t, err
	}
	t.Notes, err = decodeCWLNotes(n, known, "label", "doc", "name")
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
		text, err := decodeCWLText(value)
		if err != nil {
			return nil, err
		}
		notes = append(notes, arc.CWLNote{Key: key, Value: text})
	}
	others, err := otherNotes(n, slices.Concat(known, texts))
	return append(notes, others...), err
}

// otherNotes gives the fields of a mapping that are not known.
func otherNotes(n *yaml.Node, known []string) ([]arc.CWLNote, error) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	if hasFieldTwice(n, known) {
		return nil, errCWLTwice
	}
	var notes []arc.CWLNote
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if slices.Contains(known, key) || isEmptyScalar(value) {
			continue
		}
		is, err := decodeCWLValue(value)
		if err != nil {
			return nil, err
		}
		notes = append(notes, arc.CWLNote{Key: key, Value: is})
	}
	return notes, nil
}

// objectFields are the fields of the objects File and Directory of CWL, in the order in which they are written.
var objectFields = map[arc.CWLTypeKind][]string{
	arc.CWLFile: {
		"location", "path", "basename", "dirname", "nameroot", "nameext", "checksum", "size", "secondaryFiles", "format", "contents",
	},
	arc.CWLDirectory: {"location", "path", "basename", "listing"},
}

// decodeCWLObject reads what the mapping of a File or Directory says: the fields that CWL knows in their order, then all others in
// theirs. Known fields are texts, but for a size in bytes and what is kept as it is written.
func decodeCWLObject(n *yaml.Node, kind arc.CWLTypeKind) ([]arc.CWLNote, error) {
	var notes []arc.CWLNote
	fields := objectFields[kind]
	for _, key := range fields {
		value := yamlField(n, key)
		if value == nil {
			continue
		}
		var (
			is  arc.CWLValue
			err error
		)
		switch key {
		case "secondaryFiles", "listing":
			is, err = writtenCWLValue(value)
		case "size":
			is, err = decodeCWLSize(value)
		default:
			is, err = decodeCWLText(value)
		}
		if err != nil {
			return nil, err
		}
		notes = append(notes, arc.CWLNote{Key: key, Value: is})
	}
	others, err := otherNotes(n, append([]string{"type", "class"}, fields...))
	return append(notes, others...), err
}

func decodeCWLText(n *yaml.Node) (arc.CWLValue, error) {
	if n.Kind != yaml.ScalarNode || n.HeadComment != "" {
		return arc.CWLValue{}, errCWLForm
	}
	return arc.CWLValue{Text: scalarText(n)}, nil
}

// decodeCWLSize reads a number of bytes.
func decodeCWLSize(n *yaml.Node) (arc.CWLValue, error) {
	text, err := decodeCWLText(n)
	if err != nil {
		return text, err
	}
	size, ok := parseInteger(text.Text, 64)
	if !ok {
		return text, errCWLForm
	}
	return arc.CWLValue{Text: strconv.FormatInt(size, 10)}, nil
}

// decodeCWLValue reads a value of any kind.
func decodeCWLValue(n *yaml.Node) (arc.CWLValue, error) { return cwlValue(n, false) }

// writtenCWLValue reads a value of any kind that is kept as it is written, texts with their quotes. Only comments, anchors and tags
// get lost.
func writtenCWLValue(n *yaml.Node) (arc.CWLValue, error) { return cwlValue(n, true) }

func cwlValue(n *yaml.Node, written bool) (arc.CWLValue, error) {
	switch n.Kind {
	case yaml.SequenceNode:
		nothing := arc.CWLValue{Fields: []arc.CWLNote{}} // what the reference library takes a comment for
		if !written && (n.LineComment != "" || beginsWithComment(n)) {
			return nothing, nil
		}
		list := make([]arc.CWLValue, 0, len(n.Content))
		for _, item := range n.Content {
			if !written && item.HeadComment != "" {
				list = append(list, nothing)
			}
			value, err := cwlValue(item, written)
			if err != nil {
				return nothing, err
			}
			list = append(list, value)
		}
		return arc.CWLValue{List: list, Written: written}, nil
	case yaml.MappingNode:
		fields, err := cwlFields(n, written)
		return arc.CWLValue{Fields: fields, Written: written}, err
	default:
		if written {
			return arc.CWLValue{Text: quotedScalar(n), Written: true}, nil
		}
		return arc.CWLValue{Text: plainScalar(n)}, nil
	}
}

// cwlFields reads the fields of a value. Those without a value are kept only as they are written.
func cwlFields(n *yaml.Node, written bool) ([]arc.CWLNote, error) {
	fields := []arc.CWLNote{}
	if !written && hasFieldTwice(n, nil) {
		return fields, errCWLTwice
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !written && isEmptyScalar(n.Content[i+1]) {
			continue
		}
		value, err := cwlValue(n.Content[i+1], written)
		if err != nil {
			return fields, err
		}
		fields = append(fields, arc.CWLNote{Key: n.Content[i].Value, Value: value})
	}
	return fields, nil
}

// quotedScalar gives the text of a scalar in the quotes it has.
func quotedScalar(n *yaml.Node) string {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return `"` + doubleQuoted.Replace(n.Value) + `"`
	case n.Style&yaml.SingleQuotedStyle != 0:
		return "'" + strings.ReplaceAll(n.Value, "'", "''") + "'"
	}
	return n.Value
}

var doubleQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`, "\n", `\n`)

// plainScalar gives the text of a scalar, truth values and numbers in their usual form unless they are in quotes.
func plainScalar(n *yaml.Node) string {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return scalarText(n)
	}
	if lower := strings.ToLower(n.Value); lower == "true" || lower == "false" {
		return lower
	}
	if i, ok := parseInteger(n.Value, 64); ok {
		return strconv.FormatInt(i, 10)
	}
	if decimal := strings.Replace(n.Value, "_", "", 1); strings.Trim(decimal, "0123456789.eE+-") == "" {
		if f, err := strconv.ParseFloat(decimal, 64); err == nil || math.IsInf(f, 0) {
			return arc.FormatNumber(f)
		}
	}
	return n.Value
}

// scalarText gives the text of a scalar. Two apostrophes are a line break for the reference library.
func scalarText(n *yaml.Node) string {
	if n.Value == "" && n.Style&yaml.SingleQuotedStyle != 0 {
		return "\n"
	}
	return n.Value
}

// isEmptyScalar says whether there is nothing behind a key. Such a field counts as absent.
func isEmptyScalar(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0
}

// hasFieldTwice says whether a mapping has a field twice, apart from those that are known: of these the first counts.
func hasFieldTwice(n *yaml.Node, known []string) bool {
	seen := map[string]bool{}
	for pair := range slices.Chunk(n.Content, 2) {
		key := pair[0].Value
		if isEmptyScalar(pair[1]) || slices.Contains(known, key) {
			continue
		}
		if seen[key] {
			return true
		}
		seen[key] = true
	}
	return false
}

// yamlField gives the value of a field of a mapping, nil if there is none.
func yamlField(n *yaml.Node, name string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if value := n.Content[i+1]; n.Content[i].Value == name && !isEmptyScalar(value) {
			return value
		}
	}
	return nil
}
