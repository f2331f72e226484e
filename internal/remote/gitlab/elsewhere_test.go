package gitlab_test

import (
	"testing"

	"github.com/fairagro/middleware-api/internal/remote/gitlab"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
)

const otherARC = "00000000000000000000000000000000000000000000000000000000000000bb"

// When the configuration leads to another GitLab, an ARC gets a project of its own there: the number of its old project belongs to somebody else.
func TestAnotherGitLab(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, old *hub) {
		t.Helper()
		p := version(2)
		p.Recorded = old.push(t, version(1)).State

		_, rest := old.remote.(*gitlab.API)
		h := newHub(t, rest, nil)
		first := version(1)
		first.ARC, first.Identifier = otherARC, "other"
		theirs := h.push(t, first)
		if h.Project(group+"/"+otherARC).ID != old.Project(full).ID {
			t.Fatal("the numbers of the projects have to be the same")
		}
		if res := h.push(t, p); res.Ref != full+".git" || res.Foreign != "" {
			t.Errorf("result %+v", res)
		}
		if head := gitlabtest.MustGit(t, h.Dir(group+"/"+otherARC), "rev-parse", "main"); head != theirs.Commit {
			t.Errorf("the project of another ARC is at %s and not at %s", head, theirs.Commit)
		}
	})
}

// When the configuration names another group, ARCs go there and not to where they were, and an audit looks there.
func TestAnotherGroup(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, old *hub) {
		t.Helper()
		before := old.push(t, version(1))
		_, rest := old.remote.(*gitlab.API)
		opt := gitlab.Options{URL: old.URL, Group: "hub/new", Token: token}
		h := &hub{GitLab: old.GitLab, log: old.log}
		var err error
		if h.remote, err = gitlab.New(opt); rest {
			h.remote, err = gitlab.NewAPI(opt)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.remote.Close)
		h.AddGroup("hub/new")

		if head, err := h.remote.Head(t.Context(), arcID, before.Ref); head != "" || err != nil {
			t.Errorf("head %q, %v; in the new group there is none", head, err)
		}
		p := version(2)
		p.Recorded = before.State
		res := h.push(t, p)
		if res.Ref != "hub/new/"+arcID+".git" {
			t.Errorf("pushed to %s", res.Ref)
		}
		if head := h.git(t, "rev-parse", "main"); head != before.Commit {
			t.Errorf("the old project is at %s and not at %s", head, before.Commit)
		}
		if head, err := h.remote.Head(t.Context(), arcID, res.Ref); head != res.Commit || err != nil {
			t.Errorf("head %q, %v", head, err)
		}
	})
}
