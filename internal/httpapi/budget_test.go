package httpapi

import "testing"

// A client that is alone has half of the memory, two have two thirds, and there is always some
// for the next one; what is given back is free again.
func TestMemoryIsShared(t *testing.T) {
	t.Parallel()
	const piece = 10
	a := &API{bodies: newBudget(60*piece, piece), options: Options{MaxBodiesMemory: 60 * piece}}
	b := a.bodies
	all := func(client string) (n int) {
		for b.of(client).take(piece, true) {
			n++
		}
		return n
	}
	for i, c := range []struct {
		client string
		want   int
	}{{"a", 30}, {"a", 0}, {"b", 15}, {"c", 7}, {"d", 4}, {"b", 0}} {
		if got := all(c.client); got != c.want {
			t.Errorf("step %d: %s took %d, want %d", i, c.client, got, c.want)
		}
	}
	if used, refused := b.state(); used != 56*piece || refused != 6 || !a.Crowded() {
		t.Errorf("%d of %d in use, %d refused, crowded %v", used, b.limit, refused, a.Crowded())
	}
	for range 30 {
		b.of("a").give(piece)
	}
	if !a.Crowded() || len(b.holders) != 3 {
		t.Errorf("crowded %v, %d clients are remembered", a.Crowded(), len(b.holders))
	}
	for range 11 {
		b.of("b").give(piece)
	}
	if a.Crowded() {
		t.Error("a quarter is a crowd")
	}
	if got := all("b"); got != 20 {
		t.Errorf("b took %d more, want 20", got)
	}
}

// A body of the largest size and the first piece of any body need no share, only that
// there is as much left.
func TestMemoryForOneBody(t *testing.T) {
	t.Parallel()
	const largest = 10 * firstChunk
	b := newBudget(2*largest, largest)
	a := b.of("a")
	if !a.take(largest, true) || a.take(1, true) {
		t.Error("want one body of the largest size, and not more")
	}
	other := b.of("b")
	if !other.take(largest-2*firstChunk, true) || !a.take(firstChunk, false) || a.take(1, true) || !other.take(1, true) {
		t.Error("want the first piece of another body, and no more of it while the other client has less")
	}
	if a.take(firstChunk, false) {
		t.Error("more than there is")
	}
}
