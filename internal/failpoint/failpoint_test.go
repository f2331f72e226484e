package failpoint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// declared gives the constants of the package: name and value.
func declared(tb testing.TB) map[string]failpoint.Point {
	tb.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "failpoint.go", nil, 0)
	if err != nil {
		tb.Fatal(err)
	}
	points := map[string]failpoint.Point{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			tb.Fatal(err)
		}
		points[spec.Names[0].Name] = failpoint.Point(value)
		return true
	})
	return points
}

// Every point is in the list that trials go through, and stands somewhere in the program.
func TestEveryPointIsListedAndPlaced(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	err := filepath.WalkDir(filepath.Join(testenv.ModuleRoot(t), "internal"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		source.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	points := declared(t)
	if len(points) < 30 || len(points) != len(failpoint.All()) {
		t.Errorf("%d points are declared, %d listed", len(points), len(failpoint.All()))
	}
	for name, value := range points {
		if !slices.Contains(failpoint.All(), value) {
			t.Errorf("%s is not listed", name)
		}
		if !strings.Contains(source.String(), "failpoint.Hit(failpoint."+name+")") {
			t.Errorf("%s stands nowhere", name)
		}
	}
}
