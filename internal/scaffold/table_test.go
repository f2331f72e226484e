package scaffold_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/arc"
)

// entry is a cell under its header.
type entry struct {
	header arc.Header
	cell   arc.Cell
}

func tableOf(name string, rows ...[]entry) *arc.Table {
	b := arc.NewTableBuilder(name)
	for _, row := range rows {
		for _, e := range row {
			b.Add(e.header, e.cell)
		}
		b.EndRow()
	}
	return b.Table()
}

func textEntry(kind arc.ColumnKind, name, text string) entry {
	return entry{arc.NewHeader(kind, name), arc.NewTextCell(text)}
}

func termEntry(kind arc.ColumnKind, name, accession string, cell arc.Cell) entry {
	return entry{arc.Header{Kind: kind, Term: arc.NewTerm(name, accession)}, cell}
}

func assayWith(tables ...*arc.Table) *arc.Investigation {
	return &arc.Investigation{Assays: []*arc.Assay{{Identifier: "a", Tables: tables}}}
}

const assayPath = "assays/a/isa.assay.xlsx"

// Every kind of column has its spreadsheet columns, in the order input,
// protocol, values, output, whatever the order of the row.
func TestEveryKindOfColumn(t *testing.T) {
	t.Parallel()
	degree := arc.NewTerm("degree", "UO:0000027")
	row := []entry{
		{arc.NewHeader(arc.OutputColumn, arc.IOData), arc.NewDataCell(arc.Data{Name: "f.csv#row=1", Format: "text/csv", SelectorFormat: "RFC 7111"})},
		termEntry(arc.ParameterColumn, "temperature", "NCRO:1", arc.NewUnitizedCell("20", degree)),
		termEntry(arc.CharacteristicColumn, "organism", "OBI:0100026", arc.NewTermCell(arc.NewTerm("barley", "NCBITaxon_4513"))),
		termEntry(arc.FactorColumn, "time", "", arc.NewTermCell(arc.NewTerm("noon", ""))),
		termEntry(arc.ComponentColumn, "instrument", "MS:1", arc.NewTermCell(arc.NewTerm("Orbitrap", "MS:1000449"))),
		textEntry(arc.CommentColumn, "k", "v"),
		textEntry(arc.FreeTextColumn, "anything", "w"),
		textEntry(arc.ProtocolREFColumn, "", "p"),
		{arc.NewHeader(arc.ProtocolTypeColumn, ""), arc.NewTermCell(arc.NewTerm("growth", "DPBO:2"))},
		textEntry(arc.ProtocolDescriptionColumn, "", "d"),
		textEntry(arc.ProtocolURIColumn, "", "u"),
		textEntry(arc.ProtocolVersionColumn, "", "1"),
		textEntry(arc.PerformerColumn, "", "me"),
		textEntry(arc.DateColumn, "", "today"),
		textEntry(arc.InputColumn, arc.IOSource, "s"),
	}
	for kind := range arc.ColumnKinds() {
		if !slices.ContainsFunc(row, func(e entry) bool { return e.header.Kind == kind }) {
			t.Errorf("the row has no column %q", arc.NewHeader(kind, "…").Text())
		}
	}
	rows := sheetOf(t, assayWith(tableOf("growth", row)), assayPath, "growth")
	want := [][]string{{
		"Input [Source Name]",
		"Protocol REF",
		"Protocol Type", "Term Source REF (DPBO:1000161)", "Term Accession Number (DPBO:1000161)",
		"Protocol Description", "Protocol Uri", "Protocol Version", "Performer", "Date",
		"Parameter [temperature]", "Unit", "Term Source REF (NCRO:1)", "Term Accession Number (NCRO:1)",
		"Characteristic [organism]", "Term Source REF (OBI:0100026)", "Term Accession Number (OBI:0100026)",
		"Factor [time]", "Term Source REF ()", "Term Accession Number ()",
		"Component [instrument]", "Term Source REF (MS:1)", "Term Accession Number (MS:1)",
		"Comment [k]", "anything",
		"Output [Data]", "Data Format", "Data Selector Format",
	}, {
		"s", "p",
		"growth", "DPBO", "http://purl.org/nfdi4plants/ontology/dpbo/DPBO_2",
		"d", "u", "1", "me", "today",
		"20", "degree", "UO", "https://bioregistry.io/UO:0000027",
		"barley", "", "",
		"noon", "", "",
		"Orbitrap", "MS", arc.NewTerm("", "MS:1000449").URL(),
		"v", "w",
		"f.csv#row=1", "text/csv", "RFC 7111",
	}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("sheet (-want +got):\n%s", diff)
	}
}

