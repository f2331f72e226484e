package xlsx

import (
	"strings"
	"unicode/utf8"
)

// place is where a text stands in XML.
type place uint8

const (
	inElement   place = iota // the content of an element
	inAttribute              // the value of an attribute, in which readers resolve no _xHHHH_
	// inColumnName is the value of an attribute in which line breaks are spelled
	// _xHHHH_: spreadsheet programs compare it so with the header cell.
	inColumnName
)

// writeText writes a text. Characters that XML cannot hold are dropped, bytes
// that are not UTF-8 become U+FFFD.
func writeText(w *sink, s string, at place) {
	s = droppable(s)
	done := 0
	for i := range len(s) {
		if with, special := escape(s[i:], at); special {
			w.put(s[done:i], with)
			done = i + 1
		}
	}
	w.put(s[done:])
}

// droppable drops what XML cannot hold, before anything else looks at the text.
func droppable(s string) string {
	clean := true
	for _, r := range s {
		if !IsCharacter(r) || r == utf8.RuneError {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		if !IsCharacter(r) {
			return -1
		}
		return r // the error rune of invalid bytes is U+FFFD
	}, s)
}

// IsCharacter tells whether XML can hold r, and so a workbook; what it cannot is dropped.
func IsCharacter(r rune) bool {
	return r >= ' ' && r != 0xFFFE && r != 0xFFFF || isBreak(r)
}

func isBreak(r rune) bool { return r == '\t' || r == '\n' || r == '\r' }

// escape says what stands for the first byte of s, when it cannot stand for
// itself.
func escape(s string, at place) (string, bool) {
	switch s[0] {
	case '&':
		return "&amp;", true
	case '<':
		return "&lt;", true
	case '>':
		return "&gt;", true
	case '"':
		return "&quot;", at != inElement
	case '_':
		return "_x005F_", at != inAttribute && isCharacterEscape(s, at)
	case '\r': // a bare one would be read as a line feed
		if at == inColumnName {
			return "_x000d_", true
		}
		return "&#13;", true
	case '\n':
		if at == inColumnName {
			return "_x000a_", true
		}
		return "&#10;", at == inAttribute
	case '\t':
		if at == inColumnName {
			return "_x0009_", true
		}
		return "&#9;", at == inAttribute
	}
	return "", false
}

// isCharacterEscape tells whether readers would take the beginning of s for a
// character: _xHHHH_.
func isCharacterEscape(s string, at place) bool {
	if len(s) < 7 || s[1] != 'x' {
		return false
	}
	for i := 2; i < 6; i++ {
		c := s[i] | 0x20
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s[6] == '_' || at == inColumnName && isBreak(rune(s[6]))
}

// needsPreserving tells whether readers would trim the text of an element, or
// might when the characters that are dropped are gone.
func needsPreserving(s string) bool {
	return strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") ||
		strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || !IsCharacter(r) })
}
