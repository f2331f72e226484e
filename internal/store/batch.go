package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// batchSize is how many ARCs are changed at a time by what changes many: so few
// that a submission of one of them, and all that share its group, hardly waits.
const batchSize = 500

// inBatches changes all ARCs for which a condition holds now, by their ids, in
// transactions of batchSize, and says how many were changed. first belongs to the
// transaction that chooses them, before any is changed. What has been done stays
// done if a later batch fails, and whoever asked can ask again.
//
// The condition has the parameter $1. The change is an UPDATE of arc up to its FROM.
func (s *Store) inBatches(ctx context.Context, doing, change, condition, argument string, first func(pgx.Tx) error) (n int64, err error) {
	conn, err := again(ctx, s, func() (*pgxpool.Conn, error) { return s.living(ctx) })
	if err != nil {
		return 0, wrap(doing, err)
	}
	defer conn.Release()
	err = s.choose(ctx, conn, condition, argument, first)
	// A connection that is broken has no cursor any more.
	defer func() { _, _ = conn.Exec(context.WithoutCancel(ctx), "CLOSE chosen") }()
	for err == nil {
		var ids [][]byte
		if ids, err = fetch(ctx, conn); err != nil || len(ids) == 0 {
			break
		}
		var changed int64
		changed, err = changeBatch(ctx, conn, change, condition, argument, ids)
		n += changed
	}
	return n, wrap(doing, err)
}

// living takes a connection out of the pool that answers.
func (s *Store) living(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.Ping(ctx); err != nil {
		conn.Release()
		return nil, err
	}
	return conn, nil
}

// choose opens a cursor that outlives its transaction.
func (s *Store) choose(ctx context.Context, conn *pgxpool.Conn, condition, argument string, first func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLongStatement, milliseconds(longStatement)); err != nil {
			return err
		}
		sql := "DECLARE chosen NO SCROLL CURSOR WITH HOLD FOR SELECT id FROM arc WHERE " + condition + " ORDER BY id"
		if _, err := tx.Exec(ctx, sql, pgx.QueryExecModeExec, argument); err != nil {
			return err
		}
		return first(tx)
	})
}

func fetch(ctx context.Context, conn *pgxpool.Conn) ([][]byte, error) {
	rows, err := conn.Query(ctx, sqlFetch, pgx.QueryExecModeExec)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[[]byte])
}

var sqlFetch = fmt.Sprintf("FETCH %d FROM chosen", batchSize)

// changeBatch locks in the order in which everybody does.
func changeBatch(ctx context.Context, conn *pgxpool.Conn, change, condition, argument string, ids [][]byte) (int64, error) {
	tag, err := conn.Exec(ctx, change+`
FROM (SELECT id AS chosen FROM arc WHERE id = ANY($2) AND (`+condition+`) ORDER BY id FOR NO KEY UPDATE) c
WHERE id = c.chosen`, argument, ids)
	return tag.RowsAffected(), err
}
