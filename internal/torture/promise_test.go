package torture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

var namedTest = regexp.MustCompile("`([a-z0-9/-]+)\\.(Test[A-Za-z0-9]+)`")

// Each promise is guarded by tests, and every test that the documentation names
// for one exists.
func TestPromisesAreGuarded(t *testing.T) {
	t.Parallel()
	root := testenv.ModuleRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Which test guards which promise")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, promise := range []string{"1. ", "2. ", "3. ", "4. ", "5. ", "6. ", "Besides: "} {
		_, row, _ := strings.Cut(section, "\n| "+promise)
		row, _, _ = strings.Cut(row, "\n")
		tests := namedTest.FindAllStringSubmatch(row, -1)
		if len(tests) < 3 {
			t.Errorf("promise %s names %d tests", promise, len(tests))
		}
		for _, name := range tests {
			if !hasTest(t, filepath.Join(root, filepath.FromSlash(name[1])), name[2]) {
				t.Errorf("promise %s: there is no %s in %s", promise, name[2], name[1])
			}
		}
	}
}

// hasTest says whether a package has a test of that name.
func hasTest(tb testing.TB, dir, name string) bool {
	tb.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
