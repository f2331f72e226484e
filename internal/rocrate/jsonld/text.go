package jsonld

import (
	"hash/maphash"
	"strings"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// textKeeper makes strings of the texts of a document. Those that were made lately are made only
// once, and short ones share pieces of memory: tables repeat the same few texts and have
// many short ones.
type textKeeper struct {
	recent [recentTexts]string // by hash
	piece  strings.Builder     // is never made to move what it holds
}

const (
	recentTexts = 256
	longText    = 64
	firstPiece  = 512
	largePiece  = 32 << 10
)

// of gives the text of a string.
func (t *textKeeper) of(seed maphash.Seed, v jsondoc.Value) string {
	var buf [longText]byte
	raw := v.Bytes(buf[:0])
	if len(raw) > longText || len(raw) == 0 {
		return string(raw)
	}
	known := &t.recent[maphash.Bytes(seed, raw)%recentTexts]
	if *known != string(raw) {
		*known = t.keep(raw)
	}
	return *known
}

// keep gives a copy of a short text.
func (t *textKeeper) keep(raw []byte) string {
	if t.piece.Cap()-t.piece.Len() < len(raw) {
		size := min(max(firstPiece, 2*t.piece.Cap()), largePiece)
		t.piece.Reset()
		t.piece.Grow(size)
	}
	from := t.piece.Len()
	t.piece.Write(raw)
	return t.piece.String()[from:]
}
