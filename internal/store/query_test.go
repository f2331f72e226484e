package store_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// queries gives every SQL statement of the package: the constants whose names
// begin with sql, evaluated by the compiler's own rules. Parts of statements
// are named part….
func queries(tb testing.TB) map[string]string {
	tb.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	entries, err := os.ReadDir(".")
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, f)
	}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}}
	// Imports are not needed to know string constants, so their absence is no matter.
	config := types.Config{Importer: importer.ForCompiler(fset, "none", nil), Error: func(error) {}}
	_, _ = config.Check("store", fset, files, info)
	out := map[string]string{}
	for ident, object := range info.Defs {
		c, ok := object.(*types.Const)
		if ok && strings.HasPrefix(ident.Name, "sql") && c.Val().Kind() == constant.String {
			out[ident.Name] = constant.StringVal(c.Val())
		}
	}
	return out
}

// Every statement of the package fits the schema.
func TestEveryQueryFitsTheSchema(t *testing.T) {
	t.Parallel()
	all := queries(t)
	if len(all) < 40 {
		t.Fatalf("found only %d statements: %v", len(all), slices.Sorted(maps.Keys(all)))
	}
	conn := must(connect(pgtest.DSN(t)))(t)
	defer conn.Close(context.Background())
	for name, text := range all {
		if _, err := conn.Prepare(t.Context(), name, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fill makes a database in which a wrong plan would be visible: 30,000 ARCs of
// three RDIs, half of which are due, and a harvest with 5,000 of them.
func fill(tb testing.TB, dsn string) {
	tb.Helper()
	for _, statement := range []string{
		`INSERT INTO arc (id, rdi, identifier, content, content_hash, content_size, due_at, last_changed, event_count)
		SELECT sha256(convert_to('A' || i, 'UTF8')), 'rdi' || i % 3, 'A' || i, 'x', sha256('x'), 1,
			CASE WHEN i % 2 = 0 THEN now() END, now() - i * interval '1 second', 1
		FROM generate_series(1, 30000) AS i`,
		`INSERT INTO event (arc_id, harvest_id, type, message)
		SELECT id, CASE WHEN rdi = 'rdi1' THEN '11111111-1111-1111-1111-111111111111'::uuid END, 'ARC_CREATED', '' FROM arc`,
		`INSERT INTO harvest (id, rdi, started_at)
		SELECT gen_random_uuid(), 'rdi' || i % 3, now() - i * interval '1 minute' FROM generate_series(1, 3000) AS i`,
		`UPDATE harvest SET status = 'COMPLETED'`,
		`INSERT INTO harvest (id, rdi) VALUES ('11111111-1111-1111-1111-111111111111', 'rdi1')`,
		`INSERT INTO harvest_arc (harvest_id, arc_id, outcome, content_hash)
		SELECT h.id, a.id, 'new', a.content_hash FROM harvest h CROSS JOIN LATERAL
			(SELECT id, content_hash FROM arc WHERE arc.rdi = 'rdi1' ORDER BY id LIMIT 5) a`,
		`INSERT INTO harvest_arc (harvest_id, arc_id, outcome, content_hash)
		SELECT '11111111-1111-1111-1111-111111111111', id, 'new', content_hash FROM arc WHERE rdi = 'rdi1' ORDER BY id LIMIT 5000
		ON CONFLICT DO NOTHING`,
		`INSERT INTO task (id, rdi, status, arcs, updated_at)
		SELECT gen_random_uuid(), 'r', 'SUCCESS', '[]', now() - i * interval '1 minute' FROM generate_series(1, 10000) AS i`,
		`INSERT INTO report (arc_id, content_hash, findings) SELECT id, content_hash, '[]' FROM arc`,
		`INSERT INTO audit (actor, action, arc_id) SELECT 'x', 'arc.created', id FROM arc`,
		`INSERT INTO harvest_error (harvest_id, code, message) SELECT id, 'x', 'x' FROM harvest`,
		`ANALYZE`,
	} {
		sql(tb, dsn, statement)
	}
}

// On the hot paths no statement reads a whole table, whatever its parameters,
// when half of the ARCs are due and when few are.
func TestHotPathsUseIndexes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	fill(t, dsn)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	names := []string{
		"sqlTouch", "sqlPut", "sqlDiff", "sqlTrimEvents", "sqlAddEvent",
		"sqlClaim", "sqlClaimAnyway", "sqlClaimFresh", "sqlLoad", "sqlRenew", "sqlRelease", "sqlRecordPush", "sqlRecordFailure", "sqlNextDue",
		"sqlARC", "sqlContent", "sqlEvents", "sqlHarvestEvents", "sqlReport", "sqlSetReport",
		"sqlListARCs", "sqlListBacklog", "sqlListFailed", "sqlListHarvest", "sqlRDIs", "sqlHarvestRDIs", "sqlHeads",
		"sqlHarvest", "sqlHarvestHead", "sqlHarvests", "sqlEndHarvest", "sqlIdleHarvests", "sqlTally",
		"sqlMembers", "sqlHarvestErrors", "sqlAddHarvestError",
		"sqlTask", "sqlPutTask", "sqlPruneTasks", "sqlRequestPush", "sqlPark", "sqlAuditAll", "sqlAuditOfARC",
	}
	indexed(t, conn, names)
	sql(t, dsn, `UPDATE arc SET due_at = NULL WHERE get_byte(id, 0) > 2`)
	sql(t, dsn, `VACUUM ANALYZE arc`)
	// Counting half of the table may well read all of it; counting little must not.
	indexed(t, conn, append(names, "sqlBacklog", "sqlCauses"))
}

// The end of a harvest reads the ARCs of its RDI and no others, looks up each
// that was not seen by its key, however little PostgreSQL knows of a harvest that
// has just been made, and marks by key: joined with all members, or with all
// ARCs, the cost would be the product of both numbers.
func TestTheEndOfAHarvestLooksUpWhatItHasNotSeen(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	fill(t, dsn)
	const harvest, rdi = "22222222-1111-1111-1111-111111111111", "small"
	for _, statement := range []string{
		`UPDATE arc SET rdi = '` + rdi + `' WHERE get_byte(id, 0) < 16`,
		`VACUUM ANALYZE`,
		`INSERT INTO harvest (id, rdi) VALUES ('` + harvest + `', '` + rdi + `')`,
		`INSERT INTO harvest_arc (harvest_id, arc_id, outcome, content_hash)
		SELECT '` + harvest + `', id, 'unchanged', content_hash FROM arc WHERE rdi = '` + rdi + `' ORDER BY id LIMIT 1500`,
	} {
		sql(t, dsn, statement)
	}
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	all := queries(t)
	for name, arguments := range map[string]string{
		"sqlCountUnseen": "('" + harvest + "', '" + rdi + "', now(), true, '1 day', '{}')",
		"sqlMarkUnseen":  "('" + harvest + "', '" + rdi + "', now(), true, '1 day', '{}', '')",
	} {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan := planOf(t, conn, name, all[name], mode, arguments)
			if strings.Contains(plan, "Seq Scan on arc ") && mode == "force_custom_plan" || strings.Contains(plan, "Hash Join") {
				t.Errorf("%s, %s: reads all of arc:\n%s", name, mode, plan)
			}
			if strings.Contains(plan, "Anti Join") || !strings.Contains(plan, "(arc_id = arc.id)") {
				t.Errorf("%s, %s: does not look members up by their key:\n%s", name, mode, plan)
			}
		}
	}
}

// indexed looks for statements that read a whole table.
func indexed(t *testing.T, conn *pgx.Conn, names []string) {
	t.Helper()
	all := queries(t)
	for _, name := range names {
		text, ok := all[name]
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		plan := genericPlan(t, conn, name, text)
		for line := range strings.Lines(plan) {
			for _, table := range []string{"arc", "event", "harvest", "harvest_arc", "harvest_error", "task", "report", "audit"} {
				if strings.Contains(line, "Seq Scan on "+table+" ") || strings.Contains(line, "Seq Scan on "+table+"\n") {
					t.Errorf("%s reads all of %s:\n%s", name, table, plan)
				}
			}
		}
	}
}

// genericPlan gives the plan that serves any parameters.
func genericPlan(tb testing.TB, conn *pgx.Conn, name, text string) string {
	tb.Helper()
	d, err := conn.Prepare(tb.Context(), "", text)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	nulls := ""
	if n := len(d.ParamOIDs); n > 0 {
		nulls = "(" + strings.Repeat("NULL, ", n-1) + "NULL)"
	}
	return planOf(tb, conn, name, text, "force_generic_plan", nulls)
}

// planOf gives the plan for arguments, in parentheses, in a mode of the plan cache.
func planOf(tb testing.TB, conn *pgx.Conn, name, text, mode, arguments string) string {
	tb.Helper()
	for _, statement := range []string{
		"DEALLOCATE ALL",
		"SET plan_cache_mode = " + mode,
		fmt.Sprintf("PREPARE p_%s AS %s", name, text),
	} {
		if _, err := conn.Exec(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	rows, err := conn.Query(tb.Context(), fmt.Sprintf("EXPLAIN EXECUTE p_%s%s", name, arguments), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return strings.Join(lines, "\n") + "\n"
}

// Nor does any on a database that has just been made, of which PostgreSQL knows
// no sizes: the first harvest must not become slower with every ARC.
func TestHotPathsUseIndexesFromTheBeginning(t *testing.T) {
	t.Parallel()
	conn := must(connect(pgtest.DSN(t)))(t)
	defer conn.Close(context.Background())
	indexed(t, conn, []string{"sqlTouch", "sqlPut", "sqlDiff", "sqlRecordPush", "sqlContent", "sqlListARCs", "sqlMembers"})
}

// No statement is compiled, however expensive it looks: the size of the tables
// alone would make it cost more.
func TestNothingIsCompiled(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	sql(t, dsn, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = on', current_database()); END $$`)
	sql(t, dsn, `CREATE TABLE seen AS SELECT ''::text AS jit`)
	sql(t, dsn, `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN UPDATE seen SET jit = current_setting('jit'); RETURN NULL; END $$`)
	sql(t, dsn, `CREATE TRIGGER look AFTER INSERT ON harvest FOR EACH STATEMENT EXECUTE FUNCTION look()`)
	begin(t, open(t, dsn))
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	var got string
	if err := conn.QueryRow(t.Context(), `SELECT jit FROM seen`).Scan(&got); err != nil || got != "off" {
		t.Errorf("jit: got %q, %v, want off", got, err)
	}
}

// Submissions are executed as they were planned once, and nothing else on their
// connection is: the best plan of a list depends on its length.
func TestSubmissionsArePlannedOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	sql(t, dsn, `CREATE TABLE seen (what text, mode text)`)
	sql(t, dsn, `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO seen VALUES (TG_TABLE_NAME || ' ' || TG_OP, current_setting('plan_cache_mode')); RETURN NULL; END $$`)
	sql(t, dsn, `CREATE TRIGGER look AFTER INSERT OR UPDATE ON arc FOR EACH STATEMENT EXECUTE FUNCTION look()`)
	sql(t, dsn, `CREATE TRIGGER look AFTER INSERT ON harvest FOR EACH STATEMENT EXECUTE FUNCTION look()`)
	s := must(store.Open(t.Context(), store.Options{DSN: dsn, MaxConns: 1}))(t)
	defer s.Close()
	submit(t, s, submission("A", "one"))
	submit(t, s, submission("A", "one"))
	submit(t, s, inHarvest(begin(t, s), "B", "one"))
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `SELECT DISTINCT what || ' ' || mode FROM seen ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"arc INSERT force_generic_plan", "arc UPDATE force_generic_plan", "harvest INSERT auto"}
	if got := must(pgx.CollectRows(rows, pgx.RowTo[string]))(t); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
