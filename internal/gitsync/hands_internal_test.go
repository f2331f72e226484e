package gitsync

import (
	"errors"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

// An ARC that waited in vain for its turn shows that pushes are slow, whatever those
// before it took: nothing more is claimed ahead.
func TestAWaitInVainEndsClaimingAhead(t *testing.T) {
	t.Parallel()
	s := New(nil, nil, Options{Concurrency: 1, Lease: 10 * time.Millisecond})
	for range 50 {
		s.hands.pushed(0)
	}
	s.hands.places <- struct{}{}
	s.hands.take(&store.Claim{})
	if n, worthwhile := s.hands.free(); n != 1 || !worthwhile {
		t.Fatalf("beside a quick push: %d (%t), want one ahead", n, worthwhile)
	}
	if err := s.awaitTurn(t.Context(), &try{}); !errors.Is(err, errNoTurn) {
		t.Fatalf("got %v, want no turn", err)
	}
	if n, worthwhile := s.hands.free(); worthwhile {
		t.Errorf("after a wait in vain: %d ahead, want none", n)
	}
}

// What comes to its turn after the remote has been paused is not pushed, unless it is
// the probe, and leaves its place to others.
func TestNoTurnAfterAPause(t *testing.T) {
	t.Parallel()
	s := New(nil, nil, Options{Concurrency: 1})
	began := time.Now()
	s.paused = began.Add(time.Second)
	if err := s.awaitTurn(t.Context(), &try{Claim: &store.Claim{}, since: began}); !errors.Is(err, errNoTurn) {
		t.Errorf("got %v, want no turn", err)
	}
	if err := s.awaitTurn(t.Context(), &try{Claim: &store.Claim{Probe: true}, since: began}); err != nil {
		t.Errorf("the probe: got %v", err)
	}
}

// Whatever way a remote fails in, it is in doubt when it has failed so for enough ARCs; what
// it says about one ARC is no reason for doubt.
func TestDoubtsAddUp(t *testing.T) {
	t.Parallel()
	s := New(nil, nil, Options{Suspect: 3})
	for n, c := range []struct {
		code fault.Code
		want bool
	}{
		{fault.RemoteError, false}, {fault.RemoteTimeout, false}, {fault.HookDeclined, false}, {fault.ConnectionCut, true}, {fault.HookDeclined, false},
	} {
		if got := s.doubt(&store.Claim{ID: store.ID{byte(n)}}, remote.Fail(c.code, errors.New("scripted"))); got != c.want {
			t.Errorf("%d, %s: got %t, want %t", n, c.code, got, c.want)
		}
	}
}

// An ARC that has failed before is no witness against the remote, unless it is the probe.
func TestOnlyWhatHasWorkedIsAWitness(t *testing.T) {
	t.Parallel()
	s := New(nil, nil, Options{Suspect: 2})
	for n := range 5 {
		if s.doubt(&store.Claim{ID: store.ID{byte(n)}, Attempts: 1}, remote.Fail(fault.RemoteTimeout, nil)) {
			t.Fatalf("the remote is in doubt for %d ARCs that have failed before", n+1)
		}
	}
	for n, want := range []bool{false, true} {
		if got := s.doubt(&store.Claim{ID: store.ID{byte(n)}, Attempts: 1, Probe: true}, remote.Fail(fault.RemoteTimeout, nil)); got != want {
			t.Errorf("probe %d: got %t, want %t", n+1, got, want)
		}
	}
}

// One of several places is left to ARCs that have not failed; the only one is not.
func TestAPlaceIsLeft(t *testing.T) {
	t.Parallel()
	failed := &store.Claim{Attempts: 1}
	for _, c := range []struct {
		places, hands int
		atWork        []*store.Claim
		most          int
		fresh         bool
	}{
		{places: 3, hands: 3, most: 2},
		{places: 3, hands: 1, most: 1},
		{places: 3, hands: 5, atWork: []*store.Claim{{}, {}}, most: 2},
		{places: 3, hands: 5, atWork: []*store.Claim{failed}, most: 1},
		{places: 3, hands: 5, atWork: []*store.Claim{failed, failed}, most: 5, fresh: true},
		{places: 3, hands: 5, atWork: []*store.Claim{failed, {Attempts: 1, Probe: true}}, most: 1},
		{places: 1, hands: 2, atWork: []*store.Claim{failed}, most: 2},
	} {
		h := newHands(c.places, time.Second)
		var give []func()
		for _, claim := range c.atWork {
			give = append(give, h.take(claim))
		}
		if most, fresh := h.limit(c.hands); most != c.most || fresh != c.fresh {
			t.Errorf("%+v: %d (only fresh: %t)", c, most, fresh)
		}
		for _, g := range give {
			g()
		}
		if h.busy != 0 || h.retries != 0 {
			t.Errorf("%+v: in the end %d at work, %d of them again", c, h.busy, h.retries)
		}
	}
}
