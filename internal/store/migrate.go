package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema gives the text of all migrations, in order: what a test that shares a
// migrated database has to compare.
func Schema() string {
	var b strings.Builder
	names, _ := fs.Glob(migrations, "migrations/*.sql")
	for _, name := range names {
		text, _ := migrations.ReadFile(name)
		b.Write(text)
	}
	return b.String()
}

// Migrate brings the schema of the database to this version. It only ever goes
// forward; migrations are compatible with the version before, which may still
// be running. Several processes may call it at once: an advisory lock lets one
// do the work while the others wait. It gives the version that it found, 0
// where there was no schema.
func Migrate(ctx context.Context, dsn string) (from int64, err error) {
	p, db, err := migrator(ctx, dsn)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	from, err = migrate(ctx, p, db)
	return from, wrap("migrate the schema", err)
}

func migrate(ctx context.Context, p *goose.Provider, db *sql.DB) (from int64, err error) {
	if err := checkEncoding(ctx, db); err != nil {
		return 0, err
	}
	if from, err = p.GetDBVersion(ctx); err != nil {
		return 0, err
	}
	if err := failpoint.Hit(failpoint.MigrateBegin); err != nil {
		return from, err
	}
	if err := up(ctx, p); err != nil {
		return from, err
	}
	return from, failpoint.Hit(failpoint.Migrated)
}

// up applies what is missing. A migration that waits for a table has everybody wait
// behind it who comes later, uploads as well: for as long as a backup takes, for one. So it
// waits for a moment only, lets them go by, and tries again until it gets its turn.
func up(ctx context.Context, p *goose.Provider) error {
	_, err := p.Up(ctx)
	for deadlocks, told := 0, false; ; _, err = p.Up(ctx) {
		switch {
		case isDeadlock(err) && deadlocks < migrationAttempts-1:
			deadlocks++
		case isHeld(err):
			if !told {
				slog.Default().WarnContext(ctx, "schema migration waits for a table that somebody else uses",
					"remedy", "none is needed where it is a backup or the end of a harvest; a forgotten transaction is shown by: SELECT * FROM pg_stat_activity WHERE state <> 'idle'")
			}
			told = true
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(migrationPause):
			}
		default:
			return err
		}
	}
}

const (
	// migrationAttempts is how often a migration is tried that meets uploads which
	// lock its tables in another order: PostgreSQL ends one of the two, and it may be the
	// migration, of which nothing is done then.
	migrationAttempts = 10
	// migrationPatience is how long a migration waits for a table: longer than
	// PostgreSQL takes to end an automatic vacuum for it (deadlock_timeout).
	migrationPatience = 1500 * time.Millisecond
	// migrationPause lets those go by who had to wait behind it.
	migrationPause = 3 * time.Second
)

func isDeadlock(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "40P01"
}

// checkEncoding refuses a database without our tables that cannot hold every text: names of
// ARCs would be refused later, and their senders told that it is their mistake.
func checkEncoding(ctx context.Context, db *sql.DB) error {
	var encoding string
	var empty bool
	if err := db.QueryRowContext(ctx, sqlEncoding).Scan(&encoding, &empty); err != nil {
		return err
	}
	if encoding == WantedEncoding || !empty {
		return nil
	}
	f := fault.New(fault.StoreSchema, nil).WithText(fmt.Sprintf("The database has the encoding %s, and must have %s.", encoding, WantedEncoding))
	f.Remedy = "Make it anew: createdb -T template0 -E " + WantedEncoding
	return f
}

// WantedEncoding is what a database must have for its texts: that of crates.
const WantedEncoding = "UTF8"

const sqlEncoding = `SELECT current_setting('server_encoding'), to_regclass('arc') IS NULL`

func migrator(ctx context.Context, dsn string) (*goose.Provider, *sql.DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, nil, badDSN(err)
	}
	if err := checkPooler(ctx, config); err != nil {
		return nil, nil, wrap("look at the way to the database", err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, nil, fmt.Errorf("lock for migrations: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, nil, fmt.Errorf("embedded migrations: %w", err)
	}
	// What a large table needs takes as long as it takes, but to get at it does not.
	settings := sessionSettings(0) + "SET lock_timeout = " + milliseconds(migrationPatience)
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(set(settings)))
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		_ = db.Close()
		return nil, nil, fmt.Errorf("embedded migrations: %w", err)
	}
	return p, db, nil
}
