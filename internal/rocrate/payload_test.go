package rocrate_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
)

// The id of an ARC is the hash of trimmed identifier and RDI.
func TestIdentityTrimsBothParts(t *testing.T) {
	t.Parallel()
	const want = "d15287234a1b01437556b8d5cc493f1361eff2f44279207f9e4033e8a204b6b2"
	for _, in := range [][2]string{{"A", "r"}, {" A ", " r "}, {"\x1cA\x1f", "\u3000r\u0085"}} {
		id := rocrate.Identity(in[0], in[1])
		if got := hex.EncodeToString(id[:]); got != want {
			t.Errorf("Identity(%q, %q) = %s, want %s", in[0], in[1], got, want)
		}
	}
}

// The content hash is that of the canonical text, whatever the spelling of the document.
func TestScanHashesTheCanonicalText(t *testing.T) {
	t.Parallel()
	const full = "7e91872f052a5c4bc435108aab755657bb2639d22a9c0bad6c7836fbe12d630d"
	const short = "8046ee232f8c2dfa0da7e806afa1f56e37a269136c2b728a4eec5c50f558e15d"
	for name, c := range map[string]struct{ doc, want string }{
		"canonical": {`{"@context": "x", "@graph": [{"@id": "./", "big": 12345678901234567890123, "e": [], "f": 1.0, "g": 1e+21, "identifier": "A", "n": 1, "name": "\u00fc\u20ac\ud83d\ude00\u2028/\\\"\n\t\u007f\u0001", "neg": -0.0, "o": {}, "s": 1e-07, "t": true, "z": null}]}`, full},
		"respelled": {"{\"@graph\":[{\"z\":null,\"t\":true,\"s\":0.0000001,\"o\":{ },\"neg\":-0E0,\"name\":\"ü€😀\u2028\\/\\\\\\\"\\u000a\\t\x7f\\u0001\",\"n\":1,\"identifier\":\"B\",\"identifier\":\"A\",\"g\":1000000000000000000000.0,\"f\":1.00,\"e\":[\n],\"big\":12345678901234567890123,\"\\u0040id\":\"./\"}],\"@context\":\"x\"}", full},
		"short":     {`{"@context": "x", "@graph": [{"@id": "./", "identifier": "H1"}]}`, short},
		"plain":     {`{"graph":[{"identifier":"H1","@id":"./"}],"context":"x"}`, short},
		"volatile":  {`{"@context":"x","@graph":[{"@id":"./","identifier":"H1","datePublished":"2020","dateModified":{"a":1},"sdDatePublished":null}]}`, short},
	} {
		p, err := rocrate.Scan([]byte(c.doc))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := hex.EncodeToString(p.Hash[:]); got != c.want {
			t.Errorf("%s: hash %s, want %s", name, got, c.want)
		}
	}
}

