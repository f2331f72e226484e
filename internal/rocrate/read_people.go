package rocrate

import (
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// personCost and commentCost are what they take in the model, in bytes.
const (
	personCost  = 400
	commentCost = 48
)

// persons reads the creators of something.
func (r *reader) persons(n jsonld.Node) []arc.Person {
	var list []arc.Person
	nodes := r.nodes(n, jsonld.Creator, jsonld.Person, jsonld.GivenName)
	for _, p := range nodes {
		if !r.spend(personCost, p) {
			break
		}
		list = append(list, r.person(p))
	}
	return listed(r, list, nodes)
}

// orcidForm is the form of an ORCID iD: 0 stands for a digit, X for a digit or X.
const orcidForm = "0000-0000-0000-000X"

// findORCID gives the first ORCID iD in a text, or "".
func findORCID(text string) string {
	for i := 0; i+len(orcidForm) <= len(text); i++ {
		if isORCID(text[i : i+len(orcidForm)]) {
			return text[i : i+len(orcidForm)]
		}
	}
	return ""
}

func isORCID(text string) bool {
	for i := range len(orcidForm) {
		c := text[i]
		isDigit := '0' <= c && c <= '9'
		switch orcidForm[i] {
		case '-':
			if c != '-' {
				return false
			}
		case 'X':
			if !isDigit && c != 'X' {
				return false
			}
		default:
			if !isDigit {
				return false
			}
		}
	}
	return true
}

func (r *reader) person(n jsonld.Node) arc.Person {
	p := arc.Person{
		FirstName:   r.required(n, jsonld.GivenName),
		LastName:    r.optional(n, jsonld.FamilyName),
		MidInitials: r.optional(n, jsonld.AdditionalName),
		Email:       r.optional(n, jsonld.Email),
		Phone:       r.optional(n, jsonld.Telephone),
		Fax:         r.optional(n, jsonld.FaxNumber),
		Address:     r.address(n),
		Affiliation: r.affiliation(n),
		ORCID:       findORCID(n.ID()),
		Comments:    r.describedComments(nil, n),
	}
	for _, role := range r.nodes(n, jsonld.JobTitle, jsonld.DefinedTerm, jsonld.Name) {
		p.Roles = append(p.Roles, r.termOf(role, jsonld.TermCode))
	}
	return p
}

// address gives a text, or a postal address as JSON.
func (r *reader) address(n jsonld.Node) string {
	if text, ok := r.text(n, jsonld.Address); ok {
		return text
	}
	if postal, ok := n.Node(jsonld.Address); ok && postal.Is(jsonld.PostalAddress) {
		return r.jsonText(postal)
	}
	return ""
}

// affiliation gives the name of the organisation, or the organisation as JSON if it has more than a name.
func (r *reader) affiliation(n jsonld.Node) string {
	o, ok := n.Node(jsonld.Affiliation)
	if !ok || !isA(o, jsonld.Organization, jsonld.Name) {
		return ""
	}
	if o.OnlyHas(jsonld.Name) {
		return r.required(o, jsonld.Name)
	}
	return r.jsonText(o)
}

// comments reads the comments of something.
func (r *reader) comments(n jsonld.Node) []arc.Comment {
	nodes := r.nodes(n, jsonld.CommentProperty, jsonld.Comment, jsonld.Name)
	if len(nodes) == 0 {
		return nil
	}
	list := make([]arc.Comment, 0, len(nodes)+1) // and one for modifiedComment, so that the others stay where they are
	for _, c := range nodes {
		list = append(list, arc.Comment{Name: r.required(c, jsonld.Name), Value: r.optional(c, jsonld.TextProperty)})
	}
	return listed(r, list, nodes)
}

// modifiedComment is the comment that keeps the date of the last change.
const modifiedComment = "dateModified"

// commentsAndModified reads the comments of something that also has a date of change.
func (r *reader) commentsAndModified(n jsonld.Node) []arc.Comment {
	list := r.comments(n)
	if modified, ok := r.text(n, jsonld.DateModified); ok {
		list = append(list, arc.Comment{Name: modifiedComment, Value: modified})
	}
	return list
}

// describedComments appends comments that are texts: Name = "…", Value = "…".
func (r *reader) describedComments(list []arc.Comment, n jsonld.Node) []arc.Comment {
	for text := range n.Texts(jsonld.DisambiguatingDescription) {
		if !r.spend(commentCost+len(text), n) {
			break
		}
		list = append(list, parseComment(text))
	}
	return list
}

func parseComment(text string) arc.Comment {
	return arc.Comment{Name: quotedAfter(text, "Name = "), Value: quotedAfter(text, "Value = ")}
}

// quotedAfter gives what stands in quotes after a label, without the label where that is repeated in it.
func quotedAfter(text, label string) string {
	_, rest, _ := strings.Cut(text, label+`"`)
	quoted, _, closed := strings.Cut(rest, `"`)
	if !closed {
		return ""
	}
	return strings.ReplaceAll(quoted, label, "")
}

// Names and accessions under which publications keep their identifiers.
const (
	doiName, doiTerm       = "DOI", "http://purl.obolibrary.org/obo/OBI_0002110"
	pubMedName, pubMedTerm = "PubMedID", "http://purl.obolibrary.org/obo/OBI_0001617"
)

// publications reads the citations of something.
func (r *reader) publications(n jsonld.Node) []arc.Publication {
	var list []arc.Publication
	nodes := r.nodes(n, jsonld.Citation, jsonld.ScholarlyArticle, jsonld.Headline)
	for _, p := range nodes {
		if !r.spend(personCost, p) {
			break
		}
		list = append(list, r.publication(p))
	}
	return listed(r, list, nodes)
}

func (r *reader) publication(n jsonld.Node) arc.Publication {
	p := arc.Publication{
		Title:    r.required(n, jsonld.Headline),
		DOI:      r.identifierOr(n, doiName, doiTerm, jsonld.SameAs),
		PubMedID: r.identifierOr(n, pubMedName, pubMedTerm, jsonld.URL),
		Status:   r.singleTerm(n, jsonld.CreativeWorkStatus),
		Comments: r.comments(n),
	}
	var authors []string
	for _, a := range r.nodes(n, jsonld.Author, jsonld.Person, jsonld.GivenName) {
		if a.OnlyHas(jsonld.GivenName) {
			authors = append(authors, r.required(a, jsonld.GivenName))
		} else {
			authors = append(authors, r.jsonText(a))
		}
	}
	p.AuthorList = strings.Join(authors, ",")
	return p
}

// identifierOr gives the value of the identifier with a name and an accession, else the text of another property.
func (r *reader) identifierOr(n jsonld.Node, name, accession string, other jsonld.Property) string {
	for _, id := range r.nodes(n, jsonld.Identifier, jsonld.PropertyValue, jsonld.Name) {
		is, _ := id.Text(jsonld.Name)
		term, _ := id.Text(jsonld.PropertyID)
		if value, ok := r.text(id, jsonld.ValueProperty); ok && is == name && term == accession {
			return value
		}
	}
	return r.optional(n, other)
}