// A term in a column with units has no unit, a missing cell leaves all its
// spreadsheet columns empty, and repeated headers get blanks.
func TestUnitsAndRepeatedHeaders(t *testing.T) {
	t.Parallel()
	gram := arc.NewTerm("g", "UO:21")
	p := func(name string, c arc.Cell) entry { return termEntry(arc.ParameterColumn, name, "A:1", c) }
	rows := sheetOf(t, assayWith(tableOf("t",
		[]entry{p("x", arc.NewUnitizedCell("1", gram)), p("y", arc.NewUnitizedCell("2", gram))},
		[]entry{p("x", arc.NewTermCell(arc.NewTerm("many", "B:2")))},
		[]entry{p("x", arc.NewTextCell("text")), p("x", arc.NewTermCell(arc.NewTerm("z", "")))},
	)), assayPath, "t")
	want := [][]string{
		{"Parameter [x]", "Unit", "Term Source REF (A:1)", "Term Accession Number (A:1)",
			"Parameter [y]", "Unit ", "Term Source REF (A:1) ", "Term Accession Number (A:1) ",
			"Parameter [x] ", "Term Source REF (A:1)  ", "Term Accession Number (A:1)  "},
		{"1", "g", "UO", "https://bioregistry.io/UO:21", "2", "g", "UO", "https://bioregistry.io/UO:21"},
		{"many", "", "B", "http://purl.obolibrary.org/obo/B_2"},
		{"text", "", "", "", "", "", "", "", "z"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("sheet (-want +got):\n%s", diff)
	}
}

// A column of data has format columns as soon as one of its cells is data, also
// when texts came first.
func TestDataColumnsKeepFormats(t *testing.T) {
	t.Parallel()
	data := entry{arc.NewHeader(arc.InputColumn, arc.IOData), arc.NewDataCell(arc.Data{Name: "f", Format: "csv"})}
	plain := textEntry(arc.InputColumn, arc.IOData, "thing")
	for name, tt := range map[string]struct {
		rows [][]entry
		want [][]string
	}{
		"text first": {[][]entry{{plain}, {data}}, [][]string{{"Input [Data]", "Data Format", "Data Selector Format"}, {"thing"}, {"f", "csv"}}},
		"only texts": {[][]entry{{plain}}, [][]string{{"Input [Data]"}, {"thing"}}},
	} {
		rows := sheetOf(t, assayWith(tableOf("t", tt.rows...)), assayPath, "t")
		if diff := cmp.Diff(tt.want, rows); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// An Excel table covers all rows, also empty ones at the end; a table without
// columns is an empty sheet that counts; names are cut off and made distinct.
func TestExcelTables(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 40)
	f := open(t, contents(t, assayWith(
		tableOf("nothing", nil),
		tableOf(long, []entry{textEntry(arc.InputColumn, arc.IOSample, "x")}, nil, []entry{textEntry(arc.InputColumn, arc.IOSample, "")}),
		tableOf("headers only"),
		tableOf(long+"!", []entry{textEntry(arc.CommentColumn, "c", "")}),
	))[assayPath])
	if diff := cmp.Diff([]string{"isa_assay", "nothing", long[:31], "headers only", long[:30] + "1"}, f.GetSheetList()); diff != "" {
		t.Errorf("sheets (-want +got):\n%s", diff)
	}
	for sheet, want := range map[string][]string{
		"isa_assay": nil, "nothing": nil, "headers only": nil,
		long[:31]:       {"annotationTable1", "A1:A4"},
		long[:30] + "1": {"annotationTable3", "A1:A2"},
	} {
		tables, err := f.GetTables(sheet)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, table := range tables {
			got = append(got, table.Name, table.Range)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tables of %s (-want +got):\n%s", sheet, diff)
		}
	}
}

// A data map is the second sheet of the assay and a workbook of its own.
func TestDataMapIsWrittenTwice(t *testing.T) {
	t.Parallel()
	inv := assayWith(tableOf("t", []entry{textEntry(arc.CommentColumn, "c", "v")}))
	inv.Assays[0].DataMap = arc.DataMap{
		{Data: arc.Data{Name: "f#1", Format: "csv"}, Unit: arc.NewTerm("g", "UO:21"), Comments: comments("b a")},
		{ObjectType: arc.NewTerm("int", "x"), Label: "l", Comments: comments("c a")},
	}
	want := [][]string{
		{"Data", "Data Format", "Data Selector Format", "Explication", "Term Source REF", "Term Accession Number", "Unit", "Term Source REF ",
			"Term Accession Number ", "Object Type", "Term Source REF  ", "Term Accession Number  ", "Description", "Generated By", "Label",
			"Comment [b]", "Comment [a]", "Comment [c]"},
		{"f#1", "csv", "", "", "", "", "g", "UO", "UO:21", "", "", "", "", "", "", "value of b", "value of a"},
		{"", "", "", "", "", "", "", "", "", "int", "", "x", "", "", "l", "", "value of a", "value of c"},
	}
	files := contents(t, inv)
	for path, sheets := range map[string][]string{
		assayPath:                   {"isa_assay", "isa_datamap", "t"},
		"assays/a/isa.datamap.xlsx": {"isa_datamap"},
	} {
		f := open(t, files[path])
		if diff := cmp.Diff(sheets, f.GetSheetList()); diff != "" {
			t.Errorf("sheets of %s (-want +got):\n%s", path, diff)
		}
		if diff := cmp.Diff(want, rowsOf(t, f, "isa_datamap")); diff != "" {
			t.Errorf("data map in %s (-want +got):\n%s", path, diff)
		}
		tables, err := f.GetTables("isa_datamap")
		if err != nil || len(tables) != 1 || tables[0].Name != "datamapTable" || tables[0].Range != "A1:R3" {
			t.Errorf("tables of the data map in %s: %+v (%v)", path, tables, err)
		}
	}
}

func studyWith(tables ...*arc.Table) *arc.Investigation {
	return &arc.Investigation{Studies: []*arc.Study{{Identifier: "s", Tables: tables}}}
}

const studyPath = "studies/s/isa.study.xlsx"

// A study lists its factors, once per table, and its protocols, one for each
// distinct way in which the rows of a table say how something was done.
func TestFactorsAndProtocolsOfAStudy(t *testing.T) {
	t.Parallel()
	factor := func(name, accession string) entry {
		return termEntry(arc.FactorColumn, name, accession, arc.NewTermCell(arc.NewTerm("v", "")))
	}
	component := func(c arc.Cell) entry { return termEntry(arc.ComponentColumn, "tool", "X:1", c) }
	ml := arc.NewTerm("ml", "UO:0000098")
	ref := func(name string) entry { return textEntry(arc.ProtocolREFColumn, "", name) }
	parameter := termEntry(arc.ParameterColumn, "p", "P:1", arc.NewTextCell(""))
	rows := sheetOf(t, studyWith(
		tableOf("one",
			[]entry{factor("light", "A:1"), factor("light", "A:1"), ref("r1"), parameter, component(arc.NewUnitizedCell("05", ml))},
			[]entry{ref("r1"), parameter, component(arc.NewUnitizedCell("5.0", ml))},
			[]entry{ref("r2"), parameter, component(arc.NewTermCell(arc.NewTerm("python", "")))},
			[]entry{ref("r2")},
		),
		tableOf("two",
			[]entry{factor("light", "A:1"), component(arc.NewTermCell(arc.NewTerm("Orbitrap", "MS:1000449")))},
			[]entry{factor("light", "A:1")},
			[]entry{factor("light", "A:1"), component(arc.NewTermCell(arc.NewTerm("Orbitrap", "ms:1000449")))},
		),
	), studyPath, "isa_study")
	for label, want := range map[string][]string{
		"Study Factor Name":                                    {"Factor [light]", "Factor [light]"},
		"Study Factor Type Term Accession Number":              {"http://purl.obolibrary.org/obo/A_1", "http://purl.obolibrary.org/obo/A_1"},
		"Study Protocol Name":                                  {"r1", "r2", "r2", "two", "two"},
		"Study Protocol Parameters Name":                       {"p", "p", "p"},
		"Study Protocol Parameters Term Accession Number":      {"P:1", "P:1", "P:1"},
		"Study Protocol Components Name":                       {"5 ml (UO:0000098)", "python ()", " ()", "Orbitrap (MS:1000449)", " ()"},
		"Study Protocol Components Type":                       {"tool", "tool", "tool", "tool", "tool"},
		"Study Protocol Components Type Term Accession Number": {"X:1", "X:1", "X:1", "X:1", "X:1"},
	} {
		if diff := cmp.Diff(want, values(t, rows, label)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", label, diff)
		}
	}
}

// Missing components are empty, with two blanks where the last filled cell of
// the column has a unit.
func TestMissingComponentsInAColumnWithUnits(t *testing.T) {
	t.Parallel()
	component := termEntry(arc.ComponentColumn, "c", "", arc.NewUnitizedCell("n/a", arc.NewTerm("g", "")))
	rows := sheetOf(t, studyWith(tableOf("t", []entry{}, []entry{component})), studyPath, "isa_study")
	if diff := cmp.Diff([]string{"  ()", "n/a g ()"}, values(t, rows, "Study Protocol Components Name")); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
}

// A row without a protocol cell says the same as a row with an empty one, so the
// two share a protocol.
func TestMissingAndEmptyCellsAreOneProtocol(t *testing.T) {
	t.Parallel()
	component := func(c arc.Cell) entry { return termEntry(arc.ComponentColumn, "c", "", c) }
	kind := func(name string) entry {
		return entry{arc.NewHeader(arc.ProtocolTypeColumn, ""), arc.NewTermCell(arc.NewTerm(name, ""))}
	}
	for name, table := range map[string]*arc.Table{
		"text":       tableOf("t", []entry{textEntry(arc.ProtocolREFColumn, "", "")}, []entry{}),
		"type":       tableOf("t", []entry{kind("")}, []entry{}),
		"component":  tableOf("t", []entry{component(arc.NewTermCell(arc.OntologyTerm{}))}, []entry{}),
		"with units": tableOf("t", []entry{}, []entry{component(arc.NewUnitizedCell("", arc.OntologyTerm{}))}),
	} {
		rows := sheetOf(t, studyWith(table, tableOf("next", []entry{textEntry(arc.CommentColumn, "", "")})), studyPath, "isa_study")
		got := values(t, rows, "Study Protocol Name")
		if len(got) != 2 || got[1] != "next" {
			t.Errorf("%s: protocols %q, want one and then next", name, got)
		}
	}
}

// A table or a list of protocols that no spreadsheet program could open is a
// problem, found without laying it out.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	wide := arc.NewTableBuilder("wide")
	for i := range 6000 {
		wide.Add(arc.NewHeader(arc.ParameterColumn, "p"+strings.Repeat("x", i%50)+string(rune('a'+i%26))), arc.NewTermCell(arc.NewTerm("v", "")))
	}
	wide.EndRow()
	many := arc.NewTableBuilder("many")
	for i := range 20_000 {
		many.Add(arc.NewHeader(arc.ProtocolREFColumn, ""), arc.NewTextCell(strings.Repeat("r", i%200)+string(rune('a'+i/200))))
		many.EndRow()
	}
	got := problems(t, studyWith(wide.Table(), many.Table()))
	if len(got) != 2 || got[0].Code != "too-large" || got[1].Code != "too-large" {
		t.Errorf("problems = %+v, want two that say too large", got)
	}
	if got := problems(t, assayWith(slices.Repeat([]*arc.Table{arc.NewTableBuilder("one of many").Table()}, 20_000)...)); len(got) != 1 || got[0].Code != "too-large" {
		t.Errorf("problems = %+v, want one that says too large", got)
	}
	long := arc.NewTableBuilder("long")
	for range 1 << 20 {
		long.EndRow()
	}
	if got := problems(t, assayWith(long.Table())); len(got) != 1 || got[0].Code != "too-large" {
		t.Errorf("problems = %+v, want one that says too large", got)
	}
}
