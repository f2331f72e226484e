package git_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
)

// A commit of somebody else gets ours on top by default; nothing of it is lost from the history.
func TestForeignOverwriteOnTop(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		first := b.push(t, version(1))
		theirs := gitlabtest.Commit(t, b.repo, map[string]string{"NOTES.md": "mine", "LICENSE": "changed"})
		p := version(1)
		p.Recorded = first.State
		res := b.push(t, p)
		if res.Foreign != theirs || !res.Changed {
			t.Errorf("result %+v, want a commit on %s", res, theirs)
		}
		if got := b.git(t, "show", "main:LICENSE"); got != "free" {
			t.Errorf("LICENSE %q", got)
		}
		if got := b.git(t, "ls-tree", "-r", "--name-only", "main"); strings.Contains(got, "NOTES") {
			t.Errorf("files:\n%s", got)
		}
		b.git(t, "show", theirs+":NOTES.md")
	})
}

// What somebody else has put there by himself is no push of ours whose record was lost,
// even if it is the very version.
func TestTheSameOfSomebodyElseIsNotRecovered(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		first := b.push(t, version(1))
		theirs := gitlabtest.Commit(t, b.repo, map[string]string{"isa.investigation.xlsx": "version 2"})
		p := version(2)
		p.Recorded = first.State
		res := b.push(t, p)
		if res.Changed || res.Recovered || res.Foreign != theirs || res.Commit != theirs {
			t.Errorf("result %+v, want their commit %s unchanged", res, theirs)
		}
	})
}

// With keep the files that others added stay, through later pushes too, while the ARC's own files are the ARC's.
func TestForeignKeep(t *testing.T) {
	t.Parallel()
	both(t, func(o *git.Options) { o.OnForeign = git.Keep }, func(t *testing.T, b *bench) {
		t.Helper()
		res := b.push(t, version(1))
		gitlabtest.Commit(t, b.repo, map[string]string{"NOTES.md": "mine", "assays/x/data.csv": "1", "LICENSE": "changed"})
		for n := 2; n <= 4; n++ {
			p := version(n)
			p.Recorded = res.State
			p.Forced = n == 4
			res = b.push(t, p)
			if got := b.git(t, "show", "main:NOTES.md") + b.git(t, "show", "main:assays/x/data.csv"); got != "mine1" {
				t.Errorf("push %d: kept files %q", n, got)
			}
			if got := b.git(t, "show", "main:LICENSE") + b.git(t, "show", "main:isa.investigation.xlsx"); got != fmt.Sprint("freeversion ", n) {
				t.Errorf("push %d: own files %q", n, got)
			}
		}
		b.git(t, "fsck", "--strict")
	})
}

// With park nothing is pushed on somebody else's commit, even if a push is asked for, until it is taken back. What was there before the first record, and what is recorded, is no such commit.
func TestForeignPark(t *testing.T) {
	t.Parallel()
	both(t, func(o *git.Options) { o.OnForeign = git.Park }, func(t *testing.T, b *bench) {
		t.Helper()
		first := b.push(t, version(1))
		theirs := gitlabtest.Commit(t, b.repo, map[string]string{"NOTES.md": "mine"})
		p := version(2)
		p.Recorded = first.State
		b.refused(t, p, "foreign_commit")
		if head := b.git(t, "rev-parse", "main"); head != theirs {
			t.Errorf("head %s", head)
		}
		p.Forced = true
		b.refused(t, p, "foreign_commit")
		b.git(t, "update-ref", "refs/heads/main", first.Commit)
		b.push(t, p)

		theirs = gitlabtest.Commit(t, b.repo, map[string]string{"isa.investigation.xlsx": "version 3"})
		found := b.push(t, version(3))
		if found.Changed || found.Commit != theirs {
			t.Errorf("without a record: %+v, want what is there", found)
		}
		p = version(4)
		p.Recorded, p.Forced = found.State, true
		if res := b.push(t, p); !res.Changed || res.Foreign != "" {
			t.Errorf("upon the recorded commit: %+v, want ours", res)
		}
	})
}

