package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// A trial goes the whole way of a push and leaves branches and ARC as they were.
func TestTrialLeavesNothing(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		res := b.push(t, version(1))
		before := b.git(t, "for-each-ref")
		for range 2 {
			if err := b.Trial(t.Context(), res.Ref); err != nil {
				t.Fatal(err)
			}
		}
		if after := b.git(t, "for-each-ref"); after != before {
			t.Errorf("branches before: %s\nafter: %s", before, after)
		}
		b.git(t, "fsck", "--strict")
	})
}

// A trial meets what a push would meet: the hook's refusal, a missing repository.
func TestTrialFailsAsAPushWould(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		res := b.push(t, version(1))
		hook := filepath.Join(b.repo, "hooks", "update")
		if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil { //nolint:gosec // a folder of a test
			t.Fatal(err)
		}
		if err := os.WriteFile(hook, []byte("#!/bin/sh\necho only main, please >&2\nexit 1\n"), 0o755); err != nil { //nolint:gosec // has to be run
			t.Fatal(err)
		}
		f := remote.FailureOf(b.Trial(t.Context(), res.Ref))
		if f == nil || f.Fault.Code != fault.HookDeclined || !strings.Contains(f.Detail, "only main, please") {
			t.Errorf("got %v", f)
		}
		f = remote.FailureOf(b.Trial(t.Context(), group+"/nowhere.git"))
		if f == nil || f.Fault.Code != fault.RepositoryMissing {
			t.Errorf("missing repository: got %v", f)
		}
	})
}

// A trial does not write into a local repository of another user, where it
// would leave files that this user cannot remove.
func TestTrialLeavesOthersRepositoriesAlone(t *testing.T) {
	t.Parallel()
	testenv.Root(t) // nobody else can make such a repository
	b := overFile(t, nil)
	res := b.push(t, version(1))
	if err := os.Chown(filepath.Join(b.repo, "objects"), 12345, -1); err != nil {
		t.Fatal(err)
	}
	f := remote.FailureOf(b.Trial(t.Context(), res.Ref))
	if f == nil || f.Fault.Code != fault.PushForbidden {
		t.Errorf("got %v", f)
	}
}
