package gitsync_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// gate lets pushes pass until it is closed, and counts how many are in it.
type gate struct {
	mu       sync.Mutex
	shut     chan struct{} // nil: open
	in, most int
	passed   int
	closeAt  int // pushes after which it closes
}

func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	g.in++
	g.most = max(g.most, g.in)
	g.passed++
	if g.shut == nil && g.passed > g.closeAt {
		g.shut = make(chan struct{})
	}
	shut := g.shut
	g.mu.Unlock()
	defer func() { g.mu.Lock(); g.in--; g.mu.Unlock() }()
	if shut == nil {
		return nil
	}
	select {
	case <-shut:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closeAt = 1 << 30
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) inside() (in, most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.in, g.most
}

// ahead starts a synchroniser with two places whose pushes are quick until the
// 60th, and waits until more ARCs have been built than there are places.
func ahead(t *testing.T, r *rig, change func(*gitsync.Options)) (g *gate, ids []store.ID, stop func()) {
	t.Helper()
	g = &gate{closeAt: 60}
	for n := range 100 {
		ids = append(ids, r.submit(t, fmt.Sprint("arc ", n), "version 1"))
	}
	var builds atomic.Int64
	w := &watched{Remote: quick{}, before: func(ctx context.Context, _ int) error { return g.enter(ctx) }}
	stop = r.run(t, w, func(o *gitsync.Options) {
		o.Concurrency = 2
		o.Build = func(document []byte) (gitsync.Built, error) { builds.Add(1); return build(document) }
		change(o)
	})
	testenv.Await(t, "the next ARCs are built while others are pushed", func() bool {
		in, _ := g.inside()
		return in == 2 && builds.Load() >= 60+3
	})
	return g, ids, stop
}

// quick is a remote that takes everything at once.
type quick struct{ remote.Remote }

func (quick) Push(context.Context, *remote.Push) (remote.Result, error) {
	return remote.Result{Commit: "c0ffee", Changed: true}, nil
}

// While pushes are quick the next ARCs are prepared beside them, but never more are pushed at a time than allowed.
func TestPreparesAheadOfItsTurn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g, ids, _ := ahead(t, r, func(o *gitsync.Options) { o.Lease = 5 * time.Second })
	g.open()
	for _, id := range ids {
		r.awaitState(t, id, "synced")
	}
	if _, most := g.inside(); most != 2 {
		t.Errorf("%d pushes at a time, want 2", most)
	}
}

// At the end, what was claimed ahead is handed back at once and without charge, however long its lease; what is being pushed gets its time.
func TestStopHandsBackWhatWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g, ids, stop := ahead(t, r, func(o *gitsync.Options) { o.Lease = time.Hour; o.Drain = time.Minute })
	ended := make(chan struct{})
	go func() { stop(); close(ended) }()
	pushing := func() (n int) {
		for _, id := range ids {
			a := r.state(t, id)
			if a.Git.Attempts != 0 || a.Git.Failure.Code != "" {
				t.Errorf("charged: %+v", a.Git)
			}
			if a.Git.Pushing {
				n++
			}
		}
		return n
	}
	testenv.Await(t, "only what is being pushed is held", func() bool { return pushing() == 2 })
	g.open()
	<-ended
	if n := pushing(); n != 0 {
		t.Errorf("%d ARCs still held after the end", n)
	}
}

// When pushes become slow, what waits for its turn is handed back after the time of a lease, and another synchroniser pushes it.
func TestWhatWaitsTooLongIsLeftToOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g, ids, _ := ahead(t, r, func(o *gitsync.Options) { o.Lease = 2 * time.Second })
	r.run(t, quick{}, nil)
	testenv.Await(t, "all but two are pushed", func() bool {
		left := 0
		for _, id := range ids {
			if r.state(t, id).Git.State != store.Synced {
				left++
			}
		}
		return left == 2
	})
	if in, _ := g.inside(); in != 2 {
		t.Errorf("%d stuck, want 2", in)
	}
	g.open()
	for _, id := range ids {
		if a := r.awaitState(t, id, "synced"); a.Git.Attempts != 0 {
			t.Errorf("charged: %+v", a.Git)
		}
	}
}
