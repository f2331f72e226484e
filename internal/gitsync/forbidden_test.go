package gitsync_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote/gitlab"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// A token that may not create projects in the group is one incident: no ARC is parked or charged, one at a time probes, and when the right is given all arrive by themselves.
func TestForbiddenGroupIsOneIncident(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]*gitlabtest.Fault{
		"403": {Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`},
		"400": {Status: http.StatusBadRequest, Body: `{"message":{"namespace":["is not valid"],"limit_reached":[]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			hub := gitlabtest.NewGitLab(t, token, "hub")
			to, err := gitlab.New(gitlab.Options{URL: hub.URL, Group: "hub", Token: token})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(to.Close)
			var refused, given atomic.Int64
			hub.Script(func(q *http.Request) *gitlabtest.Fault {
				if q.Method != http.MethodPost || !strings.HasSuffix(q.URL.Path, "/projects") || given.Load() != 0 {
					return nil
				}
				refused.Add(1)
				return answer
			})
			const arcs, concurrency = 20, 3
			var ids []store.ID
			for n := range arcs {
				ids = append(ids, r.submit(t, fmt.Sprint("arc ", n), "version 1"))
			}
			r.run(t, to, func(o *gitsync.Options) { o.Concurrency = concurrency })
			testenv.Await(t, "the remote is paused and was probed", func() bool {
				now, err := r.store.Remote(t.Context(), "git")
				return err == nil && now.Paused && now.Code == fault.GroupForbidden && now.Owner == fault.OwnerOperator && now.Probes >= 2
			})
			for _, id := range ids {
				if a := r.state(t, id); a.Git.State != store.Due || a.Git.Attempts != 0 || a.Git.Failure.Code != "" {
					t.Errorf("during the incident: %+v", a.Git)
				}
			}
			now, err := r.store.Remote(t.Context(), "git")
			if err != nil {
				t.Fatal(err)
			}
			if n := refused.Load(); n > int64(concurrency+now.Probes+2) {
				t.Errorf("%d projects asked for with %d probes and %d pushes at a time", n, now.Probes, concurrency)
			}
			given.Store(1)
			for _, id := range ids {
				r.awaitState(t, id, "synced")
			}
			if now, err := r.store.Remote(t.Context(), "git"); err != nil || now.Paused {
				t.Errorf("afterwards: %+v, %v", now, err)
			}
		})
	}
}
