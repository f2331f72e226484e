package worker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/e2e/load"
	"github.com/fairagro/middleware-api/internal/testenv"
)

func answerTo(tb testing.TB, r *bufio.Reader) *http.Response {
	tb.Helper()
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

func drainBody(tb testing.TB, answer *http.Response) {
	tb.Helper()
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		tb.Fatal(err)
	}
}

// Rolling restarts, one after the other without a pause, fail no request of
// any kind of client.
func TestBackToBackDrainsFailNothing(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	options := childOptions{KeepAlive: 2 * time.Second}
	fleet := []*process{m.start(options).ready(), m.start(options).ready(), m.start(options).ready()}

	ctx, cancel := context.WithCancel(t.Context())
	loaded := make(chan []load.Report)
	group := func(count int, keep bool, think time.Duration, next func(int) load.Request) load.Clients {
		return load.Clients{Network: "tcp", Address: m.address, Count: count, KeepAlive: keep, Think: think, Next: next}
	}
	fast := func(int) load.Request { return load.Get("/fast") }
	go func() {
		loaded <- load.Run(ctx,
			group(4, true, 0, fast),
			group(2, false, time.Millisecond, fast),
			group(16, true, 20*time.Millisecond, fast),
			group(4, true, 500*time.Millisecond, fast),
			group(2, true, 0, func(int) load.Request { return load.Get("/slow?for=150ms") }),
			group(2, true, 0, func(int) load.Request { return load.Get("/stream") }),
			group(2, true, 0, func(int) load.Request { return load.Get("/empty") }),
			group(2, false, 0, func(int) load.Request {
				r := load.Post("/upload", make([]byte, 64<<10))
				r.Pieces, r.Pause = 8, 20*time.Millisecond
				return r
			}))
	}()
	for round := range 9 {
		i := round % len(fleet)
		fleet[i].signal(syscall.SIGTERM)
		if status := fleet[i].wait(); status != 0 {
			t.Errorf("worker ended with status %d", status)
		}
		fleet[i] = m.start(options).ready()
	}
	cancel()
	for i, report := range <-loaded {
		if report.Failed > 0 || report.Total == 0 {
			t.Errorf("group %d: %s", i, report)
		}
		t.Logf("group %d: %s", i, report)
	}
}

// A request that was begun before SIGTERM or SIGHUP is answered, tells the client
// to come back on another connection, and the worker ends with status 0 after it.
func TestRequestInFlightIsAnswered(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			answersInFlight(t, s)
		})
	}
}

func answersInFlight(t *testing.T, end syscall.Signal) {
	t.Helper()
	m := newManager(t)
	p := m.start(childOptions{}).ready()
	_, r := request(t, m.address, "GET /slow?for=500ms")
	p.until("request in flight", func() bool { return strings.Contains(p.logText(), "worker ready") })
	upload, err := net.Dial("tcp", m.address)
	if err != nil {
		t.Fatal(err)
	}
	defer upload.Close()
	fmt.Fprint(upload, "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n01234")
	answer, err := http.Get("http://" + m.address + "/fast") // both are being served by now
	if err != nil {
		t.Fatal(err)
	}
	drainBody(t, answer)
	http.DefaultClient.CloseIdleConnections()

	p.signal(end)
	p.until("STOPPING=1", func() bool { return p.count("STOPPING=1") > 0 })
	fmt.Fprint(upload, "56789")
	for _, reader := range []*bufio.Reader{r, bufio.NewReader(upload)} {
		answer := answerTo(t, reader)
		if answer.StatusCode != http.StatusOK || !answer.Close {
			t.Errorf("status %d, Connection: close is %t; want 200 and true", answer.StatusCode, answer.Close)
		}
		drainBody(t, answer)
	}
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// A worker that drains is no ready one: who has no database does not leave requests to
// it, which takes none any more, but refuses them; and nobody leaves connections to it.
func TestADrainingWorkerIsNotReady(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	old := m.start(childOptions{DrainLimit: time.Hour}).ready()
	other, err := openRoom(m.runtime, "2", func() int64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	defer other.leave()
	testenv.Await(t, "room in the first worker", other.better)
	request(t, m.address, "GET /slow?for=1h")
	_, fast := request(t, m.address, "GET /fast")
	drainBody(t, answerTo(t, fast))
	old.signal(syscall.SIGTERM)
	old.until("STOPPING=1", func() bool { return old.count("STOPPING=1") > 0 })
	testenv.Await(t, "no room in a worker that drains", func() bool { return !other.better() })
	other.leave() // or the next worker would wait for it
	m.start(childOptions{DatabaseFile: filepath.Join(t.TempDir(), "none")})
	_, r := request(t, m.address, "GET /fast")
	if answer := answerTo(t, r); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %s, want 503", answer.Status)
	}
}

// lateListener has accepted a connection when it is closed, and hands it over only then:
// a moment later, or when the worker ends without it.
type lateListener struct {
	conn          net.Conn
	closed, ended chan struct{}
	once          sync.Once
}

func (l *lateListener) Accept() (net.Conn, error) {
	<-l.closed
	conn := l.conn
	if conn == nil {
		return nil, net.ErrClosed
	}
	l.conn = nil
	select {
	case <-l.ended:
	case <-time.After(200 * time.Millisecond):
	}
	return conn, nil
}

func (l *lateListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *lateListener) Addr() net.Addr { return &net.TCPAddr{} }

// A connection that was accepted at the last moment, and that nobody has counted yet when
// the listener is closed, is served before the worker ends.
func TestAConnectionOfTheLastMomentIsServed(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	l := &lateListener{conn: server, closed: make(chan struct{}), ended: make(chan struct{})}
	var served atomic.Bool
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Store(true) })
	w := newWorker(t.Context(), Options{
		Logger: slog.New(slog.DiscardHandler), Endpoints: []Endpoint{{Name: "http", Handler: handler}},
	}.withDefaults())
	w.listeners = listeners{"http": {l}}
	w.serve()
	answered := make(chan error, 1)
	go func() {
		defer client.Close()
		if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			answered <- err
			return
		}
		_, err := http.ReadResponse(bufio.NewReader(client), nil)
		answered <- err
	}()
	w.drain(signalled{syscall.SIGTERM}, nil)
	before := served.Load()
	close(l.ended)
	if err := <-answered; err != nil || !before {
		t.Errorf("served before the end: %t; %v", before, err)
	}
}

