package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// Twenty updates during a push lead to one more push, of the newest version.
func TestUpdatesDuringAPushLeadToOneMorePush(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "version 0"))
	c := claim(t, s)
	load(t, s, c)
	for i := range 20 {
		submit(t, s, submission("A", fmt.Sprint("version ", i+1)))
		if more := claimN(t, s, 10); len(more) != 0 {
			t.Fatalf("claimed %d times while a push is under way", len(more)+1)
		}
	}
	if err := s.RecordPush(t.Context(), c, store.Pushed{Commit: "c1"}); err != nil {
		t.Fatal(err)
	}
	if a := read(t, s, idOf("A")); a.Git.State != store.Due || a.Git.PushedHash != hashOf("version 0") || a.Git.PushedVersion != 1 {
		t.Errorf("after the first push: got %+v, want due with version 0 pushed", a.Git)
	}
	c = claim(t, s)
	if got := load(t, s, c); string(got.Frame) != "version 20" {
		t.Errorf("second push: got %q, want version 20", got.Frame)
	}
	if err := s.RecordPush(t.Context(), c, store.Pushed{Commit: "c2"}); err != nil {
		t.Fatal(err)
	}
	if a := read(t, s, idOf("A")); a.Git.State != store.Synced || a.Git.Commit != "c2" {
		t.Errorf("after the second push: got %+v, want synced", a.Git)
	}
	if more := claimN(t, s, 10); len(more) != 0 {
		t.Errorf("a third push is due")
	}
}

// Whoever lost an ARC to another synchroniser can neither load, renew, record
// nor release it: a late one never overwrites what the other one did.
func TestALostLeaseCanDoNothing(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	submit(t, a, submission("A", "one"))
	late := must(a.ClaimDue(t.Context(), store.ClaimRequest{Holder: "late", Limit: 1, Lease: time.Millisecond, Remote: "git"}))(t)[0]
	load(t, a, late)
	var heir *store.Claim
	testenv.Await(t, "the lease expires", func() bool {
		if claims := claimN(t, b, 1); len(claims) == 1 {
			heir = claims[0]
		}
		return heir != nil
	})
	if heir.Token <= late.Token {
		t.Errorf("token: got %d after %d, want a larger one", heir.Token, late.Token)
	}
	if git := read(t, a, idOf("A")).Git; heir.Attempts < 1 || git.State != store.Failing || git.Failure.Code != fault.PushInterrupted {
		t.Errorf("an interrupted push is not visible: %+v, %d attempts", git, heir.Attempts)
	}
	_, err := a.Load(t.Context(), late)
	wantLost(t, "load", err)
	wantLost(t, "record push", a.RecordPush(t.Context(), late, store.Pushed{Commit: "old"}))
	wantLost(t, "record failure", a.RecordFailure(t.Context(), late, store.Failure{Class: store.Transient, Code: "x"}))
	if lost := must(a.Renew(t.Context(), []*store.Claim{late}, time.Hour))(t); len(lost) != 1 {
		t.Errorf("renew: got %d lost, want 1", len(lost))
	}
	if err := a.Release(t.Context(), []*store.Claim{late}); err != nil {
		t.Error(err)
	}
	push(t, b, heir, "new")
	wantLost(t, "record push after the heir", a.RecordPush(t.Context(), late, store.Pushed{Commit: "old"}))
	if got := read(t, a, idOf("A")).Git; got.Commit != "new" || got.State != store.Synced {
		t.Errorf("got %+v, want what the heir recorded", got)
	}
}

func wantLost(tb testing.TB, what string, err error) {
	tb.Helper()
	if fault.CodeOf(err) != fault.LeaseLost {
		tb.Errorf("%s: got %v, want lease_lost", what, err)
	}
}

