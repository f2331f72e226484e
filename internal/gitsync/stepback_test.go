package gitsync_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// A synchroniser that alone meets an incident, as on a host with an old token, does not stop the others again and again: what pauses the
// store for all is met ever more rarely by it, and when it works there as well, it pushes.
func TestWhoAloneMeetsAnIncidentStepsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	slowly := func(o *gitsync.Options) {
		o.Concurrency, o.ProbeMax, o.Jitter = 1, time.Minute, func() float64 { return 1 }
	}
	const arcs = 200
	var ids []store.ID
	for n := range arcs {
		ids = append(ids, r.submit(t, fmt.Sprint("arc ", n), "version 1"))
	}
	barred := &watched{Remote: r.fileRemote(t), before: func(context.Context, int) error {
		return remote.Fail(fault.TokenRejected, errors.New("401"))
	}}
	r.run(t, r.fileRemote(t), func(o *gitsync.Options) { slowly(o); o.Holder = "works" })
	stop := r.run(t, barred, func(o *gitsync.Options) { slowly(o); o.Holder = "barred" })
	for _, id := range ids {
		r.awaitState(t, id, "synced")
	}
	// Some for each doubling of the time, his probes among them; more than one for each ARC if he does not step back.
	if n := barred.count(); n > arcs/2 {
		t.Errorf("%d ARCs took as many as %d attempts of the one that may not push", arcs, n)
	}
	stop()
}

// Where nobody else pushes, nobody waits for anybody.
func TestWhoIsAloneDoesNotStepBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.submit(t, "arc", "version 1")
	w := &watched{Remote: r.fileRemote(t), before: func(_ context.Context, n int) error {
		if n <= 3 {
			return remote.Fail(fault.TokenRejected, errors.New("401"))
		}
		return nil
	}}
	r.run(t, w, func(o *gitsync.Options) {
		o.Backoff, o.ProbeMax, o.Jitter = time.Hour, time.Hour, func() float64 { return 1 }
	})
	for n := 1; n <= 3; n++ {
		r.awaitPause(t)
		if err := r.store.ResumeRemote(t.Context(), "git", store.Actor{Subject: "operator"}); err != nil {
			t.Fatal(err)
		}
		testenv.Await(t, "it tries again", func() bool { return w.count() > n })
	}
	r.awaitState(t, id, "synced")
}
