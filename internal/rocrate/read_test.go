package rocrate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate"
)

// arcContext is the context that ARCs come with.
const arcContext = `["https://w3id.org/ro/crate/1.2/context",{"Sample":"https://bioschemas.org/Sample",` +
	`"LabProcess":"https://bioschemas.org/LabProcess","LabProtocol":"https://bioschemas.org/LabProtocol",` +
	`"executesLabProtocol":"https://bioschemas.org/properties/executesLabProtocol",` +
	`"parameterValue":"https://bioschemas.org/properties/parameterValue"}]`

// crate gives a crate of some entities.
func crate(entities ...string) []byte {
	return []byte(`{"@context":` + arcContext + `,"@graph":[` + strings.Join(entities, ",") + `]}`)
}

// readers are the two ways in which crates are read.
var readers = map[string]func([]byte) (*arc.Investigation, []rocrate.Finding){"small": rocrate.Read, "large": rocrate.ReadLarge}

// read reads a crate in both ways.
func read(tb rapid.TB, doc []byte) (*arc.Investigation, []rocrate.Finding) {
	tb.Helper()
	inv, list := rocrate.Read(doc)
	large, again := rocrate.ReadLarge(doc)
	if diff := cmp.Diff(list, again); diff != "" {
		tb.Fatalf("findings of a crate, and of the same as a large one (-small +large):\n%s\n%s", diff, doc)
	}
	if diff := cmp.Diff(inv, large, sameARC); diff != "" {
		tb.Fatalf("a crate, and the same as a large one (-small +large):\n%s\n%s", diff, doc)
	}
	return inv, list
}

// mustRead reads a crate that has no error.
func mustRead(tb testing.TB, doc []byte) *arc.Investigation {
	tb.Helper()
	inv, list := read(tb, doc)
	if inv == nil {
		tb.Fatalf("refused: %v", list)
	}
	return inv
}

// errorsOf gives code, pointer and entity of each error of a crate that is refused.
func errorsOf(tb testing.TB, doc []byte) (list []string) {
	tb.Helper()
	inv, found := read(tb, doc)
	if inv != nil {
		tb.Fatalf("accepted: %s", doc)
	}
	for _, f := range found {
		if f.Severity == rocrate.SeverityError {
			list = append(list, fmt.Sprintf("%s %s %s", f.Code, f.Pointer, f.Entity))
		}
		if f.Text == "" || f.Remedy == "" || f.Owner == "" {
			tb.Errorf("finding without text, remedy or owner: %+v", f)
		}
	}
	return list
}

// A process becomes a row for each pair of input and output; values stand in the order of
// columnIndex, between input and output.
func TestReadMakesRowsOfProcesses(t *testing.T) {
	t.Parallel()
	inv := mustRead(t, crate(
		`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":{"@id":"a"}}`,
		`{"@id":"a","@type":"Dataset","additionalType":"Assay","identifier":" A 1 ","about":[{"@id":"p"}]}`,
		`{"@id":"p","@type":"LabProcess","name":"grow_7","object":[{"@id":"s1"},{"@id":"s2"}],"result":[{"@id":"f1"},{"@id":"f2"}],
		  "parameterValue":[{"@id":"v2"},{"@id":"v1"}],"executesLabProtocol":{"@id":"prot"}}`,
		`{"@id":"prot","@type":"LabProtocol","name":"by hand"}`,
		`{"@id":"s1","@type":"Sample","additionalType":"Source","name":"one"}`,
		`{"@id":"s2","@type":"Sample","additionalType":"Source","name":"two"}`,
		`{"@id":"f1","@type":"File","name":"#a.txt#"}`,
		`{"@id":"f2","@type":"File","name":"b.txt","encodingFormat":"text/plain"}`,
		`{"@id":"v1","@type":"PropertyValue","name":"time","value":"3","unitText":"h","unitCode":"UO:0000032","columnIndex":"0"}`,
		`{"@id":"v2","@type":"PropertyValue","name":"light","value":"on","columnIndex":"1"}`,
	))
	assay := inv.Assays[0]
	if assay.Identifier != "A 1" || len(assay.Tables) != 1 {
		t.Fatalf("assay %q with %d tables", assay.Identifier, len(assay.Tables))
	}
	table := assay.Tables[0]
	var got []string
	for _, h := range table.Columns() {
		got = append(got, h.Text())
	}
	for i := range table.NumRows() {
		for _, c := range table.Row(i) {
			got = append(got, c.Text+c.Term.Name+c.Term.TAN+c.Data.Name+c.Data.Format)
		}
	}
	want := []string{
		"Input [Source Name]", "Protocol REF", "Parameter [time]", "Parameter [light]", "Output [Data]",
		"one", "by hand", "3hUO:0000032", "on", "a.txt",
		"two", "by hand", "3hUO:0000032", "on", "b.txttext/plain",
	}
	if diff := cmp.Diff(want, got); diff != "" || table.Name != "grow" {
		t.Errorf("table %q (-want +got)\n%s", table.Name, diff)
	}
}

