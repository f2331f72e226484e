package gitlabtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// apartVariable tells the test program that it is a git server of its own.
const apartVariable = "GITLABTEST_SERVE_ROOT"

// ServeApart turns the process into a git server if NewApart started it as one.
// TestMain of packages that use NewApart calls it first.
func ServeApart() {
	root := os.Getenv(apartVariable)
	if root == "" {
		return
	}
	s, err := serverAt(root)
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // for the life of the process
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + l.Addr().String()) //nolint:forbidigo // the answer to NewApart
	go func() {
		// The test has ended when nobody holds the other end any more.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	panic(http.Serve(l, s)) //nolint:gosec // for tests
}

// NewApart starts a git server in a process of its own, so that what it and its
// git processes cost does not count as ours. It gives the URL and the folder of
// the repositories.
func NewApart(tb testing.TB) (url, root string) {
	tb.Helper()
	root = tb.TempDir()
	cmd := exec.Command(os.Args[0]) //nolint:noctx,gosec // ended by closing its standard input
	cmd.Env = append(os.Environ(), apartVariable+"="+root)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatalf("git server did not start: %v", err)
	}
	return strings.TrimSpace(line), root
}
