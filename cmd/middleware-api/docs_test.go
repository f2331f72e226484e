package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// shown finds what a page tells people to type: our program at the beginning of
// a code span or of a line.
var shown = regexp.MustCompile("(?m)(?:`|^(?:    )?|; |&& |: )middleware-api ([a-z][a-z-]*[^`;&|<>\n]*)")

// Every command of ours that the manual, the codes and the files of the package
// tell people to type exists, with its flags.
func TestTheManualNamesCommandsThatExist(t *testing.T) {
	t.Parallel()
	root := testenv.ModuleRoot(t)
	pages := map[string]string{"the table of codes": ""}
	for _, d := range fault.Codes() {
		pages["the table of codes"] += d.Remedy + "\n"
	}
	for _, name := range []string{"README.md", "docs/operations.md", "docs/errors.md", "docs/http.md", "packaging/deb/README.Debian"} {
		data, err := os.ReadFile(filepath.Join(root, name)) //nolint:gosec // a page of ours
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(data)
	}
	found := 0
	for name, page := range pages {
		for _, m := range shown.FindAllStringSubmatch(page, -1) {
			words := strings.Fields(m[1])
			command, rest, err := newRoot().Find(words)
			if err != nil || !command.HasParent() {
				if strings.HasPrefix(m[1], "for ") || strings.HasPrefix(m[1], "checks itself") { // a sentence that begins a line
					continue
				}
				t.Errorf("%s: there is no command %q", name, m[1])
				continue
			}
			found++
			for _, word := range rest {
				flag, ok := strings.CutPrefix(word, "--")
				flag, _, _ = strings.Cut(strings.Trim(flag, ".,:)"), "=")
				if ok && command.Flags().Lookup(flag) == nil {
					t.Errorf("%s: %q has no flag --%s", name, command.CommandPath(), flag)
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("found only %d commands: the search is broken", found)
	}
}

// Every setting that the manual names exists.
func TestTheManualNamesSettingsThatExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, d := range config.Documentation("") {
		known[d.Path] = true
	}
	setting := regexp.MustCompile("`((?:sync|worker|harvest|tasks|database|git_repo|gitlab_api|admin|otel|tls)\\.[a-z_]+)`")
	n := 0
	for _, name := range []string{"operations.md", "errors.md"} {
		page := read(t, filepath.Join(testenv.ModuleRoot(t), "docs", name))
		for _, m := range setting.FindAllStringSubmatch(page, -1) {
			if n++; !known[m[1]] {
				t.Errorf("%s: there is no setting %s", name, m[1])
			}
		}
	}
	if n < 15 {
		t.Errorf("found only %d settings: the search is broken", n)
	}
}
