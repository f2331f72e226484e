package rocrate

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/fairagro/middleware-api/internal/arc"
)

// Errors about types of CWL.
var (
	errCWLType  = errors.New("unknown type")
	errCWLDepth = errors.New("nested too deeply")
	errCWLForm  = errors.New("not a type in YAML")

	errCWLMissing = errors.New("a field of it is missing")
	errCWLTwice   = errors.New("a field of it is given twice")
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
	if rest := withoutDirectives(text); rest != text {
		return parseCWLType(rest)
	}
	if strings.Count(text, "[")+strings.Count(text, "{") > 1000 {
		return arc.CWLType{}, errCWLDepth
	}
	if before := text[:len(text)-len(strings.TrimLeft(text, " \r\n"))]; strings.HasSuffix(before, " ") {
		return arc.CWLType{}, errCWLForm // the first line that is not blank must not be indented
	}
	trimmed := arc.TrimSpace(text)
	if strings.HasPrefix(trimmed, "[") || strings.HasPrefix(trimmed, "{") {
		return parseFlow(text)
	}
	return parseBlock(trimmed)
}

// withoutDirectives cuts off the directives of YAML (%YAML 1.2) that a text begins with.
func withoutDirectives(text string) string {
	for {
		line, rest, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), "\n")
		if !strings.HasPrefix(arc.TrimSpace(line), "%") {
			return text
		}
		text = rest
	}
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
	if hasRefusedValue(doc.Content[0], false) {
		return arc.CWLType{}, errCWLForm
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
	doc, err := decodeYAML(text)
	if err != nil {
		if doc, err = decodeYAML(bareValue().ReplaceAllStringFunc(text, quoteValue)); err == nil {
			unquote(doc)
		}
	}
	if err != nil || hasRefusedValue(doc.Content[0], false) {
		return arc.CWLType{}, errCWLForm
	}
	n := doc.Content[0]
	fillEmpty(n)
	if n.Kind != yaml.MappingNode && hasCommentLine(doc) || n.Kind == yaml.SequenceNode && n.Anchor != "" {
		return arc.CWLType{}, errCWLForm
	}
	return decodeCWLType(n, 0)
}

// decodeYAML parses a text that is one document.
func decodeYAML(text string) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(strings.NewReader(text + "\n"))
	var doc, more yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		return nil, err
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errCWLForm
	}
	return &doc, nil
}

// bareValue finds lines like "doc: see: there", "- @x" and "items: [int[], File?]", which are not YAML but what the reference library
// reads, and writes in part.
var bareValue = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("(?m)^( *(?:- )?\\w+: +)([^ '\"|>&*!\\[{#-].*: .*)$|^((?:---| *(?:- +)*)(?: *\\w+: +)?) *([@`%\\[{].*)$")
})

func quoteValue(line string) string {
	parts := bareValue().FindStringSubmatch(line)
	key := parts[1] + parts[3]
	value, comment, _ := strings.Cut(parts[2]+parts[4], " #")
	if strings.HasPrefix(value, "[") || strings.HasPrefix(value, "{") {
		if n, err := parseLooseFlow(value); err == nil && comment == "" {
			return key + " " + strictFlow(n)
		}
		return line
	}
	if comment != "" {
		comment = " #" + comment
	}
	return key + quoteBare(arc.TrimSpace(value)) + comment
}

// bareTag marks scalars that get quotes only for being parsed.
const bareTag = "!bare"

func quoteBare(text string) string { return bareTag + " '" + strings.ReplaceAll(text, "'", "''") + "'" }

// unquote takes quotes away that scalars got only for being parsed.
func unquote(n *yaml.Node) {
	if n.Tag == bareTag {
		n.Tag, n.Style = "", 0
	}
	for _, child := range n.Content {
		unquote(child)
	}
}

// strictFlow writes a node as YAML on one line.
func strictFlow(n *yaml.Node) string {
	parts := make([]string, len(n.Content))
	for i, child := range n.Content {
		parts[i] = strictFlow(child)
	}
	switch n.Kind {
	case yaml.SequenceNode:
		return "[" + strings.Join(parts, ", ") + "]"
	case yaml.MappingNode:
		pairs := make([]string, 0, len(parts)/2)
		for pair := range slices.Chunk(parts, 2) {
			pairs = append(pairs, strings.Join(pair, ": "))
		}
		return "{" + strings.Join(pairs, ", ") + "}"
	}
	switch {
	case n.Style == yaml.DoubleQuotedStyle:
		return `"` + n.Value + `"`
	case n.Style == yaml.SingleQuotedStyle:
		return "'" + n.Value + "'"
	case wordForm.MatchString(n.Value):
		return n.Value
	}
	return quoteBare(n.Value)
}

// wordForm is that of scalars that need no quotes anywhere.
var wordForm = regexp.MustCompile(`^\w[\w.-]*$`)

