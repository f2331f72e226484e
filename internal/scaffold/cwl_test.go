package scaffold_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/arc"
)

func cwlOf(tb testing.TB, u *arc.ProcessingUnit) string {
	tb.Helper()
	return string(contents(tb, &arc.Investigation{Workflows: []*arc.Workflow{{Identifier: "w", Unit: u}}})["workflows/w/workflow.cwl"])
}

func kind(k arc.CWLTypeKind) arc.CWLType { return arc.CWLType{Kind: k} }

func array(items arc.CWLType) arc.CWLType { return arc.CWLType{Kind: arc.CWLArray, Items: &items} }

func union(members ...arc.CWLType) arc.CWLType {
	return arc.CWLType{Kind: arc.CWLUnion, Members: members}
}

func enum(symbols ...string) arc.CWLType { return arc.CWLType{Kind: arc.CWLEnum, Symbols: symbols} }

func record(t arc.CWLType) arc.CWLType {
	return arc.CWLType{Kind: arc.CWLRecord, Fields: []arc.CWLField{{Name: "f", Type: t}}}
}

// noted gives a type with notes.
func noted(t arc.CWLType) arc.CWLType {
	list := arc.CWLValue{List: []arc.CWLValue{{Text: "1"}, {Text: "2"}}}
	t.Notes = []arc.CWLNote{
		{Key: "name", Value: arc.CWLValue{Text: "n"}},
		{Key: "more", Value: arc.CWLValue{Fields: []arc.CWLNote{{Key: "list", Value: list}}}},
	}
	return t
}

// written gives a list that is kept as it was written.
func written(items ...arc.CWLValue) arc.CWLValue {
	return arc.CWLValue{List: append([]arc.CWLValue{}, items...), Written: true}
}

func ptr[T any](v T) *T { return &v }

// Sections are separated by empty lines with Windows line ends; a tool without
// inputs has no such section, the others have an empty one.
func TestSectionsOfCWL(t *testing.T) {
	t.Parallel()
	for class, want := range map[arc.UnitClass]string{
		arc.CommandLineTool: "outputs: {}",
		arc.CWLWorkflow:     "inputs: {}\r\n\r\nsteps: {}\r\n\r\noutputs: {}",
		arc.ExpressionTool:  "outputs: {}\r\n\r\nexpression: \"$(null)\"",
		arc.Operation:       "inputs: {}\r\n\r\noutputs: {}",
	} {
		want = "cwlVersion: v1.2\nclass: " + string(class) + "\r\n\r\n" + want
		if got := cwlOf(t, &arc.ProcessingUnit{Class: class}); got != want {
			t.Errorf("%s: got %q, want %q", class, got, want)
		}
	}
}

// Types have a short form where there is one, and else are mappings, with one
// level more where they stand beside a binding.
func TestTypesOfCWL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind   arc.CWLType
		input  string // behind "a:"
		output string // behind "type:"
	}{
		{kind(arc.CWLFile), " File", " File"},
		{array(kind(arc.CWLFile)), " File[]", " File[]"},
		{union(kind(arc.CWLNull), kind(arc.CWLInt)), " int?", " int?"},
		{union(array(kind(arc.CWLInt)), kind(arc.CWLNull)), " int[]?", " int[]?"},
		{union(kind(arc.CWLFile), kind(arc.CWLString), kind(arc.CWLNull)), " [File, string, null]", " [File, string, null]"},
		{array(array(kind(arc.CWLInt))), "\n    type:\n      type: array\n      items: int[]", "\n      type:\n        type: array\n        items: int[]"},
		{enum("a", "b"), "\n    type:\n      type: enum\n      symbols: [a, b]", "\n      type:\n        type: enum\n        symbols: [a, b]"},
		{record(array(array(kind(arc.CWLInt)))), "\n    type:\n      type: record\n      fields:\n        f:\n          type: int[][]",
			"\n      type:\n        type: record\n        fields:\n          f:\n            type: int[][]"},
		{noted(enum("a")), "\n    type:\n      type: enum\n      symbols: [a]\n      name: n\n      more:\n        list: [1, 2]",
			"\n      type:\n        type: enum\n        symbols: [a]\n        name: n\n        more:\n          list: [1, 2]"},
		{noted(kind(arc.CWLFile)), "\n    type: File\n    name: n\n    more:\n      list: [1, 2]",
			"\n      type: File\n      name: n\n      more:\n        list: [1, 2]"},
		{arc.CWLType{Kind: arc.CWLDirectory, Notes: []arc.CWLNote{{Key: "listing", Value: written(written(), written(arc.CWLValue{Text: `"a"`, Written: true}))}}},
			"\n    type: Directory\n    listing:\n      - []\n      -\n        - \"a\"", "\n      type: Directory\n      listing:\n        - []\n        -\n          - \"a\""},
		{arc.CWLType{Kind: arc.CWLFile, Notes: []arc.CWLNote{{Key: "secondaryFiles", Value: arc.CWLValue{Fields: []arc.CWLNote{{Key: "a", Value: arc.CWLValue{Written: true}}}}}, {Key: "x"}}},
			"\n    type: File\n    secondaryFiles:\n      a:\n    x: ", "\n      type: File\n      secondaryFiles:\n        a:\n      x: "},
		{noted(array(kind(arc.CWLInt))), " int[]", " int[]"},
		{union(noted(kind(arc.CWLFile)), kind(arc.CWLNull)), " File?", " File?"},
		{union(kind(arc.CWLNull), array(enum("x"))), "\n    - null\n    -\n      type: array\n      items:\n        type: enum\n        symbols: [x]",
			"\n      - null\n      -\n        type: array\n        items:\n          type: enum\n          symbols: [x]"},
	} {
		got := cwlOf(t, &arc.ProcessingUnit{
			Class:   arc.Operation,
			Inputs:  []arc.CWLParameter{{Name: "a", Type: tt.kind}},
			Outputs: []arc.CWLParameter{{Name: "b", Type: tt.kind, Glob: ptr("*.csv")}},
		})
		want := "cwlVersion: v1.2\nclass: Operation\r\n\r\ninputs:\n  a:" + tt.input +
			"\r\n\r\noutputs:\n  b:\n    type:" + tt.output + "\n    outputBinding:\n      glob: *.csv"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.kind, diff)
		}
	}
}

