package torture

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// build is a build of the service that trials use.
type build struct{ version, tags string }

// The builds: as it is shipped, a later version of it, and one with failpoints.
var (
	shipped  = build{version: "1.0.0"}
	upgraded = build{version: "1.1.0"}
	brittle  = build{version: "1.0.0-failpoint", tags: "failpoint"}
)

// built holds the programs of this process.
var built struct {
	sync.Mutex
	dir   string
	paths map[build]string
}

// program builds the service, once for all tests of the process.
func (b build) program(tb testing.TB) string {
	tb.Helper()
	built.Lock()
	defer built.Unlock()
	if path := built.paths[b]; path != "" {
		return path
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "torture-bin-")
		if err != nil {
			tb.Fatal(err)
		}
		built.dir, built.paths = dir, map[build]string{}
	}
	path := filepath.Join(built.dir, "middleware-api-"+b.version)
	out, err := exec.Command("go", "build", "-tags", b.tags, "-ldflags", "-X main.version="+b.version, "-o", path,
		"github.com/fairagro/middleware-api/cmd/middleware-api").CombinedOutput()
	if err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	built.paths[b] = path
	return path
}

func TestMain(m *testing.M) {
	if root := os.Getenv(gitServerVariable); root != "" {
		serveGit(root)
		return
	}
	// Trials wait more than they compute.
	_ = flag.Set("test.parallel", "8")
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// fleet is a small service manager: it owns the listening socket and keeps
// workers and synchronisers running, as systemd does.
type fleet struct {
	tb      testing.TB
	config  string
	env     []string
	socket  *os.File
	address string
	workers []*unit
	syncs   []*unit
	once    sync.Once
}

// unit is one process that is started again whenever it ends.
type unit struct {
	args   []string
	inbox  bool // gets the listening socket
	closed chan struct{}

	mu      sync.Mutex
	program string // of the next start
	cmd     *exec.Cmd
	starts  int
	log     bytes.Buffer
	last    []byte // what the process before wrote
	stop    bool
}

// fleetOptions say what runs.
type fleetOptions struct {
	build          build
	config         string
	workers, syncs int
	env            []string
}

// startFleet runs workers and synchronisers until the test ends.
func startFleet(tb testing.TB, o fleetOptions) *fleet {
	tb.Helper()
	program := o.build.program(tb)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		tb.Fatal(err)
	}
	f := &fleet{tb: tb, config: o.config, env: o.env, socket: socket, address: l.Addr().String()}
	_ = l.Close()
	for range o.workers {
		f.workers = append(f.workers, &unit{program: program, args: []string{"serve", "--config", o.config}, inbox: true, closed: make(chan struct{})})
	}
	for range o.syncs {
		f.syncs = append(f.syncs, &unit{program: program, args: []string{"sync", "--config", o.config}, closed: make(chan struct{})})
	}
	for i, u := range f.units() {
		go f.keep(u, i)
	}
	tb.Cleanup(f.end)
	return f
}

func (f *fleet) units() []*unit { return append(append([]*unit{}, f.workers...), f.syncs...) }

// keep runs the unit until the fleet ends. The thread stays locked because the
// kernel ends the child with the thread that started it.
func (f *fleet) keep(u *unit, number int) {
	defer close(u.closed)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		began := time.Now()
		if !f.start(u, number) {
			return
		}
		_ = u.cmd.Wait()
		// What it started may outlive it, as git-http-backend does that spins at the
		// end of a cut request: the rest of its group ends with it, as of a service.
		_ = syscall.Kill(-u.cmd.Process.Pid, syscall.SIGKILL)
		if lived := time.Since(began); lived < 50*time.Millisecond {
			<-time.After(50*time.Millisecond - lived) // as RestartSec=, so that a program that cannot start does not spin
		}
	}
}

func (f *fleet) start(u *unit, number int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stop {
		return false
	}
	// LISTEN_PID has to be the number of the program's own process.
	script := `exec "$@"`
	if u.inbox {
		script = `export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http; exec "$@"`
	}
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", u.program}, u.args...)...)
	if u.inbox {
		cmd.ExtraFiles = []*os.File{f.socket}
	}
	cmd.Env = append(append(os.Environ(), fmt.Sprintf("MW_ID=%d", number+1)), f.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	u.last = bytes.Clone(tail(u.log.Bytes(), 4000))
	u.log.Reset()
	cmd.Stdout, cmd.Stderr = &u.log, &u.log
	cmd.WaitDelay = time.Second // children may keep the pipe open
	if err := cmd.Start(); err != nil {
		f.tb.Errorf("start %v: %v", u.args, err)
		return false
	}
	u.cmd = cmd
	u.starts++
	return true
}

// signal sends a signal to the unit's present process.
func (u *unit) signal(s syscall.Signal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cmd != nil {
		_ = u.cmd.Process.Signal(s) // a process that has ended is no matter
	}
}

// pid is the number of the unit's present process.
func (u *unit) pid() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cmd == nil {
		return 0
	}
	return u.cmd.Process.Pid
}

// install gives all units another program, for their next start.
func (f *fleet) install(program string) {
	for _, u := range f.units() {
		u.mu.Lock()
		u.program = program
		u.mu.Unlock()
	}
}

// end stops everything at once. It may be called more than once.
func (f *fleet) end() {
	f.once.Do(func() {
		for _, u := range f.units() {
			u.mu.Lock()
			u.stop = true
			u.mu.Unlock()
			u.signal(syscall.SIGKILL)
		}
		for _, u := range f.units() {
			<-u.closed
		}
		_ = f.socket.Close()
		if !f.tb.Failed() {
			return
		}
		for _, u := range f.units() {
			f.tb.Logf("last words of %v (start %d):\n%s\n--\n%s", u.args, u.starts, u.last, tail(u.log.Bytes(), 4000))
		}
	})
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// writeConfig writes a configuration for a fleet. The lines of more come on top.
func writeConfig(tb testing.TB, dsn, gitURL string, more ...string) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "config.yaml")
	text := fmt.Sprintf(`log_level: INFO
log_format: text
known_rdis: [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9]
require_client_cert: false
harvest: {missing_guard_percent: 100}
database:
  url: %q
git_repo:
  url: %q
  group: r
sync:
  lease: 1s
  poll_interval: 500ms
  backoff_min: 200ms
  backoff_max: 2s
%s
`, dsn, gitURL, strings.Join(more, "\n"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// await waits until the condition holds; what says what is missing.
func await(tb testing.TB, limit time.Duration, what string, holds func() bool) {
	tb.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not within %s", what, limit)
		}
		<-tick.C
	}
}