// Who waits for an ARC that another one claims meanwhile has lost it, and leaves it to that one.
func TestAClaimThatIsLostWhileItWaitsCanDoNothing(t *testing.T) {
	t.Parallel()
	for name, finish := range map[string]func(*store.Store, *store.Claim) error{
		"release": func(s *store.Store, c *store.Claim) error { return s.Release(context.Background(), []*store.Claim{c}) },
		"push": func(s *store.Store, c *store.Claim) error {
			return s.RecordPush(context.Background(), c, store.Pushed{Commit: "old"})
		},
		"failure": func(s *store.Store, c *store.Claim) error {
			return s.RecordFailure(context.Background(), c, store.Failure{Class: store.Transient, Code: "x"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			s := open(t, dsn)
			submit(t, s, submission("A", "one"))
			c := claim(t, s)
			load(t, s, c)
			conn := must(connect(dsn))(t)
			defer conn.Close(context.Background())
			tx := must(conn.Begin(t.Context()))(t)
			if _, err := tx.Exec(t.Context(), `UPDATE arc SET lease_holder = 'heir', lease_token = lease_token + 1`); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- finish(s, c) }()
			awaitLock(t, dsn, "it waits for the row")
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; name != "release" || err != nil {
				wantLost(t, name, err)
			}
			var holder string
			if err := conn.QueryRow(t.Context(), `SELECT coalesce(lease_holder, 'nobody') FROM arc`).Scan(&holder); err != nil || holder != "heir" {
				t.Errorf("the ARC is held by %s, %v, want the heir", holder, err)
			}
			if git := read(t, s, idOf("A")).Git; git.Commit != "" || git.Attempts != 0 {
				t.Errorf("recorded: %+v", git)
			}
		})
	}
}

// A lease that ran out but was taken over by nobody still holds: what was
// pushed is a fact.
func TestAnExpiredLeaseThatNobodyTookStillRecords(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "one"))
	c := must(s.ClaimDue(t.Context(), store.ClaimRequest{Holder: "slow", Limit: 1, Lease: 0, Remote: "git"}))(t)[0]
	if got := read(t, s, idOf("A")).Git; got.Pushing || got.NextAttempt.IsZero() {
		t.Errorf("got %+v, want it not counted as being pushed, and an attempt foretold", got)
	}
	push(t, s, c, "c1")
	if got := read(t, s, idOf("A")).Git; got.State != store.Synced {
		t.Errorf("got %+v, want synced", got)
	}
}

