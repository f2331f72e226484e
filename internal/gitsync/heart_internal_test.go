package gitsync

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// An outage of the database is told once, however many renewals it takes, and the next
// one again.
func TestAnOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{})
	st, err := store.Open(t.Context(), store.Options{DSN: cluster.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	var log testenv.Log
	s := New(st, nil, Options{Lease: 3 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	var heart sync.WaitGroup
	heart.Go(func() { s.heartbeat(ctx) })
	t.Cleanup(func() {
		cancel()
		heart.Wait()
		st.Close()
	})
	renewed := func() { // nobody knows of the claim, which is how a renewal shows
		claim := &store.Claim{}
		lost := s.hold(ctx, claim)
		testenv.Await(t, "a renewal", func() bool { return lost.Err() != nil })
	}
	turn := func() {
		at := func() time.Time {
			s.vitals.renewing.mu.Lock()
			defer s.vitals.renewing.mu.Unlock()
			return s.vitals.renewing.since
		}
		for range 2 { // one turn has two steps
			before := at()
			testenv.Await(t, "the next step", func() bool { return at() != before })
		}
	}
	const complaint = "leases not renewed"
	for outage := 1; outage <= 2; outage++ {
		renewed()
		cluster.Kill()
		testenv.Await(t, "the complaint", func() bool { return log.Count(complaint) == outage })
		turn()
		turn()
		if n := log.Count(complaint); n != outage {
			t.Errorf("%d complaints about %d outages", n, outage)
		}
		cluster.Restart()
	}
}
