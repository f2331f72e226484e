package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// checkPooler refuses a way to the server on which a pooler lends connections for
// single transactions, as PgBouncer does with pool_mode = transaction: prepared
// statements, settings, listening and the lock of a migration belong to a session
// here, and would be somebody else's. Sessions that are open side by side have a
// server process each, unless these are lent; then a pooler that is not busy gives
// the second one the process that the first has just left.
func checkPooler(ctx context.Context, to *pgx.ConnConfig) (err error) {
	config := to.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // without names
	var processes [2]int64
	for i := range processes {
		conn, failed := pgx.ConnectConfig(ctx, config)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, conn.Close(ctx)) }()
		if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&processes[i]); err != nil {
			return err
		}
	}
	if processes[0] == processes[1] {
		return fault.New(fault.StorePooler, fmt.Errorf("two sessions have the server process %d", processes[0]))
	}
	return nil
}