// hasRefusedValue says whether a field has a value that is YAML, but nothing that the reference library reads: none at all within
// braces, and one below a line with a comment, unless it is a field of the outermost mapping.
func hasRefusedValue(n *yaml.Node, inner bool) bool {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			if n.Style&yaml.FlowStyle != 0 && isEmptyScalar(child) || inner && beginsWithComment(child) {
				return true
			}
		}
		if hasRefusedValue(child, true) {
			return true
		}
	}
	return false
}

// beginsWithComment says whether a comment stands on a line of its own before a node.
func beginsWithComment(n *yaml.Node) bool {
	return n.HeadComment != "" || len(n.Content) > 0 && beginsWithComment(n.Content[0])
}

// hasCommentLine says whether a comment stands on a line of its own before or behind a node or one of its items, or behind the
// brackets of a list, where the reference library takes it for something else beside these.
func hasCommentLine(n *yaml.Node) bool {
	beside := func(n *yaml.Node) bool { return n.HeadComment+n.FootComment != "" }
	return beside(n) || n.Kind == yaml.SequenceNode && (n.LineComment != "" || slices.ContainsFunc(n.Content, beside))
}

// fillEmpty turns what has nothing behind its keys and dashes into what the reference library takes it for: a mapping of
// nothing but such fields into a text, such an item of a list into an empty mapping.
func fillEmpty(n *yaml.Node) {
	for _, child := range n.Content {
		if n.Kind == yaml.SequenceNode && isEmptyScalar(child) {
			child.Kind, child.Tag = yaml.MappingNode, ""
		}
		fillEmpty(child)
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return
	}
	lines := make([]string, 0, len(n.Content)/2)
	for pair := range slices.Chunk(n.Content, 2) {
		if !isEmptyScalar(pair[1]) {
			return
		}
		lines = append(lines, pair[0].Value+":")
	}
	n.Kind, n.Tag, n.Value, n.Content = yaml.ScalarNode, "", strings.Join(lines, "\n"), nil
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
	if n.Kind != yaml.MappingNode && hasCommentLine(n) {
		return arc.CWLType{}, errCWLForm
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
		if errors.Is(err, errCWLType) || errors.Is(err, errCWLForm) {
			fields, err = nil, nil // the reference library loses all fields when one is of an unknown type
		}
		return withNotes(arc.CWLType{Kind: arc.CWLRecord, Fields: fields}, n, err, "type", "fields")
	case "enum":
		symbols, err := decodeCWLSymbols(yamlField(n, "symbols"))
		return withNotes(arc.CWLType{Kind: arc.CWLEnum, Symbols: symbols}, n, err, "type", "symbols")
	case "array":
		items := yamlField(n, "items")
		if items == nil {
			return arc.CWLType{}, errCWLMissing
		}
		of, err := decodeCWLType(items, depth+1)
		return withNotes(arc.CWLType{Kind: arc.CWLArray, Items: &of}, n, err, "type", "items")
	case "File", "Directory", "File?", "Directory?":
		name, isOptional := strings.CutSuffix(kind.Value, "?")
		notes, err := decodeCWLObject(n, arc.CWLTypeKind(name))
		t := arc.CWLType{Kind: arc.CWLTypeKind(name), Notes: notes}
		if isOptional {
			t = arc.CWLType{Kind: arc.CWLUnion, Members: []arc.CWLType{{Kind: arc.CWLNull}, t}}
		}
		return t, err
	default:
		return namedCWLType(kind.Value)
	}
}

// decodeCWLSymbols reads the symbols of an enum.
func decodeCWLSymbols(n *yaml.Node) ([]string, error) {
	if n == nil {
		return nil, errCWLMissing
	}
	if n.Kind != yaml.SequenceNode || hasCommentLine(n) {
		return nil, errCWLForm
	}
	var symbols []string
	for _, s := range n.Content {
		if s.Kind != yaml.ScalarNode {
			return nil, errCWLForm
		}
		symbols = append(symbols, scalarText(s))
	}
	return symbols, nil
}

// decodeCWLFields reads the fields of a record: a list of name and type or a map of these.
func decodeCWLFields(n *yaml.Node, depth int) ([]arc.CWLField, error) {
	var pairs [][2]*yaml.Node
	switch {
	case n == nil:
	case n.Kind == yaml.SequenceNode:
		if n.LineComment != "" {
			return nil, errCWLForm
		}
		for i, f := range n.Content {
			switch {
			case f.HeadComment == "":
			case i == 0:
				return nil, errCWLForm
			default:
				return nil, errCWLMissing
			}
			name, of := yamlField(f, "name"), yamlField(f, "type")
			if name == nil || of == nil {
				return nil, errCWLMissing
			}
			pairs = append(pairs, [2]*yaml.Node{name, f})
		}
	case n.Kind == yaml.MappingNode:
		if hasFieldTwice(n, nil) {
			return nil, errCWLTwice
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !isEmptyScalar(n.Content[i+1]) {
				pairs = append(pairs, [2]*yaml.Node{n.Content[i], n.Content[i+1]})
			}
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
		fields = append(fields, arc.CWLField{Name: scalarText(name), Type: is, Notes: notes})
	}
	return fields, nil
}
