package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// A database that lets nobody in, a connection string that says nothing, and a
// standby are told apart.
func TestUnusableDatabasesAreToldApart(t *testing.T) {
	t.Parallel()
	if _, err := store.Open(t.Context(), store.Options{DSN: "port=no"}); fault.CodeOf(err) != fault.StoreConfig {
		t.Errorf("bad connection string: got %v", err)
	}
	s := open(t, pgtest.DSN(t)+" dbname=nowhere")
	if err := s.Ping(t.Context()); fault.CodeOf(err) != fault.StoreAccess {
		t.Errorf("no such database: got %v", err)
	}
	readOnly := open(t, pgtest.DSN(t)+" options='-c default_transaction_read_only=on'")
	if _, err := readOnly.Submit(t.Context(), submission("A", "x")); fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("read-only: got %v", err)
	}
}

// A row that somebody has locked for too long ends in a fault for this
// submission, not in a wait without end.
func TestALockedRowEndsInATimeOut(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s, err := store.Open(t.Context(), store.Options{DSN: dsn, StatementTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	submit(t, s, submission("A", "one"))
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	for _, statement := range []string{"BEGIN", "SELECT FROM arc FOR UPDATE"} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Submit(t.Context(), submission("A", "two"))
	if f, ok := fault.Of(err); !ok || f.Code != fault.StoreTimeout || f.RetryAfter <= 0 {
		t.Errorf("got %v, want store_timeout", err)
	}
	submit(t, s, submission("B", "one"))
}

// A caller that gives up is told so at once, and harms nobody.
func TestACallerMayGiveUp(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Submit(ctx, submission("A", "one")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	submit(t, s, submission("B", "one"))
}

// acknowledgements is the model of the trials below: what was acknowledged.
type acknowledgements struct {
	mu   sync.Mutex
	arcs map[string][]string // contents by identifier, in the order of acknowledgement
}

func (a *acknowledgements) add(identifier, content string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.arcs == nil {
		a.arcs = map[string][]string{}
	}
	a.arcs[identifier] = append(a.arcs[identifier], content)
}

func (a *acknowledgements) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.arcs)
}

// hammer submits from several goroutines until told to stop; every failure has
// to be one that tells the client to come again.
func (a *acknowledgements) hammer(t *testing.T, s *store.Store, stop <-chan struct{}) *sync.WaitGroup {
	t.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 16 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprint("A", next.Add(1))
				_, err := s.Submit(context.Background(), submission(name, "content of "+name))
				if f, ok := fault.Of(err); ok && f.RetryAfter > 0 {
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				a.add(name, "content of "+name)
			}
		})
	}
	return &wg
}

// verify finds every acknowledged ARC in the store, due.
func (a *acknowledgements) verify(t *testing.T, s *store.Store) {
	t.Helper()
	for name, contents := range a.arcs {
		arc, err := s.ARC(t.Context(), idOf(name))
		if err != nil || arc.Hash != hashOf(contents[len(contents)-1]) || arc.Git.State != store.Due {
			t.Fatalf("%s was acknowledged, found %+v, %v", name, arc, err)
		}
	}
}

// Acknowledged means durable: whatever was acknowledged before a SIGKILL of
// the postmaster is there afterwards, still due, and the store works on.
func TestAcknowledgedIsDurable(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{})
	dsn := c.DSN()
	s := open(t, dsn)
	var acknowledged acknowledgements
	stop := make(chan struct{})
	wg := acknowledged.hammer(t, s, stop)
	for round := range 3 {
		testenv.Await(t, "progress", func() bool { return acknowledged.count() > (round+1)*100 || t.Failed() })
		c.Kill()
		c.Restart()
	}
	before := acknowledged.count()
	testenv.Await(t, "progress after the last restart", func() bool { return acknowledged.count() > before+50 || t.Failed() })
	close(stop)
	wg.Wait()
	acknowledged.verify(t, s)
}

