package git_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"go.uber.org/goleak"

	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/testenv/supervise"
)

func TestMain(m *testing.M) {
	supervise.Main()
	if root := os.Getenv(pushRoot); root != "" {
		pushOnce(root)
	}
	gitlabtest.ServeApart()
	goleak.VerifyTestMain(m)
}

const (
	group = "arcs/plants"
	token = "glpat-very-secret-token-0815"
	arcID = "00000000000000000000000000000000000000000000000000000000000000aa"
)

var stored = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// text is the content of a file.
type text string

func (t text) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(t))
	return int64(n), err
}

func files(kv ...string) []remote.File {
	var out []remote.File
	for i := 0; i < len(kv); i += 2 {
		out = append(out, remote.File{Path: kv[i], Content: text(kv[i+1])})
	}
	return out
}

func version(n int) *remote.Push {
	return &remote.Push{
		ARC: arcID, RDI: "demo", When: stored.Add(time.Duration(n) * time.Minute),
		Files: files("isa.investigation.xlsx", fmt.Sprint("version ", n), "assays/.gitkeep", "", "studies/.gitkeep", "", "studies/a/README.md", "", "LICENSE", "free"),
	}
}

// bench is a remote with its repository on disk.
type bench struct {
	*git.Remote
	server *gitlabtest.Server
	repo   string // folder of the bare repository
}

func overHTTP(tb testing.TB, change func(*git.Options)) *bench {
	tb.Helper()
	s := gitlabtest.NewServer(tb)
	s.Accept(token)
	repo := s.Repo(group, arcID)
	opt := git.Options{URL: s.URL + "/", Group: "/" + group + "/", Token: token, CommandTimeout: 20 * time.Second}
	return &bench{open(tb, opt, change), s, repo}
}

func overFile(tb testing.TB, change func(*git.Options)) *bench {
	tb.Helper()
	root := tb.TempDir()
	return &bench{open(tb, git.Options{URL: "file://" + root, Group: group}, change), nil, root + "/" + group + "/" + arcID + ".git"}
}

func open(tb testing.TB, opt git.Options, change func(*git.Options)) *git.Remote {
	tb.Helper()
	if change != nil {
		change(&opt)
	}
	r, err := git.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

func (b *bench) push(tb testing.TB, p *remote.Push) remote.Result {
	tb.Helper()
	res, err := b.Push(tb.Context(), p)
	if err != nil {
		tb.Fatalf("push: %v", err)
	}
	if head := b.git(tb, "rev-parse", "main"); head != res.Commit {
		tb.Fatalf("result says %s, head of the repository is %s", res.Commit, head)
	}
	return res
}

func (b *bench) git(tb testing.TB, args ...string) string {
	tb.Helper()
	return gitlabtest.MustGit(tb, b.repo, args...)
}

// refused pushes and wants the failure of the given code.
func (b *bench) refused(tb testing.TB, p *remote.Push, want string) *remote.Failure {
	tb.Helper()
	res, err := b.Push(tb.Context(), p)
	if err == nil {
		tb.Fatalf("push gave %+v, want failure %s", res, want)
	}
	f := remote.FailureOf(err)
	if string(f.Fault.Code) != want {
		tb.Fatalf("push failed with %s (%v), want %s", f.Fault.Code, err, want)
	}
	if strings.Contains(err.Error(), token) {
		tb.Fatalf("the token is in the error: %v", err)
	}
	return f
}

func both(t *testing.T, change func(*git.Options), test func(t *testing.T, b *bench)) {
	t.Helper()
	t.Run("http", func(t *testing.T) { t.Parallel(); test(t, overHTTP(t, change)) })
	t.Run("file", func(t *testing.T) { t.Parallel(); test(t, overFile(t, change)) })
}

// A first push fills an empty or missing repository with exactly the files of the ARC, on the configured branch, as a sound repository.
func TestFirstPush(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		res := b.push(t, version(1))
		if !res.Changed || res.Foreign != "" {
			t.Errorf("result %+v", res)
		}
		want := "LICENSE\nassays/.gitkeep\nisa.investigation.xlsx\nstudies/.gitkeep\nstudies/a/README.md"
		if got := b.git(t, "ls-tree", "-r", "--name-only", "HEAD"); got != want {
			t.Errorf("files at HEAD:\n%s\nwant:\n%s", got, want)
		}
		if got := b.git(t, "show", "main:isa.investigation.xlsx"); got != "version 1" {
			t.Errorf("content %q", got)
		}
		b.git(t, "fsck", "--strict", "--no-dangling")
		got := b.git(t, "log", "--date=raw", "--format=%an <%ae>|%cn <%ce>|%ad|%s") // raw: versions of git write UTC differently
		who := "Middleware API <middleware@fairagro.net>"
		if want := who + "|" + who + "|1772359260 +0000|Update ARC " + arcID; got != want {
			t.Errorf("commit %q, want %q", got, want)
		}
	})
}