// Bindings are written as they are, with line breaks as blocks.
func TestBindingsOfCWL(t *testing.T) {
	t.Parallel()
	got := cwlOf(t, &arc.ProcessingUnit{
		Class:   arc.CommandLineTool,
		Inputs:  []arc.CWLParameter{{Name: "a", Type: kind(arc.CWLInt), Prefix: ptr("--a"), Position: ptr(-2)}, {Name: "b", Type: kind(arc.CWLInt), Prefix: ptr("")}},
		Outputs: []arc.CWLParameter{{Name: "c", Type: kind(arc.CWLFile)}, {Name: "d", Type: kind(arc.CWLFile), Glob: ptr("x\r\n\ny\n\n")}},
	})
	want := strings.Join([]string{
		"cwlVersion: v1.2\nclass: CommandLineTool",
		"inputs:\n  a:\n    type: int\n    inputBinding:\n      prefix: --a\n      position: -2\n  b:\n    type: int\n    inputBinding:\n      prefix: ",
		"outputs:\n  c:\n    type: File\n    outputBinding: {}\n  d:\n    type: File\n    outputBinding:\n      glob: |-\n        x\n        \n        y",
	}, "\r\n\r\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

// Expressions stand in double quotes or, with line breaks, in a block.
func TestExpressionsOfCWL(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"":                `""`,
		`a "b" \`:         `"a \"b\" \\"`,
		"\t\u00a0\x1b":    `"\t\_\e"`,
		"a\n":             "|\n  a",
		"a\r\n\r\n b\n\n": "|\n  a\n  \n   b\n  ",
	} {
		got := cwlOf(t, &arc.ProcessingUnit{Class: arc.ExpressionTool, Expression: &expression})
		_, got, _ = strings.Cut(got, "expression: ")
		if got != want {
			t.Errorf("%q: got %q, want %q", expression, got, want)
		}
	}
}

// A step runs a file by name, or what is in that file when the ARC knows it.
func TestStepsOfCWL(t *testing.T) {
	t.Parallel()
	tool := &arc.ProcessingUnit{Class: arc.CommandLineTool, Inputs: []arc.CWLParameter{{Name: "a", Type: kind(arc.CWLFile)}}}
	got := cwlOf(t, &arc.ProcessingUnit{Class: arc.CWLWorkflow, Steps: []arc.CWLStep{
		{Name: "one", Run: "tools/other.cwl"}, {Name: "two", Run: "tool.cwl", Unit: tool},
	}})
	want := "cwlVersion: v1.2\nclass: Workflow\r\n\r\ninputs: {}\r\n\r\nsteps:\n" +
		"  one:\n    run: tools/other.cwl\n    in: {}\n    out: []\n" +
		"  two:\n    run:\n      cwlVersion: v1.2\n      class: CommandLineTool\n      inputs:\n        a: File\n      outputs: {}\n    in: {}\n    out: []" +
		"\r\n\r\noutputs: {}"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

// Workflows that are steps of each other many times over, or of themselves, do
// not become documents without end.
func TestStepsWithoutEndAreRefused(t *testing.T) {
	t.Parallel()
	inner := &arc.ProcessingUnit{Class: arc.CommandLineTool}
	for range 64 {
		inner = &arc.ProcessingUnit{Class: arc.CWLWorkflow, Steps: []arc.CWLStep{{Name: "a", Unit: inner}, {Name: "b", Unit: inner}}}
	}
	cycle := &arc.ProcessingUnit{Class: arc.CWLWorkflow}
	cycle.Steps = []arc.CWLStep{{Name: "a", Unit: cycle}}
	for _, unit := range []*arc.ProcessingUnit{inner, cycle} {
		got := problems(t, &arc.Investigation{Runs: []*arc.Run{{Identifier: "r", Unit: unit}}})
		if len(got) != 1 || got[0].Code != "too-large" || got[0].Path != "runs/r/run.cwl" {
			t.Errorf("problems = %+v", got)
		}
	}
}
