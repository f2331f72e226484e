package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// A diff tells new, changed and unchanged apart, and the unchanged ones count
// as seen by the harvest; ten thousand take one request, and time in proportion.
func TestDiffOfTenThousand(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	const n = 10_000
	sql(t, dsn, `INSERT INTO arc (id, rdi, identifier, content, content_hash, content_size)
		SELECT sha256(convert_to('A' || i || ':r', 'UTF8')), 'r', 'A' || i, 'x', sha256('x'), 1 FROM generate_series(0, $1) AS i`, n-1)
	h := begin(t, s)
	pairs := make([]store.Pair, n)
	for i := range pairs {
		pairs[i] = store.Pair{ID: idOf(fmt.Sprint("A", i)), Hash: hashOf("x")}
	}
	pairs[17].Hash = hashOf("y")
	pairs[18].ID = idOf("unheard of")
	diff := func(pairs []store.Pair) time.Duration {
		fastest := time.Hour
		// More often than the driver and the server take to settle on a plan.
		for round := range 8 {
			began := time.Now()
			answers := must(s.Diff(t.Context(), h.ID, "r", pairs))(t)
			if round > 5 {
				fastest = min(fastest, time.Since(began))
			}
			for i, got := range answers {
				want := store.IsUnchanged
				switch i {
				case 17:
					want = store.IsChanged
				case 18:
					want = store.IsNew
				}
				if got != want {
					t.Fatalf("round %d, pair %d: got %s, want %s", round, i, got, want)
				}
			}
		}
		return fastest
	}
	// In proportion, and not with the square: the machine may be busy.
	few, all := diff(pairs[:n/10]), diff(pairs)
	if all > 50*few {
		t.Errorf("ten times as many pairs took %.0f times as long", float64(all)/float64(few))
	}
	ended := end(t, s, h, store.EndOptions{})
	if ended.Statistics != (store.Statistics{Unchanged: n - 2, Missing: 2}) {
		t.Errorf("counts: got %+v", ended.Statistics)
	}
}

// What a harvest has brought with other content is a conflict in its diff.
func TestDiffShowsConflicts(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	h := begin(t, s)
	submit(t, s, inHarvest(h, "A", "one"))
	got := must(s.Diff(t.Context(), h.ID, "r", []store.Pair{
		{ID: idOf("A"), Hash: hashOf("two")}, {ID: idOf("B"), Hash: hashOf("one")},
	}))(t)
	if diff := cmp.Diff([]store.Difference{store.IsConflict, store.IsNew}, got); diff != "" {
		t.Error(diff)
	}
}

// A task is read back as it was kept, and forgotten after its time.
func TestTasksAreKeptAndForgotten(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	client, text := "c", "broken"
	task := store.Task{
		ID: uuid.New(), ClientID: &client, RDI: "r", Status: "FAILURE", Message: "m", Error: &text,
		ARCs: []store.TaskARC{{ID: idOf("A"), Status: store.Created, At: time.Date(2026, 3, 1, 9, 0, 0, 123456000, time.UTC)}},
	}
	if err := s.PutTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	got := must(s.Task(t.Context(), task.ID))(t)
	if diff := cmp.Diff(task, got, cmpopts.IgnoreFields(store.Task{}, "UpdatedAt")); diff != "" {
		t.Error(diff)
	}
	if n := must(s.PruneTasks(t.Context(), time.Hour))(t); n != 0 {
		t.Errorf("forgot %d young tasks", n)
	}
	// It is young again with everything that happens in it.
	sql(t, dsn, `UPDATE task SET updated_at = now() - interval '2 hours'`)
	if err := s.PutTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	if n := must(s.PruneTasks(t.Context(), time.Hour))(t); n != 0 {
		t.Errorf("forgot %d tasks that began long ago", n)
	}
	if n := must(s.PruneTasks(t.Context(), 0))(t); n != 1 {
		t.Errorf("forgot %d old tasks, want 1", n)
	}
	if _, err := s.Task(t.Context(), task.ID); fault.CodeOf(err) != fault.TaskNotFound {
		t.Errorf("got %v, want task_not_found", err)
	}
}

