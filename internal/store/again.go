package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pauses are the waits before a statement is sent again after its connection
// failed. The first attempt follows at once, because most often a connection
// was cut while it lay idle; the others together outlast a restart of
// PostgreSQL, but not the patience of a client. They are several, for one who
// finds all connections busy and gets no further one.
var pauses = [...]time.Duration{
	0, 50 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond,
}

// again does something whose repetition comes to the same, until it succeeds,
// fails for another reason than its connection, or no pause is left.
func again[T any](ctx context.Context, s *Store, do func() (T, error)) (T, error) {
	return repeat(ctx, s, isCut, do)
}

// repeat is again for those failures that the caller may repeat.
func repeat[T any](ctx context.Context, s *Store, mayRepeat func(error) bool, do func() (T, error)) (T, error) {
	result, err := do()
	for _, pause := range pauses {
		if err == nil || ctx.Err() != nil || !mayRepeat(err) {
			break
		}
		// What cut one connection has often cut the others as well. Where no further one is to be
		// had, those that are there may be all there is.
		if !isUnconnected(err) {
			s.pool.Reset()
		}
		select {
		case <-ctx.Done():
			return result, err
		case <-time.After(pause):
		}
		result, err = do()
	}
	return result, err
}

// isCut says whether the connection failed and not the statement. Whether the
// statement was done is open.
func isCut(err error) bool {
	if isUndone(err) {
		return true
	}
	if _, ok := errors.AsType[*pgconn.PgError](err); ok {
		return false
	}
	return !errors.Is(err, context.DeadlineExceeded) && isConnection(err)
}

// isUndone says whether the connection failed and the statement was certainly
// not done: not sent, or aborted by the end of the server.
func isUndone(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isShutdown(pg) || isCrowded(pg)
	}
	return isUnconnected(err) || pgconn.SafeToRetry(err)
}

// isUnconnected says whether it was a new connection that could not be made.
func isUnconnected(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

// isCrowded knows a server that has no connection left: one of ours may be free soon.
func isCrowded(err *pgconn.PgError) bool { return err.Code == "53300" }

// isShutdown knows class 57 of the SQLSTATEs without query_canceled: a server
// that stops, stopped or starts. It aborts what it has not finished.
func isShutdown(err *pgconn.PgError) bool {
	return strings.HasPrefix(err.Code, "57P")
}

// read gives the rows of a statement that only reads.
func read[T any](ctx context.Context, s *Store, doing string, scan pgx.RowToFunc[T], sql string, arguments ...any) ([]T, error) {
	all, err := again(ctx, s, func() ([]T, error) {
		rows, err := s.pool.Query(ctx, sql, arguments...)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scan)
	})
	return all, wrap(doing, err)
}

// readOne reads the only row of a statement that only reads into the targets. The
// error is as it came, for isNoRows.
func (s *Store) readOne(ctx context.Context, targets []any, sql string, arguments ...any) error {
	_, err := again(ctx, s, func() (struct{}, error) {
		return struct{}{}, s.pool.QueryRow(ctx, sql, arguments...).Scan(targets...)
	})
	return err
}

// exec does a statement at most once.
func (s *Store) exec(ctx context.Context, doing, sql string, arguments ...any) (int64, error) {
	tag, err := repeat(ctx, s, isUndone, func() (pgconn.CommandTag, error) { return s.pool.Exec(ctx, sql, arguments...) })
	return tag.RowsAffected(), wrap(doing, err)
}
