package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// commands gives every command that a person is shown.
func commands(parent *cobra.Command) (list []*cobra.Command) {
	for _, c := range parent.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if !c.HasSubCommands() {
			list = append(list, c)
		}
		list = append(list, commands(c)...)
	}
	return list
}

// Every command has help with an example that its own flags allow, and speaks
// JSON, but for those whose output is a file or a process.
func TestEveryCommandHelpsAndSpeaksJSON(t *testing.T) {
	t.Parallel()
	silent := map[string]bool{"serve": true, "admin": true, "sync": true, "sample": true}
	for _, c := range commands(newRoot()) {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example or no summary", c.CommandPath())
		}
		if c.Flags().Lookup("json") == nil && !silent[c.Name()] {
			t.Errorf("%s does not speak JSON", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			line, _, _ = strings.Cut(line, " |")
			line, _, _ = strings.Cut(line, " >")
			at := strings.Index(line, "middleware-api ")
			if at < 0 {
				t.Errorf("%s: the example %q calls something else", c.CommandPath(), line)
				continue
			}
			found, rest, err := newRoot().Find(strings.Fields(line[at:])[1:])
			if err != nil || found.CommandPath() != c.CommandPath() {
				t.Errorf("%s: the example %q calls %s: %v", c.CommandPath(), line, found.CommandPath(), err)
				continue
			}
			for _, word := range rest {
				if name, ok := strings.CutPrefix(word, "--"); ok && found.Flags().Lookup(name) == nil {
					t.Errorf("%s: the example %q has an unknown flag", c.CommandPath(), line)
				}
			}
		}
	}
}

