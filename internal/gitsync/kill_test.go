package gitsync_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// childVariable names the variable by which the test program knows that it is
// the synchroniser that is to be killed: where it dies.
const childVariable = "GITSYNC_TEST_CHILD"

// child synchronises until it is killed, or kills itself where it is told to.
func child() {
	where := os.Getenv(childVariable)
	st, err := store.Open(context.Background(), store.Options{DSN: os.Getenv("GITSYNC_TEST_DSN")})
	if err != nil {
		panic(err)
	}
	g, err := git.New(git.Options{URL: os.Getenv("GITSYNC_TEST_URL"), Group: group})
	if err != nil {
		panic(err)
	}
	die := func(at string) {
		if at == where {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	// Sleep as a suspended virtual machine does, until somebody wakes us.
	slept := false
	sleep := func(at string) {
		if at == where && !slept {
			slept = true
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}
	}
	opt := options()
	opt.Build = func(doc []byte) (gitsync.Built, error) {
		die("before building")
		if strings.HasPrefix(string(doc), "poison") {
			die("poison")
		}
		return build(doc)
	}
	w := &watched{Remote: g, before: func(context.Context, int) error { die("before pushing"); sleep("sleep before pushing"); return nil },
		after: func(int, remote.Result, error) { die("before recording"); sleep("sleep before recording") }}
	_ = gitsync.New(st, w, opt).Run(context.Background())
	os.Exit(0)
}

func (r *rig) startChild(tb testing.TB, where string) *exec.Cmd {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+where, "GITSYNC_TEST_DSN="+r.dsn, "GITSYNC_TEST_URL=file://"+r.root)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return cmd
}

// A synchroniser killed between any two steps loses nothing and does nothing twice: the next one goes on, and there is one commit per version.
func TestKillBetweenSteps(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"before building", "before pushing", "before recording"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			id := r.submit(t, "a", "version 1")
			_ = r.startChild(t, where).Wait()
			if a := r.state(t, id); a.Git.State == "synced" {
				t.Fatalf("the killed one came through: %+v", a.Git)
			}
			stop := r.run(t, r.fileRemote(t), nil)
			r.awaitState(t, id, "synced")
			stop()
			r.submit(t, "a", "version 2")
			_ = r.startChild(t, where).Wait()
			r.run(t, r.fileRemote(t), nil)
			a := r.awaitState(t, id, "synced")
			if got := r.content(t, id); got != "version 2" {
				t.Errorf("content %q", got)
			}
			if n := r.git(t, id, "rev-list", "--count", "main"); n != "2" {
				t.Errorf("%s commits, want 2", n)
			}
			if head := r.git(t, id, "rev-parse", "main"); head != a.Git.Commit {
				t.Errorf("recorded %s, head is %s", a.Git.Commit, head)
			}
			if n := r.eventCount(t, id, store.EventPushed); n != 2 {
				t.Errorf("%d events of success, want 2", n)
			}
		})
	}
}

