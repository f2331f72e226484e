package ingest_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

func begin(tb testing.TB, w world, by ingest.Caller) store.Harvest {
	tb.Helper()
	return must[store.Harvest](tb)(w.BeginHarvest(tb.Context(), by, "r", nil, ""))
}

// A harvest belongs to the client that began it, anonymous or not; the refusal
// names harvest and caller as clients of the old system know it.
func TestAHarvestBelongsToItsClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	anonymous := ingest.Caller{}
	for _, c := range []struct {
		owner, other ingest.Caller
		name         string
	}{
		{client("one"), client("two"), "two"},
		{client("one"), anonymous, "None"},
		{anonymous, client("two"), "two"},
	} {
		h := begin(t, w, c.owner)
		want := fmt.Sprintf("Harvest %s does not belong to client %s", ingest.HarvestID(h), c.name)
		_, submitted := w.SubmitInHarvest(t.Context(), c.other, h, crate(t, "A", "x"), ingest.WithoutLog)
		_, ended := w.EndHarvest(t.Context(), c.other, h, store.Completed, ingest.Missing{})
		_, compared := w.Diff(t.Context(), c.other, h, nil)
		bulk := w.Bulk(t.Context(), c.other, h, slices.Values([]ingest.Line{}), nil)
		for what, err := range map[string]error{"submit": submitted, "end": ended, "diff": compared, "bulk": bulk} {
			if f, ok := fault.Of(err); !ok || f.Code != fault.HarvestNotYours || f.Text != want {
				t.Errorf("%s: got %v, want %q", what, err, want)
			}
		}
		if _, err := w.SubmitInHarvest(t.Context(), c.owner, h, crate(t, "A", "x"), ingest.WithoutLog); err != nil {
			t.Errorf("owner: %v", err)
		}
		if ended := must[store.Harvest](t)(w.EndHarvest(t.Context(), c.owner, h, store.Cancelled, ingest.Missing{})); ended.Status != store.Cancelled {
			t.Errorf("owner: got %+v", ended)
		}
	}
}

// The audit trail names who began a harvest and who ended it; the same key begins it once.
func TestTheAuditTrailNamesWhoRanAHarvest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by, expected := client("jane"), int64(7)
	h := must[store.Harvest](t)(w.BeginHarvest(t.Context(), by, "r", &expected, "key"))
	again := must[store.Harvest](t)(w.BeginHarvest(t.Context(), by, "r", &expected, "key"))
	if again.ID != h.ID || again.Expected == nil || *again.Expected != 7 {
		t.Errorf("begun again: got %+v, want %s", again, h.ID)
	}
	must[store.Harvest](t)(w.EndHarvest(t.Context(), by, h, store.Cancelled, ingest.Missing{}))
	var deeds []string
	for _, a := range must[[]store.Audit](t)(w.store.AuditTrail(t.Context(), store.ID{}, 0, 10)) {
		deeds = append(deeds, a.Action+" "+a.Actor.Subject)
	}
	if !slices.Equal(deeds, []string{"harvest.CANCELLED CN=jane", "harvest.RUNNING CN=jane"}) {
		t.Errorf("got %q", deeds)
	}
}

// RUNNING as the aim of a running harvest reads it anew; of an ended one it is
// refused like any other.
func TestARunningHarvestCanBeSetToRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("c")
	h := begin(t, w, by)
	must[*ingest.Accepted](t)(w.SubmitInHarvest(t.Context(), by, h, crate(t, "A", "x"), ingest.WithoutLog))
	again := must[store.Harvest](t)(w.EndHarvest(t.Context(), by, h, store.Running, ingest.Missing{}))
	if again.Status != store.Running || again.Statistics.New != 1 {
		t.Errorf("got %+v", again)
	}
	must[store.Harvest](t)(w.EndHarvest(t.Context(), by, h, store.Failed, ingest.Missing{}))
	_, err := w.EndHarvest(t.Context(), by, h, store.Running, ingest.Missing{})
	want := fmt.Sprintf("Harvest %s cannot transition to RUNNING: current status is FAILED", ingest.HarvestID(h))
	if f, ok := fault.Of(err); !ok || f.Code != fault.HarvestTransition || f.Text != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// What is remembered of a harvest never hides that it has ended, and unknown
