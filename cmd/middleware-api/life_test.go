package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/config/setting"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// asProgram is set for a child process that is the program and no test.
const asProgram = "TEST_AS_PROGRAM"

// lifeConfig writes settings of a service that pushes into a folder.
func lifeConfig(tb testing.TB, dsn, address string) string {
	tb.Helper()
	repositories := filepath.Join(tb.TempDir(), "arcs")
	if err := os.Mkdir(repositories, 0o700); err != nil {
		tb.Fatal(err)
	}
	return write(tb, "config.yaml", fmt.Sprintf("listen: [%q]\nknown_rdis: [edal]\nrequire_client_cert: false\n"+
		"database: {url: %q}\ngit_repo: {url: %q, group: arcs}\nworker: {graceful_timeout: 30m}\nadmin: {directory: %q}\n",
		address, dsn, "file://"+repositories, tb.TempDir()))
}

// program is the program in a process of its own, with a service manager that listens.
type program struct {
	notes, log testenv.Log
	ended      chan struct{}
	process    *os.Process
}

func startProgram(tb testing.TB, args ...string) *program {
	tb.Helper()
	return startProgramInto(tb, nil, args...)
}

// startProgramInto starts a program that logs to a file, or for the test if that is nil.
func startProgramInto(tb testing.TB, out *os.File, args ...string) *program {
	tb.Helper()
	socket := filepath.Join(tb.TempDir(), "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = notify.Close() })
	p := &program{ended: make(chan struct{})}
	go func() { _, _ = io.Copy(&p.notes, notify) }()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "NOTIFY_SOCKET="+socket)
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if out != nil {
		cmd.Stdout, cmd.Stderr = out, out
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p.process = cmd.Process
	go func() { _ = cmd.Wait(); close(p.ended) }()
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		force := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		defer force.Stop()
		<-p.ended
		if tb.Failed() {
			tb.Logf("notes:\n%s\nlog:\n%s", p.notes.String(), p.log.String())
		}
	})
	return p
}

// A process is not ready before its database has answered and has what it needs,
// and it becomes so by itself.
func TestProcessesWaitForTheirDatabase(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"serve", "sync"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			path := lifeConfig(t, pgtest.Empty(t), testenv.FreeAddress(t))
			p := startProgram(t, command, "--config", path)
			testenv.Await(t, "word of the database", func() bool {
				return p.log.Count("database does not answer") > 0 || p.notes.Count("READY=1") > 0
			})
			if p.notes.Count("READY=1") > 0 {
				t.Fatal("ready without a schema")
			}
			if got := invoke(t, "", "migrate", "--config", path); got.code != cli.ExitOK {
				t.Fatalf("migrate: %s", got.err)
			}
			testenv.Await(t, "readiness", func() bool { return p.notes.Count("READY=1") > 0 })
		})
	}
}

// A log that nobody reads holds up no request, and no end.
func TestALogThatNobodyReads(t *testing.T) {
	t.Parallel()
	read, written, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), written.Close() })
	address := testenv.FreeAddress(t)
	p := startProgramInto(t, written, "serve", "--config", lifeConfig(t, pgtest.DSN(t), address))
	testenv.Await(t, "readiness", func() bool { return p.notes.Count("READY=1") > 0 })
	client := http.Client{Timeout: time.Minute}
	for range 2000 { // several times what a pipe holds
		answer, err := client.Get("http://" + address + "/v3/liveness")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	client.CloseIdleConnections()
	if err := p.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Error("still there a minute after SIGTERM")
	}
}

// stuck is a remote whose pushes end when the test says so.
type stuck struct{ goOn chan struct{} }

func (s stuck) Push(context.Context, *remote.Push) (remote.Result, error) {
	<-s.goOn
	return remote.Result{Commit: "c"}, nil
}
func (stuck) Head(context.Context, string, string) (string, error) { return "", nil }
func (stuck) Check(context.Context) error                          { return nil }
func (stuck) Close()                                               {}

