package rocrate_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// seeds are documents to begin with: good ones, and each way to be bad.
func seeds() [][]byte {
	list := [][]byte{
		nil, []byte(`{}`), []byte(`{"@context":null,"@graph":[{"@id":"./","identifier":"A"}]}`),
		[]byte(`{"context":1,"graph":[{"@id":"./","identifier":[{"@value":7}],"x":NaN,"y":"\ud800","z":1e999}]}`),
		[]byte("\xff\xfe{\x00}\x00"), []byte(strings.Repeat("[", 2000)),
		tableCrate(3),
		crate(`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":[{"@id":"w"},{"@id":"./"}],"license":{"@id":"../L"},"creator":{"@id":"p"}}`,
			`{"@id":"p","@type":["Person"],"givenName":"G","affiliation":{"@id":"o","@type":"Organization","name":"O","n":1.5,"x":{"@value":2}},"disambiguatingDescription":["Name = \"k\", Value = \"v\""]}`,
			`{"@id":"p","@type":"Person","affiliation":[{"@id":"o"},"x"],"jobTitle":{"@id":"p"}}`,
			`{"@id":"w","@type":"Dataset","additionalType":["Workflow","Run","Study"],"identifier":"W","mainEntity":{"@id":"c"},"about":{"@id":"i"},"variableMeasured":{"@type":"PropertyValue","@id":"","name":"FragmentDescriptor","subjectOf":{"@id":"f"}}}`,
			`{"@id":"i","@type":["CreateAction","LabProcess"],"name":"x_1","instrument":{"@id":"c"},"executesLabProtocol":{"@id":"c"},"object":{"@id":"f"}}`,
			`{"@id":"c","@type":["File","ComputationalWorkflow","SoftwareSourceCode","LabProtocol"],"additionalType":"WorkflowDescription","name":"n","identifier":"c.cwl","hasPart":{"@id":"s"},"input":{"@id":"a"}}`,
			`{"@id":"s","@type":"X","name":"step","identifier":"./c"}`,
			`{"@id":"a","@type":"FormalParameter","additionalType":"{type: record, fields: [{name: a, type: [int, 'null']}]}","name":"a"}`,
			`{"@id":"f","@type":"File","name":"#f#","exampleOfWork":{"@id":"a"},"@context":{"b":"bio:x","bio":"https://bioschemas.org/"}}`),
	}
	return list
}

// Scanning never panics, and what it accepts is stable: the stored document is JSON and gives the same payload.
func FuzzScan(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := rocrate.Scan(doc)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("error without a text")
			}
			return
		}
		if !json.Valid(p.Document) {
			t.Fatalf("the stored document is not JSON: %q", p.Document)
		}
		again, err := rocrate.Scan(p.Document)
		if err != nil || again.Hash != p.Hash || again.Identifier != p.Identifier || !bytes.Equal(again.Document, p.Document) {
			t.Fatalf("scanning the stored document gives something else: %v\n%q\n%q", err, p.Document, again.Document)
		}
	})
}

// Reading never panics; a crate becomes an ARC exactly if no finding is an error; pointers
// lead to something.
func FuzzRead(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		inv, list := read(t, doc)
		if (inv == nil) != hasErrors(list) {
			t.Fatalf("investigation %v, findings %v", inv, list)
		}
		d, err := jsondoc.Parse(doc)
		for _, finding := range list {
			if finding.Text == "" || err != nil && finding.Pointer != "" {
				t.Fatalf("finding %+v", finding)
			}
			if err == nil && !leads(d.Root(), finding.Pointer) {
				t.Fatalf("%s leads nowhere", finding.Pointer)
			}
		}
	})
}

// leads follows a JSON Pointer.
func leads(v jsondoc.Value, pointer string) bool {
	if pointer == "" {
		return true
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for _, step := range strings.Split(pointer[1:], "/") {
		next := jsondoc.Value{}
		if v.Kind() == jsondoc.Array {
			for i, element := range v.Elements() {
				if step == strconv.Itoa(i) {
					next = element
				}
			}
		} else {
			for key, value := range v.Members() {
				if key.Text() == unescape.Replace(step) {
					next = value
				}
			}
		}
		if !next.Exists() {
			return false
		}
		v = next
	}
	return true
}

func hasErrors(list []rocrate.Finding) bool {
	return slices.ContainsFunc(list, func(f rocrate.Finding) bool { return f.Severity == rocrate.SeverityError })
}
