package source

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// PostgreSQL keeps with every row where it lies and which transaction wrote it (ctid and xmin). Whoever changes,
// adds or removes a row changes what all of these give together, and reading them costs a small part of
// reading the rows themselves. Where a view is made of nothing but tables, by functions that give the same for the
// same rows, nothing that it shows has changed as long as the versions of the rows of its tables are the same.
//
// Everything else that could change what a view shows is either part of the sum below (definitions of views, columns,
// labels of enumerations, settings of the session) or an objection, with which there is no sum. A number of a
// transaction is given again after a restore, a copy of the files, or a crash that loses the last moments; the time
// when the server, and when its statistics, began stand for all of that.

// oldestVersions is the first version of PostgreSQL that can sum hashes of rows.
const oldestVersions = 140000

// usedRelations lists what the views read, and what those read. A child is read with its parent.
const usedRelations = `
WITH RECURSIVE used (oid, child) AS (
	SELECT r::regclass::oid, false FROM unnest($1::text[]) r
	UNION
	SELECT more.oid, more.child
	FROM used JOIN pg_class c ON c.oid = used.oid CROSS JOIN LATERAL (
		SELECT d.refobjid, false
		FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
		WHERE w.ev_class = used.oid AND c.relkind = 'v'
		UNION ALL
		SELECT inhrelid, true FROM pg_inherits WHERE inhparent = used.oid
	) more (oid, child)
)
SELECT c.oid, c.oid::regclass, c.relkind, bool_and(used.child), has_table_privilege(c.oid, 'SELECT'), c.relrowsecurity,
	c.relkind IN ('v', 'p') OR c.relkind IN ('r', 'm') AND a.amname = 'heap', quote_ident(current_user)
FROM used JOIN pg_class c ON c.oid = used.oid LEFT JOIN pg_am a ON a.oid = c.relam
GROUP BY c.oid, c.relname, c.relkind, c.relrowsecurity, a.amname ORDER BY c.oid`

// settled are the stable functions that depend on nothing but the settings of the session.
const settled = `^(concat(_ws)?|textanycat|anytextcat|format|quote_(literal|nullable)|array_to_string|generate_series` +
	`|date|time(tz)?|timestamp(tz)?|timezone|make_timestamptz|date_part|date_trunc|extract|overlaps|to_(char|date|number|timestamp)` +
	`|(date|timestamp|timestamptz)_(lt|le|eq|ne|ge|gt|cmp)_(date|timestamp|timestamptz)|timestamptz_(pl|mi)_interval|interval_pl_timestamptz` +
	`|(array_)?to_jsonb?|row_to_json|jsonb?_(build_(array|object)|(object_)?agg)(_\w+)?)$`

// objections lists what is in the definitions of the relations that may give something else for the same rows. Built-in
// functions that are called stable are so because of the time zone and the like, or because of the clock, the user, the
// catalogue; those of the first kind are settled. Tables of the system, with numbers below 16384, have rows that change
// without a new version, and no view is noted to depend on them.
const objections = `
WITH rules AS (
	SELECT w.oid, w.ev_action::text AS tree FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class
	WHERE c.relkind = 'v' AND c.oid = ANY ($1::text[]::oid[])
), called AS (
	SELECT DISTINCT (regexp_matches(tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid|elemfuncid) (\d+)', 'g'))[1]::oid AS oid FROM rules
	UNION
	SELECT o.oprcode FROM rules, regexp_matches(tree, ':opno (\d+)', 'g') m JOIN pg_operator o ON o.oid = m[1]::oid
)
SELECT 'a view calls ' || oid::regprocedure FROM called NATURAL JOIN (SELECT oid, proname, provolatile FROM pg_proc) p
WHERE provolatile <> 'i' AND NOT (provolatile = 's' AND proname ~ '` + settled + `')
UNION ALL
SELECT 'a view depends on ' || pg_describe_object(d.refclassid, d.refobjid, 0)
FROM rules JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = rules.oid
	LEFT JOIN pg_type t ON d.refclassid = 'pg_type'::regclass AND t.oid = d.refobjid LEFT JOIN pg_type e ON e.oid = t.typelem
WHERE d.refclassid NOT IN ('pg_class'::regclass, 'pg_collation'::regclass, 'pg_constraint'::regclass)
	AND COALESCE(t.typtype NOT IN ('e', 'd') AND COALESCE(e.typtype NOT IN ('e', 'd'), true), true)
UNION ALL
SELECT 'a view reads ' || m[1]::oid::regclass FROM rules, regexp_matches(tree, ':relid (\d+)', 'g') m WHERE m[1]::oid BETWEEN 1 AND 16383
UNION ALL
SELECT 'a view asks for ' || lower(m[1]) FROM rules, regexp_matches(tree, '\{(SQLVALUEFUNCTION|TABLESAMPLECLAUSE|ROWCOMPAREEXPR|NEXTVALUEEXPR)\y', 'g') m
UNION ALL
SELECT 'a view shows names of the catalogue' FROM rules WHERE tree ~ ':\w*type (24|2202|2203|2204|2205|2206|3734|3769|4089|4096|4191)\y'
UNION ALL
SELECT 'the column ' || a.attrelid::regclass || '.' || quote_ident(a.attname) || ' is of the type ' || format_type(t.oid, NULL)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = t.typelem
WHERE a.attrelid = ANY ($1::text[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
	AND ('c' IN (t.typtype, e.typtype) OR t.oid IN (24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191))
UNION ALL
SELECT 'the tables are spread over several servers' FROM pg_extension WHERE extname = 'citus'
ORDER BY 1 LIMIT 1`

