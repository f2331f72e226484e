package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// harvestOf runs a harvest that brings the last of ten ARCs, from the given one.
func harvestOf(tb testing.TB, s *store.Store, o store.EndOptions, from int) store.Harvest {
	tb.Helper()
	h := begin(tb, s)
	for i := from; i < 10; i++ {
		submit(tb, s, inHarvest(h, fmt.Sprint("A", i), "x"))
	}
	return end(tb, s, h, o)
}

// An ARC that a completed harvest does not bring is missing, after the grace
// period and only if wanted it is deleted, and when it comes again it is back,
// without being pushed again.
func TestMissingARCsAreMarkedAndRestored(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	a0 := idOf("A0")
	harvestOf(t, s, store.EndOptions{}, 0)
	for _, c := range claimN(t, s, 10) {
		push(t, s, c, "c")
	}
	h := harvestOf(t, s, store.EndOptions{GracePeriod: time.Hour, MarkDeleted: true}, 1)
	if h.Statistics != (store.Statistics{Unchanged: 9, Missing: 1}) || h.Note != "" {
		t.Errorf("counts: got %+v %q", h.Statistics, h.Note)
	}
	if a := read(t, s, a0); a.Lifecycle != store.Missing || a.MissingSince.IsZero() || a.Git.State != store.Synced {
		t.Errorf("got %+v, want missing", a)
	}
	since := read(t, s, a0).MissingSince
	// Still within the grace period; then over, but not wanted; then wanted.
	for _, c := range []struct {
		o    store.EndOptions
		want store.Lifecycle
	}{
		{store.EndOptions{GracePeriod: time.Hour, MarkDeleted: true}, store.Missing},
		{store.EndOptions{GracePeriod: time.Microsecond}, store.Missing},
		{store.EndOptions{GracePeriod: time.Microsecond, MarkDeleted: true}, store.Deleted},
		{store.EndOptions{GracePeriod: time.Microsecond, MarkDeleted: true}, store.Deleted},
	} {
		harvestOf(t, s, c.o, 1)
		if a := read(t, s, a0); a.Lifecycle != c.want {
			t.Errorf("%+v: got %s, want %s", c.o, a.Lifecycle, c.want)
		}
		if a := read(t, s, a0); !a.MissingSince.Equal(since) {
			t.Errorf("missing since %s, then since %s", since, a.MissingSince)
		}
	}
	if r := submit(t, s, submission("A0", "x")); r.Outcome != store.Restored || r.Lifecycle != store.Active {
		t.Errorf("restored: got %+v", r)
	}
	a := read(t, s, a0)
	if a.Lifecycle != store.Active || !a.MissingSince.IsZero() || a.Git.State != store.Synced {
		t.Errorf("restored: got %+v", a)
	}
	want := []string{
		"ARC_CREATED", "GIT_PUSH_SUCCESS", "ARC_NOT_SEEN", "ARC_MARKED_MISSING", "ARC_NOT_SEEN", "ARC_NOT_SEEN",
		"ARC_NOT_SEEN", "ARC_MARKED_DELETED", "ARC_RESTORED",
	}
	if diff := cmp.Diff(want, eventTypes(t, s, a0)); diff != "" {
		t.Error(diff)
	}
	// Missing, and back with other content: an update, and due.
	harvestOf(t, s, store.EndOptions{}, 1)
	if r := submit(t, s, submission("A0", "y")); r.Outcome != store.Updated || r.Lifecycle != store.Active {
		t.Errorf("updated: got %+v", r)
	}
	if a := read(t, s, a0); !a.MissingSince.IsZero() || a.Git.State != store.Due {
		t.Errorf("updated: got %+v", a)
	}
	// Brought back by a harvest, it is in the stream of that.
	harvestOf(t, s, store.EndOptions{}, 1)
	h = begin(t, s)
	submit(t, s, inHarvest(h, "A0", "y"))
	if e := must(s.HarvestEvents(t.Context(), h.ID, 0, 9))(t); len(e) != 1 || e[0].Type != store.EventRestored {
		t.Errorf("events of the harvest: %+v, want the return", e)
	}
	eventsAreCounted(t, dsn)
}

// eventsAreCounted checks the counts by which logs are trimmed.
func eventsAreCounted(tb testing.TB, dsn string) {
	tb.Helper()
	conn := must(connect(dsn))(tb)
	defer conn.Close(context.Background())
	var wrong []string
	err := conn.QueryRow(tb.Context(), `SELECT array_agg(identifier || ': ' || event_count || ' for ' || n)
		FROM arc, LATERAL (SELECT count(*) AS n FROM event WHERE arc_id = arc.id) e WHERE event_count <> n`).Scan(&wrong)
	if err != nil || wrong != nil {
		tb.Errorf("events are counted wrongly: %v (%v)", wrong, err)
	}
}

