package jsonld

import (
	"iter"
	"strings"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// Node is an entity of the graph or a node that stands inline in a property. The
// zero Node is none.
type Node struct{ *entity }

// ID gives the @id.
func (n Node) ID() string { return n.member(codeID).Text() }

// At gives the place of the node in the document.
func (n Node) At() jsondoc.Value { return n.object }

// Memo gives room for what a caller wants to remember about the node. It is empty again when the node
// was not looked at for a while.
func (n Node) Memo() *any { return &n.memo }

// Types gives the known types of the node.
func (n Node) Types() Type {
	if n.typed {
		return n.types
	}
	n.typed = true
	for spelling := range texts(n.member(codeType)) {
		var buf [64]byte
		t, failed := n.vocabulary.typesOf(spelling.Bytes(buf[:0]))
		if failed {
			n.graph.report(CodeContext, spelling, n.ID(),
				"the context expands the type "+quote(spelling.Text())+" by a prefix that is no address")
		}
		n.types |= t
	}
	return n.types
}

// Is says whether the node has all of some types.
func (n Node) Is(types Type) bool { return n.Types()&types == types }

// FirstType gives the first type as it is spelled.
func (n Node) FirstType() (string, bool) {
	for spelling := range texts(n.member(codeType)) {
		return n.graph.text(spelling), true
	}
	return "", false
}

// AdditionalTypes gives the additional types as they are spelled.
func (n Node) AdditionalTypes() iter.Seq[jsondoc.Value] { return texts(n.member(codeAdditional)) }

// HasAdditionalType says whether the node has an additional type, literally.
func (n Node) HasAdditionalType(name string) bool {
	v := n.member(codeAdditional)
	if v.Kind() != jsondoc.Array {
		return v.Is(name)
	}
	for _, spelling := range v.Elements() {
		if spelling.Is(name) {
			return true
		}
	}
	return false
}

// texts goes through a text or an array of texts.
func texts(v jsondoc.Value) iter.Seq[jsondoc.Value] {
	return func(yield func(jsondoc.Value) bool) {
		if v.Kind() == jsondoc.String {
			yield(v)
			return
		}
		for _, element := range v.Elements() {
			if element.Kind() == jsondoc.String && !yield(element) {
				return
			}
		}
	}
}

// values is what a property has: a value, or a list that merging has made.
type values struct {
	single jsondoc.Value
	list   []jsondoc.Value
	isList bool
}

func (vs values) exist() bool { return vs.isList || vs.single.Exists() }

// isSingle says whether there is just one value that is no array.
func (vs values) isSingle() bool { return !vs.isList && vs.single.Kind() != jsondoc.Array }

// all goes through the values.
func (vs values) all() iter.Seq[jsondoc.Value] {
	return func(yield func(jsondoc.Value) bool) {
		switch {
		case vs.isList:
			for _, v := range vs.list {
				if !yield(v) {
					return
				}
			}
		case vs.single.Kind() == jsondoc.Array:
			for _, v := range vs.single.Elements() {
				if !yield(v) {
					return
				}
			}
		case vs.single.Exists():
			yield(vs.single)
		}
	}
}

// key gives the values under a key; null counts as none.
func (n Node) key(name string) values {
	if n.merged != nil {
		return n.merged.get(name)
	}
	var v jsondoc.Value
	if code := n.vocabulary.keys.find([]byte(name)).code; code != 0 {
		v = n.member(code)
	} else {
		v = n.object.Member(name)
	}
	if isAbsent(v) {
		return values{}
	}
	return values{single: v}
}

// property gives the values of a property: those under its IRI, else those
// under the term that the context has for it.
func (n Node) property(p Property) values {
	if n.merged != nil {
		return n.mergedProperty(p)
	}
	return values{single: n.single(p)}
}

func (n Node) mergedProperty(p Property) values {
	vs := n.merged.get(p.iri())
	if term, ok := n.vocabulary.context.term(p.iri()); ok && !vs.exist() {
		vs = n.merged.get(term)
	}
	return vs
}

// single gives the value of a property of a node that was given once, no value if that is null.
func (n Node) single(p Property) jsondoc.Value {
	codes := n.vocabulary.codes[p]
	direct, byTerm := -1, -1
	for i := range n.members {
		switch n.members[i].code {
		case codes.iri:
			direct = i
		case codes.term:
			byTerm = i
		}
	}
	for _, i := range [...]int{direct, byTerm} {
		if i < 0 {
			continue
		}
		if v := n.value(n.members[i]); v.Kind() != jsondoc.Null {
			return v
		}
	}
	return jsondoc.Value{}
}

// first gives the first value.
func (vs values) first() jsondoc.Value {
	for v := range vs.all() {
		return v
	}
	return jsondoc.Value{}
}

// Has says whether the node has a property: with any value but null and the empty array.
func (n Node) Has(p Property) bool { return n.Value(p).Exists() }

// Mentions says whether the node has a property with any value but null, be it an empty array.
func (n Node) Mentions(p Property) bool { return n.property(p).exist() }

// Value gives the first value of a property, whatever it is.
func (n Node) Value(p Property) jsondoc.Value {
	if n.merged != nil {
		return n.mergedProperty(p).first()
	}
	v := n.single(p)
	if v.Kind() == jsondoc.Array {
		v = v.First()
	}
	return v
}

// Text gives the first value of a property if it is a text.
func (n Node) Text(p Property) (string, bool) {
	v := n.Value(p)
	if v.Kind() != jsondoc.String {
		return "", false
	}
	return n.graph.text(v), true
}

// text gives the text of a string.
func (g *Graph) text(v jsondoc.Value) string { return g.texts.of(g.index.seed, v) }

// KeyText is Text for a key, whatever the context says about it.
func (n Node) KeyText(key string) (string, bool) {
	v := n.key(key).first()
	if v.Kind() != jsondoc.String {
		return "", false
	}
	return n.graph.text(v), true
}

// Texts goes through all texts of a property.
func (n Node) Texts(p Property) iter.Seq[string] { return n.graph.allTexts(n.property(p)) }

func (g *Graph) allTexts(vs values) iter.Seq[string] {
	return func(yield func(string) bool) {
		for v := range vs.all() {
			if v.Kind() == jsondoc.String && !yield(g.text(v)) {
				return
			}
		}
	}
}

// IRI gives the key of a property that no context can take away.
func (p Property) IRI() string { return p.iri() }

// Node gives the node that is the first value of a property.
func (n Node) Node(p Property) (Node, bool) { return n.graph.Resolve(n.Value(p)) }

// Nodes goes through the nodes of a property. References to nowhere and other values are
// left out.
func (n Node) Nodes(p Property) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for v := range n.property(p).all() {
			if node, ok := n.graph.Resolve(v); ok && !yield(node) {
				return
			}
		}
	}
}

