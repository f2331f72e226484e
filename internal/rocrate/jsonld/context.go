package jsonld

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// context is one @context: a published one, definitions of terms, or a list.
type context struct {
	builtin     *builtin
	definitions map[string]string
	terms       map[string]string // IRI to the last term defined so
	prefixes    map[string]suffix // prefix to the last term whose definition uses it
	list        []*context
}

// suffix is what follows a prefix in the definition of a term.
type suffix struct{ text, term string }

// contextError says why a context cannot be read.
type contextError struct {
	at    jsondoc.Value
	text  string
	fatal bool // wherever the context stands; otherwise the object that it is in is no node
}

// maxExpansions bounds how often a definition is expanded by others.
const maxExpansions = 16

// readContext reads a context; an absent one is empty.
func readContext(v jsondoc.Value) (*context, *contextError) {
	switch v.Kind() {
	case jsondoc.Invalid, jsondoc.Null:
		return &context{}, nil
	case jsondoc.String:
		b, ok := builtinContext(v.Text())
		if !ok {
			return nil, &contextError{at: v, text: "the context " + quote(v.Text()) + " is unknown"}
		}
		return &context{builtin: b}, nil
	case jsondoc.Array:
		c := &context{}
		for _, element := range v.Elements() {
			if element.Kind() == jsondoc.Null {
				return nil, &contextError{at: element, text: "a context in a list is null"}
			}
			sub, err := readContext(element)
			if err != nil {
				return nil, err
			}
			c.list = append(c.list, sub)
		}
		return c, nil
	case jsondoc.Object:
		return readDefinitions(v)
	default:
		return nil, &contextError{at: v, text: "a context is neither a text nor an object nor a list of these"}
	}
}

func readDefinitions(v jsondoc.Value) (*context, *contextError) {
	c := &context{
		definitions: map[string]string{},
		terms:       map[string]string{},
		prefixes:    map[string]suffix{},
	}
	for _, m := range v.UniqueMembers() {
		if m.Name == "@id" || m.Name == "@type" {
			continue
		}
		if m.Value.Kind() != jsondoc.String {
			return nil, &contextError{m.Value, "the context defines the term " + quote(m.Name) + " by something else than a text", true}
		}
		c.definitions[m.Name] = m.Value.Text()
		if !c.define(m.Name, m.Value.Text(), 0) {
			return nil, &contextError{m.Value, "the context defines the term " + quote(m.Name) + " by a prefix that is no address", true}
		}
	}
	return c, nil
}

// define remembers which term stands for an IRI, whether it is written with
// http or https. Compact definitions are expanded by what the same object says.
func (c *context) define(term, iri string, expansions int) bool {
	if expansions > maxExpansions {
		return false
	}
	c.terms[strings.ReplaceAll(iri, "https://", "http://")] = term
	c.terms[strings.ReplaceAll(iri, "http://", "https://")] = term
	if prefix, rest, ok := cutCompact(iri); ok {
		c.prefixes[prefix] = suffix{rest, term}
		base, known := c.definitions[prefix]
		if !known {
			return true
		}
		full, ok := combine(base, rest)
		return ok && c.define(term, full, expansions+1)
	}
	if s, ok := c.prefixes[term]; ok {
		full, ok := combine(iri, s.text)
		return ok && c.define(s.term, full, expansions+1)
	}
	return true
}

// cutCompact splits a compact IRI at the last colon that two characters other than
// slashes follow.
func cutCompact(iri string) (prefix, rest string, ok bool) {
	iri = strings.TrimSpace(iri)
	for i := len(iri) - 1; i >= 0; i-- {
		if iri[i] != ':' {
			continue
		}
		first, size := utf8.DecodeRuneInString(iri[i+1:])
		if second := iri[i+1+size:]; second != "" && first != '/' && second[0] != '/' {
			return iri[:i], iri[i+1:], true
		}
	}
	return "", "", false
}

// combine resolves an address against a base.
func combine(base, relative string) (string, bool) {
	if strings.HasPrefix(relative, "http://") || strings.HasPrefix(relative, "https://") {
		return relative, true
	}
	b, err := url.Parse(base)
	if err != nil || !b.IsAbs() {
		return "", false
	}
	r, err := url.Parse(relative)
	opaque := !strings.HasPrefix(base[len(b.Scheme)+1:], "/")
	if err != nil || opaque && !r.IsAbs() && !strings.HasPrefix(relative, "#") {
		return "", false // nothing is relative to an address without slashes
	}
	return b.ResolveReference(r).String(), true
}

// term gives the term for an IRI: of a list the first context that has one decides.
func (c *context) term(iri string) (string, bool) {
	if c.builtin != nil {
		term, ok := c.builtin.terms[iri]
		return term, ok
	}
	if term, ok := c.terms[iri]; ok {
		return term, true
	}
	for _, sub := range c.list {
		if term, ok := sub.term(iri); ok {
			return term, true
		}
	}
	return "", false
}

// resolution is the state of one expansion of a term.
type resolution struct {
	steps  int
	failed bool
}

// resolve expands a term or compact IRI. The parts around colons are expanded one by
// one; the last that is known counts, relative to those before it.
func (c *context) resolve(r *resolution, term string) (string, bool) {
	if strings.IndexByte(term, ':') < 0 {
		return c.find(r, term)
	}
	iri, known := "", false
	for part := range strings.SplitSeq(term, ":") {
		next, ok := c.find(r, part)
		switch {
		case !ok:
		case !known:
			iri, known = next, true
		default:
			if iri, ok = combine(iri, next); !ok {
				r.failed = true
			}
		}
	}
	return iri, known
}

// find expands a term by its definition.
func (c *context) find(r *resolution, term string) (string, bool) {
	if r.steps++; r.steps > 1000 {
		r.failed = true
		return "", false
	}
	if c.builtin != nil {
		iri, ok := c.builtin.definitions[term]
		return iri, ok
	}
	definition, ok := c.definitions[term]
	for i := 0; !ok && i < len(c.list); i++ {
		definition, ok = c.list[i].resolve(r, term)
	}
	if !ok {
		return "", false
	}
	prefix, rest, compact := cutCompact(definition)
	if !compact {
		return definition, true
	}
	base, relative := prefix, rest
	if prefix != term {
		if found, ok := c.find(r, prefix); ok {
			base = found
		}
	}
	if rest != term {
		if found, ok := c.find(r, rest); ok {
			relative = found
		}
	}
	iri, ok := combine(base, relative)
	if !ok {
		r.failed = true
	}
	return iri, ok
}

// mayFail says whether a term may expand to something that is no address.
func (c *context) mayFail() bool {
	for _, definition := range c.definitions {
		if !strings.HasPrefix(definition, "http://") && !strings.HasPrefix(definition, "https://") {
			return true
		}
	}
	return slices.ContainsFunc(c.list, (*context).mayFail)
}

// quote shows a text in a message, shortened.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return "'" + s + "'"
}
