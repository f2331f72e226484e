package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Backlog is the number of ARCs of an RDI that are on their way into git.
type Backlog struct {
	RDI    string
	State  GitState // due, failing or parked
	Count  int64
	Oldest time.Time // when the oldest of them changed
}

// Backlog counts what is not in git, by RDI and state, from an index that
// holds nothing else. No RDIs given means all. It does not wait for questions about many
// ARCs: who watches over the service asks for it.
func (s *Store) Backlog(ctx context.Context, rdis ...string) ([]Backlog, error) {
	rows, err := s.pool.Query(ctx, sqlBacklog, rdis)
	if err != nil {
		return nil, wrap("count the backlog", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b Backlog, err error) {
		err = row.Scan(&b.RDI, &b.State, &b.Count, &b.Oldest)
		return b, err
	})
	return list, wrap("count the backlog", err)
}

const sqlBacklog = `
SELECT rdi, git_state, count(*), min(last_changed) FROM arc
WHERE git_state <> 'synced' AND (coalesce(cardinality($1::text[]), 0) = 0 OR rdi = ANY ($1))
GROUP BY rdi, git_state ORDER BY rdi, git_state`

// Cause is something that keeps ARCs out of git.
type Cause struct {
	Code   fault.Code
	Class  string
	Owner  fault.Owner
	Text   string // of the sample
	Remedy string // of the sample
	Count  int64
	Parked int64
	Since  time.Time // last failure of the ARC that failed longest ago
	Sample ID        // one of them
}

// Causes groups what is failing or parked by code, most frequent first. No
// RDIs given means all.
func (s *Store) Causes(ctx context.Context, rdis ...string) ([]Cause, error) {
	leave, err := s.wide.enter(ctx, "group causes")
	if err != nil {
		return nil, err
	}
	defer leave()
	rows, err := s.pool.Query(ctx, sqlCauses, rdis)
	if err != nil {
		return nil, wrap("group causes", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Cause, err error) {
		var id []byte
		err = row.Scan(&c.Code, &c.Class, &c.Owner, &c.Text, &c.Remedy, &c.Count, &c.Parked, &c.Since, &id)
		copy(c.Sample[:], id)
		return c, err
	})
	return list, wrap("group causes", err)
}

// The words are those of the sample: ARCs that share a code may differ in them.
const sqlCauses = `
SELECT c.failure_code, arc.failure_class, arc.failure_owner, arc.failure_text, arc.failure_remedy, c.n, c.parked, c.since, c.sample
FROM (
    SELECT failure_code, count(*) AS n, count(*) FILTER (WHERE parked) AS parked, min(failed_at) AS since,
        (array_agg(id ORDER BY failed_at DESC))[1] AS sample
    FROM arc
    WHERE git_state <> 'synced' AND git_state IN ('failing', 'parked')
        AND (coalesce(cardinality($1::text[]), 0) = 0 OR rdi = ANY ($1))
    GROUP BY failure_code
) c JOIN arc ON arc.id = c.sample
ORDER BY c.n DESC, c.failure_code`

// Total is the number of ARCs of an RDI.
type Total struct {
	RDI   string
	Count int64
}

// Totals counts the ARCs of each RDI. It looks at every entry of an index, so
// it is for people who ask, not for a metric that is read all the time.
func (s *Store) Totals(ctx context.Context) ([]Total, error) {
	leave, err := s.wide.enter(ctx, "count ARCs")
	if err != nil {
		return nil, err
	}
	defer leave()
	rows, err := s.pool.Query(ctx, sqlTotals)
	if err != nil {
		return nil, wrap("count ARCs", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t Total, err error) {
		err = row.Scan(&t.RDI, &t.Count)
		return t, err
	})
	return list, wrap("count ARCs", err)
}

const sqlTotals = `SELECT rdi, count(*) FROM arc GROUP BY rdi ORDER BY rdi`
