package gitlab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlab"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	group = "hub/arcs"
	token = "glpat-very-secret-token-0815"
	arcID = "00000000000000000000000000000000000000000000000000000000000000aa"
	full  = group + "/" + arcID
)

type text string

func (t text) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(t))
	return int64(n), err
}

func version(n int) *remote.Push {
	return &remote.Push{
		ARC: arcID, RDI: "demo", Identifier: "10.5447/IPK/2020/1 (v2)", Title: "Barley", Description: "Yield",
		When: time.Date(2026, 3, 1, 10, n, 0, 0, time.UTC),
		Files: []remote.File{
			{Path: "isa.investigation.xlsx", Content: text(fmt.Sprintf("PK\xff%d", n))},
			{Path: "assays/.gitkeep", Content: text("")},
			{Path: "LICENSE", Content: text("free")},
		},
	}
}

// hub is a GitLab with a remote for its group.
type hub struct {
	*gitlabtest.GitLab
	remote remote.Remote
	log    *safe
}

// safe is a buffer for several writers.
type safe struct {
	mu sync.Mutex
	bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(p)
}

func newHub(tb testing.TB, rest bool, change func(*gitlab.Options)) *hub {
	tb.Helper()
	h := &hub{GitLab: gitlabtest.NewGitLab(tb, token, group), log: &safe{}}
	opt := gitlab.Options{
		URL: h.URL + "/", Group: "/" + group, Token: token, RequestTimeout: 10 * time.Second, ConnectTimeout: 2 * time.Second,
		Log: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&opt)
	}
	var err error
	if rest {
		h.remote, err = gitlab.NewAPI(opt)
	} else {
		h.remote, err = gitlab.New(opt)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		h.remote.Close()
		if strings.Contains(h.log.String(), token) {
			tb.Error("the token is in the log")
		}
	})
	return h
}

func both(t *testing.T, change func(*gitlab.Options), test func(t *testing.T, h *hub)) {
	t.Helper()
	t.Run("git_repo", func(t *testing.T) { t.Parallel(); test(t, newHub(t, false, change)) })
	t.Run("gitlab_api", func(t *testing.T) { t.Parallel(); test(t, newHub(t, true, change)) })
}

func (h *hub) push(tb testing.TB, p *remote.Push) remote.Result {
	tb.Helper()
	res, err := h.remote.Push(tb.Context(), p)
	if err != nil {
		tb.Fatalf("push: %v", err)
	}
	if head := gitlabtest.MustGit(tb, h.Root+"/"+res.Ref, "rev-parse", "main"); head != res.Commit {
		tb.Fatalf("result says %s, head of %s is %s", res.Commit, res.Ref, head)
	}
	if strings.Contains(string(res.State), token) {
		tb.Fatal("the token is in the recorded state")
	}
	return res
}

func (h *hub) refused(tb testing.TB, p *remote.Push, want fault.Code) *remote.Failure {
	tb.Helper()
	res, err := h.remote.Push(tb.Context(), p)
	if err == nil {
		tb.Fatalf("push gave %+v, want %s", res, want)
	}
	f := remote.FailureOf(err)
	if f.Fault.Code != want {
		tb.Fatalf("push failed with %s (%v), want %s", f.Fault.Code, err, want)
	}
	if strings.Contains(err.Error(), token) {
		tb.Fatalf("the token is in the error: %v", err)
	}
	return f
}

func classOf(err error) fault.Class { return remote.FailureOf(err).Class }

func (h *hub) git(tb testing.TB, args ...string) string {
	tb.Helper()
	return gitlabtest.MustGit(tb, h.Dir(full), args...)
}

// A new ARC gets a private project with title, description and topic, and exactly its files.
func TestFirstPush(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		res := h.push(t, version(1))
		p := h.Project(full)
		if p == nil {
			t.Fatal("no project")
		}
		if p.Name != "10.5447-IPK-2020-1 v2 - demo" || *p.Description != "Barley\nYield" || fmt.Sprint(p.Topics) != "[demo]" || p.Visibility != "private" {
			t.Errorf("project %+v, description %q", p, *p.Description)
		}
		if got := h.git(t, "ls-tree", "-r", "--name-only", "main"); got != "LICENSE\nassays/.gitkeep\nisa.investigation.xlsx" {
			t.Errorf("files:\n%s", got)
		}
		if got := h.git(t, "show", "main:isa.investigation.xlsx"); got != "PK\xff1" {
			t.Errorf("content %q", got)
		}
		if !res.Changed || res.Ref != full+".git" {
			t.Errorf("result %+v", res)
		}
	})
}

