package store_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// submitTogether lets submissions wait, in the order given, behind one that cannot
// go on, so that they make one group if they may. What is given is called before
// they go on; the errors are those of the submissions.
func submitTogether(t *testing.T, s *store.Store, dsn string, subs []*store.Submission, before func()) []error {
	t.Helper()
	submit(t, s, submission("first", "one"))
	other := must(connect(dsn))(t)
	defer other.Close(context.Background())
	lock := must(other.Begin(t.Context()))(t)
	must(lock.Exec(t.Context(), `SELECT FROM arc WHERE identifier = 'first' FOR UPDATE`))(t)
	errs := make([]error, len(subs))
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { submit(t, s, submission("first", "two")) })
	awaitLock(t, dsn, "the first submission waits for its row")
	for i, sub := range subs {
		all.Go(func() { _, errs[i] = s.Submit(context.Background(), sub) })
		testenv.Await(t, "the submission waits for its group", func() bool { return s.Waiting() == i+1 })
	}
	if before != nil {
		before()
	}
	if err := lock.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	return errs
}

// A group of large ARCs is bounded in bytes, which are in memory several times while it
// is sent; one that is larger than that goes alone.
func TestAGroupIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	const mebibyte = 1 << 20
	var subs []*store.Submission
	for i, size := range []int{5, 5, 5, 5, 17, 5} {
		sub := submission(fmt.Sprint("A", i), fmt.Sprint(i))
		sub.Content = func() []byte { return bytes.Repeat([]byte{'x'}, size*mebibyte) }
		subs = append(subs, sub)
	}
	for i, err := range submitTogether(t, s, dsn, subs, nil) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	// Who was stored in one transaction is told by its number.
	rows := must(conn.Query(t.Context(), `SELECT string_agg(identifier, ' ' ORDER BY identifier)
		FROM arc WHERE identifier <> 'first' GROUP BY xmin::text ORDER BY 1`))(t)
	got := must(pgx.CollectRows(rows, pgx.RowTo[string]))(t)
	if want := []string{"A0 A1 A2", "A3", "A4", "A5"}; !slices.Equal(got, want) {
		t.Errorf("groups: got %q, want %q", got, want)
	}
}

// refuseByName lets PostgreSQL refuse every ARC whose name is an SQLSTATE, with that.
const refuseByName = `
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.name ~ '^[0-9A-Z]{5}$' THEN RAISE EXCEPTION 'as told' USING ERRCODE = NEW.name; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON arc FOR EACH ROW EXECUTE FUNCTION refuse()`

// One member for which PostgreSQL refuses the whole group does not take the others
// with it, whatever the reason: each is tried alone afterwards.
func TestABadMemberOfAGroupFailsAlone(t *testing.T) {
	t.Parallel()
	// Cardinality, data, constraint, rollback, limit, unsupported, missing statement.
	for _, state := range []string{"21000", "22021", "23514", "40001", "54000", "0A000", "26000"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			s := open(t, dsn)
			sql(t, dsn, refuseByName)
			subs := make([]*store.Submission, 5)
			for i := range subs {
				subs[i] = submission(fmt.Sprint("A", i), "x")
			}
			subs[2].Name = state
			for i, err := range submitTogether(t, s, dsn, subs, nil) {
				if bad := i == 2; bad != (err != nil) {
					t.Errorf("member %d: %v", i, err)
				}
			}
		})
	}
}

// A submission that fails in its group and once more by itself, as it does when it
// meets two others on its way, is tried again before its sender hears of it.
func TestASubmissionIsTriedTwiceAlone(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	sql(t, dsn, `
CREATE SEQUENCE attempt;
CREATE FUNCTION race() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('attempt') <= 2 THEN RAISE EXCEPTION 'a race' USING ERRCODE = '40001'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER race BEFORE INSERT ON arc FOR EACH ROW EXECUTE FUNCTION race()`)
	submit(t, s, submission("A", "x"))
}

