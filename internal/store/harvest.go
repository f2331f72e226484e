package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
)

// HarvestStatus says where in its life a harvest is. All but Running are final.
type HarvestStatus string

// Statuses of harvests.
const (
	Running   HarvestStatus = "RUNNING"
	Completed HarvestStatus = "COMPLETED"
	Failed    HarvestStatus = "FAILED"
	Cancelled HarvestStatus = "CANCELLED"
)

// Harvest is one run of a harvester over an RDI.
type Harvest struct {
	ID          uuid.UUID
	RDI         string
	ClientID    *string // nil for an anonymous client
	Status      HarvestStatus
	Expected    *int64
	StartedAt   time.Time
	CompletedAt *time.Time // of every ended harvest
	Note        string     // what the service has to say about it, for people
	Guarded     bool       // by EndHarvest only: nothing was marked as missing, whatever was not brought
	Statistics  Statistics
}

// found is a harvest as it is read.
type found struct {
	Harvest
	more bool // it has more members than were counted, see count
}

// Statistics are counts of a harvest: of its members while it runs, frozen at
// its end.
type Statistics struct {
	New, Updated, Unchanged, Missing, Errors int64
}

// Submitted is the number of ARCs that the harvest brought.
func (s Statistics) Submitted() int64 { return s.New + s.Updated + s.Unchanged }

// BeginHarvest begins a harvest of an RDI. With a key (empty is none) the client
// gets the same harvest again, however often it asks, as long as that is running;
// expected is what it has said last.
func (s *Store) BeginHarvest(ctx context.Context, rdi string, clientID *string, expected *int64, key string, by Actor) (Harvest, error) {
	mayRepeat := isUndone
	if key != "" {
		mayRepeat = isCut // if it was begun, it is found
	}
	h, err := repeat(ctx, s, mayRepeat, func() (found, error) { return s.beginHarvest(ctx, rdi, clientID, expected, key, by) })
	if err != nil {
		return Harvest{}, err
	}
	return s.count(ctx, h)
}

func (s *Store) beginHarvest(ctx context.Context, rdi string, clientID *string, expected *int64, key string, by Actor) (found, error) {
	h := found{Harvest: Harvest{ID: uuid.New(), RDI: rdi, ClientID: clientID, Status: Running, Expected: expected}}
	err := s.tx(ctx, "begin harvest", func(tx pgx.Tx) error {
		var id uuid.UUID
		err := tx.QueryRow(ctx, sqlBeginHarvest, h.ID, rdi, clientID, expected, key).Scan(&id, &h.StartedAt)
		if err == nil && id != h.ID {
			h, err = readHarvest(ctx, tx, id)
			return err
		}
		if err == nil {
			err = audit(ctx, tx, Audit{Actor: by, Action: "harvest.RUNNING", RDI: rdi, Harvest: h.ID})
		}
		if lost := failpoint.Hit(failpoint.HarvestBegin); err == nil {
			err = lost
		}
		return err
	})
	if lost := failpoint.Hit(failpoint.HarvestBegun); err == nil {
		err = wrap("begin harvest", lost)
	}
	return h, err
}

// Without the update there would be no row to return. A client that was cut off
// before it heard of its harvest may find another number of datasets when it comes back.
const sqlBeginHarvest = `
INSERT INTO harvest (id, rdi, client_id, expected_datasets, begin_key) VALUES ($1, $2, $3, $4, nullif($5, ''))
ON CONFLICT (rdi, coalesce(client_id, ''), begin_key) WHERE begin_key IS NOT NULL AND status = 'RUNNING'
    DO UPDATE SET expected_datasets = coalesce(excluded.expected_datasets, harvest.expected_datasets)
RETURNING id, started_at`

// Counts of a running harvest are taken from its members, the first 1,000 of each
// kind, those of an ended one from its row. The last column tells that there are more.
const partHarvestColumns = `
    h.id, h.rdi, h.client_id, h.status, h.expected_datasets, h.started_at, h.completed_at, h.note,
    CASE WHEN h.status = 'RUNNING' THEN c.new ELSE h.arcs_new END,
    CASE WHEN h.status = 'RUNNING' THEN c.updated ELSE h.arcs_updated END,
    CASE WHEN h.status = 'RUNNING' THEN c.unchanged ELSE h.arcs_unchanged END,
    h.arcs_missing,
    CASE WHEN h.status = 'RUNNING' THEN c.errors ELSE h.errors END,
    coalesce(c.more, false)`

const partHarvestCounts = `
LEFT JOIN LATERAL (
    SELECT m.new, m.updated, m.unchanged, e.errors, m.members > 1000 OR e.errors > 1000 AS more
    FROM (
        SELECT count(*) AS members, count(*) FILTER (WHERE outcome = 'new') AS new,
            count(*) FILTER (WHERE outcome = 'updated') AS updated, count(*) FILTER (WHERE outcome = 'unchanged') AS unchanged
        FROM (SELECT outcome FROM harvest_arc WHERE harvest_id = h.id LIMIT 1001) m
    ) m,
    (SELECT count(*) AS errors FROM (SELECT FROM harvest_error WHERE harvest_id = h.id LIMIT 1001) e) e
) c ON h.status = 'RUNNING'`

