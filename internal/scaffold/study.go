package scaffold

import (
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
)

func studyFields() []field[*arc.Study] {
	return []field[*arc.Study]{
		{"Identifier", func(s *arc.Study) string { return knownIdentifier(s.Identifier) }},
		{"Title", func(s *arc.Study) string { return s.Title }},
		{"Description", func(s *arc.Study) string { return s.Description }},
		{"Submission Date", func(s *arc.Study) string { return s.SubmissionDate }},
		{"Public Release Date", func(s *arc.Study) string { return s.PublicReleaseDate }},
		{"File Name", func(s *arc.Study) string { return fileName("studies", s.Identifier, "isa.study.xlsx") }},
	}
}

// missingIdentifier begins the identifiers that ARC tools give to parts without
// one. Metadata sheets leave them out.
const missingIdentifier = "MISSING_IDENTIFIER_"

func knownIdentifier(identifier string) string {
	if strings.HasPrefix(identifier, missingIdentifier) {
		return ""
	}
	return identifier
}

func fileName(parent, identifier, file string) string {
	if knownIdentifier(identifier) == "" {
		return ""
	}
	return parent + "/" + identifier + "/" + file
}

func (p *plan) study(s *arc.Study) {
	entity, folder, ok := p.partFolder("study", "studies", s.Identifier)
	path := folder + "/isa.study.xlsx"
	checkComments(p, path, entity, "Study ", studyFields(), s.Comments)
	checkPublications(p, path, entity, s.Publications)
	checkPersons(p, path, entity, s.Contacts)
	p.checkTables(path, entity, studySheetName, s.Tables, s.DataMap)
	p.checkProtocols(path, entity, s.Tables)
	if !ok {
		return
	}
	p.add(entity, path, workbook(func() []sheet {
		return append(append([]sheet{studySheet(s)}, dataMapSheets(s.DataMap)...), tableSheets(s.Tables)...)
	}))
	p.dataMap(entity, folder, s.DataMap)
	p.add(entity, folder+"/README.md", text(""))
	p.keep(folder + "/resources")
	p.keep(folder + "/protocols")
}

const studySheetName = "isa_study"

func studySheet(s *arc.Study) sheet {
	m := &metadata{}
	m.section("STUDY")
	addFields(m, "Study ", studyFields(), s)
	m.addComments(s.Comments)
	m.section("STUDY DESIGN DESCRIPTORS")
	addFields(m, "Study Design ", termFields("Type", "Type", func(t arc.OntologyTerm) arc.OntologyTerm { return t }))
	m.section("STUDY PUBLICATIONS")
	m.addPublications("Study Publication ", s.Publications)
	m.section("STUDY FACTORS")
	addFields(m, "Study Factor ", factorFields(), factors(s.Tables)...)
	m.section("STUDY ASSAYS")
	addFields(m, "Study Assay ", assayFields())
	m.section("STUDY PROTOCOLS")
	addFields(m, "Study Protocol ", protocolFields(), protocols(s.Tables)...)
	m.section("STUDY CONTACTS")
	m.addPersons("Study Person ", s.Contacts)
	return sheet{name: studySheetName, write: m.write}
}

func factorFields() []field[arc.OntologyTerm] {
	return concat([]field[arc.OntologyTerm]{
		{"Name", func(t arc.OntologyTerm) string { return arc.Header{Kind: arc.FactorColumn, Term: t}.Text() }},
	}, termFields("Type", "Type", func(t arc.OntologyTerm) arc.OntologyTerm { return t }))
}

// factors gives the factors of all tables, each once per table.
func factors(tables []*arc.Table) []arc.OntologyTerm {
	var out []arc.OntologyTerm
	for _, t := range tables {
		seen := map[arc.OntologyTerm]bool{}
		for _, h := range t.Columns() {
			if class := h.Term.Class(); h.Kind == arc.FactorColumn && !seen[class] {
				seen[class] = true
				out = append(out, h.Term)
			}
		}
	}
	return out
}