// Findings are readable, told of once in the log, and belong to one content.
func TestReportsBelongToAContent(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	h := begin(t, s)
	submit(t, s, inHarvest(h, "A", "one"))
	findings := []store.Finding{
		{Code: "a", Severity: store.SeverityError, Pointer: "/@graph/0", Entity: "./", Text: "first error", Owner: fault.OwnerRDI},
		{Code: "b", Severity: store.SeverityError, Text: "second error"},
		{Code: "c", Severity: store.SeverityWarning, Text: "a warning"},
		{Code: "d", Severity: "hint", Text: "a hint"},
	}
	for range 2 {
		if err := s.SetReport(t.Context(), idOf("A"), hashOf("one"), findings); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetReport(t.Context(), idOf("A"), hashOf("outdated"), nil); err != nil {
		t.Fatal(err)
	}
	r := must(s.Report(t.Context(), idOf("A")))(t)
	if diff := cmp.Diff(findings, r.Findings); diff != "" || r.Hash != hashOf("one") {
		t.Error(diff)
	}
	events := must(s.Events(t.Context(), idOf("A")))(t)
	if len(events) != 3 || events[1].Type != "VALIDATION_ERROR" || events[1].Message != "2 errors; the first: first error" ||
		events[2].Type != "VALIDATION_WARNING" || events[2].Message != "a warning" {
		t.Errorf("events: got %+v", events)
	}
	if r := must(s.Report(t.Context(), idOf("B")))(t); r.Hash != (store.Hash{}) {
		t.Errorf("unknown ARC: got %+v", r)
	}
	// Another reading of the same content replaces it, and the harvest that brought the
	// content shows what was found in that and in no other.
	of := func(content string, findings []store.Finding) []store.Finding {
		t.Helper()
		if err := s.SetReport(t.Context(), idOf("A"), hashOf(content), findings); err != nil {
			t.Fatal(err)
		}
		if r := must(s.Report(t.Context(), idOf("A")))(t); !cmp.Equal(findings, r.Findings) {
			t.Errorf("report on %s: got %+v, want %+v", content, r.Findings, findings)
		}
		return must(s.Members(t.Context(), h.ID, store.ID{}, 9))(t)[0].Findings
	}
	if got := of("one", findings[2:]); !cmp.Equal(findings[2:], got) {
		t.Errorf("in the harvest: %+v, want %+v", got, findings[2:])
	}
	submit(t, s, submission("A", "two"))
	if got := of("two", findings[:1]); len(got) != 0 {
		t.Errorf("in the harvest after a change: %+v, want none", got)
	}
}

// What was found in a crate and what was refused of it are told in its own words, also where
// they hold what PostgreSQL does not take: what is recorded of it must not fail because of that.
func TestOddTextsAreRecorded(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	const odd, kept = "#s\x00\xff", "#s\uFFFD\uFFFD"
	named := submission("A", "one")
	named.Name, named.Description = odd, odd
	submit(t, s, named)
	if a := read(t, s, idOf("A")); a.Name != kept || a.Description != kept {
		t.Errorf("name %q, description %q", a.Name, a.Description)
	}
	findings := []store.Finding{{Code: "c", Severity: store.SeverityWarning, Pointer: "/" + odd, Entity: odd, Text: odd, Remedy: odd}}
	if err := s.SetReport(t.Context(), idOf("A"), hashOf("one"), findings); err != nil {
		t.Error(err)
	}
	want := []store.Finding{{Code: "c", Severity: store.SeverityWarning, Pointer: "/" + kept, Entity: kept, Text: kept, Remedy: kept}}
	if diff := cmp.Diff(want, must(s.Report(t.Context(), idOf("A")))(t).Findings); diff != "" {
		t.Error(diff)
	}
	h := begin(t, s)
	if err := s.AddHarvestError(t.Context(), h.ID, store.HarvestError{Identifier: odd, Code: fault.ARCInvalid, Text: odd}); err != nil {
		t.Error(err)
	}
	if list := must(s.HarvestErrors(t.Context(), h.ID, 0, 9))(t); len(list) != 1 || list[0].Identifier != kept || list[0].Text != kept {
		t.Errorf("refusals: got %+v", list)
	}
	c := claim(t, s)
	load(t, s, c)
	if err := s.RecordFailure(t.Context(), c, store.Failure{Class: store.Invalid, Code: fault.ARCInvalid, Text: odd, Remedy: odd, Park: true}); err != nil {
		t.Error(err)
	}
	if f := read(t, s, idOf("A")).Git.Failure; f.Text != kept || f.Remedy != kept {
		t.Errorf("failure: got %+v", f)
	}
}

// An ARC's failure is the same, whether it is asked for alone or as one of a harvest.
func TestMembersTellOfFailures(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	h := begin(t, s)
	submit(t, s, inHarvest(h, "A", "one"))
	c := claim(t, s)
	load(t, s, c)
	if err := s.RecordFailure(t.Context(), c, store.Failure{Class: store.Refused, Code: fault.HookDeclined, Text: "no", Remedy: "ask", Park: true}); err != nil {
		t.Fatal(err)
	}
	alone, m := read(t, s, idOf("A")).Git, must(s.Members(t.Context(), h.ID, store.ID{}, 9))(t)[0]
	if m.Failure != alone.Failure || m.FailedAt.IsZero() || !m.FailedAt.Equal(alone.FailedAt) {
		t.Errorf("got %+v at %s, want %+v at %s", m.Failure, m.FailedAt, alone.Failure, alone.FailedAt)
	}
}

// The audit trail grows and never changes, whoever tries.
func TestTheAuditTrailIsAppendOnly(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	sub := submission("A", "one")
	sub.Actor = store.Actor{Subject: "CN=harvester", Fingerprint: "ab12", RequestID: "req-1"}
	submit(t, s, sub)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	for _, statement := range []string{"UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"} {
		if _, err := conn.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s: was possible", statement)
		}
	}
	trail := must(s.AuditTrail(t.Context(), store.ID{}, 0, 9))(t)
	if len(trail) != 1 || trail[0].Actor != sub.Actor || trail[0].ARC != sub.ID || trail[0].RDI != "r" {
		t.Errorf("got %+v", trail)
	}
}

