package rocrate_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/rocrate"
)

// refs gives many references to an entity, as a JSON array.
func refs(id string) string {
	one := `{"@id":"` + id + `"}`
	return "[" + strings.Repeat(one+",", 20_000) + one + "]"
}

// A crate that uses the same entities over and over stands for an ARC that is larger than the crate by
// any factor; it is refused instead of built.
func TestReadRefusesCratesThatMultiply(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string][]byte{
		"roles of persons": crate(
			`{"@id":"./","@type":"Dataset","identifier":"I","creator":`+refs("p")+`}`,
			`{"@id":"p","@type":"Person","givenName":"g","jobTitle":`+refs("t")+`}`,
			`{"@id":"t","@type":"DefinedTerm","name":"n"}`),
		"rows of processes": crate(
			`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":{"@id":"a"}}`,
			`{"@id":"a","@type":"Dataset","additionalType":"Assay","identifier":"A","about":`+refs("x")+`}`,
			`{"@id":"x","@type":"LabProcess","name":"n","object":`+refs("s")+`}`,
			`{"@id":"s","@type":"Sample","name":"n"}`),
		"long texts": crate(
			`{"@id":"./","@type":"Dataset","identifier":"I","creator":`+refs("p")+`}`,
			`{"@id":"p","@type":"Person","givenName":"`+strings.Repeat("g", 1<<18)+`"}`),
		"nodes as texts": crate(
			`{"@id":"./","@type":"Dataset","identifier":"I","creator":`+refs("p")+`}`,
			`{"@id":"p","@type":"Person","givenName":"g","affiliation":{"@id":"o"}}`,
			`{"@id":"o","@type":"Organization","name":"o","x":`+refs("y")+`}`),
	} {
		var found []string
		inv, list := rocrate.Read(doc)
		for _, f := range list {
			found = append(found, f.Code)
		}
		if inv != nil || !strings.Contains(strings.Join(found, " "), "crate-too-large") {
			t.Errorf("%s: accepted, or refused for another reason: %v", name, found)
		}
	}
}

// Cycles of every kind end.
func TestReadSurvivesCycles(t *testing.T) {
	t.Parallel()
	mustRead(t, crate(
		`{"@id":"./","@type":["Dataset","LabProcess","Person"],"additionalType":["Study","Assay"],"identifier":"I","name":"x","givenName":"g",
		  "hasPart":[{"@id":"./"}],"about":{"@id":"./"},"object":{"@id":"./"},"result":{"@id":"./"},"creator":{"@id":"./"},"citation":{"@id":"./"}}`))
	mustRead(t, crate(
		`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":{"@id":"w"}}`,
		`{"@id":"w","@type":"Dataset","additionalType":"Workflow","identifier":"W","mainEntity":{"@id":"a.cwl"}}`,
		`{"@id":"a.cwl","@type":["ComputationalWorkflow","SoftwareSourceCode","https://bioschemas.org/LabProtocol"],"additionalType":"WorkflowDescription","hasPart":[{"@id":"s"},{"@id":"s"}]}`,
		`{"@id":"b.cwl","@type":["ComputationalWorkflow","SoftwareSourceCode","https://bioschemas.org/LabProtocol"],"additionalType":"WorkflowDescription","hasPart":[{"@id":"t"},{"@id":"t"}]}`,
		`{"@id":"s","@type":"X","name":"s","identifier":"b.cwl"}`,
		`{"@id":"t","@type":"X","name":"t","identifier":"a.cwl"}`))
}

// Workflows that run each other twice each, one below the other, would be written 2^n times.
func TestReadRefusesWorkflowsThatMultiply(t *testing.T) {
	t.Parallel()
	entities := []string{
		`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":{"@id":"w"}}`,
		`{"@id":"w","@type":"Dataset","additionalType":"Workflow","identifier":"W","mainEntity":{"@id":"0.cwl"}}`,
	}
	for i := range 60 {
		entities = append(entities,
			fmt.Sprintf(`{"@id":"%d.cwl","@type":["ComputationalWorkflow","SoftwareSourceCode","LabProtocol"],"additionalType":"WorkflowDescription","hasPart":[{"@id":"s%[1]d"},{"@id":"s%[1]d"}]}`, i),
			fmt.Sprintf(`{"@id":"s%d","@type":"X","name":"s","identifier":"%d.cwl"}`, i, i+1))
	}
	if inv, list := rocrate.Read(crate(entities...)); inv != nil {
		t.Errorf("accepted: %v", list)
	}
}

// A large table is held in less than the size of its crate again.
func TestReadHoldsLargeTablesInLittleMemory(t *testing.T) {
	doc := tableCrate(20_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	inv := mustRead(t, doc)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > int64(len(doc)) {
		t.Errorf("the ARC of a crate of %d bytes takes %d bytes", len(doc), grown)
	}
	if total := after.TotalAlloc - before.TotalAlloc; total > uint64(12*len(doc)) {
		t.Errorf("reading a crate of %d bytes allocated %d bytes", len(doc), total)
	}
	runtime.KeepAlive(inv)
}
