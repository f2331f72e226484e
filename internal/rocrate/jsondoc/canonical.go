package jsondoc

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrNotFinite says that a document has a number that is not a number or not finite.
var ErrNotFinite = errors.New("number is not finite")

// ErrSurrogate says that a string has a surrogate without partner.
var ErrSurrogate = errors.New("string has a surrogate without partner")

// WriteCanonical writes the text that Python's json.dumps(value, sort_keys=True)
// gives for v: members sorted by code point, only ASCII, numbers in their shortest
// form, of duplicate members the last. Members whose name is in omit are left
// out of every object. It fails on what no JSON text can hold.
func (v Value) WriteCanonical(w io.Writer, omit ...string) error {
	c := canonicals.Get().(*canonical)
	c.text, c.nodes, c.omit, c.w = v.doc.text, v.doc.nodes, omit, w
	c.emit(v.at)
	c.flush()
	err := c.err
	c.reset()
	canonicals.Put(c)
	return err
}

// canonical is the state of one WriteCanonical. Members of the objects that are
// open lie on one stack.
type canonical struct {
	text    []byte
	nodes   []node
	omit    []string
	w       io.Writer
	err     error
	buf     []byte
	members []member
	names   []byte // decoded names
}

type member struct {
	name  []byte
	value int
}

const bufferSize = 8 << 10

var canonicals = sync.Pool{New: func() any {
	return &canonical{buf: make([]byte, 0, bufferSize)}
}}

func (c *canonical) reset() {
	if cap(c.members) > maxPooledNodes/8 {
		c.members = nil
	}
	clear(c.members[:cap(c.members)])
	*c = canonical{buf: c.buf[:0], members: c.members[:0], names: c.names[:0]}
	if cap(c.names) > bufferSize {
		c.names = nil
	}
}

func (c *canonical) flush() {
	if c.err == nil {
		_, c.err = c.w.Write(c.buf)
	}
	c.buf = c.buf[:0]
}

// copy appends b, or hands it on directly when it is long.
func (c *canonical) copy(b []byte) {
	if len(c.buf)+len(b) > bufferSize {
		c.flush()
		if len(b) > bufferSize/4 {
			if c.err == nil {
				_, c.err = c.w.Write(b)
			}
			return
		}
	}
	c.buf = append(c.buf, b...)
}

func (c *canonical) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// emit writes the value at index i and gives the index behind it.
func (c *canonical) emit(i int) int {
	n := c.nodes[i]
	start := n.start & offsetMask
	switch c.text[start] {
	case '"':
		c.string(n)
	case '{':
		next := c.next(i)
		c.object(i+1, next-1)
		return next
	case '[':
		c.copy(openBracket)
		next := c.next(i)
		for j := i + 1; j < next-1; {
			if j > i+1 {
				c.copy(separator)
			}
			j = c.emit(j)
		}
		c.copy(closeBracket)
		return next
	case 't', 'f', 'n':
		c.copy(c.text[start:n.end])
	default:
		c.number(n)
	}
	return i + 1
}

var (
	openBracket, closeBracket = []byte("["), []byte("]")
	openBrace, closeBrace     = []byte("{"), []byte("}")
	separator, colon          = []byte(", "), []byte(": ")
	quote                     = []byte(`"`)
)

// object writes the members between two indexes.
func (c *canonical) object(i, last int) {
	base := len(c.members)
	sorted := true
	for i < last {
		name := c.name(c.nodes[i])
		value := i + 1
		i = c.next(value)
		if slices.ContainsFunc(c.omit, func(o string) bool { return string(name) == o }) {
			continue
		}
		if n := len(c.members); n > base && bytes.Compare(c.members[n-1].name, name) >= 0 {
			sorted = false
		}
		c.members = append(c.members, member{name, value})
	}
	if !sorted {
		slices.SortFunc(c.members[base:], func(a, b member) int {
			if d := bytes.Compare(a.name, b.name); d != 0 {
				return d
			}
			return a.value - b.value
		})
	}
	c.copy(openBrace)
	end, first := len(c.members), true
	for j := base; j < end; j++ {
		m := c.members[j]
		if j+1 < end && !sorted && bytes.Equal(m.name, c.members[j+1].name) {
			continue // the last of equal names counts
		}
		if !first {
			c.copy(separator)
		}
		first = false
		c.string(c.nodes[m.value-1])
		c.copy(colon)
		c.emit(m.value)
	}
	c.copy(closeBrace)
	c.members = c.members[:base]
}

// next gives the index behind the value at i.
func (c *canonical) next(i int) int {
	if end := c.nodes[i].end; end&flagContainer != 0 {
		return int(end &^ flagContainer)
	}
	return i + 1
}

// name gives the decoded name of a member.
func (c *canonical) name(n node) []byte {
	raw := c.text[n.start&offsetMask+1 : n.end-1]
	if n.start&flagSpecial == 0 {
		return raw
	}
	from := len(c.names)
	c.names = Unescape(c.names, raw)
	return c.names[from:len(c.names):len(c.names)]
}

// string writes a string in ASCII.
func (c *canonical) string(n node) {
	if n.start&flagSpecial == 0 {
		c.copy(c.text[n.start&offsetMask : n.end])
		return
	}
	if n.start&flagSurrogate != 0 {
		c.fail(ErrSurrogate)
		return
	}
	c.copy(quote)
	s := c.text[n.start&offsetMask+1 : n.end-1]
	for len(s) > 0 {
		if run := skipPlain(s, 0); run > 0 {
			c.copy(s[:run])
			s = s[run:]
			continue
		}
		if len(c.buf)+12 > bufferSize {
			c.flush()
		}
		switch {
		case s[0] != '\\':
			r, size := utf8.DecodeRune(s)
			c.buf = appendEscaped(c.buf, r)
			s = s[size:]
		case s[1] == '/':
			c.buf = append(c.buf, '/')
			s = s[2:]
		case s[1] != 'u':
			c.buf = append(c.buf, s[:2]...)
			s = s[2:]
		default:
			c.buf = appendEscaped(c.buf, hexRune(s[2:]))
			s = s[6:]
		}
	}
	c.copy(quote)
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends one character of a string in ASCII; halves of a surrogate pair
// come one by one.
func appendEscaped(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case '\f':
		return append(dst, `\f`...)
	case '\b':
		return append(dst, `\b`...)
	}
	if 0x20 <= r && r < 0x7f {
		return append(dst, byte(r))
	}
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return appendEscaped(appendEscaped(dst, high), low)
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

func (c *canonical) number(n node) {
	raw := c.text[n.start&offsetMask : n.end]
	if n.start&flagSpecial == 0 {
		c.copy(canonicalInt(raw))
		return
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil && math.IsInf(f, 0) || n.start&flagSurrogate != 0 {
		c.fail(ErrNotFinite)
		return
	}
	var space [32]byte
	c.copy(AppendFloat(space[:0], f))
}

// canonicalInt gives the digits of an integer as Python writes them.
func canonicalInt(raw []byte) []byte {
	if len(raw) == 2 && raw[0] == '-' && raw[1] == '0' {
		return raw[1:]
	}
	return raw
}

// AppendFloat appends a finite number as Python's repr writes it: the shortest
// digits that give back the same value, positional between 1e-4 and 1e16.
func AppendFloat(dst []byte, f float64) []byte {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if bytes.IndexByte(dst[from:], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}
