package jsonld_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// read reads a graph that nothing is wrong with.
func read(tb testing.TB, context string, entities ...string) *jsonld.Graph {
	tb.Helper()
	doc := `{"@context":` + context + `,"@graph":[` + strings.Join(entities, ",") + `]}`
	d, err := jsonld.Parse([]byte(doc))
	if err != nil {
		tb.Fatal(err)
	}
	g := jsonld.Read(d, func(code string, at jsondoc.Value, entity, text string) {
		tb.Errorf("%s %s %s: %s", code, at.Pointer(), entity, text)
	})
	if g == nil {
		tb.Fatalf("refused: %s", doc)
	}
	return g
}

func entity(tb testing.TB, g *jsonld.Graph, id string) jsonld.Node {
	tb.Helper()
	n, ok := g.Node(id)
	if !ok {
		tb.Fatalf("no entity %s", id)
	}
	return n
}

const context12 = `"https://w3id.org/ro/crate/1.2/context"`

// Entities with one @id are merged, property by property.
func TestEntitiesGivenTwiceAreMerged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, first, second, want string }{
		{"array and array", `["a","b","a"]`, `["b","c"]`, "a b c"},
		{"array and new single", `["a","b"]`, `"c"`, "a b c"},
		{"array and known single", `["a","b"]`, `"b"`, "a b"},
		{"single and array that has it", `"a"`, `["b","a"]`, "a"},
		{"single and array without it", `"a"`, `["b","c"]`, "b c a"},
		{"single and other single", `"a"`, `"b"`, "b a"},
		{"single and same single", `"a"`, `"a"`, "a"},
		{"null and single", `null`, `"b"`, "b"},
	} {
		g := read(t, context12, `{"@id":"x","@type":"A","name":`+c.first+`}`, `{"@id":"x","@type":"B","name":`+c.second+`}`)
		n := entity(t, g, "x")
		got := strings.Join(slices.Collect(n.Texts(jsonld.Name)), " ")
		if first, _ := n.FirstType(); got != c.want || first != "A" {
			t.Errorf("%s: %q of type %s, want %q", c.rule, got, first, c.want)
		}
	}
}

// Inline nodes that merging moves become entities; others count only where they stand.
func TestInlineNodesAreNoEntities(t *testing.T) {
	t.Parallel()
	g := read(t, context12, `{"@id":"x","@type":"A","about":{"@id":"in","@type":"B","name":"inline"}}`, `{"@id":"y","@type":"A","about":{"@id":"in"}}`)
	if n, ok := entity(t, g, "x").Node(jsonld.About); !ok || n.ID() != "in" {
		t.Error("the inline node is not found where it stands")
	}
	if _, ok := entity(t, g, "y").Node(jsonld.About); ok {
		t.Error("a reference finds an inline node")
	}
	g = read(t, context12, `{"@id":"x","@type":"A"}`, `{"@id":"x","@type":"A","about":{"@id":"in","@type":"B","name":"inline"}}`)
	if _, ok := g.Node("in"); !ok {
		t.Error("the inline node that merging moved is no entity")
	}
}

// Which key is a property is decided by its IRI: the IRI itself, else the term that the first context
// with one has for it, last within one object.
func TestContextsDecideWhichKeyCounts(t *testing.T) {
	t.Parallel()
	const keys = `"http://schema.org/name":"iri","name":"term","label":"alias","other":"second"`
	for _, c := range []struct{ context, keys, want string }{
		{context12, keys, "iri"},
		{context12, `"name":"term","label":"alias"`, "term"},
		{`[` + context12 + `,{"label":"http://schema.org/name"}]`, `"name":"term","label":"alias"`, "term"},
		{`[{"label":"http://schema.org/name"},` + context12 + `]`, `"name":"term","label":"alias"`, "alias"},
		{`{"label":"https://schema.org/name","other":"http://schema.org/name"}`, `"label":"alias","other":"second"`, "second"},
		{`{"schema":"http://schema.org/","label":"schema:name"}`, `"label":"alias"`, "alias"},
		{`{"label":"schema:name","schema":"http://schema.org/"}`, `"label":"alias"`, "alias"},
		{`null`, `"name":"term"`, ""},
		{`[[],[` + context12 + `]]`, `"schema:name":"compact"`, ""},
	} {
		n := entity(t, read(t, c.context, `{"@id":"x","@type":"A",`+c.keys+`}`), "x")
		if got, _ := n.Text(jsonld.Name); got != c.want {
			t.Errorf("%s: %q, want %q", c.context, got, c.want)
		}
	}
	n := entity(t, read(t, context12, `{"@id":"x","@type":"A","@context":{"label":"http://schema.org/name"},"name":"term","label":"alias"}`), "x")
	if got, _ := n.Text(jsonld.Name); got != "alias" {
		t.Errorf("own context: %q, want alias", got)
	}
}

