package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// How long submissions wait for an ARC or a harvest that somebody else holds: a
// group for its members, then each of them by itself. That is far beyond what our
// own transactions on one ARC need; the end of a large harvest takes longer, and
// so does who forgets a transaction in psql. Then those that are held wait by
// themselves, and look so often whether they are free.
const (
	lockPatience = time.Second
	lonePatience = 100 * time.Millisecond
	busyPeriod   = 200 * time.Millisecond
)

// inGroup has a group do a submission. While its ARC or its harvest is held by
// somebody else it stays outside of groups, so that nobody else waits with it.
func (s *Store) inGroup(ctx context.Context, g *group[*Submission, *Result], q *Submission) (*Result, error) {
	r, err := g.do(ctx, q)
	for end := time.Now().Add(s.patience); isHeld(err) && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return nil, wrap("wait until the ARC is free", ctx.Err())
		case <-time.After(busyPeriod):
		}
		held, looked := s.held(ctx, []*Submission{q})
		if looked != nil {
			return nil, wrap("look whether the ARC is free", looked)
		}
		if !held[q.ID] {
			r, err = g.do(ctx, q)
		}
	}
	return r, err
}

// untilFree does something with a harvest that gives up waiting for a lock after a while, again
// and again until it gets it: meanwhile its connection is there for others.
func (s *Store) untilFree(ctx context.Context, do func(patience time.Duration) error) error {
	end := time.Now().Add(s.patience)
	err := do(lockPatience)
	for ; isHeld(err) && time.Now().Before(end); err = do(lonePatience) {
		select {
		case <-ctx.Done():
			return wrap("wait until the harvest is free", ctx.Err())
		case <-time.After(busyPeriod):
		}
	}
	return err
}

// isHeld says whether a statement gave up waiting for a lock (lock_not_available).
func isHeld(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "55P03"
}

// around does a statement for those of a group that nobody else holds. The others
// get the error with which the group gave up waiting for them.
func (s *Store) around(ctx context.Context, subs []*Submission, gaveUp error, sql string, arguments func([]*Submission) []any) []answer[*Result] {
	held, err := s.held(ctx, subs)
	if err == nil && len(held) == 0 {
		return s.alone(ctx, subs, sql, arguments)
	}
	if err == nil {
		err = gaveUp
	}
	answers := make([]answer[*Result], len(subs))
	var free []*Submission
	var places []int
	for i, q := range subs {
		answers[i].err = wrap("store ARC "+q.ID.String(), err)
		if len(held) > 0 && !held[q.ID] {
			free, places = append(free, q), append(places, i)
		}
	}
	if len(free) > 0 {
		for i, a := range s.together(free, sql, arguments) {
			answers[places[i]] = a
		}
	}
	return answers
}

// held gives those of the ARCs that somebody else holds, or whose harvests.
func (s *Store) held(ctx context.Context, subs []*Submission) (map[ID]bool, error) {
	ids := column(subs, func(q *Submission) []byte { return q.ID[:] })
	batch := &pgx.Batch{}
	batch.Queue(`SELECT id FROM arc WHERE id = ANY($1) FOR NO KEY UPDATE SKIP LOCKED`, ids)
	batch.Queue(`SELECT id FROM arc WHERE id = ANY($1)`, ids)
	batch.Queue(`SELECT k FROM unnest($1::bigint[]) AS k WHERE NOT pg_try_advisory_xact_lock_shared(k)`, harvestLocks(subs))
	results := s.pool.SendBatch(ctx, batch)
	free, err := collect[[]byte](results)
	all, err2 := collect[[]byte](results)
	harvests, err3 := collect[int64](results)
	if err := errors.Join(err, err2, err3, results.Close()); err != nil {
		return nil, err
	}
	held := map[ID]bool{}
	for _, id := range all {
		held[ID(id)] = true
	}
	for _, id := range free {
		delete(held, ID(id))
	}
	for _, q := range subs {
		for _, key := range harvests {
			if q.Harvest != uuid.Nil && (key == harvestLock(q.Harvest) || key == eventLock(q.Harvest)) {
				held[q.ID] = true
			}
		}
	}
	return held, nil
}

// collect reads one column of the next result of a batch.
func collect[T any](results pgx.BatchResults) ([]T, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}
