// Package testenv tells tests what their surroundings offer. It is the only
// place that skips a test, so that every skip carries a reason and so that
// none can happen unnoticed where everything has to run: with CI set in the
// environment a skip is a failure.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Skip ends the test as skipped for the given reason, or as failed in CI.
func Skip(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatalf("cannot run here, and CI must not skip: %s", reason)
	}
	tb.Skip(reason)
}

// Program gives the path of an installed program, or skips the test. Servers are
// in folders that only root has in PATH.
func Program(tb testing.TB, name, debianPackage string) string {
	tb.Helper()
	for _, candidate := range []string{name, "/usr/local/sbin/" + name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	Skip(tb, name+" is missing: apt-get install "+debianPackage)
	return ""
}

// Root skips the test unless it runs as root.
func Root(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		Skip(tb, "needs root")
	}
}

// ModuleRoot gives the folder that holds go.mod.
func ModuleRoot(tb testing.TB) string {
	tb.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		tb.Fatal("no caller information")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// ConformanceDir gives the folder with the conformance cases, from the
// variable CONFORMANCE_DIR or beside the project, or skips the test.
func ConformanceDir(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("CONFORMANCE_DIR")
	if dir == "" {
		dir = filepath.Join(ModuleRoot(tb), "..", "shared", "conformance")
	}
	if _, err := os.Stat(filepath.Join(dir, "cases")); err != nil {
		Skip(tb, "no conformance cases; set CONFORMANCE_DIR")
	}
	return dir
}
