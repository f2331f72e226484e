package wire_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
)

// parse gives the value of a text that is JSON.
func parse(tb testing.TB, text string) jsondoc.Value {
	tb.Helper()
	d, err := jsondoc.Parse([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return d.Root()
}

// Integers are numbers without fraction, booleans and texts that hold one; null and nothing are absent.
func TestOptionalInt(t *testing.T) {
	t.Parallel()
	const (
		parsing = "int_parsing"
		size    = "int_parsing_size"
	)
	for value, want := range map[string]string{
		`2`: "2", `2.0`: "2", `-7`: "-7", `1e18`: "1000000000000000000", `true`: "1", `false`: "0", `null`: "null",
		`"12"`: "12", `" 12 "`: "12", `"1_0"`: "10", `"12.0"`: "12", `"1_0.0"`: "10", `"+5"`: "5", `"-5"`: "-5", `"00"`: "0", `"\u00a012"`: "12",
		`"_1"`: parsing, `"12."`: parsing, `"1.5"`: parsing, `""`: parsing, `"--5"`: parsing, `".0"`: parsing, `"0_"`: parsing,
		`"1__0"`: parsing, `"0x1"`: parsing, `"1e3"`: parsing, `"٣"`: parsing, `"- 5"`: parsing, `"1.0_0"`: parsing, `"+-5"`: parsing,
		`2.5`: "int_from_float", `1e300`: size, `99999999999999999999`: size, `NaN`: "finite_number", `[]`: "int_type", `{}`: "int_type",
	} {
		var c wire.Checker
		n := c.OptionalInt(parse(t, `{"n":`+value+`}`), wire.Loc{"body"}, "n")
		var got string
		if errs, ok := errors.AsType[wire.Errors](c.Err()); ok {
			got = errs[0].Type
		} else {
			text, _ := json.Marshal(n)
			got = string(text)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}

// Every way in which a member can be wrong has its type, place, message, input and context.
func TestCheckerWordsErrors(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`null`:   `[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]`,
		`[1, 2]`: `[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[1,2]}]`,
		`{"arcs":[1,{}], "status":"x"}`: `[{"type":"missing","loc":["body","rdi"],"msg":"Field required","input":{"arcs":[1,{}],"status":"x"}},` +
			`{"type":"dict_type","loc":["body","arcs",0],"msg":"Input should be a valid dictionary","input":1},` +
			`{"type":"enum","loc":["body","status"],"msg":"Input should be 'A', 'B' or 'C'","input":"x","ctx":{"expected":"'A', 'B' or 'C'"}}]`,
		`{"rdi":5,"arcs":{},"status":"A"}`: `[{"type":"string_type","loc":["body","rdi"],"msg":"Input should be a valid string","input":5},` +
			`{"type":"list_type","loc":["body","arcs"],"msg":"Input should be a valid list","input":{}}]`,
	} {
		var c wire.Checker
		if v := parse(t, body); c.Body(v) {
			c.String(v, wire.Loc{"body"}, "rdi")
			c.List(v, wire.Loc{"body"}, "arcs")
			c.Enum(v, wire.Loc{"body"}, "status", "A", "B", "C")
		}
		got, _ := json.Marshal(c.Err())
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", body, diff)
		}
	}
}

// A body that is not JSON is one error with the offset of the parser.
func TestInvalidWordsTheParser(t *testing.T) {
	t.Parallel()
	_, err := jsondoc.Parse([]byte(`{"ü": }`))
	syntax, ok := errors.AsType[*jsondoc.SyntaxError](err)
	if !ok {
		t.Fatal(err)
	}
	got, _ := json.Marshal(wire.Invalid(syntax))
	const want = `[{"type":"json_invalid","loc":["body",6],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}]`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
