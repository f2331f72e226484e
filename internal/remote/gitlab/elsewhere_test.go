package gitlab_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
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
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		before := h.push(t, version(1))
		h.inGroup(t, "hub/new")
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

// A group that was renamed is one incident, and not many projects that somebody has moved out of it; all arrive when the configuration names the new one.
func TestAGroupIsRenamed(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		before := h.push(t, version(1))
		h.RenameGroup(group, "hub/data")
		p := version(2)
		p.Recorded, p.Title = before.State, "Barley and rye"
		if f := h.refused(t, p, fault.GroupMissing); f.Class != fault.Incident {
			t.Errorf("class %s", f.Class)
		}
		h.inGroup(t, "hub/data")
		res := h.push(t, p)
		if n := gitlabtest.MustGit(t, h.Root+"/"+res.Ref, "rev-list", "--count", "main"); res.Ref != "hub/data/"+arcID+".git" || n != "2" {
			t.Errorf("%s commits in %s", n, res.Ref)
		}
	})
}

// inGroup lets the remote be one for another group.
func (h *hub) inGroup(tb testing.TB, name string) {
	tb.Helper()
	_, rest := h.remote.(*gitlab.API)
	h.remote.Close()
	opt := gitlab.Options{URL: h.URL, Group: name, Token: token}
	var err error
	if h.remote, err = gitlab.New(opt); rest {
		h.remote, err = gitlab.NewAPI(opt)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// An address with http of a GitLab that leads everything to https serves for writing as well.
func TestLedToHTTPS(t *testing.T) {
	t.Parallel()
	for _, rest := range []bool{false, true} {
		var h *hub
		door := func(http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Scheme == "http" {
					to := *r.URL
					to.Scheme, to.Host = "https", r.URL.Hostname()
					header := http.Header{"Location": {to.String()}}
					return &http.Response{StatusCode: http.StatusMovedPermanently, Status: "301 Moved Permanently", Header: header, Body: http.NoBody, Request: r}, nil
				}
				if r.URL.Port() == "80" {
					t.Errorf("%s is not where https is spoken", r.URL)
				}
				in := r.Clone(r.Context())
				in.URL.Scheme, in.URL.Host = "http", strings.TrimPrefix(h.URL, "http://")
				resp, err := http.DefaultTransport.RoundTrip(in)
				if err == nil {
					resp.Request = r
				}
				return resp, err
			})
		}
		h = newHub(t, rest, func(o *gitlab.Options) { o.URL, o.Wrap, o.Git.Wrap = "http://gitlab.test:80", door, door })
		p := version(2)
		p.Recorded, p.Title = h.push(t, version(1)).State, "Rye"
		h.push(t, p)
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
