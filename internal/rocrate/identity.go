package rocrate

import (
	"crypto/sha256"
	"strings"
	"unicode"
)

// Identity gives the id of an ARC: SHA-256 of identifier and RDI, each without
// surrounding white space, joined by a colon.
func Identity(identifier, rdi string) [32]byte {
	return sha256.Sum256([]byte(trim(identifier) + ":" + trim(rdi)))
}

// trim cuts the white space that Python's str.strip cuts: Unicode's and the
// four information separators U+001C to U+001F.
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f
	})
}