// Several claimants at once never get the same ARC, and together get all.
func TestClaimantsShareTheWork(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	const arcs = 200
	var wg sync.WaitGroup
	for i := range arcs {
		wg.Go(func() { submit(t, a, submission(fmt.Sprint("A", i), "x")) })
	}
	wg.Wait()
	var mu sync.Mutex
	claimed := map[store.ID]int{}
	for _, s := range []*store.Store{a, b, a, b} {
		wg.Go(func() {
			for {
				claims := claimN(t, s, 7)
				if len(claims) == 0 {
					return
				}
				mu.Lock()
				for _, c := range claims {
					claimed[c.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	// A claimant that skips rows being claimed may see none while there are
	// some; they stay due.
	for _, c := range claimN(t, a, arcs) {
		claimed[c.ID]++
	}
	for id, n := range claimed {
		if n != 1 {
			t.Errorf("%s claimed %d times", id, n)
		}
	}
	if len(claimed) != arcs {
		t.Errorf("claimed %d ARCs, want %d", len(claimed), arcs)
	}
}

// An ARC that somebody is writing at the moment is passed over, and keeps nobody
// from claiming the others.
func TestAClaimPassesOverWhatIsLocked(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	submit(t, s, submission("A", "x"))
	submit(t, s, submission("B", "x"))
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	must(conn.Exec(t.Context(), "BEGIN"))(t)
	a := idOf("A")
	must(conn.Exec(t.Context(), "SELECT FROM arc WHERE id = $1 FOR UPDATE", a[:]))(t)
	if c := claim(t, s); c.ID != idOf("B") {
		t.Errorf("claimed %s, want B", c.Identifier)
	}
	must(conn.Exec(t.Context(), "ROLLBACK"))(t)
	if c := claim(t, s); c.ID != a {
		t.Errorf("claimed %s, want A", c.Identifier)
	}
}

// Released claims are due again at once and count as no failure; renewed ones
// stay claimed.
func TestReleaseAndRenew(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "x"))
	submit(t, s, submission("B", "x"))
	claims := must(s.ClaimDue(t.Context(), store.ClaimRequest{Holder: "t", Limit: 9, Lease: 0, Remote: "git"}))(t)
	if len(claims) != 2 {
		t.Fatalf("claimed %d", len(claims))
	}
	if lost := must(s.Renew(t.Context(), claims, time.Hour))(t); len(lost) != 0 {
		t.Fatalf("lost %d", len(lost))
	}
	if more := claimN(t, s, 9); len(more) != 0 {
		t.Fatal("renewed claims are due")
	}
	if g := read(t, s, claims[0].ID).Git; !g.Pushing || !g.NextAttempt.IsZero() {
		t.Errorf("a renewed claim shows as %+v, want that it is being pushed", g)
	}
	if err := s.Release(t.Context(), claims[:1]); err != nil {
		t.Fatal(err)
	}
	again := claim(t, s)
	if again.ID != claims[0].ID || again.Attempts != 0 {
		t.Errorf("got %+v, want the released one without failed attempts", again)
	}
}

// Leases of a synchroniser do not run out because somebody holds the row of one of
// its ARCs: that one is passed over, and is not lost.
func TestAHeldRowIsPassedOverByRenewals(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	submit(t, s, submission("A", "x"))
	submit(t, s, submission("B", "x"))
	claims := must(s.ClaimDue(t.Context(), store.ClaimRequest{Holder: "t", Limit: 9, Lease: 0, Remote: "git"}))(t)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	tx := must(conn.Begin(t.Context()))(t)
	must(tx.Exec(t.Context(), `SELECT FROM arc WHERE identifier = 'A' FOR UPDATE`))(t)
	if lost := must(s.Renew(t.Context(), claims, time.Hour))(t); len(claims) != 2 || len(lost) != 0 {
		t.Errorf("%d of %d claims are lost, want none of 2", len(lost), len(claims))
	}
	if more := claimN(t, s, 9); len(more) != 0 {
		t.Errorf("%d ARCs are claimed while one is held and the other renewed", len(more))
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if more := claimN(t, s, 9); len(more) != 1 || more[0].ID != idOf("A") {
		t.Errorf("%d ARCs are due, want the one whose lease was not renewed", len(more))
	}
}

// A claim that came to an end, in whatever way, is lost: nothing can be loaded or
// recorded for it, it can neither be renewed nor given back, and the ARC is as due as it was.
func TestAClaimEndsOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end func(*store.Store, *store.Claim) error
		due bool
	}{
		"given back": {func(s *store.Store, c *store.Claim) error { return s.Release(t.Context(), []*store.Claim{c}) }, true},
		"pushed": {func(s *store.Store, c *store.Claim) error {
			return s.RecordPush(t.Context(), c, store.Pushed{Commit: "c"})
		}, false},
		"failed": {func(s *store.Store, c *store.Claim) error {
			return s.RecordFailure(t.Context(), c, store.Failure{Class: store.Refused, Code: fault.RemoteError, Park: true})
		}, false},
		"parked by hand": {func(s *store.Store, c *store.Claim) error { return s.Park(t.Context(), c.ID, "wait", store.Actor{}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fresh(t)
			submit(t, s, submission("A", "one"))
			ended := claim(t, s)
			load(t, s, ended)
			if err := c.end(s, ended); err != nil {
				t.Fatal(err)
			}
			if lost := must(s.Renew(t.Context(), []*store.Claim{ended}, time.Hour))(t); len(lost) != 1 {
				t.Error("it could be renewed")
			}
			_, err := s.Load(t.Context(), ended)
			wantLost(t, "load", err)
			wantLost(t, "record push", s.RecordPush(t.Context(), ended, store.Pushed{Commit: "late"}))
			wantLost(t, "record failure", s.RecordFailure(t.Context(), ended, store.Failure{Class: store.Transient, Code: "x"}))
			if err := s.Release(t.Context(), []*store.Claim{ended}); err != nil {
				t.Error(err)
			}
			if due := len(claimN(t, s, 9)) == 1; due != c.due {
				t.Errorf("due: %t, want %t", due, c.due)
			}
		})
	}
}

// Nothing is claimed before its time has come: neither what was put off nor what
// somebody holds.
func TestNothingIsClaimedEarly(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("failed", "x"))
	if err := s.RecordFailure(t.Context(), claim(t, s), store.Failure{Class: store.Transient, Code: fault.RemoteError, Delay: time.Minute}); err != nil {
		t.Fatal(err)
	}
	submit(t, s, submission("held", "x"))
	lease := store.ClaimRequest{Holder: "t", Limit: 9, Lease: time.Minute, Remote: "git"}
	if got := must(s.ClaimDue(t.Context(), lease))(t); len(got) != 1 || got[0].Identifier != "held" {
		t.Fatalf("claimed %d, want the one that nobody holds", len(got))
	}
	if early := must(s.ClaimDue(t.Context(), lease))(t); len(early) != 0 {
		t.Errorf("claimed %q before its time", early[0].Identifier)
	}
}

// A transient failure is visible with its cause and its next attempt, counts,
// and is told in the log once and not at every attempt.
func TestATransientFailureIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "one"))
	failure := store.Failure{
		Class: store.Transient, Code: "remote_unreachable", Text: "GitLab cannot be reached.", Owner: fault.OwnerDataHUB,
		Remedy: "wait",
	}
	for range 2 {
		c := claim(t, s)
		load(t, s, c)
		if err := s.RecordFailure(t.Context(), c, failure); err != nil {
			t.Fatal(err)
		}
	}
	c := claim(t, s)
	if c.Attempts != 2 {
		t.Errorf("attempts: got %d, want 2", c.Attempts)
	}
	before := read(t, s, idOf("A")).Git.FailedAt
	failure.Delay = time.Hour
	if err := s.RecordFailure(t.Context(), c, failure); err != nil {
		t.Fatal(err)
	}
	if len(claimN(t, s, 9)) != 0 {
		t.Error("due before its time")
	}
	got := read(t, s, idOf("A")).Git
	next, _, err := s.NextDue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.State != store.Failing || got.Attempts != 3 || !got.NextAttempt.Equal(next) || time.Until(next) < 50*time.Minute ||
		!got.FailedAt.After(before) {
		t.Errorf("got %+v, next %s; failed at %s before", got, next, before)
	}
	failure.Delay = 0
	if diff := cmp.Diff(failure, got.Failure); diff != "" {
		t.Error(diff)
	}
	events := must(s.Events(t.Context(), idOf("A")))(t)
	if len(events) != 2 || events[1].Message != "GitLab sync failed: GitLab cannot be reached." {
		t.Errorf("events: got %+v", events)
	}
	// New content is tried at once, and the slate is clean.
	submit(t, s, submission("A", "two"))
	if got := read(t, s, idOf("A")).Git; got.State != store.Due || got.Attempts != 0 || got.Failure.Code != "" {
		t.Errorf("with new content: got %+v", got)
	}
	push(t, s, claim(t, s), "c1")
	if next, _, err := s.NextDue(t.Context()); err != nil || !next.IsZero() {
		t.Errorf("next due: got %s (%v), want none", next, err)
	}
}