// A repository that was there before the first record is adopted: its history goes on, and the same files make no commit.
func TestAdopt(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		b.push(t, version(1))
		theirs := gitlabtest.Commit(t, b.repo, map[string]string{"isa.investigation.xlsx": "version 2"})
		if res := b.push(t, version(2)); res.Changed || res.Commit != theirs {
			t.Errorf("same files: %+v", res)
		}
		b.push(t, version(3))
		if parent := b.git(t, "rev-parse", "main^"); parent != theirs {
			t.Errorf("parent %s, want %s", parent, theirs)
		}
	})
}

// A server restored from an older backup, or emptied, gets what it lacks.
func TestRestoredFromBackup(t *testing.T) {
	t.Parallel()
	both(t, func(o *git.Options) { o.OnForeign = git.Park }, func(t *testing.T, b *bench) {
		t.Helper()
		first := b.push(t, version(1))
		p := version(2)
		p.Recorded = first.State
		second := b.push(t, p)
		b.git(t, "update-ref", "refs/heads/main", first.Commit)
		b.git(t, "gc", "--prune=now", "--quiet")
		p.Recorded = second.State
		p.Forced = true
		again := b.push(t, p)
		if again.Commit != second.Commit {
			t.Errorf("repeated push is %s, want the same commit %s", again.Commit, second.Commit)
		}
		b.git(t, "update-ref", "-d", "refs/heads/main")
		b.git(t, "gc", "--prune=now", "--quiet")
		p.Recorded = again.State
		b.push(t, p)
		b.git(t, "-c", "core.commitGraph=false", "fsck", "--strict")
	})
}

// When the server lacks objects that the record promises, everything is sent.
func TestRecordPromisesTooMuch(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		first := b.push(t, version(1))
		b.git(t, "config", "transfer.fsckObjects", "true") // as GitLab does, in other words then
		snap, err := remote.DecodeSnapshot(first.State)
		if err != nil {
			t.Fatal(err)
		}
		// The record of another repository: the new version's workbook is claimed to be there.
		other := overFile(t, nil)
		res := other.push(t, version(2))
		wrong, err := remote.DecodeSnapshot(res.State)
		if err != nil {
			t.Fatal(err)
		}
		wrong.Head = snap.Head
		wrong.Entries[0].ID[0]++ // so that the trees differ
		p := version(2)
		p.Recorded = wrong.Encode()
		b.push(t, p)
		b.git(t, "fsck", "--strict", "--full")
	})
}

// A very large ARC is packed by git in a private folder that is gone afterwards, with the same result, and updates send only the difference.
func TestLargeARC(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	both(t, func(o *git.Options) { o.MemoryLimit = 10; o.SizeLimit = 4096; o.ScratchDir = scratch }, func(t *testing.T, b *bench) {
		t.Helper()
		first := b.push(t, version(1))
		p := version(2)
		p.Recorded = first.State
		second := b.push(t, p)
		small := overFile(t, nil)
		res := small.push(t, version(1))
		if first.Commit != res.Commit {
			t.Errorf("large: %s, small: %s for the same ARC", first.Commit, res.Commit)
		}
		b.git(t, "fsck", "--strict")
		if second.Sent >= first.Sent {
			t.Errorf("update sent %d bytes, first push %d", second.Sent, first.Sent)
		}
		if res := b.push(t, &remote.Push{ARC: p.ARC, Files: p.Files, When: p.When, Recorded: first.State}); res.Commit != second.Commit {
			t.Errorf("lost record: %+v", res)
		}
		p.Files = append(p.Files, remote.File{Path: "big", Content: text(strings.Repeat("x", 5000))})
		b.refused(t, p, "arc_too_large")
	})
	t.Cleanup(func() {
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("left in the scratch folder: %v, %v", left, err)
		}
	})
}

// What somebody has told git to do on this machine, for repositories of other kinds, changes
// nothing for ours.
func TestSettingsOfTheMachineDoNotMatter(t *testing.T) {
	home := t.TempDir()
	settings := "[init]\n\tdefaultBranch = trunk\n\tdefaultRefFormat = reftable\n\tdefaultObjectFormat = sha256\n" +
		"[safe]\n\tbareRepository = explicit\n[core]\n\tautocrlf = true\n\tlogAllRefUpdates = always\n[commit]\n\tgpgSign = true\n" +
		"[gc]\n\tauto = 1\n[maintenance]\n\tautoDetach = true\n[transfer]\n\tfsckObjects = true\n[protocol]\n\tversion = 2\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	for name, b := range map[string]*bench{
		"small": overFile(t, nil),
		"large": overFile(t, func(o *git.Options) { o.MemoryLimit = 10; o.SizeLimit = 4096; o.ScratchDir = t.TempDir() }),
	} {
		first := b.push(t, version(1))
		p := version(2)
		p.Recorded = first.State
		b.push(t, p)
		if _, err := os.Stat(filepath.Join(b.repo, "refs", "heads", "main")); err != nil {
			t.Errorf("%s: the branch is no file: %v", name, err)
		}
		b.git(t, "fsck", "--strict")
	}
}