// ids are not found, however they are spelled.
func TestTheHeadOfAHarvestIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("c")
	h := begin(t, w, by)
	for range 2 {
		head := must[store.Harvest](t)(w.HarvestHead(t.Context(), ingest.HarvestID(h)))
		if head.RDI != "r" || *head.ClientID != "c" {
			t.Fatalf("got %+v", head)
		}
	}
	must[store.Harvest](t)(w.EndHarvest(t.Context(), by, h, store.Completed, ingest.Missing{}))
	head := must[store.Harvest](t)(w.HarvestHead(t.Context(), ingest.HarvestID(h)))
	if _, err := w.SubmitInHarvest(t.Context(), by, head, crate(t, "A", "x"), ingest.WithoutLog); fault.CodeOf(err) != fault.HarvestClosed {
		t.Errorf("got %v, want harvest_closed", err)
	}
	for _, id := range []string{"", "x", h.ID.String(), "harvest-00000000-0000-0000-0000-000000000000"} {
		_, one := w.Harvest(t.Context(), id)
		_, two := w.HarvestHead(t.Context(), id)
		if fault.CodeOf(one) != fault.HarvestNotFound || fault.CodeOf(two) != fault.HarvestNotFound {
			t.Errorf("%q: got %v and %v", id, one, two)
		}
	}
}

// Refused submissions are errors of their harvest and listed in its receipt.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("c")
	h := begin(t, w, by)
	must[*ingest.Accepted](t)(w.SubmitInHarvest(t.Context(), by, h, crate(t, "A", "x"), ingest.WithoutLog))
	if _, err := w.SubmitInHarvest(t.Context(), by, h, crate(t, "A", "y"), ingest.WithoutLog); fault.CodeOf(err) != fault.HarvestConflict {
		t.Fatalf("got %v, want a conflict", err)
	}
	rejected := crate(t, "B", "x")
	rejected.Identifier = "B\x00"
	if _, err := w.SubmitInHarvest(t.Context(), by, h, rejected, ingest.WithoutLog); fault.CodeOf(err) != fault.StoreRejected {
		t.Fatalf("got %v, want it rejected by the database", err)
	}
	w.NoteRefusal(t.Context(), by, h, "", "no root data entity")
	w.NoteRefusal(t.Context(), client("other"), h, "", "not counted")
	var texts []string
	for e, err := range w.Refusals(t.Context(), h) {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(e.Code)+" "+e.Identifier+" "+e.Text)
	}
	want := []string{
		"harvest_conflict A ARC 'A' was already submitted in harvest '" + ingest.HarvestID(h) + "' with different content.",
		"store_rejected B\uFFFD " + fault.New(fault.StoreRejected, nil).Text,
		"arc_invalid  no root data entity",
	}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Error(diff)
	}
	ended := must[store.Harvest](t)(w.EndHarvest(t.Context(), by, h, store.Completed, ingest.Missing{}))
	if ended.Statistics != (store.Statistics{New: 1, Errors: 3}) {
		t.Errorf("counts: got %+v", ended.Statistics)
	}
	for m, err := range w.Members(t.Context(), h, store.ID{}) {
		if err != nil || m.Identifier != "A" || m.Outcome != "new" || m.GitState != store.Due {
			t.Errorf("member: got %+v, %v", m, err)
		}
	}
}

// However long a harvest is, its receipt names each ARC and each refusal once, and whoever
// has seen enough stops.
func TestReceiptsOfLongHarvests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("c")
	h := begin(t, w, by)
	const many = 1001
	entries := make([]string, many)
	for i := range entries {
		entries[i] = fmt.Sprintf("D%04d=x", i)
	}
	if err := w.Bulk(t.Context(), by, h, slices.Values(lines(t, entries...)), func(_ *ingest.Accepted, err error) error { return err }); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		w.NoteRefusal(t.Context(), by, h, fmt.Sprintf("R%04d", i), "no root data entity")
	}
	var members, refusals []string
	for m, err := range w.Members(t.Context(), h, store.ID{}) {
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, m.Identifier)
	}
	for e, err := range w.Refusals(t.Context(), h) {
		if err != nil {
			t.Fatal(err)
		}
		if want := store.ID(rocrate.Identity(e.Identifier, "r")); e.ARC != want {
			t.Fatalf("the refusal of %s is one of %s, want %s", e.Identifier, e.ARC, want)
		}
		refusals = append(refusals, e.Identifier)
	}
	slices.Sort(members) // they come by id
	for name, got := range map[string][]string{"D": members, "R": refusals} {
		if len(got) != many || got[0] != name+"0000" || got[many-1] != name+"1000" || len(slices.Compact(got)) != many {
			t.Errorf("%s: %d rows, want each of %d once", name, len(got), many)
		}
	}
	seen := 0
	for range w.Members(t.Context(), h, store.ID{}) {
		if seen++; seen == 2 {
			break
		}
	}
	for range w.Refusals(t.Context(), h) {
		if seen++; seen == 4 {
			break
		}
	}
	if seen != 4 {
		t.Errorf("%d rows before the end, want 4", seen)
	}
}

