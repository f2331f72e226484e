package source

import (
	"context"
	"strings"
)

// seedTable is one of the three tables of the first generation: which of its
// columns stand for which of the view's.
type seedTable struct {
	name    string
	alias   string
	from    string // after the name
	columns map[int]string
}

// seedTables stand for the first three views. The two type columns of assays
// were never used, and are not here either.
var seedTables = []seedTable{
	{name: "ARC_Investigation", alias: "i", columns: map[int]string{
		InvestigationIdentifier: `i."id"`, InvestigationTitle: `i."title"`, InvestigationDescription: `i."description"`,
		InvestigationSubmission: `i."submission_time"`, InvestigationRelease: `i."release_time"`,
	}},
	{name: "ARC_Study", alias: "s", columns: map[int]string{
		StudyIdentifier: `s."id"`, StudyTitle: `s."title"`, StudyDescription: `s."description"`,
		StudySubmission: `s."submission_time"`, StudyRelease: `s."release_time"`, StudyInvestigation: `s."investigation_id"`,
	}},
	{name: "ARC_Assay", alias: "a", from: ` JOIN "ARC_Study" s ON s."id" = a."study_id"`, columns: map[int]string{
		AssayIdentifier: `a."id"`, AssayInvestigation: `s."investigation_id"`, AssayStudies: `a."study_id"`,
	}},
}

// resolveTables prepares the seed's tables as if they were views.
func (d *Database) resolveTables(ctx context.Context) ([]Finding, error) {
	var findings []Finding
	d.relations = make([]*relation, len(d.views))
	for i, t := range seedTables {
		r := &relation{
			view: d.views[i], from: `"` + t.name + `" ` + t.alias + t.from,
			columns: make([]string, len(d.views[i].Columns)), unspelled: d.unspelled(),
		}
		for at, column := range t.columns {
			r.columns[at] = column
		}
		infos, err := d.session.columns(ctx, d.address.dialect.selectKey(r))
		switch {
		case err == nil:
			r.keyType = infos[0].typeName
			d.relations[i] = r
		case classify(err) == unreachable:
			return nil, d.failure("look at "+t.name, err)
		default:
			text := "the table cannot be read (" + oneLine(err) + ")"
			if classify(err) == noSuchRelation {
				text = "the table does not exist"
			}
			findings = append(findings, Finding{Severity: Error, View: t.name, Text: text,
				Remedy: "create the three tables, or the documented views and set schema: views"})
		}
	}
	return findings, nil
}

// selectKey reads every column but no row; the first column is the key.
func (d *Dialect) selectKey(r *relation) string {
	columns := []string{r.columns[r.view.Ref]}
	for i, c := range r.columns {
		if c != "" && i != r.view.Ref {
			columns = append(columns, c)
		}
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + r.from + " WHERE 1 = 0"
}