// surroundings gives what else the views depend on.
const surroundings = `
SELECT pg_postmaster_start_time(), (SELECT stats_reset FROM pg_stat_archiver), (SELECT system_identifier FROM pg_control_system()),
	(SELECT oid FROM pg_database WHERE datname = current_database()), current_user, pg_is_in_recovery(),
	(SELECT string_agg(name || '=' || setting, E'\n' ORDER BY name) FROM pg_settings WHERE context = 'user'),
	` + catalogue + `pg_class WHERE oid` + ofThem + catalogue + `pg_attribute WHERE attrelid` + ofThem + catalogue + `pg_attrdef WHERE adrelid` + ofThem +
	catalogue + `pg_rewrite WHERE ev_class` + ofThem + catalogue + `pg_inherits WHERE inhparent` + ofThem + catalogue + `pg_enum)`

const (
	catalogue = `(SELECT ` + sumOfVersions + ` FROM `
	ofThem    = ` = ANY ($1::text[]::oid[])), `
	// sumOfVersions does not depend on the order in which it meets the rows.
	sumOfVersions = `count(*) || ' ' || COALESCE(bit_xor(hash_record_extended(ROW(tableoid, ctid, xmin), 0)), 0)`
)

// dearVersions is how many times as much as the views themselves the versions of their rows may cost: the views may
// show a small part of large tables.
const dearVersions = 3

// versions is a sum over the versions of all rows that the views are made of. Without one, why tells what stands
// against it. It is of the snapshot that the session sees, which stays as it was.
func (d *Database) versions(ctx context.Context, s session) (sum [32]byte, why string, err error) {
	v := rowVersions{session: s, database: d}
	err = keepingSnapshot(ctx, s, func() error {
		if why, err = v.object(ctx); why != "" || err != nil {
			return err
		}
		sum, err = v.sum(ctx)
		return err
	})
	return sum, why, err
}

// versionsObjection tells why there is no sum of versions, "" if there is one, and what helps, if that is known.
func (d *Database) versionsObjection(ctx context.Context, s session) (why, remedy string, err error) {
	v := rowVersions{session: s, database: d}
	if why, err = v.object(ctx); why != "" || err != nil {
		return why, v.grant, err
	}
	return "", "", v.surroundings(ctx, io.Discard)
}

// rowVersions is the work on one sum.
type rowVersions struct {
	session  session
	database *Database
	oids     []string // of all relations that the views are made of
	tables   []string // those of them that have rows, ready for FROM
	grant    string   // the right that is missing, if one is
}