// The normal update is two requests, in both ways, with no question about the project.
func TestUpdateIsTwoRequests(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		first := h.push(t, version(1))
		h.Requests()
		p := version(2)
		p.Files = p.Files[:2] // LICENSE left
		p.Recorded = first.State
		res := h.push(t, p)
		if reqs := h.Requests(); len(reqs) != 2 {
			t.Errorf("%d requests: %+v", len(reqs), reqs)
		}
		if got := h.git(t, "ls-tree", "-r", "--name-only", "main"); got != "assays/.gitkeep\nisa.investigation.xlsx" {
			t.Errorf("files:\n%s", got)
		}
		if parent := h.git(t, "rev-parse", "main^"); parent != first.Commit {
			t.Errorf("parent %s, want %s", parent, first.Commit)
		}
		p.Recorded = res.State
		if again := h.push(t, p); again.Changed || again.Commit != res.Commit {
			t.Errorf("same version again: %+v", again)
		}
		p.Recorded = first.State
		if again := h.push(t, p); again.Commit != res.Commit || !again.Recovered {
			t.Errorf("after a lost record: %+v", again)
		}
	})
}

// What somebody else has put there by himself is no push of ours whose record was lost,
// even if it is the very version.
func TestTheSameOfSomebodyElseIsNotRecovered(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		first := h.push(t, version(1))
		theirs := gitlabtest.Commit(t, h.Dir(full), map[string]string{"isa.investigation.xlsx": "PK\xff2"})
		p := version(2)
		p.Recorded = first.State
		res := h.push(t, p)
		if res.Changed || res.Recovered || res.Foreign != theirs || res.Commit != theirs {
			t.Errorf("result %+v, want their commit %s unchanged", res, theirs)
		}
	})
}

// Title, description and topic follow the ARC; what is as it should be is not written again.
func TestMetadataStaysFresh(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		res := h.push(t, version(1))
		p := version(1)
		p.Title, p.Recorded = "Wheat", res.State
		res = h.push(t, p)
		if got := *h.Project(full).Description; got != "Wheat\nYield" {
			t.Errorf("description %q", got)
		}
		h.Change(full, func(q *gitlabtest.Project) { q.Topics = []string{"by-hand"}; q.Name = "by hand" })
		p.Recorded, p.Forced = res.State, true
		h.push(t, p)
		if q := h.Project(full); fmt.Sprint(q.Topics) != "[demo]" || q.Name != "10.5447-IPK-2020-1 v2 - demo" {
			t.Errorf("project %+v", q)
		}
		h.Requests()
		h.push(t, p)
		for _, r := range h.Requests() {
			if r.Method == http.MethodPut {
				t.Error("metadata was written although nothing differs")
			}
		}
	})
}

// A project that the old system made is adopted: its history goes on, and nothing is made twice.
func TestAdoptProject(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		h.Add(group, arcID, arcID)
		old := gitlabtest.Commit(t, h.Dir(full), map[string]string{"isa.investigation.xlsx": "old", ".arc_hash": "0123", "studies/s1/README.md": ""})
		h.push(t, version(1))
		if parent := h.git(t, "rev-parse", "main^"); parent != old {
			t.Errorf("parent %s, want %s", parent, old)
		}
		if got := h.git(t, "ls-tree", "-r", "--name-only", "main"); got != "LICENSE\nassays/.gitkeep\nisa.investigation.xlsx" {
			t.Errorf("files:\n%s", got)
		}
		if p := h.Project(full); p.Name != "10.5447-IPK-2020-1 v2 - demo" {
			t.Errorf("title %q", p.Name)
		}
	})
}

