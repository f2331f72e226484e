package setting

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// width is the number of columns that texts for people are wrapped to.
const width = 78

// order lists the settings as they are presented: those at the top first,
// then section by section in the order of the table.
func (t *Table) order() []group {
	groups := make([]group, 1, 1+len(t.Sections))
	for _, s := range t.Sections {
		groups = append(groups, group{section: s})
	}
	for i := range t.Settings {
		for g := range groups {
			if groups[g].section.Path == parent(t.Settings[i].Path) {
				groups[g].settings = append(groups[g].settings, &t.Settings[i])
			}
		}
	}
	return groups
}

type group struct {
	section  Section // zero for the settings at the top
	settings []*Setting
}

// facts says in one line what may be written.
func (t *Table) facts(s *Setting) string {
	text := strings.ToUpper(s.typeName()[:1]) + s.typeName()[1:]
	if s.Rule.Words != "" {
		text += ", " + s.Rule.Words
	}
	text += ". "
	switch {
	case s.Default != "":
		text += "Default: " + s.Default + "."
	case s.Required:
		text += "Required."
	default:
		text += "Not set by default."
	}
	if s.Example != "" && (s.Default == "" || s.Default == "[]" || s.Default == "{}") {
		text += " Example: " + s.Example + "."
	}
	return text
}

// override says which variables and credentials set it.
func (t *Table) override(s *Setting) string {
	if _, is := s.Target.(*map[string]string); is {
		return "Variables: " + t.EnvName(s.Path) + "_NAME for each entry."
	}
	names := slices.DeleteFunc(t.envNames(s), func(name string) bool { return name[0] == '_' })
	text := "Variable: " + names[0]
	if len(names) > 1 {
		text += ", else " + strings.Join(names[1:], ", else ")
	}
	if len(s.Credentials) > 0 {
		text += ". Credential: " + strings.Join(s.Credentials, ", else ")
	}
	return text + "."
}

// shown gives the value that stands in the sample.
func (s *Setting) shown() string {
	if s.Default == "" {
		return s.Example
	}
	return s.Default
}

// Sample writes a file with every setting commented out: taking the sign
// before a setting away gives it its default, or the example where there is
// no default.
func (t *Table) Sample(w io.Writer, header string) {
	comment(w, "", header)
	for _, g := range t.order() {
		indent := ""
		if g.section.Path != "" {
			fmt.Fprintln(w)
			comment(w, "", g.section.Doc)
			fmt.Fprintln(w, g.section.Path+":")
			indent = "  "
		}
		for _, s := range g.settings {
			if indent == "" || s != g.settings[0] {
				fmt.Fprintln(w)
			}
			comment(w, indent, s.Doc)
			comment(w, indent, t.facts(s))
			fmt.Fprintln(w, strings.TrimRight(indent+"#"+leaf(s.Path)+": "+s.shown(), " "))
		}
	}
}

func comment(w io.Writer, indent, text string) {
	for paragraph := range strings.SplitSeq(text, "\n") {
		for _, line := range wrap(paragraph, width-len(indent)-2) {
			fmt.Fprintln(w, strings.TrimRight(indent+"# "+line, " "))
		}
	}
}

// wrap breaks a paragraph into lines of at most columns characters.
func wrap(paragraph string, columns int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(paragraph) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// Text writes the documentation of every setting, or of those whose path
// begins with prefix, for a terminal. It reports whether there were any.
func (t *Table) Text(w io.Writer, prefix string) bool {
	found := false
	for _, g := range t.order() {
		for i, s := range g.settings {
			if !strings.HasPrefix(s.Path, prefix) {
				continue
			}
			if i == 0 && g.section.Path != "" {
				fmt.Fprintf(w, "%s\n", g.section.Path)
				indented(w, "    ", g.section.Doc)
				fmt.Fprintln(w)
			}
			found = true
			fmt.Fprintf(w, "%s\n", s.Path)
			for _, text := range []string{s.Doc, t.facts(s), t.override(s)} {
				indented(w, "    ", text)
			}
			fmt.Fprintln(w)
		}
	}
	return found
}

func indented(w io.Writer, indent, text string) {
	for paragraph := range strings.SplitSeq(text, "\n") {
		for _, line := range wrap(paragraph, width-len(indent)) {
			fmt.Fprintln(w, indent+line)
		}
	}
}

// Man writes the part of a manual page (man(7)) that lists the settings, one
// subsection for the top level and one for each section.
func (t *Table) Man(w io.Writer, top string) {
	for _, g := range t.order() {
		title := g.section.Path
		if title == "" {
			title = top
		}
		fmt.Fprintf(w, ".SS %s\n", roff(title))
		if g.section.Doc != "" {
			fmt.Fprintf(w, "%s\n", roffLines(g.section.Doc))
		}
		for _, s := range g.settings {
			fmt.Fprintf(w, ".TP\n.B %s\n", roff(s.Path))
			fmt.Fprintf(w, "%s\n.br\n%s\n.br\n%s\n", roffLines(s.Doc), roffLines(t.facts(s)), roffLines(t.override(s)))
		}
	}
}

var roffEscape = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "…", `\[u2026]`)

