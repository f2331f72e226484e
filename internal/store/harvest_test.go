package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// Counts of a harvest are those of its members, while it runs and for ever
// after, whoever else touches the ARCs.
func TestHarvestCountsAreThoseOfItsMembers(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("same", "x"))
	submit(t, s, submission("other", "x"))
	h := begin(t, s)
	submit(t, s, inHarvest(h, "new", "x"))
	submit(t, s, inHarvest(h, "same", "x"))
	submit(t, s, inHarvest(h, "other", "y"))
	// Again, in the harvest, alone and in another harvest: nothing is counted twice.
	submit(t, s, inHarvest(h, "new", "x"))
	submit(t, s, submission("new", "z"))
	submit(t, s, inHarvest(begin(t, s), "other", "z"))
	if err := s.AddHarvestError(t.Context(), h.ID, store.HarvestError{Code: fault.ARCInvalid, Text: "no root"}); err != nil {
		t.Fatal(err)
	}
	want := store.Statistics{New: 1, Updated: 1, Unchanged: 1, Errors: 1}
	if diff := cmp.Diff(want, must(s.Harvest(t.Context(), h.ID))(t).Statistics); diff != "" {
		t.Errorf("running: %s", diff)
	}
	ended := end(t, s, h, store.EndOptions{})
	if ended.CompletedAt == nil || ended.Status != store.Completed || ended.Statistics.Submitted() != 3 {
		t.Errorf("ended: got %+v", ended)
	}
	submit(t, s, submission("new", "w"))
	if diff := cmp.Diff(ended, must(s.Harvest(t.Context(), h.ID))(t)); diff != "" {
		t.Errorf("later: %s", diff)
	}
}

// Who asks for the beginning of a harvest again with the same key, even at the same
// time, gets the harvest that is running; any other client, RDI or key, and the
// time after its end, get one of their own.
func TestAKeyGivesTheSameHarvest(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	me, you := "me", "you"
	begin := func(rdi string, client *string, key string) uuid.UUID {
		return must(s.BeginHarvest(t.Context(), rdi, client, nil, key, store.Actor{}))(t).ID
	}
	ids := make([]uuid.UUID, 8)
	var asking sync.WaitGroup
	for i := range ids {
		asking.Go(func() {
			h, err := s.BeginHarvest(t.Context(), "r", &me, nil, "k", store.Actor{})
			if err != nil {
				t.Error(err)
			}
			ids[i] = h.ID
		})
	}
	asking.Wait()
	first := ids[0]
	if distinct := slices.Compact(ids); len(distinct) != 1 {
		t.Fatalf("got %v, want one harvest", distinct)
	}
	sub := submission("a", "x")
	sub.Harvest = first
	submit(t, s, sub)
	again := must(s.BeginHarvest(t.Context(), "r", &me, nil, "k", store.Actor{}))(t)
	if again.ID != first || again.Statistics.New != 1 || *again.ClientID != me {
		t.Errorf("again: got %+v", again)
	}
	for _, n := range []*int64{new(int64(7)), nil} {
		if again := must(s.BeginHarvest(t.Context(), "r", &me, n, "k", store.Actor{}))(t); again.ID != first || *again.Expected != 7 {
			t.Errorf("other number of datasets: got %+v", again)
		}
	}
	seen := map[uuid.UUID]bool{first: true}
	for range 2 {
		seen[begin("r", &me, "")], seen[begin("r", nil, "")] = true, true
		seen[begin("r", &you, "k")], seen[begin("r", nil, "k")], seen[begin("r", &me, "l")], seen[begin("q", &me, "k")] = true, true, true, true
	}
	if len(seen) != 9 {
		t.Errorf("got %d harvests, want 9", len(seen))
	}
	must(s.EndHarvest(t.Context(), first, store.Failed, store.EndOptions{}))(t)
	if next := begin("r", &me, "k"); seen[next] {
		t.Errorf("after its end: got %s, want another", next)
	}
}

