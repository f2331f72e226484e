// Package conformance compares ARC folders with what the reference library of
// the ARC format writes, as recorded in files NAME.expected.json beside the
// crates NAME.json. It is support for tests and no part of the program.
//
// What it forgives is what no reader can see or what spreadsheet programs do to
// texts anyhow: a missing cell for an empty one, texts cut off at 32,767
// characters, control characters, _xHHHH_ escapes, carriage returns, sheet names
// that were cut off or renamed because of a clash, random identifiers.
// Everything else counts: the list of files, the order and names of sheets, every
// cell, the Excel tables, and the bytes of files that are not workbooks.
//
// Everything here may be used by several goroutines at once.
package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const format = "arc-conformance/1"

// Case is a crate and what becomes of it.
type Case struct {
	Name  string
	Crate string // path of the crate
	Want  *Expected
}

// Expected is what the reference library makes of a crate.
type Expected struct {
	Format     string                           `json:"format"`
	Status     string                           `json:"status"` // ok, parse-error, write-error
	MayAccept  string                           `json:"mayAccept"`
	MayReject  string                           `json:"mayReject"`
	Optional   []string                         `json:"optional"`
	Files      []string                         `json:"files"`
	Texts      map[string]string                `json:"texts"`
	SheetOrder map[string][]string              `json:"sheetOrder"`
	Workbooks  map[string]map[string][][]string `json:"workbooks"`
	Tables     map[string]map[string][]Table    `json:"tables"`
}

// Table is an Excel table.
type Table struct {
	Name    string   `json:"name"`
	Ref     string   `json:"ref"`
	Columns []string `json:"-"` // in what we wrote
}

// Cases lists the cases below dir/cases in the order of their names.
func Cases(dir string) ([]Case, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "cases", "*.expected.json"))
	if err != nil {
		return nil, err
	}
	cases := make([]Case, 0, len(paths))
	for _, p := range paths {
		want, err := Load(p)
		if err != nil {
			return nil, err
		}
		stem := strings.TrimSuffix(p, ".expected.json")
		cases = append(cases, Case{Name: filepath.Base(stem), Crate: stem + ".json", Want: want})
	}
	slices.SortFunc(cases, func(a, b Case) int { return cmp.Compare(a.Name, b.Name) })
	return cases, nil
}

// Load reads a file with what is expected.
func Load(path string) (*Expected, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	e := &Expected{}
	if err := json.Unmarshal(b, e); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if e.Format != format {
		return nil, fmt.Errorf("read %s: format %q, want %q", path, e.Format, format)
	}
	return e, nil
}

// CompareRejected says what is wrong with refusing the crate.
func (e *Expected) CompareRejected() []string {
	if e.Status != "ok" || e.MayReject != "" {
		return nil
	}
	return []string{"the crate was refused, but the reference library accepts it"}
}

// maxDifferences keeps reports readable.
const maxDifferences = 60

// differences collects what differs.
type differences struct{ list []string }

func (d *differences) add(format string, args ...any) {
	if len(d.list) < maxDifferences {
		d.list = append(d.list, fmt.Sprintf(format, args...))
	}
}

// Compare compares files, by path, with what is expected of the crate.
func (e *Expected) Compare(got map[string][]byte) []string {
	d := &differences{}
	if e.Status != "ok" && e.MayAccept == "" {
		d.add("the crate was accepted, but the reference library refuses it (%s)", e.Status)
		return d.list
	}
	e.compareLists(d, got)
	for path, want := range e.Texts {
		if content, ok := got[path]; ok && string(content) != want {
			d.add("%s: want %s, got %s", path, short(want), short(string(content)))
		}
	}
	for path, want := range e.Workbooks {
		content, ok := got[path]
		if !ok {
			continue
		}
		wb, err := ReadWorkbook(content)
		if err != nil {
			d.add("%s: %v", path, err)
			continue
		}
		compareWorkbook(d, path, e.SheetOrder[path], want, e.Tables[path], wb)
	}
	slices.Sort(d.list)
	return d.list
}

func (e *Expected) compareLists(d *differences, got map[string][]byte) {
	expected := map[string]bool{}
	for _, path := range e.Files {
		if strings.HasPrefix(path, "../") || strings.HasPrefix(path, "/") {
			continue // the reference library leaves the folder, we must not
		}
		expected[path] = true
		if _, ok := got[path]; !ok && !slices.Contains(e.Optional, path) {
			d.add("%s: is missing", path)
		}
	}
	for path := range got {
		if !expected[path] {
			d.add("%s: is not expected", path)
		}
	}
}

func compareWorkbook(d *differences, path string, order []string, want map[string][][]string, tables map[string][]Table, got *Workbook) {
	if len(order) != len(got.Sheets) {
		d.add("%s: want sheets %q, got %q", path, order, got.names())
	}
	for i := range min(len(order), len(got.Sheets)) {
		name, sheet := order[i], got.Sheets[i]
		if !sameSheetName(name, maskGUIDs(sheet.Name)) {
			d.add("%s: sheet %d: want name %s, got %s", path, i+1, short(name), short(sheet.Name))
			continue
		}
		at := fmt.Sprintf("%s [%s]", path, name)
		compareCells(d, at, want[name], sheet.Rows)
		compareTables(d, at, tables[name], sheet)
	}
}

func compareCells(d *differences, at string, want, got [][]string) {
	if len(want) != len(got) {
		d.add("%s: want %d rows, got %d", at, len(want), len(got))
	}
	cell := func(rows [][]string, r, c int) string {
		if r < len(rows) && c < len(rows[r]) {
			return rows[r][c]
		}
		return ""
	}
	width := func(rows [][]string, r int) int {
		if r < len(rows) {
			return len(rows[r])
		}
		return 0
	}
	for r := range max(len(want), len(got)) {
		for c := range max(width(want, r), width(got, r)) {
			w, g := cell(want, r, c), maskGUIDs(cell(got, r, c))
			if !sameText(w, g) {
				d.add("%s: row %d column %d: want %s, got %s", at, r+1, c+1, short(w), short(g))
			}
		}
	}
}

func compareTables(d *differences, at string, want []Table, sheet Sheet) {
	if len(want) != len(sheet.Tables) {
		d.add("%s: want %d Excel tables, got %d", at, len(want), len(sheet.Tables))
	}
	for i := range min(len(want), len(sheet.Tables)) {
		g := sheet.Tables[i]
		if g.Name != want[i].Name || g.Ref != want[i].Ref {
			d.add("%s: want table %s over %s, got %s over %s", at, want[i].Name, want[i].Ref, g.Name, g.Ref)
		}
		for c, column := range g.Columns {
			header := ""
			if len(sheet.Rows) > 0 && c < len(sheet.Rows[0]) {
				header = sheet.Rows[0][c]
			}
			if blanks(column) != blanks(header) {
				d.add("%s: column %d of the table is called %s, the header cell is %s", at, c+1, short(column), short(header))
			}
		}
	}
}

var guid = regexp.MustCompile(`(?i)MISSING_IDENTIFIER_[0-9a-f]{8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?`)

// maskGUIDs makes random identifiers equal.
func maskGUIDs(s string) string {
	if !strings.Contains(s, "MISSING_IDENTIFIER_") && !strings.Contains(s, "missing_identifier_") {
		return s
	}
	return guid.ReplaceAllString(s, "MISSING_IDENTIFIER_<guid>")
}

func short(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	if s = string(b); len(s) > 160 {
		return s[:157] + "..."
	}
	return s
}
