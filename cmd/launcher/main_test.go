package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fairagro/middleware-api/internal/cli"
)

const crate = `{"@context": "https://w3id.org/ro/crate/1.2/context", "@graph": [
  {"@id": "./", "@type": "Dataset", "identifier": "x", "hasPart": {"@id": "a"}},
  {"@id": "a", "@type": "Dataset", "additionalType": "Assay", "identifier": "a1"}]}`

// install builds the launcher and the program behind it, and lays them out as
// the build and the package do.
func install(tb testing.TB) (launcher, program string) {
	tb.Helper()
	prefix := tb.TempDir()
	launcher, program = places(prefix)
	build(tb, launcher, "launcher")
	build(tb, program, "middleware-api")
	return launcher, program
}

func places(prefix string) (launcher, program string) {
	return filepath.Join(prefix, "bin", "middleware-api"), filepath.Join(prefix, "lib", "middleware-api", "middleware-api")
}

func build(tb testing.TB, target, name string) {
	tb.Helper()
	cmd := exec.Command("go", "build", "-o", target, "github.com/fairagro/middleware-api/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", name, err, out)
	}
}

// outcome is what whoever calls a program sees of it.
type outcome struct {
	out, err string
	code     int
}

func run(tb testing.TB, stdin, program string, args ...string) outcome {
	tb.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			tb.Fatal(err)
		}
	}
	return outcome{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// took is the only thing in which two conversions of a crate differ.
var took = regexp.MustCompile(`[0-9.]+ ms|"milliseconds": [0-9.]+`)

// Nobody can tell by what a command prints which of the two programs carries
// it out.
func TestNobodyCanTellThemApart(t *testing.T) {
	t.Parallel()
	launcher, program := install(t)
	for _, line := range []struct {
		args, stdin string
		code        int
	}{
		{"", "", cli.ExitOK},
		{"version", "", cli.ExitOK},
		{"--version", "", cli.ExitOK},
		{"nonsense", "", cli.ExitUsage},
		{"config docs listen", "", cli.ExitOK},
		{"help convert", "", cli.ExitOK},
		{"convert --help", "", cli.ExitOK},
		{"convert", "", cli.ExitUsage},
		{"convert --nonsense - DIR", "", cli.ExitUsage},
		{"convert --report xml - DIR", "", cli.ExitUsage},
		{"convert absent.json DIR", "", cli.ExitNoInput},
		{"convert - /dev/null/folder", crate, cli.ExitCannotCreate},
		{"convert - DIR", crate, cli.ExitOK},
		{"convert - DIR", "{}", cli.ExitData},
		{"convert --json - DIR", "[", cli.ExitData},
	} {
		t.Run(line.args, func(t *testing.T) {
			t.Parallel()
			var seen []outcome
			for _, p := range []string{launcher, program} {
				dir := t.TempDir()
				o := run(t, line.stdin, p, strings.Fields(strings.ReplaceAll(line.args, "DIR", dir))...)
				for _, text := range []*string{&o.out, &o.err} {
					*text = took.ReplaceAllString(strings.ReplaceAll(*text, dir, "DIR"), "so long")
				}
				seen = append(seen, o)
			}
			if seen[0] != seen[1] || seen[0].code != line.code {
				t.Errorf("launcher %+v\nprogram  %+v\nwant exit status %d", seen[0], seen[1], line.code)
			}
		})
	}
}

// A service manager knows a service by its process, which stays the same, with
// its arguments and surroundings.
func TestTheProcessStaysTheSame(t *testing.T) {
	t.Parallel()
	launcher, program := places(t.TempDir())
	build(t, launcher, "launcher")
	script := "#!/bin/sh\necho $$ $PLACE \"$@\"\n"
	if err := errors.Join(os.MkdirAll(filepath.Dir(program), 0o700), os.WriteFile(program, []byte(script), 0o700)); err != nil { //nolint:gosec // it is to be executed
		t.Fatal(err)
	}
	cmd := exec.Command(launcher, "serve", "two words")
	cmd.Env = append(os.Environ(), "PLACE=here")
	out, err := cmd.Output()
	if want := fmt.Sprintf("%d here serve two words\n", cmd.Process.Pid); err != nil || string(out) != want {
		t.Errorf("%v, %q; want %q", err, out, want)
	}
}

// Without the program behind it the launcher says what is missing.
func TestTheProgramIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := become([]string{filepath.Join(dir, "one"), filepath.Join(dir, "two")})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "two")) || !strings.Contains(err.Error(), "install the package") {
		t.Errorf("told: %v", err)
	}
	if err := become([]string{dir, filepath.Join(dir, "two")}); !errors.Is(err, syscall.EACCES) {
		t.Errorf("a program that may not be started: %v", err)
	}
	if places := candidates(); len(places) != 2 || places[1] != installed || filepath.Base(filepath.Dir(places[0])) != "middleware-api" {
		t.Errorf("it is looked for in %q", places)
	}
}

// A small conversion needs little more than what it works with.
func TestAConversionIsSmall(t *testing.T) {
	t.Parallel()
	launcher, program := install(t)
	small, large := resident(t, launcher), resident(t, program)
	t.Logf("resident before the crate is read: launcher %d KiB, the program with all commands %d KiB", small, large)
	if small*2 > large {
		t.Errorf("the launcher has %d KiB, the program with all commands %d: too much is linked into it", small, large)
	}
}

// Ctrl-C ends a conversion that waits for its crate.
func TestWaitingForACrateCanBeInterrupted(t *testing.T) {
	t.Parallel()
	launcher, _ := places(t.TempDir())
	build(t, launcher, "launcher")
	cmd := exec.Command(launcher, "convert", "-", t.TempDir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds (pipe(7)): when it has been written, some has been read.
	if _, err := stdin.Write(bytes.Repeat([]byte(" "), 1<<17)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != cli.ExitFailure {
		t.Errorf("it ended with %v", err)
	}
}

// resident is the most memory in KiB that a program had when it began to read a crate.
func resident(tb testing.TB, program string) int {
	tb.Helper()
	cmd := exec.Command(program, "convert", "-", tb.TempDir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	defer func() {
		_ = stdin.Close()
		_ = cmd.Wait() // half a crate is none
	}()
	// More than a pipe holds (pipe(7)): when it has been written, some has been read.
	if _, err := stdin.Write(bytes.Repeat([]byte(" "), 1<<17)); err != nil {
		tb.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	n, err := strconv.Atoi(strings.Fields(after + " none")[0])
	if err != nil {
		tb.Fatalf("no VmHWM in\n%s", status)
	}
	return n
}