// What the service before this one says to have pushed is taken over as it is, if the head
// was made since: git knows the second only.
func TestWhatWasPushedBeforeIsTakenOver(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		before := h.push(t, version(1))
		made, err := strconv.ParseInt(h.git(t, "log", "-1", "--format=%ct", "main"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		p := version(2)
		p.Adopt, p.When = true, time.Unix(made, 500_000_000)
		if res := h.push(t, p); !res.Adopted || res.Changed || res.Commit != before.Commit {
			t.Errorf("made in the same second: got %+v", res)
		}
		p.When = time.Unix(made+1, 0)
		if res := h.push(t, p); res.Adopted || !res.Changed {
			t.Errorf("older than what was pushed: got %+v", res)
		}
	})
}

// A list of files that never ends holds up a push no longer than any other request.
func TestAListThatHangs(t *testing.T) {
	t.Parallel()
	h := newHub(t, true, func(o *gitlab.Options) { o.RequestTimeout = 3 * time.Second })
	h.push(t, version(1))
	h.Script(func(r *http.Request) *gitlabtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/repository/tree") {
			return &gitlabtest.Fault{Hang: true}
		}
		return nil
	})
	h.refused(t, version(2), fault.RemoteTimeout)
}

// A project renamed within the group is followed; one moved out of it, marked for deletion or archived is refused with a remedy; one deleted for good is made anew.
func TestProjectChangedByOthers(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		first := h.push(t, version(1))
		h.Change(full, func(p *gitlabtest.Project) { p.PathWithNamespace = group + "/barley" })
		p := version(2)
		p.Recorded, p.Forced = first.State, true
		res := h.push(t, p)
		if res.Ref != group+"/barley.git" {
			t.Errorf("pushed to %s", res.Ref)
		}
		if head, err := h.remote.Head(t.Context(), arcID, res.Ref); err != nil || head != res.Commit {
			t.Errorf("head %q, %v", head, err)
		}
		h.Change(group+"/barley", func(p *gitlabtest.Project) { p.PathWithNamespace = full })

		day := "2026-03-08"
		for want, change := range map[fault.Code]func(p *gitlabtest.Project){
			fault.ProjectPendingDeletion: func(p *gitlabtest.Project) { p.MarkedForDeletionOn = &day },
			fault.ProjectArchived:        func(p *gitlabtest.Project) { p.Archived = true },
		} {
			h.Change(full, change)
			if f := h.refused(t, p, want); f.Class != fault.Refused || f.Fault.Remedy == "" {
				t.Errorf("failure %+v", f)
			}
			h.Change(full, func(p *gitlabtest.Project) { p.MarkedForDeletionOn, p.Archived = nil, false })
		}
		h.Change(full, func(p *gitlabtest.Project) { p.PathWithNamespace = "other/barley" })
		h.refused(t, p, fault.ProjectMoved)
		h.Remove("other/barley")
		p = version(3)
		p.Recorded = res.State
		again := h.push(t, p)
		if n := h.git(t, "rev-list", "--count", again.Commit); n != "1" {
			t.Errorf("%s commits in the new project", n)
		}
	})
}

// Two ARCs whose titles clean to the same get both a project; when even the second title is taken, the remedy says what to do.
func TestTitleTaken(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		h.Add(group, "other", "10.5447-IPK-2020-1 v2 - demo")
		p := version(1)
		p.Recorded = h.push(t, p).State
		if got, want := h.Project(full).Name, "10.5447-IPK-2020-1 v2 - demo - 00000000"; got != want {
			t.Errorf("title %q, want %q", got, want)
		}
		p.Forced = true
		h.push(t, p)
		h.Remove(full)
		h.Add(group, "another", "10.5447-IPK-2020-1 v2 - demo - 00000000")
		h.refused(t, version(1), fault.ProjectTitleTaken)
	})
}

// An identifier without any character that GitLab allows is the sender's to mend.
func TestNoTitle(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		p := version(1)
		p.Identifier = "Ячмень"
		if f := h.refused(t, p, fault.TitleInvalid); f.Class != fault.Invalid || f.Fault.Owner != fault.OwnerRDI {
			t.Errorf("failure %+v", f)
		}
	})
}

