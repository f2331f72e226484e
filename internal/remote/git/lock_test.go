package git_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
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
	b.push(t, version(2))
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
