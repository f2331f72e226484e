package store

import "context"

// Waiting tells how many contents wait for the group under way to be done.
func (s *Store) Waiting() int {
	s.puts.mu.Lock()
	defer s.puts.mu.Unlock()
	return len(s.puts.waiting)
}

// Ask takes the places of questions that look at many ARCs, all of them.
func (s *Store) Ask(ctx context.Context) (leave func(), err error) {
	var all []func()
	for range cap(s.wide) {
		one, err := s.wide.enter(ctx, "ask")
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return func() {
		for _, one := range all {
			one()
		}
	}, nil
}

// Places tells how many connections work on harvests and questions may take.
func (s *Store) Places() (long, wide int) { return cap(s.long), cap(s.wide) }
