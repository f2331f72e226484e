// Package gitlabtest stands in for a git server and for GitLab in tests: the
// git side is Debian's git http-backend behind a local HTTP server, the REST
// side answers as GitLab documents it. Faults are scripted per request. It
// must never be imported by anything but tests.
//
// Servers are safe for concurrent use.
package gitlabtest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cgi" //nolint:gosec // a Go that old cannot build this
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// Request is what a server remembers of a request.
type Request struct {
	Method, Path, Query string
	Header              http.Header
	Sent                int64 // bytes of the body
}

// Fault is what happens to a request instead of, or on top of, its answer.
type Fault struct {
	Status  int         // answer with this status
	Header  http.Header // and these headers
	Body    string      // and this body
	Hang    bool        // never answer
	Refuse  bool        // close the connection at once
	CutBody int         // close the connection after so many bytes of the answer; 0: never
	CutSent bool        // serve the request, then close the connection instead of answering
	// HangSent serves the request, then never answers.
	HangSent bool
}

// Script decides about the fault of a request; nil lets it pass.
type Script func(r *http.Request) *Fault

// Server is a git server over smart HTTP.
type Server struct {
	URL  string
	Root string // <Root>/<group>/<name>.git

	tb       testing.TB
	mu       sync.Mutex
	script   Script
	requests []Request
	tokens   map[string]bool // accepted; nil accepts everybody
	api      http.Handler
	backend  string
	stop     chan struct{}
}

// NewServer starts a server on the loopback interface until the test ends.
func NewServer(tb testing.TB) *Server {
	tb.Helper()
	testenv.Program(tb, "git", "git")
	s, err := serverAt(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	s.tb = tb
	srv := httptest.NewUnstartedServer(s)
	srv.Start()
	s.URL = srv.URL
	tb.Cleanup(func() {
		close(s.stop)
		srv.CloseClientConnections()
		srv.Close()
	})
	return s
}

// serverAt makes a server for the repositories in a folder.
func serverAt(root string) (*Server, error) {
	out, err := Git("", "--exec-path")
	if err != nil {
		return nil, err
	}
	return &Server{Root: root, backend: filepath.Join(out, "git-http-backend"), stop: make(chan struct{})}, nil
}

// Accept lets only these tokens in from now on.
func (s *Server) Accept(tokens ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = map[string]bool{}
	for _, t := range tokens {
		s.tokens[t] = true
	}
}

// Script sets the faults from now on; nil for none.
func (s *Server) Script(f Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = f
}

// Requests gives what arrived so far and forgets it.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = nil
	return r
}

// Repo makes a bare repository and gives its folder.
func (s *Server) Repo(group, name string) string {
	s.tb.Helper()
	dir := filepath.Join(s.Root, filepath.FromSlash(group), name+".git")
	if err := InitBare(dir); err != nil {
		s.tb.Fatal(err)
	}
	return dir
}

// InitBare makes a bare repository that takes pushes and gives partial clones.
func InitBare(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := run("", "init", "--quiet", "--bare", "--initial-branch=main", dir); err != nil {
		return err
	}
	for _, kv := range [][2]string{{"uploadpack.allowFilter", "true"}, {"gc.auto", "0"}, {"http.receivepack", "true"}} {
		if err := run(dir, "config", kv[0], kv[1]); err != nil {
			return err
		}
	}
	return nil
}

// ServeHTTP answers one request: fault, token, then REST or git.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	script, tokens := s.script, s.tokens
	s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Sent: r.ContentLength})
	s.mu.Unlock()
	var fault *Fault
	if script != nil {
		fault = script(r)
	}
	if fault != nil {
		if s.strike(w, r, fault) {
			return
		}
		w = &cutter{ResponseWriter: w, left: fault.CutBody}
	}
	if s.api != nil && strings.HasPrefix(r.URL.Path, "/api/v4/") {
		s.api.ServeHTTP(w, r)
		return
	}
	if tokens != nil {
		if _, password, _ := r.BasicAuth(); !tokens[password] {
			w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
			http.Error(w, "HTTP Basic: Access denied.", http.StatusUnauthorized)
			return
		}
	}
	s.git(w, r)
}

// strike does what the fault says; false lets the request go on.
func (s *Server) strike(w http.ResponseWriter, r *http.Request, f *Fault) bool {
	switch {
	case f.Hang:
		_, _ = io.Copy(io.Discard, r.Body)
		s.hang(r)
		return true
	case f.Refuse:
		hangUp(w)
		return true
	case f.CutSent, f.HangSent:
		if s.api != nil && strings.HasPrefix(r.URL.Path, "/api/v4/") {
			s.api.ServeHTTP(&discard{h: http.Header{}}, r)
		} else {
			s.git(&discard{h: http.Header{}}, r)
		}
		if f.HangSent {
			s.hang(r)
		} else {
			hangUp(w)
		}
		return true
	case f.Status != 0:
		_, _ = io.Copy(io.Discard, r.Body)
		for k, v := range f.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
		return true
	}
	return f.CutBody == 0
}

// hang waits until the client gives up, or the test ends.
func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.stop:
	}
}

func (s *Server) git(w http.ResponseWriter, r *http.Request) {
	h := &cgi.Handler{
		Path: s.backend, Root: "", Dir: s.Root,
		Env: []string{"GIT_PROJECT_ROOT=" + s.Root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=git", "HOME=" + s.Root},
		// Its words about dropped connections are of no interest.
		Stderr: io.Discard,
	}
	h.ServeHTTP(w, r)
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// cutter passes so many bytes and then breaks the connection.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// discard is an answer that nobody gets.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func run(dir string, args ...string) error {
	_, err := Git(dir, args...)
	return err
}

// Git runs git in a folder and gives what it wrote, trimmed.
func Git(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(context.Background(), "git", args...) //nolint:usetesting,gosec // also for set-up outside of tests; arguments are the tests'
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Curator", "GIT_AUTHOR_EMAIL=curator@example.org", "GIT_COMMITTER_NAME=Curator", "GIT_COMMITTER_EMAIL=curator@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", &gitError{args: args, out: string(out), err: err}
	}
	return strings.TrimSpace(string(out)), nil
}

type gitError struct {
	args []string
	out  string
	err  error
}

func (e *gitError) Error() string {
	return "git " + strings.Join(e.args, " ") + ": " + e.err.Error() + ": " + e.out
}

// MustGit is Git for tests.
func MustGit(tb testing.TB, dir string, args ...string) string {
	tb.Helper()
	out, err := Git(dir, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// Hook puts an executable hook into a bare repository.
func Hook(tb testing.TB, repo, name, script string) {
	tb.Helper()
	dir := filepath.Join(repo, "hooks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil { //nolint:gosec // a hook is a program
		tb.Fatal(err)
	}
}

// Commit puts a commit by a curator on the branch main of a bare repository: the
// given files, nil content removes one. It gives the commit.
func Commit(tb testing.TB, repo string, files map[string]string) string {
	tb.Helper()
	work := tb.TempDir()
	MustGit(tb, "", "clone", "--quiet", repo, work)
	for path, content := range files {
		full := filepath.Join(work, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	MustGit(tb, work, "add", "-A")
	MustGit(tb, work, "commit", "--quiet", "-m", "Correct a typo")
	MustGit(tb, work, "push", "--quiet", "origin", "HEAD:main")
	return MustGit(tb, work, "rev-parse", "HEAD")
}
