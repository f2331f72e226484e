package store

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Counts of a running harvest are taken from its members whenever it is read, which
// is often: clients poll, and every stream of its events looks each second. Of a large
// one that takes so long that it counts among the questions about many ARCs, and what
// was counted stands for tallyRest times as long as it took.
const (
	tallyRest  = 10
	maxTallies = 1000 // bounds the memory for them
)

// tallies are the last counts of large running harvests.
type tallies struct {
	mu sync.Mutex
	of map[uuid.UUID]tally
}

type tally struct {
	counts Statistics
	until  time.Time
}

func (t *tallies) get(id uuid.UUID) (Statistics, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.of[id]
	return known.counts, ok && time.Now().Before(known.until)
}

func (t *tallies) put(id uuid.UUID, counts Statistics, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil || len(t.of) >= maxTallies {
		t.of = map[uuid.UUID]tally{}
	}
	t.of[id] = tally{counts, time.Now().Add(tallyRest * took)}
}

// count gives a harvest that was read with all that belongs to its counts.
func (s *Store) count(ctx context.Context, h found) (Harvest, error) {
	if !h.more {
		return h.Harvest, nil
	}
	var known bool
	if h.Statistics, known = s.tallies.get(h.ID); known {
		return h.Harvest, nil
	}
	leave, err := s.wide.enter(ctx, "count the members of a harvest")
	if err != nil {
		return Harvest{}, err
	}
	defer leave()
	if h.Statistics, known = s.tallies.get(h.ID); known { // who was before us has counted it
		return h.Harvest, nil
	}
	began := time.Now()
	if h.Statistics, err = countAll(ctx, s.pool, h.ID); err != nil {
		return Harvest{}, err
	}
	s.tallies.put(h.ID, h.Statistics, time.Since(began))
	return h.Harvest, nil
}

// countAll counts all members of a running harvest.
func countAll(ctx context.Context, db querier, id uuid.UUID) (c Statistics, err error) {
	err = db.QueryRow(ctx, sqlTally, id).Scan(&c.New, &c.Updated, &c.Unchanged, &c.Errors)
	return c, wrap("count the members of a harvest", err)
}

const sqlTally = `
SELECT count(*) FILTER (WHERE outcome = 'new'), count(*) FILTER (WHERE outcome = 'updated'), count(*) FILTER (WHERE outcome = 'unchanged'),
    (SELECT count(*) FROM harvest_error WHERE harvest_id = $1)
FROM harvest_arc WHERE harvest_id = $1`
