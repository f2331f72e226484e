package scaffold

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/fairagro/middleware-api/internal/arc"
)

var (
	integerPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^([+-])?(0[xXoObB])?([0-9a-fA-F]+)$`)
	})
	decimalPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
	})
)

// normalNumber rewrites a value that is a number as the reference library does
// when it names a component: 05 becomes 5, 1.50 becomes 1.5, 1e3 becomes 1000.
// Any other text stays.
func normalNumber(s string) string {
	if s == "" || len(s) > 400 { // no finite number that anybody writes is longer
		return s
	}
	if i, ok := parseInt32(s); ok {
		return strconv.FormatInt(i, 10)
	}
	t := arc.TrimSpace(strings.Replace(s, "_", "", 1))
	switch strings.TrimPrefix(t, "-") {
	case "Infinity", "+Infinity":
		return strings.TrimPrefix(t, "+")
	}
	if t == "" && !arc.IsBlank(s) { // a single underscore, which does not count
		return "0"
	}
	if n, ok := parseRadix(t); ok {
		return arc.FormatNumber(n)
	}
	if !decimalPattern().MatchString(t) {
		return s
	}
	f, err := strconv.ParseFloat(t, 64)
	if err != nil && !math.IsInf(f, 0) {
		return s
	}
	return arc.FormatNumber(f)
}

// parseInt32 reads an integer of 32 bits, with underscores anywhere and in
// another base after 0x, 0o or 0b. In another base the upper half of the
// unsigned numbers is negative.
func parseInt32(s string) (int64, bool) {
	m := integerPattern().FindStringSubmatch(arc.TrimSpace(strings.ReplaceAll(s, "_", "")))
	if m == nil {
		return 0, false
	}
	base := 10
	switch strings.ToLower(m[2]) {
	case "0x":
		base = 16
	case "0o":
		base = 8
	case "0b":
		base = 2
	}
	n, err := strconv.ParseInt(m[1]+m[3], base, 64)
	if err != nil {
		return 0, false
	}
	if base != 10 && n >= 0 && n <= math.MaxUint32 {
		n = int64(int32(uint32(n)))
	}
	return n, n >= math.MinInt32 && n <= math.MaxInt32
}

// parseRadix reads a number in another base than ten that is too large for 32
// bits, however large it is.
func parseRadix(s string) (float64, bool) {
	if len(s) < 3 || s[0] != '0' || strings.ContainsAny(s[2:3], "+-") {
		return 0, false
	}
	base := map[byte]int{'x': 16, 'o': 8, 'b': 2}[s[1]|0x20]
	if base == 0 {
		return 0, false
	}
	n, ok := new(big.Int).SetString(s[2:], base)
	if !ok {
		return 0, false
	}
	f, _ := new(big.Float).SetInt(n).Float64() // the nearest
	return f, true
}
