package jsonld

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// decimal is a number by its value: the digits without zeros at the ends, as a fraction, and the power of ten.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

var decimalForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(-?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$`)
})

// parseDecimal reads a text that is a number.
func parseDecimal(text string) (decimal, bool) {
	parts := decimalForm().FindStringSubmatch(text)
	if parts == nil || parts[2]+parts[3] == "" {
		return decimal{}, false
	}
	exponent, err := strconv.Atoi(parts[4])
	if err != nil && parts[4] != "" {
		return decimal{}, false
	}
	all := parts[2] + parts[3]
	digits := strings.TrimLeft(all, "0")
	if digits == "" {
		return decimal{}, true
	}
	exponent += len(parts[2]) - (len(all) - len(digits))
	return decimal{parts[1] == "-", strings.TrimRight(digits, "0"), exponent}, true
}

// isDecimal says whether a value is a number that is no integer of 64 bits. The reference library keeps these as
// decimals.
func isDecimal(v jsondoc.Value) bool {
	if v.Kind() != jsondoc.Int && v.Kind() != jsondoc.Float {
		return false
	}
	f := v.Float()
	return f != math.Trunc(f) || math.Abs(f) > 1<<63
}

// same says whether merging takes a value that is added for one that is there already. It is not comparable if the
// one is a decimal and the other is something else than a number or a text of one.
func same(added, have jsondoc.Value) (equal, comparable bool) {
	if isDecimal(added) {
		switch have.Kind() {
		case jsondoc.Null, jsondoc.Int, jsondoc.Float:
		case jsondoc.String:
			is, _ := parseDecimal(strconv.FormatFloat(added.Float(), 'e', -1, 64))
			other, ok := parseDecimal(have.Text())
			return ok && is == other, ok
		default:
			return false, false
		}
	}
	if added.Kind() == jsondoc.Object && have.Kind() == jsondoc.Object {
		first, second := shapeOf(added), shapeOf(have)
		if first.kind() == valueObject && second.kind() == valueObject {
			return same(first.value, second.value)
		}
	}
	return identity(added) == identity(have), true
}
