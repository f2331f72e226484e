package torture

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
)

// model is what the clients know together. Each RDI has one client, which
// sends the versions of an ARC one after the other, so that what has to be
// stored is known exactly, but for what a request without an answer did.
type model struct {
	mu       sync.Mutex
	arcs     map[arcKey]*arcModel
	harvests map[string]harvestModel // ended, by id
	tasks    map[string]arcKey       // acknowledged, by id
	lost     int                     // begins of harvests without an answer
	acks     int                     // acknowledged submissions
	fails    int                     // submissions that were not
}

type arcKey struct{ rdi, identifier string }

// id is the ARC's id, which is the name of its repository.
func (k arcKey) id() string {
	sum := sha256.Sum256([]byte(k.identifier + ":" + k.rdi))
	return hex.EncodeToString(sum[:])
}

// arcModel is what is known of an ARC: the newest acknowledged version, the
// newest one sent, and those with a request that got no answer. Such a request
// may still be on its way, in a process that does not run or on a wire that does
// not move, and is stored when it arrives.
type arcModel struct {
	acked, sent int
	unanswered  map[int]bool
}

// certain says whether it is known what is stored.
func (a *arcModel) certain() bool { return a.acked == a.sent }

// harvestModel is what has to be the statistics of a completed harvest.
type harvestModel struct{ added, updated, unchanged, missing int }

func newModel() *model {
	return &model{arcs: map[arcKey]*arcModel{}, harvests: map[string]harvestModel{}, tasks: map[string]arcKey{}}
}

// next decides on the version to send and notes that it is under way.
func (m *model) next(k arcKey, again bool) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.arcs[k]
	if a == nil {
		a = &arcModel{unanswered: map[int]bool{}}
		m.arcs[k] = a
	}
	if !again || a.sent == 0 {
		a.sent++
	}
	return a.sent
}

func (m *model) acknowledge(k arcKey, v int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arcs[k].acked = v
	m.acks++
}

func (m *model) unanswered(k arcKey, v int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arcs[k].unanswered[v] = true
	m.fails++
}

func (m *model) acknowledged() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.acks
}

// of gives the ARCs of an RDI: those for which it is known what is stored, and
// the others.
func (m *model) of(rdi string) (certain, others []arcKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, a := range m.arcs {
		switch {
		case k.rdi != rdi:
		case a.certain():
			certain = append(certain, k)
		default:
			others = append(others, k)
		}
	}
	return certain, others
}