// Values goes through all values of a property.
func (n Node) Values(p Property) iter.Seq[jsondoc.Value] { return n.property(p).all() }

// Resolve gives the node that a value is or refers to.
func (g *Graph) Resolve(v jsondoc.Value) (Node, bool) {
	r, ok := g.refer(v)
	if !ok {
		return Node{}, false
	}
	return g.look(r), true
}

// ref leads to a node.
type ref struct {
	entity uint32        // its number plus one, or 0 for
	inline jsondoc.Value // a node in its place
}

// refer says where a value leads, if it is a node or refers to one.
func (g *Graph) refer(v jsondoc.Value) (ref, bool) {
	if v.Kind() != jsondoc.Object {
		return ref{}, false
	}
	s := shapeOf(v)
	switch s.kind() {
	case inlineNode:
		if _, ok := g.flattened[uint32(v.Offset())]; !ok {
			return ref{inline: v}, true
		}
	case reference:
	default:
		return ref{}, false
	}
	var buf [64]byte
	r := ref{entity: g.follow(s.id.Bytes(buf[:0]))}
	return r, r.entity != 0
}

// look gives the node that a reference leads to.
func (g *Graph) look(r ref) Node {
	if r.entity == 0 {
		return g.newNode(r.inline)
	}
	return g.byNumber(r.entity - 1)
}

