package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// changed is when the content of the old service's ARCs changed last.
var changed = time.Date(2025, 5, 1, 10, 0, 0, 250_000_000, time.UTC)

// old gives an ARC as CouchDB kept it; pushed says that the old service pushed
// it a second after its last change.
func old(identifier string, pushed bool) string {
	id := store.ID(rocrate.Identity(identifier, "edal"))
	stamp := func(t time.Time) string { return t.Format(time.RFC3339Nano) }
	events := fmt.Sprintf(`{"timestamp":%q,"type":"ARC_CREATED","message":"ARC first seen"}`, stamp(changed))
	if pushed {
		events += fmt.Sprintf(`,{"timestamp":%q,"type":"GIT_PUSH_SUCCESS","message":"Successfully synchronized to GitLab"}`, stamp(changed.Add(time.Second)))
	}
	content := strings.ReplaceAll(goodCrate, `"identifier": "x"`, `"identifier": "`+identifier+`"`)
	content = strings.Join(strings.Fields(content), " ")
	p, err := rocrate.Scan([]byte(content))
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"_id":"arc_%s","rdi":"edal","arc_content":%s,"metadata":{"arc_hash":"%x","status":"ACTIVE","first_seen":%q,"last_seen":%q,"last_changed":%q,"events":[%s]}}`,
		id, content, p.Hash, stamp(changed), stamp(changed), stamp(changed), events)
}

// oldPush puts a commit of the old service on the branch: workbooks whose bytes
// are not ours, and its own file with a hash.
func oldPush(tb testing.TB, dir, message string, when time.Time) string {
	tb.Helper()
	var in bytes.Buffer
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Middleware API <middleware@fairagro.net> %d +0000\ndata %d\n%s\n", when.Unix(), len(message), message)
	for path, text := range map[string]string{"isa.investigation.xlsx": "PK old workbook", "assays/.gitkeep": "", ".arc_hash": "0815"} {
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(text), text)
	}
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet")
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	return gitlabtest.MustGit(tb, dir, "rev-parse", "main")
}

// An imported ARC gets no commit if its repository holds what the old service
// pushed after the last change; in every other case it is pushed. Later changes
// go on top of what was taken over.
func TestImportedARCsAreNotPushedAgain(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"git_repo", "gitlab_api"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			imported(t, store)
		})
	}
}

func imported(t *testing.T, kind string) {
	t.Helper()
	s, hub := withGitLab(t)
	s.replace(t, "git_repo:", kind+":")
	id := func(identifier string) string { return store.ID(rocrate.Identity(identifier, "edal")).String() }
	heads := map[string]string{}
	for _, c := range []struct {
		identifier, message string
		when                time.Time
	}{
		{"current", "Update ARC %s", changed.Add(time.Second)},
		{"same second", "Add/update ARC %s", changed.Truncate(time.Second)},
		{"whole", "Add/update ARC %s (part 2/2)", changed.Add(time.Second)},
		{"half", "Add/update ARC %s (part 1/2)", changed.Add(time.Second)},
		{"behind", "Update ARC %s", changed.Add(-time.Hour)},
		{"claimed", "Update ARC %s", changed.Add(time.Hour)}, // the old service does not say that it pushed
		{"edited", "Correct the title", changed.Add(time.Hour)},
	} {
		hub.Add("arcs", id(c.identifier), c.identifier)
		message := c.message
		if strings.Contains(message, "%") {
			message = fmt.Sprintf(message, id(c.identifier))
		}
		heads[c.identifier] = oldPush(t, hub.Dir("arcs/"+id(c.identifier)), message, c.when)
	}
	var export strings.Builder
	for identifier := range heads {
		export.WriteString(old(identifier, identifier != "claimed") + "\n")
	}
	export.WriteString(old("new", false) + "\n")
	text := regexp.MustCompile(`"last_seen":"[^"]*","last_changed":"[^"]*"`).ReplaceAllString(export.String(), `"last_seen":"2025-12-01T00:00:00Z"`)
	if kind == "git_repo" { // documents of an early version, which were seen since
		export.Reset()
		export.WriteString(text)
	}
	got := invoke(t, export.String(), "import", "couchdb", "-", "--json", "--config", s.config)
	if got.code != cli.ExitOK {
		t.Fatalf("%+v", got)
	}
	s.synchronise(t)
	adopted := map[string]bool{"current": true, "same second": true, "whole": true}
	for _, identifier := range []string{"current", "same second", "whole", "half", "behind", "claimed", "edited", "new"} {
		head := gitlabtest.MustGit(t, hub.Dir("arcs/"+id(identifier)), "rev-parse", "main")
		if (head == heads[identifier]) != adopted[identifier] {
			t.Errorf("%s: head was %s and is %s", identifier, heads[identifier], head)
		}
		a, err := s.store.ARC(t.Context(), store.ID(rocrate.Identity(identifier, "edal")))
		if err != nil || a.Git.State != store.Synced || a.Git.Commit != head {
			t.Errorf("%s: %v, %+v", identifier, err, a.Git)
		}
		if adopted[identifier] && !a.Git.PushedAt.Equal(changed.Add(time.Second)) {
			t.Errorf("%s: is said to be pushed at %s", identifier, a.Git.PushedAt)
		}
	}
	want(t, s.run(t, "audit"), cli.ExitOK, "8 checked: 8 as recorded")
	want(t, s.run(t, "explain", "edal/current"), cli.ExitOK, "the newest, is in git: commit "+heads["current"], "ARC_CREATED", "arc.import")

	// A change after the import goes on top and replaces the old service's files.
	s.submitDocument(t, "current", strings.ReplaceAll(goodCrate, `"identifier": "x"`, `"identifier": "current", "name": "Rye"`))
	s.synchronise(t)
	dir := hub.Dir("arcs/" + id("current"))
	if parent := gitlabtest.MustGit(t, dir, "rev-parse", "main^"); parent != heads["current"] {
		t.Errorf("the change is on top of %s", parent)
	}
	if files := gitlabtest.MustGit(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Contains(files, ".arc_hash") || !strings.Contains(files, "isa.assay.xlsx") {
		t.Errorf("files after the change:\n%s", files)
	}
	gitlabtest.MustGit(t, dir, "fsck", "--strict")
}

// replace changes the site's configuration.
func (s *site) replace(tb testing.TB, from, to string) {
	tb.Helper()
	s.config = write(tb, "config.yaml", strings.ReplaceAll(read(tb, s.config), from, to))
}

// The summary adds up for people; lines that were not imported are listed on
// standard error and make the exit status 1.
func TestImportTellsWhatItDid(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	export := write(t, "export.ndjson", old("A1", true)+"\nnonsense\n"+old("A2", false)+"\n")
	want(t, s.run(t, "import", "couchdb", "--dry-run", export), cli.ExitFailure, "dry run: nothing was stored", "2 would be imported")
	want(t, s.run(t, "arcs"), cli.ExitOK, "No ARC is like that.")
	want(t, s.run(t, "import", "couchdb", export), cli.ExitFailure, "line 2: not imported: this is not JSON",
		"ARCs: 2 in the export = 2 imported now + 0 there before + 0 not imported", "pushed by the old service, to be compared with the repository only: 1",
		"proven: 2 of 2 ARCs", "Not everything is in the database")
	again := s.run(t, "import", "couchdb", "--json", export)
	var sum struct{ ARCs struct{ There, Imported int } }
	if err := json.Unmarshal([]byte(again.out), &sum); err != nil || sum.ARCs.There != 2 || sum.ARCs.Imported != 0 || !strings.Contains(again.err, `"line":2`) {
		t.Errorf("%v: %+v", err, again)
	}
	cut := write(t, "cut.json", `{"total_rows":2,"offset":0,"rows":[`+"\r\n"+`{"id":"x","key":"x","doc":`+old("A1", true)+"},\r\n")
	got := s.run(t, "import", "couchdb", cut)
	want(t, got, cli.ExitNoInput, "the export was cut off", "The export was not read to its end", "1 there before")
	if strings.Contains(got.out, "Everything") {
		t.Errorf("half an export is everything: %s", got.out)
	}
	want(t, s.run(t, "import", "couchdb", "--dry-run", write(t, "nothing", "")), cli.ExitNoInput, "the export is empty")
	want(t, s.run(t, "import", "couchdb", filepath.Join(t.TempDir(), "none")), cli.ExitNoInput, "no such file")
}
