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