// What is still in flight at the limit is cut: the worker ends nevertheless,
// and meanwhile it asks the service manager for more time.
func TestDrainEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	p := m.start(childOptions{DrainLimit: 1500 * time.Millisecond}).ready()
	_, r := request(t, m.address, "GET /slow?for=1h")
	_, fast := request(t, m.address, "GET /fast")
	drainBody(t, answerTo(t, fast))
	began := time.Now()
	p.signal(syscall.SIGTERM)
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	if took := time.Since(began); took < 1500*time.Millisecond || took > 10*time.Second {
		t.Errorf("drain took %s, want 1.5 s", took)
	}
	if _, err := http.ReadResponse(r, nil); err == nil {
		t.Error("the endless request was answered")
	}
	if p.count("EXTEND_TIMEOUT_USEC=") == 0 {
		t.Errorf("the service manager was not asked for time: %q", p.allNotes())
	}
	if !strings.Contains(p.logText(), "requests in flight") {
		t.Error("the log does not tell that a request was cut")
	}
}

// A second interrupt from the terminal ends the drain, and a task that does not end.
func TestSecondInterruptHurries(t *testing.T) {
	t.Parallel()
	task := (&manager{tb: t, runtime: t.TempDir()}).start(childOptions{Task: "hang", DrainLimit: time.Hour})
	task.until("work", func() bool { return strings.Contains(task.logText(), "task runs") && task.count("READY=1") > 0 })
	task.signal(syscall.SIGINT)
	task.until("STOPPING=1", func() bool { return task.count("STOPPING=1") > 0 })
	task.signal(syscall.SIGINT)
	if status := task.wait(); status != 1 || !strings.Contains(task.logText(), ErrUnfinished.Error()) {
		t.Errorf("task: exit status %d, want 1", status)
	}
	m := newManager(t)
	p := m.start(childOptions{}).ready()
	request(t, m.address, "GET /slow?for=1h")
	_, fast := request(t, m.address, "GET /fast")
	drainBody(t, answerTo(t, fast))
	p.signal(syscall.SIGINT)
	p.until("STOPPING=1", func() bool { return p.count("STOPPING=1") > 0 })
	p.signal(syscall.SIGINT)
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// One interrupt ends a process as any other signal does, in order.
func TestOneInterruptIsPatient(t *testing.T) {
	t.Parallel()
	signals, ended, hurry := make(chan os.Signal), make(chan struct{}), make(chan struct{})
	defer close(ended)
	ctx, cancel := context.WithCancelCause(t.Context())
	go watchSignals(signals, ended, cancel, hurry)
	hurried := func(all ...os.Signal) bool {
		for _, s := range append(all, syscall.SIGTERM) { // whose arrival shows that those before have been looked at
			signals <- s
		}
		select {
		case <-hurry:
			return true
		default:
			return false
		}
	}
	if hurried(syscall.SIGINT) || ctx.Err() == nil {
		t.Errorf("after one: in a hurry, or going on (%v)", ctx.Err())
	}
	if !hurried(syscall.SIGINT) {
		t.Error("after two: not in a hurry")
	}
}

// The worker takes exactly the sockets it knows, and says what to do about
// others.
func TestSocketsByName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		inherit []string
		want    string
	}{
		"missing": {inherit: nil, want: `no socket named "admin"`},
		"unknown": {inherit: []string{"admin", "metrics"}, want: `the inherited socket "metrics"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newManager(t)
			for _, n := range c.inherit {
				m.listen(n)
			}
			p := m.start(childOptions{Names: []string{"http", "admin"}})
			if status := p.wait(); status != 1 {
				t.Errorf("exit status %d, want 1", status)
			}
			if !strings.Contains(p.logText(), c.want) {
				t.Errorf("log %q, want %q", p.logText(), c.want)
			}
		})
	}
	t.Run("several of one name", func(t *testing.T) {
		t.Parallel()
		m := newManager(t)
		second := m.listen("http")
		m.start(childOptions{}).ready()
		for _, address := range []string{m.address, second} {
			_, r := request(t, address, "GET /fast")
			if answer := answerTo(t, r); answer.StatusCode != http.StatusOK {
				t.Errorf("%s answered %s", address, answer.Status)
			}
		}
	})
}

// Without inherited sockets the worker opens its own, of all kinds, takes the
// place of a unix socket that a killed process left, and refuses an address
// in use.
func TestOwnSockets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "api.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()

	m := &manager{tb: t, runtime: t.TempDir()}
	p := m.start(childOptions{Addresses: []string{path, "[::1]:0"}}).ready()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /fast HTTP/1.0\r\n\r\n")
	if answer := answerTo(t, bufio.NewReader(conn)); answer.StatusCode != http.StatusOK {
		t.Errorf("answered %s", answer.Status)
	}
	conn.Close()

	if _, err := os.Stat(filepath.Join(m.runtime, "room")); err == nil {
		t.Error("connections to a socket of its own are left to other workers, who cannot take them")
	}
	second := m.start(childOptions{Addresses: []string{path}})
	if status := second.wait(); status != 1 || !strings.Contains(second.logText(), "is in use by another program") {
		t.Errorf("second worker on the same address: status %d, log %q", status, second.logText())
	}
	p.signal(syscall.SIGTERM)
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// A worker whose database is away is not ready, says so once, refuses
// requests with 503, and becomes ready when the database returns.
func TestReadyWaitsForDatabase(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	database := filepath.Join(t.TempDir(), "database")
	p := m.start(childOptions{DatabaseFile: database})
	_, r := request(t, m.address, "GET /fast")
	answer := answerTo(t, r)
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
	}
	p.until("second question", func() bool { return p.count("EXTEND_TIMEOUT_USEC=") >= 3 })
	if p.count("READY=1") > 0 {
		t.Error("READY=1 without a database")
	}
	if n := strings.Count(p.logText(), "database does not answer"); n != 1 {
		t.Errorf("said %d times that the database is away, want once", n)
	}
	if err := os.WriteFile(database, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.ready()
	_, r = request(t, m.address, "GET /fast")
	if answer := answerTo(t, r); answer.StatusCode != http.StatusOK {
		t.Errorf("answered %s after the return of the database", answer.Status)
	}
}

// A worker that cannot reach the database leaves the requests to one that is
// ready.
func TestUnreadyWorkerLeavesRequestsToOthers(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.start(childOptions{}).ready()
	lame := m.start(childOptions{DatabaseFile: filepath.Join(t.TempDir(), "never")})
	lame.until("third question", func() bool { return lame.count("EXTEND_TIMEOUT_USEC=") >= 3 })
	reports := load.Run(t.Context(), load.Clients{
		Network: "tcp", Address: m.address, Count: 8, Limit: 2000,
		Next: func(int) load.Request { return load.Get("/fast") },
	})
	if reports[0].Failed > 0 || reports[0].Total != 2000 {
		t.Error(reports[0])
	}
}

// SIGTERM while the database is away ends the worker at once and cleanly.
func TestStopBeforeReady(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	p := m.start(childOptions{DatabaseFile: filepath.Join(t.TempDir(), "never")})
	p.until("question", func() bool { return p.count("waiting for the database") > 0 })
	p.signal(syscall.SIGTERM)
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// A client that stops in the middle of an upload is given up long before the
// request counts as stuck; one that is merely slow is served.
func TestPatienceWithClients(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.start(childOptions{ClientLimit: 400 * time.Millisecond}).ready()
	conn, r := request(t, m.address, "GET /fast")
	drainBody(t, answerTo(t, r))
	fmt.Fprint(conn, "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n01234")
	if answer := answerTo(t, r); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("answered %s to a client that stopped sending", answer.Status)
	}
	slow := load.Post("/upload", make([]byte, 1000))
	slow.Pieces, slow.Pause = 10, 100*time.Millisecond
	reports := load.Run(t.Context(), load.Clients{
		Network: "tcp", Address: m.address, Count: 2, KeepAlive: true, Limit: 4,
		Next: func(int) load.Request { return slow },
	}, load.Clients{ // a handler may take longer than that, once the upload is complete
		Network: "tcp", Address: m.address, Count: 2, KeepAlive: true, Limit: 4,
		Next: func(n int) load.Request {
			if n%2 == 0 {
				return load.Post("/upload", make([]byte, 10))
			}
			return load.Get("/slow?for=700ms")
		},
	})
	for _, report := range reports {
		if report.Failed > 0 || report.Total != 4 {
			t.Error(report)
		}
	}
}
