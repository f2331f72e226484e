package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// childTask is a child process that works without sockets.
func childTask(c childOptions) int {
	err := RunTask(context.Background(), TaskOptions{
		Ready: func(context.Context) error {
			if c.DatabaseFile == "" {
				return nil
			}
			_, err := os.Stat(c.DatabaseFile)
			return err
		},
		Run: func(ctx context.Context) error {
			fmt.Fprintln(os.Stderr, "task runs")
			switch c.Task {
			case "fail":
				return errors.New("the work went wrong")
			case "end":
				return nil
			case "hang":
				<-make(chan struct{})
			}
			<-ctx.Done()
			fmt.Fprintln(os.Stderr, "task hands back")
			return ctx.Err()
		},
		Alive: func(context.Context) error {
			if c.StallFile != "" {
				if _, err := os.Stat(c.StallFile); err == nil {
					return errors.New("claiming for 5m0s")
				}
			}
			return nil
		},
		Status:     func() string { return "7 ARCs due" },
		DrainLimit: c.DrainLimit,
		MaxAge:     c.Recycling.MaxAge,
		Logger:     childLogger(),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A task is announced as ready, shows its status, hands back what it holds on
// SIGTERM and on SIGHUP, and ends with status 0.
func TestTaskHandsBack(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			handsBack(t, s)
		})
	}
}

func handsBack(t *testing.T, end syscall.Signal) {
	t.Helper()
	m := &manager{tb: t, runtime: t.TempDir()}
	p := m.start(childOptions{Task: "wait"}).ready()
	p.until("work", func() bool { return strings.Contains(p.logText(), "task runs") })
	if p.count("7 ARCs due") == 0 {
		t.Errorf("no status in %q", p.allNotes())
	}
	if newFleet(m.runtime).othersReady() {
		t.Error("a task counts as a worker that is ready for requests")
	}
	p.signal(end)
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	if p.count("STOPPING=1") != 1 || !strings.Contains(p.logText(), "task hands back") {
		t.Errorf("notes %q", p.allNotes())
	}
}

// The watchdog of a task gets its beat while the task says that it lives, and
// none any more when it does not; the stacks are left behind.
func TestWatchdogOfATask(t *testing.T) {
	t.Parallel()
	m := &manager{tb: t, runtime: t.TempDir()}
	stall := filepath.Join(t.TempDir(), "stall")
	p := m.start(childOptions{Task: "wait", StallFile: stall}, withWatchdog(300*time.Millisecond)).ready()
	p.until("two beats", func() bool { return p.count("WATCHDOG=1") >= 2 })
	if err := os.WriteFile(stall, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.until("a complaint", func() bool { return strings.Contains(p.logText(), "claiming for 5m0s") })
	beats := p.count("WATCHDOG=1")
	p.until("three complaints", func() bool { return strings.Count(p.logText(), "claiming for 5m0s") >= 3 })
	if n := p.count("WATCHDOG=1"); n != beats {
		t.Errorf("%d more beats from a task that hangs", n-beats)
	}
	p.signal(syscall.SIGABRT)
	p.wait()
	if !strings.Contains(p.logText(), "childTask") {
		t.Error("the stack dump does not show the task")
	}
}

// A database that goes away while a worker serves is told once, with the status
// line until it is back, and that it is back as well.
func TestDatabaseGoesAwayAndReturns(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	database := filepath.Join(t.TempDir(), "database")
	if err := os.WriteFile(database, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := m.start(childOptions{DatabaseFile: database}).ready()
	if err := os.Remove(database); err != nil {
		t.Fatal(err)
	}
	p.until("the status line", func() bool { return p.count("STATUS=serving without a database (stat ") > 0 })
	if err := os.WriteFile(database, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.until("the return", func() bool { return strings.Contains(p.logText(), "database answers") })
	p.until("the usual status line", func() bool {
		notes := p.allNotes()
		return strings.Contains(notes[len(notes)-1], "STATUS=serving: ")
	})
	if n := strings.Count(p.logText(), "database does not answer"); n != 1 {
		t.Errorf("said %d times that the database is away, want once", n)
	}
}

// A database that misses one question, as during its restart, is not worth a word; one that
// misses two is told of once, until it answers.
func TestWhenADatabaseIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const answers = ".x..xxxx.x."
		var log bytes.Buffer
		var said []int // after so many questions
		asked := 0
		var w *worker
		ctx, cancel := context.WithCancel(t.Context())
		ready := func(context.Context) error {
			if n := strings.Count(log.String(), "\n"); n > len(said) {
				said = append(said, asked)
			}
			if (w.trouble.Load() != nil) != (asked >= 6 && asked <= 8) {
				t.Errorf("after %d questions: in trouble %t", asked, w.trouble.Load() != nil)
			}
			if asked++; asked > len(answers) {
				cancel()
			} else if answers[asked-1] == 'x' {
				return errors.New("away")
			}
			return nil
		}
		w = newWorker(ctx, Options{Ready: ready, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		w.watchDatabase(ctx)
		if !slices.Equal(said, []int{6, 9}) || !strings.Contains(log.String(), "database does not answer") {
			t.Errorf("said after the questions %v, want 6 and 9:\n%s", said, log.String())
		}
	})
}

// A task that fails ends the process with its error, and so does one that just ends; one
// that does not end is left at the limit, for which the service manager is asked; one that
// is old ends by itself, without a turn, which is for workers.
func TestTaskEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options childOptions
		stop    bool
		status  int
		log     string
	}{
		"fails":     {options: childOptions{Task: "fail"}, status: 1, log: "the work went wrong"},
		"ends":      {options: childOptions{Task: "end"}, status: 1, log: "the work ended by itself"},
		"hangs":     {options: childOptions{Task: "hang", DrainLimit: 1_500_000_000}, stop: true, status: 1, log: ErrUnfinished.Error()},
		"grows old": {options: childOptions{Task: "wait", Recycling: Recycling{MaxAge: 100_000_000}}, status: 0, log: "recycling: age of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &manager{tb: t, runtime: t.TempDir()}
			p := m.start(c.options)
			if c.stop {
				p.until("work", func() bool { return strings.Contains(p.logText(), "task runs") })
				p.signal(syscall.SIGTERM)
			}
			if status := p.wait(); status != c.status || !strings.Contains(p.logText(), c.log) {
				t.Errorf("status %d, want %d with %q in the log", status, c.status, c.log)
			}
			if asked := p.count("EXTEND_TIMEOUT_USEC=") > 0; asked != c.stop {
				t.Errorf("the service manager was asked for time: %t", asked)
			}
			if _, err := os.Stat(filepath.Join(m.runtime, "recycle")); err == nil {
				t.Error("a task has taken a turn")
			}
		})
	}
}
