package gitsync_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/gitlab"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

func sample(tb testing.TB) []byte {
	tb.Helper()
	doc, err := os.ReadFile(filepath.Join(testenv.ModuleRoot(tb), "internal", "devrun", "sample.json"))
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

// A real crate becomes the folder of an ARC in its repository, byte for byte as the converter makes it, and stays one commit when it comes again.
func TestCrateBecomesRepository(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	doc := sample(t)
	id := r.submit(t, "sample", string(doc))
	r.run(t, r.fileRemote(t), func(o *gitsync.Options) { o.Build = nil })
	r.awaitState(t, id, "synced")
	built, err := gitsync.FromCrate(doc)
	if err != nil {
		t.Fatal(err)
	}
	if built.Identifier != "barley-drought-2026" || built.Title == "" || built.Description == "" {
		t.Errorf("what a project is called after: %q, %q, %q", built.Identifier, built.Title, built.Description)
	}
	for _, f := range built.Files {
		var want bytes.Buffer
		if _, err := f.Content.WriteTo(&want); err != nil {
			t.Fatal(err)
		}
		if got := r.git(t, id, "show", "main:"+f.Path); got != strings.TrimSpace(want.String()) {
			t.Errorf("%s differs from what the converter makes", f.Path)
		}
	}
	if got := strings.Count(r.git(t, id, "ls-tree", "-r", "--name-only", "main"), "\n") + 1; got != len(built.Files) {
		t.Errorf("%d files in the repository, the converter makes %d", got, len(built.Files))
	}
	r.submit(t, "sample", string(doc)+" ") // other bytes, the same ARC
	testenv.Await(t, "it was looked at", func() bool { a := r.state(t, id); return a.Git.State == "synced" && a.Git.PushedVersion == 2 })
	if n := r.git(t, id, "rev-list", "--count", "main"); n != "1" {
		t.Errorf("%s commits for the same files", n)
	}
}

// A crate that is none is parked for its sender, who is told where it is wrong.
func TestCrateThatIsNone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.submit(t, "none", `{"@context":"https://w3id.org/ro/crate/1.1/context","@graph":[]}`)
	r.run(t, r.fileRemote(t), func(o *gitsync.Options) { o.Build = nil })
	a := r.awaitState(t, id, "parked")
	f := a.Git.Failure
	if f.Code != fault.ARCUnconvertible || f.Owner != fault.OwnerRDI || len(f.Text) < 60 || strings.Contains(f.Text, "more)") {
		t.Errorf("failure %+v", f)
	}
	if report, err := r.store.Report(t.Context(), id); err != nil || len(report.Findings) == 0 {
		t.Errorf("report %+v, %v", report, err)
	}
}

// Of many reasons the first is named with its place in the crate, and how many more there are.
func TestCrateWithManyMistakes(t *testing.T) {
	t.Parallel()
	built, err := gitsync.FromCrate([]byte(`{"@context":"https://w3id.org/ro/crate/1.1/context","@graph":[
		{"@id":"./","@type":"Dataset","additionalType":"Investigation","identifier":"A","hasPart":[{"@id":"a/"},{"@id":"b/"}]},
		{"@id":"a/","@type":"Dataset","additionalType":"Assay"},{"@id":"b/","@type":"Dataset","additionalType":"Assay"}]}`))
	f := remote.FailureOf(err)
	if f == nil || f.Fault.Code != fault.ARCUnconvertible || built.Files != nil {
		t.Fatalf("got %+v, %v, want that it cannot be converted", built, err)
	}
	errors := 0
	var first store.Finding
	for _, finding := range built.Findings {
		if finding.Severity == store.SeverityError {
			if errors++; errors == 1 {
				first = finding
			}
		}
	}
	if want := fmt.Sprintf("%s: %s (and %d more).", first.Pointer, first.Text, errors-1); errors < 2 || first.Pointer == "" || !strings.HasSuffix(f.Fault.Text, want) {
		t.Errorf("%q, want at its end %q", f.Fault.Text, want)
	}
}

// From the database into a GitLab that has trouble of every kind: each ARC arrives, once, and the token is in nothing that was written down.
func TestEndToEndIntoGitLab(t *testing.T) {
	t.Parallel()
	const arcs = 6
	r := newRig(t)
	hub := gitlabtest.NewGitLab(t, token, "hub")
	to, err := gitlab.New(gitlab.Options{URL: hub.URL, Group: "hub", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(to.Close)
	hub.Script(trouble())
	for n := range arcs {
		r.submit(t, strings.Repeat("x", n+1), "version 1")
	}
	r.run(t, to, nil)
	for n := range arcs {
		id := arcID(strings.Repeat("x", n+1))
		a := r.awaitState(t, id, "synced")
		dir := hub.Dir("hub/" + id.String())
		if head := gitlabtest.MustGit(t, dir, "rev-parse", "main"); head != a.Git.Commit {
			t.Errorf("recorded %s, head %s", a.Git.Commit, head)
		}
		if n := gitlabtest.MustGit(t, dir, "rev-list", "--count", "main"); n != "1" {
			t.Errorf("%s commits", n)
		}
		for _, e := range r.events(t, id) {
			if strings.Contains(e.Message, token) {
				t.Errorf("the token is in the event %q", e.Message)
			}
		}
	}
}
