package source

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
)

// Count is the number of rows of a view.
type Count struct {
	View string `json:"view"`
	Rows int64  `json:"rows"`
}

// maxListed is how many offending keys a finding names.
const maxListed = 5

// Inspect reads through every view that [Database.Resolve] has found: counts
// rows, values that are missing although required, and identifiers given twice.
// On a large database it takes as long as the views need to be computed.
func (d *Database) Inspect(ctx context.Context) ([]Count, []Finding, error) {
	var counts []Count
	var findings []Finding
	if d.Dialect() == PostgreSQL {
		// Within a transaction nothing is written, and our settings hold.
		if _, err := d.begin(ctx, d.session); err != nil {
			return nil, nil, d.failure("begin to count", err)
		}
		defer d.session.rollback(ctx)
	}
	for _, r := range d.relations {
		if r == nil {
			continue
		}
		count, found, err := d.inspectView(ctx, r)
		if err != nil {
			return nil, nil, d.failure("count "+r.view.Name, err)
		}
		counts = append(counts, count)
		findings = append(findings, found...)
		if found, err = d.orphans(ctx, r); err != nil {
			return nil, nil, d.failure("compare the references of "+r.view.Name, err)
		}
		findings = append(findings, found...)
	}
	if r := d.relations[0]; r != nil {
		found, err := d.duplicates(ctx, r)
		if err != nil {
			return nil, nil, d.failure("compare the identifiers of "+r.view.Name, err)
		}
		findings = append(findings, found...)
		if found, err = d.looks(ctx); err != nil {
			return nil, nil, d.failure("find out how changes are seen", err)
		}
		findings = append(findings, found...)
	}
	return counts, findings, nil
}

// looks tells why a run has to look at every row to see what has changed, if it has to.
func (d *Database) looks(ctx context.Context) ([]Finding, error) {
	if some, err := d.unmarked(ctx, d.session); err != nil || !some {
		return nil, err
	}
	why, remedy, err := d.versionsObjection(ctx, d.session)
	switch {
	case err != nil && (classify(err) == unreachable || ctx.Err() != nil):
		return nil, err
	case err != nil:
		why = oneLine(err)
	case why == "":
		return nil, nil
	}
	return []Finding{{Severity: Note, View: d.views[0].Name, Column: d.views[0].Columns[InvestigationMarker].Name,
		Text:   "whether a dataset has changed is seen by reading all of its rows (" + why + ")",
		Remedy: "if runs take too long, " + cmp.Or(remedy, "mend this") + ", or add the column"}}, nil
}

func (d *Database) inspectView(ctx context.Context, r *relation) (Count, []Finding, error) {
	count := Count{View: r.view.Name}
	var findings []Finding
	statement, columns := d.address.dialect.selectProblems(r)
	err := d.session.query(ctx, statement, nil, func(row [][]byte) (err error) {
		if count.Rows, err = strconv.ParseInt(string(row[0]), 10, 64); err != nil {
			return err
		}
		for i, column := range columns {
			if n := string(row[i+1]); n != "0" {
				findings = append(findings, Finding{
					Severity: Warning, View: r.view.Name, Column: r.view.Columns[column].Name,
					Text:   fmt.Sprintf("rows without a value although it is required: %s of %d; they will be skipped", n, count.Rows),
					Remedy: "give the column a value in every row",
				})
			}
		}
		return nil
	})
	if err == nil && r.view.Essential && count.Rows == 0 {
		findings = append(findings, Finding{Severity: Warning, View: r.view.Name, Text: "there are no investigations"})
	}
	return count, findings, err
}

// orphans counts the rows of a view that belong to no investigation, which a run
// never sees. Databases that cannot compare the two columns are not asked.
func (d *Database) orphans(ctx context.Context, r *relation) ([]Finding, error) {
	if r.view.Essential || d.relations[0] == nil {
		return nil, nil
	}
	var findings []Finding
	err := keepingSnapshot(ctx, d.session, func() error {
		return d.session.query(ctx, d.address.dialect.selectOrphans(r, d.relations[0]), nil, func(row [][]byte) error {
			n, err := strconv.ParseInt(string(row[0]), 10, 64)
			if n > 0 {
				findings = append(findings, Finding{
					Severity: Warning, View: r.view.Name, Column: r.view.Columns[r.view.Ref].Name,
					Text:   Counted(n, "row names", "rows name") + " an investigation that does not exist, and will be left out",
					Remedy: "correct the references, or add the investigations",
				})
			}
			return err
		})
	})
	if err != nil && classify(err) != unreachable && ctx.Err() == nil {
		return nil, nil
	}
	return findings, err
}

func (d *Database) duplicates(ctx context.Context, r *relation) ([]Finding, error) {
	var findings []Finding
	err := d.session.query(ctx, d.address.dialect.selectDuplicates(r, maxListed), nil, func(row [][]byte) error {
		findings = append(findings, Finding{
			Severity: Warning, View: r.view.Name, Key: string(row[0]), Column: "identifier",
			Text:   string(row[1]) + " investigations have this identifier; only the first will be uploaded",
			Remedy: "make identifiers unique",
		})
		return nil
	})
	return findings, err
}

// unmarked tells whether some investigation has no change_marker.
func (d *Database) unmarked(ctx context.Context, s session) (some bool, err error) {
	if d.relations[0].columns[InvestigationMarker] == "" {
		return true, nil
	}
	err = s.query(ctx, d.Dialect().selectUnmarked(d.relations[0]), nil, func([][]byte) error {
		some = true
		return nil
	})
	return some, err
}