// A node is kept in a text as compact JSON, with what the library makes of numbers and values.
func TestNodesAsJSON(t *testing.T) {
	t.Parallel()
	g := read(t, context12, `{"@type":["Organization","Corporation"],"x":[1,1.5,3000000000,1e30,true,null],"@id":"#o","nothing":null,`+
		`"additionalType":["University"],"v":{"@value":"u"},"r":{"@id":"#o","name":"lost"},"p":{"a":null,"b":"ü"}}`)
	got, err := entity(t, g, "#o").AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"@id":"#o","@type":["Organization","Corporation"],"additionalType":"University","x":[1,"1.5","3000000000","1e+30",true,null],` +
		`"v":{"@value":"u","@type":"string"},"r":{"@id":"#o"},"p":{"b":"ü"}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Numbers that are no integers of 32 bits become texts as in the reference library, but for one: 2^63 does not
// become negative.
func TestNumbersAsTexts(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"2147483647": `2147483647`, "-0.0": `0`, "5.0": `5`, "2147483648": `"2147483648"`, "123456789012345678": `"123456789012345680"`,
		"-9223372036854775808": `"-9223372036854775808"`, "9223372036854775808": `"9223372036854776000"`,
		"1e21": `"1000000000000000000000"`, "9.99e28": `"99900000000000000000000000000"`, "1e29": `"1e+29"`, "1.5e300": `"1.5e+300"`,
		"-1.5": `"-1.5"`, "-0.05": `"-0.05"`, "1e-7": `"0.0000001"`, "1.5e-28": `"0.00000000000000000000000000015"`, "9.9e-29": `"9.9e-29"`, "5e-324": `"5e-324"`,
	} {
		got, err := entity(t, read(t, context12, `{"@id":"x","@type":"A","n":`+number+`}`), "x").AppendJSON(nil)
		if want := `{"@id":"x","@type":"A","n":` + want + `}`; err != nil || string(got) != want {
			t.Errorf("%s: %s (%v), want %s", number, got, err, want)
		}
	}
}

// In passing, nodes are good until the next Forget, and however many are looked at, each is what it was.
func TestNodesInPassing(t *testing.T) {
	t.Parallel()
	const n = 5000 // more than are remembered
	var entities []string
	for i := range n {
		entities = append(entities, fmt.Sprintf(`{"@id":"%d","@type":"A","name":"n%[1]d","next":1,"hasPart":[{"@id":"%d"},{"@id":"-%[1]d","@type":"B","name":"inline %[1]d"}]}`, i, (i*7+1)%n))
	}
	g := read(t, context12, entities...)
	first := entity(t, g, "0")
	g.Pass(true)
	for i := range n {
		node := entity(t, g, strconv.Itoa(i))
		var got []string
		for part := range node.Nodes(jsonld.HasPart) {
			name, _ := part.Text(jsonld.Name)
			got = append(got, name)
		}
		if want := []string{fmt.Sprintf("n%d", (i*7+1)%n), fmt.Sprintf("inline %d", i)}; !slices.Equal(got, want) {
			t.Fatalf("parts of %d: %q, want %q", i, got, want)
		}
		if name, _ := node.Text(jsonld.Name); name != fmt.Sprintf("n%d", i) {
			t.Fatalf("%d is called %q", i, name)
		}
		g.Forget()
	}
	g.Pass(false)
	if name, _ := first.Text(jsonld.Name); name != "n0" {
		t.Errorf("what was looked at before is called %q now", name)
	}
}
