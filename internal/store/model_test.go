package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
)

// A machine is one ARC in the store, the repository that synchronisers push it
// to, and what the world may expect of both.
type machine struct {
	s    *store.Store
	name string

	content string // newest acknowledged
	version int64
	pushed  string // in the repository

	claims []*held // all ever made, newest last
}

// held is a claim with what its holder has loaded.
type held struct {
	*store.Claim
	loaded string
	done   bool
}

// Whatever clients and synchronisers do, in whatever order, with leases that
// run out at any moment: no claimant but the newest gets anything recorded,
// what is recorded as pushed is what was pushed, the state shown is the true
// one, and once everybody has finished the repository holds the newest content.
func TestTheLifeOfAnARC(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	var serial atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{s: s, name: fmt.Sprint("M", serial.Add(1))}
		rt.Repeat(map[string]func(*rapid.T){"step": m.step, "": m.check})
		m.drain(rt)
	})
}

var ctx = context.Background()

// step does one of the things that can be done at the moment.
func (m *machine) step(rt *rapid.T) {
	steps := map[string]func(*rapid.T){"submit": m.submit, "claim": m.claim, "resync": m.resync}
	if len(m.claims) > 0 {
		steps["load"], steps["release"] = m.load, m.release
	}
	if len(m.loaded()) > 0 {
		steps["push"] = m.push
		steps["transient"] = func(rt *rapid.T) { m.fail(rt, false) }
		steps["refuse"] = func(rt *rapid.T) { m.fail(rt, true) }
	}
	steps[rapid.SampledFrom(slices.Sorted(maps.Keys(steps))).Draw(rt, "what")](rt)
}

func (m *machine) submit(rt *rapid.T) {
	content := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "content")
	r, err := m.s.Submit(ctx, submission(m.name, m.name+content))
	if err != nil {
		rt.Fatal(err)
	}
	want := store.Unchanged
	switch {
	case m.version == 0:
		want = store.Created
	case content != m.content:
		want = store.Updated
	}
	if r.Outcome != want {
		rt.Fatalf("got %s, want %s", r.Outcome, want)
	}
	if want.Changed() {
		m.content = content
		m.version++
	}
	if r.Version != m.version {
		rt.Fatalf("version %d, want %d", r.Version, m.version)
	}
}

// newest gives the claim that holds, if any.
func (m *machine) newest() *held {
	if n := len(m.claims); n > 0 && !m.claims[n-1].done {
		return m.claims[n-1]
	}
	return nil
}

// claim claims with a lease that ends at once, so that the next claim can take
// the ARC over at any time.
func (m *machine) claim(rt *rapid.T) {
	q := store.ClaimRequest{Holder: "m", Limit: 100, Remote: "git"}
	claims, err := m.s.ClaimDue(ctx, q)
	if err != nil {
		rt.Fatal(err)
	}
	// One whose claims were lost again and again is given apart from the others.
	suspect, err := m.s.ClaimSuspect(ctx, q)
	if err != nil {
		rt.Fatal(err)
	}
	if suspect != nil {
		claims = append(claims, suspect)
	}
	for _, c := range claims {
		if c.ID == idOf(m.name) {
			m.claims = append(m.claims, &held{Claim: c})
		}
	}
}

// some draws a claim, held or long lost.
func some(rt *rapid.T, claims []*held) *held {
	return claims[rapid.IntRange(0, len(claims)-1).Draw(rt, "claim")]
}

// loaded gives the claims whose holders have loaded something.
func (m *machine) loaded() (claims []*held) {
	for _, c := range m.claims {
		if c.loaded != "" {
			claims = append(claims, c)
		}
	}
	return claims
}

// expect checks that only the claim that holds is listened to.
func (m *machine) expect(rt *rapid.T, c *held, err error) (ok bool) {
	if c == m.newest() {
		if err != nil {
			rt.Fatalf("the holder is refused: %v", err)
		}
		return true
	}
	if fault.CodeOf(err) != fault.LeaseLost {
		rt.Fatalf("a lost claim: got %v, want lease_lost", err)
	}
	return false
}

