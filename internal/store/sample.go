package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Sample is what was on its way into git in one minute, and what has moved since
// the sample before.
type Sample struct {
	At       time.Time
	Waiting  int64         // ARCs that are due or failing
	Parked   int64         // ARCs that wait for somebody
	Oldest   time.Duration // how long the one has waited that waits longest
	Accepted int64         // new contents that were stored
	Pushed   int64         // pushes that came through
}

// sampleMemory is how long samples are kept.
const sampleMemory = 24 * time.Hour

// TakeSample notes how things stand, unless somebody has done so in this minute.
// Any number of processes may call it, as often as they like.
func (s *Store) TakeSample(ctx context.Context) error {
	return s.tx(ctx, "take a sample", func(tx pgx.Tx) error {
		var last int64
		err := tx.QueryRow(ctx, sqlTurnToSample).Scan(&last)
		if isNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlTakeSample, last); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, sqlForgetSamples, sampleMemory)
		return err
	})
}

const (
	sqlTurnToSample = `
UPDATE sampler SET at = date_trunc('minute', now()) WHERE at < date_trunc('minute', now()) RETURNING event`

	sqlTakeSample = `
WITH moved AS (
    SELECT arc.rdi, max(e.id) AS last,
        count(*) FILTER (WHERE e.type IN ('ARC_CREATED', 'ARC_UPDATED')) AS accepted,
        count(*) FILTER (WHERE e.type = 'GIT_PUSH_SUCCESS') AS pushed
    FROM event e JOIN arc ON arc.id = e.arc_id WHERE e.id > $1 GROUP BY arc.rdi
), backlog AS (
    SELECT rdi, count(*) FILTER (WHERE git_state <> 'parked') AS waiting, count(*) FILTER (WHERE git_state = 'parked') AS parked,
        now() - min(last_changed) FILTER (WHERE git_state <> 'parked') AS oldest
    FROM arc WHERE git_state <> 'synced' GROUP BY rdi
), mark AS (
    UPDATE sampler SET event = greatest(event, (SELECT max(last) FROM moved))
)
INSERT INTO sample (at, rdi, waiting, parked, oldest, accepted, pushed)
SELECT date_trunc('minute', now()), '', 0, 0, '0', 0, 0
UNION ALL
SELECT date_trunc('minute', now()), rdi, coalesce(waiting, 0), coalesce(parked, 0), greatest(coalesce(oldest, '0'), '0'), coalesce(accepted, 0), coalesce(pushed, 0)
FROM backlog FULL JOIN moved USING (rdi) WHERE rdi <> ''
ON CONFLICT (at, rdi) DO NOTHING`

	sqlForgetSamples = `DELETE FROM sample WHERE at < now() - $1::interval`
)

// Samples gives the samples of the last time, oldest first, of the given RDIs or
// of all. Minutes in which nobody looked are missing.
func (s *Store) Samples(ctx context.Context, last time.Duration, rdis ...string) ([]Sample, error) {
	rows, err := s.pool.Query(ctx, sqlSamples, last, rdis)
	if err != nil {
		return nil, wrap("read samples", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Sample, err error) {
		err = row.Scan(&p.At, &p.Waiting, &p.Parked, &p.Oldest, &p.Accepted, &p.Pushed)
		return p, err
	})
	return list, wrap("read samples", err)
}

const sqlSamples = `
SELECT at, sum(waiting)::bigint, sum(parked)::bigint, max(oldest), sum(accepted)::bigint, sum(pushed)::bigint
FROM sample WHERE at > now() - $1::interval AND (coalesce(cardinality($2::text[]), 0) = 0 OR rdi = '' OR rdi = ANY ($2))
GROUP BY at ORDER BY at`
