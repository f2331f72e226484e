// Package mariadbtest gives tests a real MariaDB: Debian's own server, started
// privately by the test process on a unix socket and gone with it, however the
// process ends. All tests of the process share it, each with databases of its
// own.
//
// It must never listen on a network port, run the server as root, or leave a
// process or a file behind. It is safe for parallel tests.
package mariadbtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// startTimeout is for slow machines of a CI.
const startTimeout = 60 * time.Second

// options keep the server small, private and without durability.
var options = []string{
	"--no-defaults", "--skip-networking", "--skip-name-resolve", "--skip-grant-tables", "--skip-log-bin",
	"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=128M", "--innodb-log-file-size=48M",
	"--innodb-doublewrite=0", "--max-connections=200", "--max-allowed-packet=64M", "--character-set-server=utf8mb4",
}

var shared = sync.OnceValues(start)

// URL gives the connection string of an empty database of the test's own, which
// is dropped at the end of the test.
func URL(tb testing.TB) string {
	tb.Helper()
	testenv.Program(tb, "mariadb-install-db", "mariadb-server")
	s, err := shared()
	if err != nil {
		tb.Fatalf("private MariaDB: %v", err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	admin := s.open()
	defer func() { _ = admin.Close() }()
	if _, err := admin.ExecContext(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("create database: %v", err)
	}
	tb.Cleanup(func() {
		admin := s.open()
		defer func() { _ = admin.Close() }()
		_, _ = admin.ExecContext(context.Background(), "DROP DATABASE IF EXISTS "+name)
	})
	return "mariadb://root@localhost/" + name + "?unix_socket=" + url.QueryEscape(s.socket())
}

// server is the private MariaDB: its folder, and the janitor that removes it
// and the server when this process is gone.
type server struct {
	dir     string
	cred    *syscall.Credential
	janitor *os.File
	exited  <-chan struct{}
}

func (s *server) socket() string { return filepath.Join(s.dir, "socket") }

func (s *server) open() *sql.DB {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = "root", "unix", s.socket(), "mysql"
	connector, err := mysql.NewConnector(config)
	if err != nil {
		panic(err) // the configuration is constant
	}
	return sql.OpenDB(connector)
}

func start() (*server, error) {
	s := &server{}
	var err error
	if s.cred, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("/tmp", "mariadbtest-"); err != nil {
		return nil, err
	}
	if s.cred != nil {
		if err := os.Chown(s.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, err
		}
	}
	if err := s.hireJanitor(); err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, err
	}
	if err := s.install(); err != nil {
		return nil, err
	}
	return s, s.run()
}

// unprivileged gives the user that runs the server: nil for ourselves, another
// one for root, as which the server refuses to run.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"mysql", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uidErr, gidErr)
	}
	return nil, errors.New("root cannot run MariaDB, and there is neither a user mysql nor nobody")
}

// hireJanitor starts a shell that waits for the end of our end of a pipe, which
// comes when this process ends, even by SIGKILL; then it ends the server and
// removes the folder. It has a session of its own so that a Ctrl-C spares it.
func (s *server) hireJanitor() error {
	const script = `cat >/dev/null
if pid=$(head -n 1 "$0/pid" 2>/dev/null) && [ -n "$pid" ]; then
	kill -KILL "$pid" 2>/dev/null
	n=0
	while kill -0 "$pid" 2>/dev/null && [ "$n" -lt 50 ]; do n=$((n+1)); sleep 0.1; done
fi
rm -rf "$0"`
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", script, s.dir)
	cmd.Dir, cmd.Stdin = "/", r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = r.Close()
	if err != nil {
		_ = w.Close()
		return err
	}
	s.janitor = w
	go func() { _ = cmd.Wait() }()
	return nil
}

func (s *server) install() error {
	var out bytes.Buffer
	cmd := exec.CommandContext(context.Background(), "mariadb-install-db", "--no-defaults", "--datadir="+filepath.Join(s.dir, "data"),
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &out
	// Where our temporary files are, the server's user may not be let in.
	cmd.Env = append(os.Environ(), "TMPDIR="+s.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out.Bytes())
	}
	return nil
}

// run starts the server and waits until it answers.
func (s *server) run() error {
	program, err := exec.LookPath("mariadbd")
	if err != nil {
		program = "/usr/sbin/mariadbd"
	}
	args := append([]string(nil), options...)
	args = append(args, "--datadir="+filepath.Join(s.dir, "data"), "--socket="+s.socket(),
		"--pid-file="+filepath.Join(s.dir, "pid"), "--log-error="+filepath.Join(s.dir, "log"), "--tmpdir="+s.dir)
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setsid: true, Pdeathsig: syscall.SIGKILL}
	if s.exited, err = testenv.Start(cmd); err != nil {
		return err
	}
	if err := s.awaitAnswer(); err != nil {
		return err
	}
	return s.restrict()
}

// restrict sets what an administrator may have set to protect people at a prompt. No
// dataset may be lost to it.
func (s *server) restrict() error {
	db := s.open()
	defer func() { _ = db.Close() }()
	_, err := db.ExecContext(context.Background(), "SET GLOBAL sql_select_limit = 3")
	return err
}

func (s *server) awaitAnswer() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	db := s.open()
	defer func() { _ = db.Close() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("MariaDB ended at start:\n%s", log)
		case <-ctx.Done():
			return fmt.Errorf("MariaDB does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// Exec runs statements, separated by semicolons, in a database of [URL].
func Exec(tb testing.TB, connectionString, statements string) {
	tb.Helper()
	u, err := url.Parse(connectionString)
	if err != nil {
		tb.Fatal(err)
	}
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = "root", "unix", u.Query().Get("unix_socket")
	config.DBName, config.MultiStatements = strings.TrimPrefix(u.Path, "/"), true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(tb.Context(), statements); err != nil {
		tb.Fatalf("%s: %v", statements, err)
	}
}
