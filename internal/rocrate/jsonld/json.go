package jsonld

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// errFraction says that a value object holds a number that has no form.
var errFraction = errors.New("the node has a value object with a number that is no integer of 32 bits")

// AppendJSON appends the node as compact JSON, as the reference library keeps nodes
// in texts: @id, @type, additionalType, then the properties in their order; keys that are numbers come before all.
// Numbers that are no integers of 32 bits become texts.
func (n Node) AppendJSON(dst []byte) ([]byte, error) {
	type numbered struct {
		number   uint64
		property []byte
	}
	var first []numbered
	var properties []byte
	var err error
	for key, vs := range n.keys() {
		switch lower := strings.ToLower(key); {
		case lower == "id", lower == "schematype", lower == "additionaltype", lower == "@context",
			strings.HasPrefix(lower, "init@"), strings.HasPrefix(lower, "init_"):
			continue
		}
		if number, ok := elementNumber(key); ok {
			property, err := n.graph.appendProperty(nil, key, vs)
			if err != nil {
				return dst, err
			}
			first = append(first, numbered{number, property})
			continue
		}
		if properties, err = n.graph.appendProperty(append(properties, ','), key, vs); err != nil {
			return dst, err
		}
	}
	slices.SortFunc(first, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	dst = append(dst, '{')
	for _, p := range first {
		dst = append(append(dst, p.property...), ',')
	}
	dst = jsondoc.AppendString(append(dst, `"@id":`...), n.ID())
	dst = appendTexts(append(dst, `,"@type":`...), n.member(codeType))
	if additional := n.member(codeAdditional); !isAbsent(additional) && (additional.Kind() != jsondoc.Array || additional.First().Exists()) {
		dst = appendTexts(append(dst, `,"additionalType":`...), additional)
	}
	if own := n.member(codeContext); !isAbsent(own) {
		dst = appendContext(append(dst, `,"@context":`...), own)
	}
	return append(append(dst, properties...), '}'), nil
}

func (g *Graph) appendProperty(dst []byte, key string, vs values) (_ []byte, err error) {
	dst = append(jsondoc.AppendString(dst, key), ':')
	if !vs.isList {
		return g.appendValue(dst, vs.single)
	}
	dst = append(dst, '[')
	for i, v := range vs.list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = g.appendValue(dst, v); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// appendContext appends a context: without what has no meaning in it, and a list of one without its brackets.
func appendContext(dst []byte, v jsondoc.Value) []byte {
	switch v.Kind() {
	case jsondoc.Array:
		var list [][]byte
		for _, element := range v.Elements() {
			list = append(list, appendContext(nil, element))
		}
		switch len(list) {
		case 0:
			return append(dst, "{}"...)
		case 1:
			return append(dst, list[0]...)
		}
		dst = append(append(dst, '['), bytes.Join(list, []byte{','})...)
		return append(dst, ']')
	case jsondoc.Object:
		dst = append(dst, '{')
		first := true
		for _, m := range inOrder(v.UniqueMembers()) {
			if m.Name == "@id" || m.Name == "@type" {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = m.Value.AppendCompact(append(jsondoc.AppendString(dst, m.Name), ':'))
		}
		return append(dst, '}')
	default:
		if b, _ := builtinContext(v.Text()); b == context12() {
			return append(dst, `"https://w3id.org/ro/crate/1.2/context"`...)
		}
		return v.AppendCompact(dst)
	}
}

// appendTexts appends a text or an array of texts, an array of one as a text.
func appendTexts(dst []byte, v jsondoc.Value) []byte {
	if v.Kind() == jsondoc.String {
		return jsondoc.AppendString(dst, v.Text())
	}
	var list []string
	for text := range texts(v) {
		list = append(list, text.Text())
	}
	if len(list) == 1 {
		return jsondoc.AppendString(dst, list[0])
	}
	dst = append(dst, '[')
	for i, text := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsondoc.AppendString(dst, text)
	}
	return append(dst, ']')
}

func (g *Graph) appendValue(dst []byte, v jsondoc.Value) ([]byte, error) {
	switch v.Kind() {
	case jsondoc.String:
		return jsondoc.AppendString(dst, v.Text()), nil
	case jsondoc.Int, jsondoc.Float:
		return appendNumber(dst, v), nil
	case jsondoc.Array:
		return g.appendArray(dst, v)
	case jsondoc.Object:
		return g.appendObject(dst, v)
	default:
		return v.AppendCompact(dst), nil
	}
}

func (g *Graph) appendArray(dst []byte, v jsondoc.Value) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, element := range v.Elements() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = g.appendValue(dst, element); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func (g *Graph) appendObject(dst []byte, v jsondoc.Value) (_ []byte, err error) {
	s := shapeOf(v)
	kind := s.kind()
	if _, flat := g.flattened[uint32(v.Offset())]; flat && kind == inlineNode {
		kind = reference
	}
	switch kind {
	case valueObject:
		return appendValueObject(dst, s)
	case inlineNode:
		return g.newNode(v).AppendJSON(dst)
	case reference:
		return append(jsondoc.AppendString(append(dst, `{"@id":`...), s.id.Text()), '}'), nil
	default:
	}
	dst = append(dst, '{')
	first := true
	for _, m := range inOrder(v.UniqueMembers()) {
		if m.Value.Kind() == jsondoc.Null || isHidden(m.Name) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(jsondoc.AppendString(dst, m.Name), ':')
		if dst, err = g.appendValue(dst, m.Value); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// isHidden says whether a key is one that the reference library keeps for its own use, so that it gets
// lost.
func isHidden(key string) bool {
	return len(key) == len("properties") && strings.EqualFold(key, "properties")
}

// inOrder puts members in the order of ECMAScript, whose objects begin with the keys that are numbers of
// array elements.
func inOrder(members []jsondoc.Member) []jsondoc.Member {
	isNumbered := func(m jsondoc.Member) bool { _, ok := elementNumber(m.Name); return ok }
	if slices.ContainsFunc(members, isNumbered) {
		slices.SortStableFunc(members, func(a, b jsondoc.Member) int {
			first, isFirst := elementNumber(a.Name)
			second, isSecond := elementNumber(b.Name)
			switch {
			case isFirst && isSecond:
				return cmp.Compare(first, second)
			case isFirst:
				return -1
			case isSecond:
				return 1
			}
			return 0
		})
	}
	return members
}

// elementNumber gives the number of an array element that a key stands for in ECMAScript, if it does.
func elementNumber(key string) (uint64, bool) {
	if key == "" || key[0] < '0' || key[0] > '9' || len(key) > 1 && key[0] == '0' {
		return 0, false
	}
	const most = 1<<32 - 2
	n, err := strconv.ParseUint(key, 10, 32)
	return n, err == nil && n <= most
}

func appendValueObject(dst []byte, s shape) ([]byte, error) {
	dst = append(dst, `{"@value":`...)
	if s.value.Kind() == jsondoc.String {
		dst = jsondoc.AppendString(dst, s.value.Text())
	} else {
		n, ok := int32Of(s.value)
		if !ok {
			return dst, errFraction
		}
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	kind := "string"
	if s.types.Kind() == jsondoc.String {
		kind = s.types.Text()
	}
	dst = append(dst, `,"@type":`...)
	return append(jsondoc.AppendString(dst, kind), '}'), nil
}

// int32Of gives a number as an integer of 32 bits, if it is one.
func int32Of(v jsondoc.Value) (int32, bool) {
	f := v.Float()
	if f != math.Trunc(f) || f < math.MinInt32 || f > math.MaxInt32 {
		return 0, false
	}
	return int32(f), true
}

// appendNumber appends an integer of 32 bits as it is and any other number as a text: integers of 64 bits with
// all their digits, others with as few as tell them apart, and an exponent only beyond 28 places.
func appendNumber(dst []byte, v jsondoc.Value) []byte {
	if n, ok := int32Of(v); ok {
		return strconv.AppendInt(dst, int64(n), 10)
	}
	f := v.Float()
	dst = append(dst, '"')
	text := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	const places = 28
	switch e, _ := strconv.Atoi(exponent); {
	case f == math.Trunc(f) && f >= math.MinInt64 && f < 1<<63:
		dst = strconv.AppendInt(dst, int64(f), 10)
	case -places <= e && e <= places:
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	default:
		dst = append(dst, mantissa+"e"+exponent[:1]+strings.TrimLeft(exponent[1:], "0")...)
	}
	return append(dst, '"')
}
