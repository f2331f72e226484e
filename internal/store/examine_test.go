package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// A migrated database that belongs to us has nothing to complain about, but that
// the cluster of tests does not wait for its disk.
func TestExamineFindsAMigratedDatabaseFit(t *testing.T) {
	t.Parallel()
	e := examine(t, pgtest.DSN(t))
	if e.ServerNumber < 150000 || e.Server == "" || e.Standby || e.ReadOnly || e.Encoding != store.WantedEncoding {
		t.Errorf("server: %+v", e)
	}
	if diff := cmp.Diff([]string{"fsync", "full_page_writes"}, e.Lossy); diff != "" {
		t.Errorf("settings that lose commits: %s", diff)
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

// A new database that cannot hold every text is refused, and stays empty.
func TestMigrateRefusesOtherEncodings(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Encoded(t, "LATIN1")
	_, err := store.Migrate(t.Context(), dsn)
	f, ok := fault.Of(err)
	if !ok || f.Code != fault.StoreSchema || f.Text != "The database has the encoding LATIN1, and must have UTF8." || f.Remedy != "Make it anew: createdb -T template0 -E UTF8" {
		t.Errorf("got %+v, want that the encoding is wrong", f)
	}
	if e := examine(t, dsn); e.Schema != 0 || e.Encoding != "LATIN1" {
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