// A receipt that cannot be read to its end says so, once.
func TestReceiptsWithoutDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	h := begin(t, w, client("c"))
	w.store.Close()
	var failed []error
	for _, err := range w.Members(t.Context(), h, store.ID{}) {
		failed = append(failed, err)
	}
	for _, err := range w.Refusals(t.Context(), h) {
		failed = append(failed, err)
	}
	if len(failed) != 2 || fault.CodeOf(failed[0]) != fault.StoreUnavailable || fault.CodeOf(failed[1]) != fault.StoreUnavailable {
		t.Errorf("got %v, want that the database is away", failed)
	}
	if _, err := w.EndHarvest(t.Context(), client("c"), h, store.Running, ingest.Missing{}); fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("read anew: got %v", err)
	}
	// What is refused meanwhile is told to its sender; nobody else has to fail for it.
	w.NoteRefusal(t.Context(), client("c"), h, "A", "no root data entity")
}

// Of an ARC that a diff lists twice, the first entry counts.
func TestDiffAnswersRepeatedEntries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("c")
	p := crate(t, "A", "x")
	must[*ingest.Accepted](t)(w.Submit(t.Context(), by, "r", p, ingest.WithoutLog))
	h := begin(t, w, by)
	answers := must[[]ingest.Compared](t)(w.Diff(t.Context(), by, h, []ingest.Known{
		{"A", p.Hash}, {" A ", p.Hash}, {"B", p.Hash}, {"A", store.Hash{1}},
	}))
	var got []string
	for _, a := range answers {
		got = append(got, a.Identifier+" "+string(a.Difference))
	}
	if diff := cmp.Diff([]string{"A unchanged", " A  unchanged", "B new", "A conflict"}, got); diff != "" {
		t.Error(diff)
	}
	if got := must[store.Harvest](t)(w.Harvest(t.Context(), ingest.HarvestID(h))); got.Statistics.Unchanged != 1 {
		t.Errorf("counts: got %+v", got.Statistics)
	}
}

// lines makes a bulk submission of crates; an empty content is a broken line.
func lines(tb testing.TB, entries ...string) []ingest.Line {
	tb.Helper()
	out := make([]ingest.Line, len(entries))
	for i, e := range entries {
		identifier, content, _ := strings.Cut(e, "=")
		if content == "" {
			out[i] = func() (rocrate.Payload, error) { return rocrate.Payload{}, errors.New("broken line") }
			continue
		}
		p := crate(tb, identifier, content)
		out[i] = func() (rocrate.Payload, error) { return p, nil }
	}
	return out
}

