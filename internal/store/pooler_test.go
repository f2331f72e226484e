package store_test

import (
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// A pooler that lends connections for whole sessions is no obstacle, and ours
// have their settings through it.
func TestAPoolerOfSessions(t *testing.T) {
	t.Parallel()
	direct := pgtest.DSN(t)
	sql(t, direct, `
CREATE FUNCTION insist() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('lock_timeout') = '0' OR current_setting('jit') <> 'off' THEN RAISE 'the session is not set up'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER insist BEFORE INSERT ON arc FOR EACH ROW EXECUTE FUNCTION insist()`)
	dsn := pgtest.Pooler(t, direct, "session")
	if _, err := store.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	s := open(t, dsn)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if _, err := s.Examine(t.Context()); err != nil {
		t.Errorf("examined: %v", err)
	}
	woken := listen(t, s)
	<-woken // connected
	submit(t, s, submission("A", "one"))
	<-woken
	c := claim(t, s)
	load(t, s, c)
	push(t, s, c, "c1")
}

// A pooler that lends them for single transactions is refused, before anything is done to the
// database, in words that say what to do.
func TestAPoolerOfTransactions(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			direct := pgtest.Empty(t)
			dsn := pgtest.Pooler(t, direct, mode)
			if _, err := store.Migrate(t.Context(), dsn); fault.CodeOf(err) != fault.StorePooler {
				t.Errorf("migrate: %v, want %s", err, fault.StorePooler)
			}
			if _, err := open(t, dsn).Examine(t.Context()); fault.CodeOf(err) != fault.StorePooler {
				t.Errorf("examine: %v, want %s", err, fault.StorePooler)
			}
			if e := examine(t, direct); e.Schema != 0 {
				t.Errorf("the schema has version %d, want none", e.Schema)
			}
		})
	}
}