func (m *machine) load(rt *rapid.T) {
	c := some(rt, m.claims)
	content, err := m.s.Load(ctx, c.Claim)
	if !m.expect(rt, c, err) {
		return
	}
	c.loaded = string(content.Frame[len(m.name):])
	if c.loaded != m.content {
		rt.Fatalf("loaded %q, newest is %q", c.loaded, m.content)
	}
}

func (m *machine) push(rt *rapid.T) {
	c := some(rt, m.loaded())
	if m.expect(rt, c, m.s.RecordPush(ctx, c.Claim, store.Pushed{Commit: "commit of " + c.loaded})) {
		c.done, m.pushed = true, c.loaded
	}
}

func (m *machine) fail(rt *rapid.T, park bool) {
	c := some(rt, m.loaded())
	if m.expect(rt, c, m.s.RecordFailure(ctx, c.Claim, store.Failure{Class: "x", Code: "x", Park: park})) {
		c.done = true
	}
}

func (m *machine) release(rt *rapid.T) {
	c := some(rt, m.claims)
	if err := m.s.Release(ctx, []*store.Claim{c.Claim}); err != nil {
		rt.Fatal(err)
	}
	if c == m.newest() {
		c.done = true
	}
}

func (m *machine) resync(rt *rapid.T) {
	err := m.s.RequestPush(ctx, idOf(m.name), store.Actor{})
	if (m.version == 0) != (fault.CodeOf(err) == fault.ARCNotFound) {
		rt.Fatalf("got %v for version %d", err, m.version)
	}
}

// check compares what anybody can see with the model.
func (m *machine) check(rt *rapid.T) {
	a, err := m.s.ARC(ctx, idOf(m.name))
	if m.version == 0 {
		if fault.CodeOf(err) != fault.ARCNotFound {
			rt.Fatalf("got %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	if a.Hash != hashOf(m.name+m.content) || a.Version != m.version {
		rt.Fatalf("stored is not the newest: %+v", a)
	}
	if m.pushed != "" && (a.Git.PushedHash != hashOf(m.name+m.pushed) || a.Git.Commit != "commit of "+m.pushed) {
		rt.Fatalf("recorded is not what was pushed (%s): %+v", m.pushed, a.Git)
	}
	if a.Git.State == store.Synced && m.pushed != m.content {
		rt.Fatalf("synced, but %q is in git and %q the newest", m.pushed, m.content)
	}
	if a.Git.State == store.Parked && a.Git.Failure.Code == "" {
		rt.Fatal("parked without a cause")
	}
}

// drain lets synchronisers finish: the newest content arrives, unless it is
// parked, which somebody has to lift.
func (m *machine) drain(rt *rapid.T) {
	if m.version == 0 {
		return
	}
	if err := m.s.RequestPush(ctx, idOf(m.name), store.Actor{}); err != nil {
		rt.Fatal(err)
	}
	for range 10 {
		a, err := m.s.ARC(ctx, idOf(m.name))
		if err != nil {
			rt.Fatal(err)
		}
		if a.Git.State == store.Synced {
			break
		}
		m.claim(rt)
		if c := m.newest(); c != nil {
			content, err := m.s.Load(ctx, c.Claim)
			if err != nil {
				rt.Fatal(err)
			}
			c.loaded = string(content.Frame[len(m.name):])
			if err := m.s.RecordPush(ctx, c.Claim, store.Pushed{Commit: "commit of " + c.loaded}); err != nil {
				rt.Fatal(err)
			}
			c.done, m.pushed = true, c.loaded
		}
	}
	m.check(rt)
	if a, err := m.s.ARC(ctx, idOf(m.name)); err != nil || a.Git.State != store.Synced || m.pushed != m.content {
		rt.Fatalf("everybody has finished, but got %+v, %v, in git %q, newest %q", a.Git, err, m.pushed, m.content)
	}
	// Others may be due: those of a run that ended in the middle.
	before := len(m.claims)
	if m.claim(rt); len(m.claims) > before {
		rt.Fatalf("still due: %+v", m.claims[before].Claim)
	}
}
