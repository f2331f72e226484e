package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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

// lossy passes connections on to PostgreSQL until lose is set: of what comes
// then, the question still arrives, and its answer does not. Those that there are can
// be hushed and unplugged; new ones are passed on.
type lossy struct {
	dsn  string
	lose atomic.Bool

	mu      sync.Mutex
	clients map[net.Conn]bool // whether they are hushed
}

// hush leaves the connections that there are without answers, as a proxy that has
// lost its server does.
func (p *lossy) hush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.clients {
		p.clients[c] = true
	}
}

// unplug leaves them without confirmations as well, as a machine that is gone does.
func (p *lossy) unplug(t *testing.T) {
	t.Helper()
	p.hush()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.clients {
		testenv.Unplug(t, c)
	}
}

func (p *lossy) silent(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clients[c]
}

func startLossy(t *testing.T, dsn string) *lossy {
	t.Helper()
	config := must(pgx.ParseConfig(dsn))(t)
	network, target := pgconn.NetworkAddress(config.Host, config.Port)
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = listener.Close() })
	p := &lossy{
		dsn:     fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s", listener.Addr().(*net.TCPAddr).Port, config.User, config.Database),
		clients: map[net.Conn]bool{},
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, target)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			p.mu.Lock()
			p.clients[client] = false
			p.mu.Unlock()
			go p.answers(client, server)
		}
	}()
	return p
}

func (p *lossy) answers(client, server net.Conn) {
	defer func() { _ = client.Close(); _ = server.Close() }()
	b := make([]byte, 16<<10)
	for {
		n, err := server.Read(b)
		if err != nil || p.lose.CompareAndSwap(true, false) {
			return
		}
		if p.silent(client) {
			continue
		}
		if _, err := client.Write(b[:n]); err != nil {
			return
		}
	}
}

// Connections that have rested and lead nowhere by now, without anybody having said so,
// fail no request: each is tried for a moment, and another one made.
func TestConnectionsThatWentSilentFailNothing(t *testing.T) {
	t.Parallel()
	p := startLossy(t, pgtest.DSN(t))
	s := must(store.Open(t.Context(), store.Options{DSN: p.dsn, MaxConns: 4}))(t)
	t.Cleanup(s.Close)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() { submit(t, s, submission(fmt.Sprint("A", i), "one")) })
	}
	all.Wait()
	p.hush()
	rested := time.Now().Add(1100 * time.Millisecond) // before, a connection counts as one that is in use
	testenv.Await(t, "that the connections have rested", func() bool { return time.Now().After(rested) })
	ctx, cancel := context.WithTimeout(t.Context(), clientPatience)
	defer cancel()
	if _, err := s.Submit(ctx, submission("B", "one")); err != nil {
		t.Errorf("submit: %v", err)
	}
	if _, err := s.ARC(ctx, idOf("B")); err != nil {
		t.Errorf("read: %v", err)
	}
}

// clientPatience is how long a request is tried to be answered.
const clientPatience = 25 * time.Second

