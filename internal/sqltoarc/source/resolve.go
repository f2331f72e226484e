package source

import (
	"context"
	"fmt"
	"strings"
)

// Resolve looks for every view and its columns, and reports everything that is
// not as documented in one list. An error means that looking was not possible.
func (d *Database) Resolve(ctx context.Context) ([]Finding, error) {
	if d.schema == SchemaTables {
		return d.resolveTables(ctx)
	}
	var findings []Finding
	d.relations = make([]*relation, len(d.views))
	for i, view := range d.views {
		r, found, err := d.resolveView(ctx, view)
		if err != nil {
			return nil, err
		}
		d.relations[i] = r
		findings = append(findings, found...)
	}
	return findings, nil
}

// Usable reports whether no finding keeps a run from starting.
func Usable(findings []Finding) bool {
	for _, f := range findings {
		if f.Severity == Error {
			return false
		}
	}
	return true
}

// resolveView tries the spellings of the view's name.
func (d *Database) resolveView(ctx context.Context, view *View) (*relation, []Finding, error) {
	for _, name := range d.address.dialect.spellings(view.Name) {
		infos, err := d.session.columns(ctx, "SELECT * FROM "+name+" WHERE 1 = 0")
		if err == nil {
			r, findings := d.match(view, name, infos)
			return r, findings, nil
		}
		switch classify(err) {
		case noSuchRelation:
			continue
		case unreachable:
			return nil, nil, d.failure("look at "+view.Name, err)
		case accessDenied:
			return nil, []Finding{{
				Severity: Error, View: view.Name, Text: "access is denied (" + oneLine(err) + ")",
				Remedy: "grant the user SELECT on the view",
			}}, nil
		}
		return nil, []Finding{{
			Severity: Error, View: view.Name, Text: "the view cannot be read (" + oneLine(err) + ")",
			Remedy: "mend the definition of the view",
		}}, nil
	}
	f := Finding{Severity: Warning, View: view.Name, Text: "the view does not exist and counts as empty",
		Remedy: "sql-to-arc init prints the statement that creates it"}
	if view.Essential {
		f.Severity, f.Text = Error, "the view does not exist"
	}
	return nil, []Finding{f}, nil
}

// unspelled gives what the database may hold that has no form in UTF-8.
func (d *Database) unspelled() string {
	if s, ok := d.session.(*pgSession); ok {
		return unspelledIn(s.conn.ParameterStatus("server_encoding"))
	}
	return ""
}

// match finds the documented columns among those of the database, whatever
// their case.
func (d *Database) match(view *View, from string, infos []columnInfo) (*relation, []Finding) {
	r := &relation{view: view, from: from, columns: make([]string, len(view.Columns)), unspelled: d.unspelled()}
	var findings []Finding
	used := make([]bool, len(infos))
	var absent []string
	for i, c := range view.Columns {
		at := -1
		for k, info := range infos {
			if info.name == c.Name || at < 0 && strings.EqualFold(info.name, c.Name) {
				at = k
			}
		}
		if at < 0 {
			switch {
			case c.Required:
				findings = append(findings, Finding{Severity: Error, View: view.Name, Column: c.Name,
					Text: "the required column is missing", Remedy: "add it to the view"})
			case !c.Extra:
				absent = append(absent, c.Name)
			}
			continue
		}
		used[at] = true
		r.columns[i] = d.address.dialect.quote(infos[at].name)
		if i == view.Ref {
			r.keyType = infos[at].typeName
		}
		if words, ok := c.Kind.accepts(infos[at].typeName); !ok {
			findings = append(findings, Finding{Severity: Warning, View: view.Name, Column: c.Name,
				Text:   fmt.Sprintf("the column has the type %s; values that are not %s", infos[at].typeName, words),
				Remedy: "give the column the documented type"})
		}
	}
	if len(absent) > 0 {
		findings = append(findings, Finding{Severity: Warning, View: view.Name,
			Text: "optional columns are missing and count as NULL: " + strings.Join(absent, ", ")})
	}
	var extra []string
	for k, info := range infos {
		if !used[k] {
			extra = append(extra, info.name)
		}
	}
	if len(extra) > 0 {
		findings = append(findings, Finding{Severity: Note, View: view.Name,
			Text: "columns that are not part of the documentation are ignored: " + strings.Join(extra, ", ")})
	}
	return r, findings
}

// accepts judges the name of a type, whatever the product: enough to warn, the
// values decide. The words tell which of them become what.
func (k Kind) accepts(typeName string) (words string, ok bool) {
	name := strings.ToLower(typeName)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(name, p) {
				return true
			}
		}
		return false
	}
	switch k {
	case Time:
		return "dates will be reported and their rows skipped", has("date", "time")
	case Integer:
		return "integers will be reported and their rows skipped", has("int", "serial", "number", "numeric", "decimal", "year")
	case Text:
	}
	return "texts become hexadecimal digits", !has("bytea", "blob", "binary", "image", "raw") || name == ""
}
