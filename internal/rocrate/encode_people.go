package rocrate

import (
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
)

// Accessions that mark the identifiers of a publication.
const (
	doiProperty      = "http://purl.obolibrary.org/obo/OBI_0002110"
	pubMedIDProperty = "http://purl.obolibrary.org/obo/OBI_0001617"
)

func (w *crateWriter) persons(people []arc.Person) []ref {
	var ids []ref
	for i := range people {
		ids = append(ids, w.person(&people[i]))
	}
	return ids
}

// person gives a person. The ORCID is known by the @id alone.
func (w *crateWriter) person(p *arc.Person) ref {
	e := entity{id: "#Person_" + p.FirstName + "_" + p.LastName, types: []string{"Person"}}
	if p.ORCID != "" {
		e.id = "https://orcid.org/" + p.ORCID
	}
	e.must("givenName", p.FirstName)
	e.text("familyName", p.LastName)
	e.text("additionalName", p.MidInitials)
	e.text("email", p.Email)
	e.text("telephone", p.Phone)
	e.text("faxNumber", p.Fax)
	e.text("address", p.Address)
	if p.Affiliation != "" {
		o := entity{id: "#Organization_" + p.Affiliation, types: []string{"Organization"}}
		o.must("name", p.Affiliation)
		e.ref("affiliation", w.share(o))
	}
	var roles []ref
	for _, role := range p.Roles {
		if role.IsZero() { // a role without anything still takes its place
			roles = append(roles, w.share(nameless("DefinedTerm")))
			continue
		}
		roles = append(roles, w.term(role))
	}
	e.refs("jobTitle", roles)
	e.texts("disambiguatingDescription", describeComments(p.Comments))
	return w.share(e)
}

func nameless(kind string) entity {
	e := entity{id: "#Term_", types: []string{kind}}
	e.must("name", "")
	return e
}

func (w *crateWriter) publications(list []arc.Publication) []ref {
	var ids []ref
	for i := range list {
		ids = append(ids, w.publication(&list[i]))
	}
	return ids
}

// publication gives a scholarly article. The author list is split at its
// commas: each piece becomes a person with nothing but a given name, which
// readers join again in the same way.
func (w *crateWriter) publication(p *arc.Publication) ref {
	e := entity{id: "#Publication_" + p.Title, types: []string{"ScholarlyArticle"}}
	if p.DOI != "" {
		e.id = "https://doi.org/" + p.DOI
	}
	e.must("headline", p.Title)
	var identifiers []ref
	for _, x := range []struct{ name, property, value string }{
		{"DOI", doiProperty, p.DOI},
		{"PubMedID", pubMedIDProperty, p.PubMedID},
	} {
		if x.value != "" {
			v := entity{id: "#" + x.name + "_" + x.value, types: []string{"PropertyValue"}}
			v.must("name", x.name)
			v.must("propertyID", x.property)
			v.must("value", x.value)
			identifiers = append(identifiers, w.share(v))
		}
	}
	e.refs("identifier", identifiers)
	if p.AuthorList != "" {
		var authors []ref
		for name := range strings.SplitSeq(p.AuthorList, ",") {
			a := entity{id: "#Author_" + name, types: []string{"Person"}}
			a.must("givenName", name)
			authors = append(authors, w.share(a))
		}
		e.refs("author", authors)
	}
	e.ref("creativeWorkStatus", w.term(p.Status))
	e.refs("comment", w.comments(p.Comments))
	return w.share(e)
}

// comments gives the comments of a dataset or a publication.
func (w *crateWriter) comments(list []arc.Comment) []ref {
	var ids []ref
	for _, c := range list {
		e := entity{id: "#Comment_" + c.Name + "_" + c.Value, types: []string{"Comment"}}
		e.must("name", c.Name)
		e.text("text", c.Value)
		ids = append(ids, w.share(e))
	}
	return ids
}

// describeComments gives comments in the form that they have where a crate has no
// entity for them. It has no way to say a double quote.
func describeComments(list []arc.Comment) []string {
	var texts []string
	for _, c := range list {
		texts = append(texts, `Comment {Name = "`+unquoted(c.Name)+`", Value = "`+unquoted(c.Value)+`"}`)
	}
	return texts
}

func unquoted(s string) string { return strings.ReplaceAll(s, `"`, "'") }
