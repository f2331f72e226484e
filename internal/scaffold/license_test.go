package scaffold_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/scaffold"
)

// The id of a license names its file, unless it says nothing or is an address.
func TestLicenseFile(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		license arc.License
		path    string // empty: no file
		content string
	}{
		{arc.License{ID: "#LICENSE", Text: text("MIT\r\n")}, "LICENSE", "MIT\r\n"},
		{arc.License{ID: "#LICENSE", Text: text("")}, "LICENSE", ""},
		{arc.License{ID: "#LICENSE", Text: text("ALL RIGHTS RESERVED BY THE AUTHORS")}, "", ""},
		{arc.License{ID: "#LICENSE"}, "", ""},
		{arc.License{ID: "LICENSE.txt"}, "LICENSE.txt", ""},
		{arc.License{ID: "#my-license", Text: text("x")}, "#my-license", "x"},
		{arc.License{ID: "/docs//LICENSE", Text: text("x")}, "docs/LICENSE", "x"},
		{arc.License{ID: "./a/../b", Text: text("x")}, "b", "x"},
		{arc.License{ID: "https://creativecommons.org/licenses/by/4.0/", Text: text("x")}, "", ""},
		{arc.License{ID: "HTTP://x/y", Text: text("x")}, "", ""},
		{arc.License{ID: "assays/.gitkeep", Text: text("x")}, "assays/.gitkeep", ""},
	} {
		without := contents(t, &arc.Investigation{})
		got := contents(t, &arc.Investigation{License: &tt.license})
		for path, content := range got {
			_, always := without[path]
			if !always && path != tt.path {
				t.Errorf("license %q makes the file %s", tt.license.ID, path)
			}
			if path == tt.path && string(content) != tt.content {
				t.Errorf("license %q: content %q, want %q", tt.license.ID, content, tt.content)
			}
		}
		if _, ok := got[tt.path]; tt.path != "" && !ok {
			t.Errorf("license %q does not make the file %s", tt.license.ID, tt.path)
		}
	}
}

// A license is refused when its file would lie outside of the ARC, belong to
// git, have no name, or be in the way of another file.
func TestLicensesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"", "/", ".", "./", "a/..", "LICENSE/", "../LICENSE", "a/../../b", `..\LICENSE`, `a\..\..\b`, "//../x", `.\`, `./.\`,
		".git/config", ".GIT/hooks/pre-commit", "a/.git/config", ".git", `.git\config`, ".git /x", ".g\u200cit/x", "GIT~1/x", ".git::$INDEX_ALLOCATION/x",
		"a\x00b", strings.Repeat("a", 256), strings.Repeat("a/", 1500) + "a",
		"isa.investigation.xlsx", "./isa.investigation.xlsx", "isa.investigation.xlsx/x", "assays", "studies/s", "studies/s/isa.study.xlsx", "studies/s/README.md/x",
	} {
		got := problems(t, &arc.Investigation{License: &arc.License{ID: id}, Studies: []*arc.Study{{Identifier: "s"}}})
		if len(got) != 1 || got[0].Code != "path" && got[0].Code != "path-taken" {
			t.Errorf("license %q: problems %+v", id, got)
		}
	}
}

// Whatever ids and identifiers say, no path leaves the folder or leads into
// .git, and no file is in the way of another.
func TestPathsStayInTheFolder(t *testing.T) {
	t.Parallel()
	part := rapid.SampledFrom([]string{"..", ".", "/", `\`, "a", "B", ".git", ".GIT", "studies", "assays", "isa.study.xlsx", "LICENSE", ":", " ", "~", "C:", "\x00", "é", ".gitkeep", "README.md"})
	name := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "parts"), rapid.SampledFrom([]string{"", "/", `\`}).Draw(t, "separator"))
	})
	rapid.Check(t, func(t *rapid.T) {
		inv := &arc.Investigation{License: &arc.License{ID: name.Draw(t, "license")}}
		for _, identifier := range rapid.SliceOfN(name, 0, 3).Draw(t, "studies") {
			inv.Studies = append(inv.Studies, &arc.Study{Identifier: identifier})
		}
		files, err := scaffold.Files(inv)
		if err != nil {
			return
		}
		paths := map[string]bool{}
		for _, f := range files {
			if paths[f.Path] {
				t.Fatalf("%q is there twice", f.Path)
			}
			paths[f.Path] = true
		}
		for p := range paths {
			for part := range strings.SplitSeq(strings.ReplaceAll(p, `\`, "/"), "/") {
				if part == ".." || part == "." || part == "" && !strings.Contains(p, `\`) || strings.EqualFold(part, ".git") {
					t.Fatalf("path %q", p)
				}
			}
			for i := range p {
				if p[i] == '/' && paths[p[:i]] {
					t.Fatalf("%q is a file and a folder (%q)", p[:i], p)
				}
			}
		}
	})
}
