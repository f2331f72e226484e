package scaffold

import (
	"strconv"

	"github.com/fairagro/middleware-api/internal/arc"
)

func personFields() []field[arc.Person] {
	return concat([]field[arc.Person]{
		{"Last Name", func(p arc.Person) string { return p.LastName }},
		{"First Name", func(p arc.Person) string { return p.FirstName }},
		{"Mid Initials", func(p arc.Person) string { return p.MidInitials }},
		{"Email", func(p arc.Person) string { return p.Email }},
		{"Phone", func(p arc.Person) string { return p.Phone }},
		{"Fax", func(p arc.Person) string { return p.Fax }},
		{"Address", func(p arc.Person) string { return p.Address }},
		{"Affiliation", func(p arc.Person) string { return p.Affiliation }},
	}, termsFields("Roles", "Roles", func(p arc.Person) []arc.OntologyTerm { return p.Roles }))
}

// personComments gives the comments of a person with the ORCID, which is one of
// them in a workbook.
func personComments(p arc.Person) []arc.Comment {
	if p.ORCID == "" {
		return p.Comments
	}
	return append(p.Comments[:len(p.Comments):len(p.Comments)], arc.Comment{Name: "ORCID", Value: p.ORCID})
}

func (m *metadata) addPersons(prefix string, persons []arc.Person) {
	addFields(m, prefix, personFields(), persons...)
	m.addComments(collect(persons, personComments)...)
}

func checkPersons(p *plan, path, entity string, persons []arc.Person) {
	for i, person := range persons {
		who := "person " + strconv.Itoa(i+1) + " (" + person.FirstName + " " + person.LastName + ") of " + entity
		checkComments(p, path, who, "", personFields(), personComments(person), &persons[i])
	}
}

func publicationFields() []field[arc.Publication] {
	return concat([]field[arc.Publication]{
		{"PubMed ID", func(p arc.Publication) string { return p.PubMedID }},
		{"DOI", func(p arc.Publication) string { return p.DOI }},
		{"Author List", func(p arc.Publication) string { return p.AuthorList }},
		{"Title", func(p arc.Publication) string { return p.Title }},
	}, termFields("Status", "Status", func(p arc.Publication) arc.OntologyTerm { return p.Status }))
}

func (m *metadata) addPublications(prefix string, publications []arc.Publication) {
	addFields(m, prefix, publicationFields(), publications...)
	m.addComments(collect(publications, func(p arc.Publication) []arc.Comment { return p.Comments })...)
}

func checkPublications(p *plan, path, entity string, publications []arc.Publication) {
	for i, publication := range publications {
		which := "publication " + strconv.Itoa(i+1) + " (" + quote(publication.Title) + ") of " + entity
		checkComments(p, path, which, "", publicationFields(), publication.Comments, &publications[i])
	}
}

func collect[T, U any](items []T, f func(T) U) []U {
	out := make([]U, len(items))
	for i, item := range items {
		out[i] = f(item)
	}
	return out
}
