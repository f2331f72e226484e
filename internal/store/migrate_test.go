package store_test

import (
	"context"
	"fmt"
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

// A migration that cannot have its table, as while a backup is made, lets uploads go by, and
// is done when it can.
func TestAMigrationThatWaitsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	// The version before the key of a harvest, whose column needs the table for an instant.
	sql(t, dsn, `
DROP INDEX harvest_begin_key_idx;
ALTER TABLE harvest DROP COLUMN begin_key;
DELETE FROM goose_db_version WHERE version_id >= 5`)
	s := open(t, dsn)
	backup := must(connect(dsn))(t)
	defer backup.Close(context.Background())
	must(backup.Exec(t.Context(), "BEGIN; LOCK TABLE harvest IN ACCESS SHARE MODE"))(t)
	migrated := make(chan error, 1)
	go func() {
		_, err := store.Migrate(context.Background(), dsn)
		migrated <- err
	}()
	awaitLock(t, dsn, "the migration waits")
	ctx, cancel := context.WithTimeout(t.Context(), clientPatience)
	defer cancel()
	for i := range 3 {
		if _, err := s.Submit(ctx, submission(fmt.Sprint("A", i), "x")); err != nil {
			t.Fatalf("a submission meanwhile: %v", err)
		}
	}
	select {
	case err := <-migrated:
		t.Errorf("the migration ended while its table was in use: %v", err)
	default:
	}
	must(backup.Exec(t.Context(), "ROLLBACK"))(t)
	if err := <-migrated; err != nil {
		t.Error(err)
	}
	if e := examine(t, dsn); e.Schema != e.WantedSchema {
		t.Errorf("the schema has version %d, want %d", e.Schema, e.WantedSchema)
	}
}
