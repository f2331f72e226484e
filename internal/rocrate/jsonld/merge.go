package jsonld

import (
	"slices"
	"strconv"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// merged is an entity that was given more than once: its properties in the order of
// their first appearance.
type merged struct {
	keys   []string
	values []values
	seen   []map[string]struct{} // identities of the values of lists, nil until needed
	byKey  map[string]int
	first  Node
	own    *context        // of the first
	names  map[string]bool // what keys stand for in that, nil if there is none
	// unnamed is a key of the first that its own context expands to no address. The reference library looks at
	// all keys when it changes one.
	unnamed string
}

// findKey gives the number of a key, or of what the own context of the first has for it.
func (g *Graph) findKey(m *merged, key string) (int, bool) {
	i, ok := m.byKey[key]
	if ok {
		return i, true
	}
	if i, ok = m.byKey[g.name(m.own, m.first, key)]; !ok {
		if term, known := m.own.term(key); known {
			i, ok = m.byKey[term]
		}
	}
	return i, ok
}

// target gives the key under which a value is set: what the key stands for in the own context of the first if that has a
// key for it. What stands under that key remains there.
func (m *merged) target(key string) string {
	if m.names == nil {
		return key
	}
	if name := m.own.nameOf(key); m.names[name] {
		return name
	}
	return key
}

// set sets the values of a key.
func (m *merged) set(key string, vs values) {
	if i, ok := m.byKey[key]; ok {
		m.values[i], m.seen[i] = vs, nil
		return
	}
	m.add(key, vs)
}

func (m *merged) get(key string) values {
	if i, ok := m.byKey[key]; ok {
		return m.values[i]
	}
	return values{}
}

func (m *merged) add(key string, vs values) {
	m.byKey[key] = len(m.keys)
	m.keys = append(m.keys, key)
	m.values = append(m.values, vs)
	m.seen = append(m.seen, nil)
	if m.names != nil {
		m.names[m.own.nameOf(key)] = true
	}
}

// ownContext gives the context of an entity's own, an empty one if it has none.
func (n Node) ownContext() *context {
	if c, err := readContext(n.member(codeContext)); err == nil {
		return c
	}
	return &context{}
}

// name gives what a key stands for in a context of an entity's own, or the key if that is unknown.
func (g *Graph) name(own *context, n Node, key string) string {
	var r resolution
	own.resolve(&r, key)
	if r.failed {
		g.broken = true
		g.report(CodeContext, n.member(codeContext), n.ID(),
			"the context of an entity that is given twice expands the property "+quote(key)+" by a prefix that is no address")
	}
	return own.nameOf(key)
}

// nameOf gives what a key stands for, or the key if that is unknown.
func (c *context) nameOf(key string) string {
	var r resolution
	if iri, ok := c.resolve(&r, key); ok {
		return iri
	}
	return key
}

// merge adds the properties of another entry with its @id to an entity. Its types stay.
//
// What becomes of a property that both have follows the reference library: two arrays are
// joined; to an array a new value is appended; an existing value that a new array holds
// stays alone, else it comes after the new ones; of two different single values the new one
// comes first. Inline nodes that are moved become entries of the graph.
func (g *Graph) merge(number uint32, more *entity) {
	m := g.merged[number]
	if m == nil {
		first := Node{g.load(g.entries.at(int(number)), 0, nil)}
		m = &merged{byKey: map[string]int{}, first: first, own: first.ownContext()}
		if first.member(codeContext).Exists() {
			m.names = map[string]bool{}
		}
		for key, vs := range first.keys() {
			m.add(key, vs)
			var r resolution
			if m.own.resolve(&r, key); r.failed {
				m.unnamed = key
			}
		}
		if g.merged == nil {
			g.merged = map[uint32]*merged{}
		}
		g.merged[number] = m
	}
	own := (Node{more}).ownContext()
	for key, vs := range (Node{more}).keys() {
		key = g.name(own, Node{more}, key)
		i, ok := g.findKey(m, key)
		changed := true
		switch {
		case !ok:
			for v := range vs.all() {
				g.flatten(v)
			}
			m.set(m.target(key), vs)
		case m.values[i].isSingle():
			merged := g.mergeSingle(more, m.values[i], vs)
			if changed = merged.isList; changed {
				m.set(m.target(key), merged)
			}
		default:
			if at := m.target(key); key != m.keys[i] && at != m.keys[i] { // else a list would be copied time and again
				m.set(at, m.values[i])
				i = m.byKey[at]
			}
			changed = g.mergeList(more, m, i, vs)
		}
		if changed && m.unnamed != "" {
			g.name(m.own, m.first, m.unnamed)
			m.unnamed = ""
		}
	}
}

// isSame says whether a value of an entity that is merged is taken for one that is there already.
func (g *Graph) isSame(e *entity, added, have jsondoc.Value) bool {
	equal, comparable := same(added, have)
	if !comparable {
		g.broken = true
		g.report(CodeMerge, added, Node{e}.ID(), "an entity that is given twice has the number "+quote(string(added.Raw()))+
			" where it also has something that is no number")
	}
	return equal
}

// mergeSingle adds values of an entity to a single value.
func (g *Graph) mergeSingle(e *entity, have, more values) values {
	if more.isSingle() {
		if g.isSame(e, more.single, have.single) {
			return have
		}
		g.flatten(more.single)
		return values{list: []jsondoc.Value{more.single, have.single}, isList: true}
	}
	list, contained := slices.Collect(more.all()), false
	for _, v := range list {
		if g.isSame(e, v, have.single) {
			contained = true
			g.flatten(v)
		}
	}
	if contained {
		return have
	}
	return values{list: append(list, have.single), isList: true}
}

// mergeList appends values of an entity that the list with number i does not have yet. Joining two arrays
// also removes what the first has twice. It says whether something was set.
func (g *Graph) mergeList(e *entity, m *merged, i int, more values) bool {
	if more.isSingle() && isDecimal(more.single) {
		contained := false
		for v := range m.values[i].all() { // all of them: one that cannot be compared is an error
			contained = g.isSame(e, more.single, v) || contained
		}
		if contained {
			return false
		}
	}
	set := !more.isSingle()
	seen := m.seen[i]
	if seen == nil {
		seen = map[string]struct{}{}
		m.seen[i] = seen
		have := m.values[i]
		m.values[i] = values{isList: true}
		for v := range have.all() {
			is := identity(v)
			if _, ok := seen[is]; ok && !more.isSingle() {
				continue
			}
			seen[is] = struct{}{}
			m.values[i].list = append(m.values[i].list, v)
		}
	}
	if !more.isSingle() {
		for _, v := range m.values[i].list {
			g.flatten(v)
		}
	}
	for v := range more.all() {
		is := identity(v)
		if _, ok := seen[is]; ok {
			continue
		}
		seen[is] = struct{}{}
		g.flatten(v)
		m.values[i].list = append(m.values[i].list, v)
		set = true
	}
	return set
}

// identity is equal for values that merging takes for the same: nodes, references
// and texts by the @id or text, others by what they say.
func identity(v jsondoc.Value) string {
	switch v.Kind() {
	case jsondoc.String:
		return "t" + v.Text()
	case jsondoc.Int, jsondoc.Float:
		return "n" + strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case jsondoc.Object:
		s := shapeOf(v)
		switch s.kind() {
		case inlineNode, reference:
			return "t" + s.id.Text()
		case valueObject:
			return "v" + identity(s.value)
		}
	}
	return "o" + string(v.AppendCompact(nil))
}

// flatten makes the inline nodes in a value entries of the graph.
func (g *Graph) flatten(v jsondoc.Value) {
	switch v.Kind() {
	case jsondoc.Array:
		for _, element := range v.Elements() {
			g.flatten(element)
		}
	case jsondoc.Object:
		s := shapeOf(v)
		node := s.kind()
		if node == valueObject || node == reference {
			return
		}
		for _, value := range v.Members() {
			g.flatten(value)
		}
		if node != inlineNode {
			return
		}
		at := uint32(v.Offset())
		if _, done := g.flattened[at]; done {
			return
		}
		if g.flattened == nil {
			g.flattened = map[uint32]struct{}{}
		}
		g.flattened[at] = struct{}{}
		g.addNode(entry{at, uint32(s.id.Offset()), 0})
	}
}
