package gitsync_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

func TestMain(m *testing.M) {
	gitlabtest.ServeApart()
	if os.Getenv(childVariable) != "" {
		child()
	}
	// The test cluster lives as long as the process, with whoever watches it.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/fairagro/middleware-api/internal/pgtest.(*server).hireJanitor.func1"),
		goleak.IgnoreAnyFunction("github.com/fairagro/middleware-api/internal/pgtest.(*server).start.func1"))
}

const (
	group = "arcs"
	token = "glpat-very-secret-token-0815"
)

// rig is a database, a remote and whatever synchronises between them.
type rig struct {
	dsn   string
	store *store.Store
	root  string // folder of the repositories
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	return rigOn(tb, pgtest.DSN(tb))
}

func rigOn(tb testing.TB, dsn string) *rig {
	tb.Helper()
	r := &rig{dsn: dsn, root: tb.TempDir()}
	st, err := store.Open(context.Background(), store.Options{DSN: r.dsn}) //nolint:usetesting // closed after the test's context
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(st.Close)
	r.store = st
	return r
}

// fileRemote pushes into the rig's folder.
func (r *rig) fileRemote(tb testing.TB) *git.Remote {
	tb.Helper()
	return openGit(tb, git.Options{URL: "file://" + r.root, Group: group})
}

func openGit(tb testing.TB, opt git.Options) *git.Remote {
	tb.Helper()
	g, err := git.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(g.Close)
	return g
}

// run synchronises until the returned function is called, or the test ends.
func (r *rig) run(tb testing.TB, to remote.Remote, change func(*gitsync.Options)) (stop func()) {
	tb.Helper()
	opt := options()
	if change != nil {
		change(&opt)
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // stopped by hand
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := gitsync.New(r.store, to, opt).Run(ctx); err != nil {
			tb.Errorf("run: %v", err)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	tb.Cleanup(stop)
	return stop
}

func options() gitsync.Options {
	return gitsync.Options{
		Build: build, Lease: time.Second, Poll: 500 * time.Millisecond, Backoff: 10 * time.Millisecond,
		BackoffMax: 100 * time.Millisecond, ProbeMax: 50 * time.Millisecond, Drain: 5 * time.Second,
	}
}

// build makes an ARC of one changing and some constant files.
func build(document []byte) (gitsync.Built, error) {
	switch {
	case strings.HasPrefix(string(document), "panic"):
		panic("a bug that this ARC finds")
	case strings.HasPrefix(string(document), "invalid"):
		return gitsync.Built{Findings: []store.Finding{{Code: "root-missing", Severity: store.SeverityError, Pointer: "/@graph", Text: "there is no root"}}},
			remote.Fail(fault.ARCUnconvertible, fmt.Errorf("/@graph: is missing"))
	}
	return gitsync.Built{Files: []remote.File{
		{Path: "isa.investigation.xlsx", Content: text(document)},
		{Path: "assays/.gitkeep", Content: text("")},
		{Path: "studies/.gitkeep", Content: text("")},
	}}, nil
}

type text string

func (t text) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(t))
	return int64(n), err
}

var encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))

func arcID(name string) store.ID { return sha256.Sum256([]byte(name)) }

// submit stores a version of an ARC.
func (r *rig) submit(tb testing.TB, name, document string) store.ID {
	tb.Helper()
	id := arcID(name)
	_, err := r.store.Submit(context.Background(), &store.Submission{ //nolint:usetesting // also from helpers that outlive it
		ID: id, RDI: "demo", Identifier: name, Name: "Title of " + name, Hash: sha256.Sum256([]byte(document)), Size: int64(len(document)),
		Content: func() []byte { return encoder.EncodeAll([]byte(document), nil) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// state is what anybody can read of an ARC.
func (r *rig) state(tb testing.TB, id store.ID) store.ARC {
	tb.Helper()
	a, err := r.store.ARC(context.Background(), id) //nolint:usetesting // also from helpers that outlive it
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func (r *rig) awaitState(tb testing.TB, id store.ID, want string) store.ARC {
	tb.Helper()
	var a store.ARC
	testenv.Await(tb, "the ARC is "+want, func() bool {
		a = r.state(tb, id)
		return string(a.Git.State) == want
	})
	return a
}

// awaitPause waits until the remote is paused.
func (r *rig) awaitPause(tb testing.TB) (now store.Remote) {
	tb.Helper()
	testenv.Await(tb, "the remote is paused", func() bool {
		var err error
		now, err = r.store.Remote(context.Background(), "git") //nolint:usetesting // as above
		return err == nil && now.Paused
	})
	return now
}

func (r *rig) repo(id store.ID) string { return filepath.Join(r.root, group, id.String()+".git") }

func (r *rig) git(tb testing.TB, id store.ID, args ...string) string {
	tb.Helper()
	return gitlabtest.MustGit(tb, r.repo(id), args...)
}

func (r *rig) content(tb testing.TB, id store.ID) string {
	tb.Helper()
	return r.git(tb, id, "show", "main:isa.investigation.xlsx")
}

func (r *rig) eventCount(tb testing.TB, id store.ID, kind string) (n int) {
	tb.Helper()
	events, err := r.store.Events(context.Background(), id) //nolint:usetesting // also from helpers that outlive it
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range events {
		if e.Type == kind {
			n++
		}
	}
	return n
}

func (r *rig) events(tb testing.TB, id store.ID) []store.Event {
	tb.Helper()
	events, err := r.store.Events(context.Background(), id) //nolint:usetesting // also from helpers that outlive it
	if err != nil {
		tb.Fatal(err)
	}
	return events
}

// trouble lets every fourth request fail, each time in another way.
func trouble() gitlabtest.Script {
	var mu sync.Mutex
	n := 0
	faults := []*gitlabtest.Fault{
		{Status: 502, Body: token}, {CutSent: true}, {Status: 429, Header: map[string][]string{"Retry-After": {"1"}}}, {Refuse: true}, {CutBody: 20}, {Status: 503},
	}
	return func(*http.Request) *gitlabtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%4 != 0 {
			return nil
		}
		return faults[(n/4)%len(faults)]
	}
}