// A parked ARC waits: for other content, or for somebody who asks.
func TestAParkedARCWaitsForAChange(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	park := store.Failure{Class: store.Refused, Code: "hook_declined", Text: "no", Park: true}
	fail := func() {
		c := claim(t, s)
		load(t, s, c)
		if err := s.RecordFailure(t.Context(), c, park); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, idOf("A")).Git; got.State != store.Parked || !got.NextAttempt.IsZero() || !got.Failure.Park {
			t.Fatalf("got %+v, want parked", got)
		}
		if len(claimN(t, s, 9)) != 0 {
			t.Fatal("a parked ARC was claimed")
		}
	}
	submit(t, s, submission("A", "one"))
	fail()
	submit(t, s, submission("A", "one"))
	if got := read(t, s, idOf("A")).Git.State; got != store.Parked {
		t.Errorf("same content: got %s, want parked", got)
	}
	submit(t, s, submission("A", "two"))
	fail()
	if err := s.RequestPush(t.Context(), idOf("A"), store.Actor{Subject: "op"}); err != nil {
		t.Fatal(err)
	}
	c := claim(t, s)
	if !c.Forced {
		t.Error("the claim does not say that it was asked for")
	}
	load(t, s, c)
	if err := s.RecordFailure(t.Context(), c, park); err != nil {
		t.Fatal(err)
	}
	submit(t, s, submission("A", "two and a half"))
	if c = claim(t, s); c.Forced {
		t.Error("new content is pushed as if that had been asked for")
	}
	push(t, s, c, "c1")
	if got := read(t, s, idOf("A")).Git; got.State != store.Synced || got.Failure.Code != "" {
		t.Errorf("got %+v, want synced", got)
	}
	submit(t, s, submission("A", "three"))
	c = claim(t, s)
	load(t, s, c)
	if got := read(t, s, idOf("A")).Git; !got.Pushing || !got.NextAttempt.IsZero() {
		t.Errorf("got %+v, want it being pushed", got)
	}
	if err := s.Park(t.Context(), idOf("A"), "looks odd", store.Actor{Subject: "op"}); err != nil {
		t.Fatal(err)
	}
	// What is under way does not undo it.
	if err := s.RecordPush(t.Context(), c, store.Pushed{Commit: "c2"}); fault.CodeOf(err) != fault.LeaseLost {
		t.Errorf("record of the parked ARC: got %v, want lease_lost", err)
	}
	if got := read(t, s, idOf("A")).Git; got.State != store.Parked || got.Failure.Text != "looks odd" {
		t.Errorf("got %+v, want parked by hand", got)
	}
}

