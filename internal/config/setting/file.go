package setting

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is what the file says about the settings of a table.
type document struct {
	name     string
	values   map[string]*yaml.Node // by path of the setting
	sections map[string]*yaml.Node // sections that are there as a mapping
	former   map[string]*yaml.Node // what has another name now, by its path
	problems []Problem
}

func newDocument(name string) *document {
	return &document{name: name, values: map[string]*yaml.Node{}, sections: map[string]*yaml.Node{}, former: map[string]*yaml.Node{}}
}

var (
	yamlLine  = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	yamlQuote = regexp.MustCompile("`[^`]*`|anchor '[^']*'") // a password may begin with *
)

// parse finds the settings of the table in a file.
func (t *Table) parse(name string, data []byte) *document {
	doc := newDocument(name)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := decoder.Decode(&root); err != nil {
		if !errors.Is(err, io.EOF) {
			doc.syntax(err)
		}
		return doc
	}
	var more yaml.Node
	if err := decoder.Decode(&more); err == nil {
		doc.problem(&more, "", "a second document begins here", "keep everything in one document")
	} else if !errors.Is(err, io.EOF) {
		doc.syntax(err)
	}
	if len(root.Content) == 1 && !isNull(root.Content[0]) {
		t.walk(doc, root.Content[0], "", 0)
	}
	for _, old := range t.Retired {
		if n := doc.former[old.Path]; n != nil {
			t.rename(doc, n, old.Became)
		}
	}
	return doc
}

// rename takes what has the path to now: a value or a section. What is there under
// that path already stays.
func (t *Table) rename(doc *document, n *yaml.Node, to string) {
	moved := newDocument(doc.name)
	if t.section(to) != nil {
		t.walk(moved, n, to, 1)
	} else {
		moved.values[to] = n
	}
	doc.problems = append(doc.problems, moved.problems...)
	maps.Copy(moved.values, doc.values)
	maps.Copy(moved.sections, doc.sections)
	doc.values, doc.sections = moved.values, moved.sections
}

// Sketch tells which sections a file has as a mapping, without reading values.
func (t *Table) Sketch(name string, data []byte) func(section string) bool {
	doc := t.parse(name, data)
	return func(section string) bool { return doc.sections[section] != nil }
}

// syntax turns an error of the YAML library into a problem with its line. What
// the library quotes from the file may be a secret and is left out.
func (d *document) syntax(err error) {
	p := Problem{Source: d.name, Text: err.Error()}
	if m := yamlLine.FindStringSubmatch(p.Text); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Text = p.Text[len(m[0]):]
	}
	p.Text = "not valid YAML: " + yamlQuote.ReplaceAllString(p.Text, "…")
	d.problems = append(d.problems, p)
}

func (d *document) problem(n *yaml.Node, path, text, remedy string) {
	d.problems = append(d.problems, Problem{Source: d.name, Line: n.Line, Path: path, Text: text, Remedy: remedy})
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

func resolve(n *yaml.Node) *yaml.Node {
	for depth := 0; n.Kind == yaml.AliasNode && n.Alias != nil && depth < 100; depth++ {
		n = n.Alias
	}
	return n
}

// walk collects one mapping: the file itself or a section.
func (t *Table) walk(doc *document, n *yaml.Node, section string, depth int) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode || depth > 8 {
		doc.problem(n, section, "must be a mapping of names to values, not "+kindName(n), "")
		return
	}
	if section != "" {
		doc.sections[section] = n
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		if key.ShortTag() == "!!merge" {
			doc.problem(key, section, "merge keys (<<) are not supported", "write the settings out")
			continue
		}
		path := key.Value
		if section != "" {
			path = section + "." + key.Value
		}
		if line, again := first[key.Value]; again {
			doc.problem(key, path, fmt.Sprintf("is given twice, first in line %d", line), "")
			continue
		}
		first[key.Value] = key.Line
		t.entry(doc, key, value, path, depth)
	}
}

// entry sorts one key into settings, sections, retired and unknown ones.
func (t *Table) entry(doc *document, key, value *yaml.Node, path string, depth int) {
	switch {
	case t.setting(path) != nil:
		if !isNull(value) {
			doc.values[path] = value
		} else if value.Anchor != "" && value.Value == "" { // a password may begin with &
			doc.problem(key, path, "is empty: YAML reads what begins with & as a name for something else", "put it in quotes")
		}
	case t.section(path) != nil:
		if !isNull(value) {
			t.walk(doc, value, path, depth+1)
		}
	case t.retired(path) != nil:
		old := t.retired(path)
		p := Problem{Source: doc.name, Line: key.Line, Path: path, Warning: true, Text: "is not used any more: " + old.Reason}
		if old.Became != "" {
			p.Text = "is called " + old.Became + " now"
			if !isNull(value) {
				doc.former[path] = value
			}
		}
		doc.problems = append(doc.problems, p)
	case t.former(path):
		if !isNull(value) {
			t.walk(doc, value, path, depth+1)
		}
	default:
		if name, _, glued := strings.Cut(path, ":"); glued { // what follows may be a secret
			doc.problem(key, name, "there is no blank after the colon", "")
			return
		}
		doc.problem(key, path, "unknown setting", t.meant(path))
	}
}

// meant suggests a known path for an unknown one: a similar name beside it,
// or the same name in another section.
func (t *Table) meant(path string) string {
	var beside, elsewhere []string
	for _, s := range t.Sections {
		if parent(s.Path) == parent(path) {
			beside = append(beside, s.Path)
		}
	}
	for _, s := range t.Settings {
		if parent(s.Path) == parent(path) {
			beside = append(beside, s.Path)
		}
		if leaf(s.Path) == leaf(path) {
			elsewhere = append(elsewhere, s.Path)
		}
	}
	if best := suggest(path, beside); best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	if len(elsewhere) > 0 {
		return "did you mean " + strings.Join(elsewhere, " or ") + "?"
	}
	return ""
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!str":
		return "text"
	}
	if kind, ok := strings.CutPrefix(n.ShortTag(), "!!"); ok {
		return "a value of type " + kind
	}
	return "a tag" // which may be a password that begins with !
}
