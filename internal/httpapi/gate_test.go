package httpapi

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// newTestGate makes a gate whose clock the test moves.
func newTestGate(limit int) (*gate, *time.Time) {
	now := time.Unix(0, 0)
	return newGate(limit, 5*time.Second, func() time.Time { return now }), &now
}

func enterAll(g *gate, client string, n int) (leaves []func()) {
	for range n {
		if leave := g.enter(client); leave != nil {
			leaves = append(leaves, leave)
		}
	}
	return leaves
}

// Without a limit everybody gets in.
func TestGateWithoutLimit(t *testing.T) {
	t.Parallel()
	g, _ := newTestGate(0)
	if got := len(enterAll(g, "a", 1000)); got != 1000 {
		t.Fatalf("got %d in, want 1000", got)
	}
}

// A client that is alone may have every place, and one more is refused.
func TestGateOneClient(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 7} {
		g, _ := newTestGate(limit)
		leaves := enterAll(g, "a", limit+1)
		if len(leaves) != limit {
			t.Fatalf("limit %d: got %d in", limit, len(leaves))
		}
		leaves[0]()
		leaves[0]() // leaving twice counts once
		if got := len(enterAll(g, "a", 2)); got != 1 {
			t.Fatalf("limit %d: got %d in after one left, want 1", limit, got)
		}
	}
}

// A busy client has to leave room for one that was refused, and only for as long as that may come back.
func TestGateFairShare(t *testing.T) {
	t.Parallel()
	g, now := newTestGate(4)
	busy := enterAll(g, "busy", 4)
	if g.enter("small") != nil {
		t.Fatal("a fifth request got in")
	}
	busy[0]()
	if g.enter("busy") != nil {
		t.Fatal("the busy client took the place that the other one waits for")
	}
	leave := g.enter("small")
	if leave == nil {
		t.Fatal("the refused client did not get the free place")
	}
	busy[1]()
	if g.enter("busy") != nil {
		t.Fatal("the busy client holds half of the places and got more")
	}
	leave()
	*now = now.Add(time.Minute)
	if got := len(enterAll(g, "busy", 4)); got != 2 {
		t.Fatalf("got %d in when nobody else wants a place, want the 2 free ones", got)
	}
	if g.enter("gone") != nil {
		t.Fatal("a fifth request got in")
	}
	busy[2]()
	if g.enter("busy") != nil {
		t.Fatal("the busy client took the place that the refused one may come back for")
	}
	*now = now.Add(time.Minute)
	if g.enter("busy") == nil {
		t.Fatal("a place is kept for a client that did not come back")
	}
}

// Who came back, was let in and has left does not count as waiting any more.
func TestWhoCameBackWaitsNoLonger(t *testing.T) {
	t.Parallel()
	g, _ := newTestGate(2)
	busy := enterAll(g, "busy", 2)
	if g.enter("small") != nil {
		t.Fatal("a third request got in")
	}
	busy[0]()
	leave := g.enter("small")
	if leave == nil {
		t.Fatal("the refused client did not get the free place")
	}
	leave()
	if g.enter("busy") == nil {
		t.Error("a place is kept for a client that has had it")
	}
}

// Places that a client has come back to count as its own, until it leaves.
func TestWhoComesBackHoldsPlaces(t *testing.T) {
	t.Parallel()
	g, _ := newTestGate(8)
	var busy []func()
	for range 4 {
		busy = append(busy, g.comeBack("busy"))
	}
	if g.enter("small") == nil {
		t.Fatal("the small client did not get a free place")
	}
	if g.enter("busy") != nil {
		t.Error("the busy client holds half of the places and got more")
	}
	busy[0]()
	if g.enter("busy") == nil {
		t.Error("a place that was left counts for ever")
	}
}

// However many clients are refused, the memory for them is bounded.
func TestRefusedClientsAreBounded(t *testing.T) {
	t.Parallel()
	g, now := newTestGate(1)
	g.enter("busy")
	for i := range 2 * maxWaiting {
		if g.enter(strconv.Itoa(i)) != nil {
			t.Fatal("a second request got in")
		}
	}
	if n := len(g.waiting); n > maxWaiting {
		t.Errorf("%d refused clients are remembered, want at most %d", n, maxWaiting)
	}
	*now = now.Add(time.Minute)
	g.share(0)
	if n := len(g.waiting); n != 0 {
		t.Errorf("%d refused clients are remembered that did not come back in time", n)
	}
}