// A creation whose answer gets lost makes one project, not two, and no error.
func TestFlakyCreation(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		var once sync.Once
		h.Script(func(r *http.Request) (f *gitlabtest.Fault) {
			if r.Method == http.MethodPost && r.URL.Path == "/api/v4/projects" {
				once.Do(func() { f = &gitlabtest.Fault{CutSent: true} })
			}
			return f
		})
		h.push(t, version(1))
		posts := 0
		for _, r := range h.Requests() {
			if r.Method == http.MethodPost && r.Path == "/api/v4/projects" {
				posts++
			}
		}
		if posts != 1 {
			t.Errorf("%d requests to create", posts)
		}
	})
}

// What GitLab answers to REST calls means what the table of failures says; after a 429 no request is sent until GitLab allows it.
func TestRESTFailures(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Code{
		401: fault.TokenRejected, 403: fault.GroupForbidden, 422: fault.GitLabRefused, 429: fault.RateLimited,
		500: fault.RemoteError, 502: fault.RemoteError, 503: fault.RemoteDown,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			both(t, nil, func(t *testing.T, h *hub) {
				t.Helper()
				h.Script(func(r *http.Request) *gitlabtest.Fault {
					return &gitlabtest.Fault{Status: status, Header: http.Header{"Retry-After": {"9"}}, Body: `{"message":"` + r.Header.Get("Private-Token") + `"}`}
				})
				f := h.refused(t, version(1), want)
				if status != 429 {
					return
				}
				if f.Fault.RetryAfter != 9*time.Second || f.Class != fault.Incident {
					t.Errorf("failure %+v", f.Fault)
				}
				h.Requests()
				if f = h.refused(t, version(1), want); f.Fault.RetryAfter <= 0 || f.Fault.RetryAfter > 9*time.Second {
					t.Errorf("retry after %s", f.Fault.RetryAfter)
				}
				if n := len(h.Requests()); n != 0 {
					t.Errorf("%d requests in spite of the limit", n)
				}
			})
		})
	}
}

// A commit that GitLab refuses over REST fails for the reason that it gives; a limit of size is told from the hook that guards it.
func TestRefusedCommits(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]fault.Code{
		"You are not allowed to push into this branch":                                        fault.BranchProtected,
		"GitLab: You are not allowed to push code to protected branches on this project.":     fault.BranchProtected,
		"pre-receive hook declined":                                                           fault.HookDeclined,
		"Your push has been rejected, because this repository has exceeded its size limit":    fault.QuotaExceeded,
		"pre-receive hook declined: the repository has exceeded its size limit of 10 MB by 1": fault.QuotaExceeded,
		"pre-receive hook declined: an issue with this name already exists":                   fault.HookDeclined,
		"A file with this name already exists":                                                fault.HeadMoved,
		"Your push has been rejected, because the namespace storage limit has been reached":   fault.QuotaExceeded,
		"Could not update refs/heads/main. Please refresh and try again.":                     fault.HeadMoved,
		"Internal API unreachable":                                                            fault.RemoteError,
		"Commit message does not follow the pattern '^[A-Z]+-'":                               fault.PushRefused,
	} {
		h := newHub(t, true, nil)
		h.Script(func(r *http.Request) *gitlabtest.Fault {
			if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/repository/commits") {
				return nil
			}
			return &gitlabtest.Fault{Status: 400, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"message":"` + said + `"}`}
		})
		for range 8 { // every time
			if f := h.refused(t, version(1), want); !strings.Contains(f.Detail, said) {
				t.Errorf("%s: the detail is %q", want, f.Detail)
			}
		}
	}
}

// GitLab in maintenance reads and does not write: no project is blamed for it, whatever was to be written.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	for _, overREST := range []bool{true, false} {
		h := newHub(t, overREST, nil)
		maintenance := func(r *http.Request) *gitlabtest.Fault {
			if r.Method == http.MethodGet && r.URL.Query().Get("service") != "git-receive-pack" {
				return nil
			}
			return &gitlabtest.Fault{
				Status: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}},
				Body: `{"message":"You cannot perform write operations on a read-only instance."}`,
			}
		}
		h.Script(maintenance)
		h.refused(t, version(1), fault.RemoteReadOnly) // would have made the project
		h.Script(nil)
		h.push(t, version(1))
		h.Script(maintenance)
		h.refused(t, version(2), fault.RemoteReadOnly)
		renamed := version(1)
		renamed.Title = "another title"
		h.refused(t, renamed, fault.RemoteReadOnly)
		h.Script(nil)
		h.push(t, version(2))
	}
}

// A project that was just made may have no repository yet: the push is tried again, not parked.
func TestTheRepositoryComesLater(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		h.Script(func(r *http.Request) *gitlabtest.Fault {
			if !strings.HasSuffix(r.URL.Path, "/info/refs") && !strings.HasSuffix(r.URL.Path, "/repository/commits") {
				return nil
			}
			return &gitlabtest.Fault{Status: 404, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"message":"404 Repository Not Found"}`}
		})
		if f := h.refused(t, version(1), fault.RemoteError); f.Class != fault.Transient {
			t.Errorf("class %s, want it tried again", f.Class)
		}
		h.Script(nil)
		h.push(t, version(1))
	})
}

