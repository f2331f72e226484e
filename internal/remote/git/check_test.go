package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
)

// Check finds what would keep repositories from being made, and makes nothing.
func TestCheckOfAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check := func(root string) error {
		return open(t, git.Options{URL: "file://" + root, Group: group}, nil).Check(t.Context())
	}
	if err := check(filepath.Join(dir, "made", "later")); err != nil {
		t.Errorf("folders that can be made: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("Check made %v (%v)", entries, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := check(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file in the place of the folder: %v", err)
	}
	if os.Geteuid() == 0 {
		return // root may write everywhere
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{closed, filepath.Join(closed, "below")} {
		if err := check(root); err == nil || !strings.Contains(err.Error(), "in "+closed+":") {
			t.Errorf("%s, where this user may not write: %v", root, err)
		}
	}
}

// A folder of repositories cannot be pushed to without git.
func TestCheckOfAFolderWithoutGit(t *testing.T) {
	b := overFile(t, nil)
	t.Setenv("PATH", t.TempDir())
	f := remote.FailureOf(b.Check(t.Context()))
	if f == nil || f.Fault.Code != fault.InternalError || !strings.Contains(f.Fault.Cause.Error(), "apt-get install git") {
		t.Errorf("got %v", f)
	}
}
