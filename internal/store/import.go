package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Imported is an ARC from another system, with its past.
type Imported struct {
	ARC    ARC    // ID to ChangedIn; the state in git is not taken over
	Frame  []byte // zstd frame of the document
	Events []Event
	// Pushed is when the other system says to have pushed this very content; zero
	// if it does not.
	Pushed time.Time
}

// ImportARC stores an ARC with its past and makes it due. If the other system
// says to have pushed the content, that is recorded without a commit, and the
// synchroniser takes the head of the repository over if it was made then;
// otherwise it pushes. An ARC that is there already is left as it is, and
// the answer is false, so an import can be run again, unless it came from an earlier
// import and the other system has had news of it since: that is taken over.
func (s *Store) ImportARC(ctx context.Context, in Imported, by Actor) (imported bool, err error) {
	err = s.tx(ctx, "import ARC", func(tx pgx.Tx) error {
		a := &in.ARC
		var version int64
		var fresh bool
		err := tx.QueryRow(ctx, sqlImportARC, a.ID[:], a.Hash[:], a.LastSeen, a.LastChanged, a.RDI, a.Identifier, storable(a.Name), storable(a.Description), in.Frame, a.Size,
			string(a.Lifecycle), a.FirstSeen, orNull(a.MissingSince), nullUUID(a.FirstHarvest),
			nullUUID(a.LastHarvest), nullUUID(a.ChangedIn), len(in.Events), orNull(in.Pushed)).Scan(&version, &fresh)
		if imported = err == nil; !imported {
			if isNoRows(err) {
				return nil
			}
			return err
		}
		var added int64
		for _, e := range in.Events {
			tag, err := tx.Exec(ctx, sqlImportEvent, a.ID[:], nullUUID(e.Harvest), e.At, e.Type, storable(e.Message), fresh)
			if err != nil {
				return err
			}
			added += tag.RowsAffected()
		}
		if !fresh {
			if _, err := tx.Exec(ctx, sqlCountImported, a.ID[:], added); err != nil {
				return err
			}
		}
		return audit(ctx, tx, Audit{Actor: by, Action: "arc.import", ARC: a.ID, RDI: a.RDI, Version: version, Detail: a.Hash.String()})
	})
	if err != nil {
		return false, err
	}
	if imported {
		s.bell.ring()
	}
	return imported, nil
}

// partOlder tells whether an ARC that is there is older than the one that comes: it
// has other content, which was not uploaded here and changed earlier, or the same and
// was not seen since. $1 id, $2 hash, $3 last seen, $4 last changed.
const partOlder = `(arc.content_hash <> $2 AND arc.last_changed < $4
        AND NOT EXISTS (SELECT FROM audit WHERE arc_id = $1 AND action IN ('arc.created', 'arc.updated'))
    OR arc.content_hash = $2 AND arc.last_seen < $3)`

// WouldImportARC tells what ImportARC would answer.
func (s *Store) WouldImportARC(ctx context.Context, in Imported) (would bool, err error) {
	a := &in.ARC
	err = s.readOne(ctx, []any{&would}, sqlWouldImport, a.ID[:], a.Hash[:], a.LastSeen, a.LastChanged)
	return would, wrap("look whether to import ARC", err)
}

const sqlWouldImport = `SELECT coalesce((SELECT ` + partOlder + ` FROM arc WHERE id = $1), true)`

// A push under way finds that there is more, as after a submission.
const sqlImportARC = `
INSERT INTO arc AS arc (id, content_hash, last_seen, last_changed, rdi, identifier, name, description, content, content_size, lifecycle,
    first_seen, missing_since, first_harvest, last_harvest, changed_in, event_count, due_at, push_wanted, pushed_at, pushed_hash, pushed_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, now(), 1,
    $18::timestamptz, CASE WHEN $18::timestamptz IS NOT NULL THEN $2::bytea END, CASE WHEN $18::timestamptz IS NOT NULL THEN 1 END)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name,
    description = excluded.description,
    content = CASE WHEN arc.content_hash = $2 THEN arc.content ELSE excluded.content END,
    content_hash = excluded.content_hash,
    content_size = CASE WHEN arc.content_hash = $2 THEN arc.content_size ELSE excluded.content_size END,
    version = arc.version + (arc.content_hash <> $2)::int,
    lifecycle = excluded.lifecycle,
    last_seen = excluded.last_seen,
    last_changed = greatest(arc.last_changed, excluded.last_changed),
    missing_since = excluded.missing_since,
    last_harvest = excluded.last_harvest,
    changed_in = excluded.changed_in,
    due_at = CASE WHEN arc.content_hash = $2 OR arc.lease_holder IS NOT NULL THEN arc.due_at ELSE now() END,
    attempts = CASE WHEN arc.content_hash = $2 OR arc.lease_holder IS NOT NULL THEN arc.attempts ELSE 0 END,
    failure_class = CASE WHEN arc.content_hash = $2 OR arc.lease_holder IS NOT NULL THEN arc.failure_class ELSE '' END,
    failure_code = CASE WHEN arc.content_hash = $2 OR arc.lease_holder IS NOT NULL THEN arc.failure_code ELSE '' END,
    parked = CASE WHEN arc.content_hash = $2 OR arc.lease_holder IS NOT NULL THEN arc.parked ELSE false END,
    push_wanted = CASE WHEN arc.content_hash = $2 THEN arc.push_wanted ELSE arc.push_done + 1 END,
    -- The word of the other system counts as long as nothing was pushed from here.
    pushed_at = CASE WHEN arc.content_hash = $2 OR arc.commit_id <> '' THEN arc.pushed_at ELSE excluded.pushed_at END,
    pushed_hash = CASE WHEN arc.content_hash = $2 OR arc.commit_id <> '' THEN arc.pushed_hash ELSE excluded.pushed_hash END,
    pushed_version = CASE WHEN arc.content_hash = $2 OR arc.commit_id <> '' THEN arc.pushed_version
        WHEN $18::timestamptz IS NOT NULL THEN arc.version + 1 END
WHERE ` + partOlder + `
RETURNING version, xmax = 0`

