package scaffold_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/scaffold"
	"github.com/fairagro/middleware-api/internal/scaffold/conformance"
)

// genARC makes ARCs with everything that shows in files.
func genARC(t *rapid.T) *arc.Investigation {
	text := rapid.OneOf(rapid.StringN(0, 8, -1), rapid.SampledFrom([]string{"", " ", "a", "x y", "_x0041_", "a\r\nb"}))
	term := rapid.Custom(func(t *rapid.T) arc.OntologyTerm {
		return arc.NewTerm(text.Draw(t, "term"), rapid.SampledFrom([]string{"", "MS:1", "ms:1", "abc"}).Draw(t, "accession"))
	})
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"k", "l", "", "ä"}), 0, 3, rapid.ID[string])
	comments := func() (out []arc.Comment) {
		for _, name := range names.Draw(t, "comment names") {
			out = append(out, arc.Comment{Name: name, Value: text.Draw(t, "comment")})
		}
		return out
	}
	person := rapid.Custom(func(t *rapid.T) arc.Person {
		return arc.Person{FirstName: text.Draw(t, "first name"), Roles: rapid.SliceOfN(term, 0, 2).Draw(t, "roles"), Comments: comments(),
			ORCID: rapid.SampledFrom([]string{"", "0000-0001-2345-6789"}).Draw(t, "orcid")}
	})
	cell := rapid.Custom(func(t *rapid.T) arc.Cell {
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return arc.NewTermCell(term.Draw(t, "cell"))
		case 1:
			return arc.NewUnitizedCell(text.Draw(t, "value"), term.Draw(t, "unit"))
		}
		return arc.NewTextCell(text.Draw(t, "text"))
	})
	kinds := []arc.ColumnKind{arc.ComponentColumn, arc.ParameterColumn, arc.FactorColumn, arc.CharacteristicColumn}
	var tables []*arc.Table
	for i := range rapid.IntRange(0, 2).Draw(t, "tables") {
		b := arc.NewTableBuilder("table " + strconv.Itoa(i))
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			b.Add(arc.NewHeader(arc.InputColumn, arc.IOSource), arc.NewTextCell(text.Draw(t, "source")))
			for range rapid.IntRange(0, 3).Draw(t, "cells") {
				b.Add(arc.Header{Kind: rapid.SampledFrom(kinds).Draw(t, "column"), Term: term.Draw(t, "header")}, cell.Draw(t, "cell"))
			}
			b.EndRow()
		}
		tables = append(tables, b.Table())
	}
	return &arc.Investigation{
		Identifier: text.Draw(t, "identifier"), Title: text.Draw(t, "title"), Comments: comments(),
		Contacts: rapid.SliceOfN(person, 0, 2).Draw(t, "contacts"),
		Studies:  []*arc.Study{{Identifier: "s", Comments: comments(), Tables: tables}},
		Assays:   []*arc.Assay{{Identifier: "a", Performers: rapid.SliceOfN(person, 0, 2).Draw(t, "performers"), Tables: tables}},
	}
}