// A missing ARC that comes back in a run of new ones, where contents are sent
// without asking, is restored: it is no update, and nothing is pushed.
func TestAMissingARCComesBackAmongNewOnes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	harvestOf(t, s, store.EndOptions{}, 0)
	for _, c := range claimN(t, s, 10) {
		push(t, s, c, "c")
	}
	harvestOf(t, s, store.EndOptions{}, 1)
	for i := range 200 {
		submit(t, s, submission(fmt.Sprint("N", i), "new"))
	}
	h := begin(t, s)
	back := inHarvest(h, "A0", "x")
	sent := false
	content := back.Content
	back.Content = func() []byte { sent = true; return content() }
	if r := submit(t, s, back); r.Outcome != store.Restored || r.Version != 1 || !sent {
		t.Errorf("got %+v (sent %t), want version 1 restored", r, sent)
	}
	if a := read(t, s, idOf("A0")); a.Lifecycle != store.Active || !a.MissingSince.IsZero() || a.Git.State != store.Synced {
		t.Errorf("got %+v, want active and in git", a)
	}
	if got := must(s.Harvest(t.Context(), h.ID))(t).Statistics; got != (store.Statistics{Unchanged: 1}) {
		t.Errorf("got %+v, want it unchanged", got)
	}
	// The trail tells of contents, and there is no new one.
	if trail := must(s.AuditTrail(t.Context(), idOf("A0"), 0, 9))(t); len(trail) != 1 || trail[0].Action != "arc.created" {
		t.Errorf("audit trail: got %+v, want the creation", trail)
	}
	eventsAreCounted(t, dsn)
}

// A harvest that would mark more than a fifth of an RDI's ARCs marks none and
// says so; exactly a fifth is marked.
func TestAHarvestThatLacksTooMuchMarksNothing(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	harvestOf(t, s, store.EndOptions{}, 0)
	h := harvestOf(t, s, store.EndOptions{}, 3)
	if h.Statistics.Missing != 0 || !strings.Contains(h.Note, "3 of the 10 ARCs") || !strings.Contains(h.Note, "none was marked") {
		t.Errorf("3 of 10: got %+v, %q", h.Statistics, h.Note)
	}
	if a := read(t, s, idOf("A0")); a.Lifecycle != store.Active {
		t.Errorf("3 of 10: A0 is %s", a.Lifecycle)
	}
	if got := must(s.Harvest(t.Context(), h.ID))(t); got.Note != h.Note {
		t.Errorf("the note is not kept: %q", got.Note)
	}
	h = harvestOf(t, s, store.EndOptions{MissingLimit: -1}, 1)
	if h.Statistics.Missing != 0 || !strings.Contains(h.Note, "1 of the 10 ARCs") || !strings.Contains(h.Note, " more than 0 %:") {
		t.Errorf("1 of 10, where none may be missing: got %+v, %q", h.Statistics, h.Note)
	}
	h = harvestOf(t, s, store.EndOptions{MissingLimit: -1}, 0)
	if h.Statistics.Missing != 0 || h.Note != "" {
		t.Errorf("0 of 10, where none may be missing: got %+v, %q", h.Statistics, h.Note)
	}
	h = harvestOf(t, s, store.EndOptions{}, 2)
	if h.Statistics.Missing != 2 || h.Note != "" {
		t.Errorf("2 of 10: got %+v, %q", h.Statistics, h.Note)
	}
	// What is deleted is none of the ARCs of which it is a share.
	harvestOf(t, s, store.EndOptions{MarkDeleted: true, GracePeriod: time.Microsecond}, 2)
	h = harvestOf(t, s, store.EndOptions{}, 4)
	if h.Statistics.Missing != 0 || !strings.Contains(h.Note, "2 of the 8 ARCs") {
		t.Errorf("2 of 8: got %+v, %q", h.Statistics, h.Note)
	}
	h = harvestOf(t, s, store.EndOptions{MissingLimit: 1}, 10)
	if h.Statistics.Missing != 8 {
		t.Errorf("empty harvest, no limit: got %+v", h.Statistics)
	}
}

// A share that no binary fraction gives exactly is exact all the same, and its name is short.
func TestTheShareThatMayBeMissingIsExact(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	for percent, arcs := range map[int64]int64{29: 100, 57: 100, 58: 50, 7: 100} {
		rdi := fmt.Sprint("r", percent)
		sql(t, dsn, `INSERT INTO arc (id, rdi, identifier, content, content_hash, content_size, last_seen)
			SELECT sha256(convert_to($1 || i, 'UTF8')), $1, i, 'x', sha256('x'), 1,
				CASE WHEN i <= $2 THEN now() - interval '1 hour' ELSE now() + interval '1 hour' END
			FROM generate_series(1, $3::bigint) AS i`, rdi, percent*arcs/100+1, arcs)
		limit := store.EndOptions{MissingLimit: float64(percent) / 100}
		h := must(s.BeginHarvest(t.Context(), rdi, nil, nil, "", store.Actor{}))(t)
		if got := end(t, s, h, limit); got.Statistics.Missing != 0 || !strings.Contains(got.Note, fmt.Sprintf(" more than %d %%:", percent)) {
			t.Errorf("one more than %d %% of %d: got %+v, %q", percent, arcs, got.Statistics, got.Note)
		}
		sql(t, dsn, `UPDATE arc SET last_seen = now() + interval '1 hour' WHERE rdi = $1 AND identifier = '1'`, rdi)
		h = must(s.BeginHarvest(t.Context(), rdi, nil, nil, "", store.Actor{}))(t)
		if got := end(t, s, h, limit); got.Statistics.Missing != percent*arcs/100 {
			t.Errorf("%d %% of %d: got %+v, %q", percent, arcs, got.Statistics, got.Note)
		}
	}
}

