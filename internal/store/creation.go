package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// turnMemory is how long a turn that has come may be used again.
const turnMemory = time.Hour

// Budget limits how many projects all synchronisers together create at a remote.
type Budget struct {
	Remote  string
	PerHour int // 0 is no limit
	Burst   int // that may be created at once after a pause
}

func (b Budget) interval() time.Duration { return time.Hour / time.Duration(max(b.PerHour, 1)) }

// SetBudget makes the budget known, so that it can be foretold when everything
// will have its project. What has been spent stays spent.
func (s *Store) SetBudget(ctx context.Context, b Budget) error {
	_, err := s.pool.Exec(ctx, sqlSetBudget, b.Remote, b.PerHour, max(b.Burst, 1))
	return wrap("set the budget of "+b.Remote, err)
}

const sqlSetBudget = `
INSERT INTO creation_budget (remote, per_hour, burst) VALUES ($1, $2, $3)
ON CONFLICT (remote) DO UPDATE SET per_hour = excluded.per_hour, burst = excluded.burst`

// CreationTurn gives an ARC its turn to get a project and tells how long it has to
// wait for it; 0 lets it go ahead. The turn is kept, also for the next process
// that asks, so that what is foretold comes true.
func (s *Store) CreationTurn(ctx context.Context, b Budget, arc ID) (wait time.Duration, err error) {
	if b.PerHour <= 0 {
		return 0, nil
	}
	err = s.tx(ctx, "turn to create a project", func(tx pgx.Tx) error {
		// This locks the bucket: whoever comes at the same time waits here.
		if _, err := tx.Exec(ctx, sqlSetBudget, b.Remote, b.PerHour, max(b.Burst, 1)); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, sqlMyTurn, b.Remote, arc[:], turnMemory).Scan(&wait)
		if !isNoRows(err) {
			return err
		}
		if _, err := tx.Exec(ctx, sqlForgetTurns, b.Remote, turnMemory); err != nil {
			return err
		}
		return tx.QueryRow(ctx, sqlTakeTurn, b.Remote, arc[:], b.interval(), max(b.Burst, 1)).Scan(&wait)
	})
	return max(wait, 0), err
}

const (
	sqlMyTurn = `
SELECT at - clock_timestamp() FROM creation_turn
WHERE remote = $1 AND arc_id = $2 AND at > now() - $3::interval`

	sqlForgetTurns = `DELETE FROM creation_turn WHERE remote = $1 AND at < now() - $2::interval`

	// next_turn is when the bucket will be full again, so a turn comes a whole
	// bucket earlier.
	sqlTakeTurn = `
WITH taken AS (
    UPDATE creation_budget SET next_turn = greatest(next_turn, now()) + $3::interval
    WHERE remote = $1
    RETURNING next_turn - $4::int * $3::interval AS at
)
INSERT INTO creation_turn AS t (remote, arc_id, at) SELECT $1, $2, greatest(at, now()) FROM taken
ON CONFLICT (remote, arc_id) DO UPDATE SET at = excluded.at
RETURNING t.at - clock_timestamp()`
)

// Forecast is when all ARCs that wait for a project will have one.
type Forecast struct {
	Remote  string
	PerHour int
	ToDo    int64     // ARCs without a project that are not parked
	DoneAt  time.Time // if nothing else gets in the way
}

// Forecasts foretells the creation of projects, for every remote with a budget.
func (s *Store) Forecasts(ctx context.Context) ([]Forecast, error) {
	rows, err := s.pool.Query(ctx, sqlForecasts)
	if err != nil {
		return nil, wrap("forecast", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Forecast, err error) {
		err = row.Scan(&f.Remote, &f.PerHour, &f.ToDo, &f.DoneAt)
		return f, err
	})
	return list, wrap("forecast", err)
}

// ARCs that have their turn already are served in the time before next_turn.
const sqlForecasts = `
WITH todo AS MATERIALIZED (
    SELECT id FROM arc WHERE git_state <> 'synced' AND git_state <> 'parked' AND commit_id = ''
)
SELECT b.remote, b.per_hour, n.todo,
    greatest(now(), n.last_turn, greatest(b.next_turn, now())
        + (n.todo - n.turns - b.burst) * (interval '1 hour' / b.per_hour))
FROM creation_budget b, LATERAL (
    SELECT count(*) AS todo, count(t.at) AS turns, max(t.at) AS last_turn
    FROM todo LEFT JOIN creation_turn t ON t.remote = b.remote AND t.arc_id = todo.id
) n
WHERE b.per_hour > 0 ORDER BY b.remote`
