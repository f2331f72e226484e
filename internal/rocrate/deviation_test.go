package rocrate_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/rocrate"
)

// Deviation from the reference library: half a surrogate pair becomes U+FFFD, with a warning. No file could hold it.
func TestLoneSurrogatesAreReplaced(t *testing.T) {
	t.Parallel()
	inv, list := read(t, crate(`{"@id":"./","@type":"Dataset","identifier":"I","name":"a\ud800b\ud83d\ude00"}`))
	if inv == nil || inv.Title != "a\ufffdb😀" {
		t.Fatalf("read as %+v", inv)
	}
	if len(list) != 1 || list[0].Code != "text-damaged" || list[0].Severity != rocrate.SeverityWarning || list[0].Pointer != "/@graph/0/name" {
		t.Errorf("findings %+v", list)
	}
}

// Deviation from the reference library: the name of a table of processes without any name is made up, but the same
// each time the crate is read, other in each process and in each ARC.
func TestMadeUpNamesAreReproducible(t *testing.T) {
	t.Parallel()
	names := func(identifier string) (list []string) {
		inv := mustRead(t, crate(
			`{"@id":"./","@type":"Dataset","identifier":"`+identifier+`","hasPart":{"@id":"a"}}`,
			`{"@id":"a","@type":"Dataset","additionalType":"Assay","identifier":"A","about":[{"@id":"p"},{"@id":"q"}]}`,
			`{"@id":"p","@type":"LabProcess","name":1}`, `{"@id":"q","@type":"LabProcess","name":2}`))
		for _, table := range inv.Assays[0].Tables {
			list = append(list, table.Name)
		}
		return list
	}
	first, again, other := names("I"), names("I"), names("J")
	form := regexp.MustCompile(`^MISSING_IDENTIFIER_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	if len(first) != 2 || !form.MatchString(first[0]) || first[0] == first[1] {
		t.Fatalf("names %q", first)
	}
	if again[0] != first[0] || again[1] != first[1] || other[0] == first[0] {
		t.Errorf("the first time %q, then %q, in another ARC %q", first, again, other)
	}
}

// Deviation from the reference library: keys that its program uses for itself mean nothing.
func TestKeysOfTheLibraryMeanNothing(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"SchemaType", "AdditionalType", "hasOwnProperty"} {
		inv := mustRead(t, crate(
			`{"@id":"./","@type":"Dataset","identifier":"I","`+key+`":"Person","hasPart":{"@id":"a"}}`,
			`{"@id":"a","@type":"Dataset","additionalType":"Assay","identifier":"A","`+key+`":["Study"]}`))
		if len(inv.Assays) != 1 || len(inv.Studies) != 0 {
			t.Errorf("%s: %d assays and %d studies", key, len(inv.Assays), len(inv.Studies))
		}
	}
}

// Deviation from the reference library: a term that is a part of IRIs has no effect on these.
func TestIRIsAreNotExpanded(t *testing.T) {
	t.Parallel()
	for _, term := range []string{"http", "https", "//schema.org/name"} {
		inv := mustRead(t, []byte(`{"@context":["https://w3id.org/ro/crate/1.2/context",{"`+term+`":"https://example.org/"}],`+
			`"@graph":[{"@id":"./","@type":"Dataset","identifier":"I","name":"title"}]}`))
		if inv.Identifier != "I" || inv.Title != "title" {
			t.Errorf("%s: %q, %q", term, inv.Identifier, inv.Title)
		}
	}
}

// Limit: documents are nested 1000 levels and integers have 4300 digits at most; the finding says so.
func TestLimitsOfDocumentsAreTold(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"deep": nested(1000), "long": digits(4301)} {
		inv, list := read(t, crate(`{"@id":"./","@type":"Dataset","identifier":"I","x":`+value+`}`))
		if inv != nil || len(list) != 1 || list[0].Code != "crate-json" || !regexp.MustCompile(`1000 levels.*4300 digits`).MatchString(list[0].Remedy) {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

// An empty document is called so.
func TestAnEmptyCrateIsToldSo(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{"", " \n"} {
		if inv, list := read(t, []byte(doc)); inv != nil || len(list) != 1 || list[0].Text != "the crate is empty" {
			t.Errorf("%q: %+v", doc, list)
		}
	}
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func digits(n int) string { return strings.Repeat("9", n) }