// An update takes two HTTP requests, sends only what changed, and removes files that left the ARC.
func TestUpdateSendsOnlyTheDifference(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	first := b.push(t, version(1))
	b.server.Requests()
	p := version(2)
	p.Files = p.Files[:4] // LICENSE left
	p.Recorded = first.State
	res := b.push(t, p)
	reqs := b.server.Requests()
	if len(reqs) != 2 || reqs[0].Method != http.MethodGet || reqs[1].Method != http.MethodPost {
		t.Errorf("requests %+v, want one GET and one POST", reqs)
	}
	if res.Objects != 3 { // workbook, root tree, commit
		t.Errorf("sent %d objects, want 3", res.Objects)
	}
	if got := b.git(t, "ls-tree", "-r", "--name-only", "HEAD"); strings.Contains(got, "LICENSE") {
		t.Errorf("LICENSE is still there:\n%s", got)
	}
	if parent := b.git(t, "rev-parse", "main^"); parent != first.Commit {
		t.Errorf("parent %s, want %s", parent, first.Commit)
	}
	b.git(t, "fsck", "--strict")
}

// The same version again pushes nothing.
func TestUnchangedPushesNothing(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		first := b.push(t, version(1))
		again := version(1)
		again.When = again.When.Add(time.Hour)
		again.Recorded = first.State
		res := b.push(t, again)
		if res.Changed || res.Commit != first.Commit {
			t.Errorf("second push %+v, want no change on %s", res, first.Commit)
		}
		if n := b.git(t, "rev-list", "--count", "main"); n != "1" {
			t.Errorf("%s commits", n)
		}
	})
}

// A push whose record was lost is recognised by the head: no second commit, whether the same or a newer version follows.
func TestLostRecord(t *testing.T) {
	t.Parallel()
	both(t, func(o *git.Options) { o.OnForeign = git.Park }, func(t *testing.T, b *bench) {
		t.Helper()
		first := b.push(t, version(1))
		second := version(2)
		second.Recorded = first.State
		done := b.push(t, second)
		res := b.push(t, second)                                         // as if the result of the push before had never been recorded
		if !res.Recovered || !res.Changed || res.Commit != done.Commit { // to be recorded as news
			t.Errorf("repeated push %+v, want recovery of %s", res, done.Commit)
		}
		third := version(3)
		third.Recorded = first.State
		if res = b.push(t, third); !res.Changed || res.Foreign != "" {
			t.Errorf("newer push on a lost record: %+v", res)
		}
		if parent := b.git(t, "rev-parse", "main^"); parent != done.Commit {
			t.Errorf("parent %s, want %s", parent, done.Commit)
		}
		if res = b.push(t, version(3)); res.Changed { // nothing recorded at all
			t.Errorf("push without any record made a commit: %+v", res)
		}
	})
}

// A push that lost its lease does not go on top of a head that another one made.
func TestGuardStopsAStalePush(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	first := b.push(t, version(1))
	newer := version(3)
	newer.Recorded = first.State
	b.push(t, newer)
	stale := version(2)
	stale.Recorded = first.State
	stale.Guard = func(context.Context) error { return fmt.Errorf("lease is gone") }
	b.refused(t, stale, "lease_lost")
	if got := b.git(t, "show", "main:isa.investigation.xlsx"); got != "version 3" {
		t.Errorf("content %q", got)
	}
}

// Two pushes on the same recorded head: the server takes one, and the other starts anew on top of it.
func TestBranchMovesUnderThePush(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	first := b.push(t, version(1))
	gitlabtest.Hook(t, b.repo, "pre-receive", "") // slow enough or not: the outcome is the same
	errs := make(chan error, 2)
	for n := 2; n <= 3; n++ {
		go func() {
			p := version(n)
			p.Recorded = first.State
			_, err := b.Push(t.Context(), p)
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := b.git(t, "rev-list", "--count", "main"); n != "3" {
		t.Errorf("%s commits, want 3", n)
	}
}

// Whoever asks for a push by hand does not believe the record: what it says of the
// files at the very head is looked up.
func TestAForcedPushBelievesNoRecord(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	head := plumbing.NewHash(b.push(t, version(1)).Commit)
	wrong, err := remote.DecodeSnapshot(overFile(t, nil).push(t, version(2)).State)
	if err != nil {
		t.Fatal(err)
	}
	copy(wrong.Head[:], head[:]) // the files of version 2 at the head of version 1
	p := version(2)
	p.Recorded = wrong.Encode()
	if res := b.push(t, p); res.Changed {
		t.Fatalf("got %+v, want the record believed", res)
	}
	p.Forced = true
	if res := b.push(t, p); !res.Changed || b.git(t, "show", "main:isa.investigation.xlsx") != "version 2" {
		t.Errorf("got %+v, want version 2 pushed", res)
	}
}
