package store_test

import (
	"sync"
	"testing"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// A migration that PostgreSQL ends, to let uploads go on that hold its tables in
// another order, is tried again.
func TestMigrationsOutlastDeadlocks(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	sql(t, dsn, `
CREATE SEQUENCE deadlocks;
CREATE FUNCTION deadlock() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF to_regclass('arc') IS NOT NULL AND nextval('deadlocks') <= 3 THEN RAISE 'as if' USING ERRCODE = 'deadlock_detected'; END IF;
END $$;
CREATE EVENT TRIGGER deadlock ON ddl_command_start EXECUTE FUNCTION deadlock();`)
	if _, err := store.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	if e := examine(t, dsn); e.Schema != e.WantedSchema {
		t.Errorf("the schema has version %d, want %d", e.Schema, e.WantedSchema)
	}
}

// Any number of processes may migrate at once.
func TestMigrationsRunOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := store.Migrate(t.Context(), dsn); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	e := examine(t, dsn)
	if e.Schema != e.WantedSchema || e.Schema < 1 {
		t.Errorf("versions: got %d, want %d", e.Schema, e.WantedSchema)
	}
	if from, err := store.Migrate(t.Context(), dsn); err != nil || from != e.Schema {
		t.Errorf("once more: from %d, %v, want %d", from, err, e.Schema)
	}
}
