package gitsync_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlab"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// prey is a token that nothing else on the machine holds.
const prey = "glpat-hunted_4711-QxZ~0815"

// forms are the ways in which the token could be written, base64 at every offset of a user's name.
func forms() []string {
	out := []string{prey}
	for pad := range 3 {
		s := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("u", pad) + prey))
		out = append(out, s[4:len(s)-4])
	}
	for _, s := range out[:len(out):len(out)] {
		out = append(out, hex.EncodeToString([]byte(s))) // binary columns
	}
	return out
}

// hunter looks for the token.
type hunter struct {
	tb      testing.TB
	folders []string
	mu      sync.Mutex
	seen    map[string]bool // git commands that were looked at
	files   int
}

func (h *hunter) search(what string, data []byte) {
	for _, f := range forms() {
		if bytes.Contains(data, []byte(f)) {
			h.tb.Errorf("the token is in %s", what)
		}
	}
}

// look searches the git processes that run now, and every file.
func (h *hunter) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) < 2 || f[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		argv, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !bytes.HasPrefix(argv, []byte("git\x00")) {
			continue // the server's own children have another name
		}
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		h.search("the arguments of git", argv)
		h.search("the environment of git", environ)
		for _, word := range strings.Split(string(argv), "\x00") {
			h.seen[word] = true
		}
	}
	for _, folder := range h.folders {
		_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // files come and go while we look
			}
			if data, err := os.ReadFile(path); err == nil {
				h.files++
				h.search(path, data)
			}
			return nil
		})
	}
}

// spy is a file whose content is written while others look.
type spy struct {
	look  func()
	text  string
	panic bool
}

func (s spy) WriteTo(w io.Writer) (int64, error) {
	s.look()
	if s.panic {
		panic("a bug in a writer")
	}
	n, err := io.WriteString(w, s.text)
	return int64(n), err
}

// The access token is in nothing that is written, whatever happens to a push, in memory and through git: not in log, spans, database, files, or arguments and environment of git.
func TestTokenHunt(t *testing.T) { //nolint:paralleltest // has its own folders for the whole process
	r := newRig(t)
	work, temp, scratch := t.TempDir(), t.TempDir(), t.TempDir()
	t.Chdir(work)
	t.Setenv("TMPDIR", temp)
	h := &hunter{tb: t, folders: []string{work, temp, scratch}, seen: map[string]bool{}}
	hub := gitlabtest.NewGitLab(t, prey, "hub")
	log := &lines{}
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))

	var strangers bytes.Buffer // what another host is sent
	var mu sync.Mutex
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&strangers, "%s %v\n", q.URL, q.Header)
	}))
	t.Cleanup(other.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	rude := func(q *http.Request) string {
		_, password, _ := q.BasicAuth()
		return fmt.Sprint("you sent ", q.Header, " ", password)
	}
	cases := []struct {
		name, state string
		url         string
		hook        string
		script      gitlabtest.Script
		panic       bool
	}{
		{name: "success", state: "synced"},
		{name: "hook", state: "parked", hook: `echo "no: $HTTP_AUTHORIZATION" >&2; env >&2; exit 1`},
		{name: "refused", state: "parked", script: func(q *http.Request) *gitlabtest.Fault {
			if q.Method == http.MethodPost && !strings.Contains(q.URL.Path, "/api/") {
				return &gitlabtest.Fault{Status: http.StatusForbidden, Body: rude(q)}
			}
			return nil
		}},
		{name: "redirect", state: "failing", script: func(q *http.Request) *gitlabtest.Fault {
			if strings.Contains(q.URL.Path, "/api/") {
				return nil
			}
			return &gitlabtest.Fault{Status: http.StatusFound, Body: rude(q), Header: http.Header{"Location": {other.URL + "/?" + q.URL.RawQuery}}}
		}},
		{name: "handler", state: "failing", script: func(q *http.Request) *gitlabtest.Fault {
			if q.Method == http.MethodPost && !strings.Contains(q.URL.Path, "/api/") {
				panic(http.ErrAbortHandler)
			}
			return nil
		}},
		{name: "panic", state: "failing", panic: true},
		{name: "tls", state: "due", url: secure.URL},
	}
	for _, large := range []bool{false, true} {
		for _, c := range cases {
			opt := gitlab.Options{
				URL: hub.URL, Group: "hub", Token: prey, Git: git.Options{ScratchDir: scratch},
				Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			}
			if large {
				opt.Git.MemoryLimit = 10
			}
			if c.url != "" {
				opt.URL = c.url
			}
			to, err := gitlab.New(opt)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprint(c.name, " ", large)
			id := arcID(name)
			hub.Add("hub", id.String(), name)
			if c.hook != "" {
				gitlabtest.Hook(t, hub.Dir("hub/"+id.String()), "pre-receive", c.hook)
			}
			hub.Script(func(q *http.Request) *gitlabtest.Fault {
				h.look()
				if c.script == nil {
					return nil
				}
				return c.script(q)
			})
			r.submit(t, name, name)
			stop := r.run(t, to, func(o *gitsync.Options) {
				o.Log, o.Tracer = opt.Log, provider.Tracer("")
				o.Build = func(document []byte) (gitsync.Built, error) {
					return gitsync.Built{Files: []remote.File{{Path: "isa.investigation.xlsx", Content: spy{h.look, string(document), c.panic}}}}, nil
				}
			})
			if c.state == "due" {
				testenv.Await(t, "the remote is paused", func() bool {
					now, err := r.store.Remote(t.Context(), "git")
					return err == nil && now.Paused
				})
			} else {
				r.awaitState(t, id, c.state)
			}
			if _, err := to.Head(t.Context(), id.String(), ""); err != nil {
				h.search("an error", fmt.Appendf(nil, "%v %+v %#v", err, err, err))
			}
			stop()
			to.Close()
			h.search("the database after "+name, dump(t, r.dsn))
			if err := r.store.Park(t.Context(), id, "done", store.Actor{}); err != nil {
				t.Fatal(err)
			}
			if c.state != "due" {
				continue
			}
			if err := r.store.ResumeRemote(t.Context(), "git", store.Actor{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.look()
	log.mu.Lock()
	defer log.mu.Unlock()
	h.search("the log", log.Bytes())
	for _, s := range spans.Ended() {
		h.search("the span "+s.Name(), fmt.Appendf(nil, "%v %v %v %v", s.Attributes(), s.Events(), s.Status(), s.Links()))
	}
	mu.Lock()
	defer mu.Unlock()
	h.search("what another host was sent", strangers.Bytes())
	// Without these the hunt has found nothing because it looked nowhere.
	if log.Len() == 0 || len(spans.Ended()) < 2*len(cases) || h.files == 0 || !h.seen["fast-import"] {
		t.Errorf("looked at %d bytes of log, %d spans, %d files, git %v", log.Len(), len(spans.Ended()), h.files, h.seen)
	}
}

// lines is a log for several writers.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

// dump gives every row of every table as text.
func dump(tb testing.TB, dsn string) []byte {
	tb.Helper()
	ctx := tb.Context()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var out bytes.Buffer
	rows, _ := conn.Query(ctx, `SELECT format('SELECT t::text FROM %s t', c.oid::regclass) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`)
	queries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		tb.Fatal(err)
	}
	for _, q := range queries {
		rows, _ := conn.Query(ctx, q)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			tb.Fatal(err)
		}
		out.WriteString(strings.Join(all, "\n"))
	}
	if !bytes.Contains(out.Bytes(), []byte("success")) {
		tb.Fatal("the dump of the database lacks the ARCs")
	}
	return out.Bytes()
}
