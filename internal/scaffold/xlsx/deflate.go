package xlsx

import (
	"encoding/binary"
	"math/bits"
)

// A deflater compresses short texts (DEFLATE, RFC 1951) with the fixed codes of the format. Most parts
// of a workbook are so short that finding better codes takes ten times as long as compressing, and saves a
// seventh.
type deflater struct {
	seen  [1 << hashBits]uint16 // by hash of four bytes: where they were last, plus one
	out   []byte
	bits  uint64 // not in out yet, the first in the lowest place
	nbits uint
}

// smallPart is the longest text for a deflater: every place in it can be referred to.
const smallPart = 16 << 10

const (
	hashBits = 11
	minMatch = 4
	maxMatch = 258
)

// deflate gives the compressed form of a text of at most smallPart bytes. It is valid until the next call.
func (d *deflater) deflate(text []byte) []byte {
	clear(d.seen[:])
	d.out, d.bits, d.nbits = d.out[:0], 0, 0
	const last, fixedCodes = 1, 1
	d.put(last|fixedCodes<<1, 3)
	i := 0
	for i+minMatch <= len(text) {
		four := binary.LittleEndian.Uint32(text[i:])
		before := d.see(four, i)
		if before < 0 || binary.LittleEndian.Uint32(text[before:]) != four {
			d.literal(text[i])
			i++
			continue
		}
		n := minMatch
		for n < maxMatch && i+n < len(text) && text[before+n] == text[i+n] {
			n++
		}
		d.match(n, i-before)
		if end := i + n - 2; end+minMatch <= len(text) {
			d.see(binary.LittleEndian.Uint32(text[end:]), end)
		}
		i += n
	}
	for ; i < len(text); i++ {
		d.literal(text[i])
	}
	const endOfBlock = 256
	d.code(endOfBlock)
	whole := len(d.out) + int(d.nbits+7)/8
	d.out = binary.LittleEndian.AppendUint64(d.out, d.bits)
	return d.out[:whole]
}

// see gives where four bytes were last seen, or -1, and remembers that they are at i.
func (d *deflater) see(four uint32, i int) int {
	h := four * 0x9e3779b1 >> (32 - hashBits)
	before := int(d.seen[h]) - 1
	d.seen[h] = uint16(i + 1)
	return before
}

// put appends the low n bits of v.
func (d *deflater) put(v uint64, n uint) {
	d.bits |= v << d.nbits
	d.nbits += n
	if d.nbits >= 48 {
		d.out = binary.LittleEndian.AppendUint32(d.out, uint32(d.bits))
		d.out = binary.LittleEndian.AppendUint16(d.out, uint16(d.bits>>32))
		d.bits >>= 48
		d.nbits -= 48
	}
}

// literal appends a byte that stands for itself.
func (d *deflater) literal(b byte) {
	if b < 144 {
		d.put(uint64(bits.Reverse8(0x30+b)), 8)
		return
	}
	d.put(uint64(bits.Reverse16((0x190+uint16(b-144))<<7)), 9)
}

// code appends the code of the end of the block or of a length.
func (d *deflater) code(symbol int) {
	if symbol < 280 {
		d.put(uint64(bits.Reverse8(uint8(symbol-256)<<1)), 7)
		return
	}
	d.put(uint64(bits.Reverse8(0xc0+uint8(symbol-280))), 8)
}

// match appends a reference to a text of a length some bytes back. Lengths and distances are sorted into classes,
// four and two for each power of two; how far into the class comes after the code of the class.
func (d *deflater) match(length, distance int) {
	switch n := uint(length - 3); {
	case n < 8:
		d.code(257 + int(n))
	case length == maxMatch:
		d.code(285)
	default:
		extra := uint(bits.Len(n)) - 3
		d.code(257 + int(4*extra+n>>extra))
		d.put(uint64(n&(1<<extra-1)), extra)
	}
	n := uint(distance - 1)
	if n < 4 {
		d.put(uint64(bits.Reverse8(uint8(n)<<3)), 5)
		return
	}
	extra := uint(bits.Len(n)) - 2
	d.put(uint64(bits.Reverse8(uint8(2*extra+n>>extra)<<3)), 5)
	d.put(uint64(n&(1<<extra-1)), extra)
}