// Bulk answers line by line in order; a broken line harms only itself, and
// lines with one ARC behave as if they had been sent one after the other.
func TestBulkAnswersInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("c")
	must[*ingest.Accepted](t)(w.Submit(t.Context(), by, "r", crate(t, "known", "x"), ingest.WithoutLog))
	h := begin(t, w, by)
	entries := []string{"A=x", "known=x", "broken=", "B=x", "A=x", "A=y", "known=x", "C=x"}
	want := []string{
		"A created", "known unchanged", "broken line", "B created", "A unchanged", "harvest_conflict", "known unchanged", "C created",
	}
	// Enough of them to run in several groups at once.
	for i := range 500 {
		entries = append(entries, fmt.Sprintf("D%d=x", i%400))
		outcome := "created"
		if i >= 400 {
			outcome = "unchanged"
		}
		want = append(want, fmt.Sprintf("D%d %s", i%400, outcome))
	}
	// Two contents of one ARC in a row: the first line wins, however many there are.
	for i := range 100 {
		entries = append(entries, fmt.Sprintf("E%d=x", i), fmt.Sprintf("E%d=y", i))
		want = append(want, fmt.Sprintf("E%d created", i), "harvest_conflict")
	}
	var got []string
	err := w.Bulk(t.Context(), by, h, slices.Values(lines(t, entries...)), func(a *ingest.Accepted, err error) error {
		switch {
		case err == nil:
			got = append(got, a.Identifier+" "+string(a.Outcome))
			// Durable when it is reported.
			if arc, err := w.ARC(t.Context(), a.ID.String()); err != nil || arc.Hash != a.Hash {
				t.Errorf("%s was reported, found %+v, %v", a.Identifier, arc, err)
			}
		case fault.CodeOf(err) != "":
			got = append(got, string(fault.CodeOf(err)))
		default:
			got = append(got, err.Error())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	ended := must[store.Harvest](t)(w.EndHarvest(t.Context(), by, h, store.Completed, ingest.Missing{}))
	if ended.Statistics != (store.Statistics{New: 503, Unchanged: 1, Errors: 102}) {
		t.Errorf("counts: got %+v", ended.Statistics)
	}
}

// A broken line between two lines of one ARC does not change their order, and its harvest
// tells what was wrong with it.
func TestABrokenLineKeepsTheOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("c")
	h := begin(t, w, by)
	one, other := crate(t, "A", "x"), crate(t, "A", "y")
	read := make(chan struct{})
	entries := []ingest.Line{
		func() (rocrate.Payload, error) { <-read; return one, nil },
		func() (rocrate.Payload, error) { return rocrate.Payload{}, errors.New("broken line") },
		func() (rocrate.Payload, error) { close(read); return other, nil },
		func() (rocrate.Payload, error) {
			return rocrate.Payload{}, &fault.Error{Code: "no_room", Text: "not now", Owner: fault.OwnerNobody}
		},
	}
	var got []string
	err := w.Bulk(t.Context(), by, h, slices.Values(entries), func(a *ingest.Accepted, err error) error {
		if err == nil {
			got = append(got, string(a.Outcome))
		} else {
			got = append(got, string(fault.CodeOf(err)))
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"created", "", "harvest_conflict", "no_room"}) {
		t.Errorf("got %q, %v", got, err)
	}
	var texts []string
	for e, err := range w.Refusals(t.Context(), h) {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(e.Code)+" "+e.Text)
	}
	slices.Sort(texts)
	if len(texts) != 2 || texts[0] != "arc_invalid broken line" || !strings.HasPrefix(texts[1], "harvest_conflict ") {
		t.Errorf("the harvest tells of %q", texts)
	}
}

// When nobody listens any more a bulk submission begins no more lines; what
// was reported is stored.
func TestBulkStopsWhenNobodyListens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("c")
	h := begin(t, w, by)
	gone := errors.New("connection lost")
	begun, reported := 0, 0
	endless := func(yield func(ingest.Line) bool) {
		for {
			p := crate(t, fmt.Sprint("A", begun), "x")
			begun++
			if !yield(func() (rocrate.Payload, error) { return p, nil }) {
				return
			}
		}
	}
	err := w.Bulk(t.Context(), by, h, endless, func(*ingest.Accepted, error) error {
		if reported == 10 {
			return gone
		}
		reported++
		return nil
	})
	if !errors.Is(err, gone) || begun > 1000 {
		t.Errorf("got %v after %d lines", err, begun)
	}
	if got := must[store.Harvest](t)(w.Harvest(t.Context(), ingest.HarvestID(h))).Statistics.New; got < 10 {
		t.Errorf("stored %d, reported %d", got, reported)
	}
}

// Who has called has to wait for what reads from the sender: afterwards the request is over.
func TestBulkEndsAfterItsLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("c")
	h := begin(t, w, by)
	gone := errors.New("connection lost")
	reported, read := make(chan struct{}), make(chan struct{})
	lines := func(yield func(ingest.Line) bool) {
		yield(func() (rocrate.Payload, error) { return rocrate.Payload{}, errors.New("no crate") })
		<-reported
		time.Sleep(100 * time.Millisecond) // the sender is slow
		close(read)
	}
	err := w.Bulk(t.Context(), by, h, lines, func(*ingest.Accepted, error) error {
		close(reported)
		return gone
	})
	select {
	case <-read:
	default:
		t.Error("it is over while the sender is still read from")
	}
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

