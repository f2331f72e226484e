package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Defaults of Options, and limits that are not for configuration.
const (
	defaultMaxConns         = 8
	defaultEventLimit       = 100
	defaultStatementTimeout = 30 * time.Second

	// maxStatements is more than we have; a connection makes room for all in advance.
	maxStatements = 128
	// connectTimeout is short: a client waits, and is told to come again.
	connectTimeout = 5 * time.Second
	// pingTimeout is how long a connection that has rested may take to show that it
	// still leads anywhere.
	pingTimeout = 2 * time.Second
	// longStatement is for the work of a whole harvest or RDI at once.
	longStatement = 30 * time.Minute
	// groupLimit is the number of submissions that share a commit at most.
	groupLimit = 64
	// groupBytes bounds the memory of a group of large ARCs.
	groupBytes = 16 << 20
	// GroupsAtOnce lets one group be written while another one is flushed.
	GroupsAtOnce = 2
	// groupWorth is how many have to wait before they make a second group beside
	// the one under way: a commit costs about as much as ten rows.
	groupWorth = 16
)

// Options of a Store. Zero values mean the defaults.
type Options struct {
	DSN              string // connection string of PostgreSQL, URL or keywords
	ApplicationName  string // shown in pg_stat_activity
	MaxConns         int    // size of the pool (8)
	EventLimit       int    // events kept per ARC (100)
	StatementTimeout time.Duration
	Tracer           pgx.QueryTracer // nil for none
	Logger           *slog.Logger    // nil for slog.Default
}

// Store is the service's database.
type Store struct {
	pool       *pgxpool.Pool
	log        *slog.Logger
	eventLimit int
	patience   time.Duration // with a statement, and with an ARC that somebody else holds
	long       places        // for work on whole harvests
	wide       places        // for questions that look at many ARCs

	touches  *group[*Submission, *Result]
	puts     *group[*Submission, *Result]
	forecast forecast
	tallies  tallies
	bell     *bell

	work sync.WaitGroup // goroutines that Close waits for
}

// Open makes a Store. It does not wait for PostgreSQL: a server that is absent
// shows at the first use, and at Ready.
func Open(ctx context.Context, o Options) (*Store, error) {
	config, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, badDSN(err)
	}
	s := &Store{pool: pool, log: o.Logger, eventLimit: o.EventLimit, patience: o.StatementTimeout}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.eventLimit <= 0 {
		s.eventLimit = defaultEventLimit
	}
	if s.patience <= 0 {
		s.patience = defaultStatementTimeout
	}
	s.long, s.wide = newPlaces(config.MaxConns/2), newPlaces(config.MaxConns/4)
	if config.MaxConns < 3 { // one for all that takes long, one for uploads
		s.wide = s.long
	}
	s.touches = newGroup(&s.work, func(q *Submission) (ID, int) { return q.ID, 0 }, s.touch)
	s.puts = newGroup(&s.work, func(q *Submission) (ID, int) { return q.ID, len(q.frame) }, s.put)
	s.bell = newBell(&s.work, s.notify)
	return s, nil
}

// Close waits for submissions under way and closes the connections.
func (s *Store) Close() {
	s.work.Wait()
	s.pool.Close()
}

// planEachTime is for statements whose best plan depends on their LIMIT: planned
// once for all, PostgreSQL takes a tenth of the table for what is wanted, and
// may well read and sort all of it.
const planEachTime = pgx.QueryExecModeCacheDescribe

// PoolStats gives the state of the connection pool, for metrics.
func (s *Store) PoolStats() *pgxpool.Stat { return s.pool.Stat() }

// tx runs f in a transaction and commits it.
func (s *Store) tx(ctx context.Context, doing string, f func(pgx.Tx) error) error {
	tx, err := again(ctx, s, func() (pgx.Tx, error) { return s.pool.Begin(ctx) })
	if err != nil {
		return wrap(doing, err)
	}
	// After the commit there is nothing left to roll back.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := f(tx); err != nil {
		return wrap(doing, err)
	}
	return wrap(doing, tx.Commit(ctx))
}

const sqlLongStatement = `SELECT set_config('statement_timeout', $1, true)`

// longTx is tx for work on a whole harvest.
func (s *Store) longTx(ctx context.Context, doing string, f func(pgx.Tx) error) error {
	leave, err := s.long.enter(ctx, doing)
	if err != nil {
		return err
	}
	defer leave()
	return s.tx(ctx, doing, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLongStatement, milliseconds(longStatement)); err != nil {
			return err
		}
		return f(tx)
	})
}
