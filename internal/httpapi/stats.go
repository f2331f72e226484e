package httpapi

import (
	"container/list"
	"sync"
	"time"
)

// Stats counts requests, for status lines, recycling and metrics. Probes of the
// process by itself do not count.
type Stats struct {
	mu       sync.Mutex
	served   uint64
	inFlight int
	running  list.List // of time.Time, oldest first; streams are not in it
}

// ticket is one request in the statistics.
type ticket struct {
	stats *Stats
	place *list.Element
}

func (s *Stats) begin(now time.Time) *ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
	return &ticket{stats: s, place: s.running.PushBack(now)}
}

// stream says that the request may rightly take long: its age means nothing.
func (t *ticket) stream() {
	t.stats.mu.Lock()
	defer t.stats.mu.Unlock()
	t.forget()
}

func (t *ticket) forget() {
	if t.place != nil {
		t.stats.running.Remove(t.place)
		t.place = nil
	}
}

func (t *ticket) end() {
	t.stats.mu.Lock()
	defer t.stats.mu.Unlock()
	t.forget()
	t.stats.inFlight--
	t.stats.served++
}

// Served gives the number of requests answered so far.
func (s *Stats) Served() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}

// InFlight gives the number of requests being answered, streams included.
func (s *Stats) InFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight
}

// Oldest gives the age of the oldest request that is not a stream, 0 without one.
func (s *Stats) Oldest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.running.Front()
	if first == nil {
		return 0
	}
	return time.Since(first.Value.(time.Time))
}
