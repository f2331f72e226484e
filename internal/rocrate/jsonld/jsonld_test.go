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
		{"text and number of the same value", `"1.50"`, `1.5`, "1.50"},
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
		{`{"x":"http://schema.org/","name":"x:ä","label":"http://schema.org/name"}`, `"name":"no compact IRI","label":"alias"`, "alias"},
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

// Whether a node counts in a property of another is asked under the context of that other as well; its texts are read
// without.
func TestNodesAreSeenUnderTheContextOfTheirParents(t *testing.T) {
	t.Parallel()
	g := read(t, context12,
		`{"@id":"x","@type":"A","@context":{"label":"http://schema.org/name","Sample":"http://schema.org/Person"},"about":{"@id":"y"}}`,
		`{"@id":"y","@type":"Sample","name":"term"}`, `{"@id":"z","@type":"A","about":{"@id":"y"}}`)
	x, y := entity(t, g, "x"), entity(t, g, "y")
	if seen := y.In(x); seen.Has(jsonld.Name) || !seen.Is(jsonld.Person) {
		t.Error("the context of the parent does not count")
	}
	if seen := y.In(entity(t, g, "z")); !seen.Has(jsonld.Name) || seen.Is(jsonld.Person) || !y.Has(jsonld.Name) {
		t.Error("the context of the parent counts elsewhere")
	}
}

// problems gives what is wrong with a graph.
func problems(tb testing.TB, entities ...string) (list []string) {
	tb.Helper()
	d, err := jsonld.Parse([]byte(`{"@context":` + context12 + `,"@graph":[` + strings.Join(entities, ",") + `]}`))
	if err != nil {
		tb.Fatal(err)
	}
	g := jsonld.Read(d, func(code string, at jsondoc.Value, entity, _ string) {
		list = append(list, code+" "+at.Pointer()+" "+entity)
	})
	if (g == nil) != (len(list) > 0) {
		tb.Errorf("a graph: %v, problems: %q", g != nil, list)
	}
	return list
}

// A context that defines a term by no text is refused however deep it stands, and so is the key Id; other unknown
// contexts of nested objects only keep these from being nodes.
func TestNestedObjectsThatAreRefused(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`{"@context":{"x":null}}`:                                "crate-context /@graph/0/p/@context/x ",
		`[{"a":{"@id":"n","@type":"T","@context":{"x":5}}}]`:     "crate-context /@graph/0/p/0/a/@context/x n",
		`{"@id":"n","@context":{"x":true}}`:                      "crate-context /@graph/0/p/@context/x n",
		`{"@context":{"a":"b:cd","b":"nowhere"}}`:                "crate-context /@graph/0/p/@context/b ",
		`{"@context":{"a":"b:cd","b":"c:"}}`:                     "crate-context /@graph/0/p/@context/b ",
		`{"@context":{"b":"c:","a":"b:cd"}}`:                     "crate-context /@graph/0/p/@context/a ",
		`{"@context":["unknown",{"x":null}]}`:                    "",
		`{"@context":[{"x":null}]}`:                              "crate-context /@graph/0/p/@context/0/x ",
		`{"@context":null,"a":{"@context":"unknown"}}`:           "",
		`{"@value":"v","@context":{"x":null}}`:                   "",
		`{"@value":true,"@context":{"x":null}}`:                  "crate-context /@graph/0/p/@context/x ",
		`{"@id":"n","Id":"m"}`:                                   "crate-key /@graph/0/p/Id n",
		`{"a":[{"Id":[]}]}`:                                      "crate-key /@graph/0/p/a/0/Id ",
		`{"Id":null,"id":1,"ID":2}`:                              "",
		`{"@type":"T","@context":{"@id":1,"@type":2,"x":"y"}}`:   "",
		`{"@id":"n","@type":{"@context":{"x":1}},"@context":[]}`: "",
	} {
		got := strings.Join(problems(t, `{"@id":"e","@type":"A","p":`+value+`}`), "; ")
		if got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
	if got := problems(t, `{"@id":"e","@type":"A","Id":"x"}`); !slices.Equal(got, []string{"crate-key /@graph/0/Id e"}) {
		t.Errorf("in an entity: %q", got)
	}
}

