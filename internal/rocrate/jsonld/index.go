package jsonld

import "hash/maphash"

// entry says where an entity and its @id stand in the text, and which number the entity has in the index of the document,
// 0 if it is not there.
type entry struct{ object, id, node uint32 }

// entries is a list of entries that grows without being moved, which would need twice the memory.
type entries struct {
	pieces [][]entry // all but the last are full
	n      int
}

// pieceSize is how many entries a piece has. The first grows to that.
const pieceSize = 4096

func (l *entries) len() int { return l.n }

func (l *entries) at(i int) entry { return l.pieces[i/pieceSize][i%pieceSize] }

func (l *entries) add(e entry) {
	last := l.n / pieceSize
	if last == len(l.pieces) {
		var piece []entry
		if last > 0 {
			piece = make([]entry, 0, pieceSize)
		}
		l.pieces = append(l.pieces, piece)
	}
	l.pieces[last] = append(l.pieces[last], e)
	l.n++
}

// take is at for those who go through the list once: it lets go of what they have passed.
func (l *entries) take(i int) entry {
	e := l.at(i)
	if i%pieceSize == pieceSize-1 {
		l.pieces[i/pieceSize] = nil
	}
	return e
}

// index finds entities by their @id: open addressing, never more than three quarters full.
type index struct {
	seed  maphash.Seed
	slots []slot
	used  int
}

// slot holds the number of an entity plus one, 0 being free, and the hash of its @id, so that
// the text is looked at only where it is probably the right one.
type slot struct{ hash, number uint32 }

func newIndex(seed maphash.Seed, entries int) index {
	size := 16
	for 3*size < 4*(entries+1) {
		size *= 2
	}
	return index{seed: seed, slots: make([]slot, size)}
}

// addNode makes a node an entry, or merges it into the entry with its @id.
func (g *Graph) addNode(e entry) {
	var buf [64]byte
	id := g.doc.StringAt(int(e.id), buf[:0])
	s := g.find(id)
	if s.number != 0 {
		g.merge(s.number-1, g.load(e, 0, nil))
		return
	}
	g.entries.add(e)
	*s = slot{g.index.hash(id), uint32(g.entries.len())}
	if g.index.used++; 4*g.index.used > 3*len(g.index.slots) {
		g.grow()
	}
}

func (x *index) hash(id []byte) uint32 { return uint32(maphash.Bytes(x.seed, id)) }

// find gives the slot of the entity with an @id, or the free slot where it belongs.
func (g *Graph) find(id []byte) *slot {
	hash := g.index.hash(id)
	mask := uint32(len(g.index.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &g.index.slots[i]
		if s.number == 0 || s.hash == hash && g.hasID(s.number-1, id) {
			return s
		}
	}
}

// hasID says whether the entity with a number has an @id.
func (g *Graph) hasID(number uint32, id []byte) bool {
	var buf [64]byte
	return string(g.doc.StringAt(int(g.entries.at(int(number)).id), buf[:0])) == string(id)
}

// trail says where the entities stand that were looked up lately by an @id of the same beginning. The
// entities of a long table mostly follow each other as their rows do.
type trail struct {
	number uint32 // of the last one
	step   uint32 // from the one before it, modulo 2^32
	steady bool   // whether the step before was as long
}

// follow is find for a reference, which mostly leads to where the row above lets one expect it: looking there
// first spares a visit to a slot far away in memory. It gives the number of the entity plus one, or 0.
func (g *Graph) follow(id []byte) uint32 {
	t := &g.trails[beginning(id)]
	if next := t.number + t.step; t.steady && int(next) < g.entries.len() && g.hasID(next, id) {
		t.number = next
		return next + 1
	}
	found := g.find(id).number
	if found != 0 {
		step := found - 1 - t.number
		t.number, t.step, t.steady = found-1, step, step == t.step
	}
	return found
}

// beginning tells kinds of @ids apart: those that programs make begin with the kind of the entity, and go on with a
// number.
func beginning(id []byte) int {
	const letters = 8 // tell #Process_ from #Protocol_
	sum := 0
	for _, c := range id[:min(len(id), letters)] {
		if '0' <= c && c <= '9' {
			break
		}
		sum = 5*sum + int(c)
	}
	return sum % maxTrails
}

// grow makes room when merging has added entries.
func (g *Graph) grow() {
	old := g.index
	g.index = newIndex(old.seed, len(old.slots))
	g.index.used = old.used
	mask := uint32(len(g.index.slots) - 1)
	for _, s := range old.slots {
		if s.number == 0 {
			continue
		}
		i := s.hash & mask
		for g.index.slots[i].number != 0 {
			i = (i + 1) & mask
		}
		g.index.slots[i] = s
	}
}

func (g *Graph) byID(id []byte) (Node, bool) {
	s := g.find(id)
	if s.number == 0 {
		return Node{}, false
	}
	return g.byNumber(s.number - 1), true
}

func (g *Graph) byNumber(number uint32) Node {
	recent, at := &g.recent[number%maxRecent], g.entries.at(int(number))
	if *recent == nil || (*recent).at != at.object {
		if *recent != nil {
			g.slab.drop(*recent)
		}
		*recent = g.load(at, g.distance(number), g.merged[number])
		g.work += len((*recent).object.Raw())
	} else if (*recent).turn != 0 {
		(*recent).turn = g.slab.turn // it is in use again
	}
	return Node{*recent}
}

// distance gives how far behind an entity the next one is, 0 if that is not known.
func (g *Graph) distance(number uint32) int {
	next := g.doc.Len()
	if int(number)+1 < g.entries.len() {
		next = int(g.entries.at(int(number) + 1).object)
	}
	return max(next-int(g.entries.at(int(number)).object), 0)
}

// Work gives how many bytes of entities have been looked at, again and again.
func (g *Graph) Work() int { return g.work }

// Node gives the entity with an @id.
func (g *Graph) Node(id string) (Node, bool) { return g.byID([]byte(id)) }
