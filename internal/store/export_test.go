package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pool gives the connections.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Waiting tells how many contents wait for the group under way to be done.
func (s *Store) Waiting() int {
	s.puts.mu.Lock()
	defer s.puts.mu.Unlock()
	return len(s.puts.waiting)
}

// Occupy takes the places of all that takes long.
func (s *Store) Occupy() (leave func()) {
	var all []func()
	for _, kind := range []places{s.long, s.wide} {
		for range cap(kind) {
			one, err := kind.enter(context.Background(), "occupy")
			if err != nil {
				panic(err) // there is no context that could end
			}
			all = append(all, one)
		}
	}
	return func() {
		for _, one := range all {
			one()
		}
	}
}

// Places tells how many connections work on harvests and questions may take, and whether
// they share them.
func (s *Store) Places() (long, wide int, shared bool) {
	return cap(s.long), cap(s.wide), s.long == s.wide
}

// Remember lets the counts of a large running harvest be known, as if counting them had taken that
// long.
func (s *Store) Remember(id uuid.UUID, counts Statistics, took time.Duration) {
	s.tallies.put(id, counts, took)
}
