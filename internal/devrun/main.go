// Devrun is what `make run` starts: everything that middleware-api needs, on
// this machine, for one person to look at. It installs what is missing where
// it may, keeps a private PostgreSQL cluster, the configuration and the bare
// git repositories under ./.run, serves on the loopback address with the
// synchroniser in the same process, uploads a sample ARC and tells what
// became of it. It ends with Ctrl-C and leaves nothing running; the data
// stays, and the next start goes on from there.
//
// It is a tool for development and never part of a package.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// stopGrace is how long the service may take to drain: its own limit is 30 s.
const stopGrace = 35 * time.Second

func main() {
	// A child is told of our death by the kernel when the thread that
	// started it ends, so the thread must live as long as we do.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make run:", err)
		os.Exit(1)
	}
}

// layout is where things are: all below one folder.
type layout struct {
	root    string // the project
	run     string // root/.run
	cluster string // data of PostgreSQL
	config  string
	repos   string // bare repositories
	listen  string // address of the HTTP service
}

func run(ctx context.Context) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	at := layout{
		root:    root,
		run:     filepath.Join(root, ".run"),
		cluster: filepath.Join(root, ".run", "postgresql"),
		config:  filepath.Join(root, ".run", "config.yaml"),
		repos:   filepath.Join(root, ".run", "arcs"),
		listen:  "127.0.0.1:8000",
	}
	if v := os.Getenv("LISTEN"); v != "" {
		at.listen = v
	}
	if err := os.MkdirAll(at.repos, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(at.run, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := checkFree(ctx, at.listen); err != nil {
		return err
	}

	bin, err := thisMachine().findPrograms(ctx)
	if err != nil {
		return err
	}
	step("starting PostgreSQL %s in %s", bin.version, rel(at, at.cluster))
	pg, err := startPostgres(ctx, bin, at)
	if err != nil {
		return err
	}
	defer pg.stop()

	if err := writeConfig(at, pg.url()); err != nil {
		return err
	}
	service, err := startService(ctx, at)
	if err != nil {
		return err
	}
	defer service.stop()

	if err := showSample(ctx, at); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	select {
	case <-ctx.Done():
		fmt.Println()
		step("stopping")
		return nil
	case <-service.done:
		return fmt.Errorf("the service ended by itself: %w", service.err)
	}
}

// step tells the person what happens now.
func step(format string, args ...any) {
	fmt.Printf("==> "+format+"\n", args...)
}

// rel shortens a path for people.
func rel(at layout, path string) string {
	if r, err := filepath.Rel(at.root, path); err == nil {
		return "./" + r
	}
	return path
}

// lock makes sure that one `make run` works on the folder at a time.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another `make run` is at work in this folder (%s is locked); stop it with Ctrl-C first", path)
	}
	return func() { _ = f.Close() }, nil
}
