package gitsync_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote/gitlab"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// A synchroniser can be seen from everywhere while it lives, and is gone after an orderly end.
func TestSynchroniserIsSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.run(t, r.fileRemote(t), func(o *gitsync.Options) { o.Holder = "host-a/1"; o.ProjectsPerHour = 20 })
	seen := func() []store.Synchroniser {
		list, err := r.store.Synchronisers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	testenv.Await(t, "it is seen", func() bool { list := seen(); return len(list) == 1 && list[0].Alive && list[0].Holder == "host-a/1" })
	testenv.Await(t, "its budget is known", func() bool {
		list, err := r.store.Forecasts(t.Context())
		return err == nil && len(list) == 1 && list[0].PerHour == 20
	})
	stop()
	if list := seen(); len(list) != 0 {
		t.Errorf("after the end: %+v", list)
	}
}

// Two synchronisers on two hosts spend one budget for new projects, and every ARC gets its project in the end.
func TestTwoHostsShareTheBudget(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const token, arcs, burst, pause = "glpat-budget", 7, 2, 400 * time.Millisecond
	hub := gitlabtest.NewGitLab(t, token, group)
	budget := store.Budget{Remote: "git", PerHour: int(time.Hour / pause), Burst: burst}
	var ids []store.ID
	for n := range arcs {
		ids = append(ids, r.submit(t, fmt.Sprint("arc ", n), "version 1"))
	}
	began := time.Now()
	for _, host := range []string{"host-a/1", "host-b/1"} {
		to, err := gitlab.New(gitlab.Options{URL: hub.URL, Group: group, Token: token, Turn: gitsync.CreationTurns(r.store, budget)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(to.Close)
		r.run(t, to, func(o *gitsync.Options) { o.Holder = host })
	}
	for _, id := range ids {
		r.awaitState(t, id, "synced")
	}
	if took, least := time.Since(began), (arcs-burst)*pause; took < least {
		t.Errorf("%d projects after %s, the budget allows them after %s", arcs, took, least)
	}
}
