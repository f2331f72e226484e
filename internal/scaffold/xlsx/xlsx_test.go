package xlsx_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/scaffold/conformance"
	"github.com/fairagro/middleware-api/internal/scaffold/xlsx"
)

func write(tb testing.TB, wb *xlsx.Workbook) []byte {
	tb.Helper()
	var b bytes.Buffer
	n, err := wb.WriteTo(&b)
	if err != nil {
		tb.Fatalf("write the workbook: %v", err)
	}
	if n != int64(b.Len()) {
		tb.Errorf("reported %d bytes, wrote %d", n, b.Len())
	}
	return b.Bytes()
}

// cells makes a sheet of a grid of texts.
func cells(grid ...[]string) func(*xlsx.Rows) {
	return func(r *xlsx.Rows) {
		for _, row := range grid {
			r.Next()
			for column, text := range row {
				r.Text(column, text)
			}
		}
	}
}

func sample() *xlsx.Workbook {
	return &xlsx.Workbook{Sheets: []xlsx.Sheet{
		{Name: "isa_assay", Write: cells([]string{"ASSAY"}, nil, []string{"Assay Title", "", "a & b <c>"})},
		{
			Name:  "growth",
			Table: &xlsx.Table{Name: "annotationTable0", Headers: []string{"Input [Source Name]", "Comment [a\nb]"}, Rows: 3},
			Write: cells([]string{"Input [Source Name]", "Comment [a\nb]"}, []string{" s 1 ", "=1+1"}, []string{"007", "TRUE"}),
		},
		{Name: "empty"},
	}}
}

// A library that is not ours reads the texts, the sheets and the Excel tables.
func TestAnotherLibraryReadsTheWorkbook(t *testing.T) {
	t.Parallel()
	f, err := excelize.OpenReader(bytes.NewReader(write(t, sample())))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if diff := cmp.Diff([]string{"isa_assay", "growth", "empty"}, f.GetSheetList()); diff != "" {
		t.Errorf("sheets (-want +got):\n%s", diff)
	}
	for sheet, want := range map[string][][]string{
		"isa_assay": {{"ASSAY"}, nil, {"Assay Title", "", "a & b <c>"}},
		"growth":    {{"Input [Source Name]", "Comment [a\nb]"}, {" s 1 ", "=1+1"}, {"007", "TRUE"}},
	} {
		got, err := f.GetRows(sheet)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sheet %s (-want +got):\n%s", sheet, diff)
		}
	}
	for _, cell := range []string{"A2", "B2", "A3", "B3"} {
		if kind, err := f.GetCellType("growth", cell); err != nil || kind != excelize.CellTypeSharedString {
			t.Errorf("cell %s has type %v (%v), want a shared string", cell, kind, err)
		}
	}
	tables, err := f.GetTables("growth")
	if err != nil || len(tables) != 1 || tables[0].Name != "annotationTable0" || tables[0].Range != "A1:B3" {
		t.Errorf("tables of growth = %+v (%v)", tables, err)
	}
}

// The strict reader accepts the workbook and finds the names of table columns
// equal to the header cells.
func TestTheStrictReaderReadsTheWorkbook(t *testing.T) {
	t.Parallel()
	wb, err := conformance.ReadWorkbook(write(t, sample()))
	if err != nil {
		t.Fatal(err)
	}
	want := []conformance.Sheet{
		{Name: "isa_assay", Rows: [][]string{{"ASSAY"}, nil, {"Assay Title", "", "a & b <c>"}}},
		{
			Name: "growth", Rows: [][]string{{"Input [Source Name]", "Comment [a\nb]"}, {" s 1 ", "=1+1"}, {"007", "TRUE"}},
			Tables: []conformance.Table{{Name: "annotationTable0", Ref: "A1:B3", Columns: []string{"Input [Source Name]", "Comment [a\nb]"}}},
		},
		{Name: "empty"},
	}
	if diff := cmp.Diff(want, wb.Sheets); diff != "" {
		t.Errorf("sheets (-want +got):\n%s", diff)
	}
}

// The bytes are the same every time, however many goroutines write and whatever
// was written before.
func TestBytesAreReproducible(t *testing.T) {
	t.Parallel()
	want := write(t, sample())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			write(t, &xlsx.Workbook{Sheets: []xlsx.Sheet{{Name: "other", Write: cells([]string{strings.Repeat("x", i*1000)})}}})
			if !bytes.Equal(write(t, sample()), want) {
				t.Error("the same workbook gave other bytes")
			}
		})
	}
	wg.Wait()
}

// The bytes are those of the last release. When this fails after an update of
// the compressor, every workbook in every ARC changes with it: say so in the
// change log before the new sum is written down here.
func TestBytesAreThoseOfTheLastRelease(t *testing.T) {
	t.Parallel()
	const want = "b8ecfe35aca19bf7b557d139bf3457681262e06d71b36b7de749196042384342"
	sum := sha256.Sum256(write(t, sample()))
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("sha256 of the sample workbook = %s, want %s", got, want)
	}
}

