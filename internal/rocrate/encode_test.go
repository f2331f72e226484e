package rocrate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate"
)

// What is written as a crate reads as the same ARC.
func TestEncodedARCsReadBackAsThemselves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := genInvestigation().Draw(t, "arc")
		doc, err := rocrate.Encode(want)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		got, findings := read(t, doc)
		if got == nil {
			t.Fatalf("not readable: %+v\n%s", findings, doc)
		}
		if diff := cmp.Diff(want, got, sameARC); diff != "" {
			t.Fatalf("read back (-want +got):\n%s\n%s", diff, doc)
		}
		if _, err := rocrate.Scan(doc); err != nil {
			t.Fatalf("not uploadable: %v", err)
		}
	})
}

// The same ARC gives the same document: nothing in it depends on the clock or
// on the order of a map.
func TestEncodingIsReproducible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		inv := genInvestigation().Draw(t, "arc")
		first, err := rocrate.Encode(inv)
		if err != nil {
			t.Fatal(err)
		}
		second, err := rocrate.Encode(inv)
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(second) {
			t.Fatalf("first:\n%s\nsecond:\n%s", first, second)
		}
	})
}

// No two entities of a crate share an @id: readers would merge them.
func TestEncodedEntitiesAreDistinct(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, err := rocrate.Encode(genInvestigation().Draw(t, "arc"))
		if err != nil {
			t.Fatal(err)
		}
		var crate struct {
			Graph []struct {
				ID string `json:"@id"`
			} `json:"@graph"`
		}
		if err := json.Unmarshal(doc, &crate); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, e := range crate.Graph {
			if seen[e.ID] {
				t.Fatalf("two entities %q in\n%s", e.ID, doc)
			}
			seen[e.ID] = true
		}
	})
}

// A row with two inputs has no form in a crate, and the error names the table.
func TestTwoInputsInARowAreRefused(t *testing.T) {
	t.Parallel()
	b := arc.NewTableBuilder("growth")
	for range 2 {
		b.Add(arc.NewHeader(arc.InputColumn, arc.IOSource), arc.NewTextCell("x"))
	}
	b.EndRow()
	_, err := rocrate.Encode(&arc.Investigation{Studies: []*arc.Study{{Identifier: "s", Tables: []*arc.Table{b.Table()}}}})
	if err == nil || !strings.Contains(err.Error(), `table "growth"`) {
		t.Errorf("error = %v, want one that names the table", err)
	}
}

// Every kind of column is written to a crate and comes back. Performers and dates
// belong to the process, where no reader looks for columns; a free text comes
// back as a comment.
func TestEveryKindOfColumnHasAFormInACrate(t *testing.T) {
	t.Parallel()
	for kind := range arc.ColumnKinds() {
		name := "x"
		if kind == arc.InputColumn || kind == arc.OutputColumn {
			name = arc.IOSample
		}
		h := arc.NewHeader(kind, name)
		cell := arc.NewTextCell("the cell")
		if h.Holds() == arc.TermCell {
			cell = arc.NewTermCell(arc.NewTerm("the cell", "MS:1"))
		}
		b := arc.NewTableBuilder("growth")
		if kind != arc.InputColumn { // of which a row has one
			b.Add(arc.NewHeader(arc.InputColumn, arc.IOSample), arc.NewTextCell("in"))
		}
		b.Add(h, cell)
		if kind != arc.OutputColumn {
			b.Add(arc.NewHeader(arc.OutputColumn, arc.IOSample), arc.NewTextCell("out"))
		}
		b.EndRow()
		doc, err := rocrate.Encode(&arc.Investigation{Identifier: "i", Studies: []*arc.Study{{Identifier: "s", Tables: []*arc.Table{b.Table()}}}})
		if err != nil {
			t.Errorf("%s: %v", h.Text(), err)
			continue
		}
		if !strings.Contains(string(doc), "the cell") {
			t.Errorf("%s: the cell is not in %s", h.Text(), doc)
		}
		back := mustRead(t, doc).Studies[0].Tables[0]
		var got []string
		for column, c := range back.Row(0) {
			if c == cell {
				got = append(got, back.Columns()[column].Text())
			}
		}
		want := []string{h.Text()}
		switch kind {
		case arc.PerformerColumn, arc.DateColumn:
			want = nil
		case arc.FreeTextColumn:
			want = []string{"Comment [x]"}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: columns with the cell (-want +got):\n%s\n%s", h.Text(), diff, doc)
		}
	}
}

