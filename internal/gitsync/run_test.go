package gitsync_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// watched is a remote that lets a test see, stop and spoil pushes.
type watched struct {
	remote.Remote

	mu     sync.Mutex
	pushes []string                                  // ARC of each push that began
	forced int                                       // those that must not believe the record
	before func(ctx context.Context, n int) error    // n counts from 1
	after  func(n int, res remote.Result, err error) // after the remote has answered
}

func (w *watched) Push(ctx context.Context, p *remote.Push) (remote.Result, error) {
	w.mu.Lock()
	w.pushes = append(w.pushes, p.ARC)
	if p.Forced {
		w.forced++
	}
	n := len(w.pushes)
	w.mu.Unlock()
	if w.before != nil {
		if err := w.before(ctx, n); err != nil {
			return remote.Result{}, err
		}
	}
	res, err := w.Remote.Push(ctx, p)
	if w.after != nil {
		w.after(n, res, err)
	}
	return res, err
}

func (w *watched) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pushes)
}

// A stored ARC arrives in its repository, and the record says which commit.
func TestARCArrives(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.submit(t, "a", "version 1")
	db := pgtest.Connect(t, r.dsn)
	if _, err := db.Exec(t.Context(), "UPDATE arc SET last_changed = last_changed - interval '1 day'"); err != nil {
		t.Fatal(err)
	}
	r.run(t, r.fileRemote(t), nil)
	a := r.awaitState(t, id, "synced")
	if got := r.content(t, id); got != "version 1" {
		t.Errorf("content %q", got)
	}
	if head := r.git(t, id, "rev-parse", "main"); head != a.Git.Commit {
		t.Errorf("recorded %s, head is %s", a.Git.Commit, head)
	}
	if when := r.git(t, id, "log", "-1", "--format=%ct %at", "main"); when != fmt.Sprint(a.LastChanged.Unix(), a.LastChanged.Unix()) {
		t.Errorf("the commit is of %s, the version of %d", when, a.LastChanged.Unix())
	}
	if a.Git.PushedHash != a.Hash {
		t.Errorf("pushed hash %s, stored %s", a.Git.PushedHash, a.Hash)
	}
	if n := r.eventCount(t, id, store.EventPushed); n != 1 {
		t.Errorf("%d events of success", n)
	}
}

// An identical resubmission pushes nothing.
func TestIdenticalResubmission(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := &watched{Remote: r.fileRemote(t)}
	id := r.submit(t, "a", "version 1")
	r.run(t, w, nil)
	r.awaitState(t, id, "synced")
	r.submit(t, "a", "version 1")
	other := r.submit(t, "b", "version 1") // everything before it has been looked at when it is there
	r.awaitState(t, other, "synced")
	if n := w.count(); n != 2 {
		t.Errorf("%d pushes, want one per ARC", n)
	}
}

// Content that changed and changed back before anybody came to push it is not pushed,
// unless the push is to find out whether a paused remote works again.
func TestWhatChangedBackIsNotPushed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := &watched{Remote: r.fileRemote(t)}
	id := r.submit(t, "a", "version 1")
	there := func() {
		t.Helper()
		stop := r.run(t, w, nil)
		r.awaitState(t, id, "synced")
		stop()
	}
	change := func() {
		r.submit(t, "a", "version 2")
		r.submit(t, "a", "version 1")
		if a := r.state(t, id); a.Git.State != store.Due {
			t.Fatalf("got %+v, want it due", a.Git)
		}
	}
	there()
	change()
	there()
	if n := w.count(); n != 1 {
		t.Errorf("%d pushes, want that of the beginning", n)
	}
	change()
	if err := r.store.PauseRemote(t.Context(), "git", fault.New(fault.RemoteDown, nil), 0); err != nil {
		t.Fatal(err)
	}
	there()
	if n := w.count(); n != 2 {
		t.Errorf("%d pushes, want one more, as a probe", n)
	}
	if now, err := r.store.Remote(t.Context(), "git"); err != nil || now.Paused {
		t.Errorf("after the probe the remote is %+v, %v", now, err)
	}
}

// Twenty updates during a push lead to exactly one more push, of the newest version.
func TestTwentyUpdatesDuringAPush(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	entered, goOn := make(chan struct{}), make(chan struct{})
	w := &watched{Remote: r.fileRemote(t), before: func(_ context.Context, n int) error {
		if n == 1 {
			close(entered)
			<-goOn
		}
		return nil
	}}
	id := r.submit(t, "a", "version 0")
	r.run(t, w, nil)
	<-entered
	for n := 1; n <= 20; n++ {
		r.submit(t, "a", fmt.Sprint("version ", n))
	}
	close(goOn)
	r.awaitState(t, id, "synced")
	if n := w.count(); n != 2 {
		t.Errorf("%d pushes, want 2", n)
	}
	if got := r.content(t, id); got != "version 20" {
		t.Errorf("content %q, want the newest", got)
	}
	if n := r.git(t, id, "rev-list", "--count", "main"); n != "2" {
		t.Errorf("%s commits, want 2", n)
	}
}