// When GitLab says that no requests are left, none is sent before the time it names.
func TestRateHeadersAreObeyed(t *testing.T) {
	t.Parallel()
	h := newHub(t, true, nil)
	reset := time.Now().Add(time.Hour).Unix()
	h.Script(func(*http.Request) *gitlabtest.Fault {
		return &gitlabtest.Fault{Status: 404, Header: http.Header{"Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {fmt.Sprint(reset)}}, Body: `{"message":"404"}`}
	})
	f := h.refused(t, version(1), fault.RateLimited)
	if f.Fault.RetryAfter < 59*time.Minute || len(h.Requests()) != 1 {
		t.Errorf("failure %+v", f.Fault)
	}
}

// A missing group and a revoked token are found by Check, and are incidents for the operator.
func TestCheck(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		if err := h.remote.Check(t.Context()); err != nil {
			t.Errorf("sound: %v", err)
		}
		h.RenameGroup(group, "hub/elsewhere")
		if f := remote.FailureOf(h.remote.Check(t.Context())); f == nil || f.Fault.Code != fault.GroupMissing {
			t.Errorf("the group is gone since: %v", f)
		}
		h.RenameGroup("hub/elsewhere", group)
		h.Revoke("another")
		if f := remote.FailureOf(h.remote.Check(t.Context())); f == nil || f.Fault.Code != fault.TokenRejected {
			t.Errorf("revoked: %v", f)
		}
		h.refused(t, version(1), fault.TokenRejected)
	})
	both(t, func(o *gitlab.Options) { o.Group = "nobody" }, func(t *testing.T, h *hub) {
		t.Helper()
		if f := h.refused(t, version(1), fault.GroupMissing); f.Class != fault.Incident || f.Fault.Owner != fault.OwnerOperator {
			t.Errorf("failure %+v", f)
		}
	})
}

// A commit of a curator gets ours on top, or parks the ARC, as configured.
func TestForeignCommit(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		first := h.push(t, version(1))
		theirs := gitlabtest.Commit(t, h.Dir(full), map[string]string{"NOTES.md": "mine"})
		p := version(2)
		p.Recorded = first.State
		if res := h.push(t, p); res.Foreign != theirs {
			t.Errorf("result %+v", res)
		}
		if parent := h.git(t, "rev-parse", "main^"); parent != theirs {
			t.Errorf("parent %s", parent)
		}
	})
	both(t, func(o *gitlab.Options) { o.OnForeign, o.Git.OnForeign = git.Park, git.Park }, func(t *testing.T, h *hub) {
		t.Helper()
		first := h.push(t, version(1))
		gitlabtest.Commit(t, h.Dir(full), map[string]string{"NOTES.md": "mine"})
		p := version(2)
		p.Recorded = first.State
		h.refused(t, p, fault.ForeignCommit)
		p.Forced = true
		h.refused(t, p, fault.ForeignCommit)
		h.git(t, "update-ref", "refs/heads/main", first.Commit)
		h.push(t, p)

		// What was there before the first record, and what is recorded, is no such commit.
		theirs := gitlabtest.Commit(t, h.Dir(full), map[string]string{"isa.investigation.xlsx": "PK\xff3"})
		found := h.push(t, version(3))
		if found.Changed || found.Commit != theirs {
			t.Errorf("without a record: %+v, want what is there", found)
		}
		p = version(4)
		p.Recorded, p.Forced = found.State, true
		if res := h.push(t, p); !res.Changed || res.Foreign != "" {
			t.Errorf("upon the recorded commit: %+v, want ours", res)
		}
	})
}

