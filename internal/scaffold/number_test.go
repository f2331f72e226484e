package scaffold

import (
	"strings"
	"testing"
)

// Values that are numbers are rewritten as ECMAScript writes numbers, others
// stay.
func TestNormalNumber(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"05": "5", "5.0": "5", "1.50": "1.5", "1e3": "1000", "+7": "7", " 5 ": "5", "-0": "0", "-0.0": "0",
		".5": "0.5", "5.": "5", "1_000": "1000", "1_0.5": "10.5", "1_0_0.5": "1_0_0.5",
		"0x10": "16", "-0x10": "-16", "0b11": "3", "0o17": "15", "0xFFFFFFFF": "-1", "0x1FFFFFFFF": "8589934591", "-0x1FFFFFFFF": "-0x1FFFFFFFF",
		"0x20000000000001000": "36893488147419103000", "0xddcea851f56A7E2B5Ef": "6.546594692115531e+22", "0x" + strings.Repeat("F", 256): "Infinity",
		"0b10111100100000100000101001010001011111111011011011000100100000111": "27166861542508302000", "0x-1FFFFFFFFFFFFFFFFF": "0x-1FFFFFFFFFFFFFFFFF",
		"_": "0", " _\n": "0", "__": "__",
		"2147483647": "2147483647", "2147483648": "2147483648", "99999999999": "99999999999",
		"1e21": "1e+21", "123e19": "1.23e+21", "1e-6": "0.000001", "1e-7": "1e-7", "1.5e-10": "1.5e-10",
		"1e400": "Infinity", "-1e400": "-Infinity", "Infinity": "Infinity", "+Infinity": "Infinity", "-Infinity": "-Infinity",
		"n/a": "n/a", "1,5": "1,5", "": "", "  ": "  ", "- 5": "- 5", "NaN": "NaN", "inf": "inf", "0x": "0x", "1e": "1e", "1p3": "1p3", "٣": "٣", ".": ".",
		"0.1": "0.1", "123456789012345678": "123456789012345680", "\u00a07\ufeff": "7",
	} {
		if got := normalNumber(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