// A shell is offered commands, flags and the values of flags.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"har"}, "harvests"},
		{[]string{"arcs", "--sta"}, "--state"},
		{[]string{"arcs", "--state", ""}, "parked"},
		{[]string{"harvests", "--status", ""}, "cancelled"},
	} {
		got := invoke(t, "", append([]string{cobra.ShellCompRequestCmd}, c.args...)...)
		if !strings.Contains(got.out, c.want) {
			t.Errorf("%v: %q is not offered: %s", c.args, c.want, got.out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := invoke(t, "", "completion", shell); got.code != cli.ExitOK || len(got.out) < 1000 {
			t.Errorf("%s: %+v", shell, got)
		}
	}
}

// site is a database with something to look at, without systemd.
type site struct {
	config string
	store  *store.Store
}

func newSite(tb testing.TB) *site {
	tb.Helper()
	dsn := pgtest.DSN(tb)
	st, err := store.Open(tb.Context(), store.Options{DSN: dsn})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(st.Close)
	return &site{
		store: st,
		config: write(tb, "config.yaml", fmt.Sprintf("known_rdis: [edal, bonares]\nrequire_client_cert: false\ndatabase:\n  url: %q\n"+
			"git_repo:\n  url: %q\n  group: arcs\n", dsn, "file://"+tb.TempDir())),
	}
}

// open opens another database for the site.
func (s *site) open(tb testing.TB, dsn string) {
	tb.Helper()
	st, err := store.Open(tb.Context(), store.Options{DSN: dsn})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(st.Close)
	s.store = st
}

// submit stores an ARC, in a harvest unless that is nil.
func (s *site) submit(tb testing.TB, rdi, identifier string, harvest *store.Harvest) store.ID {
	tb.Helper()
	id := store.ID(rocrate.Identity(identifier, rdi))
	sub := &store.Submission{
		ID: id, RDI: rdi, Identifier: identifier, Name: "Soil of " + identifier, Hash: store.Hash(id), Size: 2,
		Content: func() []byte { return store.Compress([]byte("{}")) },
	}
	if harvest != nil {
		sub.Harvest = harvest.ID
	}
	if _, err := s.store.Submit(tb.Context(), sub); err != nil {
		tb.Fatal(err)
	}
	return id
}

// submitCrate stores an ARC that can be pushed.
func (s *site) submitCrate(tb testing.TB, identifier string) {
	tb.Helper()
	s.submitDocument(tb, identifier, strings.ReplaceAll(goodCrate, `"identifier": "x"`, `"identifier": "`+identifier+`"`))
}

// submitDocument stores a document as an ARC of the RDI edal.
func (s *site) submitDocument(tb testing.TB, identifier, document string) store.ID {
	tb.Helper()
	const rdi = "edal"
	id := store.ID(rocrate.Identity(identifier, rdi))
	_, err := s.store.Submit(tb.Context(), &store.Submission{
		ID: id, RDI: rdi, Identifier: identifier, Hash: sha256.Sum256([]byte(document)), Size: int64(len(document)),
		Content: func() []byte { return store.Compress([]byte(document)) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// patience is the deadline of everything that tests wait for.
const patience = 30 * time.Second

// runUntil runs a synchroniser until the condition holds.
func runUntil(tb testing.TB, s *gitsync.Syncer, condition func() bool) {
	tb.Helper()
	ctx, stop := context.WithCancel(tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Error("the synchroniser does not come to an end")
			break
		}
	}
	stop()
	if err := <-ended; err != nil {
		tb.Fatal(err)
	}
}

// run runs a command on the site's database.
func (s *site) run(tb testing.TB, args ...string) invocation {
	tb.Helper()
	return invoke(tb, "", append(args, "--config", s.config)...)
}

func want(tb testing.TB, got invocation, code int, texts ...string) {
	tb.Helper()
	if got.code != code {
		tb.Errorf("exit status %d, want %d\n%s%s", got.code, code, got.out, got.err)
	}
	flat := strings.Join(strings.Fields(got.out+got.err), " ")
	for _, text := range texts {
		if !strings.Contains(flat, text) {
			tb.Errorf("lacks %q:\n%s%s", text, got.out, got.err)
		}
	}
}

// A list of ARCs is filtered and paged; a page ends with the command that gives
// the next one, and that command works as it stands.
func TestARCsAreListedAndPaged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 5 {
		s.submit(t, "edal", fmt.Sprintf("A%d", i), nil)
	}
	s.submit(t, "bonares", "a name with 'quotes'", nil)
	want(t, s.run(t, "arcs", "--rdi", "bonares"), cli.ExitOK, "bonares/a name with 'quotes' due", `explain 'bonares/a name with '\''quotes'\'''`)
	want(t, s.run(t, "arcs", "--text", "nowhere"), cli.ExitOK, "No ARC is like that.")
	want(t, s.run(t, "arcs", "--state", "lost"), cli.ExitUsage, "none of due, failing, parked, synced")
	want(t, s.run(t, "arcs", "--after", "x"), cli.ExitUsage, "not a place in a list")

	seen := map[string]bool{}
	args := []string{"arcs", "--rdi", "edal", "--limit", "2"}
	for pages := 1; ; pages++ {
		page := s.run(t, args...)
		want(t, page, cli.ExitOK)
		for line := range strings.Lines(page.out) {
			if name, ok := strings.CutPrefix(line, "edal/"); ok {
				seen[strings.Fields(name)[0]] = true
			}
		}
		_, more, ok := strings.Cut(page.out, "more: middleware-api ")
		if !ok {
			if pages != 3 || len(seen) != 5 {
				t.Errorf("%d pages with %v", pages, seen)
			}
			break
		}
		line, _, _ := strings.Cut(more, "\n")
		args = strings.Fields(line)
	}

	one := s.run(t, "arcs", "--limit", "1", "--json")
	var row struct{ ID, Cursor, Identifier, Git_state string } //nolint:revive,staticcheck // as the JSON has it
	if err := json.Unmarshal([]byte(one.out), &row); err != nil || row.Git_state != "due" || len(row.ID) != 64 {
		t.Fatalf("%v: %s", err, one.out)
	}
	rest := s.run(t, "arcs", "--all", "--json", "--after", row.Cursor)
	if n := strings.Count(rest.out, "\n"); n != 5 || strings.Contains(rest.out, row.ID) {
		t.Errorf("%d lines after the first ARC:\n%s", n, rest.out)
	}
}

// What fails is found by its code.
func TestARCsAreFoundByCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.submit(t, "edal", "good", nil)
	s.submit(t, "edal", "bad", nil)
	want(t, s.run(t, "park", "edal/bad", "--reason", "wrong licence"), cli.ExitOK, "unpark")
	want(t, s.run(t, "arcs", "--code", "parked_by_hand"), cli.ExitOK, "edal/bad parked", "parked_by_hand, the operator to mend")
	if got := s.run(t, "arcs", "--code", "parked_by_hand"); strings.Contains(got.out, "edal/good") {
		t.Errorf("not filtered: %s", got.out)
	}
	want(t, s.run(t, "explain", "edal/bad"), cli.ExitOK, "wrong licence", "by local user")
	want(t, s.run(t, "unpark", "edal/bad", "--json"), cli.ExitOK, `"git_state": "due"`)
	want(t, s.run(t, "explain", "edal/none"), cli.ExitNoInput, "remedy:")
}

// A harvest is told with what it brought, what was refused, and what became of
// the rest.
func TestHarvestsAreListedAndTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	client, expected := "harvester.example.org", int64(3)
	h, err := s.store.BeginHarvest(t.Context(), "edal", &client, &expected, "", store.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	s.submit(t, "edal", "good", &h)
	bad := s.submit(t, "edal", "bad", &h)
	if err := s.store.Park(t.Context(), bad, "wrong licence", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	refusal := store.HarvestError{At: time.Now(), Identifier: "worse", Code: "arc_invalid", Text: "The root has no identifier."}
	if err := s.store.AddHarvestError(t.Context(), h.ID, refusal); err != nil {
		t.Fatal(err)
	}
	list := s.run(t, "harvests")
	want(t, list, cli.ExitOK, "harvest-"+h.ID.String()+" edal RUNNING", "2 of 3 2 0 0 1")
	want(t, s.run(t, "harvests", "--status", "completed"), cli.ExitOK, "No harvest is like that.")
	want(t, s.run(t, "harvests", "--rdi", "bonares"), cli.ExitOK, "No harvest is like that.")
	want(t, s.run(t, "harvests", "--status", "odd"), cli.ExitUsage, "none of running")
	told := s.run(t, "harvests", "harvest-"+h.ID.String())
	want(t, told, cli.ExitOK, "by harvester.example.org", "2 ARCs of 3 announced: 2 new", "1 refused",
		"worse: arc_invalid: The root has no identifier.", "bad: parked_by_hand: wrong licence", "middleware-api explain "+bad.String())
	asJSON := s.run(t, "harvests", h.ID.String(), "--json")
	var account struct {
		Refused []struct{ Code string }
		Git     struct{ Waiting, Parked int }
	}
	if err := json.Unmarshal([]byte(asJSON.out), &account); err != nil || len(account.Refused) != 1 || account.Git.Parked != 1 || account.Git.Waiting != 1 {
		t.Errorf("%v: %+v\n%s", err, account, asJSON.out)
	}
	want(t, s.run(t, "harvests", "harvest-00000000-0000-4000-8000-000000000000"), cli.ExitNoInput, "Harvest not found")
	want(t, s.run(t, "harvests", "nonsense"), cli.ExitNoInput, "is no id of a harvest")
}

// The command that status names for a paused git store works as it stands.
func TestPauseIsUndoneByTheCommandThatStatusNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	want(t, s.run(t, "pause", "--reason", "GitLab is upgraded"), cli.ExitOK, "middleware-api resume git")
	status := s.run(t, "status")
	want(t, status, 1, "paused by hand", "GitLab is upgraded", "-> middleware-api resume git")
	want(t, s.run(t, "resume", "git"), cli.ExitOK, "resumed")
	if again := s.run(t, "status"); strings.Contains(again.out, "paused") {
		t.Errorf("still paused:\n%s", again.out)
	}
	want(t, s.run(t, "pause", "lab"), cli.ExitNoInput, `called "git"`)
}
