package worker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is the deadline of everything a test waits for.
const patience = 30 * time.Second

// manager is a small service manager: one listening socket that outlives the
// workers, and a notify socket per worker.
type manager struct {
	tb      testing.TB
	files   []*os.File
	names   []string
	address string
	runtime string
	nWorker int
}

func newManager(tb testing.TB) *manager {
	tb.Helper()
	m := &manager{tb: tb, runtime: tb.TempDir()}
	m.address = m.listen("http")
	return m
}

// listen opens one more socket for the workers to inherit.
func (m *manager) listen(name string) string {
	m.tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.tb.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		m.tb.Fatal(err)
	}
	// Not File(): whoever calls Fd() on that clears O_NONBLOCK for everybody.
	fd := -1
	if err := raw.Control(func(own uintptr) { fd, err = syscall.Dup(int(own)) }); err != nil || fd < 0 {
		m.tb.Fatal("duplicate the listener:", err)
	}
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	m.tb.Cleanup(func() { f.Close() })
	m.files, m.names = append(m.files, f), append(m.names, name)
	return l.Addr().String()
}

// process is one worker process.
type process struct {
	tb      testing.TB
	cmd     *exec.Cmd
	exited  chan struct{}
	mu      sync.Mutex
	log     bytes.Buffer
	notes   []string
	changed chan struct{}
}

type startOption func(*exec.Cmd)

func withWatchdog(d time.Duration) startOption {
	return func(c *exec.Cmd) {
		c.Env = append(c.Env, "WATCHDOG_USEC="+strconv.FormatInt(d.Microseconds(), 10))
	}
}

// start runs a worker with the sockets of the manager.
func (m *manager) start(c childOptions, options ...startOption) *process {
	m.tb.Helper()
	m.nWorker++
	return m.startAs(strconv.Itoa(m.nWorker), c, options...)
}

func (m *manager) startAs(instance string, c childOptions, options ...startOption) *process {
	m.tb.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		m.tb.Fatal(err)
	}
	p := &process{tb: m.tb, exited: make(chan struct{}), changed: make(chan struct{}, 1)}
	self, err := os.Executable()
	if err != nil {
		m.tb.Fatal(err)
	}
	p.cmd = exec.Command(self)
	p.cmd.Env = []string{
		childEnv + "=" + string(text), "MW_ID=" + instance, "RUNTIME_DIRECTORY=" + m.runtime,
		"NOTIFY_SOCKET=" + p.notifySocket(),
	}
	if len(m.files) > 0 {
		// LISTEN_PID has to be the number of the worker itself.
		p.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, self)
		p.cmd.Env = append(p.cmd.Env,
			childEnv+"="+string(text), "MW_ID="+instance, "RUNTIME_DIRECTORY="+m.runtime, "NOTIFY_SOCKET="+p.notifySocket(),
			"LISTEN_FDS="+strconv.Itoa(len(m.files)), "LISTEN_FDNAMES="+strings.Join(m.names, ":"))
		p.cmd.ExtraFiles = m.files
	}
	for _, o := range options {
		o(p.cmd)
	}
	p.cmd.Stderr = (*logWriter)(p)
	if err := p.cmd.Start(); err != nil {
		m.tb.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	m.tb.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if m.tb.Failed() {
			m.tb.Logf("worker %s\nnotes: %q\nlog:\n%s", instance, p.allNotes(), p.logText())
		}
	})
	return p
}

// notifySocket receives what the worker tells its service manager.
func (p *process) notifySocket() string {
	path := filepath.Join(p.tb.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.notes = append(p.notes, string(buf[:n]))
			p.mu.Unlock()
			p.wake()
		}
	}()
	return path
}

func (p *process) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

type logWriter process

func (w *logWriter) Write(b []byte) (int, error) {
	p := (*process)(w)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.wake()
	return p.log.Write(b)
}

func (p *process) logText() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) allNotes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.notes...)
}

// count is the number of notes that contain text.
func (p *process) count(text string) int {
	n := 0
	for _, note := range p.allNotes() {
		if strings.Contains(note, text) {
			n++
		}
	}
	return n
}

// until waits for a condition on notes and log.
func (p *process) until(what string, ok func() bool) {
	p.tb.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-p.changed:
		case <-p.exited:
			if !ok() {
				p.tb.Fatalf("worker exited (%s) before %s", p.cmd.ProcessState, what)
			}
		case <-deadline:
			p.tb.Fatalf("no %s within %s", what, patience)
		}
	}
}

func (p *process) ready() *process {
	p.tb.Helper()
	p.until("READY=1", func() bool { return p.count("READY=1") > 0 })
	return p
}

func (p *process) signal(s os.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.tb.Fatal(err)
	}
}

// wait gives the exit status, -1 for death by a signal.
func (p *process) wait() int {
	p.tb.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.tb.Fatalf("worker still runs after %s", patience)
		return 0
	}
}

// request writes one request on a new connection and gives the connection, on
// which the answer is still to be read.
func request(tb testing.TB, address, text string) (net.Conn, *bufio.Reader) {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: test\r\n\r\n", text)
	return conn, bufio.NewReader(conn)
}