// With the policy keep, files that a curator added or changed elsewhere stay through later pushes, also when the record of one was lost; what the ARC itself holds is ours, and what left it leaves.
func TestForeignCommitIsKept(t *testing.T) {
	t.Parallel()
	both(t, func(o *gitlab.Options) { o.OnForeign, o.Git.OnForeign = git.Keep, git.Keep }, func(t *testing.T, h *hub) {
		t.Helper()
		first := h.push(t, version(1))
		theirs := gitlabtest.Commit(t, h.Dir(full), map[string]string{"NOTES.md": "mine", "docs/a.md": "theirs", "isa.investigation.xlsx": "edited"})
		p := version(2)
		p.Files = p.Files[:2] // LICENSE left
		p.Recorded = first.State
		second := h.push(t, p)
		want := "NOTES.md\nassays/.gitkeep\ndocs/a.md\nisa.investigation.xlsx"
		look := func(why string) {
			t.Helper()
			if got := h.git(t, "ls-tree", "-r", "--name-only", "main"); got != want {
				t.Errorf("%s: files:\n%s", why, got)
			}
		}
		look("on top of theirs")
		if got := h.git(t, "show", "main:isa.investigation.xlsx"); got != "PK\xff2" || second.Foreign != theirs {
			t.Errorf("content %q, result %+v", got, second)
		}
		p = version(3)
		p.Files, p.Recorded = p.Files[:2], second.State
		third := h.push(t, p)
		look("the next version")
		p.Recorded = first.State
		again := h.push(t, p)
		look("after two lost records")
		if again.Commit != third.Commit {
			t.Errorf("a lost record made another commit")
		}
		p.Forced, p.Recorded = true, again.State
		h.push(t, p)
		look("asked for by hand")
		p = version(4)
		p.Files, p.Recorded = append(p.Files[:2:2], remote.File{Path: "docs/a.md", Content: text("ours now")}), again.State
		fourth := h.push(t, p)
		look("the ARC has a file of that name")
		p = version(5)
		p.Files, p.Recorded = p.Files[:2], fourth.State
		want = "NOTES.md\nassays/.gitkeep\nisa.investigation.xlsx"
		h.push(t, p)
		look("the file left the ARC")
	})
}

// A repository of the old stack with links, submodules, programs and files for large-file storage becomes the ARC in one push, and stays readable for git.
func TestAdoptUnusualEntries(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		h.Add(group, arcID, arcID)
		old := unusual(t, h.Dir(full))
		res := h.push(t, version(1))
		if got := h.git(t, "ls-tree", "-r", "--format=%(objectmode) %(path)", "main"); got != "100644 LICENSE\n100644 assays/.gitkeep\n100644 isa.investigation.xlsx" {
			t.Errorf("files:\n%s", got)
		}
		if parent := h.git(t, "rev-parse", "main^"); parent != old {
			t.Errorf("parent %s, want %s", parent, old)
		}
		if got := h.git(t, "show", "main:isa.investigation.xlsx"); got != "PK\xff1" {
			t.Errorf("content %q", got)
		}
		h.git(t, "fsck", "--strict", "--no-dangling")
		p := version(2)
		p.Recorded = res.State
		h.push(t, p)
	})
	both(t, func(o *gitlab.Options) { o.OnForeign, o.Git.OnForeign = git.Keep, git.Keep }, func(t *testing.T, h *hub) {
		t.Helper()
		h.Add(group, arcID, arcID)
		unusual(t, h.Dir(full))
		h.push(t, version(1))
		want := "100644 .gitattributes\n100644 .gitmodules\n100644 LICENSE\n100644 assays/.gitkeep\n100644 data.bin\n100644 isa.investigation.xlsx\n120000 link\n160000 module\n100755 run.sh"
		if got := h.git(t, "ls-tree", "-r", "--format=%(objectmode) %(path)", "main"); got != want {
			t.Errorf("files:\n%s", got)
		}
		h.git(t, "fsck", "--strict", "--no-dangling")
	})
}