// An ARC that cannot be converted is parked with a reason for its sender, and one that makes the converter panic stays visible; the others go on.
func TestOneBadARCHarmsNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bad, worse := r.submit(t, "bad", "invalid"), r.submit(t, "worse", "panic")
	good := r.submit(t, "good", "version 1")
	r.run(t, r.fileRemote(t), nil)
	r.awaitState(t, good, "synced")
	a := r.awaitState(t, bad, "parked")
	if f := a.Git.Failure; f.Code != fault.ARCUnconvertible || f.Owner != fault.OwnerRDI || f.Remedy == "" {
		t.Errorf("failure %+v", f)
	}
	if report, err := r.store.Report(t.Context(), bad); err != nil || report.Hash != a.Hash || len(report.Findings) != 1 {
		t.Errorf("report %+v, %v", report, err)
	}
	a = r.awaitState(t, worse, "failing")
	if a.Git.Failure.Code != fault.InternalError {
		t.Errorf("failure %+v", a.Git.Failure)
	}
	r.submit(t, "bad", "version 2")
	r.awaitState(t, bad, "synced")
}

// What is found in a crate is kept whatever the crate's texts are: an entity whose @id no database takes, or is as long as
// all its findings would be together, keeps no ARC out, and an error is told to its sender.
func TestStrangeTextsInFindings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	crate := func(context, id, about string) string {
		return fmt.Sprintf(`{"@context":%q,"@graph":[{"@id":"ro-crate-metadata.json","@type":"CreativeWork","about":{"@id":"./"}},`+
			`{"@id":"./","@type":"Dataset","additionalType":"Investigation","identifier":"i","hasPart":[{"@id":"studies/%s/"}]},`+
			`{"@id":"studies/%[2]s/","@type":"Dataset","additionalType":"Study","identifier":"s","about":[%s{"@id":"gone"}]}]}`, context, id, about)
	}
	const known = "https://w3id.org/ro/crate/1.1/context"
	var gone strings.Builder
	for n := range 1000 {
		fmt.Fprintf(&gone, `{"@id":"gone %d"},`, n)
	}
	nul := r.submit(t, "nul", crate(known, `a\u0000b`, ""))
	long := r.submit(t, "long", crate(known, strings.Repeat("x", 300_000), gone.String()))
	bad := r.submit(t, "bad", strings.Replace(crate("unknown", "s", ""), `"unknown"`, `"\u0000"`, 1))
	r.run(t, r.fileRemote(t), func(o *gitsync.Options) { o.Build = gitsync.FromCrate })
	for id, atLeast := range map[store.ID]int{nul: 1, long: 1000} {
		r.awaitState(t, id, "synced")
		report, err := r.store.Report(t.Context(), id)
		if err != nil || len(report.Findings) < atLeast {
			t.Errorf("%d findings, %v", len(report.Findings), err)
		}
		for _, f := range report.Findings {
			if len(f.Entity) > 4096 || strings.ContainsRune(f.Entity, 0) {
				t.Fatalf("an entity of %d bytes", len(f.Entity))
			}
		}
	}
	if f := r.awaitState(t, bad, "parked").Git.Failure; f.Code != fault.ARCUnconvertible || f.Owner != fault.OwnerRDI {
		t.Errorf("failure %+v", f)
	}
}

// Every kind of failure of the table has its consequence: transient ones are tried again until they pass, refused and invalid ones are parked at once with owner and remedy, incidents pause the remote without charging the ARC and end by themselves.
func TestEveryKindOfFailure(t *testing.T) {
	t.Parallel()
	for _, kind := range fault.OfPushes() {
		t.Run(string(kind.Code), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			paused := make(chan store.Remote, 100)
			var fixed sync.Map
			w := &watched{Remote: r.fileRemote(t), before: func(ctx context.Context, n int) error {
				if n > 1 {
					now, err := r.store.Remote(ctx, "git")
					if err != nil {
						return err
					}
					paused <- now
				}
				if _, ok := fixed.Load(true); ok || n == 3 && kind.Class != fault.Refused && kind.Class != fault.Invalid {
					return nil
				}
				return remote.Fail(kind.Code, errors.New("scripted"))
			}}
			id := r.submit(t, "a", "version 1")
			r.run(t, w, nil)
			switch kind.Class {
			case fault.Refused, fault.Invalid:
				a := r.awaitState(t, id, "parked")
				want := store.Failure{Class: string(kind.Class), Code: kind.Code, Text: kind.Text, Owner: kind.Owner, Remedy: kind.Remedy}
				got := a.Git.Failure
				got.Park, got.Delay = false, 0
				if got != want || kind.Remedy == "" {
					t.Errorf("failure %+v, want %+v", got, want)
				}
				fixed.Store(true, true)
				if err := r.store.RequestPush(t.Context(), id, store.Actor{}); err != nil {
					t.Fatal(err)
				}
				r.awaitState(t, id, "synced")
			case fault.Incident:
				a := r.awaitState(t, id, "synced")
				if now := <-paused; !now.Paused || now.Code != kind.Code || now.Owner != kind.Owner {
					t.Errorf("during the incident the remote was %+v", now)
				}
				if n := r.eventCount(t, id, store.EventPushFailed); n != 0 || a.Git.Attempts != 0 {
					t.Errorf("the ARC was charged: %d events, %d attempts", n, a.Git.Attempts)
				}
				if now, err := r.store.Remote(t.Context(), "git"); err != nil || now.Paused {
					t.Errorf("afterwards the remote is %+v, %v", now, err)
				}
			case fault.Transient:
				a := r.awaitState(t, id, "synced")
				if a.Git.Failure.Code != "" || w.count() != 3 {
					t.Errorf("after %d pushes: %+v", w.count(), a.Git.Failure)
				}
				if kind.Code == fault.LeaseLost {
					return // says nothing about the ARC
				}
				if n := r.eventCount(t, id, store.EventPushFailed); n != 1 {
					t.Errorf("%d events of failure, want one for the same failure twice", n)
				}
			}
		})
	}
}

