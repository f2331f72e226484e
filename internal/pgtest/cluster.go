package pgtest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// Options of a cluster of a test's own.
type Options struct {
	// Fast switches durability off. Without it a commit survives Kill.
	Fast bool
	// Settings are server settings, each as name=value.
	Settings []string
	// Dir is where the cluster's folder is made, for a test that wants it on a
	// file system of its own; default the temporary folder.
	Dir string
}

// A Cluster is a PostgreSQL of one test's own, for tests that break it. It is
// removed at the end of the test. Its methods fail the test when the server
// does not do as told; they are not for concurrent use.
type Cluster struct {
	tb testing.TB
	s  *server
}

// Start makes and starts a cluster.
func Start(tb testing.TB, o Options) *Cluster {
	tb.Helper()
	if _, err := programs(); err != nil {
		testenv.Skip(tb, err.Error())
	}
	s, err := newServer(o)
	if err != nil {
		tb.Fatalf("private PostgreSQL: %v", err)
	}
	tb.Cleanup(s.remove)
	return &Cluster{tb: tb, s: s}
}

// DSN gives the connection string of a new, migrated database in the cluster.
func (c *Cluster) DSN() string {
	c.tb.Helper()
	admin := c.s.dsn()
	name, err := makeTemplate(c.tb.Context(), admin)
	if err != nil {
		c.tb.Fatalf("template database: %v", err)
	}
	return create(c.tb, admin, name)
}

// Socket gives the path of the unix socket on which the server listens.
func (c *Cluster) Socket() string { return filepath.Join(c.s.dir, ".s.PGSQL.5432") }

// Running says whether the postmaster runs; it ends itself when it cannot recover,
// e.g. on a full disk.
func (c *Cluster) Running() bool {
	select {
	case <-c.s.exited:
		return false
	default:
		return true
	}
}

// Stop shuts the server down in an orderly way, cutting its connections.
func (c *Cluster) Stop() { c.s.signal(syscall.SIGINT) }

// Kill ends the postmaster with SIGKILL and waits until the server processes
// that it leaves behind have noticed and ended themselves.
func (c *Cluster) Kill() { c.s.signal(syscall.SIGKILL) }

// Demote restarts the server as a standby, which can be read only; it follows
// nobody. [Cluster.Promote] ends that.
func (c *Cluster) Demote() {
	c.tb.Helper()
	c.Stop()
	file := filepath.Join(c.s.dataDir(), "standby.signal")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		c.tb.Fatal(err)
	}
	if c.s.cred != nil { // who promotes removes it
		if err := os.Chown(file, int(c.s.cred.Uid), int(c.s.cred.Gid)); err != nil {
			c.tb.Fatal(err)
		}
	}
	c.Restart()
}

// Promote lets a standby be written to.
func (c *Cluster) Promote() {
	c.tb.Helper()
	if err := exec1(c.tb.Context(), c.s.dsn(), "SELECT pg_promote()"); err != nil {
		c.tb.Fatalf("promote PostgreSQL: %v", err)
	}
}

// Restart starts the server again after Stop or Kill.
func (c *Cluster) Restart() {
	c.tb.Helper()
	// After a kill the processes left behind need a moment to be gone; until
	// then a new postmaster refuses to start.
	if err := c.s.startAgain(); err != nil {
		c.tb.Fatalf("restart PostgreSQL: %v", err)
	}
}

// Serve starts a cluster outside of a test, for a command that shares one
// among test processes, or that measures. It gives the connection string for
// [Variable], and the function that removes the cluster.
func Serve(o Options) (dsn string, remove func(), err error) {
	s, err := newServer(o)
	if err != nil {
		return "", nil, err
	}
	return s.dsn(), s.remove, nil
}