// The first submission of an ARC in a harvest decides how it counts, also when
// somebody else changed the ARC and the harvest brings its content back.
func TestTheFirstSubmissionInAHarvestDecides(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("same", "x"))
	h := begin(t, s)
	submit(t, s, inHarvest(h, "new", "x"))
	submit(t, s, inHarvest(h, "same", "x"))
	for _, identifier := range []string{"new", "same"} {
		submit(t, s, submission(identifier, "other"))
		if r := submit(t, s, inHarvest(h, identifier, "x")); r.Outcome != store.Updated {
			t.Errorf("%s: the content did not come back: %s", identifier, r.Outcome)
		}
		submit(t, s, inHarvest(h, identifier, "x"))
	}
	want := store.Statistics{New: 1, Unchanged: 1}
	if diff := cmp.Diff(want, end(t, s, h, store.EndOptions{}).Statistics); diff != "" {
		t.Error(diff)
	}
}

// Within a harvest an ARC has one content: the same again is fine, another one
// is refused and changes nothing, also if somebody else changed the ARC between.
func TestAHarvestBringsOneContentPerARC(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	h := begin(t, s)
	submit(t, s, submission("A", "before"))
	submit(t, s, inHarvest(h, "A", "one"))
	if r := submit(t, s, inHarvest(h, "A", "one")); r.Outcome != store.Unchanged {
		t.Errorf("same content: got %s", r.Outcome)
	}
	want := "ARC 'A' was already submitted in harvest 'harvest-" + h.ID.String() + "' with different content."
	refuse := func(content string) {
		t.Helper()
		_, err := s.Submit(t.Context(), inHarvest(h, "A", content))
		if f, ok := fault.Of(err); !ok || f.Code != fault.HarvestConflict || f.Text != want {
			t.Errorf("content %s: got %v, want a conflict", content, err)
		}
	}
	refuse("two")
	submit(t, s, submission("A", "standalone"))
	refuse("two")
	refuse("standalone")
	if got := read(t, s, idOf("A")); got.Hash != hashOf("standalone") || got.Version != 3 {
		t.Errorf("got version %d, want the standalone one", got.Version)
	}
	if r := submit(t, s, inHarvest(h, "A", "one")); r.Outcome != store.Updated {
		t.Errorf("the harvest's own content: got %s, want updated", r.Outcome)
	}
}