// What a log has already does not come again with the next export.
const sqlImportEvent = `
INSERT INTO event (arc_id, harvest_id, at, type, message)
SELECT $1::bytea, $2::uuid, $3::timestamptz, $4::text, $5::text
WHERE $6 OR NOT EXISTS (SELECT FROM event WHERE arc_id = $1 AND at = $3 AND type = $4 AND message = $5)`

const sqlCountImported = `UPDATE arc SET event_count = event_count + $2 WHERE id = $1`

// ImportHarvest stores a harvest with its counts. One that is there already is
// left as it is, and the answer is false, unless it has ended since in the other
// system and nothing was submitted to it here.
func (s *Store) ImportHarvest(ctx context.Context, h Harvest) (bool, error) {
	c := h.Statistics
	tag, err := s.pool.Exec(ctx, sqlImportHarvest, h.ID, string(h.Status), h.RDI, h.ClientID, h.Expected, h.StartedAt,
		h.CompletedAt, h.Note, c.New, c.Updated, c.Unchanged, c.Missing, c.Errors)
	return tag.RowsAffected() == 1, wrap("import harvest", err)
}

const sqlImportHarvest = `
INSERT INTO harvest (id, status, rdi, client_id, expected_datasets, started_at, completed_at, note, arcs_new, arcs_updated,
    arcs_unchanged, arcs_missing, errors)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, completed_at = excluded.completed_at, note = excluded.note, arcs_new = excluded.arcs_new,
    arcs_updated = excluded.arcs_updated, arcs_unchanged = excluded.arcs_unchanged, arcs_missing = excluded.arcs_missing, errors = excluded.errors
WHERE ` + partEarlier

// partEarlier tells whether a harvest that is there has ended since. $1 id, $2 status.
const partEarlier = `($2 <> 'RUNNING' AND harvest.status <> $2 AND NOT EXISTS (SELECT FROM harvest_arc WHERE harvest_id = $1))`

// WouldImportHarvest tells what ImportHarvest would answer.
func (s *Store) WouldImportHarvest(ctx context.Context, h Harvest) (would bool, err error) {
	err = s.readOne(ctx, []any{&would}, sqlWouldImportHarvest, h.ID, string(h.Status))
	return would, wrap("look whether to import harvest", err)
}

const sqlWouldImportHarvest = `SELECT coalesce((SELECT ` + partEarlier + ` FROM harvest WHERE id = $1), true)`

// ImportTask keeps a task from another system, unless it is there already.
func (s *Store) ImportTask(ctx context.Context, t Task) error {
	arcs, err := json.Marshal(t.ARCs)
	if err == nil {
		_, err = s.pool.Exec(ctx, sqlImportTask, t.ID, t.ClientID, storable(t.RDI), t.Status, storable(t.Message), arcs, t.UpdatedAt)
	}
	return wrap("import task", err)
}

const sqlImportTask = `
INSERT INTO task (id, client_id, rdi, status, message, arcs, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING`

// HarvestUUID reads the id of a harvest as the world sees it, harvest-<uuid>.
func HarvestUUID(s string) (uuid.UUID, bool) {
	const prefix = "harvest-"
	if len(s) != len(prefix)+36 || s[:len(prefix)] != prefix {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(s[len(prefix):])
	if err != nil || id.String() != s[len(prefix):] {
		return uuid.Nil, false
	}
	return id, true
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