// How long the remote wants to be left alone is obeyed, although our own delays are
// shorter: for the one ARC, or for all.
func TestTheRemoteIsLeftAlone(t *testing.T) {
	t.Parallel()
	for class, kind := range map[fault.Class]fault.Code{fault.Transient: fault.RepositoryBusy, fault.Incident: fault.RateLimited} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			w := &watched{Remote: r.fileRemote(t), before: func(context.Context, int) error {
				f := remote.Fail(kind, errors.New("scripted")).After(time.Hour)
				if f.Class != class {
					t.Errorf("%s is %s", kind, f.Class)
				}
				return f
			}}
			id := r.submit(t, "a", "version 1")
			r.run(t, w, nil)
			const least = 55 * time.Minute
			if class == fault.Incident {
				testenv.Await(t, "the remote is paused", func() bool {
					now, err := r.store.Remote(t.Context(), "git")
					return err == nil && now.Paused && time.Until(now.NextProbe) > least
				})
			} else if a := r.awaitState(t, id, "failing"); time.Until(a.Git.NextAttempt) < least {
				t.Errorf("next attempt %s, want it an hour from now", a.Git.NextAttempt)
			}
			if n := w.count(); n != 1 {
				t.Errorf("%d pushes", n)
			}
		})
	}
}

// What becomes due without anybody saying so is found by looking.
func TestWorkThatNobodyAnnouncedIsFound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := &watched{Remote: r.fileRemote(t)}
	id := r.submit(t, "a", "version 1")
	r.run(t, w, nil)
	r.awaitState(t, id, "synced")
	db := pgtest.Connect(t, r.dsn)
	for n := range 3 { // the first may meet a call that was still under way
		if _, err := db.Exec(t.Context(), "UPDATE arc SET push_wanted = push_wanted + 1, due_at = now()"); err != nil {
			t.Fatal(err)
		}
		testenv.Await(t, "it is pushed once more", func() bool { return w.count() == n+2 })
		r.awaitState(t, id, "synced")
	}
}

// When the remote fails for several ARCs in a row, that is one incident, and one ARC at a time probes.
func TestFailuresOfManyAreAnIncident(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var healed sync.Map
	var mu sync.Mutex
	at, most := 0, 0
	w := &watched{Remote: r.fileRemote(t), before: func(ctx context.Context, _ int) error {
		if now, err := r.store.Remote(ctx, "git"); err == nil && now.Paused {
			mu.Lock()
			at++
			most = max(most, at)
			mu.Unlock()
			defer func() { mu.Lock(); at--; mu.Unlock() }()
		}
		if _, ok := healed.Load(true); ok {
			return nil
		}
		return remote.Fail(fault.RemoteError, errors.New("502 Bad Gateway"))
	}}
	var ids []store.ID
	for n := range 10 {
		ids = append(ids, r.submit(t, fmt.Sprint("arc ", n), "version 1"))
	}
	r.run(t, w, func(o *gitsync.Options) { o.Concurrency = 1; o.BackoffMax = time.Second })
	testenv.Await(t, "the remote is paused", func() bool {
		now, err := r.store.Remote(t.Context(), "git")
		return err == nil && now.Paused && now.Code == fault.RemoteDown
	})
	n := w.count()
	testenv.Await(t, "it was probed", func() bool { return w.count() >= n+2 })
	healed.Store(true, true)
	for _, id := range ids {
		r.awaitState(t, id, "synced")
	}
	if most > 1 {
		t.Errorf("%d probes at the same time", most)
	}
}

