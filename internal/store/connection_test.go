package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// lossy passes connections on to PostgreSQL until lose is set: of what comes
// then, the question still arrives, and its answer does not. Those that there are can
// be hushed and unplugged; new ones are passed on, unless it is full.
type lossy struct {
	dsn  string
	lose atomic.Bool
	skip atomic.Int64 // answers that still arrive when lose is set

	full   atomic.Pointer[string] // what new connections are answered before they end
	turned atomic.Int64           // away, those that were answered so

	mu      sync.Mutex
	clients map[net.Conn]bool // whether they are hushed
	servers []net.Conn
}

// vanish ends the connections to the server as the end of the machine does that they came
// from: without a word.
func (p *lossy) vanish(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.servers {
		raw := must(c.(syscall.Conn).SyscallConn())(t)
		var failed error
		err := raw.Control(func(fd uintptr) { // see TCP_REPAIR in tcp(7)
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
		})
		if errors.Is(err, net.ErrClosed) {
			continue
		}
		if errors.Is(failed, unix.EPERM) {
			testenv.Skip(t, "only root can end a connection without a word")
		}
		if err := errors.Join(err, failed, c.Close()); err != nil {
			t.Fatal(err)
		}
	}
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
			if answer := p.full.Load(); answer != nil {
				_, _ = client.Read(make([]byte, 1<<10))
				_, _ = io.WriteString(client, *answer)
				_ = client.Close()
				p.turned.Add(1)
				continue
			}
			server, err := net.Dial(network, target)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			p.mu.Lock()
			p.clients[client] = false
			p.servers = append(p.servers, server)
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
		if err != nil || p.lose.Load() && p.skip.Add(-1) < 0 && p.lose.CompareAndSwap(true, false) {
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

// Where no further connection is to be had, because others have taken all, the name of the server
// is not found or a firewall has changed, those that there are do the work.
func TestWithoutFurtherConnectionsThoseThereAreServe(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing answers":  "",
		"too many clients": "E\x00\x00\x00\x1dSFATAL\x00C53300\x00Mtoo many\x00\x00",
	} {
		for request, use := range map[string]func(*store.Store) error{
			"read": func(s *store.Store) error { _, err := s.ARC(t.Context(), idOf("A")); return err },
			"task": func(s *store.Store) error {
				return s.PutTask(t.Context(), store.Task{ID: uuid.New(), RDI: "r", Status: "PENDING"})
			},
			"submit": func(s *store.Store) error { _, err := s.Submit(t.Context(), submission("A", "two")); return err },
			"ready":  func(s *store.Store) error { return s.Ready(t.Context()) },
		} {
			t.Run(name+", "+request, func(t *testing.T) {
				t.Parallel()
				p := startLossy(t, pgtest.DSN(t))
				s := must(store.Open(t.Context(), store.Options{DSN: p.dsn + " sslmode=disable", MaxConns: 4}))(t)
				t.Cleanup(s.Close)
				submit(t, s, submission("A", "one"))
				testenv.Await(t, "that one connection is there", func() bool { return s.PoolStats().TotalConns() == 1 })
				// The only connection is busy for a moment.
				busy := must(s.Pool().Acquire(t.Context()))(t)
				p.full.Store(&answer)
				done := make(chan error, 1)
				go func() { done <- use(s) }()
				testenv.Await(t, "that another one was asked for", func() bool { return p.turned.Load() > 0 })
				busy.Release()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if err := use(s); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		}
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

// Sessions of a machine that is gone end soon, and with them their locks and their part of
// max_connections: it comes back with new ones.
func TestSessionsOfAMachineThatIsGoneEnd(t *testing.T) {
	t.Parallel()
	const here = "127.21.7.42" // no other server has it
	dsn := pgtest.Start(t, pgtest.Options{Fast: true, Settings: []string{"listen_addresses=" + here}}).DSN()
	config := must(pgx.ParseConfig(dsn))(t)
	watch := pgtest.Connect(t, dsn)
	p := startLossy(t, fmt.Sprintf("host=%s user=%s dbname=%s sslmode=disable", here, config.User, config.Database))
	s := must(store.Open(t.Context(), store.Options{DSN: p.dsn, ApplicationName: "gone", MaxConns: 1}))(t)
	t.Cleanup(s.Close)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	sessions := func() (n int) {
		if err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gone'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := sessions(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	rested := time.Now().Add(time.Second) // before, it may wait for the confirmation of its answer
	testenv.Await(t, "that the session has rested", func() bool { return time.Now().After(rested) })
	p.vanish(t)
	testenv.Await(t, "the end of the session", func() bool { return sessions() == 0 })
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

// Nor is a lost answer anybody's business where the request names what it makes.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	p := startLossy(t, pgtest.DSN(t))
	s := must(store.Open(t.Context(), store.Options{DSN: p.dsn, MaxConns: 1}))(t)
	t.Cleanup(s.Close)
	task := store.Task{ID: uuid.New(), RDI: "r", Status: "SUCCESS"}
	for range 2 { // the second time with a statement that is prepared
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.lose.Store(true)
		if err := s.PutTask(t.Context(), task); err != nil {
			t.Errorf("task: %v", err)
		}
		if got, err := s.Task(t.Context(), task.ID); err != nil || got.Status != task.Status {
			t.Errorf("task: got %+v, %v", got, err)
		}
	}
	for i := range 8 { // one after the other, the answers that a beginning takes
		p.skip.Store(int64(i))
		p.lose.Store(true)
		key := fmt.Sprint("key", i)
		h, err := s.BeginHarvest(t.Context(), "r", nil, nil, key, store.Actor{})
		if err != nil {
			t.Errorf("beginning, answer %d is lost: %v", i, err)
			continue
		}
		p.lose.Store(false)
		if again := must(s.BeginHarvest(t.Context(), "r", nil, nil, key, store.Actor{}))(t); again.ID != h.ID {
			t.Errorf("answer %d was lost: two harvests", i)
		}
	}
	trail := must(s.AuditTrail(t.Context(), store.ID{}, 0, 100))(t)
	if len(trail) != 8 {
		t.Errorf("the audit trail tells of %d beginnings, want 8", len(trail))
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
