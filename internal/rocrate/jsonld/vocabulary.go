package jsonld

import (
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// Vocabulary says how properties and types are spelled under a context.
type Vocabulary struct {
	context *context
	keys    *keyTable
	codes   [numProperties]propertyCodes
	types   map[string]Type // what spellings of types mean
}

// propertyCodes are the codes of the keys of a property: its IRI, and the term that the context has
// for it or 0.
type propertyCodes struct{ iri, term keyCode }

// maxTypes bounds how many spellings of types are remembered.
const maxTypes = 1024

func newVocabulary(c *context) *Vocabulary {
	v := &Vocabulary{context: c, keys: newKeyTable(), types: map[string]Type{}}
	for p := range numProperties {
		v.codes[p].iri = v.keys.add(p.iri())
		if term, ok := c.term(p.iri()); ok {
			v.codes[p].term = v.keys.add(term)
		}
	}
	return v
}

// typesOf gives the known types that a spelling stands for; failed says that the
// context breaks on it.
func (v *Vocabulary) typesOf(spelling []byte) (types Type, failed bool) {
	if t, ok := v.types[string(spelling)]; ok {
		return t &^ endOfTypes, t&endOfTypes != 0
	}
	var r resolution
	iri, known := v.context.resolve(&r, string(spelling))
	for t, names := range typeTerms {
		if string(spelling) == names.iri || known && iri == names.iri {
			types |= t
		}
	}
	if r.failed {
		types |= endOfTypes
	}
	if len(v.types) < maxTypes {
		v.types[string(spelling)] = types
	}
	return types &^ endOfTypes, types&endOfTypes != 0
}

// isKey says whether a key of an entity stands for a property; failed says that the context breaks on it.
func (v *Vocabulary) isKey(key string, p Property) (is, failed bool) {
	var r resolution
	iri, ok := v.context.resolve(&r, key)
	return key == p.iri() || ok && iri == p.iri(), r.failed
}

// scope is a context of an entity's own, by its text, within others.
type scope struct {
	within *Vocabulary
	own    string
}

// vocabularyWithin gives the vocabulary of an entity with a context of its own, which comes before
// others.
func (g *Graph) vocabularyWithin(within *Vocabulary, own jsondoc.Value) *Vocabulary {
	if isAbsent(own) {
		return within
	}
	key := scope{within, string(own.Raw())}
	if v, ok := g.contexts[key]; ok {
		return v
	}
	c, err := readContext(own)
	if err != nil { // reported before, or the object is no node
		return within
	}
	v := newVocabulary(&context{list: []*context{c, within.context}})
	if len(g.contexts) >= maxContexts {
		clear(g.contexts)
	}
	if g.contexts == nil {
		g.contexts = map[scope]*Vocabulary{}
	}
	g.contexts[key] = v
	return v
}
