package git_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/testenv/supervise"
)

// pushRoot tells the test binary to push once to the repositories there.
const pushRoot = "REMOTE_GIT_PUSH"

// pushOnce is what the supervised process does.
func pushOnce(root string) {
	r, err := git.New(git.Options{URL: "file://" + root, Group: group})
	if err == nil {
		_, err = r.Push(context.Background(), version(1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// What is reported as pushed to a local repository survives a power cut: the
// repository itself, the objects, the reference, and every folder in which one of
// them got its name have been brought to disk before.
func TestAPushIsOnDisk(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var flushed []string
	cmd := supervise.Command(t, []supervise.Watched{{Number: unix.SYS_FSYNC, First: -1}, {Number: unix.SYS_FDATASYNC, First: -1}},
		func(c supervise.Call) supervise.Answer {
			name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.PID, int32(c.Args[0])))
			if err != nil {
				name = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			flushed = append(flushed, strings.TrimPrefix(name, filepath.Join(root, group)+"/"))
			return supervise.Answer{Make: true}
		}, self)
	cmd.Env = append(cmd.Env, pushRoot+"="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mu.Lock()
	defer mu.Unlock()
	repo := arcID + ".git"
	for what, pattern := range map[string]string{
		"head of the new repository": ".new-*/HEAD",
		"its configuration":          ".new-*/config",
		"its folder of branches":     ".new-*/refs/heads",
		"folder of the repository":   filepath.Join(root, group),
		"objects":                    repo + "/objects/*/pack/tmp_pack_*",
		"index of the objects":       repo + "/objects/*/pack/tmp_idx_*",
		"folder of the objects":      repo + "/objects/pack",
		"branch":                     repo + "/refs/heads/main.lock",
		"folder of the branches":     repo + "/refs/heads",
	} {
		if !slices.ContainsFunc(flushed, func(name string) bool { ok, _ := path.Match(pattern, name); return ok }) {
			t.Errorf("not on disk: %s (%s)", what, pattern)
		}
	}
	if t.Failed() {
		t.Logf("on disk:\n%s", strings.Join(flushed, "\n"))
	}
}

// What git starts beside a local repository, hooks above all, sees nothing of our
// environment that could hold a secret.
func TestHooksSeeNoSecret(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	repo := filepath.Join(root, group, arcID+".git")
	gitlabtest.MustGit(t, "", "init", "--quiet", "--bare", "--initial-branch=main", repo)
	hook := filepath.Join(repo, "hooks", "post-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nenv >\"$GIT_DIR/seen\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), pushRoot+"="+root, "GIT_REPO__TOKEN="+token, "CREDENTIALS_DIRECTORY=/run/credentials/"+token)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	seen, err := os.ReadFile(filepath.Join(repo, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(seen), "PATH=") || strings.Contains(string(seen), token) {
		t.Errorf("a hook sees\n%s", seen)
	}
}
