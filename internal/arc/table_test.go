package arc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/arc"
)

type field struct {
	header arc.Header
	cell   arc.Cell
}

func text(kind arc.ColumnKind, name, value string) field {
	return field{arc.NewHeader(kind, name), arc.NewTextCell(value)}
}

func build(rows ...[]field) *arc.Table {
	b := arc.NewTableBuilder("t")
	for _, row := range rows {
		for _, f := range row {
			b.Add(f.header, f.cell)
		}
		b.EndRow()
	}
	return b.Table()
}

// grid renders a table: headers first, "-" where a row has no cell.
func grid(t *arc.Table) [][]string {
	var out [][]string
	var heads []string
	for _, h := range t.Columns() {
		heads = append(heads, h.Text())
	}
	out = append(out, heads)
	for i := range t.NumRows() {
		row := slices.Repeat([]string{"-"}, len(heads))
		for column, c := range t.Row(i) {
			row[column] = c.Text + c.Term.Name + c.Data.Name
		}
		out = append(out, row)
	}
	return out
}

// Rows are aligned from left to right; the same headers in another order make
// repeated columns.
func TestRowsInAnotherOrderRepeatColumns(t *testing.T) {
	t.Parallel()
	in := func(v string) field { return text(arc.InputColumn, arc.IOSample, v) }
	out := func(v string) field { return text(arc.OutputColumn, arc.IOSample, v) }
	a := func(v string) field { return text(arc.ParameterColumn, "a", v) }
	b := func(v string) field { return text(arc.ParameterColumn, "b", v) }
	table := build(
		[]field{in("1"), a("1"), b("1"), out("1")},
		[]field{in("2"), b("2"), a("2"), out("2")},
	)
	want := [][]string{
		{"Input [Sample Name]", "Parameter [a]", "Parameter [b]", "Output [Sample Name]", "Parameter [a]", "Output [Sample Name]"},
		{"1", "1", "1", "1", "-", "-"},
		{"2", "-", "2", "-", "2", "2"},
	}
	if diff := cmp.Diff(want, grid(table)); diff != "" {
		t.Errorf("aligned table (-want +got):\n%s", diff)
	}
}

// The accession of a column is that of the cell that opened it.
func TestTheFirstCellGivesTheAccessionOfAColumn(t *testing.T) {
	t.Parallel()
	p := func(accession string) field {
		return field{arc.Header{Kind: arc.ParameterColumn, Term: arc.NewTerm("x", accession)}, arc.NewTextCell("v")}
	}
	table := build([]field{p("A:1")}, []field{p("B:2")})
	if got := table.Columns(); len(got) != 1 || got[0].Accession() != "A:1" {
		t.Errorf("columns = %+v, want one with the accession A:1", got)
	}
}

