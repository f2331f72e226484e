package httpapi

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
)

// dripping is a body of which a piece arrives in each interval.
type dripping struct {
	piece    int
	interval time.Duration
}

func (d dripping) Read(b []byte) (int, error) {
	time.Sleep(d.interval)
	return min(d.piece, len(b)), nil
}

// A body may take as long as it likes if enough of it arrives on average; one of which
// too little arrives has the time of grace, and what it has earned.
func TestABodyMayBeSlowButNotTooSlow(t *testing.T) {
	t.Parallel()
	const grace, pause = 20 * time.Second, 30 * time.Second
	for _, c := range []struct {
		name string
		body dripping
		rate int64
		last time.Duration // until it is given up; 0: never
	}{
		{"just enough", dripping{1 << 10, time.Second}, 1 << 10, 0},
		{"half of it", dripping{1 << 9, time.Second}, 1 << 10, 2 * grace},
		{"nearly nothing", dripping{1, time.Second}, 1 << 10, grace},
		{"only pauses count", dripping{1, time.Second}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var deadline time.Time
				begin := time.Now()
				p := &pacedReader{body: c.body, start: begin, rate: c.rate, grace: grace, pause: pause, guard: func(until time.Time) { deadline = until }}
				n, err := io.CopyN(io.Discard, p, int64(c.body.piece)*600)
				took := time.Since(begin)
				if c.last == 0 {
					if err != nil || took < 600*time.Second || time.Until(deadline) > pause {
						t.Errorf("%d bytes in %s, deadline in %s, %v", n, took, time.Until(deadline), err)
					}
					return
				}
				f, _ := errors.AsType[*fault.Error](err)
				if f == nil || f.Code != codeTooSlow || (took-c.last).Abs() > 2*time.Second {
					t.Errorf("given up after %s and %d bytes, want about %s: %v", took, n, c.last, err)
				}
			})
		})
	}
}

// A client that is alone has half of the memory, two have two thirds, and there is always some
// for the next one; what is given back is free again.
func TestMemoryIsShared(t *testing.T) {
	t.Parallel()
	const piece = 10
	b := newBudget(60*piece, piece)
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
	if used, refused, crowded := b.state(); used != 56*piece || refused != 6 || !crowded {
		t.Errorf("%d of %d in use, %d refused, crowded %v", used, b.limit, refused, crowded)
	}
	for range 30 {
		b.of("a").give(piece)
	}
	if _, _, crowded := b.state(); !crowded || len(b.holders) != 3 {
		t.Errorf("crowded %v, %d clients are remembered", crowded, len(b.holders))
	}
	for range 11 {
		b.of("b").give(piece)
	}
	if _, _, crowded := b.state(); crowded {
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