// Identifier, name and description are unwrapped once from arrays and value objects, and trimmed.
func TestScanExtractsTexts(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"A"`: "A", `" A\n"`: "A", `"\u001cA"`: "A", `["A","B"]`: "A", `{"@value":"A"}`: "A", `[{"@value":7}]`: "7",
		`42`: "42", `-0`: "0", `1.0`: "1.0", `1e3`: "1000.0", `true`: "True", `false`: "False", `0`: "0",
		`[["x"]]`: "['x']", `{"@value":{"a":1}}`: "{'a': 1}", `{"@value":["x"]}`: "['x']", `[[null,"it's"]]`: `[None, "it's"]`,
	} {
		p, err := rocrate.Scan([]byte(`{"@context":null,"@graph":[{"@id":"./","identifier":` + value + `,"name":` + value + `}]}`))
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if p.Identifier != want || p.Name != want || p.Description != "" {
			t.Errorf("%s: identifier %q, name %q, description %q, want %q twice and nothing", value, p.Identifier, p.Name, p.Description, want)
		}
	}
}

// A NUL, which no database takes, keeps no ARC out for its name or description. Only an
// identifier must do without it.
func TestScanRefusesIdentifiersWithNUL(t *testing.T) {
	t.Parallel()
	p, err := rocrate.Scan([]byte(`{"@context":1,"@graph":[{"@id":"./","identifier":"A","name":"\u0000b","description":["c\u0000"]}]}`))
	if err != nil || p.Name != "\x00b" || p.Description != "c\x00" {
		t.Errorf("name %q, description %q, %v", p.Name, p.Description, err)
	}
	const doc = `{"@context":1,"@graph":[{"@id":"./","identifier":"A\u0000"}]}`
	p, err = rocrate.Scan([]byte(doc))
	errs, _ := errors.AsType[wire.Errors](err)
	if len(errs) != 1 || p.Identifier != "A\x00" || errs[0].Msg != "Value error, RO-Crate root data entity must contain an identifier without NUL characters" {
		t.Errorf("identifier %q, %v", p.Identifier, err)
	}
}

// Texts that are only shown have a limit; they end with a whole character.
func TestShownTextsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 1<<20)
	p, err := rocrate.Scan([]byte(`{"@context":1,"@graph":[{"@id":"./","identifier":"` + long + `","name":"a` + long + `","description":"` + long + `"}]}`))
	if err != nil || p.Identifier != long {
		t.Fatalf("identifier of %d bytes, %v", len(p.Identifier), err)
	}
	for _, text := range []string{p.Name, p.Description} {
		if len(text) > rocrate.MaxShown+len("…") || len(text) < rocrate.MaxShown || !strings.HasSuffix(text, "ü…") {
			t.Errorf("%d bytes that end with %q", len(text), text[len(text)-6:])
		}
	}
	for most, want := range map[int]string{1: "…", 2: "ü…", 3: "ü…", 4: "üü", 5: "üü"} {
		if got := rocrate.Shown("üü", most); got != want {
			t.Errorf("%d bytes: %q", most, got)
		}
	}
}

// A name that is as long as the body is not repeated in a thousand errors.
func TestLongNamesAreNotRepeated(t *testing.T) {
	t.Parallel()
	doc := `{"@context":1,"@graph":[{"@id":"./","identifier":"A","` + strings.Repeat("k", 600_000) + `":[NaN` + strings.Repeat(",NaN", 999) + `]}]}`
	_, err := rocrate.Scan([]byte(doc))
	if errs, _ := errors.AsType[wire.Errors](err); len(errs) != 2 {
		t.Errorf("%d errors", len(errs))
	}
}

// What is stored has the two members under their proper names and nothing else changed.
func TestScanGivesTheDocumentToStore(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		` {"@context": 1, "@graph": [{"@id":"./", "identifier":"A"}]} `:                `{"@context": 1, "@graph": [{"@id":"./", "identifier":"A"}]}`,
		`{"graph": [{"@id":"./", "identifier":1.50}], "context": {"b":1,"a":2}}`:       `{"@context":{"b":1,"a":2},"@graph":[{"@id":"./", "identifier":1.50}]}`,
		`{"@context": 0, "@context": 1, "@graph": [{"@id":"./", "identifier":"ü\/"}]}`: `{"@context":1,"@graph":[{"@id":"./", "identifier":"ü\/"}]}`,
		"\xef\xbb\xbf" + `{"@context":1,"@graph":[{"@id":"./","identifier":"A"}]}`:     `{"@context":1,"@graph":[{"@id":"./","identifier":"A"}]}`,
	} {
		p, err := rocrate.Scan([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", doc, err)
		} else if string(p.Document) != want {
			t.Errorf("%s: document %s, want %s", doc, p.Document, want)
		}
	}
}

// Each rule of the wire model has its error; members are reported in declaration order, and
// rules about the crate as a whole only when its members are right.
func TestScanReportsErrorsOfTheWireModel(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`[]`: `[{"type":"model_attributes_type","loc":["body","arc"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[]}]`,
		`{}`: `[{"type":"missing","loc":["body","arc","@context"],"msg":"Field required","input":{}},{"type":"missing","loc":["body","arc","@graph"],"msg":"Field required","input":{}}]`,
		`{"@context":1,"@graph":{"b":1,"a":2,"b":3}}`: `[{"type":"list_type","loc":["body","arc","@graph"],"msg":"Input should be a valid list","input":{"b":3,"a":2}}]`,
		`{"zz":1e2,"@context":1,"@graph":[], "a" : "\u00e4"}`: `[{"type":"too_short","loc":["body","arc","@graph"],"msg":"List should have at least 1 item after validation, not 0","input":[],"ctx":{"field_type":"List","min_length":1,"actual_length":0}},` +
			`{"type":"extra_forbidden","loc":["body","arc","zz"],"msg":"Extra inputs are not permitted","input":100.0},{"type":"extra_forbidden","loc":["body","arc","a"],"msg":"Extra inputs are not permitted","input":"ä"}]`,
		`{"@context":1,"graph":[1,{},"x"]}`:                                             `[{"type":"dict_type","loc":["body","arc","graph",0],"msg":"Input should be a valid dictionary","input":1},{"type":"dict_type","loc":["body","arc","graph",2],"msg":"Input should be a valid dictionary","input":"x"}]`,
		`{"@context":1,"graph":5,"context":7,"@graph":[{}]}`:                            `[{"type":"extra_forbidden","loc":["body","arc","graph"],"msg":"Extra inputs are not permitted","input":5},{"type":"extra_forbidden","loc":["body","arc","context"],"msg":"Extra inputs are not permitted","input":7}]`,
		`{"@context":1,"@graph":[{"@id":"."}]}`:                                         `[{"type":"value_error","loc":["body","arc"],"msg":"Value error, RO-Crate must contain a root data entity with @id './'","input":{"@context":1,"@graph":[{"@id":"."}]},"ctx":{"error":{}}}]`,
		`{"@context":1,"@graph":[{"@id":"./"},{"@id":"./","identifier":"A"}]}`:          `[{"type":"value_error","loc":["body","arc"],"msg":"Value error, RO-Crate root data entity must contain a non-empty identifier","input":{"@context":1,"@graph":[{"@id":"./"},{"@id":"./","identifier":"A"}]},"ctx":{"error":{}}}]`,
		`{"@context":1,"@graph":[{"@id":"./","identifier":"A","x":[NaN,1e999]}]}`:       `[{"type":"finite_number","loc":["body","arc","@graph",0,"x",0],"msg":"Input should be a finite number","input":null},{"type":"finite_number","loc":["body","arc","@graph",0,"x",1],"msg":"Input should be a finite number","input":null}]`,
		`{"@context":1,"@graph":[{"@id":"./","identifier":"A","dateModified":"\ud8"}]}`: ``,
		`{"@context":"\udc00","@graph":[{"@id":"./","identifier":"A","dateModified":NaN}]}`: `[{"type":"string_unicode","loc":["body","arc","@context"],"msg":"Input should be a valid string, unable to parse raw data as a unicode string","input":"` + "\ufffd" + `"},` +
			`{"type":"finite_number","loc":["body","arc","@graph",0,"dateModified"],"msg":"Input should be a finite number","input":null}]`,
	} {
		d, err := jsondoc.Parse([]byte(doc))
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", doc, err)
			}
			continue
		}
		_, err = rocrate.ScanValue(d.Root(), wire.Loc{"body", "arc"})
		var errs wire.Errors
		if !errors.As(err, &errs) {
			t.Errorf("%s: error %v, want a list", doc, err)
			continue
		}
		got, _ := json.Marshal(errs)
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", doc, diff)
		}
	}
}
