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
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Minute)
		defer cancel()
		New(db, Options{Logger: to}).Keep(ctx)
		if n := log.Count("house-keeping failed"); n != 4 {
			t.Errorf("%d rounds in 35 minutes, want 4:\n%s", n, log)
		}
	})
}
