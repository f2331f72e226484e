package ingest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// The housekeeping is done at once and again and again until the end; one that
// failed is told of and tried again.
func TestHousekeepingIsDoneAgain(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	db, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	log := &testenv.Log{}
	s := New(db, Options{HarvestIdle: time.Microsecond, Logger: slog.New(slog.NewTextHandler(log, nil))})
	ctx, stop := context.WithCancel(t.Context())
	again, ended := make(chan time.Time), make(chan struct{})
	go func() { s.keep(ctx, again); close(ended) }()
	testenv.Await(t, "word of the failure", func() bool { return log.Count("house-keeping failed") == 1 })
	if err := store.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h, err := s.BeginHarvest(t.Context(), Caller{}, "r", nil, "")
		if err != nil {
			t.Fatal(err)
		}
		again <- time.Time{}
		testenv.Await(t, "the end of the harvest", func() bool {
			h, err := s.Harvest(t.Context(), HarvestID(h))
			return err == nil && h.Status == store.Failed
		})
	}
	stop()
	<-ended
	if n := log.Count("house-keeping failed"); n != 1 {
		t.Errorf("%d failures are told, want 1:\n%s", n, log)
	}
}