// Harvests are locked in the order of their keys, whatever the order of the ARCs: two
// groups that share two harvests would else wait for each other as soon as both harvests
// are about to end.
func TestAGroupLocksHarvestsInOrder(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	key := func(h store.Harvest) int64 { return int64(binary.BigEndian.Uint64(h.ID[:8])) }
	harvests := []store.Harvest{begin(t, s), begin(t, s)}
	slices.SortFunc(harvests, func(a, b store.Harvest) int { return cmp.Compare(key(a), key(b)) })
	names := []string{"A", "B"}
	slices.SortFunc(names, func(a, b string) int { x, y := idOf(a), idOf(b); return bytes.Compare(x[:], y[:]) })
	// The first ARC belongs to the last harvest.
	subs := []*store.Submission{inHarvest(harvests[1], names[0], "x"), inHarvest(harvests[0], names[1], "x")}
	ending := must(connect(dsn))(t)
	defer ending.Close(context.Background())
	seen := make(chan int64, 1)
	errs := submitTogether(t, s, dsn, subs, func() {
		must(ending.Exec(t.Context(), "SELECT pg_advisory_lock($1)", key(harvests[0])))(t)
		go func() {
			const locks = `FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
			testenv.Await(t, "the group waits for the first harvest", func() (waits bool) {
				err := ending.QueryRow(context.Background(), `SELECT EXISTS (SELECT `+locks+` AND NOT granted)`).Scan(&waits)
				return err == nil && waits
			})
			var held int64
			if err := ending.QueryRow(context.Background(), `SELECT count(*) `+locks+` AND granted AND pid <> pg_backend_pid()`).Scan(&held); err != nil {
				t.Error(err)
			}
			if _, err := ending.Exec(context.Background(), "SELECT pg_advisory_unlock_all()"); err != nil {
				t.Error(err)
			}
			seen <- held
		}()
	})
	if held := <-seen; held != 0 {
		t.Errorf("the group holds %d harvests while it waits for the first", held)
	}
	for i, err := range errs {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// Rows are locked in the order of their ids by everything that locks several: who waits
// for the first one holds none of the others, wherever they lie in the table.
func TestRowsAreLockedInOrder(t *testing.T) {
	t.Parallel()
	ids := make([]store.ID, 9)
	names := make([]string, len(ids))
	for i := range ids {
		names[i] = fmt.Sprint("A", i)
	}
	slices.SortFunc(names, func(a, b string) int { x, y := idOf(a), idOf(b); return bytes.Compare(y[:], x[:]) })
	for i, name := range names {
		ids[i] = idOf(name)
	}
	for name, arrange := range map[string]func(*testing.T, *store.Store, store.Harvest) func() error{
		"end of a harvest": func(t *testing.T, s *store.Store, h store.Harvest) func() error {
			t.Helper()
			return func() error {
				_, err := s.EndHarvest(context.Background(), h.ID, store.Completed, store.EndOptions{MissingLimit: 1})
				return err
			}
		},
		"diff": func(t *testing.T, s *store.Store, h store.Harvest) func() error {
			t.Helper()
			return func() error {
				pairs := make([]store.Pair, len(ids))
				for i, id := range ids {
					pairs[i] = store.Pair{ID: id, Hash: hashOf("x")}
				}
				_, err := s.Diff(context.Background(), h.ID, "r", pairs)
				return err
			}
		},
		"release": func(t *testing.T, s *store.Store, _ store.Harvest) func() error {
			t.Helper()
			claims := claimN(t, s, len(ids))
			return func() error { return s.Release(context.Background(), claims) }
		},
		"pushes asked for": func(t *testing.T, s *store.Store, _ store.Harvest) func() error {
			t.Helper()
			return func() error { _, err := s.RequestPushes(context.Background(), "r", store.Actor{}); return err }
		},
		"pushes of a cause": func(t *testing.T, s *store.Store, _ store.Harvest) func() error {
			t.Helper()
			for _, c := range claimN(t, s, len(ids)) {
				load(t, s, c)
				if err := s.RecordFailure(t.Context(), c, store.Failure{Class: store.Refused, Code: fault.HookDeclined, Park: true}); err != nil {
					t.Fatal(err)
				}
			}
			return func() error {
				_, err := s.RequestPushesOfCause(context.Background(), fault.HookDeclined, store.Actor{})
				return err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			// Plans that read the table as it lies, as they may when it is large.
			s := open(t, dsn+" options='-c enable_indexscan=off -c enable_indexonlyscan=off -c enable_mergejoin=off'")
			for _, name := range names { // the last id lies first
				submit(t, s, submission(name, "x"))
			}
			do := arrange(t, s, begin(t, s))
			other := must(connect(dsn))(t)
			defer other.Close(context.Background())
			tx := must(other.Begin(t.Context()))(t)
			must(tx.Exec(t.Context(), `SELECT FROM arc WHERE id = $1 FOR UPDATE`, ids[len(ids)-1][:]))(t)
			done := make(chan error, 1)
			go func() { done <- do() }()
			awaitLock(t, dsn, "it waits for the row")
			var free int
			rows := must(tx.Query(t.Context(), `SELECT FROM arc FOR UPDATE SKIP LOCKED`))(t)
			for rows.Next() {
				free++
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if free != len(ids) {
				t.Errorf("%d rows of %d are locked before the first", len(ids)-free, len(ids)-1)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