// Nor does the end of a machine of which nobody hears any more, whatever was under way.
func TestConnectionsThatAreUnpluggedFailNothing(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(context.Context, *store.Store) error{
		"submit": func(ctx context.Context, s *store.Store) error {
			_, err := s.Submit(ctx, submission("A", "one"))
			return err
		},
		"read": func(ctx context.Context, s *store.Store) error { _, err := s.ARC(ctx, idOf("B")); return err },
	} {
		for _, asked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, asked %t", name, asked), func(t *testing.T) {
				t.Parallel()
				dsn := pgtest.DSN(t)
				p := startLossy(t, dsn)
				s := must(store.Open(t.Context(), store.Options{DSN: p.dsn, MaxConns: 4}))(t)
				t.Cleanup(s.Close)
				submit(t, s, submission("B", "one"))
				ctx, cancel := context.WithTimeout(t.Context(), clientPatience)
				defer cancel()
				if !asked {
					p.unplug(t)
					if err := request(ctx, s); err != nil {
						t.Error(err)
					}
					return
				}
				other := must(connect(dsn))(t)
				defer other.Close(context.Background())
				lock := must(other.Begin(t.Context()))(t)
				must(lock.Exec(t.Context(), "LOCK TABLE arc"))(t)
				answered := make(chan error, 1)
				go func() { answered <- request(ctx, s) }()
				testenv.Await(t, "the statement", func() bool {
					var waiting bool
					err := other.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'arc'::regclass AND NOT granted)").Scan(&waiting)
					return err == nil && waiting
				})
				p.unplug(t)
				must(lock.Exec(t.Context(), "ROLLBACK"))(t)
				if err := <-answered; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Of a statement whose answer is lost nobody knows whether it was done. Where doing
// it again comes to the same, that is what happens; a refusal is not counted twice.
func TestALostAnswerIsNotASecondRefusal(t *testing.T) {
	t.Parallel()
	p := startLossy(t, pgtest.DSN(t))
	s := must(store.Open(t.Context(), store.Options{DSN: p.dsn, MaxConns: 1}))(t)
	t.Cleanup(s.Close)
	h := begin(t, s)
	refuse := func() error {
		return s.AddHarvestError(t.Context(), h.ID, store.HarvestError{Code: fault.ARCInvalid, Text: "no root"})
	}
	if err := refuse(); err != nil {
		t.Fatal(err)
	}
	p.lose.Store(true)
	if err := refuse(); fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("without an answer: got %v, want store_unavailable", err)
	}
	submit(t, s, inHarvest(h, "A", "one"))
	p.lose.Store(true)
	if r := submit(t, s, inHarvest(h, "A", "one")); r.Outcome != store.Unchanged || r.Version != 1 {
		t.Errorf("again, without an answer: got %+v", r)
	}
	if got := end(t, s, h, store.EndOptions{}).Statistics; got != (store.Statistics{New: 1, Errors: 2}) {
		t.Errorf("got %+v, want one new and two refused", got)
	}
}

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
        'extra_float_digits = -15', 'standard_conforming_strings = off', 'timezone = ''Asia/Kathmandu''', 'array_nulls = off',
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
	submit(t, s, submission("A", "two"))
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
	if got := read(t, s, idOf("A")); got.Version != 2 || got.Lifecycle != store.Missing || time.Since(got.LastSeen).Abs() > time.Hour {
		t.Errorf("got %+v", got)
	}
}

// failures keeps the connections on which a statement failed.
type failures struct{ sync.Map }

func (f *failures) note(conn *pgx.Conn, err error) {
	if err != nil {
		f.Store(conn, err)
	}
}

func (f *failures) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (f *failures) TraceQueryEnd(_ context.Context, conn *pgx.Conn, d pgx.TraceQueryEndData) {
	f.note(conn, d.Err)
}

func (f *failures) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (f *failures) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (f *failures) TraceBatchEnd(_ context.Context, conn *pgx.Conn, d pgx.TraceBatchEndData) {
	f.note(conn, d.Err)
}

// What cut one connection has cut the others as well: however many lie idle, whoever
// comes first meets one that is dead and no more, and does not wait for the others.
func TestCutConnectionsAreMetOnce(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(*store.Store) error{
		"read":   func(s *store.Store) error { _, err := s.ARC(t.Context(), idOf("A")); return err },
		"submit": func(s *store.Store) error { _, err := s.Submit(t.Context(), submission("A", "two")); return err },
		"task": func(s *store.Store) error {
			return s.PutTask(t.Context(), store.Task{ID: uuid.New(), RDI: "r", Status: "PENDING"})
		},
		"harvest": func(s *store.Store) error {
			_, err := s.BeginHarvest(t.Context(), "r", nil, nil, "", store.Actor{})
			return err
		},
		"pushes asked for": func(s *store.Store) error { _, err := s.RequestPushes(t.Context(), "r", store.Actor{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			const size = 12
			var failed failures
			s := must(store.Open(t.Context(), store.Options{DSN: dsn, ApplicationName: "test", MaxConns: size, Tracer: &failed}))(t)
			t.Cleanup(s.Close)
			submit(t, s, submission("A", "one"))
			admin := must(connect(dsn))(t)
			defer admin.Close(context.Background())
			lock := must(admin.Begin(t.Context()))(t)
			must(lock.Exec(t.Context(), "LOCK TABLE arc"))(t)
			var all sync.WaitGroup
			for range size {
				all.Go(func() {
					if _, err := s.ARC(context.Background(), idOf("A")); err != nil {
						t.Error(err)
					}
				})
			}
			testenv.Await(t, "all connections are in use", func() bool { return s.PoolStats().AcquiredConns() == size })
			must(lock.Exec(t.Context(), "ROLLBACK"))(t)
			all.Wait()
			// At once: the pool asks connections that have been idle for a second whether they live.
			const sessions = `FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'test'`
			must(admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) `+sessions))(t)
			testenv.Await(t, "the connections are gone", func() (gone bool) {
				err := admin.QueryRow(t.Context(), `SELECT count(*) = 0 `+sessions).Scan(&gone)
				return err == nil && gone
			})
			if err := use(s); err != nil {
				t.Error(err)
			}
			dead := 0
			failed.Range(func(any, any) bool { dead++; return true })
			if dead > 1 {
				t.Errorf("%d dead connections were tried", dead)
			}
		})
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
