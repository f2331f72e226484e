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

// An ARC that somebody else holds, or whose harvest is being ended for long,
// waits by itself: other ARCs that come together with it are stored. It is stored
// as soon as it is free.
func TestAHeldARCHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(harvest uuid.UUID) string{
		"the row": func(uuid.UUID) string { return `SELECT FROM arc WHERE identifier = 'held' FOR UPDATE` },
		"its harvest": func(h uuid.UUID) string { // as its end does
			return fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, int64(binary.BigEndian.Uint64(h[:8])))
		},
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