func roff(text string) string { return roffEscape.Replace(text) }

// roffLines gives running text, with no line that roff would take for a request.
func roffLines(text string) string {
	lines := strings.Split(roff(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n.br\n")
}

// Show writes the values in force as YAML, each with where it comes from, and
// with secrets masked. What it writes can be read back, but for the secrets.
func (t *Table) Show(w io.Writer, result *Result) {
	section := ""
	for _, v := range t.Values(result) {
		indent := ""
		if of, _, ok := strings.Cut(v.Path, "."); ok {
			if of != section {
				fmt.Fprintf(w, "%s:\n", of)
			}
			section, indent = of, "  "
		}
		fmt.Fprintf(w, "%s%s: %s # %s\n", indent, leaf(v.Path), v.Value, v.Origin)
	}
}

// InForce is a setting with its value, as YAML and with secrets masked, and
// where that comes from.
type InForce struct {
	Path   string `json:"setting"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// Values lists the settings in force.
func (t *Table) Values(result *Result) []InForce {
	list := []InForce{}
	for _, g := range t.order() {
		if g.section.Path != "" && g.section.Alternative && !t.given(g, result) {
			continue
		}
		for _, s := range g.settings {
			text := s.yaml()
			if text == "" && !result.Given(s.Path) {
				continue
			}
			origin := "default"
			if from := result.sources[s.Path]; from.name != "" {
				origin = from.name
				if from.line > 0 {
					origin = fmt.Sprintf("%s:%d", origin, from.line)
				}
			}
			list = append(list, InForce{s.Path, text, origin})
		}
	}
	return list
}

// Documented is what there is to know about a setting.
type Documented struct {
	Path     string `json:"setting"`
	Doc      string `json:"doc"`
	Facts    string `json:"facts"`
	Override string `json:"override"`
}

// Documentation lists the settings whose path begins with prefix.
func (t *Table) Documentation(prefix string) []Documented {
	list := []Documented{}
	for _, g := range t.order() {
		for _, s := range g.settings {
			if strings.HasPrefix(s.Path, prefix) {
				list = append(list, Documented{s.Path, s.Doc, t.facts(s), t.override(s)})
			}
		}
	}
	return list
}

// userinfo is where a password stands that does not belong into a URL.
var userinfo = regexp.MustCompile(`(://)[^/@\s]*@`)

func (t *Table) given(g group, result *Result) bool {
	return result.Present(g.section.Path) ||
		slices.ContainsFunc(g.settings, func(s *Setting) bool { return result.Given(s.Path) })
}

// yaml gives the value on one line of YAML.
func (s *Setting) yaml() string {
	var value any
	switch target := s.Target.(type) {
	case *string:
		value = userinfo.ReplaceAllString(*target, "${1}"+masked+"@")
	case *bool:
		value = *target
	case *int:
		value = *target
	case *float64:
		value = *target
	case *[]string:
		return flow("[", "]", slices.Values(*target), func(e string) string { return scalar(e) })
	case *map[string]string:
		return flow("{", "}", slices.Values(slices.Sorted(maps.Keys(*target))),
			func(k string) string { return scalar(k) + ": " + scalar((*target)[k]) })
	case Value:
		if target.String() == "" {
			return ""
		}
		if !s.isText() {
			return target.String()
		}
		value = target.String()
	}
	if value == "" {
		return ""
	}
	return scalar(value)
}

func flow(open, closing string, elements func(func(string) bool), text func(string) string) string {
	var parts []string
	for e := range elements {
		parts = append(parts, text(e))
	}
	return open + strings.Join(parts, ", ") + closing
}

// scalar writes a value so that YAML reads the same type, on one line.
func scalar(value any) string {
	if text, is := value.(string); is {
		node := yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
		if strings.ContainsAny(text, "\n,[]{}#:") || text == "" {
			node.Style = yaml.DoubleQuotedStyle
		}
		value = &node
	}
	out, err := yaml.Marshal(value)
	if err != nil {
		return masked
	}
	return strings.TrimSuffix(string(out), "\n")
}