// Housekeeping ends abandoned harvests and forgets old tasks.
func TestHousekeeping(t *testing.T) {
	t.Parallel()
	log := &testenv.Log{}
	w := newWorld(t, ingest.Options{HarvestIdle: time.Microsecond, TaskAge: time.Microsecond, Logger: slog.New(slog.NewTextHandler(log, nil))})
	by := client("c")
	h := begin(t, w, by)
	a := must[*ingest.Accepted](t)(w.Submit(t.Context(), by, "r", crate(t, "A", "x"), ingest.WithoutLog))
	id, err := w.KeepTask(t.Context(), by, "r", "message", []*ingest.Accepted{a}, "")
	if err != nil {
		t.Fatal(err)
	}
	task := must[store.Task](t)(w.Task(t.Context(), id.String()))
	if task.Status != "SUCCESS" || *task.ClientID != "c" || len(task.ARCs) != 1 || task.ARCs[0].ID != a.ID || task.Error != nil {
		t.Errorf("task: got %+v", task)
	}
	if err := w.KeepOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := must[store.Harvest](t)(w.Harvest(t.Context(), ingest.HarvestID(h))); got.Status != store.Failed || got.CompletedAt == nil {
		t.Errorf("harvest: got %+v", got)
	}
	if n := log.Count("level=WARN msg=\"harvest abandoned by its client\" harvest_id=" + ingest.HarvestID(h) + " rdi=r"); n != 1 {
		t.Errorf("the log tells of it %d times:\n%s", n, log)
	}
	for _, unknown := range []string{id.String(), "x", ""} {
		if _, err := w.Task(t.Context(), unknown); fault.CodeOf(err) != fault.TaskNotFound {
			t.Errorf("task %q: got %v", unknown, err)
		}
	}
}

// An operator may want no grace period, no ARC marked as missing, or no harvest ended.
func TestLimitsMayBeNone(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db := must[*store.Store](t)(store.Open(t.Context(), store.Options{DSN: dsn}))
	t.Cleanup(db.Close)
	by := client("c")
	known := ingest.New(db, ingest.Options{})
	for i := range 10 {
		must[*ingest.Accepted](t)(known.Submit(t.Context(), by, "r", crate(t, fmt.Sprint("A", i), "x"), ingest.WithoutLog))
	}
	a0 := store.ID(rocrate.Identity("A0", "r")).String()
	allButA0 := func(o ingest.Options) store.Harvest {
		w := world{db, ingest.New(db, o)}
		h := begin(t, w, by)
		for i := range 9 {
			must[*ingest.Accepted](t)(w.SubmitInHarvest(t.Context(), by, h, crate(t, fmt.Sprint("A", i+1), "x"), ingest.WithoutLog))
		}
		return must[store.Harvest](t)(w.EndHarvest(t.Context(), by, h, store.Completed, ingest.Missing{}))
	}
	if h := allButA0(ingest.Options{MissingLimit: -1}); h.Statistics.Missing != 0 || h.Note == "" {
		t.Errorf("none may be missing: got %+v, %q", h.Statistics, h.Note)
	}
	for _, c := range []struct {
		grace time.Duration
		want  store.Lifecycle
	}{{-1, store.Missing}, {0, store.Missing}, {-1, store.Deleted}} {
		allButA0(ingest.Options{GracePeriod: c.grace, MarkDeleted: true})
		if a := must[store.ARC](t)(known.ARC(t.Context(), a0)); a.Lifecycle != c.want {
			t.Errorf("grace period %s: got %s, want %s", c.grace, a.Lifecycle, c.want)
		}
	}
	h := begin(t, world{db, known}, by)
	if _, err := pgtest.Connect(t, dsn).Exec(t.Context(), "UPDATE harvest SET started_at = now() - interval '1 year'"); err != nil {
		t.Fatal(err)
	}
	for idle, want := range map[time.Duration]store.HarvestStatus{-1: store.Running, 2 * 365 * 24 * time.Hour: store.Running} {
		if err := ingest.New(db, ingest.Options{HarvestIdle: idle}).KeepOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := must[store.Harvest](t)(known.Harvest(t.Context(), ingest.HarvestID(h))); got.Status != want {
			t.Errorf("ended after %s: got %s, want %s", idle, got.Status, want)
		}
	}
	if err := known.KeepOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := must[store.Harvest](t)(known.Harvest(t.Context(), ingest.HarvestID(h))); got.Status != store.Failed {
		t.Errorf("by default: got %s", got.Status)
	}
}

// Young harvests and tasks are left alone by the housekeeping.
func TestHousekeepingSparesTheYoung(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{HarvestIdle: time.Hour, TaskAge: time.Hour})
	h := begin(t, w, client("c"))
	id := must[uuid.UUID](t)(w.KeepTask(t.Context(), client("c"), "r", "message", nil, ""))
	if err := w.KeepOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := must[store.Harvest](t)(w.Harvest(t.Context(), ingest.HarvestID(h))); got.Status != store.Running {
		t.Errorf("harvest: got %+v", got)
	}
	must[store.Task](t)(w.Task(t.Context(), id.String()))
}