// A refusal of content that has been replaced during the push does not park
// the new content.
func TestARefusalOfOldContentDoesNotParkTheNew(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "one"))
	c := claim(t, s)
	load(t, s, c)
	submit(t, s, submission("A", "two"))
	if err := s.RecordFailure(t.Context(), c, store.Failure{Class: store.Invalid, Code: "x", Park: true, Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, idOf("A")).Git; got.State != store.Due || got.Attempts != 0 {
		t.Errorf("got %+v, want due", got)
	}
	c = claim(t, s)
	if got := load(t, s, c); string(got.Frame) != "two" {
		t.Errorf("got %q, want two", got.Frame)
	}
}

// A request for a push forgets the failures so far and makes the ARC due at once; it
// concerns those that it names.
func TestARequestForgetsFailures(t *testing.T) {
	t.Parallel()
	by := store.Actor{}
	for name, c := range map[string]struct {
		request func(*store.Store) error
		spares  string // the other one
	}{
		"of one":    {func(s *store.Store) error { return s.RequestPush(t.Context(), idOf("A"), by) }, "B"},
		"of all":    {func(s *store.Store) error { _, err := s.RequestPushes(t.Context(), "", by); return err }, ""},
		"of an RDI": {func(s *store.Store) error { _, err := s.RequestPushes(t.Context(), "r", by); return err }, ""},
		"of a cause": {func(s *store.Store) error {
			_, err := s.RequestPushesOfCause(t.Context(), fault.RemoteError, by)
			return err
		}, "B"},
		"of no one": {func(s *store.Store) error { _, err := s.RequestPushes(t.Context(), "x", by); return err }, "A B"},
		"of no reason": {func(s *store.Store) error {
			_, err := s.RequestPushesOfCause(t.Context(), fault.TokenRejected, by)
			return err
		}, "A B"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fresh(t)
			for identifier, code := range map[string]fault.Code{"A": fault.RemoteError, "B": fault.HookDeclined} {
				submit(t, s, submission(identifier, "x"))
				f := store.Failure{Class: store.Transient, Code: code, Text: "no", Delay: time.Hour}
				if err := s.RecordFailure(t.Context(), claim(t, s), f); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.request(s); err != nil {
				t.Fatal(err)
			}
			for _, identifier := range []string{"A", "B"} {
				state, attempts := store.Due, 0
				if strings.Contains(c.spares, identifier) {
					state, attempts = store.Failing, 1
				}
				if got := read(t, s, idOf(identifier)).Git; got.State != state || got.Attempts != attempts || (got.Failure.Code == "") != (state == store.Due) {
					t.Errorf("%s: got %+v, want %s after %d attempts", identifier, got, state, attempts)
				}
			}
			if got, want := len(claimN(t, s, 9)), 2-len(strings.Fields(c.spares)); got != want {
				t.Errorf("%d are due, want %d", got, want)
			}
		})
	}
}