// Equal cells are stored once, in the spelling of the first.
func TestLaterCellsTakeTheSpellingOfTheFirst(t *testing.T) {
	t.Parallel()
	cell := func(name, accession string) []field {
		return []field{{arc.NewHeader(arc.ParameterColumn, "p"), arc.NewTermCell(arc.NewTerm(name, accession))}}
	}
	table := build(
		cell("Orbitrap", "MS:1"),
		cell("Orbitrap", "ms:1"),
		cell("Orbitrap", "http://purl.obolibrary.org/obo/MS_1"),
		cell("orbitrap", "ms:1"),
		cell("Orbitrap", ""),
	)
	var got []arc.OntologyTerm
	for i := range table.NumRows() {
		for _, c := range table.Row(i) {
			got = append(got, c.Term)
		}
	}
	first := arc.OntologyTerm{Name: "Orbitrap", TSR: "MS", TAN: "MS:1"}
	want := []arc.OntologyTerm{first, first, first, {Name: "orbitrap", TSR: "ms", TAN: "ms:1"}, {Name: "Orbitrap"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("terms (-want +got):\n%s", diff)
	}
	if n := table.NumCells(); n != 3 {
		t.Errorf("distinct cells = %d, want 3", n)
	}
}

// The first cell is that of the leftmost column, also when a row above has an equal one further right.
func TestTheFirstCellIsThatOfTheFirstColumn(t *testing.T) {
	t.Parallel()
	p := func(name, accession string) field {
		return field{arc.NewHeader(arc.ParameterColumn, name), arc.NewTermCell(arc.NewTerm("x", accession))}
	}
	unit := func(name, accession string) field {
		return field{arc.NewHeader(arc.ParameterColumn, name), arc.NewUnitizedCell("5", arc.NewTerm("g", accession))}
	}
	table := build(
		[]field{p("a", "A:1"), p("b", "ms:1"), p("c", "ms:2"), unit("d", "uo:1")},
		[]field{p("a", "Ms:1"), p("b", "MS:1"), p("c", "MS:2"), unit("d", "UO:1")},
		[]field{p("b", "MS:2"), p("a", "MS:1"), unit("b", "Uo:1")}, // the last two make columns of their own
	)
	var got []string
	for i := range table.NumRows() {
		for _, c := range table.Row(i) {
			got = append(got, c.Term.TAN)
		}
	}
	want := []string{"A:1", "Ms:1", "MS:2", "uo:1", "Ms:1", "Ms:1", "MS:2", "uo:1", "MS:2", "Ms:1", "uo:1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("accessions (-want +got):\n%s", diff)
	}
}

// Whatever the rows are, every row of the table holds exactly its own cells, in
// its own order, and each under an equal header.
func TestAlignmentLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kinds := []arc.ColumnKind{arc.InputColumn, arc.ParameterColumn, arc.FactorColumn, arc.ProtocolREFColumn, arc.OutputColumn}
		genField := rapid.Custom(func(t *rapid.T) field {
			h := arc.NewHeader(rapid.SampledFrom(kinds).Draw(t, "kind"), rapid.SampledFrom([]string{"a", "b", arc.IOData}).Draw(t, "name"))
			switch rapid.IntRange(0, 3).Draw(t, "cell") {
			case 0:
				return field{h, arc.NewTextCell(rapid.StringN(0, 2, -1).Draw(t, "text"))}
			case 1:
				return field{h, arc.NewTermCell(arc.NewTerm(rapid.SampledFrom([]string{"", "x"}).Draw(t, "term"), rapid.SampledFrom([]string{"", "A:1", "q"}).Draw(t, "tan")))}
			case 2:
				return field{h, arc.NewUnitizedCell(rapid.StringN(0, 2, -1).Draw(t, "value"), arc.NewTerm("g", "U:1"))}
			}
			return field{h, arc.NewDataCell(arc.Data{Name: "f", Format: rapid.SampledFrom([]string{"", "csv"}).Draw(t, "format")})}
		})
		rows := rapid.SliceOfN(rapid.SliceOfN(genField, 0, 6), 0, 40).Draw(t, "rows")
		table := build(rows...)
		if table.NumRows() != len(rows) {
			t.Fatalf("rows = %d, want %d", table.NumRows(), len(rows))
		}
		for i, row := range rows {
			k, last := 0, -1
			for column, c := range table.Row(i) {
				if column <= last {
					t.Fatalf("row %d: column %d after %d", i, column, last)
				}
				last = column
				if want := row[k].header.Text(); table.Columns()[column].Text() != want {
					t.Fatalf("row %d: cell %d under %q, want %q", i, k, table.Columns()[column].Text(), want)
				}
				if c != row[k].cell {
					t.Fatalf("row %d: cell %d = %+v, want %+v", i, k, c, row[k].cell)
				}
				k++
			}
			if k != len(row) {
				t.Fatalf("row %d: %d cells, want %d", i, k, len(row))
			}
		}
	})
}

// A long table costs a few allocations per distinct cell at most, not per cell.
func BenchmarkBuildLongTable(b *testing.B) {
	const rows = 100_000
	in, p, out := arc.NewHeader(arc.InputColumn, arc.IOSource), arc.Header{Kind: arc.ParameterColumn, Term: arc.NewTerm("p", "A:1")}, arc.NewHeader(arc.OutputColumn, arc.IOSample)
	names := make([]string, rows)
	for i := range names {
		names[i] = fmt.Sprintf("sample %d", i)
	}
	unit := arc.NewTerm("degree celsius", "UO:0000027")
	b.ReportAllocs()
	for b.Loop() {
		t := arc.NewTableBuilder("long")
		for i := range rows {
			t.Add(in, arc.NewTextCell(names[i]))
			t.Add(p, arc.NewUnitizedCell(names[i%50], unit))
			t.Add(out, arc.NewTextCell(names[rows-1-i]))
			t.EndRow()
		}
		if t.Table().NumRows() != rows {
			b.Fatal("rows are missing")
		}
	}
}