func scanHarvest(row pgx.CollectableRow) (h found, err error) {
	c := &h.Statistics
	err = row.Scan(&h.ID, &h.RDI, &h.ClientID, &h.Status, &h.Expected, &h.StartedAt, &h.CompletedAt, &h.Note,
		&c.New, &c.Updated, &c.Unchanged, &c.Missing, &c.Errors, &h.more)
	return h, err
}

// Harvest gives a harvest with its counts, or the fault HarvestNotFound.
func (s *Store) Harvest(ctx context.Context, id uuid.UUID) (Harvest, error) {
	h, err := again(ctx, s, func() (found, error) { return readHarvest(ctx, s.pool, id) })
	if err != nil {
		return Harvest{}, err
	}
	return s.count(ctx, h)
}

func readHarvest(ctx context.Context, db querier, id uuid.UUID) (found, error) {
	rows, err := db.Query(ctx, sqlHarvest, id)
	if err != nil {
		return found{}, wrap("read harvest", err)
	}
	h, err := pgx.CollectExactlyOneRow(rows, scanHarvest)
	if isNoRows(err) {
		return found{}, fault.New(fault.HarvestNotFound, nil)
	}
	return h, wrap("read harvest", err)
}

const sqlHarvest = `SELECT` + partHarvestColumns + ` FROM harvest h` + partHarvestCounts + ` WHERE h.id = $1`

// HarvestHead gives a harvest without counts, which is all that a submission
// needs, or the fault HarvestNotFound.
func (s *Store) HarvestHead(ctx context.Context, id uuid.UUID) (Harvest, error) {
	h := Harvest{ID: id}
	err := s.readOne(ctx, []any{&h.RDI, &h.ClientID, &h.Status, &h.Expected, &h.StartedAt, &h.CompletedAt, &h.Note}, sqlHarvestHead, id)
	if isNoRows(err) {
		return Harvest{}, fault.New(fault.HarvestNotFound, nil)
	}
	return h, wrap("read harvest", err)
}

const sqlHarvestHead = `
SELECT rdi, client_id, status, expected_datasets, started_at, completed_at, note FROM harvest WHERE id = $1`

// HarvestFilter chooses harvests. Zero values do not restrict.
type HarvestFilter struct {
	RDIs   []string // of these RDIs only; nil or empty for none
	Status HarvestStatus
	Skip   int
	Limit  int
	// Before is the harvest after which the page begins; uuid.Nil for the newest.
	Before uuid.UUID
}

