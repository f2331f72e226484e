package mapping_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold"
	"github.com/fairagro/middleware-api/internal/sqltoarc/datagen"
	"github.com/fairagro/middleware-api/internal/sqltoarc/mapping"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

func text(s string) source.Value { return source.Value{Text: s, Valid: true} }

// row makes a row of a view out of named values; the others are NULL.
func row(tb testing.TB, view string, values map[string]string) source.Row {
	tb.Helper()
	for _, v := range source.Views() {
		if v.Name != view {
			continue
		}
		r := make(source.Row, len(v.Columns))
		left := len(values)
		for i, c := range v.Columns {
			if value, ok := values[c.Name]; ok {
				r[i] = text(value)
				left--
			}
		}
		if left > 0 {
			tb.Fatalf("%s: not all of %v are columns", view, values)
		}
		return r
	}
	tb.Fatalf("no view %s", view)
	return nil
}

// dataset has one study and one assay of it.
func dataset(tb testing.TB) *source.Dataset {
	tb.Helper()
	return &source.Dataset{
		Investigation: row(tb, "vInvestigation", map[string]string{"identifier": "I", "title": "T", "description_text": "D",
			"submission_date": "2026-03-01 10:00:00", "public_release_date": "2026-04-01 00:00:00.5+00"}),
		Studies: []source.Row{row(tb, "vStudy", map[string]string{"identifier": " S ", "title": "ST", "investigation_ref": "I"})},
		Assays: []source.Row{row(tb, "vAssay", map[string]string{"identifier": "A", "title": "AT", "description_text": "AD",
			"measurement_type_term": "m", "measurement_type_uri": "http://purl.obolibrary.org/obo/OBI_1", "measurement_type_version": "9",
			"technology_type_uri": "OBI:2", "technology_platform": "P", "investigation_ref": "I", "study_ref": `["S"]`})},
	}
}

func mapped(tb testing.TB, d *source.Dataset) *arc.Investigation {
	tb.Helper()
	result := mapping.New(mapping.Limits{}).Map(d)
	if len(result.Findings) > 0 || result.ARC == nil {
		tb.Fatalf("findings: %v", result.Findings)
	}
	return result.ARC
}

