package jsonld

import "github.com/fairagro/middleware-api/internal/rocrate/jsondoc"

// keyCode is the number of a key of entities that means something under a vocabulary: the name of
// a property or one of JSON-LD. Entities hold codes instead of keys, so that looking for a
// property compares bytes, not texts.
type keyCode uint8

// The codes of keys that mean something under every vocabulary; 0 is no code.
const (
	_ keyCode = iota
	codeID
	codeType
	codeContext
	codeAdditional
	firstFreeCode
)

// ColumnIndexIRI and ColumnIndexKey are the keys that tell the place of a value in a row,
// whatever the context says.
const (
	ColumnIndexIRI = "https://w3id.org/ro/terms/arc#columnIndex"
	ColumnIndexKey = "columnIndex"
)

// keyTable finds the codes of keys: open addressing, never more than a little over half full.
type keyTable struct {
	slots [256]keySlot
	next  keyCode
}

type keySlot struct {
	key  string
	code keyCode
}

func newKeyTable() *keyTable {
	t := &keyTable{next: codeID}
	for _, key := range [...]string{
		codeID: "@id", codeType: "@type", codeContext: "@context", codeAdditional: "additionalType",
		firstFreeCode: ColumnIndexIRI, firstFreeCode + 1: ColumnIndexKey,
	} {
		if key != "" {
			t.add(key)
		}
	}
	return t
}

// add gives the code of a key, a new one if it has none yet.
func (t *keyTable) add(key string) keyCode {
	s := t.find([]byte(key))
	if s.code == 0 {
		*s = keySlot{key, t.next}
		t.next++ // two for each property and a few: far from overflowing
	}
	return s.code
}

// find gives the slot of a key, or the free one where it belongs.
func (t *keyTable) find(key []byte) *keySlot {
	const factor = 0x9e3779b1
	h := uint32(len(key))
	if n := len(key); n > 0 {
		h = (h<<8 ^ uint32(key[0])) * factor
		h = (h ^ uint32(key[n/2])) * factor
		h = (h ^ uint32(key[n-1])) * factor
	}
	for i := h >> 24; ; i++ {
		s := &t.slots[i%uint32(len(t.slots))]
		if s.code == 0 || s.key == string(key) {
			return s
		}
	}
}

// code gives the code of the name of a member, 0 if it has none.
func (t *keyTable) code(name jsondoc.Value) keyCode {
	var buf [64]byte
	return t.find(name.Bytes(buf[:0])).code
}
