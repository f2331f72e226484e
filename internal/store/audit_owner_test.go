package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// ownerCommands are those of the manual that give the audit trail another owner,
// for a database and roles of the test's own.
func ownerCommands(tb testing.TB, database, prefix string) string {
	tb.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.ModuleRoot(tb), "docs", "operations.md"))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "\n## Audit trail\n")
	_, rest, there := strings.Cut(rest, "```sql\n")
	commands, _, closed := strings.Cut(rest, "```")
	if !found || !there || !closed {
		tb.Fatal("the manual has no commands for the audit trail")
	}
	commands = strings.ReplaceAll(commands, `DATABASE "middleware-api"`, "DATABASE "+database)
	return strings.ReplaceAll(commands, `"middleware-api`, `"`+prefix)
}

// With the commands of the manual the service can add lines to the audit trail
// and read them, but no role of the service can change, remove or hide one, nor
// what guards them; and it goes on migrating.
func TestTheAuditTrailCanHaveAnotherOwner(t *testing.T) {
	t.Parallel()
	prefix := "mw-" + strings.ToLower(rand.Text())
	dsn := ""
	t.Cleanup(func() { // after the database is gone
		if config, err := pgx.ParseConfig(dsn); err == nil {
			config.Database = "postgres"
			if conn, err := pgx.ConnectConfig(context.Background(), config); err == nil {
				_, _ = conn.Exec(context.Background(), `DROP ROLE "`+prefix+`-sync", "`+prefix+`", "`+prefix+`-audit"`)
				_ = conn.Close(context.Background())
			}
		}
	})
	dsn = pgtest.Empty(t)
	root, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close(context.Background()) })
	do := func(sql string) {
		t.Helper()
		if _, err := root.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	database := root.Config().Database
	do(`CREATE ROLE "` + prefix + `" LOGIN; CREATE ROLE "` + prefix + `-sync" LOGIN IN ROLE "` + prefix + `"; ALTER DATABASE ` + database + ` OWNER TO "` + prefix + `"`)
	service := dsn + " options='-c role=" + prefix + "'"
	if _, err := store.Migrate(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	do(ownerCommands(t, database, prefix))

	if _, err := store.Migrate(t.Context(), service); err != nil {
		t.Errorf("migrating again: %v", err)
	}
	for _, role := range []string{prefix, prefix + "-sync"} {
		as := dsn + " options='-c role=" + role + "'"
		if e := examine(t, as); len(e.MissingRights) > 0 || e.AuditUnguarded {
			t.Errorf("%s: %+v", role, e)
		}
		st := open(t, as)
		if err := st.Record(t.Context(), store.Audit{Action: "test", Actor: store.Actor{Subject: role}}); err != nil {
			t.Errorf("%s cannot add a line: %v", role, err)
		}
		conn, err := pgx.Connect(t.Context(), as)
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{
			"UPDATE audit SET action = 'other'", "DELETE FROM audit", "TRUNCATE audit", "DROP TABLE audit",
			"ALTER TABLE audit DISABLE TRIGGER audit_append_only", "DROP TRIGGER audit_append_only ON audit",
			"ALTER TABLE audit RENAME TO other", "DROP FUNCTION audit_is_append_only() CASCADE",
			"CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
			"CREATE SCHEMA other", "DROP SCHEMA public CASCADE", `SET ROLE "` + prefix + `-audit"`,
			"CREATE RULE hide AS ON INSERT TO audit DO INSTEAD NOTHING", "SET session_replication_role = replica",
		} {
			_, err := conn.Exec(t.Context(), sql)
			refused, is := errors.AsType[*pgconn.PgError](err)
			// A session of the administrator may become any role, whatever it is now.
			if strings.HasPrefix(sql, "SET ROLE") {
				err := conn.QueryRow(t.Context(), "SELECT pg_has_role($1, $2, 'MEMBER')", role, prefix+"-audit").Scan(&is)
				if err != nil || is {
					t.Errorf("%s is a member of the owner (%v)", role, err)
				}
				_, _ = conn.Exec(t.Context(), `SET ROLE "`+role+`"`)
				continue
			}
			if !is || refused.Code != "42501" {
				t.Errorf("%s: %s: %v", role, sql, err)
			}
		}
		_ = conn.Close(t.Context())
	}
	var lines int
	if err := root.QueryRow(t.Context(), "SELECT count(*) FROM audit WHERE action = 'test'").Scan(&lines); err != nil || lines != 2 {
		t.Errorf("%d lines, %v", lines, err)
	}
	// A right that was taken away is named by its table.
	for _, right := range []string{"SELECT", "INSERT", "UPDATE"} {
		do(`REVOKE ` + right + ` ON task FROM "` + prefix + `"`)
		if e := examine(t, service); len(e.MissingRights) != 1 || e.MissingRights[0] != "task" {
			t.Errorf("without %s: %v, want task", right, e.MissingRights)
		}
		do(`GRANT ` + right + ` ON task TO "` + prefix + `"`)
	}
}

// A trail whose trigger is switched off, gone or there for a replica only is reported.
func TestExamineSeesAnUnguardedAuditTrail(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"ALTER TABLE audit DISABLE TRIGGER audit_append_only", "DROP TRIGGER audit_append_only ON audit",
		"ALTER TABLE audit ENABLE REPLICA TRIGGER audit_append_only",
	} {
		dsn := pgtest.DSN(t)
		if examine(t, dsn).AuditUnguarded {
			t.Error("unguarded from the beginning")
		}
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(t.Context())
		if !examine(t, dsn).AuditUnguarded {
			t.Errorf("not seen: %s", sql)
		}
	}
}