// A type that a context expands by something that is no address is refused, also of an entity that nobody looks at.
func TestTypesThatBreakContexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ context, entity, want string }{
		{`{"T":"ex:thing"}`, `{"@id":"e","@type":"T"}`, "crate-context /@graph/0/@type e"},
		{`{"T":"ex:thing"}`, `{"@id":"e","@type":["S","U"]}`, ""},
		{`[{"Dataset":"urn:x:yz"},` + context12 + `]`, `{"@id":"e","@type":"Dataset"}`, "crate-context /@graph/0/@type e"},
		{`{"T":"ex:thing","ex":"mailto:a"}`, `{"@id":"e","@type":"T"}`, "crate-context /@context/ex "},
		{`{"T":"x"}`, `{"@id":"e","@type":"T"}`, ""},
		{`{}`, `{"@id":"e","@type":"T","@context":{"T":"ex:thing"}}`, "crate-context /@graph/0/@type e"},
	} {
		d, err := jsonld.Parse([]byte(`{"@context":` + c.context + `,"@graph":[` + c.entity + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		jsonld.Read(d, func(code string, at jsondoc.Value, entity, _ string) {
			got = append(got, code+" "+at.Pointer()+" "+entity)
		})
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s %s: %q, want %q", c.context, c.entity, got, c.want)
		}
	}
}

// Entities with contexts of their own are merged by what their keys stand for.
func TestMergingUnderOwnContexts(t *testing.T) {
	t.Parallel()
	const own = `"@context":{"label":"http://schema.org/name"},`
	for _, c := range []struct{ first, second, want string }{
		{`"name":"a"`, own + `"label":"b"`, "b"},
		{`"http://schema.org/name":"a"`, own + `"label":"b"`, "b a"},
		{own + `"label":"a"`, own + `"label":"b"`, "b a"},
		{own + `"label":"a"`, `"http://schema.org/name":"b"`, "b a"},
		{own + `"label":"a"`, `"label":"b"`, "b a"},
		{own + `"":"a"`, `"http://schema.org/name":"b"`, "b"},
		{own + `"label":"a"`, `"label":"a"`, "a"},
		{own + `"label":"a"`, `"label":["b"]`, "b a"},
		{own + `"http://schema.org/name":"a"`, `"label":"b"`, "b a"},
		{`"@context":{"name":"http://schema.org/label"},"name":"a"`, `"name":"b"`, "a"}, // the two are a label
	} {
		n := entity(t, read(t, context12, `{"@id":"x","@type":"A",`+c.first+`}`, `{"@id":"x","@type":"A",`+c.second+`}`), "x")
		if got := strings.Join(slices.Collect(n.Texts(jsonld.Name)), " "); got != c.want {
			t.Errorf("%s and %s: %q, want %q", c.first, c.second, got, c.want)
		}
	}
}

