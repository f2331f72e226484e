package setting

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// assignNode sets the variable of s from the file.
func assignNode(s *Setting, n *yaml.Node) error {
	switch target := s.Target.(type) {
	case *[]string:
		return assignList(target, s.Member, n)
	case *map[string]string:
		return assignMap(target, n)
	}
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("must be %s, not %s", article(s.typeName()), kindName(n))
	}
	if s.isText() {
		if err := wantText(n, s.secret()); err != nil {
			return err
		}
	}
	return s.assignText(n.Value)
}

// isText reports whether the setting takes its text as it stands, so that
// what YAML reads as a number or boolean has to be quoted.
func (s *Setting) isText() bool {
	_, text := s.Target.(*string)
	return text || s.secret()
}

// hasElements reports whether the setting is a list or a mapping.
func (s *Setting) hasElements() bool {
	switch s.Target.(type) {
	case *[]string, *map[string]string:
		return true
	}
	return false
}

func wantText(n *yaml.Node, secret bool) error {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		return nil
	}
	if n.Kind == yaml.ScalarNode && !secret {
		return fmt.Errorf("must be text, but YAML reads it as %s; quote it: %q", kindName(n), shorten(n.Value))
	}
	if n.Kind == yaml.ScalarNode {
		return fmt.Errorf("must be text, but YAML reads it as %s; put it in quotes", kindName(n))
	}
	return fmt.Errorf("must be text, not %s", kindName(n))
}

// assignText sets the variable of s from a text without further type, as
// variables and credentials have it.
func (s *Setting) assignText(text string) error {
	switch target := s.Target.(type) {
	case *string:
		*target = text
		return nil
	case *bool:
		return quote(text, setBool(target, text))
	case *int:
		return quote(text, setInt(target, text))
	case *float64:
		return quote(text, setFloat(target, text))
	case *[]string:
		*target = splitList(text)
		return nil
	case *map[string]string:
		return errors.New("is a mapping and cannot be given as one text; give its entries one by one")
	case Value:
		err := target.Set(text)
		if s.secret() {
			return err
		}
		return quote(text, err)
	}
	panic(fmt.Sprintf("setting %s: no type %T", s.Path, s.Target))
}

func quote(text string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%q %w", shorten(text), err)
}

func setBool(target *bool, text string) error {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "yes", "on", "1", "t", "y":
		*target = true
	case "false", "no", "off", "0", "f", "n":
		*target = false
	default:
		return errors.New("is neither true nor false")
	}
	return nil
}

// setInt takes what the former configuration took for an integer: blanks
// around, underscores between digits, leading zeros, and a floating point
// number without fraction.
func setInt(target *int, text string) error {
	var f float64
	if err := setFloat(&f, text); err != nil {
		return errors.New("is not an integer")
	}
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return errors.New("is not an integer of a usable size")
	}
	*target = int(f)
	return nil
}

func setFloat(target *float64, text string) error {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "_") || strings.HasSuffix(text, "_") || strings.Contains(text, "__") {
		return errors.New("is not a number")
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || strings.ContainsAny(text, "xXpP") {
		return errors.New("is not a number")
	}
	*target = f
	return nil
}

// splitList reads a list from one variable: elements separated by commas.
func splitList(text string) []string {
	var list []string
	for element := range strings.SplitSeq(text, ",") {
		if element = strings.TrimSpace(element); element != "" {
			list = append(list, element)
		}
	}
	return list
}

func assignList(target *[]string, member string, n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return fmt.Errorf("must be a list, not %s; write it as [a, b]", kindName(n))
	}
	list := make([]string, 0, len(n.Content))
	for i, element := range n.Content {
		element = resolve(element)
		if element.Kind == yaml.MappingNode && member != "" {
			value := find(element, member)
			if value == nil {
				return fmt.Errorf("element %d (line %d) has no %s", i+1, element.Line, member)
			}
			element = value
		}
		if err := wantText(element, false); err != nil {
			return fmt.Errorf("element %d (line %d) %w", i+1, element.Line, err)
		}
		list = append(list, element.Value)
	}
	*target = list
	return nil
}

// find gives a member of a mapping, nil if there is none.
func find(n *yaml.Node, member string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == member {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

func assignMap(target *map[string]string, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("must be a mapping, not %s; write it as {name: value}", kindName(n))
	}
	m := make(map[string]string, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		for _, part := range []*yaml.Node{key, value} {
			if err := wantText(part, false); err != nil {
				return fmt.Errorf("entry in line %d %w", part.Line, err)
			}
		}
		if _, twice := m[key.Value]; twice {
			return fmt.Errorf("entry %q is given twice, again in line %d", shorten(key.Value), key.Line)
		}
		m[key.Value] = value.Value
	}
	*target = m
	return nil
}

func article(noun string) string {
	if strings.HasPrefix(noun, "integer") {
		return "an " + noun
	}
	if noun == "text" || strings.HasPrefix(noun, "one of") || strings.HasPrefix(noun, "true") || strings.HasPrefix(noun, "secret") {
		return noun
	}
	return "a " + noun
}

// defaultNodes reads the defaults of the table that are more than a plain scalar, by
// path. They are written as in the file. One parser reads them all, since making one
// takes longer, and more memory, than what it reads.
func (t *Table) defaultNodes() map[string]yaml.Node {
	var text strings.Builder
	for i := range t.Settings {
		if s := &t.Settings[i]; s.wantsParser() {
			fmt.Fprintf(&text, "%q: %s\n", s.Path, s.Default)
		}
	}
	nodes := map[string]yaml.Node{}
	if err := yaml.Unmarshal([]byte(text.String()), &nodes); err != nil {
		panic(fmt.Sprintf("defaults of settings: %v", err))
	}
	return nodes
}

// wantsParser reports whether the default is more than a plain scalar.
func (s *Setting) wantsParser() bool {
	return s.Default != "" && (s.hasElements() || strings.ContainsAny(s.Default[:1], `"'`))
}
