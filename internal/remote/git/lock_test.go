package git_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// leaveLock does what a git process does that is killed at the wrong moment.
func leaveLock(tb testing.TB, path string, age time.Duration) {
	tb.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	then := time.Now().Add(-age)
	if err := os.Chtimes(path, then, then); err != nil {
		tb.Fatal(err)
	}
}

// A lock that a killed git left in a local repository keeps no ARC out for ever,
// whatever the clock said when it was made.
func TestALockThatWasLeftBehind(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"HEAD.lock", "refs/heads/main.lock"} {
		for _, age := range []time.Duration{time.Hour, -time.Hour} {
			b := overFile(t, nil)
			b.push(t, version(1))
			leaveLock(t, filepath.Join(b.repo, name), age)
			b.push(t, version(2))
		}
	}
	b := overFile(t, nil)
	b.push(t, version(1))
	packed := filepath.Join(b.repo, "packed-refs.lock")
	leaveLock(t, packed, time.Hour)
	b.push(t, version(2))
	if _, err := os.Stat(packed); err == nil {
		t.Error("references can still not be packed")
	}
}

// What a push or the making of a repository had begun when it was killed does not stay
// on disk; what may still be under way does.
func TestWhatWasBegunIsRemoved(t *testing.T) {
	t.Parallel()
	b := overFile(t, nil)
	group := filepath.Dir(b.repo)
	old := []string{filepath.Join(group, ".new-1"), filepath.Join(group, ".new-2.gone")}
	young := []string{filepath.Join(group, ".new-3")}
	begin := func(paths []string, age time.Duration) {
		for _, path := range paths {
			if err := os.MkdirAll(filepath.Join(path, "pack"), 0o755); err != nil {
				t.Fatal(err)
			}
			then := time.Now().Add(-age)
			if err := os.Chtimes(path, then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
	begin(old, time.Hour)
	begin(young, 0)
	b.push(t, version(1))
	objects := filepath.Join(b.repo, "objects")
	more := []string{filepath.Join(objects, "tmp_objdir-incoming-x"), filepath.Join(objects, "incoming-x"), filepath.Join(objects, "tmp_objdir-incoming-y.gone")}
	begin(more, time.Hour)
	last := filepath.Join(objects, "tmp_objdir-incoming-z")
	begin([]string{last}, 0)
	b.push(t, version(2))
	for _, path := range append(old, more...) {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	for _, path := range append(young, last) {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s is gone", path)
		}
	}
}

// A lock that somebody may hold stays: a fresh one, and any as long as a git process
// that we started is alive.
func TestALockThatIsHeld(t *testing.T) {
	t.Parallel()
	b := overFile(t, nil)
	b.push(t, version(1))
	lock := filepath.Join(b.repo, "refs/heads/main.lock")
	leaveLock(t, lock, 0)
	b.refused(t, version(2), "repository_busy")

	leaveLock(t, lock, time.Hour)
	alive, err := os.Open(b.repo)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(alive.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	b.refused(t, version(2), "repository_busy")
	if err := alive.Close(); err != nil {
		t.Fatal(err)
	}
	// A process that another test is starting has the file as well, until it becomes git.
	testenv.Await(t, "a push without the lock", func() bool {
		_, err := b.Push(t.Context(), version(2))
		return err == nil
	})
}

// A git process that outlives us still counts as alive.
func TestAnOrphanIsAlive(t *testing.T) {
	t.Parallel()
	b := overFile(t, nil)
	b.push(t, version(1))
	hook := filepath.Join(b.repo, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nflock --nonblock --exclusive . true && echo alone >&2 && exit 1\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.push(t, version(2))
}
