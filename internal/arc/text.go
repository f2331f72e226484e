package arc

import "strings"

// isSpace tells whether r is white space or a line terminator of ECMAScript,
// which is what the tools of the ARC community trim: like Unicode's, but with
// the byte order mark and without U+0085.
func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', '\u00a0', '\u1680', '\u2028', '\u2029', '\u202f', '\u205f', '\u3000', '\ufeff':
		return true
	}
	return r >= '\u2000' && r <= '\u200a'
}

// TrimSpace cuts white space off both ends of s, as the tools of the ARC
// community understand white space (ECMAScript's String.prototype.trim).
func TrimSpace(s string) string { return strings.TrimFunc(s, isSpace) }

// IsBlank tells whether s is nothing but white space. Metadata sheets leave
// blank cells out.
func IsBlank(s string) bool { return TrimSpace(s) == "" }

// ValidIdentifier tells whether s may identify a study, assay, workflow or run
// and so name its folder: one or more ASCII letters, digits, underscores, dashes
// and blanks (ARC specification).
func ValidIdentifier(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isWord(c) && c != '-' && c != ' ' {
			return false
		}
	}
	return s != ""
}
