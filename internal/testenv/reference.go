package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// referenceLimit bounds the installation of the reference library and a run of
// it over all cases.
const referenceLimit = 8 * time.Minute

// ReferenceKit copies the conformance kit and installs the reference library
// beside it, in a folder of the test's own, or skips the test.
func ReferenceKit(tb testing.TB) string {
	tb.Helper()
	source := ConformanceDir(tb)
	Program(tb, "node", "nodejs")
	npm := Program(tb, "npm", "npm")
	kit := filepath.Join(tb.TempDir(), "kit")
	if err := os.MkdirAll(filepath.Join(kit, "lib"), 0o755); err != nil {
		tb.Fatal(err)
	}
	for _, pattern := range []string{"*.mjs", "package.json", "lib/*"} {
		files, err := filepath.Glob(filepath.Join(source, pattern))
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				tb.Fatal(err)
			}
			name, err := filepath.Rel(source, f)
			if err != nil {
				tb.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(kit, name), data, 0o600); err != nil {
				tb.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(tb.Context(), referenceLimit)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "install", "--no-audit", "--no-fund", "--no-package-lock")
	install.Dir = kit
	if out, err := install.CombinedOutput(); err != nil {
		Skip(tb, fmt.Sprintf("the reference library cannot be installed: %v: %s", err, out))
	}
	return kit
}

// Node runs a script of the kit and gives what it printed.
func Node(tb testing.TB, dir string, args ...string) ([]byte, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), referenceLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir = dir
	return cmd.CombinedOutput()
}
