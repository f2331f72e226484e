package gitsync

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fairagro/middleware-api/internal/store"
)

// aheadLimit is the size in bytes of the largest document whose files are built
// before it is its turn to be pushed.
const aheadLimit = 1 << 20

// errNoTurn is an ARC whose turn to be pushed did not come in time.
var errNoTurn = errors.New("no push begins now")

// hands count what is at work. As many pushes run at a time as there are places.
// While pushes are quick, as many ARCs again are claimed, loaded and built ahead
// of their turn, and recorded after it, so that no place waits for the database.
// Where pushes are slow, claiming ahead would gain nothing and keep ARCs from
// other synchronisers, so it is left.
//
// Of several places one is left to ARCs that have not failed: repositories that
// hang would otherwise have all places between them, attempt by attempt, each for
// as long as a push may take.
type hands struct {
	places chan struct{} // a push puts one in
	slow   time.Duration // pace from which nothing is claimed ahead
	freed  chan struct{}

	mu      sync.Mutex
	busy    int           // claims at work
	retries int           // of these, ARCs that have failed before
	pace    time.Duration // of the last pushes, smoothed
}

func newHands(concurrency int, lease time.Duration) *hands {
	// The first pushes show whether the remote is quick.
	return &hands{places: make(chan struct{}, concurrency), slow: lease / 4, freed: make(chan struct{}, 1), pace: lease}
}

// take counts a claim that is now at work. Give is to be called when nothing is
// left to do of it.
func (h *hands) take(c *store.Claim) (give func()) {
	retries := 0
	if c.Retry() {
		retries = 1
	}
	count := func(busy, retries int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.busy += busy
		h.retries += retries
	}
	count(1, retries)
	return func() {
		count(-1, -retries)
		select {
		case h.freed <- struct{}{}:
		default:
		}
	}
}

// limit tells how many ARCs may be claimed where there are hands for n, and
// whether only such that have not failed.
func (h *hands) limit(n int) (most int, fresh bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	places := cap(h.places)
	switch may := places - 1 - h.retries; {
	case places == 1: // nothing can be left
		return n, false
	case may > 0:
		return min(n, may), false
	default:
		return n, true
	}
}

// free tells how many ARCs may be claimed; worthwhile is false if it is better
// to wait until they are more.
func (h *hands) free() (n int, worthwhile bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	places := cap(h.places)
	if h.pace >= h.slow {
		return places - h.busy, h.busy < places
	}
	n = 2*places - h.busy
	// One question to the database gives several.
	return n, n > places/2
}

// wait waits until ARCs may be claimed and tells how many; 0 if ctx ends before.
func (h *hands) wait(ctx context.Context) int {
	for ctx.Err() == nil {
		if n, worthwhile := h.free(); worthwhile {
			return n
		}
		select {
		case <-ctx.Done():
		case <-h.freed:
		}
	}
	return 0
}

// quiet waits until nothing is at work, within limits.
func (h *hands) quiet(ctx context.Context, patience time.Duration) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		h.mu.Lock()
		busy := h.busy
		h.mu.Unlock()
		if busy == 0 {
			return
		}
		select {
		case <-h.freed:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// pushed tells how long a push took, or an ARC waited in vain for its turn.
func (h *hands) pushed(took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pace = (3*h.pace + took) / 4
}

// awaitTurn waits for a place among the pushes. It gives up with errNoTurn when
// the synchroniser stops, the remote has been paused meanwhile, or the wait gets
// as long as a lease: another synchroniser may have a place.
func (s *Syncer) awaitTurn(ctx context.Context, c *try) error {
	if c.turn {
		return nil
	}
	began := time.Now()
	limit := time.NewTimer(s.opt.Lease)
	defer limit.Stop()
	select {
	case s.hands.places <- struct{}{}: // even when stopping: it is at work
	default:
		select {
		case s.hands.places <- struct{}{}:
		case <-c.stopping:
			return errNoTurn
		case <-limit.C:
			s.hands.pushed(4 * s.opt.Lease)
			return errNoTurn
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	c.turn, c.waited = true, time.Since(began)
	s.mu.Lock()
	paused := s.paused.After(c.since)
	s.mu.Unlock()
	if paused && !c.Probe {
		s.endTurn(c)
		return errNoTurn
	}
	c.since = time.Now()
	return nil
}

// endTurn leaves the place to the next one.
func (s *Syncer) endTurn(c *try) {
	if !c.turn {
		return
	}
	c.turn = false
	s.hands.pushed(time.Since(c.since))
	<-s.hands.places
}
