package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fairagro/middleware-api/internal/tcp"
)

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
		// A machine that is gone without a word is noticed by the server as we notice that
		// of the server: its sessions would go on holding locks, and their places, for hours.
		{"tcp_user_timeout", milliseconds(tcp.Unheard)},
		{"tcp_keepalives_idle", seconds(tcp.Unheard / 2)},
		{"tcp_keepalives_interval", seconds(tcp.Unheard / 4)},
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
		// Texts go there and come back as they are in crates.
		{"client_encoding", "'UTF8'"},
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

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