// Refs is a list of what leads to nodes, without a look at them. There may be as many as a table has rows, so each
// takes eight bytes.
type Refs struct {
	list []place
	docs []*jsondoc.Doc // in which nodes stand in the place of a reference
}

// place is a ref in little memory.
type place struct {
	doc    uint32 // which of the documents, counted from 1; 0 for an entity
	number uint32 // of the value in the document, or of the entity
}

// Len gives the number of references.
func (l *Refs) Len() int { return len(l.list) }

// Clear empties the list.
func (l *Refs) Clear() {
	clear(l.docs)
	l.list, l.docs = l.list[:0], l.docs[:0]
}

// Append appends where a value leads, if it is a node or refers to one.
func (l *Refs) Append(g *Graph, v jsondoc.Value) bool {
	r, ok := g.refer(v)
	switch {
	case !ok:
		return false
	case r.entity != 0:
		l.list = append(l.list, place{number: r.entity - 1})
		return true
	}
	if n := len(l.docs); n == 0 || l.docs[n-1] != r.inline.Doc() {
		l.docs = append(l.docs, r.inline.Doc())
	}
	l.list = append(l.list, place{uint32(len(l.docs)), uint32(r.inline.Index())})
	return true
}

// Look gives the node that a reference leads to.
func (l *Refs) Look(g *Graph, i int) Node {
	at := l.list[i]
	if at.doc == 0 {
		return g.byNumber(at.number)
	}
	return g.newNode(l.docs[at.doc-1].Value(int(at.number)))
}

// OnlyHas says whether a property is all that the node has.
func (n Node) OnlyHas(p Property) bool {
	only := true
	for key := range n.keys() {
		is, failed := n.vocabulary.isKey(key, p)
		if failed {
			n.graph.report(CodeContext, n.object, n.ID(), "the context expands the key "+quote(key)+" by a prefix that is no address")
		}
		only = only && is
	}
	return only
}

// keys goes through the keys of properties that are not null, in the order and without the few that the reference
// library does not show.
func (n Node) keys() iter.Seq2[string, values] {
	return func(yield func(string, values) bool) {
		if n.merged != nil {
			for i, key := range n.merged.keys {
				if !yield(key, n.merged.values[i]) {
					return
				}
			}
			return
		}
		for _, m := range inOrder(n.object.UniqueMembers()) {
			switch m.Name {
			case "@id", "@type", "@context", "id":
				continue
			}
			if isHidden(m.Name) || strings.HasPrefix(m.Name, "init@") {
				continue
			}
			if m.Value.Kind() != jsondoc.Null && !yield(m.Name, values{single: m.Value}) {
				return
			}
		}
	}
}

// In gives n as it looks from a node that has it in a property: the own context of that node comes between
// the own one of n and that of the document. The reference library looks so when it asks whether
// n is what the property is about, and not when it reads n.
func (n Node) In(parent Node) Node {
	if parent.vocabulary == parent.graph.vocabulary {
		return n
	}
	e := *n.entity
	e.members, e.typed, e.types, e.memo = nil, false, 0, nil
	e.under(n.graph.vocabularyWithin(parent.vocabulary, n.member(codeContext)))
	return Node{&e}
}

// Alone gives n as it looks without the context of the document: of contexts only its own counts, if it has one.
func (n Node) Alone() Node {
	g := n.graph
	if g.bare == nil {
		g.bare = newVocabulary(&context{})
	}
	e := *n.entity
	e.members, e.typed, e.types, e.memo = nil, false, 0, nil
	e.under(g.vocabularyWithin(g.bare, n.member(codeContext)))
	return Node{&e}
}

// Exists says whether n is a node.
func (n Node) Exists() bool { return n.entity != nil }