// Harvests lists harvests, newest first.
func (s *Store) Harvests(ctx context.Context, f HarvestFilter) ([]Harvest, error) {
	list, err := read(ctx, s, "list harvests", scanHarvest, sqlHarvests, planEachTime, f.RDIs, string(f.Status), nullUUID(f.Before), f.Skip, f.Limit)
	if err != nil {
		return nil, err
	}
	out := make([]Harvest, len(list))
	for i := range list {
		if out[i], err = s.count(ctx, list[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const sqlHarvests = `
SELECT` + partHarvestColumns + `
FROM (
    SELECT h.* FROM unnest($1::text[]) AS r (rdi) CROSS JOIN LATERAL (
        SELECT * FROM harvest h
        WHERE h.rdi = r.rdi AND ($2::text = '' OR h.status = $2)
            AND ($3::uuid IS NULL OR (h.started_at, h.id) < (SELECT b.started_at, b.id FROM harvest b WHERE b.id = $3))
        ORDER BY h.started_at DESC, h.id DESC LIMIT $4::bigint + $5::bigint
    ) h
    ORDER BY h.started_at DESC, h.id DESC OFFSET $4::bigint LIMIT $5::bigint
) h` + partHarvestCounts + `
ORDER BY h.started_at DESC, h.id DESC`

// HarvestRDIs lists the RDIs that have harvests, by hopping through the index
// from one to the next.
func (s *Store) HarvestRDIs(ctx context.Context) ([]string, error) {
	return read(ctx, s, "list RDIs with harvests", pgx.RowTo[string], sqlHarvestRDIs)
}

const sqlHarvestRDIs = `
WITH RECURSIVE hop AS (
    (SELECT rdi FROM harvest ORDER BY rdi LIMIT 1)
    UNION ALL
    SELECT (SELECT h.rdi FROM harvest h WHERE h.rdi > hop.rdi ORDER BY h.rdi LIMIT 1) FROM hop WHERE hop.rdi IS NOT NULL
)
SELECT rdi FROM hop WHERE rdi IS NOT NULL`

// EndOptions say how a harvest ends.
type EndOptions struct {
	By   Actor
	Note string
	// GracePeriod is how long an ARC stays missing before it counts as deleted.
	GracePeriod time.Duration
	// MarkDeleted allows marking as deleted at all.
	MarkDeleted bool
	// MissingLimit is the share of an RDI's ARCs above which none is marked,
	// because it is more likely that the harvest was not whole; 0 means 0.2, and
	// less than 0 that none is ever marked.
	MissingLimit float64
	// KeepMissing marks nothing as missing: the harvester could not bring all that it found.
	KeepMissing bool
	// Keep are ARCs that are not marked: the harvester could not bring them, but knows
	// that they are still there.
	Keep []ID
}

const defaultMissingLimit = 0.2

// EndHarvest gives a running harvest its final status and freezes its counts.
// Completing looks for ARCs of the RDI that it did not bring, refused ones aside. Submissions
// under way are waited for; later ones are refused. For a harvest that has
// ended before, the fault is HarvestTransition.
func (s *Store) EndHarvest(ctx context.Context, id uuid.UUID, to HarvestStatus, o EndOptions) (h Harvest, err error) {
	return s.endHarvest(ctx, id, to, o, nil)
}

// endHarvest is EndHarvest, unless once nothing can happen in the harvest any more there is something that
// speaks against it.
func (s *Store) endHarvest(
	ctx context.Context, id uuid.UUID, to HarvestStatus, o EndOptions, against func(pgx.Tx) error,
) (h Harvest, err error) {
	err = s.longTx(ctx, "end harvest", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockHarvest, harvestLock(id)); err != nil {
			return err
		}
		read, err := readHarvest(ctx, tx, id)
		if err != nil {
			return err
		}
		h = read.Harvest
		if h.Status != Running {
			return fault.New(fault.HarvestTransition, nil).WithText(fmt.Sprintf(
				"Harvest harvest-%s cannot transition to %s: current status is %s", id, to, h.Status))
		}
		if against != nil {
			if err := against(tx); err != nil {
				return err
			}
		}
		if read.more {
			if h.Statistics, err = countAll(ctx, tx, id); err != nil {
				return err
			}
		}
		if to == Completed {
			if err := markMissing(ctx, tx, &h, o); err != nil {
				return err
			}
			if err := failpoint.Hit(failpoint.HarvestMarked); err != nil {
				return err
			}
		}
		if o.Note != "" {
			h.Note = o.Note
		}
		c := h.Statistics
		err = tx.QueryRow(ctx, sqlEndHarvest, id, string(to), h.Note, c.New, c.Updated, c.Unchanged, c.Missing, c.Errors).
			Scan(&h.CompletedAt)
		if err != nil {
			return err
		}
		h.Status = to
		if err := failpoint.Hit(failpoint.HarvestEnding); err != nil {
			return err
		}
		return audit(ctx, tx, Audit{Actor: o.By, Action: "harvest." + string(to), RDI: h.RDI, Harvest: id, Detail: h.Note})
	})
	if lost := failpoint.Hit(failpoint.HarvestEnded); err == nil {
		err = wrap("end harvest", lost)
	}
	return h, err
}

const sqlEndHarvest = `
UPDATE harvest SET status = $2, completed_at = now(), note = $3, arcs_new = $4, arcs_updated = $5, arcs_unchanged = $6,
    arcs_missing = $7, errors = $8
WHERE id = $1 RETURNING completed_at`

// ExpireHarvests ends harvests as FAILED in which nothing has happened for the
// given time, and gives them. A harvest that comes to life while it is looked
// at is left alone; one that cannot be ended at the moment keeps no other from it.
func (s *Store) ExpireHarvests(ctx context.Context, idle time.Duration) ([]Harvest, error) {
	ids, err := read(ctx, s, "look for abandoned harvests", pgx.RowTo[uuid.UUID], sqlIdleHarvests, idle)
	if err != nil {
		return nil, err
	}
	var ended []Harvest
	var failed error
	for _, id := range ids {
		if err := failpoint.Hit(failpoint.ExpireBegin); err != nil {
			return ended, wrap("end abandoned harvest", err)
		}
		note := fmt.Sprintf("Abandoned: nothing was submitted for %s.", idle)
		h, err := s.endHarvest(ctx, id, Failed, EndOptions{Note: note}, func(tx pgx.Tx) error {
			var abandoned bool
			err := tx.QueryRow(ctx, sqlIsIdle, idle, id).Scan(&abandoned)
			if err == nil && !abandoned {
				return errAlive
			}
			return err
		})
		if fault.CodeOf(err) == fault.HarvestTransition || errors.Is(err, errAlive) {
			continue // its client was faster
		}
		if err != nil {
			if failed = err; isHeld(err) {
				continue
			}
			break
		}
		ended = append(ended, h)
	}
	return ended, failed
}

// errAlive says that something has happened in a harvest after all.
var errAlive = errors.New("the harvest has come to life")

const (
	partIdle = `
    h.started_at < now() - $1::interval
    AND NOT EXISTS (SELECT FROM harvest_arc m WHERE m.harvest_id = h.id AND m.at >= now() - $1::interval)
    AND NOT EXISTS (SELECT FROM harvest_error e WHERE e.harvest_id = h.id AND e.at >= now() - $1::interval)`
	sqlIdleHarvests = `SELECT h.id FROM harvest h WHERE h.status = 'RUNNING' AND` + partIdle + ` ORDER BY h.started_at`
	sqlIsIdle       = `SELECT EXISTS (SELECT FROM harvest h WHERE h.id = $2 AND` + partIdle + `)`
)
