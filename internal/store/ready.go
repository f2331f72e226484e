package store

import (
	"context"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Ping says whether PostgreSQL answers.
func (s *Store) Ping(ctx context.Context) error {
	return wrap("ping", s.pool.Ping(ctx))
}

// Ready says whether PostgreSQL answers and has the schema that this program
// needs (a newer one will do: migrations are compatible with the version
// before them), can be written to, and confirms what is written.
func (s *Store) Ready(ctx context.Context) error {
	state, err := s.ready(ctx)
	if err == nil && state.readOnly {
		s.pool.Reset() // the connection may be older than what holds now
		state, err = s.ready(ctx)
	}
	switch {
	case err != nil:
		return err
	case state.readOnly:
		return fault.New(fault.StoreUnavailable, nil).WithText("The database is set to be read only (default_transaction_read_only).")
	case state.unconfirmed > standbyPatience:
		return fault.New(fault.StoreStandby, nil)
	}
	return nil
}

// standbyPatience is how long a commit may wait for a synchronous standby before
// the database counts as one that takes none.
const standbyPatience = 5 * time.Second

// readiness is what may keep a database that answers from being used.
type readiness struct {
	schema      int64
	standby     bool
	readOnly    bool
	unconfirmed time.Duration // that the oldest of our commits has waited for a synchronous standby
}

func (r *readiness) scan(row pgx.Row) error {
	var waited float64
	err := row.Scan(&r.schema, &r.standby, &r.readOnly, &waited)
	r.unconfirmed = time.Duration(waited * float64(time.Second))
	return err
}

func (s *Store) ready(ctx context.Context) (readiness, error) {
	// Where no further connection is to be had, one of those that are there does.
	others := func(err error) bool { return isUnconnected(err) && isUndone(err) && s.pool.Stat().TotalConns() > 0 }
	state, err := repeat(ctx, s, others, func() (state readiness, err error) {
		err = state.scan(s.pool.QueryRow(ctx, sqlReady))
		return state, err
	})
	switch {
	case err != nil:
		return state, wrap("look at the schema", err)
	case state.schema < wantedVersion():
		return state, fault.New(fault.StoreSchema, nil)
	case state.standby:
		return state, fault.New(fault.StoreUnavailable, nil).WithText("The database is a read-only standby.")
	}
	return state, nil
}

// A commit that waits for a standby is seen by its session; the standbys
// themselves may only be looked at by whoever monitors the server.
const sqlReady = `
SELECT coalesce(max(version_id) FILTER (WHERE is_applied), 0), pg_is_in_recovery(), current_setting('transaction_read_only')::bool,
    (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)::float8 FROM pg_stat_activity
        WHERE wait_event = 'SyncRep' AND datname = current_database())
FROM goose_db_version`

// wantedVersion is the number of the newest migration in the program.
func wantedVersion() int64 {
	names, _ := fs.Glob(migrations, "migrations/*.sql")
	if len(names) == 0 {
		return 0
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(names[len(names)-1], "migrations/"), "_")
	v, _ := strconv.ParseInt(number, 10, 64)
	return v
}
