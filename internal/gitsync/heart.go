package gitsync

import (
	"context"
	"os"
	"time"

	"github.com/fairagro/middleware-api/internal/store"
)

// heartbeat renews the leases of what is being pushed and stops pushes that
// have lost theirs. An outage of the database is told once.
func (s *Syncer) heartbeat(ctx context.Context) {
	tick := time.NewTicker(s.opt.Lease / 3)
	defer tick.Stop()
	silent := false
	for {
		s.vitals.renewing.enter("waiting to renew leases", s.opt.Lease+turnLimit)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.vitals.renewing.enter("renewing leases", s.opt.Lease+turnLimit)
		claims := s.holding()
		if len(claims) == 0 {
			continue
		}
		// An answer later than this is of no use: the lease has ended.
		rctx, cancel := context.WithTimeout(ctx, s.opt.Lease)
		lost, err := s.store.Renew(rctx, claims, s.opt.Lease)
		cancel()
		if err != nil && !silent && ctx.Err() == nil {
			s.log.WarnContext(ctx, "leases not renewed", "error", err)
		}
		silent = err != nil
		s.mu.Lock()
		for _, c := range lost {
			if h := s.held[c]; h != nil {
				h.cancel(errLost)
			}
		}
		s.mu.Unlock()
	}
}

func (s *Syncer) holding() []*store.Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	claims := make([]*store.Claim, 0, len(s.held))
	for c := range s.held {
		claims = append(claims, c)
	}
	return claims
}

// signsOfLife tells the others that this synchroniser lives, until ctx ends, and
// then that it has ended in order.
func (s *Syncer) signsOfLife(ctx context.Context) {
	host, _ := os.Hostname()
	tick := time.NewTicker(store.BeatEvery)
	defer tick.Stop()
	budgetTold, silent := false, false
	for {
		bctx, cancel := context.WithTimeout(ctx, store.BeatEvery)
		err := s.store.Beat(bctx, s.sign(host))
		if err == nil && !budgetTold {
			err = s.store.SetBudget(bctx, Budget(s.opt.Remote, s.opt.ProjectsPerHour))
			budgetTold = err == nil
		}
		cancel()
		if err != nil && !silent && ctx.Err() == nil {
			s.log.WarnContext(ctx, "sign of life not given", "error", err)
		}
		silent = err != nil
		select {
		case <-ctx.Done():
			ectx, cancel := context.WithTimeout(context.WithoutCancel(ctx), store.BeatEvery)
			defer cancel()
			if err := s.store.EndBeat(ectx, s.opt.Holder); err != nil {
				s.log.WarnContext(ctx, "end not announced, the signs of life just stop", "error", err)
			}
			return
		case <-tick.C:
		case <-s.news:
		}
	}
}

// sign is what we tell of ourselves.
func (s *Syncer) sign(host string) store.Synchroniser {
	s.mu.Lock()
	defer s.mu.Unlock()
	return store.Synchroniser{Holder: s.opt.Holder, Host: host, Remote: s.opt.Remote, Up: time.Since(s.born), Pushing: len(s.held), Token: s.token}
}