// sameARC compares ARCs: tables by what they show, absent lists as empty ones.
var sameARC = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Transformer("Grid", func(t *arc.Table) grid {
		g := grid{Name: t.Name}
		for _, h := range t.Columns() {
			g.Columns = append(g.Columns, fmt.Sprintf("%s (%s)", h.Text(), h.Accession()))
		}
		for i := range t.NumRows() {
			row := map[int]arc.Cell{}
			for column, cell := range t.Row(i) {
				row[column] = cell
			}
			g.Rows = append(g.Rows, row)
		}
		return g
	}),
}

type grid struct {
	Name    string
	Columns []string
	Rows    []map[int]arc.Cell
}

// genText gives texts that senders use, some of them nasty.
func genText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b c", "ä€😀", "=1+1", "007", "<&>", "a\nb", `\`, "x: y", "10.1000/1"}),
		rapid.StringMatching(`[a-zA-Z0-9 _.,:;()-]{1,12}`),
	)
}

// genQuotable leaves out what comments of persons and processes cannot say.
func genQuotable() *rapid.Generator[string] {
	return genText().Filter(func(s string) bool { return !strings.Contains(s, `"`) })
}

func optional(g *rapid.Generator[string]) *rapid.Generator[string] {
	return rapid.OneOf(rapid.Just(""), g)
}

func genTerm() *rapid.Generator[arc.OntologyTerm] {
	return rapid.Custom(func(t *rapid.T) arc.OntologyTerm {
		return arc.NewTerm(genText().Draw(t, "term"),
			rapid.SampledFrom([]string{"", "MS:1000031", "OBI:0000070", "ncit:c1", "a:1_2", "http://example.org/x", "NCIT:C25206"}).Draw(t, "accession"))
	})
}

func genMaybeTerm() *rapid.Generator[arc.OntologyTerm] {
	return rapid.OneOf(rapid.Just(arc.OntologyTerm{}), genTerm())
}

// genComments gives comments with distinct names.
func genComments(text *rapid.Generator[string]) *rapid.Generator[[]arc.Comment] {
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) arc.Comment {
		return arc.Comment{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")}
	}), 0, 3, func(c arc.Comment) string { return c.Name })
}

func genPersons() *rapid.Generator[[]arc.Person] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arc.Person {
		return arc.Person{
			FirstName:   optional(genText()).Draw(t, "first"),
			LastName:    optional(genText()).Draw(t, "last"),
			MidInitials: optional(genText()).Draw(t, "mid"),
			Email:       optional(genText()).Draw(t, "email"),
			Phone:       optional(genText()).Draw(t, "phone"),
			Fax:         optional(genText()).Draw(t, "fax"),
			Address:     optional(genText()).Draw(t, "address"),
			Affiliation: optional(genText()).Draw(t, "affiliation"),
			ORCID:       rapid.SampledFrom([]string{"", "0000-0002-1825-0097", "0000-0001-5109-370X"}).Draw(t, "orcid"),
			Roles:       rapid.SliceOfN(genTerm(), 0, 2).Draw(t, "roles"),
			Comments:    genComments(genQuotable()).Draw(t, "comments"),
		}
	}), 0, 3)
}

func genPublications() *rapid.Generator[[]arc.Publication] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arc.Publication {
		return arc.Publication{
			PubMedID:   optional(genText()).Draw(t, "pubmed"),
			DOI:        optional(genText()).Draw(t, "doi"),
			AuthorList: optional(genText()).Draw(t, "authors"),
			Title:      optional(genText()).Draw(t, "title"),
			Status:     genMaybeTerm().Draw(t, "status"),
			Comments:   genComments(genText()).Draw(t, "comments"),
		}
	}), 0, 2)
}

func genDataMap() *rapid.Generator[arc.DataMap] {
	return rapid.Custom(func(t *rapid.T) arc.DataMap {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arc.DataContext {
			return arc.DataContext{
				Data:        genData().Draw(t, "data"),
				Explication: genMaybeTerm().Draw(t, "explication"),
				Unit:        genMaybeTerm().Draw(t, "unit"),
				ObjectType:  genMaybeTerm().Draw(t, "type"),
				Description: optional(genText()).Draw(t, "description"),
				GeneratedBy: optional(genText()).Draw(t, "by"),
				Label:       optional(genText()).Draw(t, "label"),
				Comments:    genComments(genQuotable()).Draw(t, "comments"),
			}
		}), 0, 2).Draw(t, "datamap")
	})
}

func genData() *rapid.Generator[arc.Data] {
	return rapid.Custom(func(t *rapid.T) arc.Data {
		return arc.Data{
			Name:           rapid.SampledFrom([]string{"f.csv", "f.csv#col=1", "dir/ä.txt"}).Draw(t, "name"),
			Format:         optional(genText()).Draw(t, "format"),
			SelectorFormat: optional(genText()).Draw(t, "selector"),
		}
	})
}

