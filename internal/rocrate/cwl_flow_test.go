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
		"type: int # c": &intType, "|-\n  int": &intType, "int\n...": &intType, "  \n \r\nint": &intType,
		"type: array\nitems: int": array, "type:\n  items: int\n  type: array": array, "{type:array,items:int}": array,
		"- int\n- string": union, "  \n- int\n- string": union, "---\n[int, string]": union,
		"type: enum\nsymbols:\n- a\n- \"b c\"":                                                      enum,
		"type: record\nfields:\n  - name: a\n    type: int\n  - name: b\n    type: string":          record,
		"type: record\nfields:\n  a: int\n  b:\n    type: string":                                   record,
		"type: record\nfields:\n  # c\n  a: int # c\n  # c\n  b: string":                            record,
		"type: record\nfields:\n  - name: a\n    # c\n    type: int\n  - name: b\n    type: string": record,
		"type: record\nfields:\n  a: int\n  none:\n  b: string":                                     record,
		"type: record\nfields:\n  # c\n  - name: a\n    type: int":                                  {Kind: arc.CWLRecord}, "type: record\nfields: [a] # c": {Kind: arc.CWLRecord},
		"type: array\nitems: [int?, File]":                 {Kind: arc.CWLArray, Items: &arc.CWLType{Kind: arc.CWLUnion, Members: []arc.CWLType{*optional(intType), name(arc.CWLFile)}}},
		"- [int[], \"null\"]\n- string":                    {Kind: arc.CWLUnion, Members: []arc.CWLType{{Kind: arc.CWLUnion, Members: []arc.CWLType{intType, {Kind: arc.CWLUnion}, name(arc.CWLNull)}}, text}},
		"--- [int?, 'string']":                             {Kind: arc.CWLUnion, Members: []arc.CWLType{*optional(intType), text}},
		"type: record\nfields: [{name: a, type: unknown}]": {Kind: arc.CWLRecord}, "{type: record, fields: a}": {Kind: arc.CWLRecord},
		"%YAML 1.2\n---\nint": &intType, "%YAML 9\nint": &intType, "%TAG ! x:\n\n--- [int, string]": union, "%YAML 1.2\n{type: array, items: int}": array,
		"\n %FOO\n- int\n- string": union, "%int": nil, "---\n%YAML 1.2\n---\nint": nil,
		"int#c": nil, "{? type : int}": &intType, // where the reference library reads its own YAML
		" int": nil, "\n  int": nil, " \n int": nil, "# c\nint": nil, "int\n# c": nil, "- int\n# c\n- string": nil, "int\n---\nstring": nil, "|\n  int": nil,
		"type: record\nfields:\n  - name: a\n    type: int\n  # c\n  - name: b\n    type: int": nil, "type: record\nfields:\n  a:\n    # c\n    type: int": nil,
		"type: array\nitems:\n  # c\n  int": nil, "type: array\nitems:\n  - int\n  # c\n  - string": nil, "type: [int] # c": nil, "type:\n  # c\n  - int": nil,
		"type: enum\nsymbols:\n  # c\n  - a": nil, "type: enum\nsymbols:\n  - a\n  # c\n  - b": nil, "type: enum\nsymbols: [a] # c": nil,
		"type: enum\nsymbols:": nil, "type: array\nitems:": nil, "{type: File, size: }": nil, "[{type: File, format: }]": nil,
		"int\nstring": nil, "type: array\n  items: int": nil, "[int,\n string]": nil, "{type: enum, symbols: [a#b]}": nil, "&a [int]": nil,
		"type: array\nitems: \"string\"[]": nil, "type: array\nitems: int\nrecord": nil, "doc: d\n{type: array, items: int}": nil, "type:\n  doc: d\n  - int": nil,
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