// What somebody does to a harvest or to an ARC's way into git is in the audit trail,
// with who did it.
func TestTheAuditTrailTellsWhoDidWhat(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	by := store.Actor{Subject: "CN=operator", Fingerprint: "ab12", RequestID: "req-1"}
	submit(t, s, submission("A", "one"))
	h := must(s.BeginHarvest(t.Context(), "r", nil, nil, "", by))(t)
	must(s.EndHarvest(t.Context(), h.ID, store.Cancelled, store.EndOptions{By: by}))(t)
	for _, err := range []error{s.Park(t.Context(), idOf("A"), "odd", by), s.RequestPush(t.Context(), idOf("A"), by)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.RequestPushes(t.Context(), "r", by))(t)
	must(s.RequestPushesOfCause(t.Context(), "hook_declined", by))(t)
	got := []string{}
	for _, line := range must(s.AuditTrail(t.Context(), store.ID{}, 0, 6))(t) {
		if line.Actor != by {
			t.Errorf("%s is by %+v", line.Action, line.Actor)
		}
		got = append(got, line.Action)
	}
	want := []string{"arc.resync", "arc.resync", "arc.resync", "arc.park", "harvest.CANCELLED", "harvest.RUNNING"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// An import brings content, times and log of an ARC, makes it due with the
// wish to look at the repository, and can be run again without effect.
func TestAnImportCanBeRunAgain(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	seen := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	in := store.Imported{
		ARC: store.ARC{
			ID: idOf("A"), RDI: "r", Identifier: "A", Hash: hashOf("one"), Size: 3, Lifecycle: store.Active,
			FirstSeen: seen, LastSeen: seen.Add(time.Hour), LastChanged: seen,
		},
		Frame:  []byte("one"),
		Events: []store.Event{{At: seen, Type: store.EventCreated, Message: "ARC first seen"}},
	}
	for round := range 2 {
		if imported := must(s.ImportARC(t.Context(), in, store.Actor{Subject: "root"}))(t); imported != (round == 0) {
			t.Errorf("round %d: imported %v", round, imported)
		}
	}
	a := read(t, s, idOf("A"))
	if !a.FirstSeen.Equal(seen) || a.Hash != hashOf("one") || a.Git.State != store.Due {
		t.Errorf("got %+v", a)
	}
	if events := must(s.Events(t.Context(), a.ID))(t); len(events) != 1 || !events[0].At.Equal(seen) {
		t.Errorf("events: got %+v", events)
	}
	if c := claim(t, s); !c.Forced {
		t.Error("the claim trusts that nothing was pushed")
	}
	done := seen.Add(time.Hour)
	h := store.Harvest{
		ID: uuid.New(), RDI: "r", Status: store.Completed, StartedAt: seen, CompletedAt: &done,
		Statistics: store.Statistics{New: 4, Updated: 3, Unchanged: 2, Missing: 1},
	}
	for round := range 2 {
		if imported := must(s.ImportHarvest(t.Context(), h))(t); imported != (round == 0) {
			t.Errorf("harvest, round %d: imported %v", round, imported)
		}
	}
	if diff := cmp.Diff(h, must(s.Harvest(t.Context(), h.ID))(t)); diff != "" {
		t.Error(diff)
	}
}

// Ids and hashes are 64 lower-case hex digits and nothing else.
func TestIDsAreLowerCaseHex(t *testing.T) {
	t.Parallel()
	id := store.ID(sha256.Sum256(nil))
	if got := must(store.ParseID(id.String()))(t); got != id {
		t.Errorf("got %s", got)
	}
	for _, text := range []string{"", "ab", id.String()[1:] + "G", id.String()[1:] + "A", id.String() + "0"} {
		if _, err := store.ParseID(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	u := uuid.New()
	if got, ok := store.HarvestUUID("harvest-" + u.String()); !ok || got != u {
		t.Errorf("got %s", got)
	}
	for _, text := range []string{u.String(), "harvest-", "harvest-{" + u.String()[:34] + "}", "Harvest-" + u.String()} {
		if _, ok := store.HarvestUUID(text); ok {
			t.Errorf("%q was taken", text)
		}
	}
}

// An ARC that is parked for another reason while a push is requested for all of a cause
// stays parked.
func TestARequestForACauseSparesWhatHasAnother(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	submit(t, s, submission("A", "x"))
	c := claim(t, s)
	load(t, s, c)
	if err := s.RecordFailure(t.Context(), c, store.Failure{Class: store.Refused, Code: fault.HookDeclined, Park: true}); err != nil {
		t.Fatal(err)
	}
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	tx := must(conn.Begin(t.Context()))(t)
	must(tx.Exec(t.Context(), `UPDATE arc SET failure_code = 'parked_by_hand'`))(t)
	requested := make(chan int64, 1)
	go func() {
		n, err := s.RequestPushesOfCause(context.Background(), fault.HookDeclined, store.Actor{})
		if err != nil {
			t.Error(err)
		}
		requested <- n
	}()
	awaitLock(t, dsn, "the request waits for the row")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := <-requested; n != 0 {
		t.Errorf("%d pushes are requested", n)
	}
	if a := read(t, s, c.ID); a.Git.State != store.Parked {
		t.Errorf("it is %s", a.Git.State)
	}
}
