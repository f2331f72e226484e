package scaffold

import (
	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/scaffold/xlsx"
)

func ontologySourceFields() []field[arc.OntologySource] {
	return []field[arc.OntologySource]{
		{"Term Source Name", func(s arc.OntologySource) string { return s.Name }},
		{"Term Source File", func(s arc.OntologySource) string { return s.File }},
		{"Term Source Version", func(s arc.OntologySource) string { return s.Version }},
		{"Term Source Description", func(s arc.OntologySource) string { return s.Description }},
	}
}

func investigationFields() []field[*arc.Investigation] {
	return []field[*arc.Investigation]{
		{"Identifier", func(i *arc.Investigation) string { return i.Identifier }},
		{"Title", func(i *arc.Investigation) string { return i.Title }},
		{"Description", func(i *arc.Investigation) string { return i.Description }},
		{"Submission Date", func(i *arc.Investigation) string { return i.SubmissionDate }},
		{"Public Release Date", func(i *arc.Investigation) string { return i.PublicReleaseDate }},
	}
}

func (p *plan) investigation(inv *arc.Investigation) {
	const path, entity = "isa.investigation.xlsx", "the investigation"
	checkComments(p, path, entity, "Investigation ", investigationFields(), inv.Comments)
	checkPublications(p, path, entity, inv.Publications)
	checkPersons(p, path, entity, inv.Contacts)
	p.add(entity, path, workbook(func() []sheet { return []sheet{investigationSheet(inv)} }))
}

func investigationSheet(inv *arc.Investigation) sheet {
	m := &metadata{}
	m.section("ONTOLOGY SOURCE REFERENCE")
	addFields(m, "", ontologySourceFields(), inv.OntologySources...)
	m.section("INVESTIGATION")
	addFields(m, "Investigation ", investigationFields(), inv)
	m.addComments(inv.Comments)
	m.section("INVESTIGATION PUBLICATIONS")
	m.addPublications("Investigation Publication ", inv.Publications)
	m.section("INVESTIGATION CONTACTS")
	m.addPersons("Investigation Person ", inv.Contacts)
	return sheet{name: "isa_investigation", write: m.write}
}

// sheet is a sheet before it has its final name.
type sheet struct {
	name  string
	table *xlsx.Table
	write func(*xlsx.Rows)
}

// workbook is the content of a workbook. The sheets are laid out each time it is
// written, so that nobody keeps them.
type workbook func() []sheet
