package scaffold

import "github.com/fairagro/middleware-api/internal/arc"

func workflowFields() []field[*arc.Workflow] {
	none := func(*arc.Workflow) []arc.OntologyTerm { return nil }
	return concat([]field[*arc.Workflow]{
		{"Identifier", func(w *arc.Workflow) string { return knownIdentifier(w.Identifier) }},
		{"Title", func(w *arc.Workflow) string { return w.Title }},
		{"Description", func(w *arc.Workflow) string { return w.Description }},
	},
		termFields("Type", "Type", func(w *arc.Workflow) arc.OntologyTerm { return w.Type }),
		[]field[*arc.Workflow]{
			{"Sub Workflow Identifiers", nil},
			{"URI", func(w *arc.Workflow) string { return w.URI }},
			{"Version", func(w *arc.Workflow) string { return w.Version }},
		},
		termsFields("Parameters Name", "Parameters", none),
		[]field[*arc.Workflow]{
			{"Components Name", func(w *arc.Workflow) string {
				return join(w.Components, func(c arc.Component) string { return c.Name })
			}},
		},
		termsFields("Components Type", "Components Type", func(w *arc.Workflow) []arc.OntologyTerm {
			return collect(w.Components, func(c arc.Component) arc.OntologyTerm { return c.Type })
		}),
		[]field[*arc.Workflow]{
			{"File Name", func(w *arc.Workflow) string { return fileName("workflows", w.Identifier, "isa.workflow.xlsx") }},
		})
}

func (p *plan) workflow(w *arc.Workflow) {
	entity, folder, ok := p.partFolder("workflow", "workflows", w.Identifier)
	path := folder + "/isa.workflow.xlsx"
	checkComments(p, path, entity, "", workflowFields(), w.Comments)
	checkPersons(p, path, entity, w.Contacts)
	if !ok {
		return
	}
	p.add(entity, path, workbook(func() []sheet { return []sheet{workflowSheet(w)} }))
	p.dataMap(entity, folder, w.DataMap)
	p.add(entity, folder+"/README.md", text(""))
	p.unit(entity, folder+"/workflow.cwl", w.Unit)
}

func workflowSheet(w *arc.Workflow) sheet {
	m := &metadata{}
	m.section("WORKFLOW")
	addFields(m, "Workflow ", workflowFields(), w)
	m.addComments(w.Comments)
	m.section("WORKFLOW CONTACTS")
	m.addPersons("Workflow Person ", w.Contacts)
	return sheet{name: "isa_workflow", write: m.write}
}

func runFields() []field[*arc.Run] {
	return concat([]field[*arc.Run]{
		{"Identifier", func(r *arc.Run) string { return knownIdentifier(r.Identifier) }},
		{"Title", func(r *arc.Run) string { return r.Title }},
		{"Description", func(r *arc.Run) string { return r.Description }},
		{"Workflow Identifiers", nil},
	},
		termFields("Measurement Type", "Measurement Type", func(r *arc.Run) arc.OntologyTerm { return r.MeasurementType }),
		termFields("Technology Type", "Technology Type", func(r *arc.Run) arc.OntologyTerm { return r.TechnologyType }),
		[]field[*arc.Run]{
			{"Technology Platform", func(r *arc.Run) string { return platform(r.TechnologyPlatform) }},
			{"File Name", func(r *arc.Run) string { return fileName("runs", r.Identifier, "isa.run.xlsx") }},
		})
}

const runSheetName = "isa_run"

func (p *plan) run(r *arc.Run) {
	entity, folder, ok := p.partFolder("run", "runs", r.Identifier)
	path := folder + "/isa.run.xlsx"
	checkComments(p, path, entity, "", runFields(), r.Comments)
	checkPersons(p, path, entity, r.Performers)
	p.checkTables(path, entity, runSheetName, r.Tables, nil)
	if !ok {
		return
	}
	p.add(entity, path, workbook(func() []sheet { return append([]sheet{runSheet(r)}, tableSheets(r.Tables)...) }))
	p.dataMap(entity, folder, r.DataMap)
	p.add(entity, folder+"/README.md", text(""))
	p.unit(entity, folder+"/run.cwl", r.Unit)
}

func runSheet(r *arc.Run) sheet {
	m := &metadata{}
	m.section("RUN")
	addFields(m, "Run ", runFields(), r)
	m.addComments(r.Comments)
	m.section("RUN PERFORMERS")
	m.addPersons("Run Person ", r.Performers)
	return sheet{name: runSheetName, write: m.write}
}
