package store

// Waiting tells how many contents wait for the group under way to be done.
func (s *Store) Waiting() int {
	s.puts.mu.Lock()
	defer s.puts.mu.Unlock()
	return len(s.puts.waiting)
}
