package scaffold_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/arc"
)

// sheetOf lays an ARC out and gives a sheet as another library reads it.
func sheetOf(tb testing.TB, inv *arc.Investigation, path, sheet string) [][]string {
	tb.Helper()
	content, ok := contents(tb, inv)[path]
	if !ok {
		tb.Fatalf("%s is not written", path)
	}
	return rowsOf(tb, open(tb, content), sheet)
}

func labels(rows [][]string) []string {
	out := make([]string, len(rows))
	for i, row := range rows {
		if len(row) > 0 {
			out[i] = row[0]
		}
	}
	return out
}

// All sections and labels of the investigation are there, filled or not, in
// their order.
func TestLabelsOfTheInvestigation(t *testing.T) {
	t.Parallel()
	got := labels(sheetOf(t, &arc.Investigation{Identifier: "i"}, "isa.investigation.xlsx", "isa_investigation"))
	want := strings.Split(`ONTOLOGY SOURCE REFERENCE
Term Source Name
Term Source File
Term Source Version
Term Source Description
INVESTIGATION
Investigation Identifier
Investigation Title
Investigation Description
Investigation Submission Date
Investigation Public Release Date
INVESTIGATION PUBLICATIONS
Investigation Publication PubMed ID
Investigation Publication DOI
Investigation Publication Author List
Investigation Publication Title
Investigation Publication Status
Investigation Publication Status Term Accession Number
Investigation Publication Status Term Source REF
INVESTIGATION CONTACTS
Investigation Person Last Name
Investigation Person First Name
Investigation Person Mid Initials
Investigation Person Email
Investigation Person Phone
Investigation Person Fax
Investigation Person Address
Investigation Person Affiliation
Investigation Person Roles
Investigation Person Roles Term Accession Number
Investigation Person Roles Term Source REF`, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

// Values that are nothing but white space are left out, all others are written
// as they are.
func TestBlankValuesAreLeftOut(t *testing.T) {
	t.Parallel()
	rows := sheetOf(t, &arc.Investigation{Identifier: " i ", Title: " \t\u00a0\ufeff", Description: "\u0085"}, "isa.investigation.xlsx", "isa_investigation")
	for label, want := range map[string][]string{
		"Investigation Identifier":  {" i "},
		"Investigation Title":       {},
		"Investigation Description": {"\u0085"},
	} {
		if diff := cmp.Diff(want, values(t, rows, label)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", label, diff)
		}
	}
}

// Ontology sources have a column each.
func TestOntologySources(t *testing.T) {
	t.Parallel()
	rows := sheetOf(t, &arc.Investigation{OntologySources: []arc.OntologySource{
		{Name: "MS", File: "f", Version: "1", Description: "d"}, {Name: "GO"},
	}}, "isa.investigation.xlsx", "isa_investigation")
	if diff := cmp.Diff([]string{"MS", "GO"}, values(t, rows, "Term Source Name")); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"d"}, values(t, rows, "Term Source Description")); diff != "" {
		t.Errorf("descriptions (-want +got):\n%s", diff)
	}
}

func comments(names string) []arc.Comment {
	var out []arc.Comment
	for _, name := range strings.Fields(names) {
		out = append(out, arc.Comment{Name: name, Value: "value of " + name})
	}
	return out
}

