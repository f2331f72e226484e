package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed peer/app.py peer/schema.sql peer/duties.sql
var peerFiles embed.FS

// python is Debian's own, for which Debian's packages are.
const python = "/usr/bin/python3"

// peerPackages are needed for the peer.
const peerPackages = "gunicorn python3-uvicorn python3-fastapi python3-asyncpg python3-uvloop python3-httptools"

// peer is the FastAPI program, its folder and its databases, one for the lean
// form.
type peer struct{ dir, run, dsn, leanDSN, versions string }

// peerMissing says what the peer lacks on this machine, "" if nothing.
func peerMissing(ctx context.Context) string {
	const imports = "import gunicorn, uvicorn, fastapi, asyncpg, uvloop, httptools"
	if out, err := exec.CommandContext(ctx, python, "-c", imports).CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return lines[len(lines)-1] + "; apt-get install " + peerPackages
	}
	return ""
}

func preparePeer(ctx context.Context, c *cluster, dir, run string) (*peer, error) {
	schema, err := peerFiles.ReadFile("peer/schema.sql")
	if err != nil {
		return nil, err
	}
	duties, err := peerFiles.ReadFile("peer/duties.sql")
	if err != nil {
		return nil, err
	}
	program, err := peerFiles.ReadFile("peer/app.py")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "app.py"), program, 0o600); err != nil {
		return nil, err
	}
	p := &peer{dir: dir, run: run}
	if p.dsn, err = c.database(ctx, "peer", string(schema), string(duties)); err != nil {
		return nil, err
	}
	if p.leanDSN, err = c.database(ctx, "lean", string(schema)); err != nil {
		return nil, err
	}
	const versions = `import sys, gunicorn, uvicorn, fastapi, starlette, asyncpg, uvloop
print("Python", sys.version.split()[0], *[f", {m.__name__} {m.__version__}" for m in (gunicorn, uvicorn, fastapi, starlette, asyncpg, uvloop)], sep="")`
	out, err := exec.CommandContext(ctx, python, "-c", versions).Output()
	p.versions = strings.TrimSpace(strings.Replace(string(out), "Python", "Python ", 1))
	return p, err
}

// peerConnections are what all workers of the peer have together at least, so that
// none of the clients that bring ARCs waits for a connection.
const peerConnections = 64

// serve starts Gunicorn with so many workers; it inherits the socket, too. The
// lean form does nothing but the durable work.
func (p *peer) serve(ctx context.Context, name string, workers int, lean bool) (*server, error) {
	s, err := newServer(ctx, p.dir, name)
	if err != nil {
		return nil, err
	}
	database, duties := p.dsn, []string{"--access-logfile", "-"}
	env := append(os.Environ(), "PEER_POOL="+strconv.Itoa((peerConnections+workers-1)/workers))
	if lean {
		database, duties = p.leanDSN, nil
		env = append(env, "PEER_LEAN=1")
	}
	at, err := pgx.ParseConfig(database)
	if err != nil {
		return nil, err
	}
	dsn := fmt.Sprintf("postgresql://%s@/%s?host=%s", at.User, at.Database, at.Host) // asyncpg wants a URL
	args := []string{
		"/usr/bin/gunicorn", "--chdir", p.dir, "--worker-class", "uvicorn.workers.UvicornWorker", "--workers", strconv.Itoa(workers),
		"--worker-tmp-dir", p.run, "--bind", "fd://3", "--keep-alive", "5", "--log-level", "warning",
	}
	cmd := exec.CommandContext(context.Background(), python, append(append(args, duties...), "app:app")...)
	cmd.Dir = p.dir
	env = append(env, "PEER_DSN="+dsn)
	cmd.Env = env
	if err := s.inherit(cmd); err != nil {
		s.stop()
		return nil, err
	}
	if err := s.start(cmd); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}
