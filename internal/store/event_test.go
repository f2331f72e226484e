package store_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// Whoever reads the events of a harvest from the last one he got misses none,
// although transactions commit in another order than they take their numbers.
func TestReadersOfHarvestEventsMissNone(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	a, b, reader := open(t, dsn), open(t, dsn), open(t, dsn)
	h := begin(t, a)
	const arcs = 300
	var wg sync.WaitGroup
	for i := range arcs {
		s := []*store.Store{a, b}[i%2]
		wg.Go(func() { submit(t, s, inHarvest(h, fmt.Sprint("A", i), "x")) })
	}
	seen, last := map[store.ID]bool{}, int64(0)
	testenv.Await(t, "all events", func() bool {
		for _, e := range must(reader.HarvestEvents(t.Context(), h.ID, last, 17))(t) {
			if e.ID <= last || e.Harvest != h.ID || e.Type != store.EventCreated {
				t.Errorf("after %d: got %+v", last, e)
			}
			seen[e.ARC], last = true, e.ID
		}
		return len(seen) == arcs
	})
	wg.Wait()
	// Pushes of what the harvest brought belong to it as well.
	push(t, a, claimN(t, a, 1)[0], "c1")
	if e := must(reader.HarvestEvents(t.Context(), h.ID, last, 9))(t); len(e) != 1 || e[0].Type != store.EventPushed {
		t.Errorf("after a push: got %+v", e)
	} else {
		last = e[0].ID
	}
	failed := claimN(t, a, 1)[0]
	load(t, a, failed)
	if err := a.RecordFailure(t.Context(), failed, store.Failure{Class: store.Transient, Code: fault.RemoteError, Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if e := must(reader.HarvestEvents(t.Context(), h.ID, last, 9))(t); len(e) != 1 || e[0].Type != store.EventPushFailed {
		t.Errorf("after a failure: got %+v", e)
	}
}

// A failover to a standby that lacked the last commits, or a restore, takes numbers back, and
// gives them again: he may be ahead of all there are. Then he is told from the beginning.
func TestReadersOfHarvestEventsOutlastALossOfTheLast(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	h := begin(t, s)
	submit(t, s, inHarvest(h, "A", "x"))
	submit(t, s, inHarvest(h, "B", "x"))
	kept := must(s.HarvestEvents(t.Context(), h.ID, 0, 9))(t)
	last := kept[1].ID + 1000
	if e := must(s.HarvestEvents(t.Context(), h.ID, last, 1))(t); len(e) != 1 || e[0].ID != kept[0].ID {
		t.Fatalf("after %d, which was lost: got %+v", last, e)
	}
	if e := must(s.HarvestEvents(t.Context(), h.ID, kept[0].ID, 9))(t); len(e) != 1 || e[0].ID != kept[1].ID {
		t.Errorf("after the first: got %+v", e)
	}
	// Who has all waits for more, also when the last has been trimmed.
	sql(t, dsn, `DELETE FROM event WHERE id = $1`, kept[1].ID)
	if e := must(s.HarvestEvents(t.Context(), h.ID, kept[1].ID, 9))(t); len(e) != 0 {
		t.Errorf("after the last: got %+v", e)
	}
}

// Nor does he miss those of the end of the harvest, although a push that was recorded meanwhile
// has a larger number and can be seen before.
func TestReadersOfHarvestEventsMissNoneOfItsEnd(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	submit(t, s, submission("missing", "x"))
	push(t, s, claim(t, s), "c0")
	h := begin(t, s)
	submit(t, s, inHarvest(h, "A", "x"))
	c := claim(t, s)
	load(t, s, c)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	must(conn.Exec(t.Context(), "BEGIN; SELECT FROM harvest FOR UPDATE"))(t)
	var ending sync.WaitGroup
	ending.Go(func() { end(t, s, h, store.EndOptions{MissingLimit: 1}) })
	awaitLock(t, dsn, "the end has written its events, and waits for the row of the harvest")
	if err := s.RecordPush(t.Context(), c, store.Pushed{Commit: "c1"}); err != nil {
		t.Fatal(err)
	}
	types, last := []string{}, int64(0)
	look := func() {
		for _, e := range must(s.HarvestEvents(t.Context(), h.ID, last, 9))(t) {
			types, last = append(types, e.Type), e.ID
		}
	}
	look()
	must(conn.Exec(t.Context(), "ROLLBACK"))(t)
	ending.Wait()
	look()
	if diff := cmp.Diff([]string{store.EventCreated, store.EventNotSeen, store.EventMissing, store.EventPushed}, types); diff != "" {
		t.Error(diff)
	}
}

// While somebody takes long to write events of a harvest, there is nothing new, and that
// is no failure.
func TestEventsThatAreBeingWrittenAreNotNew(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	h := begin(t, s)
	submit(t, s, inHarvest(h, "A", "x"))
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	tx := must(conn.Begin(t.Context()))(t)
	must(tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock_shared($1)`, int64(binary.BigEndian.Uint64(h.ID[8:]))))(t)
	if list, err := s.HarvestEvents(t.Context(), h.ID, 0, 9); err != nil || len(list) != 0 {
		t.Errorf("meanwhile: got %+v, %v", list, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := must(s.HarvestEvents(t.Context(), h.ID, 0, 9))(t); len(list) != 1 {
		t.Errorf("afterwards: got %+v", list)
	}
}

// The record of a push takes the number of its event and commits while no reader of the
// harvest looks: else a larger number could be read before it.
func TestARecordWaitsForReadersOfItsHarvest(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	h := begin(t, s)
	submit(t, s, inHarvest(h, "A", "x"))
	c := claim(t, s)
	load(t, s, c)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	must(conn.Exec(t.Context(), "BEGIN"))(t)
	must(conn.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", int64(binary.BigEndian.Uint64(h.ID[8:]))))(t)
	recorded := make(chan error, 1)
	go func() { recorded <- s.RecordPush(t.Context(), c, store.Pushed{Commit: "c1"}) }()
	testenv.Await(t, "the record waits", func() bool { return someoneWaits(t, conn) })
	must(conn.Exec(t.Context(), "COMMIT"))(t)
	if err := <-recorded; err != nil {
		t.Error(err)
	}
}