// Of two processes that submit different contents for one ARC in one harvest
// at once, exactly one gets it in.
func TestConflictsAreFoundBetweenProcesses(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	h := begin(t, a)
	for i := range 40 {
		name := fmt.Sprint("A", i)
		if i%2 == 0 {
			submit(t, a, submission(name, "known"))
		}
		var stored, conflicts atomic.Int32
		var wg sync.WaitGroup
		for n, s := range []*store.Store{a, b} {
			wg.Go(func() {
				_, err := s.Submit(context.Background(), inHarvest(h, name, fmt.Sprint("content ", n)))
				switch fault.CodeOf(err) {
				case "":
					stored.Add(1)
				case fault.HarvestConflict:
					conflicts.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if stored.Load() != 1 || conflicts.Load() != 1 {
			t.Fatalf("%s: %d stored, %d conflicts; want one of each", name, stored.Load(), conflicts.Load())
		}
	}
	if got := must(a.Harvest(t.Context(), h.ID))(t).Statistics; got != (store.Statistics{New: 20, Updated: 20}) {
		t.Errorf("got %+v", got)
	}
}

// A harvest that has ended refuses everything, also what is known already, and
// cannot end a second time.
func TestAnEndedHarvestIsClosed(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "one"))
	for _, status := range []store.HarvestStatus{store.Completed, store.Failed, store.Cancelled} {
		h := begin(t, s)
		submit(t, s, inHarvest(h, "B", "one"))
		ended := must(s.EndHarvest(t.Context(), h.ID, status, store.EndOptions{}))(t)
		if ended.Status != status || ended.CompletedAt == nil {
			t.Errorf("got %+v, want %s with the time of its end", ended, status)
		}
		for _, content := range []string{"one", "two"} {
			if _, err := s.Submit(t.Context(), inHarvest(h, "A", content)); fault.CodeOf(err) != fault.HarvestClosed {
				t.Errorf("%s, content %s: got %v, want harvest_closed", status, content, err)
			}
			// That other content than it brought would conflict does not matter any more.
			if _, err := s.Submit(t.Context(), inHarvest(h, "B", content)); fault.CodeOf(err) != fault.HarvestClosed {
				t.Errorf("%s, content %s of what it brought: got %v, want harvest_closed", status, content, err)
			}
		}
		_, err := s.Diff(t.Context(), h.ID, "r", []store.Pair{{ID: idOf("A"), Hash: hashOf("one")}})
		if fault.CodeOf(err) != fault.HarvestClosed {
			t.Errorf("diff: got %v, want harvest_closed", err)
		}
		if err := s.AddHarvestError(t.Context(), h.ID, store.HarvestError{Code: fault.ARCInvalid, Text: "too late"}); err != nil {
			t.Error(err)
		}
		if late := must(s.HarvestErrors(t.Context(), h.ID, 0, 10))(t); len(late) > 0 {
			t.Errorf("%s, refusals afterwards: got %+v, want none", status, late)
		}
		_, err = s.EndHarvest(t.Context(), h.ID, store.Cancelled, store.EndOptions{})
		want := fmt.Sprintf("Harvest harvest-%s cannot transition to CANCELLED: current status is %s", h.ID, status)
		if f, ok := fault.Of(err); !ok || f.Code != fault.HarvestTransition || f.Text != want {
			t.Errorf("ending again: got %v, want %q", err, want)
		}
	}
	if a := read(t, s, idOf("A")); a.Version != 1 {
		t.Error("a closed harvest changed the ARC")
	}
	unknown := store.Harvest{ID: uuid.New()}
	if _, err := s.Submit(t.Context(), inHarvest(unknown, "A", "one")); fault.CodeOf(err) != fault.HarvestNotFound {
		t.Errorf("unknown harvest: got %v", err)
	}
	if _, err := s.Harvest(t.Context(), unknown.ID); fault.CodeOf(err) != fault.HarvestNotFound {
		t.Errorf("unknown harvest: got %v", err)
	}
}

// Whatever was acknowledged within a harvest is in its counts, and nothing
// else: ending waits for what is under way and refuses the rest.
func TestEndingAHarvestDrawsALine(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	h := begin(t, a)
	var acknowledged atomic.Int64
	var wg sync.WaitGroup
	started := make(chan struct{}, 400)
	for i := range 400 {
		s := []*store.Store{a, b}[i%2]
		wg.Go(func() {
			started <- struct{}{}
			_, err := s.Submit(context.Background(), inHarvest(h, fmt.Sprint("A", i), "x"))
			switch fault.CodeOf(err) {
			case "":
				acknowledged.Add(1)
			case fault.HarvestClosed:
			default:
				t.Error(err)
			}
		})
	}
	for range 200 {
		<-started
	}
	ended := end(t, b, h, store.EndOptions{})
	wg.Wait()
	if ended.Statistics.New != acknowledged.Load() {
		t.Errorf("counts say %d, acknowledged were %d", ended.Statistics.New, acknowledged.Load())
	}
	if got := must(a.Harvest(t.Context(), h.ID))(t).Statistics; got != ended.Statistics {
		t.Errorf("later: got %+v, want %+v", got, ended.Statistics)
	}
}

// A submission that has been admitted and not committed yet when the end comes is
// waited for, and counts.
func TestTheEndWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	submit(t, s, submission("A", "one"))
	h := begin(t, s)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	for _, statement := range []string{"BEGIN", "SELECT FROM arc FOR UPDATE"} {
		must(conn.Exec(t.Context(), statement))(t)
	}
	watch := must(connect(dsn))(t) // what a transaction sees of others stays as it was at first
	defer watch.Close(context.Background())
	waiting := func(n int) func() bool {
		return func() (ok bool) {
			err := watch.QueryRow(t.Context(), `SELECT count(*) = $1 FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`, n).Scan(&ok)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
	}
	var both sync.WaitGroup
	both.Go(func() { submit(t, s, inHarvest(h, "A", "two")) })
	testenv.Await(t, "the submission waits for the row", waiting(1))
	var ended store.Harvest
	over := make(chan struct{})
	both.Go(func() { defer close(over); ended = end(t, s, h, store.EndOptions{}) })
	testenv.Await(t, "the end waits for the submission", func() bool {
		select {
		case <-over:
			t.Error("the harvest ended while a submission was under way")
			return true
		default:
			return waiting(2)()
		}
	})
	must(conn.Exec(t.Context(), "ROLLBACK"))(t)
	both.Wait()
	if ended.Statistics != (store.Statistics{Updated: 1}) {
		t.Errorf("got %+v, want the submission counted", ended.Statistics)
	}
}

// A refusal counts in its harvest or comes too late for it: what is counted at the end is what
// is listed afterwards, and whoever was tried to be brought is not missing.
func TestTheEndCountsTheRefusalsThatAreListed(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	submit(t, s, submission("A", "one"))
	h := begin(t, s)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	must(conn.Exec(t.Context(), "BEGIN; SELECT FROM arc FOR UPDATE"))(t)
	watch := must(connect(dsn))(t)
	defer watch.Close(context.Background())
	var both sync.WaitGroup
	both.Go(func() { end(t, s, h, store.EndOptions{MissingLimit: 1}) })
	awaitLock(t, dsn, "the end has counted, and waits for the row")
	both.Go(func() {
		if err := s.AddHarvestError(context.Background(), h.ID, store.HarvestError{ARC: idOf("A"), Code: fault.ARCInvalid, Text: "no"}); err != nil {
			t.Error(err)
		}
	})
	testenv.Await(t, "the refusal is noted, or waits for the end", func() bool {
		return someoneWaits(t, watch) || len(must(s.HarvestErrors(t.Context(), h.ID, 0, 10))(t)) > 0
	})
	must(conn.Exec(t.Context(), "ROLLBACK"))(t)
	both.Wait()
	list, ended := must(s.HarvestErrors(t.Context(), h.ID, 0, 10))(t), must(s.Harvest(t.Context(), h.ID))(t)
	if ended.Statistics.Errors != int64(len(list)) {
		t.Errorf("the end has counted %d refusals, and %d are listed", ended.Statistics.Errors, len(list))
	}
	if a := read(t, s, idOf("A")); len(list) > 0 && a.Lifecycle != store.Active {
		t.Errorf("the refused ARC is %s", a.Lifecycle)
	}
}

// A harvest takes ARCs of its own RDI only, whoever vouches for the submission.
func TestAHarvestTakesARCsOfItsOwnRDI(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	h := begin(t, s)
	other := inHarvest(h, "A", "one")
	other.RDI = "q"
	for range 2 { // as something new, and as something known
		if _, err := s.Submit(t.Context(), other); fault.CodeOf(err) != fault.HarvestOtherRDI {
			t.Errorf("got %v, want harvest_other_rdi", err)
		}
		alone := submission("A", "one")
		alone.RDI = "q"
		submit(t, s, alone)
	}
	if got := end(t, s, h, store.EndOptions{}).Statistics; got != (store.Statistics{}) {
		t.Errorf("got %+v, want nothing counted", got)
	}
}

// Abandoned harvests end as failed; those with life in them do not.
func TestAbandonedHarvestsExpire(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	dead, alive, slow, refused := begin(t, s), begin(t, s), begin(t, s), begin(t, s)
	submit(t, s, inHarvest(dead, "A", "x"))
	submit(t, s, inHarvest(slow, "A", "x"))
	if err := s.AddHarvestError(t.Context(), refused.ID, store.HarvestError{Code: fault.ARCInvalid, Text: "no"}); err != nil {
		t.Fatal(err)
	}
	sql(t, dsn, `UPDATE harvest SET started_at = now() - interval '25 hours' WHERE id <> $1`, alive.ID)
	sql(t, dsn, `UPDATE harvest_arc SET at = now() - interval '25 hours' WHERE harvest_id = $1`, dead.ID)
	ended := must(s.ExpireHarvests(t.Context(), 24*time.Hour))(t)
	if len(ended) != 1 || ended[0].ID != dead.ID || ended[0].Status != store.Failed || ended[0].Statistics.New != 1 || ended[0].Note == "" {
		t.Errorf("got %+v, want the dead one", ended)
	}
	for _, h := range []store.Harvest{alive, slow, refused} {
		if got := must(s.Harvest(t.Context(), h.ID))(t); got.Status != store.Running {
			t.Errorf("a living harvest is %s", got.Status)
		}
	}
}

// One in which something happens at the moment of its expiry is left alone.
func TestAHarvestThatComesToLifeDoesNotExpire(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	submit(t, s, submission("A", "one"))
	h := begin(t, s)
	sql(t, dsn, `UPDATE harvest SET started_at = now() - interval '25 hours'`)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	must(conn.Exec(t.Context(), "BEGIN; SELECT FROM arc FOR UPDATE"))(t)
	var both sync.WaitGroup
	both.Go(func() { submit(t, s, inHarvest(h, "A", "two")) })
	awaitLock(t, dsn, "the submission waits for the row")
	over := make(chan struct{})
	both.Go(func() {
		defer close(over)
		if ended, err := s.ExpireHarvests(context.Background(), 24*time.Hour); err != nil || len(ended) > 0 {
			t.Errorf("got %+v, %v, want none that has expired", ended, err)
		}
	})
	watch := must(connect(dsn))(t)
	defer watch.Close(context.Background())
	testenv.Await(t, "the expiry waits for the submission", func() bool {
		select {
		case <-over:
			return true
		default:
		}
		return someoneWaits(t, watch)
	})
	must(conn.Exec(t.Context(), "ROLLBACK"))(t)
	both.Wait()
	if got := must(s.Harvest(t.Context(), h.ID))(t); got.Status != store.Running || got.Statistics.Updated != 1 {
		t.Errorf("got %+v, want it running", got)
	}
}

// One that somebody holds keeps no other from it.
func TestAHeldHarvestKeepsNoOtherFromExpiry(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := must(store.Open(t.Context(), store.Options{DSN: dsn, StatementTimeout: time.Second}))(t)
	t.Cleanup(s.Close)
	held, free := begin(t, s), begin(t, s)
	sql(t, dsn, `UPDATE harvest SET started_at = started_at - interval '25 hours'`)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	must(conn.Exec(t.Context(), "BEGIN; "+harvestLock(held.ID)))(t)
	ended, err := s.ExpireHarvests(t.Context(), 24*time.Hour)
	if len(ended) != 1 || ended[0].ID != free.ID || fault.CodeOf(err) != fault.StoreTimeout {
		t.Errorf("got %+v, %v, want the free one, and that the other is held", ended, err)
	}
}

// Harvests are listed newest first, only those of the RDIs asked for, by
// status, in pages.
func TestHarvestsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	var want []uuid.UUID
	for i := range 6 {
		rdi := []string{"r", "q", "secret"}[i%3]
		h := must(s.BeginHarvest(t.Context(), rdi, nil, nil, "", store.Actor{}))(t)
		if rdi != "secret" {
			want = append([]uuid.UUID{h.ID}, want...)
		}
		if i == 3 {
			must(s.EndHarvest(t.Context(), h.ID, store.Cancelled, store.EndOptions{}))(t)
		}
	}
	ids := func(f store.HarvestFilter) (ids []uuid.UUID) {
		f.RDIs = []string{"r", "q"}
		for _, h := range must(s.Harvests(t.Context(), f))(t) {
			ids = append(ids, h.ID)
		}
		return ids
	}
	for name, c := range map[string]struct {
		f    store.HarvestFilter
		want []uuid.UUID
	}{
		"all":     {store.HarvestFilter{Limit: 10}, want},
		"page":    {store.HarvestFilter{Skip: 1, Limit: 2}, want[1:3]},
		"keyset":  {store.HarvestFilter{Before: want[1], Limit: 10}, want[2:]},
		"status":  {store.HarvestFilter{Status: store.Cancelled, Limit: 10}, want[1:2]},
		"running": {store.HarvestFilter{Status: store.Running, Limit: 2}, []uuid.UUID{want[0], want[2]}},
	} {
		if diff := cmp.Diff(c.want, ids(c.f)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if list := must(s.Harvests(t.Context(), store.HarvestFilter{Limit: 10}))(t); len(list) != 0 {
		t.Errorf("without RDIs: got %d harvests, want none", len(list))
	}
	// Pages leave none out that began at the same moment.
	sql(t, dsn, `UPDATE harvest SET started_at = '2026-01-01'`)
	paged := ids(store.HarvestFilter{Limit: 1})
	for len(paged) < len(want) {
		next := ids(store.HarvestFilter{Before: paged[len(paged)-1], Limit: 1})
		if len(next) == 0 {
			t.Fatalf("pages end after %d harvests of %d", len(paged), len(want))
		}
		paged = append(paged, next...)
	}
	if all := ids(store.HarvestFilter{Limit: 10}); !slices.Equal(paged, all) {
		t.Errorf("in pages %v, at once %v", paged, all)
	}
}

// An ARC tells which harvest brought it first and last, and which brought its content,
// also when the last one brought what was known.
func TestAnARCKnowsItsHarvests(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	var harvests [3]store.Harvest
	for n, c := range []struct {
		content string
		changed int // the harvest that brought the content
	}{{"one", 0}, {"one", 0}, {"two", 2}} {
		harvests[n] = begin(t, s)
		submit(t, s, inHarvest(harvests[n], "A", c.content))
		got := read(t, s, idOf("A"))
		if got.FirstHarvest != harvests[0].ID || got.LastHarvest != harvests[n].ID || got.ChangedIn != harvests[c.changed].ID {
			t.Errorf("after harvest %d: first %s, last %s, changed in %s; harvests %v", n, got.FirstHarvest, got.LastHarvest, got.ChangedIn, harvests)
		}
	}
}

// grow gives a harvest so many new members, and as many refused submissions.
func grow(tb testing.TB, dsn string, h store.Harvest, n int) {
	tb.Helper()
	sql(tb, dsn, `INSERT INTO arc (id, rdi, identifier, content, content_hash, content_size)
		SELECT sha256(convert_to('G' || i, 'UTF8')), 'r', 'G' || i, 'x', sha256('x'), 1 FROM generate_series(1, $1::int) AS i ON CONFLICT DO NOTHING`, n)
	sql(tb, dsn, `INSERT INTO harvest_arc (harvest_id, arc_id, outcome, content_hash)
		SELECT $1, id, CASE WHEN identifier = 'G1' THEN 'updated' WHEN identifier = 'G2' THEN 'unchanged' ELSE 'new' END, content_hash
		FROM arc WHERE identifier LIKE 'G%' ON CONFLICT DO NOTHING`, h.ID)
	sql(tb, dsn, `INSERT INTO harvest_error (harvest_id, code, message) SELECT $1, 'x', 'x' FROM generate_series(1, $2::int)`, h.ID, n)
}

// However large a harvest is, its counts are those of its members: at its end exactly, and
// while it runs as they were a moment ago, so that who asks all the time does not have them
// counted all the time.
func TestCountsOfLargeHarvests(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s, other := open(t, dsn), open(t, dsn)
	h := begin(t, s)
	grow(t, dsn, h, 1000)
	want := store.Statistics{New: 998, Updated: 1, Unchanged: 1, Errors: 1000}
	check := func(what string, got store.Harvest, err error) {
		t.Helper()
		if err != nil || got.Statistics != want {
			t.Errorf("%s: got %+v, %v, want %+v", what, got.Statistics, err, want)
		}
	}
	got, err := s.Harvest(t.Context(), h.ID)
	check("as many as are counted at once", got, err)
	grow(t, dsn, h, 1500)
	want = store.Statistics{New: 1498, Updated: 1, Unchanged: 1, Errors: 2500}
	got, err = s.Harvest(t.Context(), h.ID)
	check("more", got, err)
	list, err := other.Harvests(t.Context(), store.HarvestFilter{RDIs: []string{"r"}, Limit: 10})
	if len(list) != 1 {
		t.Fatalf("%d harvests, %v", len(list), err)
	}
	check("in a list", list[0], err)
	again, err := other.BeginHarvest(t.Context(), "r", nil, nil, "key", store.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	grow(t, dsn, again, 1100)
	key, err := open(t, dsn).BeginHarvest(t.Context(), "r", nil, nil, "key", store.Actor{})
	if err != nil || key.Statistics.Submitted() != 1500 {
		t.Errorf("begun again: got %+v, %v", key, err)
	}

	remembered := store.Statistics{New: 7}
	for _, id := range []uuid.UUID{h.ID, again.ID} {
		s.Remember(id, remembered, time.Hour)
		if got, err := s.Harvest(t.Context(), id); err != nil || got.Statistics != remembered {
			t.Errorf("counted again, though it was counted a moment ago: %+v, %v", got.Statistics, err)
		}
	}

	s.Remember(again.ID, remembered, 0)
	if got, err := s.Harvest(t.Context(), again.ID); err != nil || got.Statistics.Submitted() != 1500 {
		t.Errorf("what was counted long ago still stands: %+v, %v", got.Statistics, err)
	}

	grow(t, dsn, h, 1600)
	ended, err := s.EndHarvest(t.Context(), h.ID, store.Completed, store.EndOptions{})
	want = store.Statistics{New: 1598, Updated: 1, Unchanged: 1, Errors: 4100}
	check("at its end", ended, err)
	got, err = s.Harvest(t.Context(), h.ID)
	check("afterwards", got, err)
	testenv.Await(t, "what was counted before is forgotten", func() bool {
		grow(t, dsn, again, 1600)
		got, err := other.Harvest(t.Context(), again.ID)
		return err == nil && got.Statistics.Submitted() == 1600
	})
}
