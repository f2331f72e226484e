package rocrate_test

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/arc"
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
		inv, list := read(t, doc)
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
	if inv, list := read(t, crate(entities...)); inv != nil {
		t.Errorf("accepted: %v", list)
	}
}

// A large table is held in less than the size of its crate again.
func TestReadHoldsLargeTablesInLittleMemory(t *testing.T) {
	doc := tableCrate(20_000)
	for name, read := range readers {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		inv, list := read(doc)
		if inv == nil {
			t.Fatalf("refused: %v", list)
		}
		runtime.GC()
		runtime.GC() // what was kept for the next crate goes with the second
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > int64(len(doc)) {
			t.Errorf("%s: the ARC of a crate of %d bytes takes %d bytes", name, len(doc), grown)
		}
		if total := after.TotalAlloc - before.TotalAlloc; total > uint64(12*len(doc)) {
			t.Errorf("%s: reading a crate of %d bytes allocated %d bytes", name, len(doc), total)
		}
		runtime.KeepAlive(inv)
	}
}

// pairedCrate gives a crate with one table, the rows of which stand for one process each, or for one together. Inputs, outputs,
// their values and those of the process are entities of their own; the value of a few inputs is that of the process.
func pairedCrate(rows int, together bool) []byte {
	var entities, processes, inputs, outputs []string
	ref := func(id string, i int) string { return fmt.Sprintf(`{"@id":"#%s%d"}`, id, i) }
	process := func(i int, object, result string) {
		processes = append(processes, ref("p", i))
		entities = append(entities, fmt.Sprintf(`{"@id":"#p%d","@type":"LabProcess","name":"t_%[1]d","object":%s,"result":%s,`+
			`"parameterValue":[{"@id":"#shared"},{"@id":"#second"}],"executesLabProtocol":{"@id":"#protocol"}}`, i, object, result))
	}
	for i := range rows {
		inputs, outputs = append(inputs, ref("s", i)), append(outputs, ref("f", i))
		characteristic := ref("c", i)
		if i%1500 == 7 {
			characteristic = `{"@id":"#shared"}`
		}
		entities = append(entities,
			fmt.Sprintf(`{"@id":"#s%d","@type":"Sample","additionalType":"Source","name":"plant %[1]d","additionalProperty":%s}`, i, characteristic),
			fmt.Sprintf(`{"@id":"#c%d","@type":"PropertyValue","additionalType":"CharacteristicValue","name":"height","value":"%[1]d"}`, i),
			fmt.Sprintf(`{"@id":"#f%d","@type":"File","name":"%[1]d.raw"}`, i))
		if !together {
			process(i, inputs[i], outputs[i])
		}
	}
	if together {
		process(0, "["+strings.Join(inputs, ",")+"]", "["+strings.Join(outputs, ",")+"]")
	}
	return crate(append(entities,
		`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":{"@id":"a"}}`,
		`{"@id":"a","@type":"Dataset","additionalType":"Assay","identifier":"A","about":[`+strings.Join(processes, ",")+`]}`,
		`{"@id":"#shared","@type":"PropertyValue","additionalType":["ParameterValue","CharacteristicValue"],"name":"light","value":"9","unitText":"lx"}`,
		`{"@id":"#second","@type":"PropertyValue","additionalType":"ParameterValue","name":"time","value":"1","unitText":"day"}`,
		`{"@id":"#protocol","@type":"LabProtocol","name":"growth","labEquipment":{"@id":"#second"}}`)...)
}

// A process with the inputs and outputs of many rows gives the table that as many processes give, although
// nothing is kept of a row that is done.
func TestRowsOfOneProcessAreThoseOfMany(t *testing.T) {
	t.Parallel()
	one, many := mustRead(t, pairedCrate(5000, true)), mustRead(t, pairedCrate(5000, false))
	if diff := cmp.Diff(tableText(many.Assays[0].Tables[0]), tableText(one.Assays[0].Tables[0])); diff != "" {
		t.Errorf("many (-), one (+):\n%s", diff)
	}
}

// What an earlier row has looked at already is kept while a later one uses it, however much that looks at.
func TestRowsKeepWhatTheyUse(t *testing.T) {
	t.Parallel()
	values := []int{1, 3000, 1} // by row; the many push the output of the first row out
	entities := []string{
		`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":{"@id":"a"}}`,
		`{"@id":"a","@type":"Dataset","additionalType":"Assay","identifier":"A","about":{"@id":"#p"}}`,
		`{"@id":"#p","@type":"LabProcess","name":"t_0","object":[{"@id":"#s0"},{"@id":"#s1"},{"@id":"#s2"}],"result":[{"@id":"#f"},{"@id":"#f"},{"@id":"#f"}]}`,
		`{"@id":"#f","@type":"File","name":"all.raw"}`,
	}
	for row, n := range values {
		var of []string
		for i := range n {
			of = append(of, fmt.Sprintf(`{"@id":"#c%d-%d"}`, row, i))
			entities = append(entities, fmt.Sprintf(`{"@id":"#c%d-%d","@type":"PropertyValue","additionalType":"CharacteristicValue","name":"c%[2]d","value":"%[1]d"}`, row, i))
		}
		entities = append(entities, fmt.Sprintf(`{"@id":"#s%d","@type":"Sample","name":"s%[1]d","additionalProperty":[%s]}`, row, strings.Join(of, ",")))
	}
	for i, row := range tableText(mustRead(t, crate(entities...)).Assays[0].Tables[0]) {
		if cells := strings.Split(row, " | "); len(cells) != values[i]+2 || !strings.Contains(cells[len(cells)-1], "all.raw") {
			t.Errorf("row %d: %d cells, the last is %s", i, len(cells), cells[len(cells)-1])
		}
	}
}

// tableText shows a table row by row.
func tableText(table *arc.Table) (rows []string) {
	for i := range table.NumRows() {
		var row []string
		for column, cell := range table.Row(i) {
			row = append(row, fmt.Sprint(table.Columns()[column], cell))
		}
		rows = append(rows, strings.Join(row, " | "))
	}
	return rows
}

// What is allocated for a long table is a small multiple of the crate, also when one process stands for all rows.
func TestOneProcessForManyRowsTakesLittleMemory(t *testing.T) {
	doc := pairedCrate(20_000, true)
	for name, read := range readers {
		least := math.Inf(1)
		for range 5 { // a collection empties pools, and then there is more to allocate
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			read(doc)
			runtime.ReadMemStats(&after)
			least = min(least, float64(after.TotalAlloc-before.TotalAlloc)/float64(len(doc)))
		}
		if least > 4.5 {
			t.Errorf("%s: %.2f times the crate", name, least)
		}
	}
}