// The log tells of a harvest that marked nothing as missing, because it was not
// whole or too much was missing, and not of one that brought everything.
func TestTheLogTellsOfAGuardedHarvest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bring   []string
		missing ingest.Missing
		guarded bool
	}{
		"everything came": {[]string{"A", "B"}, ingest.Missing{}, false},
		"not whole":       {[]string{"A", "B"}, ingest.Missing{KeepAll: true}, true},
		"half is missing": {[]string{"A"}, ingest.Missing{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &testenv.Log{}
			w := newWorld(t, ingest.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
			by := client("c")
			for _, identifier := range []string{"A", "B"} {
				must[*ingest.Accepted](t)(w.Submit(t.Context(), by, "r", crate(t, identifier, "x"), ingest.WithoutLog))
			}
			h := begin(t, w, by)
			for _, identifier := range c.bring {
				must[*ingest.Accepted](t)(w.SubmitInHarvest(t.Context(), by, h, crate(t, identifier, "x"), ingest.WithoutLog))
			}
			must[store.Harvest](t)(w.EndHarvest(t.Context(), by, h, store.Completed, c.missing))
			want := 0
			if c.guarded {
				want = 1
			}
			if got := log.Count("level=WARN msg=\"harvest marked no arc as missing\" harvest_id=" + ingest.HarvestID(h) + " rdi=r note="); got != want {
				t.Errorf("told %d times, want %d:\n%s", got, want, log)
			}
		})
	}
}

// Waiting for git ends when the content is there, when its push has failed, or
// when the time is up.
func TestWaitingForGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	a := must[*ingest.Accepted](t)(w.Submit(t.Context(), client("c"), "r", crate(t, "A", "x"), ingest.WithoutLog))
	// The state is told also when the time is up before the first look.
	for _, patience := range []time.Duration{time.Millisecond, 0} {
		short, cancel := contextWithTimeout(t, patience)
		defer cancel()
		if arc := must[store.ARC](t)(w.AwaitGit(short, a.ID)); arc.Git.State != store.Due {
			t.Errorf("time is up: got %s", arc.Git.State)
		}
	}
	claims, err := w.store.ClaimDue(t.Context(), store.ClaimRequest{Holder: "t", Limit: 1, Lease: time.Hour, Remote: "git"})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claim: %v, %v", claims, err)
	}
	must[*store.Content](t)(w.store.Load(t.Context(), claims[0]))
	pushed := make(chan error, 1)
	go func() { pushed <- w.store.RecordPush(t.Context(), claims[0], store.Pushed{Commit: "c1"}) }()
	if arc := must[store.ARC](t)(w.AwaitGit(t.Context(), a.ID)); arc.Git.State != store.Synced || arc.Git.Commit != "c1" {
		t.Errorf("pushed: got %+v", arc.Git)
	}
	if err := <-pushed; err != nil {
		t.Error(err)
	}

	// What somebody asks for is known by his name, and a push that fails is not waited for.
	who := client("jane")
	if err := w.RequestSync(t.Context(), who, a.ID); err != nil {
		t.Fatal(err)
	}
	trail := must[[]store.Audit](t)(w.store.AuditTrail(t.Context(), a.ID, 0, 1))
	if len(trail) != 1 || trail[0].Actor.Subject != who.Actor.Subject {
		t.Errorf("the audit trail says %+v", trail)
	}
	claims, err = w.store.ClaimDue(t.Context(), store.ClaimRequest{Holder: "t", Limit: 1, Lease: time.Hour, Remote: "git"})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claim: %v, %v", claims, err)
	}
	must[*store.Content](t)(w.store.Load(t.Context(), claims[0]))
	if err := w.store.RecordFailure(t.Context(), claims[0], store.Failure{Class: "transient", Code: "remote_error"}); err != nil {
		t.Fatal(err)
	}
	long, cancel := contextWithTimeout(t, time.Minute)
	defer cancel()
	if arc := must[store.ARC](t)(w.AwaitGit(long, a.ID)); arc.Git.State != store.Failing || long.Err() != nil {
		t.Errorf("failed: got %+v, %v", arc.Git, long.Err())
	}
}