// Errors of the remote for different ARCs are no incident if it has answered in between,
// be it with a refusal.
func TestAnAnswerOfTheRemoteEndsTheDoubt(t *testing.T) {
	t.Parallel()
	for state, answer := range map[string]error{"synced": nil, "parked": remote.Fail(fault.HookDeclined, errors.New("scripted"))} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			w := &watched{Remote: r.fileRemote(t), before: func(_ context.Context, n int) error {
				if n == 2 {
					return answer
				}
				return remote.Fail(fault.RemoteError, errors.New("502 Bad Gateway"))
			}}
			r.run(t, w, func(o *gitsync.Options) {
				o.Suspect = 2
				o.Backoff, o.BackoffMax, o.Jitter = time.Hour, time.Hour, func() float64 { return 1 } // one attempt each
			})
			r.awaitState(t, r.submit(t, "a", "version 1"), "failing")
			r.awaitState(t, r.submit(t, "b", "version 1"), state)
			a := r.awaitState(t, r.submit(t, "c", "version 1"), "failing")
			if a.Git.Failure.Code != fault.RemoteError {
				t.Errorf("got %+v", a.Git.Failure)
			}
		})
	}
}

// Failures of the remote that make up an incident keep what it said: however short our
// own delays are, it is left alone for that long.
func TestADoubtedRemoteIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := &watched{Remote: r.fileRemote(t), before: func(context.Context, int) error {
		return remote.Fail(fault.RemoteError, errors.New("502 Bad Gateway")).After(time.Hour)
	}}
	r.submit(t, "a", "version 1")
	stop := r.run(t, w, func(o *gitsync.Options) { o.Suspect = 1 })
	now := r.awaitPause(t)
	stop()
	if left := time.Until(now.NextProbe); now.Code != fault.RemoteDown || left < 55*time.Minute || w.count() != 1 {
		t.Errorf("after %d pushes paused for %s: %+v; want it an hour after one", w.count(), left, now)
	}
}

// However the delay is drawn, a remote that is down has at least half of the first one to
// recover before it is probed.
func TestAProbeIsNeverAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := &watched{Remote: r.fileRemote(t), before: func(context.Context, int) error {
		return remote.Fail(fault.RemoteDown, errors.New("scripted"))
	}}
	r.submit(t, "a", "version 1")
	r.run(t, w, func(o *gitsync.Options) {
		o.Backoff, o.ProbeMax, o.Jitter = time.Hour, 2*time.Hour, func() float64 { return 0 }
	})
	if left := time.Until(r.awaitPause(t).NextProbe); left > 30*time.Minute || left < 25*time.Minute {
		t.Errorf("the first probe is in %s, want half an hour", left)
	}
}

// Pushes that meet the same incident count it once, and none of their ARCs is charged.
func TestAnIncidentMetTwiceIsOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	both := make(chan struct{})
	w := &watched{Remote: r.fileRemote(t), before: func(ctx context.Context, n int) error {
		if n == 2 {
			close(both)
		}
		<-both
		for n == 2 && ctx.Err() == nil {
			if now, err := r.store.Remote(ctx, "git"); err != nil || now.Paused {
				break
			}
		}
		return remote.Fail(fault.RemoteDown, errors.New("scripted"))
	}}
	ids := []store.ID{r.submit(t, "a", "version 1"), r.submit(t, "b", "version 1")}
	r.run(t, w, func(o *gitsync.Options) {
		o.Lease, o.Concurrency = time.Hour, 2
		o.Backoff, o.ProbeMax, o.Jitter = time.Hour, time.Hour, func() float64 { return 1 }
	})
	for _, id := range ids {
		testenv.Await(t, "it is handed back", func() bool { return w.count() == 2 && !r.state(t, id).Git.Pushing })
		if a := r.state(t, id); a.Git.State != store.Due || a.Git.Attempts != 0 {
			t.Errorf("got %+v, want it due as before", a.Git)
		}
	}
	if now, err := r.store.Remote(t.Context(), "git"); err != nil || !now.Paused || now.Probes != 0 {
		t.Errorf("the remote is %+v, %v; want it paused without a failed probe", now, err)
	}
}

// The more probes have failed, the longer it takes until the next one.
func TestProbesGetRarer(t *testing.T) {
	t.Parallel()
	const failed = 6
	for incident, c := range map[fault.Code]struct {
		answer fault.Code
		want   time.Duration
	}{
		fault.RemoteDown:      {fault.RemoteDown, time.Minute << (failed + 1)}, // the incident was the first failure of all
		fault.RemoteForbidden: {fault.PushForbidden, time.Minute},              // the next ARC may be let in
	} {
		t.Run(string(incident), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for range 1 + failed {
				if err := r.store.PauseRemote(t.Context(), "git", fault.New(incident, nil), 0); err != nil {
					t.Fatal(err)
				}
			}
			w := &watched{Remote: r.fileRemote(t), before: func(context.Context, int) error {
				return remote.Fail(c.answer, errors.New("scripted"))
			}}
			r.submit(t, "a", "version 1")
			r.run(t, w, func(o *gitsync.Options) {
				o.Backoff, o.ProbeMax, o.Jitter = time.Minute, 100*time.Hour, func() float64 { return 1 }
			})
			testenv.Await(t, "the probe has failed", func() bool {
				now, err := r.store.Remote(t.Context(), "git")
				return err == nil && now.Probes == failed+1
			})
			now, err := r.store.Remote(t.Context(), "git")
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(now.NextProbe); left > c.want || left < c.want-10*time.Minute {
				t.Errorf("the next probe is in %s, want %s", left, c.want)
			}
		})
	}
}

