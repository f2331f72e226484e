package store_test

import (
	"context"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// A store opens without PostgreSQL, says that it is not ready, answers with a
// fault that names the way out, and works once the server is there.
func TestPostgreSQLMayBeAbsentAtTheStart(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{})
	dsn := c.DSN()
	c.Stop()
	s := open(t, dsn)
	if err := s.Ready(t.Context()); fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("ready: got %v, want store_unavailable", err)
	}
	_, err := s.Submit(t.Context(), submission("A", "one"))
	f, ok := fault.Of(err)
	if !ok || f.Code != fault.StoreUnavailable || f.RetryAfter <= 0 || f.Remedy == "" {
		t.Errorf("submit: got %+v, want store_unavailable with a time and a remedy", err)
	}
	c.Restart()
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready after the start: %v", err)
	}
	submit(t, s, submission("A", "one"))
}

// A standby can be read, but is not ready before it can be written to; what is to
// be stored meanwhile is refused for now and not for good.
func TestAStandbyIsNotReady(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{Fast: true})
	s := open(t, c.DSN())
	submit(t, s, submission("A", "one"))
	c.Demote()
	testenv.Await(t, "an answer of the standby", func() bool { return s.Ping(t.Context()) == nil })
	if f, ok := fault.Of(s.Ready(t.Context())); !ok || f.Code != fault.StoreUnavailable || f.Text != "The database is a read-only standby." {
		t.Errorf("ready: got %+v, want that it is a standby", f)
	}
	if got := read(t, s, idOf("A")); got.Hash != hashOf("one") {
		t.Errorf("got %+v", got)
	}
	if _, err := s.Submit(t.Context(), submission("A", "two")); fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("submit: got %v, want store_unavailable", err)
	}
	c.Promote()
	testenv.Await(t, "readiness", func() bool { return s.Ready(t.Context()) == nil })
	submit(t, s, submission("A", "two"))
}

// While a synchronous standby does not confirm, what is committed is not
// acknowledged, and who asks is told why. It goes on when the standby is there,
// or nobody waits for it any more.
func TestALostStandbyIsNamed(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{Fast: true})
	dsn := c.DSN()
	s := open(t, dsn)
	waitFor := func(standby string) {
		sql(t, dsn, "ALTER SYSTEM SET synchronous_standby_names = '"+standby+"'")
		sql(t, dsn, "SELECT pg_reload_conf()")
	}
	waitFor("absent")
	testenv.Await(t, "the setting", func() bool {
		var standby string
		err := pgtest.Connect(t, dsn).QueryRow(t.Context(), "SHOW synchronous_standby_names").Scan(&standby)
		return err == nil && standby == "absent"
	})
	stored := make(chan error, 1)
	try := func() {
		_, err := s.Submit(context.WithoutCancel(t.Context()), submission("A", "one"))
		stored <- err
	}
	go try()
	testenv.Await(t, "that it is said what is wrong", func() bool {
		select {
		case <-stored: // before all of the server knew of the setting
			go try()
		default:
		}
		return fault.CodeOf(s.Ready(t.Context())) == fault.StoreStandby
	})
	if e, err := s.Examine(t.Context()); err != nil || !e.Unconfirmed || e.Standby || e.ReadOnly {
		t.Errorf("examine: got %+v, %v, want that commits wait", e, err)
	}
	select {
	case err := <-stored:
		t.Errorf("acknowledged without the standby: %v", err)
	default:
	}
	waitFor("")
	if err := <-stored; err != nil {
		t.Errorf("submit: %v", err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready afterwards: %v", err)
	}
}

// A database that somebody has set to refuse writes, as hosters do when a disk is nearly full,
// is not ready, refuses for now and not for good, and works again as soon as it may.
func TestADatabaseSetToReadOnlyIsNotReady(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	set := func(value string) {
		sql(t, dsn, "SET TRANSACTION READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = "+value+"', current_database()); END $$")
	}
	set("on")
	s := open(t, dsn)
	if f, ok := fault.Of(s.Ready(t.Context())); !ok || f.Code != fault.StoreUnavailable || f.Text != "The database is set to be read only (default_transaction_read_only)." {
		t.Errorf("ready: got %+v, want that it is read only", f)
	}
	if e, err := s.Examine(t.Context()); err != nil || !e.ReadOnly || e.Standby {
		t.Errorf("examine: got %+v, %v, want that it is read only, but no standby", e, err)
	}
	other := open(t, dsn)
	if _, err := other.Submit(t.Context(), submission("A", "one")); fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("submit: got %v, want store_unavailable", err)
	}
	set("off")
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready when it may be written to: %v", err)
	}
	submit(t, s, submission("A", "one"))
	submit(t, other, submission("B", "one")) // which was not asked whether it is ready
}

// An empty database is not ready and says what to do about it.
func TestAnEmptyDatabaseIsNotReady(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	s := open(t, dsn)
	err := s.Ready(t.Context())
	if f, ok := fault.Of(err); !ok || f.Code != fault.StoreSchema || f.Remedy != "middleware-api migrate" {
		t.Errorf("got %v, want store_schema", err)
	}
	if _, err := store.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("after migrating: %v", err)
	}
	// A program that is newer has migrated further, and this one still serves.
	sql(t, dsn, `INSERT INTO goose_db_version (version_id, is_applied) SELECT max(version_id) + 1, true FROM goose_db_version`)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("with a newer schema: %v", err)
	}
}
