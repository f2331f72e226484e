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