// A link at the place of a file of the ARC gives way to the file, also one whose target
// reads like the content: to git the two are the same object.
func TestALinkInTheWayBecomesAFile(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		first := h.push(t, version(1))
		work := t.TempDir()
		gitlabtest.MustGit(t, "", "clone", "--quiet", h.Dir(full), work)
		for name, target := range map[string]string{"LICENSE": "free", "isa.investigation.xlsx": "elsewhere"} {
			if err := os.Remove(filepath.Join(work, name)); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, filepath.Join(work, name)); err != nil {
				t.Fatal(err)
			}
		}
		gitlabtest.MustGit(t, work, "commit", "--quiet", "--all", "-m", "Link")
		gitlabtest.MustGit(t, work, "push", "--quiet", "origin", "HEAD:main")
		p := version(1)
		p.Recorded = first.State
		h.push(t, p)
		want := "100644 LICENSE\n100644 assays/.gitkeep\n100644 isa.investigation.xlsx"
		if got := h.git(t, "ls-tree", "-r", "--format=%(objectmode) %(path)", "main"); got != want {
			t.Errorf("files:\n%s\nwant:\n%s", got, want)
		}
		if got := h.git(t, "show", "main:isa.investigation.xlsx") + h.git(t, "show", "main:LICENSE"); got != "PK\xff1free" {
			t.Errorf("contents %q", got)
		}
	})
}

// unusual puts a commit with every kind of entry on a repository, some in the way
// of the ARC's own files.
func unusual(tb testing.TB, repo string) string {
	tb.Helper()
	gitlabtest.Commit(tb, repo, map[string]string{
		".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
		"data.bin":       "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n",
		"run.sh":         "#!/bin/sh\n", "isa.investigation.xlsx": "old", "LICENSE": "free",
		".gitmodules": "[submodule \"module\"]\n\tpath = module\n\turl = ../module.git\n",
	})
	work := tb.TempDir()
	gitlabtest.MustGit(tb, "", "clone", "--quiet", repo, work)
	for _, args := range [][]string{
		{"update-index", "--chmod=+x", "run.sh", "LICENSE"},
		{"update-index", "--add", "--cacheinfo", "160000,0123456789012345678901234567890123456789,module"},
	} {
		gitlabtest.MustGit(tb, work, args...)
	}
	for _, name := range []string{"link", "isa.investigation.xlsx"} {
		_ = os.Remove(filepath.Join(work, name))
		if err := os.Symlink("run.sh", filepath.Join(work, name)); err != nil {
			tb.Fatal(err)
		}
		gitlabtest.MustGit(tb, work, "add", name)
	}
	gitlabtest.MustGit(tb, work, "commit", "--quiet", "-m", "Add links")
	gitlabtest.MustGit(tb, work, "push", "--quiet", "origin", "HEAD:main")
	return gitlabtest.MustGit(tb, work, "rev-parse", "HEAD")
}

// Over REST many files go in several commits; a sequence that breaks off is completed by the next push.
func TestChunks(t *testing.T) {
	t.Parallel()
	h := newHub(t, true, func(o *gitlab.Options) { o.ChunkSize = 100 })
	p := version(1)
	for n := range 250 {
		p.Files = append(p.Files, remote.File{Path: fmt.Sprintf("studies/s%03d/README.md", n), Content: text(fmt.Sprint(n))})
	}
	commits := 0
	h.Script(func(r *http.Request) *gitlabtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/repository/commits") {
			if commits++; commits == 2 {
				return &gitlabtest.Fault{Status: 502}
			}
		}
		return nil
	})
	h.refused(t, p, fault.RemoteError)
	h.Script(nil)
	h.push(t, p)
	if got := len(strings.Split(h.git(t, "ls-tree", "-r", "--name-only", "main"), "\n")); got != 253 {
		t.Errorf("%d files", got)
	}
	subjects := h.git(t, "log", "--format=%s")
	if want := "Add/update ARC " + arcID + " (part 1/3)"; !strings.Contains(subjects, want) {
		t.Errorf("messages:\n%s\nwant %s", subjects, want)
	}
	p.Files = p.Files[:3]
	res := h.push(t, p)
	if got := len(strings.Split(h.git(t, "ls-tree", "-r", "--name-only", "main"), "\n")); got != 3 || !res.Changed {
		t.Errorf("%d files left", got)
	}
}

