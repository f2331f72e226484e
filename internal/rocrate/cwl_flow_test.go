package rocrate

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/arc"
)

// Types in a list may have brackets and question marks behind them, which is not YAML: a bracket
// begins a list of its own, a question mark belongs to the name. In a mapping brackets are refused.
func TestTypesThatAreNotQuiteYAML(t *testing.T) {
	t.Parallel()
	of := func(members ...arc.CWLType) *arc.CWLType { return &arc.CWLType{Kind: arc.CWLUnion, Members: members} }
	name := func(k arc.CWLTypeKind) arc.CWLType { return arc.CWLType{Kind: k} }
	empty := *of()
	intType, null := name(arc.CWLInt), name(arc.CWLNull)
	for text, want := range map[string]*arc.CWLType{
		`[int[], "null"]`:                       of(intType, empty, null),
		`[int[][], null]`:                       of(intType, empty, empty, null),
		`[ int [ ] ,null]`:                      of(intType, empty, null),
		`[File?, null]`:                         of(*of(null, name(arc.CWLFile)), null),
		`[int, string][]`:                       of(intType, name(arc.CWLString)),
		`["int[]", 'null'][]`:                   of(arc.CWLType{Kind: arc.CWLArray, Items: &intType}, null),
		`[{type: int}[], null]`:                 of(intType, empty, null),
		`{type: array, items: [int, string[]]}`: {Kind: arc.CWLArray, Items: of(intType, name(arc.CWLString), empty)},
		`{type: array, items: int[]}`:           nil,
		`[int{}]`:                               nil,
		`[int]?`:                                nil,
		`[int[]?]`:                              nil,
		`[int[]`:                                nil,
		`[int[], "null]`:                        nil,
		`[int[]] x`:                             nil,
		`{int[]}`:                               nil,
		`{: int[]}`:                             nil,
	} {
		got, err := parseCWLType(text)
		switch {
		case want == nil && err == nil:
			t.Errorf("%s was read as %+v", text, got)
		case want != nil && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != nil:
			if diff := cmp.Diff(*want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", text, diff)
			}
		}
	}
}

// What follows a type makes it none, even where a parser of YAML would look at the first value only.
func TestNothingFollowsACWLType(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"[int]x", "[int] x", "[int]}", "[int] # c", "{type: array, items: int}double?", "{type: array, items: int}[]"} {
		if got, err := parseCWLType(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
	for _, text := range []string{"[int]", "[int]]", "[int][]", "{type: array, items: int}}"} {
		if _, err := parseCWLType(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Types may be written on several lines, in quotes and with comments, unless the first line is indented or a
// comment stands beside a name or in a list.
func TestTypesInBlockStyle(t *testing.T) {
	t.Parallel()
	name := func(k arc.CWLTypeKind) arc.CWLType { return arc.CWLType{Kind: k} }
	intType, text := name(arc.CWLInt), name(arc.CWLString)
	array := &arc.CWLType{Kind: arc.CWLArray, Items: &intType}
	union := &arc.CWLType{Kind: arc.CWLUnion, Members: []arc.CWLType{intType, text}}
	enum := &arc.CWLType{Kind: arc.CWLEnum, Symbols: []string{"a", "b c"}}
	record := &arc.CWLType{Kind: arc.CWLRecord, Fields: []arc.CWLField{{Name: "a", Type: intType}, {Name: "b", Type: text}}}
	for source, want := range map[string]*arc.CWLType{
		`"int"`: &intType, `'int'`: &intType, "int # c": &intType, "\tint\r\n": &intType, "--- int": &intType, "!x int": &intType,
		"type: int # c": &intType, "|-\n  int": &intType, "int\n...": &intType,
		"type: array\nitems: int": array, "type:\n  items: int\n  type: array": array, "{type:array,items:int}": array,
		"- int\n- string": union, "---\n[int, string]": union,
		"type: enum\nsymbols:\n- a\n- \"b c\"":                                             enum,
		"type: record\nfields:\n  - name: a\n    type: int\n  - name: b\n    type: string": record,
		"type: record\nfields:\n  a: int\n  b:\n    type: string":                          record,
		"type: record\nfields: [{name: a, type: unknown}]":                                 {Kind: arc.CWLRecord}, "{type: record, fields: a}": {Kind: arc.CWLRecord},
		"int#c": nil, "{? type : int}": &intType, // where the reference library reads its own YAML
		" int": nil, "\n  int": nil, "# c\nint": nil, "int\n# c": nil, "- int\n# c\n- string": nil, "int\n---\nstring": nil, "|\n  int": nil,
		"int\nstring": nil, "type: array\n  items: int": nil, "[int,\n string]": nil, "{type: enum, symbols: [a#b]}": nil, "&a [int]": nil,
		"{type: record, fields: [{name: a}]}": nil, "{type: array}": nil, "{type: enum, symbols: a}": nil, "*a": nil,
	} {
		got, err := parseCWLType(source)
		switch {
		case want == nil && err == nil:
			t.Errorf("%q was read as %+v", source, got)
		case want != nil && err != nil:
			t.Errorf("%q: %v", source, err)
		case want != nil:
			if diff := cmp.Diff(*want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", source, diff)
			}
		}
	}
}

// What a type says besides is kept: texts in a fixed order, then the rest in its own.
func TestNotesOfTypes(t *testing.T) {
	t.Parallel()
	note := func(key, text string) arc.CWLNote { return arc.CWLNote{Key: key, Value: arc.CWLValue{Text: text}} }
	got, err := parseCWLType(`{x: 01.50, y: "01", z: {k: [TRUE, 007]}, name: n, type: enum, doc: d, symbols: [a]}`)
	want := arc.CWLType{Kind: arc.CWLEnum, Symbols: []string{"a"}, Notes: []arc.CWLNote{
		note("doc", "d"), note("name", "n"), note("x", "1.5"), note("y", "01"),
		{Key: "z", Value: arc.CWLValue{Fields: []arc.CWLNote{{Key: "k", Value: arc.CWLValue{List: []arc.CWLValue{{Text: "true"}, {Text: "7"}}}}}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = parseCWLType(`{type: record, fields: [{label: l, name: a, type: int, doc: d, default: 5}]}`)
	want = arc.CWLType{Kind: arc.CWLRecord, Fields: []arc.CWLField{
		{Name: "a", Type: arc.CWLType{Kind: arc.CWLInt}, Notes: []arc.CWLNote{note("doc", "d"), note("label", "l"), note("default", "5")}},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := parseCWLType(`{type: enum, symbols: [a], doc: [d]}`); err == nil {
		t.Errorf("a doc that is no text: %+v", got)
	}
}

// A type with notes is written so that it reads back as itself.
func TestNotesAreWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{type: enum, symbols: [a], label: "l", z: {k: ["1", "x: y"]}}`,
		`{type: record, fields: [{name: a, type: {type: File, format: "f"}, doc: "d"}], name: "n"}`,
		`{type: array, items: {type: enum, symbols: [a]}, name: "q \"r\""}`,
	} {
		first, err := parseCWLType(text)
		if err != nil || cwlText(first) != text {
			t.Errorf("%s was written as %s (%v)", text, cwlText(first), err)
		}
	}
}
