package git_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// A push into a local repository that is given up takes everything with it that git has
// started for it.
func TestAPushThatIsGivenUpLeavesNoProcess(t *testing.T) {
	t.Parallel()
	b := overFile(t, nil)
	b.push(t, version(1))
	note := filepath.Join(t.TempDir(), "pid")
	hook := filepath.Join(b.repo, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, fmt.Appendf(nil, "#!/bin/sh\necho $$ >%s\nexec sleep 600\n", note), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := b.Push(ctx, version(2))
		ended <- err
	}()
	pid := 0
	testenv.Await(t, "the hook", func() bool {
		text, _ := os.ReadFile(note)
		pid, _ = strconv.Atoi(string(bytes.TrimSpace(text)))
		return pid > 0
	})
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	cancel()
	if err := <-ended; err == nil {
		t.Error("the push came through")
	}
	testenv.Await(t, "the end of the hook", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
}

// A local repository with many packs is tidied up by the push that finds them, and not
// by one before.
func TestManyPacksBecomeOne(t *testing.T) {
	t.Parallel()
	b := overFile(t, nil)
	packs := func() int {
		found, err := filepath.Glob(filepath.Join(b.repo, "objects", "pack", "*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	b.push(t, version(1))
	b.git(t, "config", "gc.autoPackLimit", "1")
	b.push(t, version(2))
	if n := packs(); n != 2 {
		t.Errorf("%d packs after two pushes, want 2", n)
	}
	for n := range 100 { // they count, and git passes over them
		if err := os.WriteFile(filepath.Join(b.repo, "objects", "pack", fmt.Sprint("tmp_pack_", n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.push(t, version(3))
	if n := packs(); n != 1 {
		t.Errorf("%d packs, want 1", n)
	}
	b.git(t, "fsck", "--strict")
}