// Refusals are counted by their reason.
func TestRefusalsTellTheirReason(t *testing.T) {
	t.Parallel()
	a := newLifeAPI(t, Options{MaxConcurrent: 2, MaxBodiesMemory: 100})
	var leaves []func()
	for range 5 { // the last three find no place
		if leave := a.gate.enter("busy"); leave != nil {
			leaves = append(leaves, leave)
		}
	}
	a.gate.enter("small") // another one that finds none, and may come back
	leaves[0]()
	for range 2 { // these want more than their share
		a.gate.enter("busy")
	}
	leaves[1]()
	call(a, "POST", "/v3/arcs", strings.Repeat(" ", 200), "Content-Type", mediaJSON)
	want := map[string]int64{"full": 4, "share": 2, "memory": 1, "streams": 0}
	if got := a.Refusals(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Whatever clients do: never more than the limit inside, and a client below its
// share is refused only when the house is full.
func TestGateLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 9).Draw(t, "limit")
		g, now := newTestGate(limit)
		inside := map[string][]func(){}
		total := 0
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			client := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "client")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				*now = now.Add(time.Duration(rapid.IntRange(0, 7).Draw(t, "seconds")) * time.Second)
			case 1:
				if held := inside[client]; len(held) > 0 {
					held[0]()
					inside[client] = held[1:]
					total--
				}
			default:
				leave := g.enter(client)
				if leave != nil {
					inside[client] = append(inside[client], leave)
					total++
				} else if total < limit && len(inside[client])*3 < limit {
					t.Fatalf("client with %d of %d places refused although %d were free", len(inside[client]), limit, limit-total)
				}
			}
			if total > limit {
				t.Fatalf("%d inside, limit %d", total, limit)
			}
		}
		for _, held := range inside {
			for _, leave := range held {
				leave()
			}
		}
		if g.inside != 0 || len(g.holders) != 0 {
			t.Fatalf("after all left: %d inside, %d holders", g.inside, len(g.holders))
		}
	})
}

// What begins or ends a harvest and what asks after our health is let in whatever the load.
func TestExempt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path string
		want         bool
	}{
		{"GET", "/v3/liveness", true}, {"GET", "/v3/liveness/", true}, {"GET", "/v3/readiness", true}, {"GET", "/v3/health", true},
		{"GET", "/v1/health", true}, {"GET", "/v2/health/", true}, {"GET", "/v1/liveness", true},
		{"POST", "/v3/harvests", true}, {"PATCH", "/v3/harvests/x", true}, {"DELETE", "/v3/harvests/x", true},
		{"POST", "/v3/harvests/x/complete", true}, {"POST", "/v3/harvests/x/complete/", true},
		{"GET", "/v3/harvests", false}, {"GET", "/v3/harvests/x", false}, {"POST", "/v3/harvests/x/arcs", false},
		{"GET", "/v3/harvests/x/complete", false}, {"PATCH", "/v3/harvests/", false}, {"POST", "/v3/arcs", false},
		{"GET", "/docs", false}, {"GET", "/nowhere", false}, {"PATCH", "/v3/harvests/x/arcs", false},
	} {
		if got := exempt(c.method, c.path); got != c.want {
			t.Errorf("%s %s: got %t, want %t", c.method, c.path, got, c.want)
		}
	}
}

// A place is not held while its request waits for a client that is slow, and is
// held again when there is work.
func TestPlaceIsNotHeldWhileWaiting(t *testing.T) {
	t.Parallel()
	g, _ := newTestGate(1)
	p := newPlace(g, "slow", g.enter("slow"))
	p.wait(func() {
		deadline := time.Now().Add(10 * time.Second)
		leave := g.enter("fast")
		for leave == nil && time.Now().Before(deadline) {
			leave = g.enter("fast")
		}
		if leave == nil {
			t.Fatal("the place is held while nothing comes")
		}
		leave()
	})
	if g.enter("fast") != nil {
		t.Error("the place is not held when there is work")
	}
	p.wait(func() {
		leave := g.enter("fast")
		if leave == nil {
			t.Fatal("a client known as slow still has patience")
		}
		leave()
	})
	p.end()
	if g.enter("fast") == nil {
		t.Error("the place was not given back")
	}
}

// Requests that have waited for slow clients come back even if there is no place,
// but not without end.
func TestComeBackHasALimit(t *testing.T) {
	t.Parallel()
	g, _ := newTestGate(2)
	for range 4 {
		g.comeBack("slow")
	}
	if g.crowded() {
		t.Error("crowded with twice as many as there are places")
	}
	g.comeBack("slow")
	if !g.crowded() {
		t.Error("more than twice as many as there are places, and not crowded")
	}
}

// A place that is given away while its client is waited for is taken again afterwards,
// unless the request has ended meanwhile; after a first wait that was long, every further one
// gives it away at once.
func TestPlaceAfterWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := newTestGate(2)
		p := newPlace(g, "slow", g.enter("slow"))
		inside := func() int {
			synctest.Wait()
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.inside
		}
		waited := 0
		during := func(patience time.Duration, want int) {
			t.Helper()
			p.wait(func() {
				waited++
				time.Sleep(patience)
				if n := inside(); n != want {
					t.Errorf("wait %d: %d inside, want %d", waited, n, want)
				}
			})
			if n := inside(); n != 1 {
				t.Errorf("after wait %d: %d inside, want 1", waited, n)
			}
		}
		during(networkPatience-1, 1)
		time.Sleep(2 * networkPatience)
		if n := inside(); n != 1 {
			t.Errorf("the end of the patience of a wait that was over cost the place: %d inside", n)
		}
		during(networkPatience+1, 0)
		during(0, 0)
		p.wait(func() { p.end() })
		if n := inside(); waited != 3 || n != 0 || len(g.holders) != 0 {
			t.Errorf("%d waits, after the end %d inside, %d holders", waited, n, len(g.holders))
		}
	})
}
