package jsondoc

import "testing"

// Eight bytes at a time end where one byte at a time does, whatever stands beside what: what one byte borrows or
// carries must not reach another that comes before it.
func TestSkipPlain(t *testing.T) {
	t.Parallel()
	plainly := func(s []byte, i int) int {
		for i < len(s) && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\' {
			i++
		}
		return i
	}
	for first := range 256 {
		for second := range 256 {
			for at := range 9 {
				s := []byte("abcdefghijk")
				s[at], s[at+1] = byte(first), byte(second)
				for from := range 3 {
					if got, want := skipPlain(s, from), plainly(s, from); got != want {
						t.Fatalf("%q from %d: %d, want %d", s, from, got, want)
					}
				}
			}
		}
	}
}
