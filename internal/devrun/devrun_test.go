package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// `make run` shows the sample in git, serves until Ctrl-C, leaves nothing
// running, and starts again from what it left.
func TestRunShowsTheSampleAndLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	if _, missing := lookUp(); len(missing) > 0 {
		testenv.Skip(t, "missing: "+strings.Join(missing, ", "))
	}
	root := project(t)
	address := testenv.FreeAddress(t)

	first := begin(t, root, address)
	out := first.until(t, "==> ready.")
	for _, want := range []string{`"status":"created"`, "isa.investigation.xlsx", "studies/greenhouse/isa.study.xlsx", "commit "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	resp, err := http.Get("http://" + address + "/v3/readiness")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("readiness: %s", resp.Status)
	}
	second := begin(t, root, address)
	if out := second.end(t, 0); !strings.Contains(out, "another `make run` is at work") {
		t.Errorf("a second one at the same time says\n%s", out)
	}
	if out := first.end(t, syscall.SIGINT); first.code != 0 {
		t.Errorf("exit status %d after Ctrl-C\n%s", first.code, out)
	}
	checkGone(t, root)

	again := begin(t, root, address)
	if out := again.until(t, "==> ready."); !strings.Contains(out, `"status":"updated"`) {
		t.Errorf("the second start does not know the sample:\n%s", out)
	}
	again.end(t, syscall.SIGTERM)
	checkGone(t, root)
}

// A port that is taken is named, with the way out.
func TestRunNamesAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	r := begin(t, project(t), l.Addr().String())
	if out := r.end(t, 0); r.code != 1 || !strings.Contains(out, "LISTEN=127.0.0.1:8001 make run") {
		t.Errorf("exit status %d, output\n%s", r.code, out)
	}
}

// A path in /proc shows whose processes are left.
func checkGone(tb testing.TB, root string) {
	tb.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range processes {
		line, err := os.ReadFile(p)
		if err == nil && bytes.Contains(line, []byte(root)) {
			tb.Errorf("still running: %s", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}

// project makes a folder with the programs, as `make run` finds them.
func project(tb testing.TB) string {
	tb.Helper()
	root, err := os.MkdirTemp("", "devrun-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(root) })
	for target, pkg := range map[string]string{"bin/middleware-api": "cmd/middleware-api", ".bin/devrun": "internal/devrun"} {
		build := exec.Command("go", "build", "-o", filepath.Join(root, target), "github.com/fairagro/middleware-api/"+pkg)
		if out, err := build.CombinedOutput(); err != nil {
			tb.Fatalf("build %s: %v\n%s", pkg, err, out)
		}
	}
	return root
}

// session is one start of the program.
type session struct {
	cmd   *exec.Cmd
	lines chan string
	seen  strings.Builder
	code  int
}

func begin(tb testing.TB, root, address string) *session {
	tb.Helper()
	s := &session{cmd: exec.Command(filepath.Join(root, ".bin", "devrun")), lines: make(chan string, 1000)}
	s.cmd.Dir = root
	s.cmd.Env = append(os.Environ(), "LISTEN="+address)
	r, w := io.Pipe()
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait()
		_ = w.Close()
	}()
	go func() {
		defer close(s.lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			s.lines <- in.Text()
		}
	}()
	tb.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		for range s.lines {
		}
	})
	return s
}

// until reads the output up to a line that begins with the given words.
func (s *session) until(tb testing.TB, words string) string {
	tb.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case line, ok := <-s.lines:
			fmt.Fprintln(&s.seen, line)
			if !ok {
				tb.Fatalf("ended before it said %q:\n%s", words, s.seen.String())
			}
			if strings.HasPrefix(line, words) {
				return s.seen.String()
			}
		case <-limit:
			tb.Fatalf("does not say %q:\n%s", words, s.seen.String())
		}
	}
}

// end sends the signal, if any, and waits for the end.
func (s *session) end(tb testing.TB, how syscall.Signal) string {
	tb.Helper()
	if how != 0 {
		if err := s.cmd.Process.Signal(how); err != nil {
			tb.Fatal(err)
		}
	}
	limit := time.After(2 * time.Minute)
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				s.code = s.cmd.ProcessState.ExitCode()
				return s.seen.String()
			}
			fmt.Fprintln(&s.seen, line)
		case <-limit:
			tb.Fatalf("does not end:\n%s", s.seen.String())
		}
	}
}
