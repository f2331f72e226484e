package rocrate

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// extractText gives the text of a property of the root data entity: of an array the
// first element, of an object its @value, each unwrapped once; null and nothing are empty.
// What is not a text is written as Python writes it.
func extractText(v jsondoc.Value) string {
	if v.Kind() == jsondoc.Array {
		v = v.First()
	}
	if v.Kind() == jsondoc.Object {
		v = v.Member("@value")
	}
	switch v.Kind() {
	case jsondoc.Invalid, jsondoc.Null:
		return ""
	case jsondoc.String:
		return trim(v.Text())
	default:
		return string(appendRepr(nil, v))
	}
}

// Shown gives a text of a crate as lists can hold it: of at most so many bytes. It is
// for what is only shown: the document keeps all of it.
func Shown(text string, most int) string {
	if len(text) > most {
		for !utf8.RuneStart(text[most]) {
			most--
		}
		return text[:most] + "…"
	}
	return text
}

// appendRepr appends a value as Python's repr shows it.
func appendRepr(dst []byte, v jsondoc.Value) []byte {
	switch v.Kind() {
	case jsondoc.Null:
		return append(dst, "None"...)
	case jsondoc.True:
		return append(dst, "True"...)
	case jsondoc.False:
		return append(dst, "False"...)
	case jsondoc.String:
		return appendReprText(dst, v.Text())
	case jsondoc.Array:
		dst = append(dst, '[')
		for i, element := range v.Elements() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendRepr(dst, element)
		}
		return append(dst, ']')
	case jsondoc.Object:
		dst = append(dst, '{')
		for i, m := range v.UniqueMembers() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(appendReprText(dst, m.Name), ": "...)
			dst = appendRepr(dst, m.Value)
		}
		return append(dst, '}')
	default:
		return v.AppendCompact(dst)
	}
}

// appendReprText appends a quoted text: in apostrophes, unless it has some and no quotes.
func appendReprText(dst []byte, s string) []byte {
	quote := byte('\'')
	if bytes.IndexByte([]byte(s), '\'') >= 0 && bytes.IndexByte([]byte(s), '"') < 0 {
		quote = '"'
	}
	dst = append(dst, quote)
	for _, r := range s {
		switch {
		case r == '\\' || r == rune(quote):
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case strconv.IsPrint(r):
			dst = append(dst, string(r)...)
		case r < 0x100:
			dst = fmt.Appendf(dst, `\x%02x`, r)
		case r < 0x10000:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		}
	}
	return append(dst, quote)
}