// GitLab puts a commit upon whatever is there by then. If that is another head than
// the one that was looked at, this is noticed, and looked at again.
func TestBranchMovesUnderACommit(t *testing.T) {
	t.Parallel()
	h := newHub(t, true, nil)
	p := version(2)
	p.Recorded = h.push(t, version(1)).State
	var once sync.Once
	h.Script(func(r *http.Request) *gitlabtest.Fault {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/repository/commits") {
			once.Do(func() { gitlabtest.Commit(t, h.Dir(full), map[string]string{"NOTES.md": "mine"}) })
		}
		return nil
	})
	res := h.push(t, p)
	if head := h.git(t, "rev-parse", "main"); head != res.Commit {
		t.Errorf("head %s, result %+v", head, res)
	}
	if files := h.git(t, "ls-tree", "-r", "--name-only", "main"); strings.Contains(files, "NOTES.md") {
		t.Errorf("there is more than the ARC:\n%s", files)
	}
}

// A forced push believes no record of the files, over git as over REST.
func TestAForcedPushBelievesNoRecord(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		first, err := remote.DecodeSnapshot(h.push(t, version(1)).State)
		if err != nil {
			t.Fatal(err)
		}
		p := version(2)
		p.Recorded = first.Encode()
		second, err := remote.DecodeSnapshot(h.push(t, p).State)
		if err != nil {
			t.Fatal(err)
		}
		second.Entries = first.Entries // those of version 1, at the head of version 2
		p = version(1)
		p.Recorded = second.Encode()
		if res := h.push(t, p); res.Changed {
			t.Fatalf("got %+v, want the record believed", res)
		}
		p.Forced = true
		if res := h.push(t, p); !res.Changed {
			t.Errorf("got %+v, want version 1 pushed", res)
		}
	})
}

// Over REST nothing is committed by somebody who lost the ARC.
func TestGuardOverREST(t *testing.T) {
	t.Parallel()
	h := newHub(t, true, nil)
	p := version(1)
	p.Guard = func(context.Context) error { return fmt.Errorf("lease is gone") }
	h.refused(t, p, fault.LeaseLost)
	if n, err := gitlabtest.Git(h.Dir(full), "rev-list", "--count", "--all"); err != nil || n != "0" {
		t.Errorf("%s commits, %v", n, err)
	}
}

// Beyond the budget for new projects an ARC is told its turn and nothing is created; a project that is there needs none.
func TestCreationBudget(t *testing.T) {
	t.Parallel()
	wait := time.Duration(0)
	var broken error
	var asked []string
	turn := func(_ context.Context, arcID string) (time.Duration, error) {
		asked = append(asked, arcID)
		if broken != nil {
			return 0, broken
		}
		return wait, nil
	}
	h := newHub(t, false, func(o *gitlab.Options) { o.Turn = turn })
	h.push(t, version(1))
	wait = 5 * time.Minute
	p := version(1)
	p.ARC = fmt.Sprintf("%064x", 1)
	p.Identifier = "second"
	h.Requests()
	f := h.refused(t, p, fault.CreationBudgetSpent)
	if f.Class != fault.Transient || f.Fault.RetryAfter != wait {
		t.Errorf("%s, again in %s, want transient in %s", f.Class, f.Fault.RetryAfter, wait)
	}
	for _, r := range h.Requests() {
		if r.Method == http.MethodPost {
			t.Errorf("%s %s without a turn", r.Method, r.Path)
		}
	}
	again := version(2)
	again.Recorded = nil
	h.push(t, again)
	broken = errors.New("the database is away")
	if f := h.refused(t, p, fault.InternalError); f.Class != fault.Transient {
		t.Errorf("without a database: %+v", f)
	}
	if want := []string{arcID, p.ARC, p.ARC}; !slices.Equal(asked, want) {
		t.Errorf("asked for turns of %v, want %v", asked, want)
	}
}
