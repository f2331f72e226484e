package jsonld

import (
	"bytes"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// readOnlyKey is the one key that the reference library refuses in objects: it keeps the @id there.
const readOnlyKey = "Id"

// checkNested reports what makes the reference library refuse a crate wherever it stands in it, also
// in an object that nobody looks at: a context that defines a term by something else than a
// text or by a prefix that is no address, and the key that nobody may write.
func (g *Graph) checkNested(root jsondoc.Value) bool {
	ok := true
	for _, m := range root.Expand().UniqueMembers() {
		switch m.Name {
		case "@id", "@context":
		case "@graph":
			for _, element := range m.Value.Elements() {
				ok = g.checkMembers(element) && ok
			}
		default:
			ok = g.checkValue(m.Value) && ok
		}
	}
	return ok
}

// checkTypes expands the types of all entities, also of those that nobody looks at, so that contexts that break on one are
// reported.
func (g *Graph) checkTypes() {
	for number := range g.entries.len() {
		var buf [64]byte
		if n, ok := g.byID(g.doc.StringAt(int(g.entries.at(number).id), buf[:0])); ok {
			n.Types()
		}
	}
}

// nestedReason says whether a text mentions a context besides its own or the key that is refused, or may do so by escapes:
// only then there can be something to report in what is nested. What is looked for begins with a rare
// character, so that most of the text is passed over quickly.
func nestedReason(text []byte) bool {
	if bytes.Count(text, []byte(`@context"`)) > 1 || bytes.Contains(text, []byte(readOnlyKey+`"`)) {
		return true
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return false
	}
	for _, escape := range [...]string{`\u004`, `\u005`, `\u006`, `\u007`} { // ASCII letters and @
		if bytes.Contains(text, []byte(escape)) {
			return true
		}
	}
	return false
}

func (g *Graph) checkValue(v jsondoc.Value) bool {
	ok := true
	switch v.Kind() {
	case jsondoc.Array:
		for _, element := range v.Elements() {
			ok = g.checkValue(element) && ok
		}
	case jsondoc.Object:
		s := shapeOf(v)
		if s.kind() == valueObject {
			return true
		}
		if _, err := readContext(s.context); err != nil && err.fatal {
			g.report(CodeContext, err.at, s.id.Text(), err.text)
			ok = false
		}
		ok = g.checkMembers(v) && ok
	default:
	}
	return ok
}

// checkMembers checks the members of an object.
func (g *Graph) checkMembers(object jsondoc.Value) bool {
	ok := true
	id := object.Member("@id")
	for _, m := range object.UniqueMembers() {
		switch m.Name {
		case "@id", "@type", "@context":
			if id.Kind() == jsondoc.String {
				continue // neither is looked at as a value
			}
		case readOnlyKey:
			if m.Value.Kind() != jsondoc.Null {
				g.report(CodeKey, m.Value, id.Text(), "the key "+readOnlyKey+" is reserved and cannot be a property")
				ok = false
			}
		}
		ok = g.checkValue(m.Value) && ok
	}
	return ok
}
