package jsondoc

import (
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Value is one value of a document. The zero Value is no value at all.
type Value struct {
	doc *Doc
	at  int
}

// Exists says whether v is a value.
func (v Value) Exists() bool { return v.doc != nil }

// Doc gives the document that v is part of.
func (v Value) Doc() *Doc { return v.doc }

// Index gives the number of v in its document, for Doc.Value.
func (v Value) Index() int { return v.at }

// Value gives the value with a number that Index gave.
func (d *Doc) Value(index int) Value { return Value{d, index} }

// Offset gives the place of the first byte of v in the decoded text.
func (v Value) Offset() int { return int(v.doc.nodes[v.at].from()) }

// Kind says what v is.
func (v Value) Kind() Kind {
	if v.doc == nil {
		return Invalid
	}
	n := v.doc.nodes[v.at]
	switch n.end & (flagContainer | flagCommon) {
	case flagCommon:
		return String
	case flagContainer | flagCommon:
		return Object
	case flagContainer:
		return Array
	}
	switch v.doc.text[n.from()] {
	case 'n':
		return Null
	case 't':
		return True
	case 'f':
		return False
	}
	if n.start&flagSpecial != 0 {
		return Float
	}
	return Int
}

// isContainer says whether v is an array or object.
func (v Value) isContainer() bool { return v.doc.nodes[v.at].isContainer() }

// next gives the index of the node behind v.
func (v Value) next() int {
	if n := v.doc.nodes[v.at]; n.isContainer() {
		return int(n.to())
	}
	return v.at + 1
}

// end gives the offset behind the last byte of v.
func (v Value) end() int {
	n := v.doc.nodes[v.at]
	if n.isContainer() {
		return int(v.doc.nodes[n.to()-1].to())
	}
	return int(n.to())
}

// End gives the place behind the last byte of v in the decoded text.
func (v Value) End() int { return v.end() }

// Raw gives the text of v as it was sent.
func (v Value) Raw() []byte {
	start, end := v.Offset(), v.end()
	return v.doc.text[start:end:end]
}

// plain says whether a string consists of printable ASCII without escapes.
func (v Value) plain() bool { return v.doc.nodes[v.at].start&flagSpecial == 0 }

// HasLoneSurrogate says whether v is a string with a surrogate that has no partner.
func (v Value) HasLoneSurrogate() bool {
	return v.Kind() == String && v.doc.nodes[v.at].start&flagSurrogate != 0
}

// Text gives the text of a string, "" for anything else. A surrogate without partner
// becomes U+FFFD.
func (v Value) Text() string {
	if v.Kind() != String {
		return ""
	}
	if raw := v.Raw(); v.plain() {
		return string(raw[1 : len(raw)-1])
	}
	return string(v.AppendText(nil))
}

// AppendText appends the text of a string to dst.
func (v Value) AppendText(dst []byte) []byte {
	raw := v.Raw()
	raw = raw[1 : len(raw)-1]
	if v.plain() {
		return append(dst, raw...)
	}
	return unescape(dst, raw)
}

// unescape appends the text that the inside of a checked JSON string stands for.
func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			i++
			continue
		}
		if s[i+1] != 'u' {
			dst = append(dst, unescaped[s[i+1]])
			i += 2
			continue
		}
		r := hexRune(s[i+2:])
		i += 6
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
				pair = utf16.DecodeRune(r, hexRune(s[i+2:]))
			}
			if r = pair; r != utf8.RuneError {
				i += 6
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hexRune reads four digits that the parser has checked.
func hexRune(s []byte) rune {
	var r rune
	for _, c := range s[:4] {
		if c > '9' {
			c = c&0x0f + 9
		}
		r = r<<4 | rune(c&0x0f)
	}
	return r
}

// Float gives the binary64 value of a number; infinite if it is out of range.
func (v Value) Float() float64 {
	f, _ := strconv.ParseFloat(string(v.Raw()), 64) // out of range is told by the value
	return f
}

// Is says whether v is a string with the given text.
func (v Value) Is(text string) bool {
	if v.Kind() != String {
		return false
	}
	raw := v.Raw()
	raw = raw[1 : len(raw)-1]
	if v.plain() {
		return string(raw) == text
	}
	if len(raw) < len(text) {
		return false
	}
	var buf [64]byte
	return string(unescape(buf[:0], raw)) == text
}

// MayBe says whether a string may begin with one of two characters, which is quicker than looking at all of it.
func (v Value) MayBe(first, second byte) bool {
	c := v.doc.text[v.Offset()+1]
	return c == first || c == second || c == '\\'
}

// Member gives the last member of an object with the given name, or no value.
func (v Value) Member(name string) Value {
	var found Value
	for key, value := range v.Members() {
		if key.Is(name) {
			found = value
		}
	}
	return found
}

// Members goes through the members of an object in their order, duplicates
// included; names are strings. Other values have none.
func (v Value) Members() iter.Seq2[Value, Value] {
	return func(yield func(Value, Value) bool) {
		if v.Kind() != Object {
			return
		}
		last := v.next() - 1
		for i := v.at + 1; i < last; {
			value := Value{v.doc, i + 1}
			if !yield(Value{v.doc, i}, value) {
				return
			}
			i = value.next()
		}
	}
}

// Elements goes through the elements of an array. Other values have none.
func (v Value) Elements() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if v.Kind() != Array {
			return
		}
		last := v.next() - 1
		n := 0
		for i := v.at + 1; i < last; n++ {
			element := Value{v.doc, i}
			if !yield(n, element) {
				return
			}
			i = element.next()
		}
	}
}

// First gives the first element of an array, or no value.
func (v Value) First() Value {
	for _, element := range v.Elements() {
		return element
	}
	return Value{}
}

// Bytes gives the text of a string: a part of the document where it stands there as it
// is, else decoded and appended to buf.
func (v Value) Bytes(buf []byte) []byte {
	if v.Kind() == String && v.plain() {
		raw := v.Raw()
		return raw[1 : len(raw)-1]
	}
	if v.Kind() != String {
		return nil
	}
	return v.AppendText(buf)
}

// Pointer gives the place of v in the whole document as a JSON Pointer (RFC 6901).
func (v Value) Pointer() string {
	whole := v.doc
	if whole.whole != nil {
		whole = whole.whole
	}
	var b strings.Builder
	for at := whole.complete().Root(); at.Offset() != v.Offset(); {
		if at.isContainer() && at.next() == at.at+2 {
			at = at.Expand()
		}
		step, next := at.towards(v.Offset())
		if !next.Exists() {
			break
		}
		b.WriteByte('/')
		b.WriteString(pointerEscapes.Replace(step))
		at = next
	}
	return b.String()
}

// towards gives the element or member that holds an offset. The name of a member counts as the member.
func (v Value) towards(offset int) (step string, next Value) {
	for i, element := range v.Elements() {
		if element.Offset() <= offset && offset < element.end() {
			return strconv.Itoa(i), element
		}
	}
	for key, value := range v.Members() {
		switch {
		case key.Offset() == offset:
			return key.Text(), key
		case value.Offset() <= offset && offset < value.end():
			return key.Text(), value
		}
	}
	return "", Value{}
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")
