package ingest

import (
	"testing"

	"github.com/fairagro/middleware-api/internal/store"
)

// A line with an ARC waits for the line before it with that ARC, however many have been
// through, and what is remembered of them is forgotten with the last.
func TestLinesOfOneARCTakeTurns(t *testing.T) {
	t.Parallel()
	b := &bulk{latest: map[store.ID]<-chan struct{}{}}
	waits := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return false
		default:
			return true
		}
	}
	id, other := store.ID{1}, store.ID{2}
	first, second, third := make(chan struct{}), make(chan struct{}), make(chan struct{})
	if waits(b.register(id, first)) || waits(b.register(other, make(chan struct{}))) {
		t.Error("the first line of an ARC waits")
	}
	beforeSecond := b.register(id, second)
	if !waits(beforeSecond) {
		t.Error("the second line does not wait for the first")
	}
	b.finish(id, first)
	if waits(beforeSecond) {
		t.Error("the second line waits for what is through")
	}
	beforeThird := b.register(id, third)
	if !waits(beforeThird) {
		t.Error("the third line does not wait for the second")
	}
	b.finish(id, second)
	b.finish(id, third)
	if _, ok := b.latest[id]; ok || len(b.latest) != 1 {
		t.Errorf("%d ARCs are remembered, want the other one", len(b.latest))
	}
}
