package store_test

import (
	"context"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// patience is the deadline of everything that tests wait for.
const patience = 30 * time.Second

func open(tb testing.TB, dsn string) *store.Store {
	tb.Helper()
	s, err := store.Open(context.Background(), store.Options{DSN: dsn, ApplicationName: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// fresh gives a store on a database of the test's own.
func fresh(tb testing.TB) *store.Store {
	tb.Helper()
	return open(tb, pgtest.DSN(tb))
}

// two gives two stores on one database, as two processes have them.
func two(tb testing.TB) (*store.Store, *store.Store) {
	tb.Helper()
	dsn := pgtest.DSN(tb)
	return open(tb, dsn), open(tb, dsn)
}

// sql runs a statement on the database, for arrangements that the store has no
// method for.
func sql(tb testing.TB, dsn, statement string, arguments ...any) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(tb.Context(), statement, arguments...); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

func hashOf(content string) store.Hash { return sha256.Sum256([]byte(content)) }

func idOf(identifier string) store.ID { return sha256.Sum256([]byte(identifier + ":r")) }

// submission gives a submission for RDI r; the content is not compressed,
// which the store does not mind.
func submission(identifier, content string) *store.Submission {
	return &store.Submission{
		ID: idOf(identifier), RDI: "r", Identifier: identifier, Name: "name of " + identifier,
		Hash: hashOf(content), Size: int64(len(content)),
		Content: func() []byte { return []byte(content) },
	}
}

func inHarvest(h store.Harvest, identifier, content string) *store.Submission {
	sub := submission(identifier, content)
	sub.Harvest = h.ID
	return sub
}

func submit(tb testing.TB, s *store.Store, sub *store.Submission) *store.Result {
	tb.Helper()
	r, err := s.Submit(context.Background(), sub)
	if err != nil {
		tb.Fatalf("submit %s: %v", sub.Identifier, err)
	}
	return r
}

func begin(tb testing.TB, s *store.Store) store.Harvest {
	tb.Helper()
	return must(s.BeginHarvest(context.Background(), "r", nil, nil, "", store.Actor{}))(tb)
}

func end(tb testing.TB, s *store.Store, h store.Harvest, o store.EndOptions) store.Harvest {
	tb.Helper()
	return must(s.EndHarvest(context.Background(), h.ID, store.Completed, o))(tb)
}

// must gives the value of a call that must not fail.
func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func read(tb testing.TB, s *store.Store, id store.ID) store.ARC {
	tb.Helper()
	return must(s.ARC(context.Background(), id))(tb)
}

// claimN claims with a long lease.
func claimN(tb testing.TB, s *store.Store, n int) []*store.Claim {
	tb.Helper()
	return must(s.ClaimDue(context.Background(), store.ClaimRequest{Holder: "test", Limit: n, Lease: time.Hour, Remote: "git"}))(tb)
}

// claim claims the one ARC that is due.
func claim(tb testing.TB, s *store.Store) *store.Claim {
	tb.Helper()
	claims := claimN(tb, s, 10)
	if len(claims) != 1 {
		tb.Fatalf("claim: got %d ARCs, want 1", len(claims))
	}
	return claims[0]
}

func load(tb testing.TB, s *store.Store, c *store.Claim) *store.Content {
	tb.Helper()
	return must(s.Load(context.Background(), c))(tb)
}

func push(tb testing.TB, s *store.Store, c *store.Claim, commit string) {
	tb.Helper()
	if c != nil {
		load(tb, s, c)
	}
	if err := s.RecordPush(context.Background(), c, store.Pushed{Commit: commit}); err != nil {
		tb.Fatal(err)
	}
}

// eventTypes gives the types of the events of an ARC.
func eventTypes(tb testing.TB, s *store.Store, id store.ID) []string {
	tb.Helper()
	out := []string{}
	for _, e := range must(s.Events(context.Background(), id))(tb) {
		out = append(out, e.Type)
	}
	return out
}

// awaitLock waits until somebody waits for a lock in the database. It asks outside of
// any transaction, in which PostgreSQL would give the first answer for ever.
func awaitLock(tb testing.TB, dsn, what string) {
	tb.Helper()
	conn := must(connect(dsn))(tb)
	defer conn.Close(context.Background())
	testenv.Await(tb, what, func() (waits bool) {
		err := conn.QueryRow(tb.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
		return err == nil && waits
	})
}

// someoneWaits tells whether somebody waits for the lock of a harvest or of its events.
func someoneWaits(tb testing.TB, conn *pgx.Conn) (waits bool) {
	tb.Helper()
	err := conn.QueryRow(tb.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waits)
	if err != nil {
		tb.Fatal(err)
	}
	return waits
}

func connect(dsn string) (*pgx.Conn, error) { return pgx.Connect(context.Background(), dsn) }

// failed submits an ARC whose first push has failed and that is due again.
func failed(tb testing.TB, s *store.Store, identifier string) {
	tb.Helper()
	submit(tb, s, submission(identifier, "x"))
	c := claim(tb, s)
	load(tb, s, c)
	if err := s.RecordFailure(tb.Context(), c, store.Failure{Class: store.Transient, Code: "remote_timeout"}); err != nil {
		tb.Fatal(err)
	}
}

// listen gives a signal for each time that a listener of the store is woken. It listens
// until the test ends.
func listen(tb testing.TB, s *store.Store) <-chan struct{} {
	tb.Helper()
	woken := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(tb.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Listen(ctx, func() { woken <- struct{}{} }) })
	tb.Cleanup(func() { cancel(); wg.Wait() })
	return woken
}
