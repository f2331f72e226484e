package wire

import (
	"math"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// OptionalInt checks a member that is absent, null or an integer. A number without
// fraction, a boolean and a text that holds an integer count as one.
func (c *Checker) OptionalInt(object jsondoc.Value, loc Loc, name string) *int64 {
	v := object.Member(name)
	loc = loc.With(name)
	switch v.Kind() {
	case jsondoc.Invalid, jsondoc.Null:
		return nil
	case jsondoc.False, jsondoc.True:
		n := int64(v.Kind() - jsondoc.False)
		return &n
	case jsondoc.Int:
		if n, err := strconv.ParseInt(string(v.Raw()), 10, 64); err == nil {
			return &n
		}
		c.tooLarge(v, loc)
	case jsondoc.Float:
		return c.intFromFloat(v, loc)
	case jsondoc.String:
		n, problem := ParseInt(v.Text())
		if problem == nil {
			return &n
		}
		c.Add(problem.Type, loc, problem.Msg, v, "")
	default:
		c.Add("int_type", loc, "Input should be a valid integer", v, "")
	}
	return nil
}

func (c *Checker) intFromFloat(v jsondoc.Value, loc Loc) *int64 {
	f := v.Float()
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		c.Add("finite_number", loc, "Input should be a finite number", v, "")
	case f != math.Trunc(f):
		c.Add("int_from_float", loc, "Input should be a valid integer, got a number with a fractional part", v, "")
	case f < -1<<63 || f >= 1<<63:
		c.tooLarge(v, loc)
	default:
		n := int64(f)
		return &n
	}
	return nil
}

func (c *Checker) tooLarge(v jsondoc.Value, loc Loc) {
	c.Add("int_parsing_size", loc, "Unable to parse input string as an integer, exceeded maximum size", v, "")
}

// ParseInt reads an integer from a text as the members and query parameters of
// requests have it: blanks around, a sign, single underscores between digits and a fraction of
// zeros are allowed. Of the error only type and message are filled.
func ParseInt(text string) (int64, *Error) {
	bad := &Error{Type: "int_parsing", Msg: "Input should be a valid integer, unable to parse string as an integer"}
	s := strings.TrimSpace(text)
	if whole, fraction, ok := strings.Cut(s, "."); ok {
		if whole == "" || fraction == "" || strings.Trim(fraction, "0") != "" {
			return 0, bad
		}
		s = whole
	}
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" || digits[0] == '_' || digits[len(digits)-1] == '_' ||
		strings.Contains(digits, "__") || strings.Trim(digits, "0123456789_") != "" {
		return 0, bad
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
	if err != nil {
		return 0, &Error{Type: "int_parsing_size", Msg: "Unable to parse input string as an integer, exceeded maximum size"}
	}
	return n, nil
}

// Enum checks a member that must be one of several texts.
func (c *Checker) Enum(object jsondoc.Value, loc Loc, name string, allowed ...string) string {
	v, ok := c.Required(object, loc, name)
	if !ok {
		return ""
	}
	if v.Kind() == jsondoc.String {
		for _, a := range allowed {
			if v.Is(a) {
				return a
			}
		}
	}
	expected := Alternatives(allowed)
	c.Add("enum", loc.With(name), "Input should be "+expected, v, string(ctx("expected", expected)))
	return ""
}

// Alternatives words a choice: 'A', 'B' or 'C'.
func Alternatives(words []string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString("'" + w + "'")
	}
	return b.String()
}
