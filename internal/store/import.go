package store

import (
	"context"
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
// the answer is false, so an import can be run again.
func (s *Store) ImportARC(ctx context.Context, in Imported, by Actor) (imported bool, err error) {
	err = s.tx(ctx, "import ARC", func(tx pgx.Tx) error {
		a := &in.ARC
		tag, err := tx.Exec(ctx, sqlImportARC, a.ID[:], a.RDI, a.Identifier, storable(a.Name), storable(a.Description), in.Frame, a.Hash[:], a.Size,
			string(a.Lifecycle), a.FirstSeen, a.LastSeen, a.LastChanged, orNull(a.MissingSince), nullUUID(a.FirstHarvest),
			nullUUID(a.LastHarvest), nullUUID(a.ChangedIn), len(in.Events), orNull(in.Pushed))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		imported = true
		for _, e := range in.Events {
			if _, err := tx.Exec(ctx, sqlImportEvent, a.ID[:], nullUUID(e.Harvest), e.At, e.Type, storable(e.Message)); err != nil {
				return err
			}
		}
		return audit(ctx, tx, Audit{Actor: by, Action: "arc.import", ARC: a.ID, RDI: a.RDI, Version: 1, Detail: a.Hash.String()})
	})
	if err != nil {
		return false, err
	}
	if imported {
		s.bell.ring()
	}
	return imported, nil
}

const sqlImportARC = `
INSERT INTO arc (id, rdi, identifier, name, description, content, content_hash, content_size, lifecycle, first_seen,
    last_seen, last_changed, missing_since, first_harvest, last_harvest, changed_in, event_count, due_at, push_wanted,
    pushed_at, pushed_hash, pushed_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, now(), 1,
    $18::timestamptz, CASE WHEN $18::timestamptz IS NOT NULL THEN $7::bytea END, CASE WHEN $18::timestamptz IS NOT NULL THEN 1 END)
ON CONFLICT (id) DO NOTHING`

const sqlImportEvent = `INSERT INTO event (arc_id, harvest_id, at, type, message) VALUES ($1, $2, $3, $4, $5)`

// ImportHarvest stores a harvest with its counts. One that is there already is
// left as it is, and the answer is false.
func (s *Store) ImportHarvest(ctx context.Context, h Harvest) (bool, error) {
	c := h.Statistics
	tag, err := s.pool.Exec(ctx, sqlImportHarvest, h.ID, h.RDI, h.ClientID, string(h.Status), h.Expected, h.StartedAt,
		h.CompletedAt, h.Note, c.New, c.Updated, c.Unchanged, c.Missing, c.Errors)
	return tag.RowsAffected() == 1, wrap("import harvest", err)
}

const sqlImportHarvest = `
INSERT INTO harvest (id, rdi, client_id, status, expected_datasets, started_at, completed_at, note, arcs_new, arcs_updated,
    arcs_unchanged, arcs_missing, errors)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
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