// A path that would leave the folder or that git keeps for itself is refused before anything is sent.
func TestBadPaths(t *testing.T) {
	t.Parallel()
	b := overFile(t, nil)
	for _, path := range []string{
		"", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", ".git/config", "a/.GIT/hooks/x", "git~1/x", ".git /x", ".git::$INDEX/x",
		".g\u200cit/x", ".\u202egit\u206f/x", "\ufeff.git/x", "a\x00b", `a\b`, strings.Repeat("x", 256),
	} {
		f := b.refused(t, &remote.Push{ARC: arcID, Files: files("README.md", "", path, "x")}, "path_invalid")
		if f.Class != fault.Invalid {
			t.Errorf("%q: class %s", path, f.Class)
		}
	}
	b.refused(t, &remote.Push{ARC: arcID, Files: files("a", "", "a/b", "")}, "path_invalid")
	b.refused(t, &remote.Push{ARC: arcID, Files: files("a", "", "a", "")}, "path_invalid")
	for _, path := range []string{".gitignore", ".git\u4e2d/x", ".git\u2010/x", ".git\u2029/x", "\u2070.git/x", ".git\u200b/x", "digit/x"} {
		if err := git.CheckPaths(files(path, "x")); err != nil {
			t.Errorf("%+q: %v", path, err)
		}
	}
}

// Head tells the newest commit, and "" for a repository that is missing or empty; asking creates nothing.
func TestHead(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		for _, arc := range []string{arcID, strings.Repeat("b", 64)} {
			if head, err := b.Head(t.Context(), arc, ""); head != "" || err != nil {
				t.Errorf("before any push: %q, %v", head, err)
			}
		}
		if b.server == nil {
			if _, err := os.Stat(b.repo); err == nil {
				t.Error("asking has made a repository")
			}
		}
		res := b.push(t, version(1))
		if head, err := b.Head(t.Context(), arcID, ""); head != res.Commit || err != nil {
			t.Errorf("head %q, %v, want %s", head, err, res.Commit)
		}
		snap, err := remote.DecodeSnapshot(res.State)
		if err != nil || hex.EncodeToString(snap.Head[:]) != res.Commit || len(snap.Entries) != 5 {
			t.Errorf("state %+v, %v", snap, err)
		}
	})
}

// A new local repository points to the configured branch, so that a clone finds it.
func TestLocalHEAD(t *testing.T) {
	t.Parallel()
	b := overFile(t, func(o *git.Options) { o.Branch = "trunk" })
	if _, err := b.Push(t.Context(), version(1)); err != nil {
		t.Fatal(err)
	}
	if got := b.git(t, "symbolic-ref", "HEAD"); got != "refs/heads/trunk" {
		t.Errorf("HEAD is %s", got)
	}
	work := t.TempDir()
	gitlabtest.MustGit(t, "", "clone", "--quiet", b.repo, work)
	if _, err := os.Stat(work + "/isa.investigation.xlsx"); err != nil {
		t.Error(err)
	}
}

// Where the configuration names another group now, what is recorded of the old one is not looked at.
func TestHeadInAnotherGroup(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	old := open(t, git.Options{URL: "file://" + root, Group: group}, nil)
	before, err := old.Push(t.Context(), version(1))
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, git.Options{URL: "file://" + root, Group: "elsewhere"}, nil)
	if head, err := r.Head(t.Context(), arcID, before.Ref); head != "" || err != nil {
		t.Errorf("head %q, %v", head, err)
	}
	p := version(2)
	p.Recorded = before.State
	res, err := r.Push(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if head, err := r.Head(t.Context(), arcID, res.Ref); head != res.Commit || err != nil {
		t.Errorf("head %q, %v; want %s", head, err, res.Commit)
	}
}
