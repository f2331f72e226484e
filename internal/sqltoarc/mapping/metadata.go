package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// investigation begins the ARC. Without its row there is none.
func (b *builder) investigation(row source.Row) bool {
	if column, text, remedy := b.fault(investigations, row); text != "" {
		b.fail(investigations, "", column, text+"; the dataset is not converted", remedy)
		return false
	}
	if strings.TrimSpace(row.Text(source.InvestigationIdentifier)) == "" {
		b.fail(investigations, "", "identifier", "the identifier is empty; the dataset is not converted", "give it a value")
		return false
	}
	b.unwritable(investigations, row, "")
	inv := &arc.Investigation{
		Identifier:  row.Text(source.InvestigationIdentifier),
		Title:       row.Text(source.InvestigationTitle),
		Description: row.Text(source.InvestigationDescription),
	}
	for column, target := range map[int]*string{
		source.InvestigationSubmission: &inv.SubmissionDate, source.InvestigationRelease: &inv.PublicReleaseDate,
	} {
		iso, err := source.ISOTime(row.Text(column))
		if err != nil {
			b.fail(investigations, "", b.views[investigations].Columns[column].Name, err.Error()+"; the dataset is not converted", "store a timestamp")
			return false
		}
		*target = iso
	}
	b.result.ARC = inv
	return true
}

// folderName gives an identifier as the ARC specification wants those that
// become folders: trimmed; ASCII letters, digits, underscore, dash and space.
func (b *builder) folderName(view int, text string) (string, bool) {
	name := strings.TrimSpace(text)
	bad := strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != ' '
	})
	switch {
	case name == "":
		b.fail(view, "", "identifier", "the identifier is empty; the dataset is not converted", "give it a value")
	case bad >= 0:
		b.fail(view, "", "identifier", fmt.Sprintf("the identifier %q becomes a folder and must consist of the letters a-z and A-Z, digits, underscore, dash and space; the dataset is not converted", name),
			"replace the other characters in the view")
	default:
		return name, true
	}
	return "", false
}

func (b *builder) study(row source.Row) {
	name := fmt.Sprintf("study %q", row.Text(source.StudyIdentifier))
	if !b.complete(studies, row, name) {
		return
	}
	id, ok := b.folderName(studies, row.Text(source.StudyIdentifier))
	if !ok {
		return
	}
	if first, known := b.studyRows[id]; known {
		if !slices.Equal(first, row) {
			b.fail(studies, name, "identifier", "two rows with this identifier differ; the dataset is not converted", "give each study one row")
		}
		return
	}
	s := &arc.Study{Identifier: id, Title: row.Text(source.StudyTitle), Description: row.Text(source.StudyDescription)}
	if s.SubmissionDate, ok = b.date(studies, row, name, source.StudySubmission); !ok {
		return
	}
	if s.PublicReleaseDate, ok = b.date(studies, row, name, source.StudyRelease); !ok {
		return
	}
	b.studies[id], b.studyRows[id] = s, row
	b.result.ARC.Studies = append(b.result.ARC.Studies, s)
}

func (b *builder) assay(row source.Row) {
	name := fmt.Sprintf("assay %q", row.Text(source.AssayIdentifier))
	if !b.complete(assays, row, name) {
		return
	}
	id, ok := b.folderName(assays, row.Text(source.AssayIdentifier))
	if !ok {
		return
	}
	b.studyRefs(row, name)
	if first, known := b.assayRows[id]; known {
		// Rows that differ only in their studies are one assay of all of them.
		if !slices.Equal(first[:source.AssayStudies], row[:source.AssayStudies]) {
			b.fail(assays, name, "identifier", "two rows with this identifier differ in more than study_ref; the dataset is not converted", "give each assay one row")
		}
		return
	}
	a := &arc.Assay{
		Identifier: id, Title: row.Text(source.AssayTitle), Description: row.Text(source.AssayDescription),
		MeasurementType:    term(row[source.AssayMeasurementTerm], row[source.AssayMeasurementURI]),
		TechnologyType:     term(row[source.AssayTechnologyTerm], row[source.AssayTechnologyURI]),
		TechnologyPlatform: arc.OntologyTerm{Name: row.Text(source.AssayPlatform)},
	}
	b.assays[id], b.assayRows[id] = a, row
	b.result.ARC.Assays = append(b.result.ARC.Assays, a)
}

// studyRefs checks the studies that an assay names. An ARC keeps studies and
// assays side by side, so that the names must be right is all there is to do.
func (b *builder) studyRefs(row source.Row, name string) {
	refs, err := parseStudyRefs(row.Text(source.AssayStudies))
	if err != nil {
		b.report(source.Warning, assays, name, "study_ref", "it is neither a JSON array of study identifiers nor one identifier; the assay belongs to no study",
			`write ["study_1", "study_2"]`)
		return
	}
	for _, ref := range refs {
		if b.studies[strings.TrimSpace(ref)] == nil {
			b.report(source.Warning, assays, name, "study_ref", fmt.Sprintf("there is no study %q in this dataset", ref),
				"correct the reference, or add the study")
		}
	}
}

