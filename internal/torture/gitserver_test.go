package torture

import (
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// gitServerVariable makes this test program a git server for the folder it names.
const (
	gitServerVariable  = "TORTURE_GIT_SERVER"
	gitAddressVariable = "TORTURE_GIT_ADDRESS"
)

// serveGit is a git server in a process of its own, so that it can be killed. It
// makes a repository at the first push to it, as many servers do.
func serveGit(root string) {
	exe, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		panic(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(exe)), "git-http-backend"), Dir: root,
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=git", "HOME=" + root},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository, rest, ok := strings.Cut(r.URL.Path, ".git/")
		if ok && rest == "info/refs" {
			if err := place(filepath.Join(root, repository+".git")); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		backend.ServeHTTP(w, r)
	})
	// The listener has to wait for the one of a killed predecessor to be gone.
	server := &http.Server{Addr: os.Getenv(gitAddressVariable), Handler: handler, ReadHeaderTimeout: time.Minute}
	for {
		fmt.Fprintln(os.Stderr, server.ListenAndServe())
		<-time.After(20 * time.Millisecond)
	}
}

// place makes a repository beside its place and moves it there when it is whole.
func place(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	out, err := exec.Command("git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", tmp).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	settings := "[http]\n\treceivepack = true\n[uploadpack]\n\tallowFilter = true\n[gc]\n\tauto = 0\n[receive]\n\tautogc = false\n"
	f, err := os.OpenFile(filepath.Join(tmp, "config"), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(settings)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, dir)
	}
	if _, there := os.Stat(filepath.Join(dir, "HEAD")); there == nil {
		return nil // somebody else was faster
	}
	return err
}

// startGit runs the git server until the test ends.
func startGit(tb testing.TB, root string) (server *unit, address string) {
	tb.Helper()
	testenv.Program(tb, "git", "git")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address = l.Addr().String()
	_ = l.Close()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	f := &fleet{tb: tb, env: []string{gitServerVariable + "=" + root, gitAddressVariable + "=" + address}}
	server = &unit{program: self, closed: make(chan struct{})}
	f.syncs = []*unit{server}
	go f.keep(server, 0)
	tb.Cleanup(f.end)
	await(tb, 30*time.Second, "git server", func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
	return server, address
}