// An entity that is given twice is refused if a context of its own expands a key that has to be looked at to something that is no address:
// any key of what is added, one that the first lacks, and all of the first when something is set.
func TestMergingUnderOwnContextsThatBreak(t *testing.T) {
	t.Parallel()
	const own = `"@context":{"name":"ex:thing"}`
	const first, second = "crate-context /@graph/0/@context e", "crate-context /@graph/1/@context e"
	for _, c := range []struct{ first, second, want string }{
		{own, `"name":"f"`, first},
		{own + `,"name":"g"`, `"name":"f"`, first},
		{own + `,"name":"f"`, `"name":"f"`, ""},
		{own + `,"name":"f"`, `"x":"f"`, first},
		{own + `,"name":"f","x":1`, `"x":1`, ""},
		{own + `,"name":"f","x":1`, `"x":2`, first},
		{own + `,"name":"f","x":[1]`, `"x":1`, ""},
		{own + `,"name":"f","x":[1]`, `"x":[1]`, first},
		{own + `,"name":"f","x":1`, `"x":[1]`, ""},
		{own + `,"name":"f","x":[1]`, `"x":2`, first},
		{own, `"x":"f"`, ""},
		{own, own, ""},
		{`"name":"f"`, own + `,"x":"f"`, ""},
		{`"name":"f"`, own + `,"name":"f"`, second},
	} {
		got := strings.Join(problems(t, `{"@id":"e","@type":"A",`+c.first+`}`, `{"@id":"e","@type":"A",`+c.second+`}`), "; ")
		if got != c.want {
			t.Errorf("%s and %s: %q, want %q", c.first, c.second, got, c.want)
		}
	}
}

// A number that is no integer cannot be merged with something that is no number.
func TestNumbersThatCannotBeMerged(t *testing.T) {
	t.Parallel()
	const refused = "crate-merge /@graph/1/v e"
	for _, c := range []struct{ have, added, want string }{
		{`"x"`, `1.5`, refused},
		{`true`, `1.5`, refused},
		{`{"@id":"y"}`, `1e300`, refused},
		{`[1.5,"x"]`, `1.5`, refused},
		{`"x"`, `[2,1.5]`, "crate-merge /@graph/1/v/1 e"},
		{`{"@value":"x"}`, `{"@value":1.5}`, refused},
		{`1.5`, `"x"`, ""},
		{`"x"`, `2`, ""},
		{`["x"]`, `[1.5]`, ""},
		{`".15e1"`, `1.5`, ""},
		{`null`, `1.5`, ""},
		{`[[1.5]]`, `[1.5]`, ""},
	} {
		got := strings.Join(problems(t, `{"@id":"e","@type":"A","v":`+c.have+`}`, `{"@id":"e","@type":"A","v":`+c.added+`}`), "; ")
		if got != c.want {
			t.Errorf("%s and %s: %q, want %q", c.have, c.added, got, c.want)
		}
	}
}

// Keys that are numbers come first, keys that the library keeps for itself get lost, and contexts are told in
// short.
func TestKeysOfNodesAsJSON(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]string{
		`"b":"1","10":"2","9":"3","01":"4"`:                             `{"9":"3","10":"2","@id":"#o","@type":"A","b":"1","01":"4"}`,
		`"p":{"b":1,"7":2}`:                                             `{"@id":"#o","@type":"A","p":{"7":2,"b":1}}`,
		`"properties":1,"Properties":2,"p":{"properties":3}`:            `{"@id":"#o","@type":"A","p":{}}`,
		`"id":1,"init@1":2,"init_":3,"schemaType":4`:                    `{"@id":"#o","@type":"A"}`,
		`"@context":[{"@id":"a","x":"y"}],"c":1`:                        `{"@id":"#o","@type":"A","@context":{"x":"y"},"c":1}`,
		`"@context":[]`:                                                 `{"@id":"#o","@type":"A","@context":{}}`,
		`"@context":["https://w3id.org/ro/crate/1.2-DRAFT/context",{}]`: `{"@id":"#o","@type":"A","@context":["https://w3id.org/ro/crate/1.2/context",{}]}`,
	} {
		got, err := entity(t, read(t, context12, `{"@id":"#o","@type":"A",`+members+`}`), "#o").AppendJSON(nil)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s (%v), want %s", members, got, err, want)
		}
	}
	twice := read(t, context12, `{"@id":"#o","@type":"A","10":1}`, `{"@id":"#o","@type":"A","9":2}`)
	if got, err := entity(t, twice, "#o").AppendJSON(nil); err != nil || string(got) != `{"9":2,"10":1,"@id":"#o","@type":"A"}` {
		t.Errorf("given twice: %s (%v)", got, err)
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
