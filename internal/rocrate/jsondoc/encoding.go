package jsondoc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

var errEncoding = &LimitError{"the document is not text in UTF-8, UTF-16 or UTF-32"}

// decode gives the text of a body as UTF-8 without byte order mark. The encoding
// is told from the mark or from where the first zero bytes are (RFC 4627,
// section 3). Encoded surrogates become escape sequences: they are an error
// of the value, not of the encoding.
func decode(b []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(b, []byte{0, 0, 0xfe, 0xff}):
		return decode32(b[4:], binary.BigEndian)
	case bytes.HasPrefix(b, []byte{0xff, 0xfe, 0, 0}):
		return decode32(b[4:], binary.LittleEndian)
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return decode16(b[2:], binary.BigEndian)
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return decode16(b[2:], binary.LittleEndian)
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		return decode8(b[3:])
	case len(b) >= 4 && b[0] == 0 && b[1] == 0:
		return decode32(b, binary.BigEndian)
	case len(b) >= 4 && b[1] == 0 && b[2] == 0 && b[3] == 0:
		return decode32(b, binary.LittleEndian)
	case (len(b) >= 4 || len(b) == 2) && b[0] == 0:
		return decode16(b, binary.BigEndian)
	case (len(b) >= 4 || len(b) == 2) && b[1] == 0:
		return decode16(b, binary.LittleEndian)
	}
	return decode8(b)
}

func decode8(b []byte) ([]byte, error) {
	if utf8.Valid(b) {
		return b, nil
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r != utf8.RuneError || n > 1:
			out = append(out, b[:n]...)
		case len(b) >= 3 && b[0] == 0xed && b[1]&0xe0 == 0xa0 && b[2]&0xc0 == 0x80:
			n = 3
			out = appendSurrogate(out, 0xd000|rune(b[1]&0x3f)<<6|rune(b[2]&0x3f))
		default:
			return nil, errEncoding
		}
		b = b[n:]
	}
	return out, nil
}

func decode16(b []byte, order binary.ByteOrder) ([]byte, error) {
	if len(b)%2 != 0 {
		return nil, errEncoding
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i += 2 {
		r := rune(order.Uint16(b[i:]))
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if i+3 < len(b) {
				pair = utf16.DecodeRune(r, rune(order.Uint16(b[i+2:])))
			}
			if pair == utf8.RuneError {
				out = appendSurrogate(out, r)
				continue
			}
			r = pair
			i += 2
		}
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}

func decode32(b []byte, order binary.ByteOrder) ([]byte, error) {
	if len(b)%4 != 0 {
		return nil, errEncoding
	}
	out := make([]byte, 0, len(b)/2)
	for i := 0; i < len(b); i += 4 {
		switch r := order.Uint32(b[i:]); {
		case r > utf8.MaxRune:
			return nil, errEncoding
		case utf16.IsSurrogate(rune(r)):
			out = appendSurrogate(out, rune(r))
		default:
			out = utf8.AppendRune(out, rune(r))
		}
	}
	return out, nil
}

func appendSurrogate(dst []byte, r rune) []byte {
	return fmt.Appendf(dst, `\u%04x`, r)
}
