package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxSocketPath is what fits into sockaddr_un (108 bytes) with the
	// name of PostgreSQL's socket file behind it.
	maxSocketPath = 107 - len("/.s.PGSQL.5432")
	startLimit    = 60 * time.Second
)

// postgres is the private cluster. It listens on a unix socket only.
type postgres struct {
	process *process
	sockets string
	remove  bool // the socket folder is outside of .run
}

// startPostgres makes the cluster on the first start and starts its server.
// PostgreSQL refuses to run as root: then it runs as the user that Debian's
// package made for it.
func startPostgres(ctx context.Context, bin programs, at layout) (*postgres, error) {
	owner, err := clusterOwner()
	if err != nil {
		return nil, err
	}
	pg := &postgres{sockets: filepath.Join(at.run, "sockets")}
	if len(pg.sockets) > maxSocketPath {
		if pg.sockets, err = os.MkdirTemp("", "middleware-api-"); err != nil {
			return nil, err
		}
		pg.remove = true
	}
	for _, dir := range []string{at.cluster, pg.sockets} {
		if err := ownFolder(dir, owner); err != nil {
			return nil, err
		}
	}
	attr := owner.attributes(at.cluster)
	if _, err := os.Stat(filepath.Join(at.cluster, "PG_VERSION")); errors.Is(err, fs.ErrNotExist) {
		if err := initialise(ctx, bin, at, attr); err != nil {
			return nil, err
		}
	}
	// It ends by stop, after the service, and not with the context.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), bin.postgres, "-D", at.cluster, "-k", pg.sockets, "-c", "listen_addresses=")
	cmd.SysProcAttr = attr
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	cmd.Dir = "/"
	log, err := os.OpenFile(filepath.Join(at.run, "postgresql.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	if pg.process, err = start(cmd); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := pg.wait(ctx, bin); err != nil {
		pg.stop()
		return nil, fmt.Errorf("%w; see %s", err, rel(at, log.Name()))
	}
	return pg, nil
}

// initialise makes the cluster. Nobody but its owner and root reaches the
// socket, so its door needs no password.
func initialise(ctx context.Context, bin programs, at layout, attr *syscall.SysProcAttr) error {
	cmd := exec.CommandContext(ctx, bin.initdb, "-D", at.cluster, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions")
	cmd.SysProcAttr = attr
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the PostgreSQL cluster: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

// url is how the service reaches the cluster.
func (pg *postgres) url() string {
	return "postgres:///postgres?user=postgres&host=" + url.QueryEscape(pg.sockets)
}

// wait returns when the server takes connections: it listens a moment earlier.
func (pg *postgres) wait(ctx context.Context, bin programs) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if exec.CommandContext(ctx, bin.isReady, "-q", "-h", pg.sockets).Run() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL takes no connections: %w", ctx.Err())
		case <-pg.process.done:
			return fmt.Errorf("PostgreSQL ended at start: %w", pg.process.err)
		case <-tick.C:
		}
	}
}

// stop is PostgreSQL's fast shutdown: sessions are cut, everything is flushed.
func (pg *postgres) stop() {
	pg.process.end(syscall.SIGINT, stopGrace)
	if pg.remove {
		_ = os.RemoveAll(pg.sockets)
	}
}

// account is the user that runs the cluster; nil stands for ourselves.
type account struct{ uid, gid uint32 }

// clusterOwner picks the user: ourselves, or, when we are root, `postgres`.
func clusterOwner() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and its own user is missing: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &account{uid: uint32(uid), gid: uint32(gid)}, nil
}

// attributes start a child in a session of its own, so that Ctrl-C reaches
// only us, and let it end when we die. Below a home folder that is closed to
// others (a clone in /root) the cluster's user could not reach its own data;
// there it gets the right to pass through folders, and no other.
func (a *account) attributes(dir string) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGINT}
	if a == nil {
		return attr
	}
	attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	for p := dir; p != "/"; p = filepath.Dir(p) {
		if info, err := os.Stat(filepath.Dir(p)); err == nil && info.Mode().Perm()&0o001 == 0 {
			attr.AmbientCaps = []uintptr{unix.CAP_DAC_READ_SEARCH}
			break
		}
	}
	return attr
}

// ownFolder makes a folder that only the owner enters.
func ownFolder(dir string, owner *account) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if owner == nil {
		return nil
	}
	return os.Chown(dir, int(owner.uid), int(owner.gid))
}
