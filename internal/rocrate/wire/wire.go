// Package wire checks decoded request bodies and words what is wrong with them in
// the shapes that clients of this service know: a list of errors with type, place,
// message and input, as the validation library of its predecessor gave them. It
// collects all errors of a body, in the order in which the members are declared.
//
// It knows nothing of HTTP and of what a body is for. A Checker is for one body
// and one goroutine; errors are immutable.
package wire

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// maxErrors and maxPlaces bound how many errors of one body are reported, and the bytes of
// their places: the name of a member may be as long as the body, and be in each of them.
const (
	maxErrors = 1000
	maxPlaces = 1 << 20
)

// Error is one thing that is wrong. Its fields are in the order of the answer.
type Error struct {
	Type  string          `json:"type"`
	Loc   Loc             `json:"loc"`
	Msg   string          `json:"msg"`
	Input json.RawMessage `json:"input"`
	Ctx   json.RawMessage `json:"ctx,omitempty"`
}

// Loc is the place of an error: names of members (string) and indexes (int), outermost first.
type Loc []any

// With gives the place of something within.
func (l Loc) With(step any) Loc { return append(slices.Clip(l), step) }

// Errors are all errors of a body, never empty when used as an error.
type Errors []Error

// Error gives the messages with their places.
func (e Errors) Error() string {
	var b strings.Builder
	for i, one := range e {
		if i == 10 {
			b.WriteString("; and more")
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		for _, step := range one.Loc {
			switch step := step.(type) {
			case string:
				b.WriteString(step)
			case int:
				b.WriteString(strconv.Itoa(step))
			}
			b.WriteByte(' ')
		}
		b.WriteString(one.Msg)
	}
	return b.String()
}

// Invalid gives the error list for a body that is not JSON.
func Invalid(err *jsondoc.SyntaxError) Errors {
	return Errors{{
		Type: "json_invalid", Loc: Loc{"body", err.Offset}, Msg: "JSON decode error",
		Input: json.RawMessage("{}"), Ctx: ctx("error", err.Text),
	}}
}

// ctx gives an object with one text.
func ctx(name, text string) json.RawMessage {
	b := append(jsondoc.AppendString([]byte{'{'}, name), ':')
	return append(jsondoc.AppendString(b, text), '}')
}

// Checker collects errors.
type Checker struct {
	errs   Errors
	places int // bytes of names in them
}

// Err gives the collected errors, or nil.
func (c *Checker) Err() error {
	if len(c.errs) == 0 {
		return nil
	}
	return c.errs
}

// Full says whether more errors than are reported have been found.
func (c *Checker) Full() bool { return len(c.errs) >= maxErrors || c.places >= maxPlaces }

// Add reports an error about input.
func (c *Checker) Add(kind string, loc Loc, msg string, input jsondoc.Value, ctx string) {
	if c.Full() {
		return
	}
	e := Error{Type: kind, Loc: loc, Msg: msg, Input: input.AppendCompact(nil)}
	if ctx != "" {
		e.Ctx = json.RawMessage(ctx)
	}
	c.errs = append(c.errs, e)
	for _, step := range loc {
		name, _ := step.(string)
		c.places += len(name)
	}
}

// AddAll reports errors found elsewhere, for instance in a part of the body.
func (c *Checker) AddAll(errs Errors) {
	c.errs = append(c.errs, errs...)
}

// Missing reports that a member is absent from an object.
func (c *Checker) Missing(object jsondoc.Value, loc Loc) {
	c.Add("missing", loc, "Field required", object, "")
}

// ValueError reports that a value breaks a rule of its own.
func (c *Checker) ValueError(loc Loc, text string, input jsondoc.Value) {
	c.Add("value_error", loc, "Value error, "+text, input, `{"error":{}}`)
}

// Body checks that a body is an object. Nothing, not even null, counts as an absent body.
func (c *Checker) Body(body jsondoc.Value) bool {
	if k := body.Kind(); k == jsondoc.Invalid || k == jsondoc.Null {
		c.Missing(body, Loc{"body"})
		return false
	}
	return c.Object(body, Loc{"body"})
}

// Object checks that a value is an object.
func (c *Checker) Object(v jsondoc.Value, loc Loc) bool {
	if v.Kind() == jsondoc.Object {
		return true
	}
	c.Add("model_attributes_type", loc, "Input should be a valid dictionary or object to extract fields from", v, "")
	return false
}

// Required gives a member, or reports that it is missing.
func (c *Checker) Required(object jsondoc.Value, loc Loc, name string) (jsondoc.Value, bool) {
	v := object.Member(name)
	if !v.Exists() {
		c.Missing(object, loc.With(name))
	}
	return v, v.Exists()
}

// String checks a member that must be a text.
func (c *Checker) String(object jsondoc.Value, loc Loc, name string) string {
	v, ok := c.Required(object, loc, name)
	switch {
	case !ok:
	case v.Kind() != jsondoc.String:
		c.Add("string_type", loc.With(name), "Input should be a valid string", v, "")
	case v.HasLoneSurrogate():
		c.Unencodable(v, loc.With(name))
	default:
		return v.Text()
	}
	return ""
}

// Unencodable reports a text that no encoding of Unicode can hold.
func (c *Checker) Unencodable(v jsondoc.Value, loc Loc) {
	c.Add("string_unicode", loc, "Input should be a valid string, unable to parse raw data as a unicode string", v, "")
}

// List checks a member that must be an array of objects, and gives its elements;
// they are complete only if nothing was reported.
func (c *Checker) List(object jsondoc.Value, loc Loc, name string) []jsondoc.Value {
	v, ok := c.Required(object, loc, name)
	if !ok || !c.Array(v, loc.With(name)) {
		return nil
	}
	var elements []jsondoc.Value
	for i, element := range v.Elements() {
		if element.Kind() != jsondoc.Object {
			c.Dict(element, loc.With(name).With(i))
		}
		elements = append(elements, element)
	}
	return elements
}

// OptionalStrings checks a member that is absent, null or an array of at most so many texts.
func (c *Checker) OptionalStrings(object jsondoc.Value, loc Loc, name string, most int) []string {
	v := object.Member(name)
	loc = loc.With(name)
	if k := v.Kind(); k == jsondoc.Invalid || k == jsondoc.Null || !c.Array(v, loc) {
		return nil
	}
	var texts []string
	for i, element := range v.Elements() {
		switch {
		case c.Full():
			return nil
		case i == most:
			limit := strconv.Itoa(most)
			c.Add("too_long", loc, "List should have at most "+limit+" items after validation, not more", v,
				`{"field_type":"List","max_length":`+limit+`,"actual_length":null}`)
			return nil
		case element.Kind() != jsondoc.String:
			c.Add("string_type", loc.With(i), "Input should be a valid string", element, "")
		case element.HasLoneSurrogate():
			c.Unencodable(element, loc.With(i))
		default:
			texts = append(texts, element.Text())
		}
	}
	return texts
}

// Array checks that a value is an array.
func (c *Checker) Array(v jsondoc.Value, loc Loc) bool {
	if v.Kind() == jsondoc.Array {
		return true
	}
	c.Add("list_type", loc, "Input should be a valid list", v, "")
	return false
}

// Dict reports an element that should be an object.
func (c *Checker) Dict(v jsondoc.Value, loc Loc) {
	c.Add("dict_type", loc, "Input should be a valid dictionary", v, "")
}
