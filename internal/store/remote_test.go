package store_test

import (
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

var tokenExpired = &fault.Error{Code: "token_expired", Text: "The token has expired.", Owner: fault.OwnerOperator, Remedy: "renew it"}

// While a remote is paused nobody claims anything for it, others go on; when a
// probe is due exactly one claimant gets exactly one ARC, and its success ends
// the pause for everybody.
func TestAPausedRemoteIsProbedByOne(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	for _, name := range []string{"A", "B", "C"} {
		submit(t, a, submission(name, "x"))
	}
	if err := a.PauseRemote(t.Context(), "git", tokenExpired, time.Hour); err != nil {
		t.Fatal(err)
	}
	if n := len(claimN(t, b, 9)); n != 0 {
		t.Fatalf("claimed %d for a paused remote", n)
	}
	other := must(b.ClaimDue(t.Context(), store.ClaimRequest{Holder: "t", Limit: 1, Lease: time.Hour, Remote: "other"}))(t)
	if len(other) != 1 {
		t.Fatalf("claimed %d for another remote, want 1", len(other))
	}
	if err := b.Release(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	began := must(a.Remote(t.Context(), "git"))(t).PausedAt
	// The next failure says when to try: now.
	if err := b.PauseRemote(t.Context(), "git", tokenExpired, 0); err != nil {
		t.Fatal(err)
	}
	r := must(a.Remote(t.Context(), "git"))(t)
	if !r.Paused || r.Code != "token_expired" || r.Probes != 1 || r.Remedy != "renew it" || !r.PausedAt.Equal(began) {
		t.Errorf("remote: got %+v, want the pause since %s", r, began)
	}
	probe := claimN(t, a, 9)
	if len(probe) != 1 || !probe[0].Probe || probe[0].Identifier != "B" { // A was given back last
		t.Fatalf("got %+v, want one probe, of what waits longest", probe)
	}
	if n := len(claimN(t, b, 9)); n != 0 {
		t.Fatalf("a second probe: %d", n)
	}
	push(t, a, probe[0], "c1")
	if r := must(b.Remote(t.Context(), "git"))(t); r.Paused || r.Code != "" {
		t.Errorf("after the probe: got %+v, want not paused", r)
	}
	if n := len(claimN(t, b, 9)); n != 2 {
		t.Errorf("after the probe: claimed %d, want 2", n)
	}
	// The next incident counts its own probes.
	if err := b.PauseRemote(t.Context(), "git", tokenExpired, time.Hour); err != nil {
		t.Fatal(err)
	}
	if r := must(a.Remote(t.Context(), "git"))(t); !r.Paused || r.Probes != 0 {
		t.Errorf("paused again: got %+v, want no failed probe", r)
	}
}

// The probe is an ARC that has not failed yet, if there is one: others may fail because of
// themselves.
func TestTheProbeIsOneThatMayWork(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	failed(t, s, "failed")
	for _, want := range []string{"good", "failed"} {
		if want == "good" {
			submit(t, s, submission(want, "x"))
		}
		if err := s.PauseRemote(t.Context(), "git", tokenExpired, 0); err != nil {
			t.Fatal(err)
		}
		probe := claimN(t, s, 9)
		if len(probe) != 1 || !probe[0].Probe || probe[0].Identifier != want {
			t.Fatalf("got %+v, want %s as the probe", probe, want)
		}
		load(t, s, probe[0])
		push(t, s, probe[0], "c")
	}
}

// Who has no place for ARCs that have failed gets those that have not, however long the
// others have been due.
func TestAClaimOfWhatHasNotFailed(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	failed(t, s, "failed")
	request := store.ClaimRequest{Holder: "test", Limit: 9, Lease: time.Hour, Remote: "git", Fresh: true}
	if claims := must(s.ClaimDue(t.Context(), request))(t); len(claims) != 0 {
		t.Fatalf("got %+v, want nothing", claims)
	}
	submit(t, s, submission("good", "x"))
	if claims := must(s.ClaimDue(t.Context(), request))(t); len(claims) != 1 || claims[0].Identifier != "good" || claims[0].Retry() {
		t.Fatalf("got %+v, want the good one", claims)
	}
	if again := claim(t, s); again.Identifier != "failed" || !again.Retry() {
		t.Errorf("got %+v, want the one that has failed", again)
	}
}

// Whoever dies with the probe in his hands does not end the probing: when his lease
// has ended, the next claimant gets one.
func TestAProbeThatIsLostIsRepeated(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "x"))
	if err := s.PauseRemote(t.Context(), "git", tokenExpired, 0); err != nil {
		t.Fatal(err)
	}
	died := store.ClaimRequest{Holder: "died", Limit: 1, Lease: time.Millisecond, Remote: "git"}
	if claims := must(s.ClaimDue(t.Context(), died))(t); len(claims) != 1 || !claims[0].Probe {
		t.Fatalf("got %+v, want a probe", claims)
	}
	testenv.Await(t, "another probe", func() bool {
		claims := claimN(t, s, 9)
		return len(claims) == 1 && claims[0].Probe
	})
}

