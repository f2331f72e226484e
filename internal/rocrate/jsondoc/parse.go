package jsondoc

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// parser indexes one text.
type parser struct {
	s     []byte
	nodes []node
	depth int // containers around the current value
	keep  int // values within as many containers are not indexed

	each  func(Value) bool // is shown the containers within so many as show says
	show  int
	whole bool // keep what was shown
	doc   *Doc
	drop  bool // each wants the container that was closed last to be dropped

	suspect bool // a flagSurrogate has been set
}

func (p *parser) document() error {
	if len(p.s) > MaxSize {
		return &LimitError{"the document is too long"}
	}
	p.reserve()
	i, err := p.value(p.space(0))
	if err != nil {
		return err
	}
	if i = p.space(i); i != len(p.s) {
		return p.fail(errExtra, i)
	}
	return nil
}

// reserve makes room for the index of a text with few numbers. Counting costs little, growing a
// large index much.
func (p *parser) reserve() {
	if p.keep <= MaxDepth || cap(p.nodes) >= len(p.s)/4 {
		return
	}
	if n := tokens(p.s); n > cap(p.nodes) {
		p.nodes = make([]node, 0, n)
	}
}

// tokens is how long the index of a text with few numbers becomes at most.
func tokens(text []byte) int {
	count := func(c string) int { return bytes.Count(text, []byte(c)) }
	return count(`"`)/2 + 2*(count("{")+count("[")) + 8
}