// object looks for what stands against a sum, and finds the tables on the way.
func (v *rowVersions) object(ctx context.Context) (why string, err error) {
	if _, ok := v.session.(*pgSession); !ok {
		return v.database.Dialect().Name + " does not tell the versions of rows", nil
	}
	version, err := v.text(ctx, "SHOW server_version_num", nil)
	if err != nil {
		return "", err
	}
	if n, _ := strconv.Atoi(version); n < oldestVersions {
		return "PostgreSQL is older than version 14", nil
	}
	var closed []string
	user := ""
	err = v.session.query(ctx, usedRelations, v.database.names(), func(row [][]byte) error {
		v.oids = append(v.oids, string(row[0]))
		name, kind, child := string(row[1]), string(row[2]), string(row[3]) == "t"
		readable, guarded, ours := string(row[4]) == "t", string(row[5]) == "t", string(row[6]) == "t"
		switch {
		case why != "":
		case !ours:
			why = name + " is no ordinary table"
		case guarded:
			why = name + " shows different rows to different users"
		case kind != "v" && !child && !readable:
			closed, user = append(closed, name), string(row[7])
		case kind != "v" && !child:
			v.tables = append(v.tables, name)
		}
		return nil
	})
	if err != nil || why != "" {
		return why, err
	}
	if len(closed) > 0 {
		tables := strings.Join(closed, ", ")
		v.grant = "GRANT SELECT ON " + tables + " TO " + user
		return "the user may not read what the views are made of: " + tables, nil
	}
	if why, err = v.text(ctx, objections, v.oids); err != nil || why != "" {
		return why, err
	}
	return v.tooDear(ctx)
}

// tooDear asks the planner whether looking at the rows of the views is cheaper.
func (v *rowVersions) tooDear(ctx context.Context) (why string, err error) {
	views, tables := 0.0, 0.0
	for _, r := range v.database.relations {
		if r == nil {
			continue
		}
		cost, err := v.cost(ctx, v.database.Dialect().selectRows(r, 0, ""))
		if err != nil {
			return "", err
		}
		views += cost
	}
	for _, table := range v.tables {
		cost, err := v.cost(ctx, "SELECT "+sumOfVersions+" FROM "+table)
		if err != nil {
			return "", err
		}
		tables += cost
	}
	if tables > dearVersions*views {
		return "the tables that the views are made of have many times as many rows as the views show", nil
	}
	return "", nil
}

var totalCost = regexp.MustCompile(`"Total Cost": *([0-9.]+)`)

// cost is what the planner thinks of a statement, in its unit. The plan as a whole comes first in the text.
func (v *rowVersions) cost(ctx context.Context, statement string) (float64, error) {
	plan, err := v.text(ctx, "EXPLAIN (FORMAT JSON) "+statement, nil)
	if err != nil {
		return 0, err
	}
	m := totalCost.FindStringSubmatch(plan)
	if m == nil {
		return 0, fmt.Errorf("a plan without cost: %.100s", plan)
	}
	return strconv.ParseFloat(m[1], 64)
}

// sum is over everything that decides what the views show.
func (v *rowVersions) sum(ctx context.Context) (sum [32]byte, err error) {
	h := sha256.New()
	if err := v.surroundings(ctx, h); err != nil {
		return sum, err
	}
	// Nothing else happens meanwhile, and a statement of one second is not worth a compiler.
	if err := v.session.exec(ctx, "SET LOCAL jit TO off; SET LOCAL max_parallel_workers_per_gather TO DEFAULT"); err != nil {
		return sum, err
	}
	for _, table := range v.tables {
		h.Write(encode(nil, [][]byte{[]byte(table)}))
		if err := v.session.query(ctx, "SELECT "+sumOfVersions+" FROM "+table, nil, into(h)); err != nil {
			return sum, err
		}
	}
	return [32]byte(h.Sum(nil)), v.session.exec(ctx, "SET LOCAL max_parallel_workers_per_gather TO 0")
}

// surroundings writes what else decides.
func (v *rowVersions) surroundings(ctx context.Context, w io.Writer) error {
	return v.session.query(ctx, surroundings, v.oids, into(w))
}

// into writes rows, each so that it ends where it ends.
func into(w io.Writer) func(row [][]byte) error {
	return func(row [][]byte) error {
		_, err := w.Write(encode(nil, row))
		return err
	}
}

// text gives the first value of the first row, "" if there is none.
func (v *rowVersions) text(ctx context.Context, statement string, keys []string) (text string, err error) {
	first := true
	err = v.session.query(ctx, statement, keys, func(row [][]byte) error {
		if first {
			text, first = string(row[0]), false
		}
		return nil
	})
	return text, err
}

// names gives the relations that a run reads directly, as the database spells them.
func (d *Database) names() []string {
	var names []string
	for i, r := range d.relations {
		switch {
		case r == nil:
		case d.schema == SchemaTables:
			names = append(names, d.Dialect().quote(seedTables[i].name))
		default:
			names = append(names, r.from)
		}
	}
	return names
}
