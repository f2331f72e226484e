//go:build office

package scaffold_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold/conformance"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// officeLimit is far above what a conversion takes; it ends one that hangs.
const officeLimit = 2 * time.Minute

// LibreOffice opens every workbook of an ARC and shows the sheets in their
// order and every text as it was written: none of them becomes a number, a
// date, a truth value or a formula.
func TestOfficeOpensTheWorkbooks(t *testing.T) {
	t.Parallel()
	soffice := testenv.Program(t, "soffice", "libreoffice-calc-nogui")
	cases := filepath.Join(testenv.ConformanceDir(t), "cases")
	written := map[string][]byte{}
	for _, name := range []string{"up-sample", "lib-rich", "lib-text-special"} {
		crate, err := os.ReadFile(filepath.Join(cases, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		inv, findings := rocrate.Read(crate)
		if inv == nil {
			t.Fatalf("%s was refused: %+v", name, findings)
		}
		for path, content := range contents(t, inv) {
			if filepath.Ext(path) == ".xlsx" {
				written[name+": "+path] = content
			}
		}
	}
	shown := throughOffice(t, soffice, written)
	for path, content := range written {
		book, err := conformance.ReadWorkbook(content)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		want, texts := []officeSheet(nil), 0
		for _, s := range book.Sheets {
			sheet := newOfficeSheet(t, s.Name, s.Rows)
			want, texts = append(want, sheet), texts+len(sheet.Cells)
		}
		if texts == 0 {
			t.Errorf("%s: there is no text to compare", path)
		}
		if diff := cmp.Diff(want, shownIn(t, shown[path])); diff != "" {
			t.Errorf("%s (-written +shown):\n%s", path, diff)
		}
		t.Logf("%s: %d texts", path, texts)
	}
}

// throughOffice lets LibreOffice open workbooks and save them again, with a
// profile of its own so that no other office process answers. It is one process
// for all of them: most of the time goes into its start.
func throughOffice(tb testing.TB, soffice string, workbooks map[string][]byte) map[string][]byte {
	tb.Helper()
	in, out := tb.TempDir(), tb.TempDir()
	profile := url.URL{Scheme: "file", Path: tb.TempDir()}
	args := []string{
		"-env:UserInstallation=" + profile.String(), "--headless", "--norestore",
		"--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", out,
	}
	names := map[string]string{} // converted files lie side by side, so paths need names
	for path, content := range workbooks {
		name := strconv.Itoa(len(names)) + ".xlsx"
		names[path] = name
		if err := os.WriteFile(filepath.Join(in, name), content, 0o600); err != nil {
			tb.Fatal(err)
		}
		args = append(args, filepath.Join(in, name))
	}
	ctx, cancel := context.WithTimeout(tb.Context(), officeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, soffice, args...)
	cmd.WaitDelay = 10 * time.Second // the program that does the work is a child and holds the pipe
	said, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("run soffice: %v (%v)\n%s", err, ctx.Err(), said)
	}
	converted := map[string][]byte{}
	for path, name := range names {
		content, err := os.ReadFile(filepath.Join(out, name)) // it reports success when it could not open a file
		if err != nil {
			tb.Fatalf("LibreOffice did not convert %s: %v\n%s", path, err, said)
		}
		converted[path] = content
	}
	return converted
}

// officeSheet is what a user sees of a sheet.
type officeSheet struct {
	Name  string
	Cells map[string]string // by reference such as B3, without empty ones
}

func newOfficeSheet(tb testing.TB, name string, rows [][]string) officeSheet {
	tb.Helper()
	sheet := officeSheet{Name: name, Cells: map[string]string{}}
	for r, row := range rows {
		for c, text := range row {
			if text == "" {
				continue
			}
			at, err := excelize.CoordinatesToCellName(c+1, r+1)
			if err != nil {
				tb.Fatal(err)
			}
			sheet.Cells[at] = text
		}
	}
	return sheet
}

// shownIn gives the sheets of a workbook that LibreOffice saved. A cell that is
// not a text says so, because 12 looks like the text 12.
func shownIn(tb testing.TB, content []byte) []officeSheet {
	tb.Helper()
	f := open(tb, content)
	var sheets []officeSheet
	for _, name := range f.GetSheetList() {
		sheet := newOfficeSheet(tb, name, rowsOf(tb, f, name))
		for at, text := range sheet.Cells {
			kind, err := f.GetCellType(name, at)
			if err != nil {
				tb.Fatalf("type of cell %s of sheet %q: %v", at, name, err)
			}
			if kind != excelize.CellTypeSharedString {
				sheet.Cells[at] = fmt.Sprintf("no text (type %d): %s", kind, text)
			}
		}
		sheets = append(sheets, sheet)
	}
	return sheets
}