// space skips white space from i on.
func (p *parser) space(i int) int {
	for i < len(p.s) {
		switch p.s[i] {
		case ' ', '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
	return i
}

func (p *parser) add(start, end int, flags uint32) {
	p.suspect = p.suspect || flags&flagSurrogate != 0
	if p.depth >= p.keep {
		return
	}
	p.nodes = append(p.nodes, node{uint32(start) | flags, uint32(end)})
}

// value indexes the value that begins at i and gives the offset behind it.
func (p *parser) value(i int) (int, error) {
	if i >= len(p.s) {
		return 0, p.fail(errValue, i)
	}
	switch c := p.s[i]; c {
	case '"':
		return p.str(i)
	case '{', '[':
		return p.container(i, c)
	case 'n':
		return p.word(i, "null", 0)
	case 't':
		return p.word(i, "true", 0)
	case 'f':
		return p.word(i, "false", 0)
	case 'N':
		return p.word(i, "NaN", flagSpecial|flagSurrogate)
	case 'I':
		return p.word(i, "Infinity", flagSpecial|flagSurrogate)
	default:
		return p.number(i)
	}
}

func (p *parser) word(i int, word string, flags uint32) (int, error) {
	end := i + len(word)
	if end > len(p.s) || string(p.s[i:end]) != word {
		return 0, p.fail(errValue, i)
	}
	p.add(i, end, flags)
	return end, nil
}

// container indexes the array or object that begins at i.
func (p *parser) container(i int, c byte) (end int, err error) {
	open := len(p.nodes)
	p.add(i, 0, 0)
	if p.depth++; p.depth > MaxDepth {
		return 0, &LimitError{"the document is nested too deeply"}
	}
	shown := p.each != nil && p.depth == p.show
	if shown {
		p.keep = MaxDepth + 1
	}
	if c == '{' {
		end, err = p.object(i + 1)
	} else {
		end, err = p.array(i + 1)
	}
	if err != nil {
		return 0, err
	}
	p.depth--
	if p.depth < p.keep {
		p.close(open, end)
	}
	if shown {
		p.present(open, end)
	}
	return end, nil
}

// close closes the container that is open at an index.
func (p *parser) close(open, end int) {
	p.add(end, end, 0)
	n := &p.nodes[open]
	n.end = uint32(len(p.nodes)) | flagContainer
	if p.s[n.start] == '{' {
		n.end |= flagCommon
	}
}

// present shows a container and, unless the index is whole, forgets its content.
func (p *parser) present(open, end int) {
	p.doc.nodes = p.nodes
	drop := p.each(Value{p.doc, open})
	if p.whole {
		return
	}
	p.keep, p.drop = p.depth+1, drop
	p.nodes = p.nodes[:open+1]
	p.close(open, end)
}

// object indexes members and gives the offset behind the closing brace.
func (p *parser) object(i int) (int, error) {
	i = p.space(i)
	if i < len(p.s) && p.s[i] == '}' {
		return i + 1, nil
	}
	for {
		if i >= len(p.s) || p.s[i] != '"' {
			return 0, p.fail(errName, i)
		}
		var err error
		if i, err = p.str(i); err != nil {
			return 0, err
		}
		if i = p.space(i); i >= len(p.s) || p.s[i] != ':' {
			return 0, p.fail(errColon, i)
		}
		if i, err = p.value(p.space(i + 1)); err != nil {
			return 0, err
		}
		p.drop = false // a name without a value would be no member
		i = p.space(i)
		switch {
		case i < len(p.s) && p.s[i] == '}':
			return i + 1, nil
		case i >= len(p.s) || p.s[i] != ',':
			return 0, p.fail(errComma, i)
		}
		i = p.space(i + 1)
	}
}

// array indexes elements and gives the offset behind the closing bracket.
func (p *parser) array(i int) (int, error) {
	i = p.space(i)
	if i < len(p.s) && p.s[i] == ']' {
		return i + 1, nil
	}
	for {
		var err error
		before := len(p.nodes)
		if i, err = p.value(i); err != nil {
			return 0, err
		}
		if p.drop {
			p.drop, p.doc.dropped, p.nodes = false, true, p.nodes[:before]
		}
		i = p.space(i)
		switch {
		case i < len(p.s) && p.s[i] == ']':
			return i + 1, nil
		case i >= len(p.s) || p.s[i] != ',':
			return 0, p.fail(errComma, i)
		}
		i = p.space(i + 1)
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digits gives the offset behind the digits from i on.
func (p *parser) digits(i int) int {
	for i < len(p.s) && isDigit(p.s[i]) {
		i++
	}
	return i
}

// number takes the longest number from i on; what follows it, as in 01 or 1.,
// is for the caller to complain about.
func (p *parser) number(start int) (int, error) {
	i := start
	if p.s[i] == '-' {
		i++
		if i < len(p.s) && p.s[i] == 'I' {
			end, err := p.word(i, "Infinity", flagSpecial|flagSurrogate)
			if err != nil {
				return 0, p.fail(errValue, start)
			}
			if p.depth < p.keep {
				p.nodes[len(p.nodes)-1].start = uint32(start) | flagSpecial | flagSurrogate
			}
			return end, nil
		}
	}
	switch {
	case i >= len(p.s) || !isDigit(p.s[i]):
		return 0, p.fail(errValue, start)
	case p.s[i] == '0':
		i++
	default:
		first := i
		if i = p.digits(i); i-first > MaxIntDigits && !p.fraction(i) {
			return 0, &LimitError{"an integer has too many digits"}
		}
	}
	var flags uint32
	if i+1 < len(p.s) && p.s[i] == '.' && isDigit(p.s[i+1]) {
		flags = flagSpecial
		i = p.digits(i + 1)
	}
	if end, ok := p.exponent(i); ok {
		flags = flagSpecial
		i = end
	}
	p.suspect = p.suspect || p.overflows(start, i, flags)
	p.add(start, i, flags)
	return i, nil
}

// overflows says whether a number might be beyond binary64; small numbers are told without
// computing.
func (p *parser) overflows(start, end int, flags uint32) bool {
	const most = 300
	if end-start < most && (flags == 0 || !bytes.ContainsAny(p.s[start:end], "eE")) {
		return false
	}
	f, err := strconv.ParseFloat(string(p.s[start:end]), 64)
	return err != nil && math.IsInf(f, 0)
}

// exponent gives the offset behind an exponent at i, if there is one.
func (p *parser) exponent(i int) (int, bool) {
	if i >= len(p.s) || p.s[i]|0x20 != 'e' {
		return i, false
	}
	first := i + 1
	if first < len(p.s) && (p.s[first] == '+' || p.s[first] == '-') {
		first++
	}
	end := p.digits(first)
	return end, end > first
}

// fraction says whether what follows at i makes the number a float.
func (p *parser) fraction(i int) bool {
	if i+1 < len(p.s) && p.s[i] == '.' && isDigit(p.s[i+1]) {
		return true
	}
	_, ok := p.exponent(i)
	return ok
}

// str indexes the string whose quote is at start.
func (p *parser) str(start int) (int, error) {
	s, i := p.s, start+1
	var flags uint32
	for {
		i = skipPlain(s, i)
		if i >= len(s) {
			return 0, p.fail(errUnterminated, start)
		}
		switch c := s[i]; {
		case c == '"':
			p.add(start, (i+1)|flagCommon, flags)
			return i + 1, nil
		case c == '\\':
			flags |= flagSpecial
			end, surrogate, err := p.escape(start, i)
			if err != nil {
				return 0, err
			}
			if surrogate {
				flags |= flagSurrogate
			}
			i = end
		case c < 0x20:
			return 0, p.fail(errControl, i)
		default: // DEL and everything beyond ASCII
			flags |= flagSpecial
			for i++; i < len(s) && s[i] >= 0x7f; i++ {
			}
		}
	}
}

// escape checks the escape sequence at i; a surrogate pair is taken as one. It
// gives the offset behind it and whether it is a surrogate without partner.
func (p *parser) escape(start, i int) (end int, surrogate bool, err error) {
	s := p.s
	if i+1 >= len(s) {
		return 0, false, p.fail(errUnterminated, start)
	}
	switch s[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, false, nil
	case 'u':
		c, ok := hex4(s, i+2)
		if !ok {
			return 0, false, p.fail(errUnicode, i+1)
		}
		switch c >> 10 {
		case 0xd800 >> 10:
			if i+7 < len(s) && s[i+6] == '\\' && s[i+7] == 'u' {
				if low, ok := hex4(s, i+8); ok && low>>10 == 0xdc00>>10 {
					return i + 12, false, nil
				}
			}
			return i + 6, true, nil
		case 0xdc00 >> 10:
			return i + 6, true, nil
		}
		return i + 6, false, nil
	}
	return 0, false, p.fail(errEscape, i)
}

// hex4 reads four hexadecimal digits that are not the end of the text.
func hex4(s []byte, i int) (rune, bool) {
	if i+4 >= len(s) {
		return 0, false
	}
	var r rune
	for _, c := range s[i : i+4] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// skipPlain gives the offset of the first byte from i on that is not printable
// ASCII, or is a quote or backslash. It looks at eight bytes at a time: the lowest
// of the bits is exact, only bits above it may be wrong, because what is carried or
// borrowed comes from a byte that has its bit.
func skipPlain(s []byte, i int) int {
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		quote, slash := w^ones*'"', w^ones*'\\' // 0 where there is one
		m := w | (w - ones*0x20) | (w + ones) | (quote - ones) | (slash - ones)
		if m &= highs; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			return i
		}
	}
	return i
}
