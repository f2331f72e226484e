package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Actor is whoever caused something, for the audit trail.
type Actor struct {
	Subject     string // certificate subject or local user; empty for the system itself
	Fingerprint string // of the certificate, hex
	RequestID   string
}

func (a Actor) name() string {
	if a.Subject == "" {
		return "system"
	}
	return a.Subject
}

// Audit is one line of the audit trail.
type Audit struct {
	ID      int64
	At      time.Time
	Actor   Actor
	Action  string // for example arc.created, harvest.COMPLETED, remote.pause
	ARC     ID     // zero if it concerns none
	RDI     string
	Harvest uuid.UUID
	Version int64
	Detail  string
}

type execer interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

// audit adds a line, in the transaction of what it tells of.
func audit(ctx context.Context, db execer, a Audit) error {
	var arc []byte
	if a.ARC != (ID{}) {
		arc = a.ARC[:]
	}
	_, err := db.Exec(ctx, sqlAudit, a.Actor.name(), a.Actor.Fingerprint, a.Actor.RequestID, a.Action, arc, a.RDI,
		nullUUID(a.Harvest), a.Version, a.Detail)
	return err
}

const sqlAudit = `
INSERT INTO audit (actor, fingerprint, request_id, action, arc_id, rdi, harvest_id, version, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8::bigint, 0), $9)`

// Record adds a line of its own to the audit trail, for what happens outside
// of the store.
func (s *Store) Record(ctx context.Context, a Audit) error {
	return wrap("write the audit trail", audit(ctx, s.pool, a))
}

// AuditTrail lists lines newest first, those before the given one (0 for the
// newest), of one ARC or, with the zero ID, of all.
func (s *Store) AuditTrail(ctx context.Context, arc ID, before int64, limit int) ([]Audit, error) {
	sql, arguments := sqlAuditAll, []any{planEachTime, before, limit}
	if arc != (ID{}) {
		sql, arguments = sqlAuditOfARC, append(arguments, arc[:])
	}
	return read(ctx, s, "read the audit trail", scanAudit, sql, arguments...)
}

func scanAudit(row pgx.CollectableRow) (a Audit, err error) {
	var id []byte
	var harvest *uuid.UUID
	err = row.Scan(&a.ID, &a.At, &a.Actor.Subject, &a.Actor.Fingerprint, &a.Actor.RequestID, &a.Action, &id, &a.RDI,
		&harvest, &a.Version, &a.Detail)
	copy(a.ARC[:], id)
	a.Harvest = orNil(harvest)
	return a, err
}

const (
	partAuditColumns = `
SELECT id, at, actor, fingerprint, request_id, action, arc_id, rdi, harvest_id, coalesce(version, 0), detail
FROM audit WHERE ($1::bigint = 0 OR id < $1)`
	sqlAuditAll   = partAuditColumns + ` ORDER BY id DESC LIMIT $2`
	sqlAuditOfARC = partAuditColumns + ` AND arc_id = $3 ORDER BY id DESC LIMIT $2`
)

func orNil(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}
