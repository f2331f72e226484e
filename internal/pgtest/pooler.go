package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// Pooler puts PgBouncer before a database, with a pool_mode, and gives the
// connection string of the way through it; it ends with the test. Without
// PgBouncer the test is skipped.
func Pooler(tb testing.TB, dsn, mode string) string {
	tb.Helper()
	program := testenv.Program(tb, "pgbouncer", "pgbouncer")
	to, err := pgx.ParseConfig(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	cred, err := unprivileged()
	if err != nil {
		tb.Fatal(err)
	}
	dir, err := makeDir("", cred)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	settings := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n%[1]s = host=%[2]s dbname=%[1]s user=%[3]s\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = %[4]s\nauth_type = any\npool_mode = %[5]s\n",
		to.Database, to.Host, to.User, dir, mode)
	if err := os.WriteFile(settings, []byte(text), 0o644); err != nil { //nolint:gosec // for another user to read
		tb.Fatal(err)
	}
	log := &testenv.Log{}
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), program, settings) // ended in order below
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Pdeathsig: syscall.SIGKILL}
	ended, err := testenv.Start(cmd)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // at once
		<-ended
		if tb.Failed() {
			tb.Log(log.String())
		}
	})
	testenv.Await(tb, "the pooler", func() bool { return strings.Contains(log.String(), "process up") })
	return fmt.Sprintf("host=%s port=6432 user=%s dbname=%s", dir, to.User, to.Database)
}
