package jsonld

import (
	"slices"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// entity is a node that is looked at: where its members are, by what they mean.
type entity struct {
	graph      *Graph
	vocabulary *Vocabulary
	object     jsondoc.Value
	members    []member
	merged     *merged
	memo       any
	at         uint32 // offset of the object
	turn       uint32 // in which it was looked at, 0 outside of turns
	types      Type
	typed      bool        // whether types are known
	passing    bool        // whether it was looked at in passing
	index      jsondoc.Doc // of the object, unless that is part of another one's
}

// member is a member of an entity whose key means something. Keys that mean nothing have none.
type member struct {
	code keyCode
	at   uint32 // index of the value in the document of the object
}

// slab is memory for entities and their members, many in one piece. Pieces begin small, because most
// crates are.
type slab struct {
	entities []entity
	members  []member
	size     int
	room     jsondoc.Room
	passing  bool      // see Graph.Pass
	turns    uint32    // see Graph.Turn
	turn     uint32    // the present one, 0 between turns
	dropped  []*entity // cannot be found any more
	turned   []*entity // of them those of the present turn
	unused   []*entity // and are not in use either
}

// Sizes of the pieces of a slab, in entities, and how many members an entity has, generously.
const (
	firstSlab   = 8
	largeSlab   = 128
	manyMembers = 12
)

// load looks at an entity. The next one is so many bytes away; 0 is not known.
func (g *Graph) load(at entry, length int, m *merged) *entity {
	e := g.slab.next()
	e.merged = m
	object := g.doc.Value(int(at.node))
	if at.node == 0 {
		object = g.doc.ExpandAt(int(at.object), length, &e.index, &g.slab.room)
	}
	e.read(g, object)
	return e
}

// newNode looks at an object that is part of an entity.
func (g *Graph) newNode(object jsondoc.Value) Node {
	e := g.slab.next()
	e.read(g, object)
	g.slab.drop(e)
	return Node{e}
}

// next gives an entity that is not in use.
func (s *slab) next() *entity {
	if n := len(s.unused); n > 0 {
		e := s.unused[n-1]
		s.unused = s.unused[:n-1]
		*e = entity{members: e.members[:0], index: e.index, passing: true, turn: s.turn}
		return e
	}
	if len(s.entities) == 0 {
		s.size = min(max(2*s.size, firstSlab), largeSlab)
		s.entities = make([]entity, s.size)
	}
	e := &s.entities[0]
	s.entities = s.entities[1:]
	e.passing, e.turn = s.passing, s.turn
	return e
}

// drop takes an entity that nobody will look up any more. It may still be in use.
func (s *slab) drop(e *entity) {
	switch {
	case !s.passing || !e.passing:
	case e.turn == 0:
		s.dropped = append(s.dropped, e)
	case e.turn == s.turn:
		s.turned = append(s.turned, e)
	default: // its turn is over
		s.unused = append(s.unused, e)
	}
}

// Pass tells whether the caller is about to look at many nodes one after the other and will say, by Forget, when
// it is done with those it has looked at. So long as it passes, their memory is used again.
func (g *Graph) Pass(passing bool) {
	clear(g.recent[:]) // these may be in use after Forget
	g.slab.passing, g.slab.dropped, g.slab.turned, g.slab.unused = passing, nil, nil, nil
}

// Forget says that no node is in use any more that was looked at since Pass.
func (g *Graph) Forget() {
	g.slab.unused = append(g.slab.unused, g.slab.dropped...)
	g.slab.dropped = g.slab.dropped[:0]
}

// Turn begins what ForgetTurn ends: nodes that are looked at between the two are not in use afterwards, those
// from before still are. Turns are not within each other.
func (g *Graph) Turn() {
	g.slab.turns++
	g.slab.turn = g.slab.turns
}

// ForgetTurn is Forget for the nodes that were looked at since Turn.
func (g *Graph) ForgetTurn() {
	s := &g.slab
	s.unused, s.turned, s.turn = append(s.unused, s.turned...), s.turned[:0], 0
}

// read finds out what the members of an object mean. A context of its own comes before that of the
// document.
func (e *entity) read(g *Graph, object jsondoc.Value) {
	e.graph, e.object, e.at = g, object, uint32(object.Offset())
	e.under(g.vocabulary)
	if v := g.vocabularyWithin(g.vocabulary, e.member(codeContext)); v != g.vocabulary {
		e.under(v)
	}
}

// under reads the members under a vocabulary.
func (e *entity) under(v *Vocabulary) {
	e.vocabulary = v
	s := &e.graph.slab
	own := cap(e.members) > 0
	list := e.members[:0]
	if !own {
		list = s.free()
	}
	for key, value := range e.object.Members() {
		if code := v.keys.code(key); code != 0 {
			list = append(list, member{code, uint32(value.Index())})
		}
	}
	if !own {
		list = slices.Clip(list)
		s.members = s.members[:min(len(s.members)+len(list), cap(s.members))]
	}
	e.members = list
}

// free gives the rest of a piece of memory for members.
func (s *slab) free() []member {
	if cap(s.members)-len(s.members) < manyMembers {
		s.members = make([]member, 0, manyMembers*max(s.size, 1))
	}
	return s.members[len(s.members):len(s.members):cap(s.members)]
}

// member gives the last member with a code, or no value.
func (e *entity) member(code keyCode) jsondoc.Value {
	for i := len(e.members) - 1; i >= 0; i-- {
		if e.members[i].code == code {
			return e.value(e.members[i])
		}
	}
	return jsondoc.Value{}
}

// value gives the value of a member.
func (e *entity) value(m member) jsondoc.Value { return e.object.Doc().Value(int(m.at)) }