// Nobody else's ARCs go missing: those of other RDIs, and those that somebody
// brought while the harvest ran; nor does a failed or cancelled harvest mark any.
func TestOnlyARCsThatNobodyBroughtAreMissing(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	other := submission("B", "x")
	other.ID, other.RDI = store.ID{1}, "q"
	submit(t, s, other)
	harvestOf(t, s, store.EndOptions{}, 0)
	h := begin(t, s)
	for i := 2; i < 10; i++ {
		submit(t, s, inHarvest(h, fmt.Sprint("A", i), "x"))
	}
	submit(t, s, submission("A1", "x"))
	if ended := end(t, s, h, store.EndOptions{}); ended.Statistics.Missing != 1 {
		t.Errorf("got %+v, want only A0 missing", ended.Statistics)
	}
	for id, want := range map[store.ID]store.Lifecycle{idOf("A0"): store.Missing, idOf("A1"): store.Active, other.ID: store.Active} {
		if got := read(t, s, id); got.Lifecycle != want {
			t.Errorf("%s: got %s, want %s", got.Identifier, got.Lifecycle, want)
		}
	}
	members := must(s.Members(t.Context(), h.ID, store.ID{}, 100))(t)
	outcomes := map[string]int{}
	for _, m := range members {
		outcomes[m.Outcome]++
	}
	if diff := cmp.Diff(map[string]int{"unchanged": 8, "missing": 1}, outcomes); diff != "" {
		t.Error(diff)
	}
	for _, status := range []store.HarvestStatus{store.Failed, store.Cancelled} {
		must(s.EndHarvest(t.Context(), begin(t, s).ID, status, store.EndOptions{MissingLimit: 1}))(t)
		if got := read(t, s, idOf("A5")); got.Lifecycle != store.Active {
			t.Errorf("a harvest that %s marked an ARC", status)
		}
	}
}

// An ARC that the harvester has named, or has brought in vain, is still at the
// source: it stays as it is, and so does one that was missing already. It does not
// count towards the share of which a harvest marks none either.
func TestARCsThatAreStillThereAreNotMissing(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	harvestOf(t, s, store.EndOptions{}, 0)
	harvestOf(t, s, store.EndOptions{}, 1)
	// What an earlier harvest brought in vain says nothing about this one.
	earlier := begin(t, s)
	if err := s.AddHarvestError(t.Context(), earlier.ID, store.HarvestError{ARC: idOf("A3"), Code: fault.ARCInvalid, Text: "no"}); err != nil {
		t.Fatal(err)
	}
	o := store.EndOptions{MarkDeleted: true, GracePeriod: time.Microsecond, Keep: []store.ID{idOf("A0"), idOf("A1"), idOf("A9"), idOf("nobody")}}
	h := begin(t, s)
	for i := 5; i < 10; i++ {
		submit(t, s, inHarvest(h, fmt.Sprint("A", i), "x"))
	}
	if err := s.AddHarvestError(t.Context(), h.ID, store.HarvestError{ARC: idOf("A2"), Identifier: "A2", Code: fault.ARCInvalid, Text: "no"}); err != nil {
		t.Fatal(err)
	}
	if err := s.AddHarvestError(t.Context(), h.ID, store.HarvestError{Code: fault.ARCInvalid, Text: "whoever it was"}); err != nil {
		t.Fatal(err)
	}
	h = end(t, s, h, o)
	if h.Statistics.Missing != 2 || h.Guarded || !strings.HasPrefix(h.Note, "ARCs of RDI r that") || !strings.Contains(h.Note, "source: 3.") {
		t.Errorf("got %+v, %q, want two missing", h.Statistics, h.Note)
	}
	for name, want := range map[string]store.Lifecycle{
		"A0": store.Missing, "A1": store.Active, "A2": store.Active, "A3": store.Missing, "A4": store.Missing, "A5": store.Active,
	} {
		if got := read(t, s, idOf(name)); got.Lifecycle != want {
			t.Errorf("%s: got %s, want %s", name, got.Lifecycle, want)
		}
	}
}
