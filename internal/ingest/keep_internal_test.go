package ingest

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// Without settings the rules are those that are documented.
func TestDefaultOptions(t *testing.T) {
	t.Parallel()
	o := Options{}.withDefaults()
	if o.GracePeriod != 14*24*time.Hour || o.HarvestIdle != 24*time.Hour || o.TaskAge != 30*24*time.Hour || o.Logger == nil || o.MarkDeleted {
		t.Errorf("got %+v", o)
	}
}

// The housekeeping is done at once and every ten minutes until the end; a failure is
// told of and does not end it.
func TestHousekeepingIsDoneAgain(t *testing.T) {
	t.Parallel()
	nobody := "host=" + t.TempDir() + " user=nobody dbname=none"
	synctest.Test(t, func(t *testing.T) {
		log := &testenv.Log{}
		to := slog.New(slog.NewTextHandler(log, nil))
		db, err := store.Open(t.Context(), store.Options{DSN: nobody, Logger: to})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute+5*time.Second)
		defer cancel()
		New(db, Options{Logger: to}).Keep(ctx)
		if n := log.Count("house-keeping failed"); n != 4 {
			t.Errorf("%d rounds in half an hour, want 4:\n%s", n, log)
		}
		// One that was cut off by the end is no failure.
		over, end := context.WithCancel(t.Context())
		end()
		if New(db, Options{Logger: to}).Keep(over); log.Count("house-keeping failed") != 4 {
			t.Errorf("the log tells of the end:\n%s", log)
		}
	})
}
