// Package jsondoc reads a JSON text in one pass into a flat index over its
// bytes: eight bytes per token, sixteen per array or object, nothing decoded.
// Values are looked up, decoded and rendered from the index when somebody asks
// for them, so that reading a crate costs little more than looking at it once.
//
// The grammar, the places of errors and their texts are those of Python's json
// module, which clients of this service have learnt to expect: duplicate members
// are allowed and the last one counts, NaN and Infinity are read (and left to the
// caller to refuse), integers have any length up to [MaxIntDigits].
//
// It must never panic, whatever the bytes, and never use the stack or memory
// beyond what [MaxDepth] and the length of the text allow. A Doc is written by
// Parse alone; afterwards any number of goroutines may read it until Release.
package jsondoc

import (
	"slices"
	"sync"
)

// MaxDepth is how deep arrays and objects may be nested, the recursion limit
// of the parser that clients know.
const MaxDepth = 1000

// MaxIntDigits is how many digits an integer may have.
const MaxIntDigits = 4300

// MaxSize is the largest text that can be indexed: offsets share a word with flags.
const MaxSize = 1<<30 - 1

// Kind is what a value is.
type Kind uint8

// The kinds of values. Invalid is the kind of the zero Value.
const (
	Invalid Kind = iota
	Null
	False
	True
	Int
	Float // any number with a fraction or exponent, also NaN and Infinity
	String
	Array
	Object
)

// node is one entry of the index. A scalar has its span. An array or object
// has its start and the index behind its subtree, and is closed by a node
// that has the offset behind the bracket.
type node struct {
	start uint32 // offset of the first byte, and two flags on top
	end   uint32 // scalar: offset behind the last byte; container: index behind the closing node; and two flags on top
}

const (
	flagSpecial   = 1 << 31 // of start; string: not only printable ASCII; number: a float
	flagSurrogate = 1 << 30 // string: has a surrogate without partner; number: NaN or Infinity
	flagContainer = 1 << 31 // of end
	flagCommon    = 1 << 30 // string or object: these are told without a look at the text, which may be far away in memory
	offsetMask    = 1<<30 - 1
)

func (n node) from() uint32 { return n.start & offsetMask }

// to gives the offset behind a scalar, or the index behind a container.
func (n node) to() uint32 { return n.end & offsetMask }

func (n node) isContainer() bool { return n.end&flagContainer != 0 }

// Doc is an indexed JSON text.
type Doc struct {
	text    []byte
	nodes   []node
	suspect bool
	whole   *Doc // the document that this one is a part of, see Expand
	depth   int  // see ParseTo
	dropped bool // whether elements are missing from the index
	places  *Doc // the document with them, as soon as somebody asks for a place
}

// maxPooledNodes keeps the index of an unusually large text from staying in
// memory for ever.
const maxPooledNodes = 1 << 20

var pool = sync.Pool{New: func() any { return new(Doc) }}

// Parse indexes a JSON text in UTF-8, UTF-16 or UTF-32, with or without byte
// order mark. The document refers to body, which must not change before
// Release. The error is a *SyntaxError or a *LimitError.
func Parse(body []byte) (*Doc, error) { return ParseTo(body, MaxDepth+1, nil) }

// ParseTo is Parse for large documents: it checks the whole text, but indexes only values that are
// within fewer than depth arrays and objects. The containers among the deepest of them look
// empty until [Value.Expand]; before they do, they are shown to each, which may be nil. It must not keep
// what it sees, and tells whether the container, if it is an element of an array, is to be left out of the index.
func ParseTo(body []byte, depth int, each func(Value) bool) (*Doc, error) {
	return parse(body, parser{keep: depth, show: depth, each: each})
}

// ParseShowing is Parse, and shows the containers that are within depth arrays and objects to each, with everything
// in them, as soon as they are read.
func ParseShowing(body []byte, depth int, each func(Value)) (*Doc, error) {
	return parse(body, parser{keep: MaxDepth + 1, show: depth, whole: true, each: func(v Value) bool {
		each(v)
		return false
	}})
}

