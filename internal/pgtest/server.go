package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// startTimeout is generous because a kill -9 is followed by crash recovery,
// and because the machines of a CI are slow.
const startTimeout = 60 * time.Second

// settings keep a cluster small and inside its folder: no port, shared memory
// in files of the folder, so that removing the folder removes everything.
var settings = []string{
	"listen_addresses=",
	"max_connections=400",
	"shared_buffers=64MB",
	"dynamic_shared_memory_type=mmap",
	"log_min_messages=warning",
	"autovacuum_naptime=30s",
	"timezone=UTC",
}

// fast switches off what only matters when the machine or the server dies.
var fast = []string{"fsync=off", "synchronous_commit=off", "full_page_writes=off"}

// A server is one cluster: its folder, its postmaster while it runs, and the
// janitor that removes both when this process is gone.
type server struct {
	dir     string // holds data/, log and the socket
	bin     string // folder of PostgreSQL's programs
	options []string
	cred    *syscall.Credential
	janitor *os.File // closing it lets the janitor clean up
	swept   chan struct{}

	process *os.Process
	exited  <-chan struct{}
}

// newServer makes and starts a cluster below Dir, or below the temporary folder.
func newServer(o Options) (_ *server, err error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, options: slices.Clone(settings)}
	if o.Fast {
		s.options = append(s.options, fast...)
	}
	s.options = append(s.options, o.Settings...)
	if s.cred, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = makeDir(o.Dir, s.cred); err != nil {
		return nil, err
	}
	if err := s.hireJanitor(); err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, err
	}
	defer func() {
		if err != nil {
			s.remove()
		}
	}()
	if err := s.initdb(); err != nil {
		return nil, err
	}
	return s, s.start()
}

// programs finds the newest installed PostgreSQL of at least version 15.
func programs() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	best, dir := 14, ""
	for _, d := range dirs {
		v, err := strconv.Atoi(filepath.Base(filepath.Dir(d)))
		if err == nil && v > best {
			best, dir = v, d
		}
	}
	if dir != "" {
		return dir, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("PostgreSQL 15 or later is missing: apt-get install postgresql")
}

// unprivileged gives the user that runs the server: nil for ourselves, and
// postgres or nobody for root, as which the server refuses to run.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("root cannot run PostgreSQL, and there is neither a user postgres nor nobody")
}

// makeDir makes the cluster's folder. The path of a unix socket may have 107
// bytes, so a deep temporary folder is passed over for /tmp.
func makeDir(base string, cred *syscall.Credential) (string, error) {
	if base == "" {
		base = os.TempDir()
	}
	if len(base) > 60 {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "pgtest-")
	if err != nil {
		return "", fmt.Errorf("folder of the cluster: %w", err)
	}
	if cred == nil {
		return dir, nil
	}
	if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("folder of the cluster: %w", err)
	}
	return dir, nil
}

// hireJanitor starts a shell that waits for the end of our end of a pipe,
// which comes when this process ends, even by SIGKILL; then it makes sure that
// the postmaster is gone and removes the folder. It sits in a session of its
// own, so that a Ctrl-C or a kill of our process group does not take it too.
func (s *server) hireJanitor() error {
	const script = `cat >/dev/null
if pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null); then
	kill -QUIT "$pid" 2>/dev/null
	n=0
	while kill -0 "$pid" 2>/dev/null && [ "$n" -lt 50 ]; do n=$((n+1)); sleep 0.1; done
	kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$0"`
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe to the janitor: %w", err)
	}
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", script, s.dir)
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = r.Close()
	if err != nil {
		_ = w.Close()
		return fmt.Errorf("start the janitor: %w", err)
	}
	s.janitor, s.swept = w, make(chan struct{})
	go func() {
		defer close(s.swept)
		_ = cmd.Wait()
	}()
	return nil
}

func (s *server) initdb() error {
	var out bytes.Buffer
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, "initdb"), "-D", s.dataDir(), "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out.Bytes())
	}
	return nil
}

func (s *server) dataDir() string { return filepath.Join(s.dir, "data") }

func (s *server) dsn() string { return "host=" + s.dir + " user=postgres dbname=postgres" }

// start runs the postmaster and waits until it answers. It dies with us, by SIGQUIT
// (immediate shutdown).
func (s *server) start() error {
	args := []string{"-D", s.dataDir(), "-k", s.dir}
	for _, o := range s.options {
		args = append(args, "-c", o)
	}
	logFile, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log of the cluster: %w", err)
	}
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setsid: true, Pdeathsig: syscall.SIGQUIT}
	s.exited, err = testenv.Start(cmd)
	_ = logFile.Close() // the postmaster has it
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	s.process = cmd.Process
	return s.awaitAnswer()
}

// awaitAnswer waits until the server has answered a query.
func (s *server) awaitAnswer() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ping(ctx, s.dsn())
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("postgres ended at start:\n%s", s.log())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w\n%s", err, s.log())
		case <-tick.C:
		}
	}
}

func ping(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	return conn.Ping(ctx)
}

func (s *server) log() []byte {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return b
}

// signal sends the postmaster a signal and waits for its end and that of its
// server processes, which outlive a killed postmaster for a moment.
func (s *server) signal(sig os.Signal) {
	pid := s.process.Pid
	left, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	_ = s.process.Signal(sig)
	<-s.exited
	deadline := time.Now().Add(startTimeout)
	for _, child := range strings.Fields(string(left)) {
		for time.Now().Before(deadline) {
			if name, err := os.ReadFile("/proc/" + child + "/comm"); err != nil || strings.TrimSpace(string(name)) != "postgres" {
				break
			}
			<-time.After(time.Millisecond)
		}
	}
}

// remove ends the postmaster at once and removes everything.
func (s *server) remove() {
	if s.process != nil {
		s.signal(syscall.SIGQUIT)
	}
	_ = s.janitor.Close()
	<-s.swept
}

// startAgain starts the postmaster after it ended. One that was killed leaves
// server processes behind for a moment, and as long as they hold the shared
// memory a new postmaster refuses to start: that is tried again.
func (s *server) startAgain() error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.start()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
