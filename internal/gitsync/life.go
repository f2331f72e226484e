package gitsync

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fairagro/middleware-api/internal/store"
)

// Limits after which a part counts as hung. They are far beyond the limits that
// the part has itself: its statements end after half a minute, its waits at the
// next poll.
const (
	turnLimit = 90 * time.Second
	// DefaultPushLimit is for one attempt, of which the push has a limit of its own.
	DefaultPushLimit = time.Hour
	// surveyPeriod is how often the backlog is counted for the status line.
	surveyPeriod = 10 * time.Second
)

// pulse is what one loop is doing, since when, and for how long it may.
type pulse struct {
	mu    sync.Mutex
	doing string
	since time.Time
	limit time.Duration // 0 is for ever: the loop waits for something that is checked by itself
}

func (p *pulse) enter(doing string, limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing, p.since, p.limit = doing, time.Now(), limit
}

func (p *pulse) check(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if took := now.Sub(p.since); p.limit > 0 && took > p.limit {
		return fmt.Errorf("%s for %s, longer than %s", p.doing, took.Round(time.Second), p.limit)
	}
	return nil
}

// vitals are the signs of life of a Syncer.
type vitals struct {
	dispatching, renewing pulse

	mu     sync.Mutex // not that of the work: who asks must not wait for it
	done   int64
	failed int64
	paused bool
	due    int64
	known  bool // due and paused have been looked up
}

// Alive tells whether the synchroniser does its work, for a watchdog: each loop
// has made its turn in time, and no push has gone on for longer than its limit.
// A push that is slow, a database that is away and a paused remote are fine.
func (s *Syncer) Alive(context.Context) error {
	now := time.Now()
	for _, p := range []*pulse{&s.vitals.dispatching, &s.vitals.renewing} {
		if err := p.check(now); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, h := range s.held {
		if took := now.Sub(h.since); took > s.opt.PushLimit {
			return fmt.Errorf("pushing %s for %s, longer than %s", c.ID, took.Round(time.Second), s.opt.PushLimit)
		}
	}
	return nil
}

// Status is one line for people: what was done, what is under way and what waits.
func (s *Syncer) Status() string {
	s.mu.Lock()
	inFlight := len(s.held)
	s.mu.Unlock()
	v := &s.vitals
	v.mu.Lock()
	defer v.mu.Unlock()
	text := fmt.Sprintf("%d pushed, %d failed, %d in flight", v.done, v.failed, inFlight)
	if v.known {
		text += fmt.Sprintf(", %d due", v.due)
	}
	if v.paused {
		text += ", git store paused (middleware-api causes)"
	}
	return text
}

func (s *Syncer) finished(success bool) {
	s.vitals.mu.Lock()
	defer s.vitals.mu.Unlock()
	if success {
		s.vitals.done++
	} else {
		s.vitals.failed++
	}
}

// survey keeps the numbers of the status line that only the database knows.
func (s *Syncer) survey(ctx context.Context) {
	tick := time.NewTicker(surveyPeriod)
	defer tick.Stop()
	for {
		s.surveyOnce(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Syncer) surveyOnce(ctx context.Context) {
	backlog, err := s.store.Backlog(ctx)
	if err != nil {
		return // whoever pushes says so
	}
	var due int64
	for _, b := range backlog {
		if b.State != store.Parked {
			due += b.Count
		}
	}
	r, err := s.store.Remote(ctx, s.opt.Remote)
	s.vitals.mu.Lock()
	defer s.vitals.mu.Unlock()
	s.vitals.due, s.vitals.known, s.vitals.paused = due, true, err == nil && r.Paused
}
