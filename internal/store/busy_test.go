package store_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// harvestLock is the statement that locks a harvest as its end does.
func harvestLock(h uuid.UUID) string {
	return fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, int64(binary.BigEndian.Uint64(h[:8])))
}

// An ARC that somebody else holds, or whose harvest is being ended for long,
// waits by itself: other ARCs that come together with it are stored. It is stored
// as soon as it is free.
func TestAHeldARCHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(harvest uuid.UUID) string{
		"the row":     func(uuid.UUID) string { return `SELECT FROM arc WHERE identifier = 'held' FOR UPDATE` },
		"its harvest": harvestLock,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			s := open(t, dsn)
			submit(t, s, submission("held", "old"))
			harvest := begin(t, s).ID
			conn := must(connect(dsn))(t)
			defer conn.Close(context.Background())
			tx := must(conn.Begin(t.Context()))(t)
			must(tx.Exec(t.Context(), hold(harvest)))(t)

			done := make(chan error, 1)
			go func() {
				q := submission("held", "new")
				q.Harvest = harvest
				_, err := s.Submit(context.Background(), q)
				done <- err
			}()
			var others sync.WaitGroup
			for i := range 200 { // groups of them go by
				others.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					for j := range 3 {
						if _, err := s.Submit(ctx, submission(fmt.Sprint("other", i, "-", j), "x")); err != nil {
							t.Errorf("another ARC: %v", err)
						}
					}
				})
			}
			others.Wait()
			select {
			case err := <-done:
				t.Errorf("the ARC is held, and its submission ended: %v", err)
			default:
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Errorf("once it was free: %v", err)
			}
			if a := read(t, s, idOf("held")); a.Version != 2 {
				t.Errorf("version %d is stored, want 2", a.Version)
			}
		})
	}
}

// Harvests that take long to end leave connections for uploads.
func TestEndsOfHarvestsLeaveConnections(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := must(store.Open(t.Context(), store.Options{DSN: dsn, MaxConns: 2}))(t)
	t.Cleanup(s.Close)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	tx := must(conn.Begin(t.Context()))(t)
	var ends sync.WaitGroup
	for range 3 {
		h := begin(t, s).ID
		must(tx.Exec(t.Context(), harvestLock(h)))(t)
		ends.Go(func() {
			if _, err := s.EndHarvest(context.Background(), h, store.Completed, store.EndOptions{}); err != nil {
				t.Errorf("end of a harvest: %v", err)
			}
		})
	}
	awaitLock(t, dsn, "the first end waits")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 3 {
		if _, err := s.Submit(ctx, submission(fmt.Sprint("A", i), "x")); err != nil {
			t.Errorf("a submission meanwhile: %v", err)
		}
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends.Wait()
}

// While a large harvest is being ended, which takes as long as it takes, its readers and
// its client may do what they like: others find connections all the same, and what the harvest
// has brought is recorded as pushed meanwhile.
func TestTheEndOfAHarvestLeavesConnections(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(context.Context, *store.Store, store.Harvest, *store.Claim) error{
		"events": func(ctx context.Context, s *store.Store, h store.Harvest, _ *store.Claim) error {
			list, err := s.HarvestEvents(ctx, h.ID, 0, 10)
			if len(list) > 0 {
				t.Errorf("while the end may have numbered some: got events %+v", list)
			}
			return err
		},
		"diff": func(ctx context.Context, s *store.Store, h store.Harvest, c *store.Claim) error {
			_, err := s.Diff(ctx, h.ID, "r", []store.Pair{{ID: c.ID, Hash: hashOf("x")}})
			return err
		},
		"refusal": func(ctx context.Context, s *store.Store, h store.Harvest, c *store.Claim) error {
			return s.AddHarvestError(ctx, h.ID, store.HarvestError{ARC: c.ID, Code: fault.ARCInvalid, Text: "no"})
		},
		"push": func(ctx context.Context, s *store.Store, _ store.Harvest, c *store.Claim) error {
			ctx, cancel := context.WithTimeout(ctx, clientPatience)
			defer cancel()
			return s.RecordPush(ctx, c, store.Pushed{Commit: "c"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			const size = 4
			s := must(store.Open(t.Context(), store.Options{DSN: dsn, MaxConns: size, StatementTimeout: time.Hour}))(t)
			t.Cleanup(s.Close)
			h := begin(t, s)
			for i := range 2 * size {
				submit(t, s, inHarvest(h, fmt.Sprint("A", i), "x"))
			}
			claims := claimN(t, s, 2*size)
			for _, c := range claims {
				load(t, s, c)
			}
			conn := must(connect(dsn))(t)
			defer conn.Close(context.Background())
			tx := must(conn.Begin(t.Context()))(t)
			must(tx.Exec(t.Context(), harvestLock(h.ID)))(t)
			var users sync.WaitGroup
			began := make(chan struct{}, len(claims))
			for _, c := range claims {
				users.Go(func() {
					began <- struct{}{}
					if err := use(context.Background(), s, h, c); err != nil {
						t.Error(err)
					}
				})
			}
			for range claims {
				<-began
			}
			ctx, cancel := context.WithTimeout(t.Context(), clientPatience)
			defer cancel()
			for i := range 20 {
				if _, err := s.Submit(ctx, submission(fmt.Sprint("B", i), "x")); err != nil {
					t.Errorf("a submission meanwhile: %v", err)
					break
				}
				if _, err := s.Renew(ctx, claims, time.Hour); err != nil {
					t.Errorf("a renewal meanwhile: %v", err)
					break
				}
			}
			if name == "push" || name == "events" { // which do not wait
				users.Wait()
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Error(err)
			}
			users.Wait()
		})
	}
}

// Patience with a held ARC ends, and its sender is told to come again.
func TestPatienceWithAHeldARCEnds(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := must(store.Open(t.Context(), store.Options{DSN: dsn, StatementTimeout: 2 * time.Second}))(t)
	t.Cleanup(s.Close)
	submit(t, s, submission("held", "old"))
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	tx := must(conn.Begin(t.Context()))(t)
	must(tx.Exec(t.Context(), `SELECT FROM arc FOR UPDATE`))(t)
	if _, err := s.Submit(t.Context(), submission("held", "new")); fault.CodeOf(err) != fault.StoreTimeout {
		t.Errorf("got %v, want %s", err, fault.StoreTimeout)
	}
}
