// Package setting reads a configuration that is described by one table: what
// settings there are, of which type, with which default and which rule, and
// what they mean. Decoding, overriding from the environment, the sample file,
// the manual page and the listing of the effective values all come from that
// table, so that they cannot disagree.
//
// A table is bound to variables, as flags are: reading fills the variables.
// Every problem is found in one pass, each with its line. The package knows no
// setting of its own and never prints the value of a secret.
//
// A table and what it is bound to belong to one goroutine while they are read;
// afterwards the variables are plain values.
package setting

import (
	"fmt"
	"slices"
	"strings"
)

// Setting is one row of a table.
type Setting struct {
	// Path names the setting: "log_level", or "git_repo.url" within a section.
	Path string
	// Target points to the variable: *string, *bool, *int, *float64,
	// *[]string, *map[string]string, or a Value.
	Target any
	// Default is the value without configuration, as it would be written in
	// the file. Empty leaves the variable at its zero value.
	Default string
	// Example is shown in the sample file instead of an empty default.
	Example string
	// Doc says what the setting is for, in full sentences.
	Doc string
	// Rule restricts the values; its zero value allows all of the type.
	Rule Rule
	// Required demands a value from somewhere.
	Required bool
	// Withheld keeps the value away from this process: it is checked for its
	// shape only, its sources outside of the file are not even opened, and the
	// variable stays as it is.
	Withheld bool
	// Env lists further variables that set it, after the one made from Path.
	Env []string
	// Credentials lists further names in the credentials directory.
	Credentials []string
	// Member lets elements of a list be mappings, of which this member is taken and
	// any other ignored with a warning.
	Member string
}

// Section describes a group of settings.
type Section struct {
	Path string
	Doc  string
	// Alternative marks a section whose presence in the file is itself a
	// decision: without it, variables do not bring its settings to life.
	Alternative bool
}

// Retired names a section or setting that earlier generations had: it is
// accepted with a warning that gives the reason.
type Retired struct {
	Path   string
	Reason string
	// Became is the path of the setting, or of the section, that has its meaning now,
	// if there is one: that one gets the value, unless it is given itself. If several
	// became the same, the first in the table counts.
	Became string
}

// Table is the whole description.
type Table struct {
	// Prefix goes before the names made from paths, "" or such as "SQL_TO_ARC".
	Prefix   string
	Sections []Section
	Settings []Setting
	Retired  []Retired
}

// Rule is a restriction with the words that describe it.
type Rule struct {
	Words string       // completes "must be …"
	Check func() error // nil when the value, already set, is allowed
}

// Value is a type of its own among the settings.
type Value interface {
	// Set takes the text of the file or of a variable.
	Set(text string) error
	// String gives the value as it is shown to people.
	String() string
	// Type names the type in the documentation.
	Type() string
}

// EnvName gives the variable that overrides the setting with the given path.
func (t *Table) EnvName(path string) string {
	return strings.ToUpper(t.fileName(path))
}

// envNames lists the variables that override a setting, the strongest first.
func (t *Table) envNames(s *Setting) []string {
	names := []string{t.EnvName(s.Path)}
	if t.Prefix == "" && parent(s.Path) == "" {
		names = append(names, "_"+names[0]) // the first generation's spelling
	}
	for _, old := range t.Retired {
		if t.Prefix == "" && parent(old.Path) == "" && old.Became == s.Path {
			names = append(names, "_"+t.EnvName(old.Path))
		}
	}
	return append(names, s.Env...)
}

// paths gives the path of a setting and those that it had in earlier generations.
func (t *Table) paths(s *Setting) []string {
	paths := []string{s.Path}
	for _, old := range t.Retired {
		if rest, ok := strings.CutPrefix(s.Path, old.Became+"."); ok && old.Became != "" {
			paths = append(paths, old.Path+"."+rest)
		}
	}
	return paths
}

// fileName gives the name of the secret file for a path.
func (t *Table) fileName(path string) string {
	name := strings.ReplaceAll(path, ".", "_")
	if t.Prefix != "" {
		name = t.Prefix + "_" + name
	}
	return strings.ToLower(name)
}

func (t *Table) setting(path string) *Setting {
	for i := range t.Settings {
		if t.Settings[i].Path == path {
			return &t.Settings[i]
		}
	}
	return nil
}

func (t *Table) section(path string) *Section {
	for i := range t.Sections {
		if t.Sections[i].Path == path {
			return &t.Sections[i]
		}
	}
	return nil
}

func (t *Table) retired(path string) *Retired {
	for i := range t.Retired {
		if t.Retired[i].Path == path {
			return &t.Retired[i]
		}
	}
	return nil
}

// former reports whether there was a section of that name that is not named in the
// table, only what was in it.
func (t *Table) former(section string) bool {
	return slices.ContainsFunc(t.Retired, func(old Retired) bool { return parent(old.Path) == section })
}

// parent gives the section of a path, "" at the top.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return ""
}

func leaf(path string) string {
	return path[strings.LastIndexByte(path, '.')+1:]
}

// secret reports whether the value of the setting must not be shown.
func (s *Setting) secret() bool {
	_, ok := s.Target.(interface{ secret() })
	return ok
}

// typeName names the type for people.
func (s *Setting) typeName() string {
	switch v := s.Target.(type) {
	case *string:
		return "text"
	case *bool:
		return "true or false"
	case *int:
		return "integer"
	case *float64:
		return "number"
	case *[]string:
		return "list of texts"
	case *map[string]string:
		return "mapping of text to text"
	case Value:
		return v.Type()
	}
	panic(fmt.Sprintf("setting %s: no type %T", s.Path, s.Target))
}