// If there is nothing to probe with, the probe is not used up.
func TestAProbeWaitsForSomethingToPush(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	if err := s.PauseRemote(t.Context(), "git", tokenExpired, 0); err != nil {
		t.Fatal(err)
	}
	if n := len(claimN(t, s, 9)); n != 0 {
		t.Fatalf("claimed %d of nothing", n)
	}
	submit(t, s, submission("A", "x"))
	if claims := claimN(t, s, 9); len(claims) != 1 || !claims[0].Probe {
		t.Fatalf("got %v, want a probe", claims)
	}
}

// A pause by hand is ended by hand only, whatever happens meanwhile.
func TestAPauseByHandIsEndedByHand(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	by := store.Actor{Subject: "root"}
	submit(t, s, submission("A", "x"))
	if err := s.HoldRemote(t.Context(), "git", "maintenance", by); err != nil {
		t.Fatal(err)
	}
	if err := s.PauseRemote(t.Context(), "git", tokenExpired, 0); err != nil {
		t.Fatal(err)
	}
	if n := len(claimN(t, s, 9)); n != 0 {
		t.Fatalf("claimed %d", n)
	}
	if r := must(s.Remote(t.Context(), "git"))(t); !r.ByHand || r.Text != "maintenance" {
		t.Errorf("got %+v", r)
	}
	if err := s.ResumeRemote(t.Context(), "git", by); err != nil {
		t.Fatal(err)
	}
	if n := len(claimN(t, s, 9)); n != 1 {
		t.Errorf("claimed %d after resuming, want 1", n)
	}
	trail := must(s.AuditTrail(t.Context(), store.ID{}, 0, 9))(t)
	if len(trail) != 3 || trail[0].Action != "remote.resume" || trail[1].Action != "remote.pause" || trail[0].Actor != by {
		t.Errorf("audit trail: got %+v", trail)
	}
	if err := s.ResumeRemote(t.Context(), "gti", by); fault.CodeOf(err) != fault.RemoteNotFound {
		t.Errorf("unknown remote: got %v", err)
	}
}

// Who holds a remote that is paused already takes its incident over: it began when it
// began, and nothing probes any more. After the end nothing of it is left.
func TestAHoldTakesAnIncidentOver(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	why := fault.New(fault.RemoteUnreachable, nil)
	for range 2 {
		if err := s.PauseRemote(t.Context(), "git", why, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	before := must(s.Remote(t.Context(), "git"))(t)
	if before.Probes != 1 || before.NextProbe.IsZero() {
		t.Fatalf("paused: %+v", before)
	}
	if err := s.HoldRemote(t.Context(), "git", "maintenance", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	held := must(s.Remote(t.Context(), "git"))(t)
	if !held.ByHand || !held.PausedAt.Equal(before.PausedAt) || !held.NextProbe.IsZero() || held.Text != "maintenance" {
		t.Errorf("held: %+v, paused before: %+v", held, before)
	}
	if err := s.ResumeRemote(t.Context(), "git", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	if got := must(s.Remote(t.Context(), "git"))(t); got != (store.Remote{Name: "git"}) {
		t.Errorf("resumed: %+v", got)
	}
}
