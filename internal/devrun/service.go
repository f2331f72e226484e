package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// demoRDI is the research data infrastructure that the sample comes from.
const demoRDI = "demo"

// service is the running middleware-api.
type service struct{ *process }

// checkFree says early, and in plain words, that the port is taken.
func checkFree(ctx context.Context, address string) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (%w); choose another address: LISTEN=127.0.0.1:8001 make run", address, err)
	}
	return l.Close()
}

// writeConfig writes the configuration anew at each start.
func writeConfig(at layout, database string) error {
	repos := url.URL{Scheme: "file", Path: at.repos}
	text := fmt.Sprintf(`# Written by `+"`make run`"+` at each start.
log_level: INFO
listen: [%q]
known_rdis: [%s]
require_client_cert: false
database:
  url: %q
git_repo:
  url: %q
  group: %s
admin:
  directory: %q
`, at.listen, demoRDI, database, repos.String(), demoRDI, at.run)
	return os.WriteFile(at.config, []byte(text), 0o600)
}

// startService brings the schema up to date and serves.
func startService(ctx context.Context, at layout) (*service, error) {
	program := filepath.Join(at.root, "bin", "middleware-api")
	step("bringing the database schema up to date")
	migrate := exec.CommandContext(ctx, program, "migrate", "--config", at.config)
	migrate.Stdout, migrate.Stderr = os.Stdout, os.Stderr
	if err := migrate.Run(); err != nil {
		return nil, fmt.Errorf("middleware-api migrate: %w", err)
	}
	step("serving on http://%s, synchroniser in the same process", at.listen)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, "serve", "--with-sync", "--config", at.config)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	p, err := start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start the service: %w", err)
	}
	s := &service{process: p}
	if err := s.wait(ctx, at); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// wait returns when the service says that it is ready.
func (s *service) wait(ctx context.Context, at layout) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.listen+"/v3/readiness", nil)
		if err != nil {
			return err
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the service is not ready: %w", ctx.Err())
		case <-s.done:
			return fmt.Errorf("the service ended at start: %w", s.err)
		case <-tick.C:
		}
	}
}

// stop lets the service drain.
func (s *service) stop() { s.end(syscall.SIGTERM, stopGrace) }

// gitOutput runs git on one bare repository.
func gitOutput(ctx context.Context, repository string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir", repository}, args...)...)
	out, err := cmd.Output()
	return strings.TrimRight(string(out), "\n"), err
}
