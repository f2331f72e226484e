package conformance_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/scaffold/conformance"
	"github.com/fairagro/middleware-api/internal/scaffold/xlsx"
)

const expected = `{
 "format": "arc-conformance/1", "status": "ok", "optional": ["https:/x"],
 "files": ["LICENSE", "a.xlsx", "https:/x", "../outside"],
 "texts": {"LICENSE": "free", "https:/x": "", "../outside": ""},
 "sheetOrder": {"a.xlsx": ["isa_assay", "growth"]},
 "workbooks": {"a.xlsx": {
  "isa_assay": [["ASSAY"], ["Assay Title", "T"]],
  "growth": [["Input [Data]", "Unit "], ["x", "_x0041_"], ["", "b\r\nc\u0001"]]}},
 "tables": {"a.xlsx": {"growth": [{"name": "annotationTable0", "ref": "A1:B3"}]}}
}`

// folder is what the files of an implementation are made of.
type folder struct {
	license, extra    string
	sheets            []string
	title             string
	cells             [][]string
	table             *xlsx.Table
	withoutLicense    bool
	brokenWorkbook    bool
	isaAssayRowTooFar bool
}

func good() *folder {
	cells := [][]string{{"Input [Data]", "Unit "}, {"x", "_x0041_"}, {"", "b\r\nc\x01"}}
	return &folder{
		license: "free", sheets: []string{"isa_assay", "growth"}, title: "T", cells: cells,
		table: &xlsx.Table{Name: "annotationTable0", Headers: slices.Clone(cells[0]), Rows: 3},
	}
}

func (f *folder) files(tb testing.TB) map[string][]byte {
	tb.Helper()
	grid := func(rows ...[]string) func(*xlsx.Rows) {
		return func(r *xlsx.Rows) {
			for _, row := range rows {
				r.Next()
				for column, text := range row {
					r.Text(column, text)
				}
			}
		}
	}
	metadata := [][]string{{"ASSAY"}, {"Assay Title", f.title}}
	if f.isaAssayRowTooFar {
		metadata = append(metadata, []string{"", "more"})
	}
	wb := xlsx.Workbook{}
	for i, name := range f.sheets {
		if i == 0 {
			wb.Sheets = append(wb.Sheets, xlsx.Sheet{Name: name, Write: grid(metadata...)})
		} else {
			wb.Sheets = append(wb.Sheets, xlsx.Sheet{Name: name, Table: f.table, Write: grid(f.cells...)})
		}
	}
	var b bytes.Buffer
	if _, err := wb.WriteTo(&b); err != nil {
		tb.Fatal(err)
	}
	if f.brokenWorkbook {
		b.Truncate(b.Len() / 2)
	}
	files := map[string][]byte{"a.xlsx": b.Bytes(), "LICENSE": []byte(f.license)}
	if f.withoutLicense {
		delete(files, "LICENSE")
	}
	if f.extra != "" {
		files[f.extra] = nil
	}
	return files
}

func load(tb testing.TB, text string) *conformance.Expected {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "x.expected.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	e, err := conformance.Load(path)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// A folder that is as expected has no difference, and what no reader sees is
// forgiven.
func TestWhatIsForgiven(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*folder){
		"nothing changed":    func(*folder) {},
		"optional file":      func(f *folder) { f.extra = "https:/x" },
		"line breaks":        func(f *folder) { f.cells[2][1] = "b\nc" },
		"escape resolved":    func(f *folder) { f.cells[1][1] = "A" },
		"sheet name in caps": func(f *folder) { f.sheets[1] = "GROWTH" },
		"sheet renamed":      func(f *folder) { f.sheets[1] = "growth1" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good()
			change(f)
			if got := load(t, expected).Compare(f.files(t)); len(got) > 0 {
				t.Errorf("differences: %q", got)
			}
		})
	}
}

// Every other change of a folder is a difference that names the place.
func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*folder)
		want   string
	}{
		"missing file":      {func(f *folder) { f.withoutLicense = true }, "LICENSE: is missing"},
		"extra file":        {func(f *folder) { f.extra = "b.txt" }, "b.txt: is not expected"},
		"outside":           {func(f *folder) { f.extra = "../outside" }, "../outside: is not expected"},
		"text":              {func(f *folder) { f.license = "free " }, "LICENSE: want"},
		"broken workbook":   {func(f *folder) { f.brokenWorkbook = true }, "a.xlsx: open the package"},
		"missing sheet":     {func(f *folder) { f.sheets = f.sheets[:1] }, "a.xlsx: want sheets"},
		"sheet name":        {func(f *folder) { f.sheets[1] = "grow" }, "a.xlsx: sheet 2: want name"},
		"cell of metadata":  {func(f *folder) { f.title = "t" }, "a.xlsx [isa_assay]: row 2 column 2"},
		"cell left out":     {func(f *folder) { f.title = "" }, "a.xlsx [isa_assay]: row 2 column 2"},
		"row too many":      {func(f *folder) { f.isaAssayRowTooFar = true }, "a.xlsx [isa_assay]: want 2 rows, got 3"},
		"cell of the table": {func(f *folder) { f.cells[1][0] = "y" }, "a.xlsx [growth]: row 2 column 1"},
		"blank at the end":  {func(f *folder) { f.cells[1][0] = "x " }, "a.xlsx [growth]: row 2 column 1"},
		"cell too many":     {func(f *folder) { f.cells[2] = append(f.cells[2], "z") }, "a.xlsx [growth]: row 3 column 3"},
		"no table":          {func(f *folder) { f.table = nil }, "a.xlsx [growth]: want 1 Excel tables, got 0"},
		"table name":        {func(f *folder) { f.table.Name = "annotationTable1" }, "a.xlsx [growth]: want table annotationTable0"},
		"table range":       {func(f *folder) { f.table.Rows = 4 }, "a.xlsx [growth]: want table annotationTable0 over A1:B3"},
		"table column":      {func(f *folder) { f.table.Headers[0] = "Input" }, "a.xlsx [growth]: column 1 of the table"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good()
			test.change(f)
			got := load(t, expected).Compare(f.files(t))
			if !slices.ContainsFunc(got, func(d string) bool { return strings.HasPrefix(d, test.want) }) {
				t.Errorf("differences %q, want one that begins with %q", got, test.want)
			}
		})
	}
}

// Refusing is right when the reference library refuses, accepting when it
// accepts, and both where the case says so.
func TestRefusing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text               string
		accepted, rejected bool
	}{
		{`{"format": "arc-conformance/1", "status": "ok"}`, true, false},
		{`{"format": "arc-conformance/1", "status": "ok", "mayReject": "x"}`, true, true},
		{`{"format": "arc-conformance/1", "status": "parse-error"}`, false, true},
		{`{"format": "arc-conformance/1", "status": "write-error"}`, false, true},
		{`{"format": "arc-conformance/1", "status": "write-error", "mayAccept": "x"}`, true, true},
	} {
		e := load(t, test.text)
		if got := len(e.Compare(nil)) == 0; got != test.accepted {
			t.Errorf("%s: accepting is right: %v, want %v", test.text, got, test.accepted)
		}
		if got := len(e.CompareRejected()) == 0; got != test.rejected {
			t.Errorf("%s: refusing is right: %v, want %v", test.text, got, test.rejected)
		}
	}
}

// Another format, or none, is an error.
func TestLoadRefusesOtherFormats(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"format": "arc-conformance/2"}`, `[]`, ``} {
		path := filepath.Join(t.TempDir(), "x.expected.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := conformance.Load(path); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