// Connections that are cut at any moment cost retries, not ARCs.
func TestCutConnectionsLoseNothing(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	var acknowledged acknowledgements
	stop := make(chan struct{})
	wg := acknowledged.hammer(t, s, stop)
	for round := range 30 {
		testenv.Await(t, "progress", func() bool { return acknowledged.count() > (round+1)*10 || t.Failed() })
		sql(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'test'`)
	}
	close(stop)
	wg.Wait()
	acknowledged.verify(t, s)
}

// A server that restarts while the pool's connections lie idle fails nobody:
// what is done next finds a new connection.
func TestARestartFailsNobody(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{})
	s := open(t, c.DSN())
	h, err := s.BeginHarvest(t.Context(), "edal", nil, nil, "", store.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	submit(t, s, submission("A", "one"))
	for name, use := range map[string]func() error{
		"submit":       func() error { _, err := s.Submit(t.Context(), submission("A", "two")); return err },
		"read ARC":     func() error { _, err := s.ARC(t.Context(), idOf("A")); return err },
		"read content": func() error { _, err := s.Content(t.Context(), idOf("A")); return err },
		"list":         func() error { _, _, err := s.ARCs(t.Context(), store.ARCFilter{Limit: 1}); return err },
		"read harvest": func() error { _, err := s.Harvest(t.Context(), h.ID); return err },
		"refusal":      func() error { return s.AddHarvestError(t.Context(), h.ID, store.HarvestError{Code: fault.ARCNotFound}) },
		"end harvest": func() error {
			_, err := s.EndHarvest(t.Context(), h.ID, store.Completed, store.EndOptions{})
			return err
		},
	} {
		c.Kill()
		c.Restart()
		if err := use(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A claim survives the end of PostgreSQL: it can be recorded afterwards by its
// holder, and the ARC was not given to anybody else.
func TestAClaimSurvivesARestart(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{})
	s := open(t, c.DSN())
	submit(t, s, submission("A", "one"))
	held := claim(t, s)
	load(t, s, held)
	c.Kill()
	c.Restart()
	var claims []*store.Claim
	testenv.Await(t, "the store finds the server again", func() (ok bool) {
		var err error
		claims, err = s.ClaimDue(t.Context(), store.ClaimRequest{Holder: "other", Limit: 9, Lease: time.Hour, Remote: "git"})
		return err == nil
	})
	if len(claims) != 0 {
		t.Fatal("claimed twice")
	}
	if err := s.RecordPush(t.Context(), held, store.Pushed{Commit: "c1"}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, idOf("A")).Git; got.State != store.Synced {
		t.Errorf("got %+v, want synced", got)
	}
}

// What PostgreSQL refuses at the very end of the transaction, after the rows of
// the answer have come, is not acknowledged.
func TestACommitWhoseEndNobodySawIsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	sql(t, dsn, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$`)
	sql(t, dsn, `CREATE CONSTRAINT TRIGGER late AFTER INSERT ON arc DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
	sub := submission("A", "one")
	if r, err := s.Submit(t.Context(), sub); err == nil {
		t.Errorf("acknowledged as %+v", r)
	}
	if _, err := s.ARC(t.Context(), sub.ID); fault.CodeOf(err) != fault.ARCNotFound {
		t.Errorf("the ARC is there after all: %v", err)
	}
	sql(t, dsn, `DROP TRIGGER late ON arc`)
	if r, err := s.Submit(t.Context(), sub); err != nil || r.Outcome != store.Created {
		t.Errorf("the next attempt: %+v, %v", r, err)
	}
}

// What PostgreSQL says is told apart by its SQLSTATE, which decides who can mend it
// and whether to come again.
func TestSQLStatesAreToldApart(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := must(store.Open(t.Context(), store.Options{DSN: dsn, StatementTimeout: 2 * time.Second}))(t) // a held row is waited for as long
	t.Cleanup(s.Close)
	sql(t, dsn, refuseByName)
	for state, want := range map[string]fault.Code{
		"57014": fault.StoreTimeout, "55P03": fault.StoreTimeout,
		"53100": fault.StoreFull, "53300": fault.StoreUnavailable, "53200": fault.StoreUnavailable, "58030": fault.StoreUnavailable,
		"42P01": fault.StoreSchema, "42703": fault.StoreSchema, "42883": fault.StoreSchema, "42P10": fault.StoreSchema,
		"42501": fault.StoreAccess, "25006": fault.StoreUnavailable, "08006": fault.StoreUnavailable,
		"40001": fault.StoreUnavailable, "40P01": fault.StoreUnavailable,
		"0A000": fault.StoreUnavailable, "26000": fault.StoreUnavailable, "42P05": fault.StorePooler,
		"22021": fault.StoreRejected, "23514": fault.StoreRejected, "P0001": fault.StoreInternal,
	} {
		sub := submission("A", "x")
		sub.Name = state
		_, err := s.Submit(t.Context(), sub)
		if fault.CodeOf(err) != want {
			t.Errorf("%s: got %v, want %s", state, err, want)
		}
	}
}