// An ARC whose processing kills the process every time is parked for the operator after a few deaths; the others arrive meanwhile, none of them is taken for the culprit, and after a repair it arrives as well.
func TestPoisonousARC(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	poison := r.submit(t, "p", "poison 1")
	var good []store.ID
	for n := range 12 {
		good = append(good, r.submit(t, fmt.Sprint("good ", n), "version 1"))
	}
	deaths := 0
	var late []store.ID
	parked := func() bool { return r.state(t, poison).Git.State == store.Parked }
	for !parked() {
		cmd := r.startChild(t, "poison")
		died := make(chan struct{})
		go func() { _ = cmd.Wait(); close(died) }()
		testenv.Await(t, "it dies, or the poison is parked", func() bool {
			select {
			case <-died:
				return true
			default:
				return parked()
			}
		})
		if !parked() {
			if deaths++; deaths > gitsync.DefaultInterruptions {
				t.Fatalf("%d deaths and no end", deaths)
			}
			late = append(late, r.submit(t, fmt.Sprint("late ", deaths), "version 1"))
			continue
		}
		for _, id := range append(good, late...) {
			r.awaitState(t, id, "synced")
		}
		_ = cmd.Process.Kill()
		<-died
	}
	if deaths != gitsync.DefaultInterruptions {
		t.Errorf("%d deaths, want %d", deaths, gitsync.DefaultInterruptions)
	}
	f := r.state(t, poison).Git.Failure
	if f.Code != fault.PushCrashes || f.Owner != fault.OwnerOperator || !strings.Contains(f.Remedy, "resync") {
		t.Errorf("failure %+v", f)
	}
	if n := r.eventCount(t, poison, store.EventPushFailed); n != 1 {
		t.Errorf("%d events of failure, want 1", n)
	}
	// The operator gave it more memory.
	if err := r.store.RequestPush(t.Context(), poison, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	r.run(t, r.fileRemote(t), nil)
	r.awaitState(t, poison, "synced")
}

// Synchronisers killed at any moment, while updates come in, leave every ARC with its newest version in git and every repository sound.
func TestKillAtAnyMoment(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const arcs, rounds = 6, 12
	var ids []store.ID
	for round := range rounds {
		cmd := r.startChild(t, "never")
		for n := range arcs {
			id := r.submit(t, fmt.Sprint("arc ", n), fmt.Sprint("version ", round))
			if round == 0 {
				ids = append(ids, id)
			}
		}
		life := time.NewTimer(time.Duration(30+round*15) * time.Millisecond)
		<-life.C
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	r.run(t, r.fileRemote(t), nil)
	for _, id := range ids {
		a := r.awaitState(t, id, "synced")
		if got := r.content(t, id); got != fmt.Sprint("version ", rounds-1) {
			t.Errorf("content %q", got)
		}
		if head := r.git(t, id, "rev-parse", "main"); head != a.Git.Commit {
			t.Errorf("recorded %s, head is %s", a.Git.Commit, head)
		}
		r.git(t, id, "fsck", "--strict", "--no-dangling")
	}
}

// A synchroniser on another host that was suspended in the middle of a push and wakes up late neither pushes nor records over what happened meanwhile.
func TestSuspendedHost(t *testing.T) {
	t.Parallel()
	for where, commits := range map[string]string{"sleep before pushing": "2", "sleep before recording": "3"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			id := r.submit(t, "a", "version 0")
			first := r.run(t, r.fileRemote(t), nil)
			r.awaitState(t, id, "synced")
			first()
			r.submit(t, "a", "version 1")
			late := r.startChild(t, where)
			testenv.Await(t, "the other host is suspended", func() bool { return suspended(late.Process.Pid) })
			r.submit(t, "a", "version 2")
			second := r.run(t, r.fileRemote(t), nil)
			r.awaitState(t, id, "synced")
			second()
			if err := late.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			// When it has brought another ARC it is done with the first.
			other := r.submit(t, "b", "version 1")
			r.awaitState(t, other, "synced")
			a := r.awaitState(t, id, "synced")
			_ = late.Process.Kill()
			_ = late.Wait()
			if got := r.content(t, id); got != "version 2" {
				t.Errorf("content %q", got)
			}
			if head := r.git(t, id, "rev-parse", "main"); head != a.Git.Commit {
				t.Errorf("recorded %s, head %s", a.Git.Commit, head)
			}
			if n := r.git(t, id, "rev-list", "--count", "main"); n != commits {
				t.Errorf("%s commits, want %s", n, commits)
			}
		})
	}
}

// suspended tells whether a process is stopped (proc_pid_stat(5)).
func suspended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(rest, "T")
}

// PostgreSQL killed while a push is under way: the result is recorded when it is back, once, and what came in meanwhile follows.
func TestPostgreSQLGoesAway(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{})
	r := rigOn(t, cluster.DSN())
	inside, goOn := make(chan struct{}), make(chan struct{})
	w := &watched{Remote: r.fileRemote(t), after: func(n int, _ remote.Result, _ error) {
		if n == 1 {
			close(inside)
			<-goOn
		}
	}}
	id := r.submit(t, "a", "version 1")
	r.run(t, w, func(o *gitsync.Options) { o.Lease = 30 * time.Second })
	<-inside
	cluster.Kill()
	close(goOn)
	cluster.Restart()
	a := r.awaitState(t, id, "synced")
	if head := r.git(t, id, "rev-parse", "main"); head != a.Git.Commit || w.count() != 1 {
		t.Errorf("recorded %s, head %s after %d pushes", a.Git.Commit, head, w.count())
	}
	other := r.submit(t, "b", "version 1")
	r.awaitState(t, other, "synced")
}
