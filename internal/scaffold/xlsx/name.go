package xlsx

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ForbiddenInSheetName are the characters that no spreadsheet program accepts in
// the name of a sheet.
const ForbiddenInSheetName = `*?:\/[]`

// SheetNames makes names fit for the sheets of a workbook, in their order. A
// name that is too long is cut off, line breaks become blanks, control
// characters vanish; a name that is then empty, reserved, or equal to an earlier
// one (without regard to case) gets a digit. Forbidden characters are left to
// the caller.
func SheetNames(names []string) []string {
	used := make(map[string]bool, len(names))
	next := map[string]int{} // the digit to try next, so that many equal names do not cost their square
	out := make([]string, len(names))
	for i, name := range names {
		clean := cut(cleanSheetName(name), MaxSheetName)
		fit := clean
		if clean == "" {
			clean, fit = "Sheet", "Sheet"
		}
		base := strings.ToLower(clean)
		for used[strings.ToLower(fit)] || strings.EqualFold(fit, "History") {
			next[base]++
			digits := strconv.Itoa(next[base])
			fit = cut(clean, MaxSheetName-len(digits)) + digits
		}
		used[strings.ToLower(fit)] = true
		out[i] = fit
	}
	return out
}

func cleanSheetName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < 0x20 || r == 0xFFFE || r == 0xFFFF:
			return -1
		}
		return r
	}, strings.ReplaceAll(name, "\r\n", "\n"))
}

// cut cuts a text off after at most n UTF-16 units, never within a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i, r := range s {
		units := utf16.RuneLen(r)
		if units < 0 || r == utf8.RuneError {
			units = 1
		}
		if n -= units; n < 0 {
			return s[:i]
		}
	}
	return s
}
