package store_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

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
