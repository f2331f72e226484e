package pgtest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/testenv"
)

func ask[T any](tb testing.TB, conn *pgx.Conn, sql string) (answer T) {
	tb.Helper()
	if err := conn.QueryRow(tb.Context(), sql).Scan(&answer); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func do(tb testing.TB, conn *pgx.Conn, sql string) {
	tb.Helper()
	if _, err := conn.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// Every test has a migrated database of its own.
func TestDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	a, b := pgtest.Connect(t, pgtest.DSN(t)), pgtest.Connect(t, pgtest.DSN(t))
	do(t, a, "INSERT INTO remote (name) VALUES ('x')")
	if n := ask[int](t, b, "SELECT count(*) FROM remote"); n != 0 {
		t.Errorf("the other database has %d rows", n)
	}
	empty := pgtest.Connect(t, pgtest.Empty(t))
	if there := ask[bool](t, empty, "SELECT to_regclass('arc') IS NOT NULL"); there {
		t.Error("the empty database has tables")
	}
}

// A committed row survives the postmaster's SIGKILL in a durable cluster.
func TestCommitsSurviveAKill(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{})
	dsn := c.DSN()
	conn := pgtest.Connect(t, dsn)
	if on := ask[string](t, conn, "SHOW fsync"); on != "on" {
		t.Fatalf("fsync is %s", on)
	}
	do(t, conn, "CREATE TABLE x AS SELECT 42 AS n")
	c.Kill()
	// What the postmaster leaves behind notices its end when it becomes idle.
	testenv.Await(t, "the connection ends", func() bool {
		_, err := conn.Exec(t.Context(), "SELECT 1")
		return err != nil
	})
	c.Restart()
	if n := ask[int](t, pgtest.Connect(t, dsn), "SELECT n FROM x"); n != 42 {
		t.Errorf("got %d", n)
	}
	c.Stop()
	if _, err := pgx.Connect(t.Context(), dsn); err == nil {
		t.Error("a stopped server answers")
	}
	c.Restart()
	pgtest.Connect(t, dsn)
}

// victim is set in the environment of the process that
// TestAKilledProcessLeavesNothing starts and kills.
const victim = "PGTEST_VICTIM"

// Nothing is left of a test process that is killed: no server, no folder.
func TestAKilledProcessLeavesNothing(t *testing.T) {
	t.Parallel()
	if os.Getenv(victim) != "" {
		dsn := pgtest.DSN(t)
		conn := pgtest.Connect(t, dsn)
		fmt.Printf("\n%s %s\n", victim, ask[string](t, conn, "SHOW data_directory"))
		select {} // until killed
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAKilledProcessLeavesNothing$", "-test.timeout=2m")
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, pgtest.Variable+"=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, victim+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir := ""
	for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
		dir, _ = strings.CutPrefix(lines.Text(), victim+" ")
		if dir == lines.Text() {
			dir = ""
		}
	}
	pidFile, err := os.ReadFile(dir + "/postmaster.pid")
	if err != nil {
		t.Fatalf("no server in %q: %v", dir, err)
	}
	var pid int
	if _, err := fmt.Sscan(string(pidFile), &pid); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	testenv.Await(t, "server and folder are gone", func() bool {
		_, err := os.Stat(strings.TrimSuffix(dir, "/data"))
		return os.IsNotExist(err) && syscall.Kill(pid, 0) != nil
	})
}