// Metadata goes where the documentation says: a URI without a term is no
// annotation, a platform is one with only a term, versions have no place.
func TestMetadata(t *testing.T) {
	t.Parallel()
	d := dataset(t)
	d.Studies[0][source.StudySubmission], d.Studies[0][source.StudyRelease] = text("2026-01-02"), text("2026-03-04")
	d.Assays = append(d.Assays, row(t, "vAssay", map[string]string{"identifier": "B", "measurement_type_uri": "http://purl.obolibrary.org/obo/OBI_1",
		"technology_type_term": "t", "technology_type_uri": "http://purl.obolibrary.org/obo/OBI_2", "investigation_ref": "I"}))
	contact := func(target, ref, roles string) source.Row {
		return row(t, "vContact", map[string]string{"last_name": "L" + target, "first_name": " F ", "mid_initials": "M", "email": "e", "phone": "ph", "fax": "fa",
			"postal_address": "ad", "affiliation": "af", "roles": roles, "target_type": target, "target_ref": ref, "investigation_ref": "I"})
	}
	d.Contacts = []source.Row{contact("investigation", "", `[{"term":"r","uri":"NCIT:C1","version":"1"},{"uri":"x"}]`), contact("Study", "S", "[]"), contact("assay", "A", "")}
	publication := func(target, ref string) source.Row {
		return row(t, "vPublication", map[string]string{"title": "P" + target, "doi": "10.1/x", "pubmed_id": "1", "authors": "a, b",
			"status_term": "published", "status_uri": "EFO:1", "target_type": target, "target_ref": ref, "investigation_ref": "I"})
	}
	d.Publications = []source.Row{publication("investigation", ""), publication("study", "S")}
	person := func(target string, roles ...arc.OntologyTerm) arc.Person {
		return arc.Person{LastName: "L" + target, FirstName: " F ", MidInitials: "M", Email: "e", Phone: "ph", Fax: "fa", Address: "ad", Affiliation: "af", Roles: roles}
	}
	article := func(target string) arc.Publication {
		return arc.Publication{Title: "P" + target, DOI: "10.1/x", PubMedID: "1", AuthorList: "a, b", Status: arc.NewTerm("published", "EFO:1")}
	}
	want := &arc.Investigation{
		Identifier: "I", Title: "T", Description: "D", SubmissionDate: "2026-03-01T10:00:00", PublicReleaseDate: "2026-04-01T00:00:00.500000+00:00",
		Contacts:     []arc.Person{person("investigation", arc.NewTerm("r", "NCIT:C1"))},
		Publications: []arc.Publication{article("investigation")},
		Studies: []*arc.Study{{Identifier: "S", Title: "ST", SubmissionDate: "2026-01-02T00:00:00", PublicReleaseDate: "2026-03-04T00:00:00",
			Contacts: []arc.Person{person("Study")}, Publications: []arc.Publication{article("study")}}},
		Assays: []*arc.Assay{{Identifier: "A", Title: "AT", Description: "AD", MeasurementType: arc.OntologyTerm{Name: "m", TSR: "OBI", TAN: "OBI:1"},
			TechnologyPlatform: arc.OntologyTerm{Name: "P"}, Performers: []arc.Person{person("assay")}},
			{Identifier: "B", TechnologyType: arc.OntologyTerm{Name: "t", TSR: "OBI", TAN: "OBI:2"}}},
	}
	if diff := cmp.Diff(want, mapped(t, d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// cellRow is a row of vAnnotationTable in few words: column type, io type or
// name or term, row, value, term.
func cellRow(tb testing.TB, kind, what string, index int, value, term string) source.Row {
	tb.Helper()
	values := map[string]string{"table_name": "N", "target_type": "assay", "target_ref": "A", "investigation_ref": "I",
		"column_type": kind, "row_index": fmt.Sprint(index)}
	switch kind {
	case "input", "output", " Output":
		values["column_io_type"] = what
	case "comment":
		values["column_value"] = what
	case "date", "performer":
	default:
		values["column_annotation_term"], values["column_annotation_uri"] = what, "OBI:7"
	}
	if value != "" {
		values["cell_value"] = value
	}
	if term != "" {
		values["cell_annotation_term"], values["cell_annotation_uri"] = term, "UO:1"
	}
	return row(tb, "vAnnotationTable", values)
}

// Every type of column and every kind of cell becomes what it stands for; gaps
// are filled, and of two cells at one place the last one counts.
func TestAnnotationTable(t *testing.T) {
	t.Parallel()
	d := dataset(t)
	d.Cells = []source.Row{
		cellRow(t, "input", "source_name", 0, "s0", ""), cellRow(t, "characteristic", "c", 0, "", "wheat"), cellRow(t, "parameter", "p", 0, "1.5", "cm"),
		cellRow(t, "component", "k", 0, "plain", ""), cellRow(t, "factor", "f", 0, "", ""), cellRow(t, "comment", "remark", 0, "hm", ""),
		cellRow(t, "date", "", 0, "2026-01-01", ""), cellRow(t, "performer", "", 0, "Ada", ""), cellRow(t, "output", "data", 0, "a.raw", ""),
		cellRow(t, "input", "source_name", 2, "old", ""), cellRow(t, "input", "source_name", 2, "s2", ""),
	}
	result := mapping.New(mapping.Limits{}).Map(d)
	if n := len(result.Findings); n != 3 || result.ARC == nil { // of the date, the performer and the cell given twice
		t.Fatalf("findings: %v", result.Findings)
	}
	table := result.ARC.Assays[0].Tables[0]
	headers := []string{"Input [Source Name]", "Characteristic [c]", "Parameter [p]", "Component [k]", "Factor [f]", "Comment [remark]", "Date", "Performer", "Output [Data]"}
	var got []string
	for _, h := range table.Columns() {
		got = append(got, h.Text())
	}
	if diff := cmp.Diff(headers, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	unit := arc.OntologyTerm{Name: "cm", TSR: "UO", TAN: "UO:1"}
	wheat := unit
	wheat.Name = "wheat"
	name := func(s string) arc.Cell { return arc.NewTermCell(arc.OntologyTerm{Name: s}) }
	empty := []arc.Cell{arc.NewTextCell(""), name(""), name(""), name(""), name(""), arc.NewTextCell(""), arc.NewTextCell(""), arc.NewTextCell(""), arc.NewDataCell(arc.Data{})}
	last := append([]arc.Cell{arc.NewTextCell("s2")}, empty[1:]...)
	want := [][]arc.Cell{
		{arc.NewTextCell("s0"), arc.NewTermCell(wheat), arc.NewUnitizedCell("1.5", unit), name("plain"), name(""), arc.NewTextCell("hm"),
			arc.NewTextCell("2026-01-01"), arc.NewTextCell("Ada"), arc.NewDataCell(arc.Data{Name: "a.raw"})},
		empty, last,
	}
	rows := make([][]arc.Cell, table.NumRows())
	for i := range rows {
		for _, c := range table.Row(i) {
			rows[i] = append(rows[i], c)
		}
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
}

// What a crate cannot bring into the tables in git is told, once for a dataset.
func TestLossesAreTold(t *testing.T) {
	t.Parallel()
	d := dataset(t)
	for _, kind := range []string{"date", "performer"} {
		d.Cells = append(d.Cells, cellRow(t, kind, "", 0, "x", ""), cellRow(t, kind, "", 1, "y", ""))
	}
	d.Cells = append(d.Cells, cellRow(t, "comment", "remark", 0, `a "b"`, ""), cellRow(t, "comment", "remark", 1, `"`, ""), cellRow(t, "parameter", "p", 0, `"`, ""))
	for _, name := range []string{"N", "M"} {
		for _, row := range d.Cells[:7] {
			again := slices.Clone(row)
			again[source.CellTable] = source.Value{Text: name, Valid: true}
			d.Cells = append(d.Cells, again)
		}
	}
	var got []string
	for _, f := range mapping.New(mapping.Limits{}).Map(d).Findings {
		got = append(got, string(f.Severity)+" "+f.Text)
	}
	want := []string{
		"warning the values of date columns are sent, but do not arrive in the tables in git",
		"warning the values of performer columns are sent, but do not arrive in the tables in git",
		"warning double quotes in comment columns become single ones: a crate cannot hold them there",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What a crate holds, but git does not, is told with its column, and nothing else is:
// accessions in tables without a short form, terms in columns of texts, characters
// that XML does not have, names that no sheet can have, terms that look like two in a
// list, and cells in whose place another one came.
func TestWhatDoesNotArriveInGitIsTold(t *testing.T) {
	t.Parallel()
	const oddURI = "http://example.org/methods#spade"
	long := strings.Repeat("n", 32)
	with := func(row source.Row, column int, value string) source.Row {
		row[column] = text(value)
		return row
	}
	parameter := func(term, value string) source.Row { return cellRow(t, "parameter", term, 0, value, "cm") }
	inStudy := func(row source.Row) source.Row {
		return with(with(row, source.CellTargetType, "study"), source.CellTarget, "S")
	}
	for name, c := range map[string]struct {
		change func(d *source.Dataset)
		cells  []source.Row
		want   string // column and beginning of the text
	}{
		"plain":                     {cells: []source.Row{parameter("p", "1"), parameter("q", "2")}},
		"accession of a cell":       {cells: []source.Row{with(parameter("p", "1"), source.CellURI, oddURI)}, want: "cell_annotation_uri: accessions without"},
		"without a term":            {cells: []source.Row{with(cellRow(t, "parameter", "p", 0, "1", ""), source.CellURI, oddURI)}},
		"accession of a column":     {cells: []source.Row{with(parameter("p", "1"), source.CellColumnURI, oddURI)}, want: "column_annotation_uri: accessions without"},
		"accession of a comment":    {cells: []source.Row{cellRow(t, "comment", "k", 0, "", "cm")}, want: "cell_annotation_uri: a column of texts"},
		"control character":         {cells: []source.Row{parameter("p", "a\x01b")}, want: "cell_value: the character U+0001"},
		"no character":              {cells: []source.Row{parameter("p", "a\uffff")}, want: "cell_value: the character U+FFFF"},
		"white space":               {cells: []source.Row{parameter("p", "a\tb\r\nc\u0085\u007f")}},
		"control in a title":        {change: func(d *source.Dataset) { d.Investigation[source.InvestigationTitle] = text("\x1f") }, want: "title: the character U+001F"},
		"control in a marker":       {change: func(d *source.Dataset) { d.Investigation[source.InvestigationMarker] = text("\x1f") }},
		"name of 32 characters":     {cells: []source.Row{with(parameter("p", "1"), source.CellTable, long)}, want: "table_name: not all tables"},
		"name of 31 characters":     {cells: []source.Row{with(parameter("p", "1"), source.CellTable, long[1:])}},
		"names that differ in case": {cells: []source.Row{with(parameter("p", "1"), source.CellTable, "x"), with(parameter("p", "1"), source.CellTable, "X")}, want: "table_name: not all tables"},
		"one name in two targets":   {cells: []source.Row{parameter("p", "1"), inStudy(parameter("p", "1"))}},
		"cell given twice":          {cells: []source.Row{parameter("p", "1"), parameter("p", "2")}, want: "row_index: cells are given twice"},
		"the same cell twice":       {cells: []source.Row{parameter("p", "1"), parameter("p", "1")}},
		"semicolon in an assay":     {cells: []source.Row{parameter("a;b", "1;2")}},
		"semicolon in a parameter":  {cells: []source.Row{inStudy(parameter("a;b", "1"))}, want: "column_annotation_term: a semicolon"},
		"in a parameter's value":    {cells: []source.Row{inStudy(parameter("p", "1;2"))}},
		"in a component's value":    {cells: []source.Row{inStudy(cellRow(t, "component", "k", 1, "1;2", "cm"))}, want: "cell_value: a semicolon"},
		"semicolon in a role": {change: func(d *source.Dataset) {
			d.Contacts = []source.Row{row(t, "vContact", map[string]string{"roles": `[{"term": "a"}, {"term": "b;c"}]`, "target_type": "assay", "target_ref": "A", "investigation_ref": "I"})}
		}, want: "roles: a semicolon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := dataset(t)
			if c.change != nil {
				c.change(d)
			}
			for range 2 { // what is told, is told once
				d.Cells = append(d.Cells, c.cells...)
				d.Contacts = append(d.Contacts, d.Contacts...)
			}
			result := mapping.New(mapping.Limits{}).Map(d)
			if result.ARC == nil {
				t.Fatalf("no ARC: %v", result.Findings)
			}
			var got []string
			for _, f := range result.Findings {
				got = append(got, f.Column+": "+f.Text)
			}
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A row about something that its view knows nothing of is skipped, and the advice
// names what the view does know.
func TestTargetsThatAreNone(t *testing.T) {
	t.Parallel()
	for view, c := range map[string]struct{ kind, remedy string }{
		"vPublication": {"assay", "write investigation or study"}, "vContact": {"person", "write investigation, study or assay"},
		"vAnnotationTable": {"investigation", "write study or assay"},
	} {
		d := dataset(t)
		r := map[string]string{"target_type": c.kind, "target_ref": "A", "investigation_ref": "I"}
		switch view {
		case "vPublication":
			d.Publications = []source.Row{row(t, view, r)}
		case "vContact":
			d.Contacts = []source.Row{row(t, view, r)}
		default:
			d.Cells = []source.Row{cellRow(t, "parameter", "p", 0, "1", "")}
			d.Cells[0][source.CellTargetType] = text(c.kind)
		}
		found := mapping.New(mapping.Limits{}).Map(d).Findings
		if len(found) != 1 || found[0].View != view || found[0].Column != "target_type" || found[0].Remedy != c.remedy {
			t.Errorf("%s: got %+v, want %q", view, found, c.remedy)
		}
	}
}

// Values that hang on nothing are told of: the crate needs a sample that nobody has named.
func TestTablesWithoutEndsAreTold(t *testing.T) {
	t.Parallel()
	for kind, c := range map[string]struct{ end, want string }{
		"characteristic": {"input", "characteristics but no input"}, "factor": {"output", "factors but no output"}, "parameter": {"input", ""},
	} {
		d := dataset(t)
		d.Cells = []source.Row{cellRow(t, kind, "x", 0, "v", "")}
		if found := mapping.New(mapping.Limits{}).Map(d).Findings; c.want == "" && len(found) > 0 || c.want != "" && (len(found) != 1 || !strings.Contains(found[0].Text, c.want)) {
			t.Errorf("%s: %v, want %q", kind, found, c.want)
		}
		d.Cells = append(d.Cells, cellRow(t, c.end, "sample_name", 0, "s", ""))
		mapped(t, d)
	}
}

// What is no list of studies is told; the assay is there all the same.
func TestStudyReferences(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		`["S"]`: "", `"S"`: "", ` S `: "", "": "", "null": "", "[]": "",
		`["S"] x`: "neither a JSON array", `["S", null]`: "neither a JSON array", `["S"`: "neither a JSON array", `["S", 7]`: `no study "7"`, `{"a": 1}`: `no study "{`,
	} {
		d := dataset(t)
		d.Assays[0][source.AssayStudies] = text(ref)
		result := mapping.New(mapping.Limits{}).Map(d)
		if result.ARC == nil || len(result.ARC.Assays) != 1 || (want == "") != (len(result.Findings) == 0) || want != "" && !strings.Contains(result.Findings[0].Text, want) {
			t.Errorf("%s: got %v, want %q", ref, result.Findings, want)
		}
	}
}

// What is no role is told, and the others count; a list that cannot be read has none.
func TestRoles(t *testing.T) {
	t.Parallel()
	for roles, want := range map[string]struct{ names, finding string }{
		`[{"term": "a", "uri": null}, {"term": "b", "version": 3}, null, {"uri": "u"}]`: {"a b", ""},
		`[{"term": "a"}, "b", {"term": "c"}]`:                                           {"a c", `"\"b\"" is not an object`},
		`[{"term": 7}, {"term": "a"}]`:                                                  {"a", "is not an object"},
		`{"term": "a"}`:                                                                 {"", "it is not a JSON array"},
		`[{"term": "a"}`:                                                                {"", "it is not a JSON array"},
		"null":                                                                          {"", ""},
	} {
		d := dataset(t)
		d.Contacts = []source.Row{row(t, "vContact", map[string]string{"last_name": "L", "roles": roles, "target_type": "investigation", "investigation_ref": "I"})}
		result := mapping.New(mapping.Limits{}).Map(d)
		var names []string
		for _, r := range result.ARC.Contacts[0].Roles {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); got != want.names || (want.finding == "") != (len(result.Findings) == 0) || want.finding != "" && !strings.Contains(result.Findings[0].Text, want.finding) {
			t.Errorf("%s: got %q and %v, want %q and %q", roles, got, result.Findings, want.names, want.finding)
		}
	}
}

// Rows of one table belong together however their target is spelled, and a whole
// number is one with zeros behind the point, too.
func TestSpellings(t *testing.T) {
	t.Parallel()
	d := dataset(t)
	input, output := cellRow(t, "input", "source_name", 0, "s", ""), cellRow(t, " Output", "data", 0, "f", "")
	input[source.CellRow], output[source.CellRow] = text("1.00"), text(" 1.")
	output[source.CellTargetType], output[source.CellTarget] = text("Assay "), text(" A")
	d.Cells = []source.Row{input, output}
	tables := mapped(t, d).Assays[0].Tables
	if len(tables) != 1 || len(tables[0].Columns()) != 2 || tables[0].NumRows() != 2 {
		t.Errorf("got %d tables: %+v", len(tables), tables)
	}
}

// Without identifier, title and dates that are some there is no ARC of a dataset; a date
// that is none costs a study.
func TestWhatCostsADataset(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		column int
		value  source.Value
		want   string
	}{
		"no identifier":     {source.InvestigationIdentifier, source.Value{}, "vInvestigation.identifier: a required value is missing"},
		"blank identifier":  {source.InvestigationIdentifier, text(" "), "vInvestigation.identifier [ ]: the identifier is empty"},
		"no title":          {source.InvestigationTitle, source.Value{}, "vInvestigation.title [I]: a required value is missing"},
		"no submission day": {source.InvestigationSubmission, text("soon"), `vInvestigation.submission_date [I]: "soon" is not a date`},
		"no release day":    {source.InvestigationRelease, text("2026-02-30"), `vInvestigation.public_release_date [I]: "2026-02-30" is not a date`},
	} {
		d := dataset(t)
		d.Investigation[c.column] = c.value
		result := mapping.New(mapping.Limits{}).Map(d)
		if result.ARC != nil || len(result.Findings) != 1 || result.Findings[0].Severity != source.Error || !strings.HasPrefix(result.Findings[0].String(), c.want) {
			t.Errorf("%s: %v, want %q", name, result.Findings, c.want)
		}
	}
	for _, column := range []int{source.StudySubmission, source.StudyRelease} {
		d := dataset(t)
		d.Assays, d.Studies[0][column] = nil, text("soon")
		result := mapping.New(mapping.Limits{}).Map(d)
		if result.ARC == nil || len(result.ARC.Studies) != 0 || len(result.Findings) != 1 || !strings.Contains(result.Findings[0].Text, `"soon" is not a date`) {
			t.Errorf("study: %v", result.Findings)
		}
	}
}

// A row is about what the documentation allows for its view, and about something that
// is there, or it is left out.
func TestTargets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ view, kind, ref, want string }{
		{"vPublication", "assay", "A", `"assay" is not one of the documented targets`},
		{"vPublication", "study", "none", `there is no study "none" in this dataset`},
		{"vContact", "person", "A", `"person" is not one of the documented targets`},
		{"vContact", "assay", "S", `there is no assay "S" in this dataset`},
		{"vAnnotationTable", "investigation", "I", `"investigation" is not one of the documented targets`},
		{"vAnnotationTable", "study", "A", `there is no study "A" in this dataset`},
	} {
		values := map[string]string{"target_type": c.kind, "target_ref": c.ref, "investigation_ref": "I"}
		if c.view == "vAnnotationTable" {
			values["table_name"], values["column_type"], values["row_index"] = "N", "input", "0"
		}
		d := dataset(t)
		rows := map[string]*[]source.Row{"vPublication": &d.Publications, "vContact": &d.Contacts, "vAnnotationTable": &d.Cells}[c.view]
		*rows = []source.Row{row(t, c.view, values)}
		result := mapping.New(mapping.Limits{}).Map(d)
		if len(result.Findings) != 1 || !strings.HasPrefix(result.Findings[0].Text, c.want) {
			t.Errorf("%s of %s %s: %v, want %q", c.view, c.kind, c.ref, result.Findings, c.want)
		}
		if diff := cmp.Diff(mapped(t, dataset(t)), result.ARC); diff != "" {
			t.Errorf("%s of %s %s (-want +got):\n%s", c.view, c.kind, c.ref, diff)
		}
	}
}

// Inputs and outputs are of the kind that is named, however it is spelled, and without
// one sources become samples; a table has one of each. Columns of texts take value and
// unit as a text.
func TestEndsAndTexts(t *testing.T) {
	t.Parallel()
	const joined, noPlace = "value and unit are joined", "no place for the accessions of terms"
	for _, c := range []struct {
		cells         []source.Row
		header, value string
		findings      []string
	}{
		{[]source.Row{cellRow(t, "input", "", 0, "x", "")}, "Input [Source Name]", "x", nil},
		{[]source.Row{cellRow(t, "output", "", 0, "x", "")}, "Output [Sample Name]", "x", nil},
		{[]source.Row{cellRow(t, "input", " Material_Name ", 0, "x", "")}, "Input [Material]", "x", nil},
		{[]source.Row{cellRow(t, "output", " Raw ", 0, "x", "")}, "Output [Raw]", "x", nil},
		{[]source.Row{cellRow(t, "output", "source_name", 0, "x", "")}, "Output [Sample Name]", "x", []string{"an output cannot be a source"}},
		{[]source.Row{cellRow(t, "input", "data", 0, "x", ""), cellRow(t, "input", "sample_name", 0, "y", "")}, "Input [Data]", "x", []string{"a second column Input [Sample Name], which is left out"}},
		{[]source.Row{cellRow(t, "output", "data", 0, "x", ""), cellRow(t, "output", "sample_name", 0, "y", "")}, "Output [Data]", "x", []string{"a second column Output [Sample Name], which is left out"}},
		{[]source.Row{cellRow(t, "comment", "c", 0, "5", "cm")}, "Comment [c]", "5 cm", []string{noPlace, joined}},
		{[]source.Row{cellRow(t, "comment", "c", 0, "", "cm")}, "Comment [c]", "cm", []string{noPlace}},
		{[]source.Row{cellRow(t, "input", "data", 0, "5", "cm")}, "Input [Data]", "5 cm", []string{noPlace, joined}},
	} {
		d := dataset(t)
		d.Cells = c.cells
		result := mapping.New(mapping.Limits{}).Map(d)
		if !slices.EqualFunc(result.Findings, c.findings, func(f source.Finding, want string) bool { return strings.Contains(f.Text, want) }) {
			t.Errorf("%s: %v, want %q", c.header, result.Findings, c.findings)
		}
		table := result.ARC.Assays[0].Tables[0]
		want := arc.NewTextCell(c.value)
		if strings.HasSuffix(c.header, "[Data]") {
			want = arc.NewDataCell(arc.Data{Name: c.value})
		}
		if columns := table.Columns(); len(columns) != 1 || columns[0].Text() != c.header {
			t.Errorf("columns %v, want %s", columns, c.header)
		}
		for _, cell := range table.Row(0) {
			if diff := cmp.Diff(want, cell); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.header, diff)
			}
		}
	}
}

// A text that no ARC can hold costs its row, or, in the row of the investigation,
// the dataset; nothing else.
func TestTextsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{"M\xfcller": `"M\xfcller" is not a text in UTF-8`, "a\x00b": "the character NUL"} {
		d := dataset(t)
		d.Studies[0][source.StudyDescription] = source.Value{Text: text, Valid: true}
		result := mapping.New(mapping.Limits{}).Map(d)
		if result.ARC == nil || len(result.ARC.Studies) != 0 || !strings.Contains(result.Findings[0].String(), "vStudy.description_text [I]") ||
			!strings.Contains(result.Findings[0].Text, reason) {
			t.Errorf("study with %q: %v", text, result.Findings)
		}
		d = dataset(t)
		d.Investigation[source.InvestigationDescription].Text = text
		if result := mapping.New(mapping.Limits{}).Map(d); result.ARC != nil || len(result.Findings) != 1 || !strings.Contains(result.Findings[0].Text, reason) {
			t.Errorf("investigation with %q: %v", text, result.Findings)
		}
	}
}

// A row number beyond all reason costs a finding, not memory.
func TestStrayRowNumbers(t *testing.T) {
	t.Parallel()
	for _, index := range []string{"1048575", "999999999999", "-1", "1.5", "x"} {
		d := dataset(t)
		stray := cellRow(t, "input", "source_name", 0, "x", "")
		stray[source.CellRow] = text(index)
		d.Cells = []source.Row{cellRow(t, "input", "source_name", 0, "s", ""), stray}
		result := mapping.New(mapping.Limits{}).Map(d)
		if result.ARC == nil || len(result.Findings) != 1 || !strings.Contains(result.Findings[0].Text, "row number") {
			t.Errorf("%s: %v", index, result.Findings)
		}
	}
	d := dataset(t)
	for i := range 10 {
		d.Cells = append(d.Cells, cellRow(t, "parameter", fmt.Sprint(i), 1000000, "x", ""))
	}
	result := mapping.New(mapping.Limits{}).Map(d)
	if result.ARC == nil || len(result.Findings) != 1 || !strings.Contains(result.Findings[0].Text, "too many for a table") {
		t.Errorf("ten columns of a million rows: %v", result.Findings)
	}
}

// Rows of one assay that differ only in their studies are one assay; other
// differences fail the dataset, and so do two studies of one name.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	d := dataset(t)
	again := append(source.Row(nil), d.Assays[0]...)
	again[source.AssayStudies] = text("S")
	d.Assays, d.Studies = append(d.Assays, again), append(d.Studies, d.Studies[0])
	if inv := mapped(t, d); len(inv.Assays) != 1 || len(inv.Studies) != 1 {
		t.Errorf("%d assays, %d studies", len(inv.Assays), len(inv.Studies))
	}
	again = append(source.Row(nil), again...)
	again[source.AssayTitle] = text("other")
	d.Assays = append(d.Assays, again)
	if result := mapping.New(mapping.Limits{}).Map(d); result.ARC != nil || result.Findings[0].Severity != source.Error {
		t.Errorf("assays that differ: %v", result.Findings)
	}
}

// Findings about one dataset are bounded, and the reason for its failure is
// always among them.
func TestFindingsAreBounded(t *testing.T) {
	t.Parallel()
	d := dataset(t)
	for range 500 {
		d.Contacts = append(d.Contacts, row(t, "vContact", map[string]string{"target_type": "study", "target_ref": "none", "investigation_ref": "I"}))
	}
	result := mapping.New(mapping.Limits{}).Map(d)
	if result.ARC == nil || len(result.Findings) != 50 || result.Dropped != 450 {
		t.Errorf("%d findings, %d dropped", len(result.Findings), result.Dropped)
	}
	for range 60 {
		d.Studies = append(d.Studies, row(t, "vStudy", map[string]string{"identifier": "X", "investigation_ref": "I"}))
	}
	d.Assays[0][source.AssayIdentifier] = text("ä")
	result = mapping.New(mapping.Limits{}).Map(d)
	if n := len(result.Findings); result.ARC != nil || n != 50 || result.Dropped != 511 || result.Findings[n-1].Severity != source.Error {
		t.Errorf("failed: %d findings, %d dropped, the last is %v", n, result.Dropped, result.Findings[n-1])
	}
}

// Whatever the generator makes has a form as RO-Crate that the service accepts,
// and becomes a folder; the same dataset gives the same crate every time.
func TestGeneratedDatasetsBecomeARCs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		shape := datagen.Shape{
			Studies: rapid.IntRange(0, 3).Draw(rt, "studies"), Assays: rapid.IntRange(0, 3).Draw(rt, "assays"),
			Cells: rapid.IntRange(0, 100).Draw(rt, "cells"), Nasty: rapid.Bool().Draw(rt, "nasty"), Seed: rapid.Uint64().Draw(rt, "seed"),
		}
		n := rapid.IntRange(0, 1000).Draw(rt, "n")
		var crates [2]rocrate.Payload
		for i := range crates {
			result := mapping.New(mapping.Limits{}).Map(shape.Dataset(n))
			if result.ARC == nil {
				rt.Fatalf("no ARC: %v", result.Findings)
			}
			doc, err := rocrate.Encode(result.ARC)
			if err != nil {
				rt.Fatal(err)
			}
			if crates[i], err = rocrate.Scan(doc); err != nil {
				rt.Fatal(err)
			}
			read, findings := rocrate.Read(doc)
			if read == nil {
				rt.Fatalf("the service cannot read it: %v", findings)
			}
			if _, err := scaffold.Files(read); err != nil {
				rt.Fatal(err)
			}
		}
		if crates[0].Hash != crates[1].Hash {
			rt.Fatal("one dataset gives two crates")
		}
	})
}
