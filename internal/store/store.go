package store

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/tcp"
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

func poolConfig(o Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		return nil, badDSN(err)
	}
	config.MaxConns = int32(defaultMaxConns)
	if o.MaxConns > 0 {
		config.MaxConns = int32(o.MaxConns)
	}
	config.MaxConnLifetime = time.Hour
	config.MaxConnLifetimeJitter = 10 * time.Minute
	config.MaxConnIdleTime = 10 * time.Minute
	config.PingTimeout = pingTimeout
	c := config.ConnConfig
	c.DialFunc = tcp.Dialer(0).DialContext // the time for connecting is set above
	// Whether a connection may write is settled at its beginning: kept, it would go
	// on refusing to when everybody else can again.
	closing := c.OnPgError
	c.OnPgError = func(conn *pgconn.PgConn, e *pgconn.PgError) bool { return e.Code != readOnlyState && closing(conn, e) }
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectTimeout {
		c.ConnectTimeout = connectTimeout
	}
	c.StatementCacheCapacity = min(c.StatementCacheCapacity, maxStatements)
	c.DescriptionCacheCapacity = min(c.DescriptionCacheCapacity, maxStatements)
	c.Tracer = o.Tracer
	timeout := o.StatementTimeout
	if timeout <= 0 {
		timeout = defaultStatementTimeout
	}
	setDefault(c.RuntimeParams, "application_name", o.ApplicationName)
	c.RuntimeParams["timezone"] = "UTC"
	// The rest is set when the session has begun: a pooler knows but a few
	// parameters of a beginning, and refuses others.
	config.AfterConnect = set(sessionSettings(timeout))
	return config, nil
}

// set gives what makes settings, written as SQL, hold in a session.
func set(settings string) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.PgConn().Exec(ctx, settings).ReadAll()
		return err
	}
}

// sessionSettings is what holds in each of our sessions, as SQL; a timeout of 0 is none.
func sessionSettings(timeout time.Duration) string {
	var b strings.Builder
	for _, setting := range [][2]string{
		{"statement_timeout", milliseconds(timeout)},
		{"lock_timeout", milliseconds(timeout)},
		{"idle_in_transaction_session_timeout", milliseconds(2 * timeout)},
		// To rest is what connections of a pool do, and that of a listener most of all.
		{"idle_session_timeout", "0"},
		// "Acknowledged" must not depend on what the cluster's default happens to be.
		{"synchronous_commit", "on"},
		// Nor that a statement sees what those before it have waited for.
		{"default_transaction_isolation", "'read committed'"},
		// Compiling takes longer than any statement of ours runs, and begins when one
		// looks expensive, which it does as the tables grow.
		{"jit", "off"},
		// Nor does a question that looks at many ARCs take more than one processor.
		{"max_parallel_workers_per_gather", "0"},
		// Values that come as text are read in these spellings.
		{"bytea_output", "hex"},
		{"datestyle", "ISO"},
		{"intervalstyle", "postgres"},
		{"extra_float_digits", "1"},
		{"standard_conforming_strings", "on"},
	} {
		fmt.Fprintf(&b, "SET %s = %s;", setting[0], setting[1])
	}
	return b.String()
}

// Hosts gives the names and addresses of the servers that a connection string
// leads to over the network; none for a unix socket, and for a string that
// cannot be read.
func Hosts(dsn string) []string {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil
	}
	var hosts []string
	add := func(host string) {
		if !strings.HasPrefix(host, "/") && !strings.HasPrefix(host, "@") && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	add(config.Host)
	for _, f := range config.Fallbacks {
		add(f.Host)
	}
	return hosts
}

func setDefault(params map[string]string, key, value string) {
	if params[key] == "" && value != "" {
		params[key] = value
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

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
	var state readiness
	err := state.scan(s.pool.QueryRow(ctx, sqlReady))
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
