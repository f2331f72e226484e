package store

import (
	"context"
	"time"
)

// Examination is what PostgreSQL says about itself, for a person who wants to
// know whether it is fit for the service.
type Examination struct {
	Server         string        // version, for example "15.14"
	ServerNumber   int           // for example 150014
	Standby        bool          // it follows another server and cannot be written to
	ReadOnly       bool          // somebody has set it to refuse writes, or it is a standby
	Unconfirmed    bool          // commits wait for a synchronous standby that does not confirm them
	Encoding       string        // of texts, for example UTF8
	Schema         int64         // version of the schema, 0 if there is none
	WantedSchema   int64         // by this program
	Bytes          int64         // of the database on disk
	Connections    int           // of everybody, at the moment
	MaxConnections int           // that the server allows
	Reserved       int           // of them, for superusers and the like
	Lossy          []string      // settings that let a crash lose what was committed, for example "fsync"
	MissingRights  []string      // tables that the service may not use as it must
	AuditUnguarded bool          // nothing refuses changes of the audit trail
	ClockAhead     time.Duration // of the server's clock to ours
}

// Examine asks PostgreSQL about itself.
func (s *Store) Examine(ctx context.Context) (Examination, error) {
	e := Examination{WantedSchema: wantedVersion()}
	if err := checkPooler(ctx, s.pool.Config().ConnConfig); err != nil {
		return e, wrap("examine the database", err)
	}
	var now time.Time
	asked := time.Now()
	err := s.pool.QueryRow(ctx, sqlExamine).Scan(&e.Server, &e.ServerNumber, &e.Standby, &e.Bytes, &e.Connections,
		&e.MaxConnections, &e.Reserved, &e.Encoding, &e.Lossy, &now)
	if err != nil {
		return e, wrap("examine the database", err)
	}
	answered := time.Now()
	e.ClockAhead = now.Sub(asked.Add(answered.Sub(asked) / 2))
	var known bool
	if err := s.pool.QueryRow(ctx, sqlSchemaKnown).Scan(&known); err != nil || !known {
		return e, wrap("examine the database", err)
	}
	var state readiness
	if err := state.scan(s.pool.QueryRow(ctx, sqlReady)); err != nil {
		return e, wrap("examine the database", err)
	}
	e.Schema, e.Standby, e.ReadOnly, e.Unconfirmed = state.schema, state.standby, state.readOnly, state.unconfirmed > standbyPatience
	err = s.pool.QueryRow(ctx, sqlMissingRights).Scan(&e.MissingRights, &e.AuditUnguarded)
	return e, wrap("examine the database", err)
}

const sqlExamine = `
SELECT split_part(current_setting('server_version'), ' ', 1), current_setting('server_version_num')::int,
    pg_is_in_recovery(), pg_database_size(current_database()),
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('max_connections')::int,
    current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0),
    current_setting('server_encoding'),
    (SELECT coalesce(array_agg(name ORDER BY name), '{}') FROM pg_settings
        WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'),
    clock_timestamp()`

const sqlSchemaKnown = `SELECT to_regclass('goose_db_version') IS NOT NULL`

// The audit trail is only added to; everything else is changed as well. Its
// trigger has to be there and to fire for everybody.
const sqlMissingRights = `
SELECT coalesce(array_agg(t ORDER BY t), '{}'),
    NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('audit') AND tgname = 'audit_append_only' AND tgenabled IN ('O', 'A'))
FROM unnest('{arc,harvest,harvest_arc,harvest_error,event,report,task,remote,audit,synchroniser,creation_budget,creation_turn,interruption,sample,sampler}'::text[]) AS t
WHERE to_regclass(t) IS NULL
    OR NOT has_table_privilege(to_regclass(t), CASE WHEN t = 'audit' THEN 'INSERT' ELSE 'SELECT' END)
    OR t <> 'audit' AND NOT has_table_privilege(to_regclass(t), 'INSERT')
    OR t <> 'audit' AND NOT has_table_privilege(to_regclass(t), 'UPDATE')`
