package gitsync

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// Delays double up to the limit, are drawn from the whole of it, and stay within it
// after any number of failures.
func TestBackoffDoublesWithFullJitter(t *testing.T) {
	t.Parallel()
	draw := 1.0
	s := New(nil, nil, Options{Backoff: time.Second, BackoffMax: time.Minute, Jitter: func() float64 { return draw }})
	for failures, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 32 * time.Second,
		7: time.Minute, 34: time.Minute, 35: time.Minute, 64: time.Minute, 1000: time.Minute,
	} {
		for _, draw = range []float64{1, 0.5, 0} {
			if got := s.backoff(failures); got != time.Duration(draw*float64(want)) {
				t.Errorf("%d failures, drawn %g: got %s of %s", failures, draw, got, want)
			}
		}
	}
	s = New(nil, nil, Options{Backoff: time.Hour, BackoffMax: time.Hour})
	seen := map[time.Duration]bool{}
	for range 100 {
		d := s.backoff(1)
		if seen[d] = true; d < 0 || d >= time.Hour {
			t.Errorf("drawn by itself: got %s", d)
		}
	}
	if len(seen) < 90 {
		t.Errorf("only %d different delays of 100", len(seen))
	}
}

// Each loop that hangs makes the synchroniser one that does not live.
func TestAHangingLoopIsNoLife(t *testing.T) {
	t.Parallel()
	for name, loop := range map[string]func(*Syncer) *pulse{
		"claiming": func(s *Syncer) *pulse { return &s.vitals.dispatching },
		"renewing": func(s *Syncer) *pulse { return &s.vitals.renewing },
	} {
		s := New(nil, nil, Options{})
		if err := s.Alive(t.Context()); err != nil {
			t.Errorf("%s, at the beginning: %v", name, err)
		}
		p := loop(s)
		p.enter(name, time.Minute)
		if err := s.Alive(t.Context()); err != nil {
			t.Errorf("%s, in time: %v", name, err)
		}
		p.since = time.Now().Add(-2 * time.Minute)
		if err := s.Alive(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s, too long: %v", name, err)
		}
	}
}

// However little is due by itself, the next look is never further off than the poll
// interval: something may become due without a word.
func TestThePauseBetweenTwoLooksIsBounded(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	st, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	const poll = 30 * time.Second
	s := New(st, nil, Options{Poll: poll})
	for _, c := range []struct {
		what, sql  string
		least, not time.Duration // not is the first that is too long
	}{
		{"nothing stored", "SELECT", poll, poll + 1},
		{"nothing due", "INSERT INTO arc (id, rdi, identifier, content, content_hash, content_size) VALUES (sha256('x'), 'r', 'x', '', sha256('x'), 0)", poll, poll + 1},
		{"due much later", "UPDATE arc SET due_at = now() + interval '1 day'", poll, poll + 1},
		{"due soon", "UPDATE arc SET due_at = now() + interval '20 seconds'", time.Millisecond, 21 * time.Second},
		{"due", "UPDATE arc SET due_at = now() - interval '1 second'", time.Millisecond, time.Second},
		{"due, but paused", "INSERT INTO remote (name, paused_at, next_probe_at) VALUES ('git', now(), now() + interval '1 day')", poll, poll + 1},
		{"due, but paused by hand", "UPDATE remote SET by_hand = true, next_probe_at = NULL", poll, poll + 1},
	} {
		if _, err := db.Exec(t.Context(), c.sql); err != nil {
			t.Fatal(err)
		}
		if got := s.pause(t.Context()); got < c.least || got >= c.not {
			t.Errorf("%s: pause of %s, want at least %s and less than %s", c.what, got, c.least, c.not)
		}
	}
}
