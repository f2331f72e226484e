package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// rdi is the research data infrastructure that all uploads belong to.
const rdi = "bench"

// ours is middleware-api as it is delivered: the program, its settings, its database.
type ours struct {
	program string
	config  string
	dir     string
	run     string // for the runtime directories of the workers
	dsn     string
}

// build compiles the programs as `make build` does, lays them out as it does,
// and gives the one that users call.
func build(ctx context.Context, dir string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "bin", "middleware-api")
	for target, source := range map[string]string{
		program: "./cmd/launcher",
		filepath.Join(dir, "lib", "middleware-api", "middleware-api"): "./cmd/middleware-api",
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", target, source)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	return program, nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("bench has to be run within its module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func prepareOurs(ctx context.Context, c *cluster, dir, run string) (*ours, error) {
	program, err := build(ctx, dir)
	if err != nil {
		return nil, err
	}
	dsn, err := c.database(ctx, "ours")
	if err != nil {
		return nil, err
	}
	o := &ours{program: program, config: filepath.Join(dir, "config.yaml"), dir: dir, run: run, dsn: dsn}
	text := fmt.Sprintf("known_rdis: [%s]\nrequire_client_cert: false\ndatabase:\n  url: %q\ngit_repo:\n  url: %q\n  group: bench\n",
		rdi, dsn, "file://"+filepath.Join(dir, "repositories"))
	if err := os.WriteFile(o.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	migrate := exec.CommandContext(ctx, program, "migrate", "--config", o.config)
	migrate.Stdout, migrate.Stderr = &out, &out
	if err := migrate.Run(); err != nil {
		return nil, fmt.Errorf("middleware-api migrate: %w\n%s", err, out.Bytes())
	}
	return o, nil
}

// serve starts so many workers on one socket.
func (o *ours) serve(ctx context.Context, name string, workers int) (*server, error) {
	s, err := newServer(ctx, o.dir, name)
	if err != nil {
		return nil, err
	}
	run := filepath.Join(o.run, name)
	if err := os.MkdirAll(run, 0o755); err != nil {
		return nil, err
	}
	for i := range workers {
		env := []string{"MW_ID=" + strconv.Itoa(i+1), "RUNTIME_DIRECTORY=" + run}
		if err := s.spawn(env, o.program, "serve", "--config", o.config); err != nil {
			s.stop()
			return nil, err
		}
	}
	return s, nil
}

// synchronise adds a synchroniser to the processes of a side.
func (o *ours) synchronise(s *server) error {
	return s.start(exec.CommandContext(context.Background(), o.program, "sync", "--config", o.config))
}