// A refusal does not park an ARC whose push somebody asked for meanwhile: what he
// has mended may be what was refused. The next refusal does, and then no wish is open.
func TestARefusalDoesNotParkWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "one"))
	refusal := store.Failure{Class: store.Refused, Code: fault.HookDeclined, Park: true}
	c := claim(t, s)
	load(t, s, c)
	if err := s.RequestPush(t.Context(), c.ID, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	if err := s.RecordFailure(t.Context(), c, refusal); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, idOf("A")).Git; got.State != store.Failing || got.Failure.Code != fault.HookDeclined {
		t.Errorf("got %+v, want failing", got)
	}
	c = claim(t, s)
	if !c.Forced {
		t.Error("what was asked for is forgotten")
	}
	load(t, s, c)
	if err := s.RecordFailure(t.Context(), c, refusal); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, idOf("A")).Git; got.State != store.Parked || len(claimN(t, s, 9)) != 0 {
		t.Errorf("got %+v, want parked", got)
	}
	submit(t, s, submission("A", "two"))
	if claim(t, s).Forced {
		t.Error("new content is pushed as if somebody had asked for it")
	}
}

// A push that was asked for during a push happens afterwards, although the
// content is the same.
func TestAPushAskedForDuringAPushIsNotLost(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "one"))
	c := claim(t, s)
	load(t, s, c)
	if n := must(s.RequestPushes(t.Context(), "r", store.Actor{}))(t); n != 1 {
		t.Errorf("asked for %d", n)
	}
	if len(claimN(t, s, 9)) != 0 {
		t.Fatal("claimed twice")
	}
	if err := s.RecordPush(t.Context(), c, store.Pushed{Commit: "c1"}); err != nil {
		t.Fatal(err)
	}
	c = claim(t, s)
	if !c.Forced || c.Commit != "c1" {
		t.Errorf("got %+v, want forced on top of c1", c)
	}
	load(t, s, c)
	before := read(t, s, idOf("A")).Git.PushedAt
	if err := s.RecordPush(t.Context(), c, store.Pushed{Commit: "c1", Unchanged: true}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, idOf("A")).Git.PushedAt; !got.Equal(before) {
		t.Errorf("a push that found nothing to do: pushed at %s, was %s", got, before)
	}
	if len(claimN(t, s, 9)) != 0 {
		t.Error("due for a third time")
	}
	if diff := cmp.Diff([]string{"ARC_CREATED", "GIT_PUSH_SUCCESS"}, eventTypes(t, s, idOf("A"))); diff != "" {
		t.Errorf("a push that found nothing to do made an event: %s", diff)
	}
	submit(t, s, submission("A", "two"))
	c = claim(t, s)
	if c.Forced {
		t.Error("what was asked for and done forces the next push")
	}
	if err := s.RequestPush(t.Context(), c.ID, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	push(t, s, c, "c2")
	for range 2 { // attempts, of which the first fails
		if c = claim(t, s); !c.Forced {
			t.Error("what was asked for and not done does not force the next push")
		}
		load(t, s, c)
		if err := s.RecordFailure(t.Context(), c, store.Failure{Class: store.Transient, Code: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	c = claim(t, s)
	push(t, s, c, "c2")
	if got := read(t, s, idOf("A")).Git.PushedAt; !got.After(before) {
		t.Errorf("a push after that: pushed at %s, as before", got)
	}
}

// What a synchroniser knows of a repository comes back with the next claim, so
// that the next push needs no fetch.
func TestWhatWasRecordedComesBackWithTheNextClaim(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	sub := submission("A", "one")
	sub.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	submit(t, s, sub)
	c := claim(t, s)
	if c.Traceparent != sub.Traceparent || c.Commit != "" || c.PushedHash != (store.Hash{}) {
		t.Errorf("first claim: got %+v", c)
	}
	load(t, s, c)
	p := store.Pushed{Commit: "c1", HeadTree: []byte("tree"), RemoteRef: "project 17"}
	if err := s.RecordPush(t.Context(), c, p); err != nil {
		t.Fatal(err)
	}
	submit(t, s, submission("A", "two"))
	c = claim(t, s)
	content := load(t, s, c)
	if c.Commit != "c1" || c.RemoteRef != "project 17" || c.PushedHash != hashOf("one") || string(content.HeadTree) != "tree" {
		t.Errorf("got %+v and tree %q", c, content.HeadTree)
	}
	heads := must(s.Heads(t.Context(), "r", store.ID{}, 10))(t)
	want := []store.Head{{
		ID: idOf("A"), RDI: "r", Identifier: "A", Commit: "c1", RemoteRef: "project 17", PushedHash: hashOf("one"),
		Hash: hashOf("two"), State: store.Due,
	}}
	if diff := cmp.Diff(want, heads); diff != "" {
		t.Error(diff)
	}
	// What git had already is known to be there since it was seen.
	submit(t, s, submission("B", "one"))
	c = claim(t, s)
	load(t, s, c)
	if err := s.RecordPush(t.Context(), c, store.Pushed{Commit: "c1", Unchanged: true}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, idOf("B")).Git; got.State != store.Synced || got.PushedAt.IsZero() {
		t.Errorf("found in git: got %+v, want synced, with a time", got)
	}
}

// A listener is woken by whatever makes something due in another process.
func TestASubmissionWakesListenersElsewhere(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	woken := listen(t, b)
	wait := func(what string) {
		select {
		case <-woken:
		case <-time.After(patience):
			t.Fatalf("not woken %s", what)
		}
	}
	wait("after connecting")
	submit(t, a, submission("A", "x"))
	wait("by a submission")
	if err := a.Release(t.Context(), claimN(t, a, 1)); err != nil {
		t.Fatal(err)
	}
	wait("by what is handed back")
	if err := a.RequestPush(t.Context(), idOf("A"), store.Actor{}); err != nil {
		t.Fatal(err)
	}
	wait("by a request")
	if err := a.HoldRemote(t.Context(), "git", "maintenance", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	if err := a.ResumeRemote(t.Context(), "git", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	wait("by the end of a pause")
	must(a.RequestPushes(t.Context(), "r", store.Actor{}))(t)
	wait("by a request for all")
	for _, end := range []func(*store.Claim) error{
		func(c *store.Claim) error { return a.RecordPush(t.Context(), c, store.Pushed{Commit: "c"}) },
		func(c *store.Claim) error {
			return a.RecordFailure(t.Context(), c, store.Failure{Class: store.Refused, Code: fault.HookDeclined, Park: true})
		},
	} {
		c := claim(t, a)
		load(t, a, c)
		if err := a.RequestPush(t.Context(), c.ID, store.Actor{}); err != nil {
			t.Fatal(err)
		}
		wait("by a request during a push")
		if err := end(c); err != nil {
			t.Fatal(err)
		}
		wait("by the end of a push after which more is to do")
	}
	must(a.RequestPushesOfCause(t.Context(), fault.HookDeclined, store.Actor{}))(t)
	wait("by a request for all with one cause")
	brought := store.ARC{ID: idOf("B"), RDI: "r", Identifier: "B", Hash: hashOf("x"), Lifecycle: store.Active}
	must(a.ImportARC(t.Context(), store.Imported{ARC: brought, Frame: []byte("x")}, store.Actor{}))(t)
	wait("by an import")
}

// What has been due for longest is claimed first, also of what is kept apart.
func TestTheOldestIsClaimedFirst(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	for _, name := range []string{"A", "B", "C"} {
		submit(t, s, submission(name, "x"))
	}
	sql(t, dsn, "UPDATE arc SET due_at = now() - interval '1 hour' WHERE identifier = 'B'")
	if claims := claimN(t, s, 1); len(claims) != 1 || claims[0].Identifier != "B" {
		t.Errorf("got %+v, want B", claims)
	}
	sql(t, dsn, "INSERT INTO interruption (arc_id, version, wanted, count) SELECT id, version, push_wanted, $1 FROM arc", store.SuspectAfter)
	sql(t, dsn, "UPDATE arc SET due_at = now() - interval '1 hour' WHERE identifier = 'C'")
	c := must(s.ClaimSuspect(t.Context(), store.ClaimRequest{Holder: "test", Lease: time.Hour, Remote: "git"}))(t)
	if c == nil || c.Identifier != "C" {
		t.Errorf("got %+v, want C", c)
	}
}

// A listener whose connection is cut connects again.
func TestAListenerConnectsAgain(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	woken := listen(t, s)
	<-woken
	sql(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	<-woken // that it may have missed something
	<-woken // after connecting again
	submit(t, s, submission("A", "x"))
	select {
	case <-woken:
	case <-time.After(patience):
		t.Fatal("not woken by a submission")
	}
}
