package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// BeatEvery is the time between two signs of life of a synchroniser.
	BeatEvery = 5 * time.Second
	// SilentAfter is how long after its last sign of life a synchroniser counts as dead.
	SilentAfter = 3 * BeatEvery
	// restartGrace is the time that a synchroniser which ended in order has to come
	// back before it is missed: restarts and recycling are no failure.
	restartGrace = BeatEvery
	// beatMemory is how long dead synchronisers are remembered.
	beatMemory = 24 * time.Hour
)

// Synchroniser is a process that pushes, as it last told of itself.
type Synchroniser struct {
	Holder    string // name of the process; in a container one started anew has the same
	Host      string
	Remote    string
	Up        time.Duration // since its start, as it tells
	StartedAt time.Time     // by the clock of the database
	Beat      time.Time     // last sign of life
	Age       time.Duration // of the last sign of life, by the clock of the database
	Pushing   int           // ARCs in its hands then
	Alive     bool
	Token     Token
}

// TokenSoon is how long before its end an access token is worth a warning.
const TokenSoon = 14 * 24 * time.Hour

// Token is what a git server has told of the access token of a synchroniser; the
// zero Token is one of which nothing is known.
type Token struct {
	Name    string
	Ends    time.Time // zero: never, or not known
	Refused bool      // the server does not take it
}

// Beat says that a synchroniser lives.
func (s *Store) Beat(ctx context.Context, q Synchroniser) error {
	_, err := s.pool.Exec(ctx, sqlBeat, q.Holder, q.Host, q.Remote, q.Pushing,
		q.Token.Name, orNull(q.Token.Ends), q.Token.Refused, q.Up)
	return wrap("sign of life", err)
}

const sqlBeat = `
INSERT INTO synchroniser (holder, host, remote, pushing, token_name, token_ends_at, token_refused, started_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() - $8::interval)
ON CONFLICT (holder) DO UPDATE SET beat_at = now(), started_at = excluded.started_at, ended_at = NULL, pushing = excluded.pushing,
    token_name = excluded.token_name, token_ends_at = excluded.token_ends_at, token_refused = excluded.token_refused`

// EndBeat says that a synchroniser ends in order.
func (s *Store) EndBeat(ctx context.Context, holder string) error {
	err := s.tx(ctx, "end of the signs of life", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlEndBeat, holder); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlForgetBeats, beatMemory)
		return err
	})
	return err
}

const (
	sqlEndBeat     = `UPDATE synchroniser SET ended_at = now() WHERE holder = $1`
	sqlForgetBeats = `DELETE FROM synchroniser WHERE beat_at < now() - $1::interval OR ended_at < now() - interval '1 minute'`
)

// Synchronisers lists those that have not ended in order, by host: the living
// and, for a day, the ones that fell silent and have no successor on their host.
func (s *Store) Synchronisers(ctx context.Context) ([]Synchroniser, error) {
	rows, err := s.pool.Query(ctx, sqlSynchronisers, beatMemory, BeatEvery)
	if err != nil {
		return nil, wrap("list synchronisers", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (q Synchroniser, err error) {
		var ends *time.Time
		err = row.Scan(&q.Holder, &q.Host, &q.Remote, &q.StartedAt, &q.Beat, &q.Age, &q.Pushing, &q.Token.Name, &ends, &q.Token.Refused)
		q.Alive, q.Token.Ends = q.Age < SilentAfter, orZero(ends)
		return q, err
	})
	return list, wrap("list synchronisers", err)
}

// A sign of life from times to come was given by another clock, before a failover
// for instance: whoever lives has given one since.
const sqlSynchronisers = `
WITH known AS (SELECT * FROM synchroniser WHERE beat_at < now() + $2::interval)
SELECT holder, host, remote, started_at, beat_at, now() - beat_at, pushing, token_name, token_ends_at, token_refused
FROM known s WHERE ended_at IS NULL AND beat_at > now() - $1::interval
    -- One that was killed and started anew has another name.
    AND NOT EXISTS (SELECT FROM known n WHERE n.host = s.host AND n.remote = s.remote AND n.started_at > s.beat_at)
ORDER BY host, started_at, holder`

// SynchroniserAlive tells whether any synchroniser lives, on whatever host. One
// that is being restarted counts for a moment longer.
func (s *Store) SynchroniserAlive(ctx context.Context) (alive bool, err error) {
	err = s.pool.QueryRow(ctx, sqlSynchroniserAlive, SilentAfter, restartGrace, BeatEvery).Scan(&alive)
	return alive, wrap("look for synchronisers", err)
}

const sqlSynchroniserAlive = `
SELECT EXISTS (SELECT FROM synchroniser WHERE beat_at > now() - $1::interval AND beat_at < now() + $3::interval
    AND (ended_at IS NULL OR ended_at > now() - $2::interval))`
