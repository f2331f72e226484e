package setting

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSecret bounds what is read from a secret file: a key, not a disk.
const maxSecret = 64 << 10

// Input is where values come from.
type Input struct {
	Name        string   // of the file, for messages
	Data        []byte   // content of the file
	Environ     []string // "NAME=value", as os.Environ gives it
	Secrets     string   // folder with secret files, such as /run/secrets; "" for none
	Credentials string   // folder with credentials, $CREDENTIALS_DIRECTORY; "" for none
}

// Result is what is known after reading, beside the variables themselves.
type Result struct {
	// Warnings are problems that do not stop the program.
	Warnings []Problem
	sources  map[string]source
	sections map[string]bool
}

// source says where the value of a setting comes from.
type source struct {
	name string // file, variable, credential; "" for the default
	line int
}

// Present reports whether the file has a section, as a mapping.
func (r *Result) Present(section string) bool { return r.sections[section] }

// Given reports whether a value of the setting was given anywhere.
func (r *Result) Given(path string) bool { return r.sources[path].name != "" }

// At makes a problem that points to where the value of a setting comes from.
func (r *Result) At(path, text, remedy string) Problem {
	from := r.sources[path]
	return Problem{Source: from.name, Line: from.line, Path: path, Text: text, Remedy: remedy}
}

// reader is the state of one pass.
type reader struct {
	table    *Table
	in       Input
	env      map[string]string
	names    []string // of env, NAME_2 before NAME_10
	defaults map[string]yaml.Node
	doc      *document
	result   *Result
	problems []Problem
}

// Read fills the variables of the table. The error is an *Invalid with every
// problem that was found; the result is there in either case.
func (t *Table) Read(in Input) (*Result, error) {
	if _, err := os.Stat(in.Secrets); errors.Is(err, fs.ErrNotExist) {
		in.Secrets = "" // asked once, and not for each file that might be there
	}
	r := &reader{
		table: t, in: in, env: environment(in.Environ), defaults: t.defaultNodes(), doc: t.parse(in.Name, in.Data),
		result: &Result{sources: map[string]source{}, sections: map[string]bool{}},
	}
	r.names = slices.SortedFunc(maps.Keys(r.env), func(a, b string) int {
		return cmp.Or(len(a)-len(b), strings.Compare(a, b))
	})
	for path := range r.doc.sections {
		r.result.sections[path] = true
	}
	for i := range t.Settings {
		r.read(&t.Settings[i])
	}
	all := slices.Concat(r.doc.problems, r.problems)
	slices.SortStableFunc(all, byLine)
	var fatal []Problem
	for _, p := range all {
		if p.Warning {
			r.result.Warnings = append(r.result.Warnings, p)
		} else {
			fatal = append(fatal, p)
		}
	}
	if len(fatal) > 0 {
		return r.result, NewInvalid(fatal)
	}
	return r.result, nil
}

// environment indexes variables; an empty one counts as not set.
func environment(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok && value != "" {
			env[name] = value
		}
	}
	return env
}

// read gives one setting its value: default, then the file, then the first
// source that overrides it.
func (r *reader) read(s *Setting) {
	if s.Default != "" {
		if err := r.assignDefault(s); err != nil {
			panic(fmt.Sprintf("default of setting %s: %v", s.Path, err))
		}
	}
	if s.Withheld {
		r.withhold(s)
		return
	}
	if node, ok := r.doc.values[s.Path]; ok {
		r.result.sources[s.Path] = source{r.in.Name, node.Line}
		if err := assignNode(s, node); err != nil {
			r.fail(s, err)
			return
		}
		r.surplus(s, node)
	}
	if err := r.override(s); err != nil {
		r.fail(s, err)
		return
	}
	if !r.result.Given(s.Path) {
		r.missing(s)
		return
	}
	if s.Rule.Check != nil {
		if err := s.Rule.Check(); err != nil {
			r.fail(s, err)
		}
	}
}

// assignDefault sets the variable of s from the default in the table.
func (r *reader) assignDefault(s *Setting) error {
	if n, ok := r.defaults[s.Path]; ok {
		return assignNode(s, &n)
	}
	return s.assignText(s.Default)
}

