package scaffold

import "github.com/fairagro/middleware-api/internal/arc"

func assayFields() []field[*arc.Assay] {
	return concat([]field[*arc.Assay]{
		{"Identifier", func(a *arc.Assay) string { return knownIdentifier(a.Identifier) }},
		{"Title", func(a *arc.Assay) string { return a.Title }},
		{"Description", func(a *arc.Assay) string { return a.Description }},
	},
		termFields("Measurement Type", "Measurement Type", func(a *arc.Assay) arc.OntologyTerm { return a.MeasurementType }),
		termFields("Technology Type", "Technology Type", func(a *arc.Assay) arc.OntologyTerm { return a.TechnologyType }),
		[]field[*arc.Assay]{
			{"Technology Platform", func(a *arc.Assay) string { return platform(a.TechnologyPlatform) }},
			{"File Name", func(a *arc.Assay) string { return fileName("assays", a.Identifier, "isa.assay.xlsx") }},
		})
}

// platform gives a technology platform as text.
func platform(t arc.OntologyTerm) string {
	if short := t.Short(); short != "" {
		return t.Name + " (" + short + ")"
	}
	return t.Name
}

const assaySheetName = "isa_assay"

func (p *plan) assay(a *arc.Assay) {
	entity, folder, ok := p.partFolder("assay", "assays", a.Identifier)
	path := folder + "/isa.assay.xlsx"
	checkComments(p, path, entity, "", assayFields(), a.Comments)
	checkPersons(p, path, entity, a.Performers)
	p.checkTables(path, entity, assaySheetName, a.Tables, a.DataMap)
	if !ok {
		return
	}
	p.add(entity, path, workbook(func() []sheet {
		return append(append([]sheet{assaySheet(a)}, dataMapSheets(a.DataMap)...), tableSheets(a.Tables)...)
	}))
	p.dataMap(entity, folder, a.DataMap)
	p.add(entity, folder+"/README.md", text(""))
	p.keep(folder + "/dataset")
	p.keep(folder + "/protocols")
}

func assaySheet(a *arc.Assay) sheet {
	m := &metadata{}
	m.section("ASSAY")
	addFields(m, "Assay ", assayFields(), a)
	m.addComments(a.Comments)
	m.section("ASSAY PERFORMERS")
	m.addPersons("Assay Person ", a.Performers)
	return sheet{name: assaySheetName, write: m.write}
}
