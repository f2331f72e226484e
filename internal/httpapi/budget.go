package httpapi

import (
	"hash/maphash"
	"sync"
)

// budget bounds what all clients together may hold of something, the memory for
// bodies or the event streams, and shares it: a client may hold as much as it leaves free. So
// one that is alone has half of it, of n that want all they can get each has one in n+1, and
// however long somebody holds it, others find some.
type budget struct {
	limit int64
	one   int64 // what a client may hold in any case, if there is as much, such as the largest body

	seed maphash.Seed

	mu      sync.Mutex
	used    int64
	refused int64
	holders map[uint64]int64
}

func newBudget(limit, one int64) *budget {
	return &budget{limit: limit, one: one, seed: maphash.MakeSeed(), holders: map[uint64]int64{}}
}

// share is what one client has of a budget.
type share struct {
	budget *budget
	client uint64
}

func (b *budget) of(client string) share { return share{b, maphash.String(b.seed, client)} }

// take takes so much, if the client's share allows that or fair is false, as it is for
// small pieces, and there is as much.
func (s share) take(n int, fair bool) bool {
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	held, free := b.holders[s.client]+int64(n), b.limit-b.used-int64(n)
	if free < 0 || fair && held > max(free, b.one) {
		b.refused++
		return false
	}
	b.used += int64(n)
	b.holders[s.client] = held
	return true
}

func (s share) give(n int) {
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= int64(n)
	if b.holders[s.client] -= int64(n); b.holders[s.client] == 0 {
		delete(b.holders, s.client)
	}
}

// state gives what is held, and how often somebody was refused.
func (b *budget) state() (used, refused int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.refused
}
