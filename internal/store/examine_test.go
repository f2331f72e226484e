package store_test

import (
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// A migrated database that belongs to us has nothing to complain about.
func TestExamineFindsAMigratedDatabaseFit(t *testing.T) {
	t.Parallel()
	e := examine(t, pgtest.DSN(t))
	if e.ServerNumber < 150000 || e.Server == "" || e.Standby || !e.Synchronous {
		t.Errorf("server: %+v", e)
	}
	if e.Schema == 0 || e.Schema != e.WantedSchema || len(e.MissingRights) > 0 {
		t.Errorf("schema: %+v", e)
	}
	if e.Bytes <= 0 || e.Connections <= 0 || e.MaxConnections < e.Connections || e.ClockAhead.Abs() > time.Minute {
		t.Errorf("numbers: %+v", e)
	}
}

// An empty database is told from a migrated one.
func TestExamineSeesAMissingSchema(t *testing.T) {
	t.Parallel()
	if e := examine(t, pgtest.Empty(t)); e.Schema != 0 || e.WantedSchema == 0 {
		t.Errorf("got %+v, want no schema", e)
	}
}

func examine(tb testing.TB, dsn string) store.Examination {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Options{DSN: dsn})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	e, err := s.Examine(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return e
}
