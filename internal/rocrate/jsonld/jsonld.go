// Package jsonld reads the graph of an RO-Crate: its contexts, its entities and
// what they refer to, by the rules of the reference library of the ARC format, which
// are those of JSON-LD only in the simple cases. It knows which terms ARCs use, but not what they
// mean there.
//
// Entities stay bytes: the graph holds eight bytes for each and an index by @id, and
// indexes an entity when somebody looks at it. Only entities that are given twice are held
// as lists of properties. A graph is for one goroutine, because it remembers what was looked at.
package jsonld

import (
	"hash/maphash"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// Reporter is told what is wrong: a stable code, the place, the @id of the entity ("" for the
// document), and the text.
type Reporter func(code string, at jsondoc.Value, entity, text string)

// Codes of what is wrong with a graph.
const (
	CodeDocument = "crate-document" // not an object with a graph
	CodeEntity   = "crate-entity"   // an entry of the graph that is no entity
	CodeContext  = "crate-context"  // a context that cannot be read
	CodeKey      = "crate-key"      // a key that cannot be a property
	CodeMerge    = "crate-merge"    // entities of one @id that cannot be merged
)

// Document is a crate that was parsed, with the places of its entities, which are not in its index.
type Document struct {
	*jsondoc.Doc
	entries entries
}

// depth is how deep a document has to be indexed to be read: the document, its
// graph, the entities as such.
const depth = 3

// largeDocument is from how many bytes on a document is parsed by [ParseLarge].
const largeDocument = 8 << 20

// Parse parses a crate. The error is that of jsondoc.Parse.
func Parse(text []byte) (*Document, error) {
	if len(text) >= largeDocument {
		return ParseLarge(text)
	}
	var d Document
	var err error
	d.Doc, err = jsondoc.ParseShowing(text, depth, func(v jsondoc.Value) { d.found(v, uint32(v.Index())) })
	return &d, err
}

// ParseLarge is Parse for documents of which an index would take too much memory, about as much again as the text:
// what is looked at is parsed once more then.
func ParseLarge(text []byte) (*Document, error) {
	var d Document
	var err error
	d.Doc, err = jsondoc.ParseTo(text, depth, func(v jsondoc.Value) bool { return d.found(v, 0) })
	return &d, err
}

// found notes an entity, unless it has to be looked at again.
func (d *Document) found(v jsondoc.Value, node uint32) bool {
	s := shapeOf(v)
	if !s.isEntity() || !isAbsent(s.context) {
		return false
	}
	d.entries.add(entry{uint32(v.Offset()), uint32(s.id.Offset()), node})
	return true
}

// Graph is the graph of a crate.
type Graph struct {
	doc        *jsondoc.Doc
	report     Reporter
	vocabulary *Vocabulary
	bare       *Vocabulary           // without any context, if it was asked for
	contexts   map[scope]*Vocabulary // of entities with a context of their own
	entries    entries               // entities by number
	index      index
	trails     [maxTrails]trail
	slab       slab
	recent     [maxRecent]*entity // entities looked at lately, by the end of their number
	texts      textKeeper
	work       int                 // bytes of entities that were looked at
	merged     map[uint32]*merged  // entities given twice, by number
	flattened  map[uint32]struct{} // inline nodes that merging has made entries, by offset
	broken     bool                // whether merging has failed
}

// How many contexts of entities, entities, and trails of references are remembered.
const (
	maxContexts = 64
	maxRecent   = 1024
	maxTrails   = 64
)

// Read reads the graph of a document. Everything that is wrong with it is reported; the
// graph is nil if it cannot be read.
func Read(doc *Document, report Reporter) *Graph {
	root := doc.Root()
	if root.Kind() != jsondoc.Object {
		report(CodeDocument, root, "", "the crate is not a JSON object")
		return nil
	}
	ok := true
	g := &Graph{doc: doc.Doc, report: report}
	if id := root.Member("@id"); !isAbsent(id) && id.Kind() != jsondoc.String {
		report(CodeDocument, id, "", "the @id of the crate is not a text")
		ok = false
	}
	own, err := readContext(expanded(root.Member("@context")))
	if err != nil {
		report(CodeContext, err.at, "", err.text)
		ok, own = false, &context{}
	}
	g.vocabulary = newVocabulary(own)
	entries := root.Member("@graph")
	if entries.Kind() != jsondoc.Array {
		at := entries
		if !at.Exists() {
			at = root
		}
		report(CodeDocument, at, "", "the crate has no array @graph")
		return nil
	}
	reason := nestedReason(root.Raw())
	if reason {
		ok = g.checkNested(root) && ok
	}
	if !g.add(entries, &doc.entries) || !ok {
		return nil
	}
	if reason || g.vocabulary.context.mayFail() {
		g.checkTypes()
	}
	return g
}

// isAbsent says whether a value counts as absent.
func isAbsent(v jsondoc.Value) bool {
	return !v.Exists() || v.Kind() == jsondoc.Null
}

// expanded gives a value with everything in it.
func expanded(v jsondoc.Value) jsondoc.Value {
	if v.Kind() == jsondoc.Object || v.Kind() == jsondoc.Array {
		return v.Expand()
	}
	return v
}

// add adds the elements of the graph; those with an @id that was there before are merged
// into the first. What was found while parsing is what is in order; of the rest, the elements that are no entities are
// reported.
func (g *Graph) add(graph jsondoc.Value, found *entries) bool {
	g.index = newIndex(maphash.MakeSeed(), found.len())
	ok := true
	next := 0
	addUntil := func(end int) {
		for ; next < found.len() && int(found.at(next).object) < end; next++ {
			if e := found.take(next); ok && int(e.object) > graph.Offset() {
				g.addNode(e)
			}
		}
	}
	for _, element := range graph.Elements() {
		at := element.Offset()
		addUntil(at)
		if next < found.len() && int(found.at(next).object) == at {
			continue // is in the index as well
		}
		e, good := g.check(element)
		if ok = ok && good; ok {
			g.addNode(e)
		}
	}
	addUntil(graph.End())
	return ok && !g.broken
}

// check reports what is wrong with an element of the graph, and gives it as an entity if nothing is.
func (g *Graph) check(element jsondoc.Value) (entry, bool) {
	element = element.Expand()
	problem, context := g.problem(element)
	if problem != "" {
		g.report(CodeEntity, element, element.Member("@id").Text(), problem)
	}
	if context != nil {
		g.report(CodeContext, context.at, element.Member("@id").Text(), context.text)
	}
	if problem != "" || context != nil {
		return entry{}, false
	}
	return entry{uint32(element.Offset()), uint32(element.Member("@id").Offset()), 0}, true
}

// problem says why an element of the graph is no entity, "" if it is one, and what is wrong with its own context.
func (g *Graph) problem(element jsondoc.Value) (string, *contextError) {
	if element.Kind() != jsondoc.Object {
		return "an entry of @graph is not an object", nil
	}
	s := shapeOf(element)
	_, context := readContext(s.context)
	switch {
	case s.id.Kind() != jsondoc.String:
		return "an entity has no text as @id", context
	case !isTextOrTexts(s.types):
		return "the @type of an entity is neither a text nor an array of texts", context
	case !isAbsent(s.additional) && !isTextOrTexts(s.additional):
		return "the additionalType of an entity is neither a text nor an array of texts", context
	}
	return "", context
}

// shape has the members that decide what an object is.
type shape struct {
	id, types, additional, value, context jsondoc.Value
}

func shapeOf(object jsondoc.Value) (s shape) {
	for key, value := range object.Members() {
		if !key.MayBe('@', 'a') {
			continue
		}
		switch {
		case key.Is("@id"):
			s.id = value
		case key.Is("@type"):
			s.types = value
		case key.Is("additionalType"):
			s.additional = value
		case key.Is("@value"):
			s.value = value
		case key.Is("@context"):
			s.context = value
		}
	}
	return s
}

// isEntity says whether an object can be an entity, apart from its context.
func (s shape) isEntity() bool {
	return s.id.Kind() == jsondoc.String && isTextOrTexts(s.types) && (isAbsent(s.additional) || isTextOrTexts(s.additional))
}

func isTextOrTexts(v jsondoc.Value) bool {
	if v.Kind() != jsondoc.Array {
		return v.Kind() == jsondoc.String
	}
	for _, element := range v.Elements() {
		if element.Kind() != jsondoc.String {
			return false
		}
	}
	return true
}

// objectKind is what an object that is the value of a property stands for.
type objectKind uint8

const (
	plainObject objectKind = iota
	valueObject
	inlineNode
	reference
)

func (s shape) kind() objectKind {
	switch s.value.Kind() {
	case jsondoc.String, jsondoc.Int, jsondoc.Float:
		if isAbsent(s.types) || s.types.Kind() == jsondoc.String {
			return valueObject
		}
	default:
	}
	if s.id.Kind() != jsondoc.String {
		return plainObject
	}
	if s.isEntity() {
		if isAbsent(s.context) {
			return inlineNode
		}
		if _, err := readContext(s.context); err == nil {
			return inlineNode
		}
	}
	return reference
}