// The watchdog of the synchroniser hears of a push that hangs, and the status line of
// what is under way.
func TestTheSynchroniserIsWatched(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.DiscardHandler)
	st, err := store.Open(t.Context(), store.Options{DSN: pgtest.DSN(t), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	to := stuck{make(chan struct{})}
	nothing := func([]byte) (gitsync.Built, error) { return gitsync.Built{}, nil }
	work := &synchroniser{
		pusher:  gitsync.New(st, to, gitsync.Options{Build: nothing, PushLimit: time.Millisecond}),
		service: ingest.New(st, ingest.Options{Logger: quiet}), to: to, log: quiet,
	}
	task := work.task(st, &config.Config{})
	if err := errors.Join(task.Ready(t.Context()), task.Alive(t.Context())); err != nil {
		t.Errorf("before the start: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- task.Run(ctx) }()
	(&portal{tb: t, store: st}).submit("edal", "hangs")
	testenv.Await(t, "a push that hangs", func() bool {
		err := task.Alive(t.Context())
		return err != nil && strings.Contains(err.Error(), "pushing")
	})
	testenv.Await(t, "the status line", func() bool { return strings.Contains(task.Status(), "1 in flight") })
	close(to.goOn)
	testenv.Await(t, "life", func() bool { return task.Alive(t.Context()) == nil })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The synchroniser ends abandoned harvests and forgets old tasks, as soon as it runs.
func TestTheSynchroniserKeepsTheHouse(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"sync", "serve --with-sync"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			db, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close(context.WithoutCancel(t.Context())) }()
			if _, err := db.Exec(t.Context(), `
				WITH h AS (INSERT INTO harvest (id, rdi, started_at) VALUES (gen_random_uuid(), 'edal', now() - interval '25 h'))
				INSERT INTO task (id, rdi, status, arcs, updated_at) VALUES (gen_random_uuid(), 'edal', 'SUCCESS', '[]', now() - interval '31 d')`); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan int, 1)
			args := append(strings.Fields(command), "--config", lifeConfig(t, dsn, testenv.FreeAddress(t)))
			go func() {
				ended <- run(ctx, args, cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
			}()
			testenv.Await(t, "the end of the harvest and of the task", func() bool {
				var left int
				err := db.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM harvest WHERE status = 'RUNNING') + (SELECT count(*) FROM task)`).Scan(&left)
				if err != nil {
					t.Fatal(err)
				}
				return left == 0
			})
			stop()
			if code := <-ended; code != cli.ExitOK {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// A synchroniser that has no token for a server that will want one says so at the
// start, and nowhere else.
func TestAMissingTokenIsTold(t *testing.T) {
	t.Parallel()
	token := setting.NewSecret("glpat")
	for name, c := range map[string]struct {
		to   *config.GitRepo
		told int
	}{
		"over HTTP":             {&config.GitRepo{URL: "https://git.example.org"}, 1},
		"in capitals":           {&config.GitRepo{URL: "HTTP://git.example.org"}, 1},
		"with a token":          {&config.GitRepo{URL: "https://git.example.org", Token: token}, 0},
		"into a folder":         {&config.GitRepo{URL: "file:///srv/arcs"}, 0},
		"over SSH":              {&config.GitRepo{URL: "ssh://git.example.org"}, 0},
		"over another protocol": {nil, 0},
	} {
		log := &testenv.Log{}
		warnOfToken(&config.Config{GitRepo: c.to}, slog.New(slog.NewTextHandler(log, nil)))
		if n := log.Count("no token for the git server"); n != c.told {
			t.Errorf("%s: told %d times, want %d", name, n, c.told)
		}
	}
}

// slowUpload begins to send an ARC, and gives what sends the rest and tells of the answer.
func slowUpload(tb testing.TB, url, identifier string) (finish func() error) {
	tb.Helper()
	body, rest := io.Pipe()
	text := clockUpload(identifier)
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url+"/v3/arcs", body)
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answered := make(chan error, 1)
	go func() {
		response, err := (&http.Transport{}).RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				err = errors.New(response.Status)
			}
		}
		answered <- err
	}()
	if _, err := io.WriteString(rest, text[:100]); err != nil {
		tb.Fatal(err)
	}
	return func() error {
		if _, err := io.WriteString(rest, text[100:]); err != nil {
			return err
		}
		_ = rest.Close()
		return <-answered
	}
}

// In one process with a worker, the synchroniser works for as long as the worker
// drains, and not longer.
func TestTheSynchroniserOutlastsTheDrain(t *testing.T) {
	t.Parallel()
	dsn, address := pgtest.DSN(t), testenv.FreeAddress(t)
	st, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	path := lifeConfig(t, dsn, address)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--with-sync", "--config", path}, cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	}()
	defer stop()
	_ = beginOver(t, "http://"+address, ended)
	first, last := slowUpload(t, "http://"+address, "first"), slowUpload(t, "http://"+address, "last")
	stop()
	testenv.Await(t, "the end of listening", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	if err := first(); err != nil {
		t.Fatalf("an upload during the drain: %v", err)
	}
	testenv.Await(t, "ARC in git", func() bool {
		heads, err := st.Heads(t.Context(), "", store.ID{}, 2)
		return err == nil && len(heads) == 1 && heads[0].State == store.Synced
	})
	if err := last(); err != nil {
		t.Errorf("the last upload: %v", err)
	}
	select {
	case code := <-ended:
		if code != cli.ExitOK {
			t.Errorf("exit status %d", code)
		}
	case <-time.After(patience):
		t.Error("the process goes on after the drain")
	}
}