// A probe whose ARC is refused has found out that the remote works again.
func TestARefusedProbeEndsThePause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.store.PauseRemote(t.Context(), "git", fault.New(fault.RemoteDown, nil), 0); err != nil {
		t.Fatal(err)
	}
	w := &watched{Remote: r.fileRemote(t), before: func(context.Context, int) error {
		return remote.Fail(fault.HookDeclined, errors.New("scripted"))
	}}
	id := r.submit(t, "a", "version 1")
	r.run(t, w, nil)
	r.awaitState(t, id, "parked")
	testenv.Await(t, "the remote is resumed", func() bool {
		now, err := r.store.Remote(t.Context(), "git")
		return err == nil && !now.Paused
	})
}

// What was under way when somebody paused the remote may be refused: the pause goes on.
func TestAPauseOutlastsARefusal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := &watched{Remote: r.fileRemote(t), before: func(ctx context.Context, _ int) error {
		if err := r.store.HoldRemote(ctx, "git", "maintenance", store.Actor{}); err != nil {
			return err
		}
		return remote.Fail(fault.HookDeclined, errors.New("scripted"))
	}}
	id := r.submit(t, "a", "version 1")
	stop := r.run(t, w, nil)
	r.awaitState(t, id, "parked")
	stop() // what follows the record is done
	if now, err := r.store.Remote(t.Context(), "git"); err != nil || !now.Paused || !now.ByHand {
		t.Errorf("got %+v, %v, want it paused by hand", now, err)
	}
}

// A probe whose ARC cannot even be built has asked the remote nothing: the pause goes on.
func TestAProbeThatAsksNothingKeepsThePause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.store.PauseRemote(t.Context(), "git", fault.New(fault.RemoteDown, nil), 0); err != nil {
		t.Fatal(err)
	}
	w := &watched{Remote: r.fileRemote(t)}
	id := r.submit(t, "a", "invalid")
	stop := r.run(t, w, nil)
	r.awaitState(t, id, "parked")
	stop() // what follows the record is done
	if now, err := r.store.Remote(t.Context(), "git"); err != nil || !now.Paused || w.count() != 0 {
		t.Errorf("after %d pushes: %+v, %v; want it paused", w.count(), now, err)
	}
}

// Two synchronisers share the work: every ARC is pushed once.
func TestTwoSynchronisers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := &watched{Remote: r.fileRemote(t)}
	var ids []store.ID
	for n := range 30 {
		ids = append(ids, r.submit(t, fmt.Sprint("arc ", n), "version 1"))
	}
	r.run(t, w, func(o *gitsync.Options) { o.Holder = "host-a"; o.Lease = 10 * time.Second })
	r.run(t, w, func(o *gitsync.Options) { o.Holder = "host-b"; o.Lease = 10 * time.Second })
	for _, id := range ids {
		r.awaitState(t, id, "synced")
	}
	if n := w.count(); n != len(ids) {
		t.Errorf("%d pushes of %d ARCs", n, len(ids))
	}
}

// A synchroniser that slept through its lease neither records nor pushes over the newer version of the one that took over.
func TestSleeperDoesNotGoBackwards(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.submit(t, "a", "version 0")
	first := r.run(t, r.fileRemote(t), nil)
	r.awaitState(t, id, "synced")
	first()

	claims, err := r.store.ClaimDue(t.Context(), store.ClaimRequest{Holder: "nobody", Limit: 1, Lease: time.Second, Remote: "git"})
	if err != nil || len(claims) != 0 {
		t.Fatalf("claims %v, %v", claims, err)
	}
	r.submit(t, "a", "version 1")
	claims, err = r.store.ClaimDue(t.Context(), store.ClaimRequest{Holder: "sleeper", Limit: 1, Lease: 50 * time.Millisecond, Remote: "git"})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %v, %v", claims, err)
	}
	content, err := r.store.Load(t.Context(), claims[0])
	if err != nil {
		t.Fatal(err)
	}
	r.submit(t, "a", "version 2")
	stop := r.run(t, r.fileRemote(t), nil)
	r.awaitState(t, id, "synced")
	stop()

	// The sleeper wakes up with what it had read.
	old, _ := build([]byte("version 1"))
	_, err = r.fileRemote(t).Push(t.Context(), &remote.Push{
		ARC: id.String(), Files: old.Files, When: claims[0].LastChanged, Recorded: content.HeadTree,
		Guard: func(ctx context.Context) error {
			lost, err := r.store.Renew(ctx, claims, time.Second)
			if err == nil && len(lost) > 0 {
				err = errors.New("lost")
			}
			return err
		},
	})
	if f := remote.FailureOf(err); f == nil || f.Fault.Code != fault.LeaseLost {
		t.Errorf("the sleeper's push: %v", err)
	}
	if err := r.store.RecordPush(t.Context(), claims[0], store.Pushed{Commit: "0123"}); fault.CodeOf(err) != fault.LeaseLost {
		t.Errorf("the sleeper's record: %v", err)
	}
	if got := r.content(t, id); got != "version 2" {
		t.Errorf("content %q", got)
	}
}

