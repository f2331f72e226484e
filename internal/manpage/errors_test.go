package manpage_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/docs"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/manpage"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// inner are codes that never leave their package.
var inner = map[string]bool{"incomplete_at_server": true}

// codesInSource finds every code that the source of the service names: constants
// of the type fault.Code, codes of findings, and codes given on the spot.
func codesInSource(tb testing.TB) map[string]string {
	tb.Helper()
	codes := map[string]string{}
	root := filepath.Join(testenv.ModuleRoot(tb), "internal")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "sqltoarc" {
			return filepath.SkipDir // a program of its own
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		where, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		findings := strings.HasPrefix(where, "rocrate") || strings.HasPrefix(where, "scaffold") || strings.HasPrefix(where, "convert")
		ast.Inspect(file, func(n ast.Node) bool {
			if code := codeOf(n, file.Name.Name, findings); code != "" && !inner[code] {
				codes[code] = where
			}
			return true
		})
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return codes
}

var findingConst = regexp.MustCompile(`^[cC]ode[A-Z]`)

// codeOf gives the code that a node names, "" if it names none.
func codeOf(n ast.Node, pkg string, findings bool) string {
	switch n := n.(type) {
	case *ast.ValueSpec:
		if len(n.Values) != 1 {
			return ""
		}
		if isCode(n.Type, pkg) || findings && n.Type == nil && findingConst.MatchString(n.Names[0].Name) {
			return text(n.Values[0])
		}
		if call, ok := n.Values[0].(*ast.CallExpr); ok && isCode(call.Fun, pkg) && len(call.Args) == 1 {
			return text(call.Args[0])
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" && findings {
			return text(n.Value)
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "problem" && findings && len(n.Args) > 0 {
			return text(n.Args[0])
		}
	}
	return ""
}

func isCode(t ast.Expr, pkg string) bool {
	switch t := t.(type) {
	case *ast.SelectorExpr:
		x, ok := t.X.(*ast.Ident)
		return ok && x.Name == "fault" && t.Sel.Name == "Code"
	case *ast.Ident:
		return pkg == "fault" && t.Name == "Code"
	}
	return false
}

func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

// Every code of the service has one section that says what happened, why, who can
// mend it and how; no section explains a code that there is not.
func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	codes := codesInSource(t)
	for _, d := range fault.Codes() {
		if codes[string(d.Code)] == "" {
			t.Errorf("the search of the source does not find %s", d.Code)
		}
	}
	if len(codes) < 100 {
		t.Fatalf("found only %d codes: %v", len(codes), codes)
	}
	sections := map[string]manpage.Section{}
	for _, s := range manpage.Sections(docs.Errors) {
		if s.Level != 3 {
			continue
		}
		if _, twice := sections[s.Title]; twice {
			t.Errorf("%s is explained twice", s.Title)
		}
		sections[s.Title] = s
		if codes[s.Title] == "" {
			t.Errorf("docs/errors.md explains %s, which does not exist", s.Title)
		}
	}
	for code, where := range codes {
		s, ok := sections[code]
		if !ok {
			t.Errorf("docs/errors.md does not explain %s (%s)", code, where)
			continue
		}
		all := strings.Join(s.Lines, "\n")
		for _, part := range []string{"- **Why:** ", "- **Who:** ", "- **How:** "} {
			if strings.Count(all, part) != 1 {
				t.Errorf("%s: not one %q in\n%s", code, part, all)
			}
		}
		if !regexp.MustCompile(`^\S.*\.$`).MatchString(s.Lines[0]) {
			t.Errorf("%s: %q does not say what happened", code, s.Lines[0])
		}
		if d, ok := fault.Known(fault.Code(code)); ok && !strings.Contains(all, "**Who:** "+report.OwnerName(d.Owner)+".") {
			t.Errorf("%s: the program says that it is for %s to mend, the manual says\n%s", code, report.OwnerName(d.Owner), all)
		}
	}
}

// The manual page holds every section, and nothing that roff would swallow.
func TestPageOfErrors(t *testing.T) {
	t.Parallel()
	var page bytes.Buffer
	manpage.Errors(&page, "# Errors\n\nAll of them.\n\n## Group\n\nSome.\n\n### `a_code`\n\nIt broke.\n\n- **Why:** a-b\n- **How:** `.start` it\n", "1.0")
	want := ".SH GROUP\nSome.\n.SS a_code\nIt broke.\n.PP\n.IP \\(bu 2\nWhy: a\\-b\n.IP \\(bu 2\nHow: .start it\n.SH SEE ALSO"
	if !strings.Contains(page.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", page.String(), want)
	}
}
