package conformance

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

var characterEscape = regexp.MustCompile(`_x[0-9A-Fa-f]{4}_`)

// squash gives a text as it may come back from a workbook.
func squash(s string) string {
	s = characterEscape.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseUint(m[2:6], 16, 16)
		if err != nil {
			return m
		}
		return string(rune(n))
	})
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, s)
}

// maxCellText is what a cell may hold, in UTF-16 units.
const maxCellText = 32767

func sameText(want, got string) bool {
	if want == got {
		return true
	}
	a, b := squash(want), squash(got)
	if a == b {
		return true
	}
	u, v := utf16.Encode([]rune(a)), utf16.Encode([]rune(b))
	return len(u) > maxCellText && (len(v) == maxCellText || len(v) == maxCellText-1) &&
		string(utf16.Decode(u[:maxCellText-1])) == string(utf16.Decode(v[:maxCellText-1]))
}

func tidySheetName(s string) string {
	return strings.ToLower(strings.NewReplacer("\n", " ", "\t", " ").Replace(squash(s)))
}

func sameSheetName(want, got string) bool {
	a, b := tidySheetName(want), tidySheetName(got)
	switch {
	case a == b:
		return true
	case len(utf16.Encode([]rune(want))) > 31:
		u := utf16.Encode([]rune(a))
		return strings.HasPrefix(b, string(utf16.Decode(u[:20])))
	case want == "":
		return got != ""
	}
	digits, renamed := strings.CutPrefix(b, a) // because of a clash
	return renamed && strings.Trim(digits, "0123456789") == ""
}

// blanks makes all white space of a squashed text blanks.
func blanks(s string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(squash(s))
}