// parseStudyRefs reads a JSON array, a JSON text or a plain identifier.
func parseStudyRefs(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "null" {
		return nil, nil
	}
	switch text[0] {
	case '[':
		var values []any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&values); err != nil {
			return nil, err
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return nil, errors.New("something follows the array")
		}
		refs := make([]string, 0, len(values))
		for _, v := range values {
			switch v := v.(type) {
			case string:
				refs = append(refs, v)
			case json.Number:
				refs = append(refs, v.String())
			default:
				return nil, fmt.Errorf("%v is no identifier", v)
			}
		}
		return refs, nil
	case '"':
		var one string
		err := json.Unmarshal([]byte(text), &one)
		return []string{one}, err
	}
	return []string{text}, nil
}

// target says what a row is about.
type target struct {
	study *arc.Study // nil unless it is about a study
	assay *arc.Assay // nil unless it is about an assay
}

// word gives one of the documented words, however it is spelled.
func word(text string) string { return strings.ToLower(strings.TrimSpace(text)) }

// targets are what the rows of a view may be about.
var targets = map[int]struct {
	kinds  []string
	remedy string
}{
	publications: {[]string{"investigation", "study"}, "write investigation or study"},
	contacts:     {[]string{"investigation", "study", "assay"}, "write investigation, study or assay"},
	cells:        {[]string{"study", "assay"}, "write study or assay"},
}

// find gives the target of a row, or reports that there is none.
func (b *builder) find(view int, name string, kind, ref source.Value) (target, bool) {
	named := word(kind.Text)
	if !slices.Contains(targets[view].kinds, named) {
		b.skip(view, name, "target_type", fmt.Sprintf("%q is not one of the documented targets", kind.Text), targets[view].remedy)
		return target{}, false
	}
	switch named {
	case "investigation":
		return target{}, true
	case "study":
		if s := b.studies[strings.TrimSpace(ref.Text)]; s != nil {
			return target{study: s}, true
		}
	case "assay":
		if a := b.assays[strings.TrimSpace(ref.Text)]; a != nil {
			return target{assay: a}, true
		}
	}
	b.skip(view, name, "target_ref", fmt.Sprintf("there is no %s %q in this dataset", named, ref.Text),
		"correct the reference, or add what it refers to")
	return target{}, false
}

func (b *builder) publication(row source.Row) {
	name := fmt.Sprintf("publication %q", first(row, source.PublicationTitle, source.PublicationDOI, source.PublicationPubMedID))
	if !b.complete(publications, row, name) {
		return
	}
	at, ok := b.find(publications, name, row[source.PublicationTargetType], row[source.PublicationTarget])
	if !ok {
		return
	}
	p := arc.Publication{
		PubMedID: row.Text(source.PublicationPubMedID), DOI: row.Text(source.PublicationDOI),
		AuthorList: row.Text(source.PublicationAuthors), Title: row.Text(source.PublicationTitle),
		Status: term(row[source.PublicationStatusTerm], row[source.PublicationStatusURI]),
	}
	if at.study != nil {
		at.study.Publications = append(at.study.Publications, p)
		return
	}
	b.result.ARC.Publications = append(b.result.ARC.Publications, p)
}

func (b *builder) contact(row source.Row) {
	name := fmt.Sprintf("contact %q", first(row, source.ContactLastName, source.ContactFirstName, source.ContactEmail))
	if !b.complete(contacts, row, name) {
		return
	}
	at, ok := b.find(contacts, name, row[source.ContactTargetType], row[source.ContactTarget])
	if !ok {
		return
	}
	p := arc.Person{
		FirstName: row.Text(source.ContactFirstName), LastName: row.Text(source.ContactLastName),
		MidInitials: row.Text(source.ContactMidInitials), Email: row.Text(source.ContactEmail),
		Phone: row.Text(source.ContactPhone), Fax: row.Text(source.ContactFax),
		Address: row.Text(source.ContactAddress), Affiliation: row.Text(source.ContactAffiliation),
		Roles: b.roles(row.Text(source.ContactRoles), name),
	}
	switch {
	case at.study != nil:
		at.study.Contacts = append(at.study.Contacts, p)
	case at.assay != nil:
		at.assay.Performers = append(at.assay.Performers, p)
	default:
		b.result.ARC.Contacts = append(b.result.ARC.Contacts, p)
	}
}

// roles reads a JSON array of {"term", "uri", "version"}. What is none of these in it
// does not keep the others from counting.
func (b *builder) roles(text, name string) []arc.OntologyTerm {
	if text = strings.TrimSpace(text); text == "" || text == "[]" || text == "null" {
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		b.report(source.Warning, contacts, name, "roles", "it is not a JSON array of objects with term, uri and version; the contact has no roles",
			`write [{"term": "researcher", "uri": "..."}]`)
		return nil
	}
	roles := make([]arc.OntologyTerm, 0, len(list))
	for _, element := range list {
		var r struct{ Term, URI string }
		if err := json.Unmarshal(element, &r); err != nil {
			b.report(source.Warning, contacts, name, "roles", fmt.Sprintf("%q is not an object with term, uri and version; it is left out", shorten(string(element))),
				`write [{"term": "researcher", "uri": "..."}]`)
			continue
		}
		if r.Term != "" {
			b.listed(contacts, name, "roles", r.Term, r.URI)
			roles = append(roles, arc.NewTerm(r.Term, r.URI))
		}
	}
	return roles
}

// first gives the first text that is there.
func first(row source.Row, columns ...int) string {
	for _, c := range columns {
		if row[c].Text != "" {
			return row[c].Text
		}
	}
	return ""
}
