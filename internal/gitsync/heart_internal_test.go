package gitsync

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func soon(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

// An outage of the database is told once, however many renewals it takes, and the next
// one again.
func TestAnOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{})
	st, err := store.Open(t.Context(), store.Options{DSN: cluster.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
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
		soon(t, "a renewal", func() bool { return lost.Err() != nil })
	}
	turn := func() {
		at := func() time.Time {
			s.vitals.renewing.mu.Lock()
			defer s.vitals.renewing.mu.Unlock()
			return s.vitals.renewing.since
		}
		for range 2 { // one turn has two steps
			before := at()
			soon(t, "the next step", func() bool { return at() != before })
		}
	}
	const complaint = "leases not renewed"
	for outage := 1; outage <= 2; outage++ {
		renewed()
		cluster.Kill()
		soon(t, "the complaint", func() bool { return log.count(complaint) == outage })
		turn()
		turn()
		if n := log.count(complaint); n != outage {
			t.Errorf("%d complaints about %d outages", n, outage)
		}
		cluster.Restart()
	}
}