// optional gives the union of null and a type.
func optional(t arc.CWLType) *arc.CWLType {
	return &arc.CWLType{Kind: arc.CWLUnion, Members: []arc.CWLType{{Kind: arc.CWLNull}, t}}
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
	got, err = parseCWLType("type: enum\nsymbols: ['', b]\nclass: c\nitems: ''\nempty:\nlist:\n  - 1\n  # c\n  - 2\nlost: [a] # c\ndoc: it's: so # c")
	want = arc.CWLType{Kind: arc.CWLEnum, Symbols: []string{"\n", "b"}, Notes: []arc.CWLNote{
		note("doc", "it's: so"), note("class", "c"), note("items", "\n"),
		{Key: "list", Value: arc.CWLValue{List: []arc.CWLValue{{Text: "1"}, {Fields: []arc.CWLNote{}}, {Text: "2"}}}},
		{Key: "lost", Value: arc.CWLValue{Fields: []arc.CWLNote{}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = parseCWLType("{type: enum, symbols: [a], z: [0x1F, 1_000, 1_0.5, 1e-7, 1e21, 1e400, -0, 1e, 1-2, 0xffffffffffffffff]}")
	var numbers []arc.CWLValue
	for _, text := range []string{"31", "1000", "10.5", "1e-7", "1e+21", "Infinity", "0", "1e", "1-2", "-1"} {
		numbers = append(numbers, arc.CWLValue{Text: text})
	}
	want = arc.CWLType{Kind: arc.CWLEnum, Symbols: []string{"a"}, Notes: []arc.CWLNote{{Key: "z", Value: arc.CWLValue{List: numbers}}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = parseCWLType("type: enum\nsymbols:\n  - @a\n  - `b`\ndoc: %c")
	want = arc.CWLType{Kind: arc.CWLEnum, Symbols: []string{"@a", "`b`"}, Notes: []arc.CWLNote{note("doc", "%c")}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := parseCWLType(`{type: enum, symbols: [a], doc: [d]}`); err == nil {
		t.Errorf("a doc that is no text: %+v", got)
	}
}

// The fields of a File or Directory come in the order of CWL, before all others; texts stay texts, a size is an integer, and
// secondaryFiles and listing are kept as they are written.
func TestFieldsOfFiles(t *testing.T) {
	t.Parallel()
	note := func(key, text string) arc.CWLNote { return arc.CWLNote{Key: key, Value: arc.CWLValue{Text: text}} }
	written := func(text string) arc.CWLValue { return arc.CWLValue{Text: text, Written: true} }
	list := func(items ...arc.CWLValue) arc.CWLValue { return arc.CWLValue{List: items, Written: true} }
	for source, want := range map[string][]arc.CWLNote{
		"type: File\nz: 007\nformat: 007\nsize: 0x10\nsecondaryFiles:\n  - .bai\n  - \"q\\t\"\nclass: File\npath: p\nlisting: [1]": {
			note("path", "p"), note("size", "16"), {Key: "secondaryFiles", Value: list(written(".bai"), written(`"q\t"`))}, note("format", "007"), note("z", "7"),
			{Key: "listing", Value: arc.CWLValue{List: []arc.CWLValue{{Text: "1"}}}},
		},
		"{type: Directory, size: x, listing: [{path: 'it''s'}, [007]], basename: b, location: l, path:  p}": {
			note("location", "l"), note("path", "p"), note("basename", "b"),
			{Key: "listing", Value: list(arc.CWLValue{Fields: []arc.CWLNote{{Key: "path", Value: written("'it''s'")}}, Written: true}, list(written("007")))},
			note("size", "x"),
		},
		"type: File\nsecondaryFiles: [.bai?, \"a\\tb\", 'c?', -5, d]\nz: [-05, e?]": {
			{Key: "secondaryFiles", Value: list(written(".bai?"), written(`"a\tb"`), written("'c?'"), written("-5"), written("d"))},
			{Key: "z", Value: arc.CWLValue{List: []arc.CWLValue{{Text: "-5"}, {Text: "e?"}}}},
		},
		"{type: File?, size: x}": nil, "type: Directory?\nlocation: [l]": nil,
		"type: File\nsize: ' 1_0 '\nchecksum:":  {note("size", "10")},
		"type: File\nsize: 0xffffffffffffffff":  {note("size", "-1")},
		"type: File\nsize: 9223372036854775808": nil, "type: File\nsize: 1e3": nil, "type: File\nsize: [1]": nil,
		"type: File\nformat: [f]": nil, "type: File\nformat:\n  # c\n  f": nil, "type: Directory\npath: {a: b}": nil,
	} {
		got, err := parseCWLType(source)
		switch {
		case want == nil && err == nil:
			t.Errorf("%q was read as %+v", source, got)
		case want != nil && err != nil:
			t.Errorf("%q: %v", source, err)
		case want != nil:
			if diff := cmp.Diff(want, got.Notes); diff != "" {
				t.Errorf("%q (-want +got):\n%s", source, diff)
			}
		}
	}
}

// A field that is given twice makes a mapping none, also of a record that loses its fields because of a later one, unless nobody looks at it or
// the first is all that counts.
func TestFieldsGivenTwice(t *testing.T) {
	t.Parallel()
	for text, isType := range map[string]bool{
		"{type: record, fields: {a: int, a: string}}":                                                      false,
		"{type: record, fields: {a: int, 'a': unknown}}":                                                   false,
		"[{type: record, fields: [{name: b, type: {type: record, fields: {a: int, a: int}}}, {name: c}]}]": false,
		"{type: record, fields: [{name: a, type: int, x: 1, x: 2}, {name: b, type: unknown}]}":             false,
		"{type: record, fields: [{name: b, type: unknown}, {name: a, type: int, x: 1, x: 2}]}":             true,
		"{type: enum, symbols: [a], x: 1, x: 2}":                                                           false,
		"{type: enum, symbols: [a], x: [{y: {a: 1, a: 2}}]}":                                               false,
		"{type: File, x: 1, x: 2}":                                                                         false,
		"{type: File, secondaryFiles: [{a: 1, a: 2}]}":                                                     true,
		"{type: enum, type: record, symbols: [a], symbols: b, doc: d, doc: {a: 1, a: 2}}":                  true,
		"{type: record, fields: [{name: a, name: b, type: int, type: string}]}":                            true,
		"{type: int, x: 1, x: 2}":                                                                          true,
		"type: record\nfields:\n  a:\n  a: int":                                                            true,
		"type: enum\nsymbols: [a]\nx: 1\nx:":                                                               true,
		"type: enum\nsymbols: [a]\nx:\n  a: 1\n  a:":                                                       true,
	} {
		if got, err := parseCWLType(text); (err == nil) != isType {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// What has nothing behind its key is left out, unless it is kept as it is written; a mapping of nothing else is a text. An item
// of a list without anything is an empty mapping.
func TestFieldsWithoutValues(t *testing.T) {
	t.Parallel()
	text := func(s string) arc.CWLValue { return arc.CWLValue{Text: s} }
	fields := func(notes ...arc.CWLNote) arc.CWLValue {
		return arc.CWLValue{Fields: append([]arc.CWLNote{}, notes...)}
	}
	list := func(items ...arc.CWLValue) arc.CWLValue { return arc.CWLValue{List: items} }
	kept := func(v arc.CWLValue) arc.CWLValue {
		v.Written = true
		return v
	}
	for source, want := range map[string]arc.CWLNote{
		"x:\n  a:\n  b: c":                       {Key: "x", Value: fields(arc.CWLNote{Key: "b", Value: text("c")})},
		"x:\n  a:":                               {Key: "x", Value: text("a:")},
		"x:\n  a:\n  b:":                         {Key: "x", Value: text("a:\nb:")},
		"x:\n  a:\n    b:":                       {Key: "x", Value: fields(arc.CWLNote{Key: "a", Value: text("b:")})},
		"x:\n  -\n  - a:\n  - b":                 {Key: "x", Value: list(fields(), text("a:"), text("b"))},
		"format:\n  a:":                          {Key: "format", Value: text("a:")},
		"secondaryFiles:\n  a:":                  {Key: "secondaryFiles", Value: kept(text("a:"))},
		"secondaryFiles:\n  -\n  - a:\n    b: c": {Key: "secondaryFiles", Value: kept(list(kept(fields()), kept(fields(arc.CWLNote{Key: "a", Value: kept(text(""))}, arc.CWLNote{Key: "b", Value: kept(text("c"))}))))},
	} {
		got, err := parseCWLType("type: File\n" + source)
		if diff := cmp.Diff([]arc.CWLNote{want}, got.Notes); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", source, err, diff)
		}
	}
	got, err := parseCWLType("type: enum\nsymbols:\n  - a:\n  - b")
	if diff := cmp.Diff([]string{"a:", "b"}, got.Symbols); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, source := range []string{"- int\n-", "- int\n- string:", "type:\n  int:", "type: enum\nsymbols:\n  -", "type: record\nfields:\n  -"} {
		if got, err := parseCWLType(source); err == nil {
			t.Errorf("%q was read as %+v", source, got)
		}
	}
}

// A type is written so that it reads back as itself, with its notes, and with quotes where brackets or commas need them.
func TestTypesAreWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{type: enum, symbols: [a], label: "l", z: {k: ["1", "x: y"]}}`,
		`{type: record, fields: [{name: a, type: {type: File, format: "f"}, doc: "d"}], name: "n"}`,
		`{type: array, items: {type: enum, symbols: [a]}, name: "q \"r\""}`,
		`{type: File, secondaryFiles: [.bai, {pattern: "x: y", required: false}, 'it''s'], format: "f"}`,
		`{type: array, items: "int[]?"}`, `["int[]?", "File[]", string?]`, `{type: array, items: int, label: "l"}`,
		`{type: record, fields: [{name: "a, b", type: "int[][]"}, {name: c, type: int?}]}`, `{type: enum, symbols: ["a, b", "c]", "\n", d-1]}`,
	} {
		first, err := parseCWLType(text)
		if err != nil || cwlText(first) != text {
			t.Errorf("%s was written as %s (%v)", text, cwlText(first), err)
		}
	}
}