// overtaken lets a synchroniser claim version 2 and sleep in front of its push, of
// an ARC of which version 1 is in git, while the next content comes in and its
// lease ends without its noticing. The returned function wakes it up, and gives
// what became of its push.
func overtaken(t *testing.T, r *rig, next string) (id store.ID, wake func() error) {
	t.Helper()
	entered, goOn, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	w := &watched{
		Remote: r.fileRemote(t),
		before: func(_ context.Context, n int) error {
			if n == 2 {
				close(entered)
				<-goOn
			}
			return nil
		},
		after: func(n int, _ remote.Result, err error) {
			if n == 2 {
				result <- err
			}
		},
	}
	id = r.submit(t, "a", "version 1")
	// It will not renew, hence not notice either.
	r.run(t, w, func(o *gitsync.Options) {
		o.Holder = "sleeper"
		o.Lease = time.Hour
		o.Poll = time.Hour
		o.Concurrency = 1
	})
	r.awaitState(t, id, "synced")
	r.submit(t, "a", "version 2")
	<-entered
	r.submit(t, "a", next)
	db := pgtest.Connect(t, r.dsn)
	if _, err := db.Exec(t.Context(), "UPDATE arc SET lease_until = now(), due_at = now()"); err != nil {
		t.Fatal(err)
	}
	r.run(t, r.fileRemote(t), func(o *gitsync.Options) { o.Holder = "successor" })
	r.awaitState(t, id, "synced")
	return id, sync.OnceValue(func() error { close(goOn); return <-result })
}

// A synchroniser that slept asks before it builds upon a head that it does not
// know: what its successor has pushed stays the newest.
func TestAnOvertakenPushStops(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, wake := overtaken(t, r, "version 3")
	if f := remote.FailureOf(wake()); f == nil || f.Fault.Code != fault.LeaseLost {
		t.Errorf("the sleeper's push: %v", f)
	}
	if got, n := r.content(t, id), r.git(t, id, "rev-list", "--count", "main"); got != "version 3" || n != "2" {
		t.Errorf("%q after %s commits, want version 3 after 2", got, n)
	}
}

// A push that has lost its lease is stopped while it waits for the remote, and leaves
// no trace in the record.
func TestAPushWithoutLeaseIsStopped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	entered, stopped := make(chan struct{}), make(chan struct{})
	w := &watched{Remote: r.fileRemote(t), before: func(ctx context.Context, _ int) error {
		close(entered)
		<-ctx.Done()
		close(stopped)
		return context.Cause(ctx)
	}}
	id := r.submit(t, "a", "version 1")
	r.run(t, w, func(o *gitsync.Options) { o.Lease = 300 * time.Millisecond })
	<-entered
	if err := r.store.Park(t.Context(), id, "looks odd", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "the push is stopped", func() bool {
		select {
		case <-stopped:
			return true
		default:
			return false
		}
	})
	if a := r.state(t, id); a.Git.State != store.Parked || a.Git.Failure.Text != "looks odd" {
		t.Errorf("got %+v, want it parked by hand", a.Git)
	}
}

// counted is an Observer that counts.
type counted struct{ pushed, paused atomic.Int32 }

func (c *counted) Pushed(time.Duration, bool, string) { c.pushed.Add(1) }
func (c *counted) Paused(string)                      { c.paused.Add(1) }