// All errors of a crate are told, each with its place, not just the first.
func TestReadTellsAllErrors(t *testing.T) {
	t.Parallel()
	got := errorsOf(t, crate(
		`{"@id":"./","@type":"Dataset","identifier":7,"hasPart":[{"@id":"s"},{"@id":"a"},{"@id":"w"}],"creator":{"@id":"#p"}}`,
		`{"@id":"s","@type":"Dataset","additionalType":"Study","identifier":["../x"]}`,
		`{"@id":"a","@type":"Dataset","additionalType":"Assay","about":{"@id":"#proc"}}`,
		`{"@id":"#p","@type":"Person","givenName":1}`,
		`{"@id":"#proc","@type":"LabProcess","name":"x_99999999999","parameterValue":{"@id":"#v/~"},"object":{"@id":"f"}}`,
		`{"@id":"#v/~","@type":"PropertyValue","name":"n","valueReference":"a:b","unitText":"m"}`,
		`{"@id":"f","@type":"File","name":"f","disambiguatingDescription":"Text File"}`,
		`{"@id":"w","@type":"Dataset","additionalType":"Workflow","identifier":"W","mainEntity":{"@id":"c"}}`,
		`{"@id":"c","@type":["ComputationalWorkflow","SoftwareSourceCode","LabProtocol"],"additionalType":"ToolDescription","input":{"@id":"t"}}`,
		`{"@id":"t","@type":"FormalParameter","additionalType":["Any"],"name":"t"}`,
	))
	want := []string{
		"text-required /@graph/0/identifier ./",
		"text-required /@graph/3/givenName #p",
		"identifier-invalid /@graph/1/identifier/0 s",
		"text-required /@graph/2 a",
		"process-number /@graph/4/name #proc",
		"value-ambiguous /@graph/5/valueReference #v/~",
		"file-kind /@graph/6/disambiguatingDescription f",
		"cwl-type /@graph/9/additionalType/0 t",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// An input of a run has a value of any kind; an empty array is one, null is none.
func TestInputsOfRunsHaveValues(t *testing.T) {
	t.Parallel()
	run := func(value string) []byte {
		return crate(
			`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":{"@id":"r"}}`,
			`{"@id":"r","@type":"Dataset","additionalType":"Run","identifier":"R","about":{"@id":"i"}}`,
			`{"@id":"i","@type":["CreateAction","LabProcess"],"name":"i","instrument":{"@id":"p"},"executesLabProtocol":{"@id":"p"},"object":{"@id":"v"}}`,
			`{"@id":"p","@type":["ComputationalWorkflow","SoftwareSourceCode","LabProtocol"],"additionalType":"ToolDescription"}`,
			`{"@id":"v","@type":"PropertyValue","additionalType":"WorkflowInput","name":"v","value":`+value+`,"exampleOfWork":{"@id":"f"}}`,
			`{"@id":"f","@type":"FormalParameter","additionalType":"int","name":"f"}`)
	}
	for _, value := range []string{`[]`, `[null]`, `[null,1]`, `0`, `false`, `""`, `{}`, `{"@id":"gone"}`} {
		if inv, list := read(t, run(value)); inv == nil {
			t.Errorf("%s: %v", value, list)
		}
	}
	if diff := cmp.Diff([]string{"workflow-invalid /@graph/4 v"}, errorsOf(t, run("null"))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What is wrong with the document or its graph is told for every entry.
func TestReadTellsWhatIsWrongWithTheGraph(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string][]string{
		"\xef\xbb\xbf{}":   {"crate-json  "},
		`{"@graph":[}`:     {"crate-json  "},
		`[]`:               {"crate-document  "},
		`{"@graph":{}}`:    {"crate-document /@graph "},
		`{"@graph":[]}`:    {"root-missing /@graph ./"},
		`{"@graph":[NaN]}`: {"crate-json /@graph/0 "},
		// A number that no program holds is refused wherever it stands.
		`{"@graph":[{"@id":"./","@type":"Dataset","identifier":"I","about":{"@id":"gone","size":1E400}}]}`: {"crate-json /@graph/0/about/size "},
		`{"@context":["https://example.org/",{"a":{}}],"@graph":[1,{"@id":"x"},{"@id":"y","@type":"T","additionalType":5}]}`: {
			"crate-context /@context/0 ", "crate-entity /@graph/0 ", "crate-entity /@graph/1 x", "crate-entity /@graph/2 y",
		},
	} {
		if diff := cmp.Diff(want, errorsOf(t, []byte(doc))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", doc, diff)
		}
	}
}

// Values that are no texts get lost, and the sender is told.
func TestReadWarnsOfWhatGetsLost(t *testing.T) {
	t.Parallel()
	inv, list := read(t, crate(
		`{"@id":"./","@type":"Dataset","identifier":"I","name":5,"hasPart":[{"@id":"gone"},{"@id":"d"}]}`,
		`{"@id":"d","@type":"Dataset"}`))
	if inv == nil {
		t.Fatal(list)
	}
	var got []string
	for _, f := range list {
		got = append(got, f.Severity+" "+f.Code+" "+f.Pointer)
	}
	want := []string{"warning value-ignored /@graph/0/name", "warning reference-dangling /@graph/0/hasPart/0", "warning entity-ignored /@graph/1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A row of a data map is read without the context of the crate: under full IRIs, and under the terms of a context of its own.
func TestRowsOfDataMapsAreReadAlone(t *testing.T) {
	t.Parallel()
	const row = `{"@id":"d","@type":"PropertyValue","name":"FragmentDescriptor","subjectOf":{"@id":"f"},` +
		`"unitText":"gram","disambiguatingDescription":"Comment {Name = \"k\", Value = \"v\"}"`
	for rest, want := range map[string]string{
		``: " ",
		`,"@context":"https://w3id.org/ro/crate/1.2/context"`:                                             "gram k",
		`,"@context":{"u":"http://schema.org/unitText"},"u":"metre"`:                                      "metre ",
		`,"@context":{"u":"http://schema.org/unitText"},"u":"metre","http://schema.org/unitText":"litre"`: "litre ",
	} {
		inv := mustRead(t, crate(
			`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":{"@id":"a"}}`,
			`{"@id":"a","@type":"Dataset","additionalType":"Assay","identifier":"A","variableMeasured":{"@id":"d"}}`,
			row+rest+`}`, `{"@id":"f","@type":"File","name":"f.csv#col=1"}`))
		rows := inv.Assays[0].DataMap
		if len(rows) != 1 {
			t.Fatalf("%s: %d rows", rest, len(rows))
		}
		got := rows[0].Unit.Name + " "
		for _, c := range rows[0].Comments {
			got += c.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", rest, got, want)
		}
	}
}

// A part is a Dataset by the context of the crate or its own; that the root has one that knows the type is not enough.
func TestPartsAreDatasetsWithoutTheContextOfTheRoot(t *testing.T) {
	t.Parallel()
	const full = `"https://w3id.org/ro/crate/1.2/context"`
	terms := `{"identifier":"http://schema.org/identifier","hasPart":"http://schema.org/hasPart"}`
	for own, want := range map[string]int{``: 0, `"@context":` + full + `,`: 1} {
		inv := mustRead(t, []byte(`{"@context":`+terms+`,"@graph":[`+
			`{"@id":"./","@type":"Dataset","@context":`+full+`,"identifier":"I","hasPart":{"@id":"a"}},`+
			`{`+own+`"@id":"a","@type":"Dataset","additionalType":"Assay","identifier":"A"}]}`))
		if len(inv.Assays) != want {
			t.Errorf("%s: %d assays, want %d", own, len(inv.Assays), want)
		}
	}
}
