package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
)

var errNothingDue = errors.New("nothing is due")

func isNothingDue(err error) bool { return errors.Is(err, errNothingDue) }

// errNotLoaded is a mistake of the caller: what was pushed is unknown.
var errNotLoaded = errors.New("result of a push whose content was never loaded")

// Pushed is what a synchroniser knows after a push.
type Pushed struct {
	Commit    string // id of the commit that is the head now
	HeadTree  []byte // whatever makes the next push cheap; opaque
	RemoteRef string // the remote's name for the repository; opaque
	Unchanged bool   // git had that content already: there is no new commit to tell of
}

// RecordPush records that the content given by Load is in git. If newer
// content has come in meanwhile, or another push was asked for, the ARC is due
// again at once. It fails as LeaseLost, changing nothing, if the claim is no
// longer ours. A successful probe ends the pause of the remote.
func (s *Store) RecordPush(ctx context.Context, c *Claim, p Pushed) error {
	if c.content == nil {
		return wrap("record push", errNotLoaded)
	}
	return s.record(ctx, "record push", c, sqlRecordPush, c.ID[:], c.Token, c.content.Hash[:], c.content.Version,
		p.Commit, p.HeadTree, p.RemoteRef, c.wanted, p.Unchanged, nullUUID(c.content.Harvest))
}

const sqlRecordPush = `
WITH done AS (
    UPDATE arc SET
        pushed_hash = $3, pushed_version = $4,
        pushed_at = CASE WHEN $9::boolean THEN coalesce(pushed_at, now()) ELSE now() END,
        commit_id = $5, head_tree = $6, remote_ref = $7,
        push_done = $8,
        attempts = 0, failure_class = '', failure_code = '', parked = false,
        lease_holder = NULL, lease_until = NULL,
        due_at = CASE WHEN content_hash = $3 AND push_wanted <= $8 THEN NULL ELSE now() END,
        event_count = event_count + (NOT $9::boolean)::int
    WHERE id = $1 AND lease_token = $2 AND lease_holder IS NOT NULL
    RETURNING id, due_at, event_count
),
survived AS (DELETE FROM interruption WHERE arc_id IN (SELECT id FROM done)),
logged AS (
    INSERT INTO event (arc_id, harvest_id, type, message)
    SELECT id, $10::uuid, 'GIT_PUSH_SUCCESS', 'Successfully synchronized to GitLab' FROM done WHERE NOT $9
)
SELECT due_at IS NOT NULL, event_count FROM done`

// Classes of failures.
const (
	Transient = string(fault.Transient) // tried again
	Refused   = string(fault.Refused)   // by the remote; parked
	Invalid   = string(fault.Invalid)   // the content cannot be pushed; parked
)

// Failure is why a push did not work.
type Failure struct {
	Class  string
	Code   fault.Code
	Text   string // safe to show to any client
	Owner  fault.Owner
	Remedy string
	Park   bool          // do not try again until the content changes or somebody asks
	Delay  time.Duration // until the next attempt, if not parked
}

// RecordFailure records that a push failed and when it is tried again. A
// failure of content that has been replaced meanwhile does not park: the new
// content is due at once. It fails as LeaseLost, changing nothing, if the claim
// is no longer ours. An event is written when the failure is another one than
// the last time.
func (s *Store) RecordFailure(ctx context.Context, c *Claim, f Failure) error {
	if err := failpoint.Hit(failpoint.FailureBegin); err != nil {
		return wrap("record failure", err)
	}
	version, harvest := int64(0), uuid.Nil
	if c.content != nil {
		version, harvest = c.content.Version, c.content.Harvest
	}
	return s.record(ctx, "record failure", c, sqlRecordFailure, c.ID[:], c.Token, f.Class, string(f.Code), storable(f.Text),
		string(f.Owner), storable(f.Remedy), f.Park, f.Delay, version, c.wanted, nullUUID(harvest))
}

// $10 is the version that was tried, 0 if it never came to loading one.
const sqlRecordFailure = `
WITH before AS MATERIALIZED (
    SELECT id, failure_code,
        $8::boolean AND $10::bigint IN (0, version) AND push_wanted <= $11::bigint AS park,
        $8::boolean AND $10::bigint NOT IN (0, version) AS replaced
    FROM arc WHERE id = $1 AND lease_token = $2 AND lease_holder IS NOT NULL
    FOR NO KEY UPDATE
),
done AS (
    UPDATE arc SET
        attempts = CASE WHEN b.replaced THEN 0 ELSE arc.attempts + 1 END,
        failed_at = now(),
        failure_class = CASE WHEN b.replaced THEN '' ELSE $3 END,
        failure_code = CASE WHEN b.replaced THEN '' ELSE $4 END,
        failure_text = $5, failure_owner = $6, failure_remedy = $7,
        parked = b.park,
        push_done = CASE WHEN b.park THEN $11 ELSE push_done END,
        lease_holder = NULL, lease_until = NULL,
        due_at = CASE WHEN b.park THEN NULL WHEN $8 THEN now() ELSE now() + $9::interval END,
        event_count = event_count + (b.failure_code <> $4)::int
    FROM before b WHERE arc.id = b.id
    RETURNING arc.id, arc.due_at <= now() AS due, arc.event_count, b.failure_code <> $4 AS news
),
survived AS (DELETE FROM interruption WHERE arc_id IN (SELECT id FROM done)),
logged AS (
    INSERT INTO event (arc_id, harvest_id, type, message)
    SELECT id, $12::uuid, 'GIT_PUSH_FAILED', 'GitLab sync failed: ' || $5 FROM done WHERE news
)
SELECT coalesce(due, false), event_count FROM done`

// record runs one of the two statements, and what belongs to it, as one
// transaction in one round trip.
func (s *Store) record(ctx context.Context, doing string, c *Claim, sql string, arguments ...any) error {
	batch := &pgx.Batch{}
	if c.content != nil && c.content.Harvest != uuid.Nil {
		// The event belongs to the harvest's stream, whose readers rely on this. The end of
		// the harvest is not waited for.
		batch.Queue(sqlShareLocks, []int64{eventLock(c.content.Harvest)})
	}
	var due bool
	var events int
	batch.Queue(sql, arguments...).QueryRow(func(row pgx.Row) error { return row.Scan(&due, &events) })
	if c.Probe && sql == sqlRecordPush {
		batch.Queue(sqlResumeRemote, c.Remote)
	}
	if err := failpoint.Hit(failpoint.RecordBegin); err != nil {
		return wrap(doing, err)
	}
	err := s.pool.SendBatch(ctx, batch).Close()
	if lost := failpoint.Hit(failpoint.RecordUnknown); err == nil {
		err = lost
	}
	if isNoRows(err) {
		return leaseLost(c)
	}
	if err != nil {
		return wrap(doing, err)
	}
	if due {
		s.bell.ring()
	}
	if events > s.eventLimit+s.eventLimit/10 {
		s.trimEvents([][]byte{c.ID[:]})
	}
	return nil
}