// surplus warns of what is in the mappings of a list beside the member that counts.
func (r *reader) surplus(s *Setting, n *yaml.Node) {
	if s.Member == "" {
		return
	}
	var names []string
	for _, element := range n.Content {
		element = resolve(element)
		for i := 0; element.Kind == yaml.MappingNode && i+1 < len(element.Content); i += 2 {
			if name := element.Content[i].Value; name != s.Member && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) > 0 {
		r.problems = append(r.problems, Problem{
			Source: r.in.Name, Line: n.Line, Path: s.Path, Warning: true,
			Text: fmt.Sprintf("only %s is used of its elements, not %s", s.Member, strings.Join(names, ", ")),
		})
	}
}

func (r *reader) fail(s *Setting, err error) {
	r.problems = append(r.problems, r.result.At(s.Path, err.Error(), ""))
}

// missing complains about a required setting, but only where it would be used.
func (r *reader) missing(s *Setting) {
	if !s.Required || s.Default != "" || !r.alive(s) {
		return
	}
	p := Problem{Source: r.in.Name, Path: s.Path, Text: "is required"}
	if n := r.doc.sections[parent(s.Path)]; n != nil {
		p.Line = n.Line
	}
	p.Remedy = "set it in the file or as " + r.table.EnvName(s.Path)
	if s.secret() {
		p.Remedy = "give it as credential " + r.credentialNames(s)[0] + ", in the file, or as " + r.table.EnvName(s.Path)
	}
	r.problems = append(r.problems, p)
}

// alive reports whether the section of the setting is in use.
func (r *reader) alive(s *Setting) bool {
	section := r.table.section(parent(s.Path))
	return section == nil || !section.Alternative || r.result.sections[section.Path]
}

// withhold checks a value that is not for this process without keeping it.
func (r *reader) withhold(s *Setting) {
	node, ok := r.doc.values[s.Path]
	if !ok {
		return
	}
	if err := wantText(node, true); err != nil {
		r.problems = append(r.problems, Problem{Source: r.in.Name, Line: node.Line, Path: s.Path, Text: err.Error()})
	}
	if s.secret() {
		r.problems = append(r.problems, Problem{
			Source: r.in.Name, Line: node.Line, Path: s.Path, Warning: true,
			Text:   "a secret in this file can be read by every process that reads the file",
			Remedy: "give it as credential " + r.credentialNames(s)[0],
		})
	}
}

// override applies the first of variable, credential and secret file.
func (r *reader) override(s *Setting) error {
	if !r.alive(s) {
		return nil
	}
	names := r.table.envNames(s)
	for _, path := range r.table.paths(s)[1:] {
		names = append(names, r.table.EnvName(path))
	}
	for _, name := range names {
		if value, ok := r.env[name]; ok {
			return r.set(s, "variable "+name, value)
		}
	}
	if r.in.Credentials != "" {
		for _, name := range r.credentialNames(s) {
			if done, err := r.fromFile(s, "credential "+name, filepath.Join(r.in.Credentials, name)); done || err != nil {
				return err
			}
		}
	}
	if r.in.Secrets != "" {
		for _, path := range r.table.paths(s) {
			name := filepath.Join(r.in.Secrets, r.table.fileName(path))
			if done, err := r.fromFile(s, name, name); done || err != nil {
				return err
			}
		}
	}
	return r.elements(s)
}

// credentialNames gives the names under which a setting may be found in the
// credentials directory, the recommended one first.
func (r *reader) credentialNames(s *Setting) []string {
	name := r.table.fileName(s.Path)
	return append(slices.Clone(s.Credentials), name, strings.ReplaceAll(name, "_", "-"))
}

func (r *reader) set(s *Setting, from, value string) error {
	r.result.sources[s.Path] = source{name: from}
	return s.assignText(value)
}

// fromFile applies a file that holds one value; a missing or blank file is no
// value.
func (r *reader) fromFile(s *Setting, from, path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return false, nil
	}
	var data []byte
	if err == nil && info.Size() > maxSecret {
		err = fmt.Errorf("larger than %d bytes", maxSecret)
	}
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		r.result.sources[s.Path] = source{name: from}
		return false, fmt.Errorf("cannot be read: %w", err)
	}
	value := strings.TrimSpace(string(data))
	if value == "" {
		return false, nil
	}
	return true, r.set(s, from, value)
}

// elements applies variables for single elements of lists (NAME_0) and
// mappings (NAME_KEY).
func (r *reader) elements(s *Setting) error {
	if !s.hasElements() {
		return nil
	}
	prefix := r.table.EnvName(s.Path) + "_"
	for _, name := range r.names {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || rest == "" {
			continue
		}
		switch target := s.Target.(type) {
		case *[]string:
			i, err := strconv.Atoi(rest)
			if err != nil || i < 0 {
				continue
			}
			if i > len(*target) {
				return fmt.Errorf("variable %s sets element %d of a list of %d", name, i, len(*target))
			}
			*target = slices.Replace(slices.Clone(*target), i, min(i+1, len(*target)), r.env[name])
		case *map[string]string:
			m := maps.Clone(*target)
			if m == nil {
				m = map[string]string{}
			}
			m[mapKey(m, rest)] = r.env[name]
			*target = m
		}
		r.result.sources[s.Path] = source{name: "variable " + name}
	}
	return nil
}

// mapKey finds the key that a variable means: one that is there already,
// whatever its case, or a new one in small letters.
func mapKey(m map[string]string, name string) string {
	for key := range m {
		if strings.EqualFold(key, name) {
			return key
		}
	}
	return strings.ToLower(name)
}