// readable is what a text is after it was written and read: without what XML
// cannot hold.
func readable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

func checkText(tb testing.TB, s string) {
	tb.Helper()
	content := write(tb, &xlsx.Workbook{Sheets: []xlsx.Sheet{{
		Name:  "s",
		Table: &xlsx.Table{Name: "t", Headers: []string{"h" + s}, Rows: 2},
		Write: cells([]string{"h" + s}, []string{s}),
	}}})
	wb, err := conformance.ReadWorkbook(content)
	if err != nil {
		tb.Fatalf("%q: %v", s, err)
	}
	got := ""
	if rows := wb.Sheets[0].Rows; len(rows) > 1 {
		got = rows[1][0]
	}
	want := invalidByByte(s)
	if got != want {
		tb.Fatalf("%q came back as %q, want %q", s, got, want)
	}
	if name := wb.Sheets[0].Tables[0].Columns[0]; name != "h"+want {
		tb.Fatalf("%q came back as the table column %q", s, name)
	}
}

// invalidByByte is readable with one U+FFFD for each byte that is not UTF-8.
func invalidByByte(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		b.WriteRune(r)
		s = s[size:]
	}
	return readable(b.String())
}

// Every text survives the way into a workbook and back, but for characters that
// XML cannot hold.
func TestTextsSurvive(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", " ", "\n", "a\r\nb\rc\n", "_x000A_", "_x005F_x000A_", "_x000a", "__x0041__", "<&>\"'", "]]>", "\x00\x1f\x7f", "\ufffe\uffffx", "\xff\xc3", "😀", "\u0085\u2028"} {
		checkText(t, s)
	}
	part := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"_x", "_", "000A", "_x000A_", "\r", "\n", "\t", " ", "\x01", "&lt;", "<", "\ufffe", "\xff"}))
	rapid.Check(t, func(rt *rapid.T) {
		checkText(t, strings.Join(rapid.SliceOfN(part, 0, 6).Draw(rt, "parts"), ""))
	})
}

// FuzzText looks for texts that do not survive.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "_x000A_", "\r\n", "\x00", "\xff", "<si>", " b "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkText(t, s) })
}

// Sheet names become acceptable: cut off, distinct without regard to case, and
// never reserved.
func TestSheetNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40)
	got := xlsx.SheetNames([]string{"isa_study", "a", "A", "a", "", "\x01", "History", long, long + "y", "b\nc", "\x01d", strings.Repeat("😀", 20)})
	want := []string{"isa_study", "a", "A1", "a2", "Sheet", "Sheet1", "History1", long[:31], long[:30] + "1", "b c", "d", strings.Repeat("😀", 15)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "A", "a1", "A1", "sheet", "Sheet1", "history", long, long[:31], long + "1"}), 0, 30).Draw(t, "names")
		fit := xlsx.SheetNames(names)
		seen := map[string]bool{}
		for i, name := range fit {
			lower := strings.ToLower(name)
			if name == "" || len(name) > xlsx.MaxSheetName || seen[lower] || lower == "history" {
				t.Fatalf("%q became %q, which is no acceptable set of names (%q)", names, fit, names[i])
			}
			seen[lower] = true
		}
	})
}

// Many tables of one name do not take the square of their number.
func TestManyEqualSheetNames(t *testing.T) {
	t.Parallel()
	const n = 100_000
	fit := xlsx.SheetNames(slices.Repeat([]string{"same"}, n))
	if last := fit[n-1]; last != fmt.Sprintf("same%d", n-1) {
		t.Errorf("the last of %d names is %q", n, last)
	}
}

// A cell left of one that is written already is a mistake of the caller.
func TestCellsComeInOrder(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a cell out of order was accepted")
		}
	}()
	write(t, &xlsx.Workbook{Sheets: []xlsx.Sheet{{Name: "s", Write: func(r *xlsx.Rows) {
		r.Next()
		r.Text(1, "b")
		r.Text(0, "a")
	}}}})
}

// Memory does not grow with the rows of a sheet whose texts repeat.
func BenchmarkLongSheet(b *testing.B) {
	row := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	wb := &xlsx.Workbook{Sheets: []xlsx.Sheet{{Name: "s", Write: func(r *xlsx.Rows) {
		for range 100_000 {
			r.Next()
			for column, text := range row {
				r.Text(column, text)
			}
		}
	}}}}
	b.ReportAllocs()
	for b.Loop() {
		var n counter
		if _, err := wb.WriteTo(&n); err != nil {
			b.Fatal(err)
		}
	}
}

type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
