package jsondoc

import (
	"bytes"
	"cmp"
	"encoding/binary"
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

// member is a member of an object; without pointers, which would cost more than the sort.
type member struct {
	prefix     uint64 // the first eight bytes of the name as a number, which decides most comparisons
	start, end uint32 // of the name within the text, or with flagSpecial within the decoded names
	value      uint32
}

func (c *canonical) nameOf(m *member) []byte {
	if m.start&flagSpecial != 0 {
		return c.names[m.start&offsetMask : m.end]
	}
	return c.text[m.start:m.end]
}

// compare orders members by name, those of one name as they stand in the text.
func (c *canonical) compare(m, o *member) int {
	if m.prefix != o.prefix {
		return cmp.Compare(m.prefix, o.prefix)
	}
	if d := bytes.Compare(c.nameOf(m), c.nameOf(o)); d != 0 {
		return d
	}
	return cmp.Compare(m.value, o.value)
}

// prefix gives the first eight bytes of a name, or what there is, with zeros behind.
func prefix(name []byte) (p uint64) {
	if len(name) >= 8 {
		return binary.BigEndian.Uint64(name)
	}
	for i, b := range name {
		p |= uint64(b) << (56 - 8*i)
	}
	return p
}

// The buffer is handed on before it holds more than bufferSize. Punctuation is
// added without a look, hence the room behind.
const (
	bufferSize = 8 << 10
	bufferRoom = 64
)

var canonicals = sync.Pool{New: func() any {
	return &canonical{buf: make([]byte, 0, bufferSize+bufferRoom)}
}}

func (c *canonical) reset() {
	if cap(c.members) > maxPooledNodes/8 {
		c.members = nil
	}
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
		b = c.handOn(b)
	}
	c.buf = append(c.buf, b...)
}

// handOn empties the buffer, writes b if it is long, and gives what is still to be appended.
func (c *canonical) handOn(b []byte) []byte {
	c.flush()
	if len(b) <= bufferSize/4 {
		return b
	}
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
	return nil
}

func (c *canonical) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// emit writes the value at index i and gives the index behind it.
func (c *canonical) emit(i int) int {
	n := c.nodes[i]
	start := n.from()
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
				c.buf = append(c.buf, ", "...)
			}
			j = c.emit(j)
		}
		c.copy(closeBracket)
		return next
	case 't', 'f', 'n':
		c.copy(c.text[start:n.to()])
	default:
		c.number(n)
	}
	return i + 1
}

var (
	openBracket, closeBracket = []byte("["), []byte("]")
	openBrace, closeBrace     = []byte("{"), []byte("}")
	quote                     = []byte(`"`)
)

// object writes the members between two indexes.
func (c *canonical) object(i, last int) {
	base := len(c.members)
	sorted := true
	for i < last {
		m := c.member(i)
		i = c.next(i + 1)
		if c.omitted(c.nameOf(&m)) {
			continue
		}
		if n := len(c.members); n > base && sorted {
			before := &c.members[n-1]
			sorted = before.prefix < m.prefix || before.prefix == m.prefix && bytes.Compare(c.nameOf(before), c.nameOf(&m)) < 0
		}
		c.members = append(c.members, m)
	}
	if !sorted {
		c.sort(c.members[base:])
	}
	c.copy(openBrace)
	end, first := len(c.members), true
	for j := base; j < end; j++ {
		m := &c.members[j]
		if j+1 < end && !sorted && m.prefix == c.members[j+1].prefix && bytes.Equal(c.nameOf(m), c.nameOf(&c.members[j+1])) {
			continue // the last of equal names counts
		}
		value := int(m.value) // emit makes use of the stack of members
		if !first {
			c.buf = append(c.buf, ", "...)
		}
		first = false
		c.string(c.nodes[value-1])
		c.buf = append(c.buf, ": "...)
		c.emit(value)
	}
	c.copy(closeBrace)
	c.members = c.members[:base]
}

// sort sorts members: few, as nearly all objects have, by insertion.
func (c *canonical) sort(list []member) {
	const few = 16
	if len(list) > few {
		slices.SortFunc(list, func(a, b member) int { return c.compare(&a, &b) })
		return
	}
	for i := 1; i < len(list); i++ {
		m := list[i]
		j := i
		for ; j > 0 && c.compare(&m, &list[j-1]) < 0; j-- {
			list[j] = list[j-1]
		}
		list[j] = m
	}
}

func (c *canonical) omitted(name []byte) bool {
	for _, o := range c.omit {
		if string(name) == o {
			return true
		}
	}
	return false
}

// next gives the index behind the value at i.
func (c *canonical) next(i int) int {
	if n := c.nodes[i]; n.isContainer() {
		return int(n.to())
	}
	return i + 1
}

// member gives the member whose name is at index i.
func (c *canonical) member(i int) member {
	n := c.nodes[i]
	m := member{start: n.from() + 1, end: n.to() - 1, value: uint32(i + 1)}
	if n.start&flagSpecial != 0 {
		from := len(c.names)
		c.names = unescape(c.names, c.text[m.start:m.end])
		m.start, m.end = uint32(from)|flagSpecial, uint32(len(c.names))
	}
	m.prefix = prefix(c.nameOf(&m))
	return m
}

// string writes a string in ASCII.
func (c *canonical) string(n node) {
	if n.start&flagSpecial == 0 {
		c.copy(c.text[n.from():n.to()])
		return
	}
	if n.start&flagSurrogate != 0 {
		c.fail(ErrSurrogate)
		return
	}
	c.copy(quote)
	s := c.text[n.from()+1 : n.to()-1]
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
	raw := c.text[n.from():n.to()]
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