// Whoever has lost an ARC says nothing of what became of its push, whatever that is:
// neither does it count as failed, nor is the remote paused.
func TestWhoLostTheLeaseRecordsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer error
		lease  time.Duration // long: only the record shows that it is lost
	}{
		"cut off":            {errors.New("scripted"), 300 * time.Millisecond},
		"incident":           {remote.Fail(fault.RemoteDown, errors.New("scripted")), 300 * time.Millisecond},
		"refused":            {remote.Fail(fault.HookDeclined, errors.New("scripted")), 300 * time.Millisecond},
		"pushed":             {nil, 300 * time.Millisecond},
		"pushed, not warned": {nil, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			entered, parked := make(chan struct{}), make(chan struct{})
			to := answering(func(ctx context.Context, _ *remote.Push) (remote.Result, error) {
				close(entered)
				<-parked
				if c.lease < time.Minute {
					<-ctx.Done()
				}
				return remote.Result{}, c.answer
			})
			id := r.submit(t, "a", "version 1")
			opt := options()
			var seen counted
			opt.Lease, opt.Observer, opt.Suspect = c.lease, &seen, 1
			s := gitsync.New(r.store, to, opt)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			<-entered
			if err := r.store.Park(t.Context(), id, "looks odd", store.Actor{}); err != nil {
				t.Fatal(err)
			}
			close(parked)
			testenv.Await(t, "the push has ended", func() bool { return !strings.Contains(s.Status(), " 1 in flight") })
			if got := s.Status(); !strings.HasPrefix(got, "0 pushed, 0 failed,") {
				t.Errorf("status: %s", got)
			}
			if seen.pushed.Load() != 0 || seen.paused.Load() != 0 {
				t.Errorf("counted %d pushes and %d pauses, want none", seen.pushed.Load(), seen.paused.Load())
			}
			if now, err := r.store.Remote(t.Context(), "git"); err != nil || now.Paused {
				t.Errorf("the remote is %+v, %v", now, err)
			}
			if a := r.state(t, id); a.Git.State != store.Parked || a.Git.Failure.Text != "looks odd" {
				t.Errorf("got %+v, want it parked by hand", a.Git)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// A push whose record takes the database too long has happened: it is recorded as soon as
// the database has the time, and not done again.
func TestARecordThatTakesTooLongIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.submit(t, "a", "version 1")
	st, err := store.Open(t.Context(), store.Options{DSN: r.dsn, StatementTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	slow := &rig{dsn: r.dsn, store: st, root: r.root}
	watch, lock := pgtest.Connect(t, r.dsn), pgtest.Connect(t, r.dsn)
	pushed := make(chan struct{}, 9)
	w := &watched{Remote: r.fileRemote(t), after: func(n int, _ remote.Result, err error) {
		if n > 1 || err != nil {
			return
		}
		if _, err := lock.Exec(context.Background(), "BEGIN; SELECT FROM arc FOR UPDATE"); err != nil {
			t.Error(err)
		}
		pushed <- struct{}{}
	}}
	slow.run(t, w, func(o *gitsync.Options) { o.Lease = time.Hour }) // nothing else wants the row
	<-pushed
	var first time.Time
	testenv.Await(t, "the second attempt to record waits", func() bool {
		var since *time.Time
		if err := watch.QueryRow(t.Context(), `SELECT max(query_start) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&since); err != nil {
			t.Fatal(err)
		}
		if since != nil && first.IsZero() {
			first = *since
		}
		return since != nil && since.After(first)
	})
	if _, err := lock.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	r.awaitState(t, id, "synced")
	if n := r.eventCount(t, id, store.EventPushFailed); n != 0 || w.count() != 1 {
		t.Errorf("%d failures and %d pushes, want none and one", n, w.count())
	}
}

// If its successor had nothing to push, the sleeper meets the head that it knows and
// comes through; then the successor is asked to look once more.
func TestAPushThatCameThroughTooLateIsPutRight(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, wake := overtaken(t, r, "version 1")
	if err := wake(); err != nil {
		t.Fatalf("the sleeper's push: %v", err)
	}
	testenv.Await(t, "the newest content is back", func() bool {
		return r.state(t, id).Git.State == "synced" && r.content(t, id) == "version 1" && r.git(t, id, "rev-list", "--count", "main") == "3"
	})
	if head := r.git(t, id, "rev-parse", "main"); head != r.state(t, id).Git.Commit {
		t.Errorf("recorded %s, head is %s", r.state(t, id).Git.Commit, head)
	}
}

// At the end pushes under way are finished or handed back at once; nothing waits for a lease to expire.
func TestStopHandsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	entered := make(chan struct{})
	var once sync.Once
	stuck := &watched{Remote: r.fileRemote(t), before: func(ctx context.Context, _ int) error {
		once.Do(func() { close(entered) })
		<-ctx.Done()
		return ctx.Err()
	}}
	id := r.submit(t, "a", "version 1")
	stop := r.run(t, stuck, func(o *gitsync.Options) { o.Drain = 10 * time.Millisecond; o.Lease = time.Hour })
	<-entered
	stop()
	if a := r.state(t, id); a.Git.Pushing || a.Git.Attempts != 0 {
		t.Errorf("after the end: %+v", a.Git)
	}
	r.run(t, r.fileRemote(t), nil)
	r.awaitState(t, id, "synced")
}

// A push that takes longer than a lease keeps it.
func TestHeartbeatKeepsTheLease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const lease = 300 * time.Millisecond
	w := &watched{Remote: r.fileRemote(t), before: func(ctx context.Context, _ int) error {
		t := time.NewTimer(4 * lease)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		return context.Cause(ctx)
	}}
	id := r.submit(t, "a", "version 1")
	r.run(t, w, func(o *gitsync.Options) { o.Lease = lease })
	r.run(t, w, func(o *gitsync.Options) { o.Lease = lease })
	r.awaitState(t, id, "synced")
	if n := w.count(); n != 1 {
		t.Errorf("%d pushes", n)
	}
}

// A repository changed by a curator between two pushes keeps the curator's commit in its history.
func TestForeignCommitStaysInHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.submit(t, "a", "version 1")
	r.run(t, r.fileRemote(t), nil)
	r.awaitState(t, id, "synced")
	theirs := gitlabtest.Commit(t, r.repo(id), map[string]string{"isa.investigation.xlsx": "by hand"})
	r.submit(t, "a", "version 2")
	testenv.Await(t, "the new version is there", func() bool { return r.state(t, id).Git.State == "synced" && r.content(t, id) == "version 2" })
	if parent := r.git(t, id, "rev-parse", "main^"); parent != theirs {
		t.Errorf("parent %s, want %s", parent, theirs)
	}
}

// Some repositories that hang do not keep others from being pushed to, for longer than it takes
// to see that the remote works.
func TestRepositoriesThatHangHarmNobodyElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hanging := map[string]bool{}
	for n := range 4 {
		hanging[r.submit(t, fmt.Sprint("hanging", n), "version 1").String()] = true
	}
	var failed atomic.Int32
	w := &selective{Remote: r.fileRemote(t), fails: func(arc string) error {
		if !hanging[arc] {
			return nil
		}
		failed.Add(1)
		return remote.Fail(fault.RemoteTimeout, errors.New("it hangs"))
	}}
	r.run(t, w, nil)
	testenv.Await(t, "the remote to be in doubt", func() bool {
		now, err := r.store.Remote(t.Context(), "git")
		return err == nil && now.Paused
	})
	r.awaitState(t, r.submit(t, "good", "version 1"), "synced")
	before := failed.Load()
	testenv.Await(t, "further attempts", func() bool { return failed.Load() > before+8 })
	if now, err := r.store.Remote(t.Context(), "git"); err != nil || now.Paused {
		t.Errorf("the remote is paused for those that have failed before: %+v, %v", now, err)
	}
}

// Who may no longer write to any repository parks few ARCs, waits, and goes on by himself.
func TestWhoIsBarredWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var barred atomic.Bool
	barred.Store(true)
	var tried atomic.Int32
	w := &selective{Remote: r.fileRemote(t), fails: func(string) error {
		if !barred.Load() {
			return nil
		}
		tried.Add(1)
		return remote.Fail(fault.PushForbidden, errors.New("your account is blocked"))
	}}
	ids := map[store.ID]bool{}
	for n := range 8 {
		ids[r.submit(t, fmt.Sprint("arc", n), "version 1")] = true
	}
	r.run(t, w, func(o *gitsync.Options) { o.Concurrency = 1 })
	testenv.Await(t, "an incident that probes do not end", func() bool {
		now, err := r.store.Remote(t.Context(), "git")
		return err == nil && now.Paused && now.Code == fault.RemoteForbidden && now.Owner == fault.OwnerOperator && now.Probes >= 2
	})
	barred.Store(false)
	parked := 0
	for id := range ids {
		testenv.Await(t, "an end", func() bool { s := r.state(t, id).Git.State; return s == "synced" || s == "parked" })
		if r.state(t, id).Git.State == "parked" {
			parked++
		}
	}
	if parked != gitsync.DefaultSuspect-1 {
		t.Errorf("%d ARCs are parked, want those from which it was seen", parked)
	}
}

// Some repositories that we may not write to keep nobody else from being pushed.
func TestForbiddenRepositoriesHarmNobodyElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	forbidden := map[string]bool{}
	for n := range 5 {
		forbidden[r.submit(t, fmt.Sprint("forbidden", n), "version 1").String()] = true
	}
	w := &selective{Remote: r.fileRemote(t), fails: func(arc string) error {
		if !forbidden[arc] {
			return nil
		}
		return remote.Fail(fault.PushForbidden, errors.New("not yours"))
	}}
	r.run(t, w, nil)
	for n := range 10 {
		r.awaitState(t, r.submit(t, fmt.Sprint("good", n), "version 1"), "synced")
	}
	for arc := range forbidden {
		id, err := store.ParseID(arc)
		if err != nil {
			t.Fatal(err)
		}
		r.awaitState(t, id, "parked")
	}
	if now, err := r.store.Remote(t.Context(), "git"); err != nil || now.Paused {
		t.Errorf("the remote is paused: %+v, %v", now, err)
	}
}

// Repositories that hang at each attempt leave a place to ARCs that have not failed.
func TestRepositoriesThatHangLeaveAPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hangs := map[string]bool{}
	for n := range 6 {
		hangs[r.submit(t, fmt.Sprint("hanging", n), "version 1").String()] = true
	}
	var first sync.Map
	var hanging atomic.Int32
	end := make(chan struct{})
	w := &selective{Remote: r.fileRemote(t), fails: func(arc string) error {
		if !hangs[arc] {
			return nil
		}
		if _, again := first.LoadOrStore(arc, true); again {
			hanging.Add(1)
			defer hanging.Add(-1)
			<-end
		}
		return remote.Fail(fault.RemoteTimeout, errors.New("it hangs"))
	}}
	stop := r.run(t, w, func(o *gitsync.Options) { o.Concurrency, o.Suspect = 3, 100 })
	testenv.Await(t, "two to hang", func() bool { return hanging.Load() == 2 })
	for n := range 4 {
		r.awaitState(t, r.submit(t, fmt.Sprint("good", n), "version 1"), "synced")
		if h := hanging.Load(); h != 2 {
			t.Fatalf("%d hang, want 2", h)
		}
	}
	close(end)
	stop()
}

// selective fails pushes of some ARCs.
type selective struct {
	remote.Remote

	fails func(arc string) error
}

func (s *selective) Push(ctx context.Context, p *remote.Push) (remote.Result, error) {
	if err := s.fails(p.ARC); err != nil {
		return remote.Result{}, err
	}
	return s.Remote.Push(ctx, p)
}
