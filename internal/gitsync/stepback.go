package gitsync

import (
	"context"
	"time"
)

// setback is when a synchroniser whose pushes meet incidents begins to push again
// while others can: an old token on one host, or a network that leads only others
// to the git server, would else pause the store for all as soon as somebody has
// shown that it works.
type setback struct {
	met   int       // incidents one after the other, those of one round counted once
	until time.Time // no claims before, unless the store is paused and wants a probe
}

// setBack counts an incident.
func (s *Syncer) setBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.setback.until) {
		return // others of the same round
	}
	s.setback.met++
	s.setback.until = now.Add(max(s.jitter(s.opt.Backoff, s.opt.ProbeMax, s.setback.met), s.opt.Backoff/2))
}

// goneThrough forgets incidents: a push has come through.
func (s *Syncer) goneThrough() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setback = setback{}
}

// steppedBack tells how long to leave the work to others that can do it. While the
// store is paused everybody may probe it, and who is alone has nobody to leave it to.
func (s *Syncer) steppedBack(ctx context.Context) time.Duration {
	s.mu.Lock()
	wait := time.Until(s.setback.until)
	s.mu.Unlock()
	if wait <= 0 {
		return 0
	}
	if r, err := s.store.Remote(ctx, s.opt.Remote); err != nil || r.Paused {
		return 0
	}
	all, err := s.store.Synchronisers(ctx)
	if err != nil {
		return 0
	}
	for _, other := range all {
		if other.Alive && other.Remote == s.opt.Remote && other.Holder != s.opt.Holder {
			return min(wait, s.opt.Poll)
		}
	}
	return 0
}