// The same ARC gives the same bytes, whoever asks and however often, and every
// workbook is one that the strict reader accepts.
func TestTheSameARCGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		inv := genARC(rt)
		files, err := scaffold.Files(inv)
		if err != nil {
			rt.Fatalf("plan: %v", err)
		}
		var wg sync.WaitGroup
		for _, f := range files {
			wg.Go(func() {
				var first, second bytes.Buffer
				if _, err := f.WriteTo(&first); err != nil {
					t.Errorf("%s: %v", f.Path, err)
				}
				if _, err := f.WriteTo(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
					t.Errorf("%s: other bytes the second time (%v)", f.Path, err)
				}
				if filepath.Ext(f.Path) == ".xlsx" {
					if _, err := conformance.ReadWorkbook(first.Bytes()); err != nil {
						t.Errorf("%s: %v", f.Path, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// A changed cell changes the workbook that shows it and nothing else.
func TestAChangedCellChangesOnlyItsWorkbook(t *testing.T) {
	t.Parallel()
	make := func(value string) map[string][]byte {
		table := func(text string) *arc.Table {
			return tableOf("t", []entry{textEntry(arc.InputColumn, arc.IOSource, "s"), textEntry(arc.ParameterColumn, "p", text)})
		}
		return contents(t, &arc.Investigation{
			Identifier: "i",
			Studies:    []*arc.Study{{Identifier: "s", Tables: []*arc.Table{table("same")}}},
			Assays: []*arc.Assay{
				{Identifier: "a", Tables: []*arc.Table{table(value), table("same")}[:1]},
				{Identifier: "b", Tables: []*arc.Table{table("same")}},
			},
		})
	}
	before, after := make("1"), make("2")
	for path, content := range before {
		if changed := !bytes.Equal(content, after[path]); changed != (path == assayPath) {
			t.Errorf("%s: changed %v", path, changed)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
}

// WriteDir writes the files, never over others and never through a symbolic
// link out of the directory.
func TestWriteDir(t *testing.T) {
	t.Parallel()
	files, err := scaffold.Files(&arc.Investigation{Identifier: "i", Studies: []*arc.Study{{Identifier: "s 1"}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	total, err := scaffold.WriteDir(context.Background(), dir, files)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, f := range files {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f.Path)))
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	if sum != total {
		t.Errorf("reported %d bytes, %d are there", total, sum)
	}
	if _, err := scaffold.WriteDir(context.Background(), dir, files); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing over files: %v", err)
	}

	outside, trap := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(trap, "studies")); err != nil {
		t.Fatal(err)
	}
	if _, err := scaffold.WriteDir(context.Background(), trap, files); err == nil {
		t.Error("a link out of the directory was followed")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside of the directory are %v (%v)", entries, err)
	}

	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := scaffold.WriteDir(stopped, t.TempDir(), files); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// longARC has a table like those of large uploads: sources and samples of their
// own in every row, and parameters that repeat.
func longARC(rows int) *arc.Investigation {
	b := arc.NewTableBuilder("growth")
	unit := arc.NewTerm("degree celsius", "UO:0000027")
	temperature := arc.Header{Kind: arc.ParameterColumn, Term: arc.NewTerm("temperature", "NCRO:0000029")}
	organism := arc.Header{Kind: arc.CharacteristicColumn, Term: arc.NewTerm("organism", "OBI:0100026")}
	barley := arc.NewTermCell(arc.NewTerm("Hordeum vulgare", "http://purl.obolibrary.org/obo/NCBITaxon_4513"))
	for i := range rows {
		n := strconv.Itoa(i)
		b.Add(arc.NewHeader(arc.InputColumn, arc.IOSource), arc.NewTextCell("source "+n))
		b.Add(organism, barley)
		b.Add(temperature, arc.NewUnitizedCell(strconv.Itoa(i%40), unit))
		b.Add(arc.NewHeader(arc.OutputColumn, arc.IOSample), arc.NewTextCell("sample "+n))
		b.EndRow()
	}
	return &arc.Investigation{Identifier: "long", Assays: []*arc.Assay{{Identifier: "a", Tables: []*arc.Table{b.Table()}}}}
}

// discard counts the bytes of all files without keeping them.
func discard(tb testing.TB, inv *arc.Investigation) int64 {
	tb.Helper()
	files, err := scaffold.Files(inv)
	if err != nil {
		tb.Fatal(err)
	}
	var total int64
	for _, f := range files {
		n, err := f.WriteTo(io.Discard)
		if err != nil {
			tb.Fatal(err)
		}
		total += n
	}
	return total
}

// Writing a long table allocates per distinct text, not per cell.
func TestWritingALongTableStaysSmall(t *testing.T) {
	inv := longARC(100_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	discard(t, inv)
	runtime.ReadMemStats(&after)
	const most = 60 << 20 // 400,000 cells, 200,000 distinct texts
	if used := after.TotalAlloc - before.TotalAlloc; used > most {
		t.Errorf("writing 100,000 rows allocated %d bytes, want at most %d", used, most)
	}
}

func BenchmarkFiles(b *testing.B) {
	for _, rows := range []int{10, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			inv := longARC(rows)
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(discard(b, inv))
			}
		})
	}
}
