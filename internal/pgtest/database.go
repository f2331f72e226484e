package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// Variable names the environment variable with the connection string of a
// running cluster (a superuser, database postgres) that tests shall share.
const Variable = "PGTEST_DSN"

// shared is the cluster of this process. There is no end to it but that of
// the process, see [server.hireJanitor].
var shared = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv(Variable); dsn != "" {
		return dsn, nil
	}
	var err error
	if kept, err = newServer(Options{Fast: true}); err != nil {
		return "", err
	}
	return kept.dsn(), nil
})

// kept holds the server of the process: if it became garbage, its end of the
// janitor's pipe would be closed.
var kept *server

// template is the migrated database that others are copied from.
var template = sync.OnceValues(func() (string, error) {
	admin, err := shared()
	if err != nil {
		return "", err
	}
	return makeTemplate(context.Background(), admin)
})

// DSN gives the connection string of a migrated database of the test's own,
// which is dropped at the end of the test.
func DSN(tb testing.TB) string {
	tb.Helper()
	admin := adminDSN(tb)
	name, err := template()
	if err != nil {
		tb.Fatalf("template database: %v", err)
	}
	return create(tb, admin, name)
}

// Empty gives the connection string of an empty database of the test's own.
func Empty(tb testing.TB) string {
	tb.Helper()
	return create(tb, adminDSN(tb), "template1")
}

// Encoded is Empty in another encoding than UTF8.
func Encoded(tb testing.TB, encoding string) string {
	tb.Helper()
	return create(tb, adminDSN(tb), "template0 ENCODING '"+encoding+"' LOCALE 'C'")
}

// Connect gives a connection of the test's own, which is closed at its end.
func Connect(tb testing.TB, dsn string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeConn(conn) })
	return conn
}

func adminDSN(tb testing.TB) string {
	tb.Helper()
	if os.Getenv(Variable) == "" {
		if _, err := programs(); err != nil {
			testenv.Skip(tb, err.Error())
		}
	}
	admin, err := shared()
	if err != nil {
		tb.Fatalf("private PostgreSQL: %v", err)
	}
	return admin
}

// create copies a database for the test.
func create(tb testing.TB, admin, from string) string {
	tb.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := exec1(tb.Context(), admin, "CREATE DATABASE "+name+" TEMPLATE "+from); err != nil {
		tb.Fatalf("create database: %v", err)
	}
	tb.Cleanup(func() {
		// A cluster of the test's own may be down by now, on purpose.
		_ = exec1(context.Background(), admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
	return withDatabase(admin, name)
}

// makeTemplate migrates a database once per cluster and schema. Processes that
// share a cluster race for it; the advisory lock lets one do the work.
func makeTemplate(ctx context.Context, admin string) (string, error) {
	name := fmt.Sprintf("template_%016x", schemaHash())
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return "", err
	}
	defer closeConn(conn)
	const key = 0x7067746573740001 // "pgtest", any constant of our own
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(key)); err != nil {
		return "", err
	}
	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
	if err != nil || there {
		return name, err
	}
	// Made under another name first: a process that dies half-way must not
	// leave a template that looks finished.
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+"_new WITH (FORCE)"); err != nil {
		return "", err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+"_new"); err != nil {
		return "", err
	}
	if _, err := store.Migrate(ctx, withDatabase(admin, name+"_new")); err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+name+"_new RENAME TO "+name)
	return name, err
}

func schemaHash() uint64 {
	h := fnv.New64a()
	h.Write([]byte(store.Schema()))
	return h.Sum64()
}

func exec1(ctx context.Context, dsn, sql string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	_, err = conn.Exec(ctx, sql)
	return err
}

// withDatabase gives dsn with another database: the last setting of a keyword
// counts in the keyword form, and a URL has it as its path.
func withDatabase(dsn, name string) string {
	if before, after, ok := strings.Cut(dsn, "://"); ok {
		host, rest, _ := strings.Cut(after, "/")
		if _, query, ok := strings.Cut(rest, "?"); ok {
			name += "?" + query
		}
		return before + "://" + host + "/" + name
	}
	return dsn + " dbname=" + name
}

// closeConn ends a connection; there is nothing to do about a failure.
func closeConn(conn *pgx.Conn) { _ = conn.Close(context.Background()) }
