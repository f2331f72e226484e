package rocrate

import (
	"github.com/fairagro/middleware-api/internal/arc"
)

// investigation gives the root data entity.
func (w *crateWriter) investigation(inv *arc.Investigation) entity {
	e := entity{id: "./", types: []string{"Dataset"}, additional: "Investigation"}
	e.must("identifier", inv.Identifier)
	e.text("name", inv.Title)
	e.text("description", inv.Description)
	e.text("dateCreated", inv.SubmissionDate)
	e.text("datePublished", inv.PublicReleaseDate)
	e.refs("creator", w.persons(inv.Contacts))
	e.refs("citation", w.publications(inv.Publications))
	e.refs("comment", w.comments(inv.Comments))
	var parts []ref
	for _, s := range inv.Studies {
		parts = append(parts, w.study(s))
	}
	for _, a := range inv.Assays {
		parts = append(parts, w.assay(a))
	}
	for _, f := range inv.Workflows {
		parts = append(parts, w.workflow(f))
	}
	for _, r := range inv.Runs {
		parts = append(parts, w.run(r))
	}
	e.refs("hasPart", parts)
	if inv.License != nil {
		e.ref("license", w.license(inv.License))
	}
	return e
}

func (w *crateWriter) license(l *arc.License) ref {
	e := entity{id: l.ID, types: []string{"CreativeWork"}}
	if l.Text != nil {
		e.must("text", *l.Text)
	}
	return w.add(e)
}

func (w *crateWriter) study(s *arc.Study) ref {
	e := part("studies", "Study", s.Identifier, s.Title, s.Description)
	e.text("dateCreated", s.SubmissionDate)
	e.text("datePublished", s.PublicReleaseDate)
	e.refs("creator", w.persons(s.Contacts))
	e.refs("citation", w.publications(s.Publications))
	e.refs("comment", w.comments(s.Comments))
	e.refs("about", w.tables(e.id, s.Tables))
	e.refs("variableMeasured", w.dataMap(e.id, s.DataMap))
	return w.add(e)
}

func (w *crateWriter) assay(a *arc.Assay) ref {
	e := part("assays", "Assay", a.Identifier, a.Title, a.Description)
	e.refs("creator", w.persons(a.Performers))
	e.refs("comment", w.comments(a.Comments))
	e.refs("about", w.tables(e.id, a.Tables))
	w.measurement(&e, a.MeasurementType, a.TechnologyType, a.TechnologyPlatform, a.DataMap)
	return w.add(e)
}

// part begins the dataset of a study, assay, workflow or run.
func part(folder, kind, identifier, title, description string) entity {
	e := entity{id: folder + "/" + identifier + "/", types: []string{"Dataset"}, additional: kind}
	e.must("identifier", identifier)
	e.text("name", title)
	e.text("description", description)
	return e
}

// measurement adds what assays and runs measure and how. The measured variable
// stands before the fragments of the data map.
func (w *crateWriter) measurement(e *entity, measurement, technology, platform arc.OntologyTerm, dataMap arc.DataMap) {
	var variables []ref
	if !measurement.IsZero() {
		v := entity{id: "#Variable_" + measurement.Name, types: []string{"PropertyValue"}}
		v.must("name", measurement.Name)
		v.text("propertyID", accession(measurement))
		variables = append(variables, w.share(v))
	}
	e.refs("variableMeasured", append(variables, w.dataMap(e.id, dataMap)...))
	e.ref("measurementMethod", w.term(technology))
	e.ref("measurementTechnique", w.term(platform))
}

// dataMap gives a fragment descriptor for each row. Its values stand under
// full IRIs: readers look them up without the context.
func (w *crateWriter) dataMap(owner string, rows arc.DataMap) []ref {
	const schema = "http://schema.org/"
	var ids []ref
	for _, row := range rows {
		file := w.file(row.Data)
		file.ref("pattern", w.term(row.ObjectType))
		d := entity{id: "#Descriptor_" + owner + row.Data.Name, types: []string{"PropertyValue"}}
		d.must("name", "FragmentDescriptor")
		d.ref("subjectOf", w.share(file))
		d.text(schema+"value", row.Explication.Name)
		d.text(schema+"valueReference", accession(row.Explication))
		d.text(schema+"unitText", row.Unit.Name)
		d.text(schema+"unitCode", accession(row.Unit))
		d.text(schema+"description", row.Description)
		d.text(schema+"measurementMethod", row.GeneratedBy)
		d.text(schema+"alternateName", row.Label)
		d.texts(schema+"disambiguatingDescription", describeComments(row.Comments))
		ids = append(ids, w.add(d))
	}
	return ids
}

// file gives a data file or a fragment of one.
func (w *crateWriter) file(d arc.Data) entity {
	e := entity{id: d.Name, types: []string{"File"}}
	if e.id == "" {
		e.id = "#File"
	}
	e.must("name", d.Name)
	e.text("encodingFormat", d.Format)
	e.text("usageInfo", d.SelectorFormat)
	return e
}

// term gives a defined term, or no reference for no term.
func (w *crateWriter) term(t arc.OntologyTerm) ref {
	if t.IsZero() {
		return ""
	}
	e := entity{id: accession(t), types: []string{"DefinedTerm"}}
	if e.id == "" {
		e.id = "#Term_" + t.Name
	}
	e.must("name", t.Name)
	e.text("termCode", accession(t))
	return w.share(e)
}

// accession gives the accession of a term as a URL where reading that gives the
// same term, else as the term has it.
func accession(t arc.OntologyTerm) string {
	if t.TAN == "" {
		return ""
	}
	if url := t.URL(); url != "" && arc.NewTerm(t.Name, url) == arc.NewTerm(t.Name, t.TAN) {
		return url
	}
	return t.TAN
}
