package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// Commits are synchronous whatever the database's default is: an answer means that the
// ARC is on disk.
func TestCommitsAreSynchronous(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	sql(t, dsn, `
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
    EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database());
END $$;
CREATE FUNCTION insist() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('synchronous_commit') <> 'on' THEN RAISE 'the commit is asynchronous'; END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN RAISE 'the transaction sees what it saw at its beginning'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER insist BEFORE INSERT ON arc FOR EACH ROW EXECUTE FUNCTION insist()`)
	submit(t, open(t, dsn), submission("A", "x"))
}

// What somebody has set for all who use a database, for other programs perhaps, changes nothing
// for us, and a migration takes as long as it takes.
func TestSettingsOfTheDatabaseDoNotMatter(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	sql(t, dsn, `
CREATE FUNCTION linger() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF to_regclass('arc') IS NULL THEN PERFORM pg_sleep(0.4); END IF;
END $$;
CREATE EVENT TRIGGER linger ON ddl_command_start EXECUTE FUNCTION linger();
DO $$ DECLARE setting text; BEGIN
    FOREACH setting IN ARRAY ARRAY['statement_timeout = 300', 'lock_timeout = 300', 'idle_session_timeout = 500',
        'default_transaction_isolation = serializable', 'bytea_output = escape', 'datestyle = German', 'intervalstyle = sql_standard',
        'client_encoding = WIN1252', 'extra_float_digits = -15', 'standard_conforming_strings = off', 'timezone = ''Asia/Kathmandu''', 'array_nulls = off',
        'transform_null_equals = on', 'quote_all_identifiers = on', 'plan_cache_mode = force_custom_plan', 'enable_seqscan = off']
    LOOP
        EXECUTE format('ALTER DATABASE %I SET ', current_database()) || setting;
    END LOOP;
END $$`)
	if _, err := store.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	s := open(t, dsn)
	woken := listen(t, s)
	<-woken // connected
	submit(t, s, submission("A", "one"))
	<-woken
	named := submission("A", "two")
	named.Name = "Ágnes" // of whose bytes WIN1252 lacks one
	submit(t, s, named)
	if n := must(s.RequestPushes(t.Context(), "r", store.Actor{}))(t); n != 1 {
		t.Errorf("%d pushes asked for, want 1", n)
	}
	c := claim(t, s)
	load(t, s, c)
	push(t, s, c, "c1")
	h := begin(t, s)
	submit(t, s, inHarvest(h, "B", "one"))
	if got := end(t, s, h, store.EndOptions{MissingLimit: 1}).Statistics; got != (store.Statistics{New: 1, Missing: 1}) {
		t.Errorf("got %+v, want one new and one missing", got)
	}
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	must(conn.Exec(t.Context(), "SET statement_timeout = 0"))(t)
	var listening int
	row := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_sleep(0.8), pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN %' AND backend_start < clock_timestamp() - interval '0.8 s'`)
	if err := row.Scan(&listening); err != nil || listening != 1 {
		t.Errorf("%d sessions have gone on listening (%v), want one", listening, err)
	}
	var letters int
	if err := conn.QueryRow(t.Context(), `SELECT length(name) FROM arc WHERE identifier = 'A'`).Scan(&letters); err != nil || letters != 5 {
		t.Errorf("the name is stored with %d letters (%v), want 5", letters, err)
	}
	if got := read(t, s, idOf("A")); got.Version != 2 || got.Name != "Ágnes" || got.Lifecycle != store.Missing || time.Since(got.LastSeen).Abs() > time.Hour {
		t.Errorf("got %+v", got)
	}
}

// Statements that the server has forgotten, as it does behind a pooler, are prepared
// anew without anybody noticing.
func TestForgottenStatementsArePreparedAgain(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := must(store.Open(t.Context(), store.Options{DSN: dsn, MaxConns: 1}))(t)
	t.Cleanup(s.Close)
	sql(t, dsn, `
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.name = 'forget' THEN EXECUTE 'DEALLOCATE ALL'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER forget BEFORE INSERT ON arc FOR EACH ROW EXECUTE FUNCTION forget()`)
	submit(t, s, submission("A", "one"))
	forget := submission("A", "two")
	forget.Name = "forget"
	submit(t, s, forget)
	if r := submit(t, s, submission("A", "three")); r.Version != 3 {
		t.Errorf("got version %d, want 3", r.Version)
	}
}

// A session of the store ends itself where it would hold locks for nobody, and a statement
// that takes too long; only the work on a whole harvest or RDI may take its time, and
// that does not extend to what the connection does next.
func TestSessionsHaveLimits(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := must(store.Open(t.Context(), store.Options{DSN: dsn, MaxConns: 1, StatementTimeout: 20 * time.Second}))(t)
	t.Cleanup(s.Close)
	sql(t, dsn, `
CREATE TABLE limits (of text, statement text, lock text, idle text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO limits SELECT TG_ARGV[0], current_setting('statement_timeout'), current_setting('lock_timeout'),
        current_setting('idle_in_transaction_session_timeout');
    RETURN NEW;
END $$;
CREATE TRIGGER submission AFTER INSERT ON arc FOR EACH STATEMENT EXECUTE FUNCTION note('submission');
CREATE TRIGGER harvest AFTER UPDATE OF status ON harvest FOR EACH STATEMENT EXECUTE FUNCTION note('end of a harvest');
CREATE TRIGGER pushes AFTER UPDATE OF push_wanted ON arc FOR EACH STATEMENT EXECUTE FUNCTION note('pushes');`)
	end(t, s, begin(t, s), store.EndOptions{})
	submit(t, s, submission("A", "one"))
	must(s.RequestPushes(t.Context(), "r", store.Actor{}))(t)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	rows := must(conn.Query(t.Context(), "SELECT concat_ws(' ', of, statement, lock, idle) FROM limits"))(t)
	got := must(pgx.CollectRows(rows, pgx.RowTo[string]))(t)
	want := []string{"end of a harvest 30min 20s 40s", "submission 20s 1s 40s", "pushes 20s 20s 40s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