// Comment rows stand in the order of the last occurrence of their names, the
// ORCID being the last comment of a person; each person has their values in
// their own column.
func TestOrderOfCommentRows(t *testing.T) {
	t.Parallel()
	rows := sheetOf(t, &arc.Investigation{Contacts: []arc.Person{
		{FirstName: "A", Comments: comments("x y"), ORCID: "0000-0001-2345-6789"},
		{FirstName: "B", Comments: comments("z x")},
		{FirstName: "C", Comments: comments("y w")},
	}}, "isa.investigation.xlsx", "isa_investigation")
	got := rows[len(rows)-5:]
	want := [][]string{
		{"Comment[ORCID]", "0000-0001-2345-6789"},
		{"Comment[z]", "", "value of z"},
		{"Comment[x]", "value of x", "value of x"},
		{"Comment[y]", "value of y", "", "value of y"},
		{"Comment[w]", "", "", "value of w"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("comment rows (-want +got):\n%s", diff)
	}
}

// Several roles share a cell; those without source or accession keep their
// place.
func TestRolesAreJoined(t *testing.T) {
	t.Parallel()
	rows := sheetOf(t, &arc.Investigation{Contacts: []arc.Person{{FirstName: "A", Roles: []arc.OntologyTerm{
		arc.NewTerm("data curator", ""), arc.NewTerm("Investigator", "http://purl.obolibrary.org/obo/NCIT_C25936"), arc.NewTerm("x", "abc"),
	}}}}, "isa.investigation.xlsx", "isa_investigation")
	for label, want := range map[string]string{
		"Investigation Person Roles":                       "data curator;Investigator;x",
		"Investigation Person Roles Term Accession Number": ";NCIT:C25936;abc",
		"Investigation Person Roles Term Source REF":       ";NCIT;",
	} {
		if diff := cmp.Diff([]string{want}, values(t, rows, label)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", label, diff)
		}
	}
}

// Terms in rows of their own have the address as accession, the technology
// platform has it in short form behind the name.
func TestTermsOfAnAssay(t *testing.T) {
	t.Parallel()
	rows := sheetOf(t, &arc.Investigation{Assays: []*arc.Assay{{
		Identifier:         "a",
		MeasurementType:    arc.NewTerm("mass", "MS:1"),
		TechnologyType:     arc.NewTerm("tech", "no accession"),
		TechnologyPlatform: arc.NewTerm("platform", "OBI:2"),
	}}}, "assays/a/isa.assay.xlsx", "isa_assay")
	for label, want := range map[string][]string{
		"Assay Measurement Type Term Accession Number": {arc.NewTerm("", "MS:1").URL()},
		"Assay Measurement Type Term Source REF":       {"MS"},
		"Assay Technology Type Term Accession Number":  {"no accession"},
		"Assay Technology Type Term Source REF":        {},
		"Assay Technology Platform":                    {"platform (OBI:2)"},
		"Assay File Name":                              {"assays/a/isa.assay.xlsx"},
	} {
		if diff := cmp.Diff(want, values(t, rows, label)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", label, diff)
		}
	}
}

// A part whose identifier was only made up has neither identifier nor file name
// in its sheet.
func TestMadeUpIdentifiersAreNotWritten(t *testing.T) {
	t.Parallel()
	rows := sheetOf(t, &arc.Investigation{Studies: []*arc.Study{{Identifier: "MISSING_IDENTIFIER_1"}}},
		"studies/MISSING_IDENTIFIER_1/isa.study.xlsx", "isa_study")
	for _, label := range []string{"Study Identifier", "Study File Name"} {
		if got := values(t, rows, label); len(got) > 0 {
			t.Errorf("%s = %q, want nothing", label, got)
		}
	}
}

// All reasons why an ARC cannot be laid out are reported, not just the first.
func TestAllProblemsAreReported(t *testing.T) {
	t.Parallel()
	double := []arc.Comment{{Name: "a"}, {Name: "b"}, {Name: "a"}}
	table := func(name string) *arc.Table { return arc.NewTableBuilder(name).Table() }
	license := arc.License{ID: "isa.investigation.xlsx"}
	got := problems(t, &arc.Investigation{
		Comments:     []arc.Comment{{Name: "Investigation Title"}, {Name: "Title"}},
		Publications: []arc.Publication{{Comments: []arc.Comment{{Name: "DOI"}}}},
		Contacts: []arc.Person{
			{FirstName: "A", Comments: []arc.Comment{{Name: "Email"}}},
			{FirstName: "B", Comments: []arc.Comment{{Name: "ORCID"}}, ORCID: "0000-0001-2345-6789"},
		},
		Studies: []*arc.Study{
			{Identifier: "s", Comments: []arc.Comment{{Name: "Study File Name"}, {Name: "File Name"}}},
			{Identifier: "s"},
			{Identifier: "../s"},
			{Identifier: ""},
			{Identifier: strings.Repeat("s", 256)},
		},
		Assays: []*arc.Assay{{
			Identifier: "a", Comments: append([]arc.Comment{{Name: "Title"}, {}, {}}, double...),
			Tables:  []*arc.Table{table("isa_assay"), table("isa_datamap"), table("a/b"), table("'x"), table("ok"), table("ok"), table("ISA_ASSAY"), table("isa_study")},
			DataMap: arc.DataMap{{}},
		}},
		Runs:    []*arc.Run{{Identifier: "r", Tables: []*arc.Table{table("isa_run")}}},
		License: &license,
	})
	var texts []string
	for _, p := range got {
		texts = append(texts, p.Code+" "+p.Path+": "+p.Text)
	}
	want := []string{
		`comment isa.investigation.xlsx: the investigation has a comment named "Investigation Title", like a row of its metadata sheet`,
		`comment isa.investigation.xlsx: publication 1 ("") of the investigation has a comment named "DOI", like a row of its metadata sheet`,
		`comment isa.investigation.xlsx: person 1 (A ) of the investigation has a comment named "Email", like a row of its metadata sheet`,
		`comment isa.investigation.xlsx: person 2 (B ) of the investigation has two comments named "ORCID"`,
		`comment studies/s/isa.study.xlsx: the study "s" has a comment named "Study File Name", like a row of its metadata sheet`,
		`path-taken studies/s: the study "s" is there twice`,
		`identifier studies: the study "../s" has an identifier that cannot be the name of a folder`,
		`identifier studies: the study "" has an identifier that cannot be the name of a folder`,
		`identifier studies: the study "` + strings.Repeat("s", 120) + `…" has an identifier that is too long for the name of a folder`,
		`comment assays/a/isa.assay.xlsx: the assay "a" has a comment named "Title", like a row of its metadata sheet`,
		`comment assays/a/isa.assay.xlsx: the assay "a" has two comments named ""`,
		`comment assays/a/isa.assay.xlsx: the assay "a" has two comments named "a"`,
		`sheet-name assays/a/isa.assay.xlsx: the table "isa_assay" of the assay "a" is named like another sheet of the workbook`,
		`sheet-name assays/a/isa.assay.xlsx: the table "isa_datamap" of the assay "a" is named like another sheet of the workbook`,
		`sheet-name assays/a/isa.assay.xlsx: the table "a/b" of the assay "a" has a name that no sheet can have`,
		`sheet-name assays/a/isa.assay.xlsx: the table "'x" of the assay "a" has a name that no sheet can have`,
		`sheet-name assays/a/isa.assay.xlsx: the table "ok" of the assay "a" is named like another sheet of the workbook`,
		`sheet-name runs/r/isa.run.xlsx: the table "isa_run" of the run "r" is named like another sheet of the workbook`,
		`path-taken isa.investigation.xlsx: the file "isa.investigation.xlsx" of the license "isa.investigation.xlsx" is in the way of a file of the investigation`,
	}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// An ARC that is wrong everywhere gives a list that can still be read.
func TestProblemsAreLimited(t *testing.T) {
	t.Parallel()
	inv := &arc.Investigation{}
	for range 5000 {
		inv.Studies = append(inv.Studies, &arc.Study{Identifier: "/"})
	}
	if got := problems(t, inv); len(got) != 1001 || got[1000].Code != "more" {
		t.Errorf("%d problems, the last %+v", len(got), got[len(got)-1])
	}
}
