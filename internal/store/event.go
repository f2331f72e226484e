package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Types of events. The names are those of the system this one replaces.
const (
	EventCreated           = "ARC_CREATED"
	EventUpdated           = "ARC_UPDATED"
	EventRestored          = "ARC_RESTORED"
	EventNotSeen           = "ARC_NOT_SEEN"
	EventMissing           = "ARC_MARKED_MISSING"
	EventDeleted           = "ARC_MARKED_DELETED"
	EventQueued            = "GIT_QUEUED"
	EventPushed            = "GIT_PUSH_SUCCESS"
	EventPushFailed        = "GIT_PUSH_FAILED"
	EventValidationOK      = "VALIDATION_SUCCESS"
	EventValidationWarning = "VALIDATION_WARNING"
	EventValidationError   = "VALIDATION_ERROR"
	EventNote              = "OPERATOR_NOTE"
)

// Event is one line in the log of an ARC.
type Event struct {
	ID      int64
	ARC     ID
	Harvest uuid.UUID // uuid.Nil if it belongs to none
	At      time.Time
	Type    string
	Message string
}

// Events gives the newest events of an ARC, oldest first, as many as are kept.
func (s *Store) Events(ctx context.Context, arc ID) ([]Event, error) {
	return s.events(ctx, "read events", sqlEvents, arc[:], s.eventLimit)
}

const sqlEvents = `
SELECT id, arc_id, harvest_id, at, type, message FROM (
    SELECT id, arc_id, harvest_id, at, type, message FROM event WHERE arc_id = $1 ORDER BY id DESC LIMIT $2
) newest ORDER BY id`

// HarvestEvents gives the events of a harvest with a larger id, oldest first:
// what happened to ARCs in it, and later to the contents it brought. A reader
// that goes on from the last id it got misses none: ids are given before the
// commit, so their lock is taken for an instant to let those who have one
// finish. While that does not work, because the harvest is being ended or others take
// long, there is nothing new.
func (s *Store) HarvestEvents(ctx context.Context, harvest uuid.UUID, after int64, limit int) ([]Event, error) {
	list, err := s.events(ctx, "read events", sqlHarvestEvents, planEachTime, harvest, after, limit)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	list, err = again(ctx, s, func() ([]Event, error) { return s.settledEvents(ctx, harvest, after, limit) })
	if isHeld(err) {
		return nil, nil
	}
	return list, wrap("read events", err)
}

// settledEvents gives events of a harvest when nobody is writing any. It is one round trip, so that
// nobody waits for a reader that is stopped on its way.
func (s *Store) settledEvents(ctx context.Context, harvest uuid.UUID, after int64, limit int) (list []Event, err error) {
	running := false
	batch := &pgx.Batch{}
	batch.Queue(sqlPlanAnew, milliseconds(lockPatience))
	batch.Queue(sqlLockHarvest, eventLock(harvest))
	batch.Queue(sqlTryHarvest, harvestLock(harvest)).QueryRow(func(row pgx.Row) error { return row.Scan(&running) })
	batch.Queue(sqlHarvestEvents, harvest, after, limit).Query(func(rows pgx.Rows) error {
		list, err = pgx.CollectRows(rows, scanEvent)
		return err
	})
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil || !running {
		return nil, err
	}
	return list, nil
}

// A position beyond all numbers that were given is of commits that a failover or a
// restore has lost: nothing new would be after it for as long as its number is not
// reached again.
const sqlHarvestEvents = `
SELECT id, arc_id, harvest_id, at, type, message FROM event
WHERE harvest_id = $1 AND id > (SELECT CASE WHEN $2::bigint > last_value THEN 0 ELSE $2::bigint END FROM event_id_seq)
ORDER BY id LIMIT $3`

const (
	sqlLockHarvest = `SELECT pg_advisory_xact_lock($1::bigint)`
	// Events of the end are numbered before others that can be seen already.
	sqlTryHarvest   = `SELECT pg_try_advisory_xact_lock_shared($1::bigint)`
	sqlLockPatience = `SELECT set_config('lock_timeout', $1, true)`
	// sqlPlanAnew does for a batch what planEachTime does for a statement.
	sqlPlanAnew = `SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('lock_timeout', $1, true)`
)

// AddEvent adds a line to the log of an ARC; for an unknown ARC it does nothing.
func (s *Store) AddEvent(ctx context.Context, arc ID, kind, message string) error {
	_, err := s.exec(ctx, "add event", sqlAddEvent, arc[:], kind, message)
	return err
}

const sqlAddEvent = `
WITH counted AS (UPDATE arc SET event_count = event_count + 1 WHERE id = $1 RETURNING id)
INSERT INTO event (arc_id, type, message) SELECT id, $2::text, $3::text FROM counted`

func (s *Store) events(ctx context.Context, doing, sql string, arguments ...any) ([]Event, error) {
	return read(ctx, s, doing, scanEvent, sql, arguments...)
}

func scanEvent(row pgx.CollectableRow) (e Event, err error) {
	var arc []byte
	var harvest *uuid.UUID
	err = row.Scan(&e.ID, &arc, &harvest, &e.At, &e.Type, &e.Message)
	copy(e.ARC[:], arc)
	e.Harvest = orNil(harvest)
	return e, err
}

// trimEvents deletes the oldest events of ARCs beyond the limit.
func (s *Store) trimEvents(arcs [][]byte) {
	if len(arcs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), defaultStatementTimeout)
	defer cancel()
	if _, err := s.pool.Exec(ctx, sqlTrimEvents, arcs, s.eventLimit); err != nil {
		s.log.Warn("old events not removed", "error", err)
	}
}

// A count that is too high only trims too early, to no effect.
const sqlTrimEvents = `
WITH counted AS (
    UPDATE arc SET event_count = $2::int
    FROM (SELECT id FROM arc WHERE id = ANY ($1::bytea[]) ORDER BY id FOR NO KEY UPDATE) o
    WHERE arc.id = o.id RETURNING arc.id
)
DELETE FROM event USING counted c
WHERE event.arc_id = c.id
    AND event.id <= (SELECT e.id FROM event e WHERE e.arc_id = c.id ORDER BY e.id DESC OFFSET $2::int LIMIT 1)`