// genTables gives tables whose rows have the same columns, in the order in
// which crates list them.
func genTables() *rapid.Generator[[]*arc.Table] {
	return rapid.Custom(func(t *rapid.T) []*arc.Table {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9 ]{0,5}[a-z]`), 0, 2, rapid.ID).Draw(t, "tables")
		tables := make([]*arc.Table, len(names))
		for i, name := range names {
			tables[i] = genTable(t, name)
		}
		return tables
	})
}

func genTable(t *rapid.T, name string) *arc.Table {
	input := rapid.SampledFrom([]string{arc.IOSource, arc.IOSample, arc.IOMaterial, arc.IOData, "Image"}).Draw(t, "input")
	output := rapid.SampledFrom([]string{arc.IOSample, arc.IOMaterial, arc.IOData, "Image"}).Draw(t, "output")
	protocol := rapid.Bool().Draw(t, "protocol")
	comment := rapid.Bool().Draw(t, "comment")
	values := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) arc.Header {
		return arc.Header{
			Kind: rapid.SampledFrom([]arc.ColumnKind{arc.CharacteristicColumn, arc.ComponentColumn, arc.ParameterColumn, arc.FactorColumn}).Draw(t, "kind"),
			Term: genTerm().Draw(t, "header"),
		}
	}), 0, 5, arc.Header.Text).Draw(t, "values")
	b := arc.NewTableBuilder(name)
	for range rapid.IntRange(1, 4).Draw(t, "rows") {
		b.Add(arc.NewHeader(arc.InputColumn, input), genIO(t, input))
		if protocol {
			b.Add(arc.NewHeader(arc.ProtocolREFColumn, ""), arc.NewTextCell(optional(genText()).Draw(t, "ref")))
			b.Add(arc.NewHeader(arc.ProtocolDescriptionColumn, ""), arc.NewTextCell(genText().Draw(t, "description")))
			b.Add(arc.NewHeader(arc.ProtocolURIColumn, ""), arc.NewTextCell(genText().Draw(t, "uri")))
			b.Add(arc.NewHeader(arc.ProtocolVersionColumn, ""), arc.NewTextCell(genText().Draw(t, "version")))
			b.Add(arc.NewHeader(arc.ProtocolTypeColumn, ""), arc.NewTermCell(genTerm().Draw(t, "type")))
		}
		for _, h := range values {
			cell := arc.NewTermCell(genTerm().Draw(t, "cell"))
			if rapid.Bool().Draw(t, "unitized") {
				cell = arc.NewUnitizedCell(optional(genText()).Draw(t, "value"), genTerm().Draw(t, "unit"))
			}
			b.Add(h, cell)
		}
		if comment {
			b.Add(arc.NewHeader(arc.CommentColumn, "note"), arc.NewTextCell(genQuotable().Draw(t, "note")))
		}
		b.Add(arc.NewHeader(arc.OutputColumn, output), genIO(t, output))
		b.EndRow()
	}
	return b.Table()
}

func genIO(t *rapid.T, kind string) arc.Cell {
	if kind == arc.IOData {
		return arc.NewDataCell(genData().Draw(t, "io"))
	}
	return arc.NewTextCell(genText().Draw(t, "io"))
}

func genCWLType() *rapid.Generator[arc.CWLType] {
	return rapid.Custom(func(t *rapid.T) arc.CWLType {
		base := arc.CWLType{Kind: rapid.SampledFrom([]arc.CWLTypeKind{arc.CWLFile, arc.CWLDirectory, arc.CWLString, arc.CWLInt, arc.CWLDouble, arc.CWLBoolean}).Draw(t, "kind")}
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 1:
			return arc.CWLType{Kind: arc.CWLArray, Items: &base}
		case 2:
			return arc.CWLType{Kind: arc.CWLUnion, Members: []arc.CWLType{{Kind: arc.CWLNull}, base}}
		case 3:
			return arc.CWLType{Kind: arc.CWLEnum, Symbols: []string{"a", "b"}}
		}
		return base
	})
}

func genUnit() *rapid.Generator[*arc.ProcessingUnit] {
	return rapid.Custom(func(t *rapid.T) *arc.ProcessingUnit {
		u := &arc.ProcessingUnit{Class: rapid.SampledFrom([]arc.UnitClass{arc.CommandLineTool, arc.CWLWorkflow, arc.ExpressionTool, arc.Operation}).Draw(t, "class")}
		name := rapid.StringMatching(`[a-z]{1,6}`)
		prefix, position, glob := "--in", 3, "*.csv"
		u.Inputs = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arc.CWLParameter {
			p := arc.CWLParameter{Name: name.Draw(t, "name"), Type: genCWLType().Draw(t, "type")}
			if rapid.Bool().Draw(t, "bound") {
				p.Prefix, p.Position = &prefix, &position
			}
			return p
		}), 0, 3).Draw(t, "inputs")
		u.Outputs = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arc.CWLParameter {
			p := arc.CWLParameter{Name: name.Draw(t, "name"), Type: genCWLType().Draw(t, "type")}
			if rapid.Bool().Draw(t, "globbed") {
				p.Glob = &glob
			}
			return p
		}), 0, 3).Draw(t, "outputs")
		switch u.Class {
		case arc.CWLWorkflow:
			u.Steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arc.CWLStep {
				return arc.CWLStep{Name: name.Draw(t, "step"), Run: name.Draw(t, "run") + ".cwl"}
			}), 0, 2).Draw(t, "steps")
		case arc.ExpressionTool:
			expression := genText().Draw(t, "expression")
			u.Expression = &expression
		}
		return u
	})
}

func genInvestigation() *rapid.Generator[*arc.Investigation] {
	identifiers := func(t *rapid.T, label string) []string {
		return rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z0-9_-]{1,8}`), 0, 2, rapid.ID).Draw(t, label)
	}
	return rapid.Custom(func(t *rapid.T) *arc.Investigation {
		inv := &arc.Investigation{
			Identifier:        genText().Filter(func(s string) bool { return strings.TrimSpace(s) != "" }).Draw(t, "identifier"),
			Title:             optional(genText()).Draw(t, "title"),
			Description:       optional(genText()).Draw(t, "description"),
			SubmissionDate:    rapid.SampledFrom([]string{"", "2026-03-01", "yesterday"}).Draw(t, "submitted"),
			PublicReleaseDate: rapid.SampledFrom([]string{"", "2026-03-01T10:00:00"}).Draw(t, "released"),
			Publications:      genPublications().Draw(t, "publications"),
			Contacts:          genPersons().Draw(t, "contacts"),
			Comments:          genComments(genText()).Draw(t, "comments"),
		}
		for _, id := range identifiers(t, "studies") {
			inv.Studies = append(inv.Studies, &arc.Study{
				Identifier:     id,
				Title:          optional(genText()).Draw(t, "title"),
				Description:    optional(genText()).Draw(t, "description"),
				SubmissionDate: optional(genText()).Draw(t, "submitted"),
				Publications:   genPublications().Draw(t, "publications"),
				Contacts:       genPersons().Draw(t, "contacts"),
				Comments:       genComments(genText()).Draw(t, "comments"),
				Tables:         genTables().Draw(t, "tables"),
				DataMap:        genDataMap().Draw(t, "datamap"),
			})
		}
		for _, id := range identifiers(t, "assays") {
			inv.Assays = append(inv.Assays, &arc.Assay{
				Identifier:         id,
				Title:              optional(genText()).Draw(t, "title"),
				Description:        optional(genText()).Draw(t, "description"),
				MeasurementType:    genMaybeTerm().Draw(t, "measurement"),
				TechnologyType:     genMaybeTerm().Draw(t, "technology"),
				TechnologyPlatform: genMaybeTerm().Draw(t, "platform"),
				Performers:         genPersons().Draw(t, "performers"),
				Comments:           genComments(genText()).Draw(t, "comments"),
				Tables:             genTables().Draw(t, "tables"),
				DataMap:            genDataMap().Draw(t, "datamap"),
			})
		}
		for _, id := range identifiers(t, "workflows") {
			inv.Workflows = append(inv.Workflows, &arc.Workflow{
				Identifier: id,
				Type:       genMaybeTerm().Draw(t, "type"),
				URI:        optional(genText()).Draw(t, "uri"),
				Version:    optional(genText()).Draw(t, "version"),
				Components: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arc.Component {
					return arc.Component{Name: optional(genText()).Draw(t, "component"), Type: genTerm().Draw(t, "component type")}
				}), 0, 2).Draw(t, "components"),
				Contacts: genPersons().Draw(t, "contacts"),
				Unit:     genUnit().Draw(t, "unit"),
			})
		}
		for _, id := range identifiers(t, "runs") {
			inv.Runs = append(inv.Runs, &arc.Run{
				Identifier:      id,
				MeasurementType: genMaybeTerm().Draw(t, "measurement"),
				Performers:      genPersons().Draw(t, "performers"),
				Tables:          genTables().Draw(t, "tables"),
				Unit:            genUnit().Draw(t, "unit"),
			})
		}
		if rapid.Bool().Draw(t, "licensed") {
			text := genText().Draw(t, "license")
			inv.License = &arc.License{ID: rapid.SampledFrom([]string{"#LICENSE", "LICENSE.txt"}).Draw(t, "license id"), Text: &text}
		}
		return inv
	})
}
