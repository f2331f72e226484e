package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Member is an ARC as a harvest saw it: outcome new, updated, unchanged or
// missing; with what has become of it since.
type Member struct {
	ID         ID
	Outcome    string
	Hash       Hash // that the harvest brought
	At         time.Time
	Identifier string
	Name       string
	GitState   GitState
	Commit     string // recorded head
	Pushed     bool   // the content that the harvest brought is what is in git
	Failure    Failure
	FailedAt   time.Time
	Findings   []Finding
}

// Members lists the ARCs of a harvest by id, those after the given one (the
// zero ID for the beginning).
func (s *Store) Members(ctx context.Context, harvest uuid.UUID, after ID, limit int) ([]Member, error) {
	return read(ctx, s, "list members of harvest", scanMember, sqlMembers, planEachTime, harvest, after[:], limit)
}

func scanMember(row pgx.CollectableRow) (m Member, err error) {
	var id, hash []byte
	var failed *time.Time
	f := &m.Failure
	err = row.Scan(&id, &m.Outcome, &hash, &m.At, &m.Identifier, &m.Name, &m.GitState, &m.Commit, &m.Pushed,
		&f.Class, &f.Code, &f.Text, &f.Owner, &f.Remedy, &f.Park, &failed, &m.Findings)
	copy(m.ID[:], id)
	copy(m.Hash[:], hash)
	m.FailedAt = orZero(failed)
	if f.Code == "" {
		m.Failure, m.FailedAt = Failure{}, time.Time{}
	}
	return m, err
}

const sqlMembers = `
SELECT m.arc_id, m.outcome, m.content_hash, m.at, arc.identifier, arc.name, arc.git_state, arc.commit_id,
    coalesce(arc.pushed_hash = m.content_hash, false), arc.failure_class, arc.failure_code, arc.failure_text,
    arc.failure_owner, arc.failure_remedy, arc.parked, arc.failed_at,
    CASE WHEN r.content_hash = m.content_hash THEN r.findings ELSE '[]' END
FROM harvest_arc m
JOIN arc ON arc.id = m.arc_id
LEFT JOIN report r ON r.arc_id = m.arc_id
WHERE m.harvest_id = $1 AND m.arc_id > $2
ORDER BY m.arc_id LIMIT $3`

// HarvestError is a submission that a harvest did not get in.
type HarvestError struct {
	ID         int64
	At         time.Time
	ARC        ID // zero if the crate did not even say which ARC it is
	Identifier string
	Code       fault.Code
	Text       string
}

// AddHarvestError notes a refused submission; it counts as an error of the
// harvest while that is running. The end of the harvest waits for it, or it for the end.
func (s *Store) AddHarvestError(ctx context.Context, harvest uuid.UUID, e HarvestError) error {
	var arc []byte
	if e.ARC != (ID{}) {
		arc = e.ARC[:]
	}
	note := func(patience time.Duration) error {
		batch := &pgx.Batch{}
		batch.Queue(sqlLockPatience, milliseconds(patience))
		batch.Queue(sqlShareLocks, []int64{harvestLock(harvest)})
		batch.Queue(sqlAddHarvestError, harvest, arc, storable(e.Identifier), string(e.Code), storable(e.Text))
		return s.pool.SendBatch(ctx, batch).Close()
	}
	err := s.untilFree(ctx, func(patience time.Duration) error {
		_, err := repeat(ctx, s, isUndone, func() (struct{}, error) { return struct{}{}, note(patience) })
		return err
	})
	return wrap("note a refused submission", err)
}

const sqlAddHarvestError = `
INSERT INTO harvest_error (harvest_id, arc_id, identifier, code, message)
SELECT $1, $2, $3, $4, $5 FROM harvest WHERE id = $1 AND status = 'RUNNING'`

// HarvestErrors lists the refused submissions of a harvest in order, those
// after the given one.
func (s *Store) HarvestErrors(ctx context.Context, harvest uuid.UUID, after int64, limit int) ([]HarvestError, error) {
	return read(ctx, s, "list refused submissions", scanHarvestError, sqlHarvestErrors, planEachTime, harvest, after, limit)
}

func scanHarvestError(row pgx.CollectableRow) (e HarvestError, err error) {
	var arc []byte
	err = row.Scan(&e.ID, &e.At, &arc, &e.Identifier, &e.Code, &e.Text)
	copy(e.ARC[:], arc)
	return e, err
}

const sqlHarvestErrors = `
SELECT id, at, arc_id, identifier, code, message FROM harvest_error
WHERE harvest_id = $1 AND id > $2 ORDER BY id LIMIT $3`