func parse(body []byte, p parser) (*Doc, error) {
	text, err := decode(body)
	if err != nil {
		return nil, err
	}
	d := pool.Get().(*Doc)
	d.text, d.depth = text, p.keep
	p.s, p.nodes, p.doc = text, d.nodes[:0], d
	err = p.document()
	d.nodes, d.suspect = p.nodes, p.suspect
	if d.dropped && cap(d.nodes) > maxPooledNodes {
		d.nodes = slices.Clone(d.nodes) // most of it was for what is dropped
	}
	if err != nil {
		d.Release()
		return nil, err
	}
	return d, nil
}

// Expand gives a value of a document that ParseTo made, with everything in it. The result is a
// document of its own within the same text and lives on its own.
func (v Value) Expand() Value { return v.doc.ExpandAt(v.Offset(), 0, new(Doc), new(Room)) }

// Room is where the index of small documents is kept, many of them in one piece of memory.
type Room struct{ nodes []node }

// Sizes of the pieces of a Room, in nodes, and how many bytes there are to a node at least in the arrays of
// references that make an entity long.
const (
	firstPiece = 256
	nextPiece  = 2048
	shortest   = 3 // {"@id":"x"}, is four
)

// ExpandAt is Expand for the value at an offset that Value.Offset gave, for those who expand many: the result is
// the root of part, and its index is in the memory of what part was before, or else in room, which serves one
// goroutine. It needs no more memory than it has to if the length of the value is known, at most.
func (d *Doc) ExpandAt(offset, length int, part *Doc, room *Room) Value {
	p := parser{s: d.text, nodes: part.nodes[:0], keep: MaxDepth + 1}
	own := cap(part.nodes) > 0
	if !own {
		p.nodes = room.free()
	}
	if length/shortest > nextPiece {
		p.nodes, own = make([]node, 0, tokens(d.text[offset:offset+length])), true
	}
	_, _ = p.value(offset) // the text was checked when d was made
	if !own {
		p.nodes = slices.Clip(p.nodes)
		room.nodes = room.nodes[:min(len(room.nodes)+len(p.nodes), cap(room.nodes))]
	}
	whole := d
	if d.whole != nil {
		whole = d.whole
	}
	*part = Doc{text: d.text, nodes: p.nodes, whole: whole}
	return Value{part, 0}
}

// free gives the rest of a piece of memory.
func (room *Room) free() []node {
	const least = 48 // more than most entities need
	if cap(room.nodes)-len(room.nodes) < least {
		size := nextPiece
		if room.nodes == nil {
			size = firstPiece
		}
		room.nodes = make([]node, 0, size)
	}
	return room.nodes[len(room.nodes):len(room.nodes):cap(room.nodes)]
}

// complete gives the document with all its places.
func (d *Doc) complete() *Doc {
	if !d.dropped {
		return d
	}
	if d.places == nil {
		p := parser{s: d.text, keep: d.depth}
		_ = p.document() // was checked before
		d.places = &Doc{text: d.text, nodes: p.nodes, whole: d}
	}
	return d.places
}

// StringAt gives the text of the string at an offset: a part of the document where it
// stands there as it is, else decoded and appended to buf.
func (d *Doc) StringAt(offset int, buf []byte) []byte {
	i := skipPlain(d.text, offset+1)
	if d.text[i] == '"' {
		return d.text[offset+1 : i]
	}
	p := parser{s: d.text, keep: 1, nodes: make([]node, 0, 1)}
	end, _ := p.str(offset)
	return unescape(buf, d.text[offset+1:end-1])
}

// Release gives the index back. Values of the document must not be used any more;
// byte slices obtained from Raw stay valid.
func (d *Doc) Release() {
	d.text, d.whole, d.places, d.dropped = nil, nil, nil, false
	if cap(d.nodes) > maxPooledNodes {
		d.nodes = nil
	}
	pool.Put(d)
}

// Root gives the value of the whole text.
func (d *Doc) Root() Value { return Value{d, 0} }

// Suspect says whether the text has NaN, a number beyond binary64 or half a surrogate pair
// somewhere, that is, something that not every program can read or pass on.
func (d *Doc) Suspect() bool { return d.suspect }

// Len gives the number of bytes of the text.
func (d *Doc) Len() int { return len(d.text) }
