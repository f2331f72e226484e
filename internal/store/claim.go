package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
)

// ClaimRequest says who wants to push how much.
type ClaimRequest struct {
	Holder string        // names the synchroniser, for people
	Limit  int           // ARCs at most
	Lease  time.Duration // time after which an ARC that was neither recorded nor renewed is due again
	Remote string        // name of the remote they go to; nothing is claimed while it is paused
	Fresh  bool          // only ARCs that have not failed since they were last pushed
}

// Claim is the right to push one ARC, until its lease ends. It belongs to one
// goroutine.
type Claim struct {
	ID          ID
	RDI         string
	Identifier  string
	Name        string
	Description string
	Remote      string
	Token       int64 // the fence: grows with every claim of the ARC
	Attempts    int   // failed ones since the last success
	Interrupted int   // claims of this version in a row that never came back, if the last one did not
	Forced      bool  // a push was asked for by hand: do not trust what is recorded
	Probe       bool  // the remote is paused and this push finds out whether it works again
	Traceparent string
	PushedHash  Hash   // zero if nothing has been pushed
	Commit      string // recorded head of the repository; empty if none
	RemoteRef   string // what RecordPush was given
	FirstSeen   time.Time
	LastChanged time.Time

	wanted  int64
	content *Content
}

// Retry tells whether the ARC has failed since it was last pushed, so that it may
// do so because of itself. A probe is none: it asks about the remote.
func (c *Claim) Retry() bool { return c.Attempts > 0 && !c.Probe }

// ClaimDue claims the ARCs that have been due for longest, skipping those that
// somebody else is claiming. An ARC whose last claimant never came back counts
// one more failed attempt, PushInterrupted; if that happened SuspectAfter times,
// only ClaimSuspect gives it. It gives none while the remote is paused, but one
// (with Probe set, to one claimant only) when it is time to try again.
func (s *Store) ClaimDue(ctx context.Context, q ClaimRequest) ([]*Claim, error) {
	if err := failpoint.Hit(failpoint.ClaimBegin); err != nil {
		return nil, wrap("claim due ARCs", err)
	}
	claims, err := s.claim(ctx, s.pool, q, sqlClaim, q.Remote, SuspectAfter, q.Fresh)
	if len(claims) > 0 {
		if lost := failpoint.Hit(failpoint.Claimed); err == nil && lost != nil {
			return nil, wrap("claim due ARCs", lost)
		}
	}
	if err != nil || len(claims) > 0 || q.Limit < 1 {
		return claims, err
	}
	return s.claimProbe(ctx, q)
}

// SuspectAfter is the number of interruptions after which an ARC may be what
// ends the synchroniser. It is then kept apart from others, so that they are not
// taken for the culprit.
const SuspectAfter = 2

// ClaimSuspect claims one due ARC whose pushes have been interrupted, unless the
// remote is paused; nil if there is none.
func (s *Store) ClaimSuspect(ctx context.Context, q ClaimRequest) (*Claim, error) {
	q.Limit = 1
	claims, err := s.claim(ctx, s.pool, q, sqlClaimSuspect, q.Remote, SuspectAfter)
	if err != nil || len(claims) == 0 {
		return nil, err
	}
	return claims[0], nil
}

// SuspectsDue tells whether ClaimSuspect has something to give.
func (s *Store) SuspectsDue(ctx context.Context) (due bool, err error) {
	err = s.pool.QueryRow(ctx, sqlSuspectsDue, SuspectAfter).Scan(&due)
	return due, wrap("look for interrupted ARCs", err)
}

const sqlSuspectsDue = `
SELECT EXISTS (SELECT FROM interruption i JOIN arc ON arc.id = i.arc_id WHERE i.count >= $1 AND arc.due_at <= now())`

// claimProbe claims one ARC if the remote is paused and a probe is due.
func (s *Store) claimProbe(ctx context.Context, q ClaimRequest) (claims []*Claim, err error) {
	err = s.tx(ctx, "claim a probe", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlTakeProbe, q.Remote, q.Lease)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		q.Limit = 1
		// One that has failed before may do so because of itself.
		if claims, err = s.claim(ctx, tx, q, sqlClaimFresh); err == nil && len(claims) == 0 {
			claims, err = s.claim(ctx, tx, q, sqlClaimAnyway)
		}
		for _, c := range claims {
			c.Probe = true
		}
		if err == nil && len(claims) == 0 {
			return errNothingDue
		}
		return err
	})
	if isNothingDue(err) {
		return nil, nil // rolled back: the probe is still to be taken
	}
	return claims, err
}

type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

func (s *Store) claim(ctx context.Context, db querier, q ClaimRequest, sql string, more ...any) ([]*Claim, error) {
	why := fault.New(fault.PushInterrupted, nil)
	rows, err := db.Query(ctx, sql, append([]any{planEachTime, q.Holder, q.Limit, q.Lease, why.Text, string(why.Owner), why.Remedy}, more...)...)
	if err != nil {
		return nil, wrap("claim due ARCs", err)
	}
	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Claim, error) {
		c := &Claim{Remote: q.Remote}
		var id, pushed []byte
		var done int64
		err := row.Scan(&id, &c.RDI, &c.Identifier, &c.Name, &c.Description, &c.Token, &c.Attempts,
			&c.wanted, &done, &c.Traceparent, &pushed, &c.Commit, &c.RemoteRef, &c.FirstSeen, &c.LastChanged, &c.Interrupted)
		copy(c.ID[:], id)
		copy(c.PushedHash[:], pushed)
		c.Forced = c.wanted > done
		return c, err
	})
	if err != nil {
		return nil, wrap("claim due ARCs", err)
	}
	return claims, nil
}

// The claim: rows are locked only while this statement runs. The array keeps
// PostgreSQL from joining the claimed rows with the whole table, which looks
// sensible to it when much is due. $1 holder, $2 limit, $3 lease, $4 to $6 the
// words for an interruption, $7 remote, $8 interruptions of a suspect,
// $9 only what has not failed.
const (
	partClaimHead = `
WITH due AS MATERIALIZED (
    SELECT id, version, push_wanted, lease_holder IS NOT NULL AS cut FROM arc
    WHERE due_at <= now() `
	partClaimTail = `
    FOR NO KEY UPDATE OF arc SKIP LOCKED
),
-- A lease that was never given back: whoever held it died or was cut off.
cut AS (
    INSERT INTO interruption AS i (arc_id, version, wanted, count)
    SELECT id, version, push_wanted, 1 FROM due WHERE cut
    ON CONFLICT (arc_id) DO UPDATE SET
        count = CASE WHEN (i.version, i.wanted) = (excluded.version, excluded.wanted) THEN i.count + 1 ELSE 1 END,
        version = excluded.version, wanted = excluded.wanted, at = now()
    RETURNING arc_id, count
)
UPDATE arc SET
    attempts = attempts + (lease_holder IS NOT NULL)::int,
    failed_at = CASE WHEN lease_holder IS NULL THEN failed_at ELSE now() END,
    failure_class = CASE WHEN lease_holder IS NULL THEN failure_class ELSE 'transient' END,
    failure_code = CASE WHEN lease_holder IS NULL THEN failure_code ELSE 'push_interrupted' END,
    failure_text = CASE WHEN lease_holder IS NULL THEN failure_text ELSE $4::text END,
    failure_owner = CASE WHEN lease_holder IS NULL THEN failure_owner ELSE $5::text END,
    failure_remedy = CASE WHEN lease_holder IS NULL THEN failure_remedy ELSE $6::text END,
    lease_holder = $1::text,
    lease_token = lease_token + 1,
    lease_until = now() + $3::interval,
    due_at = now() + $3::interval
WHERE arc.id = ANY (ARRAY(SELECT id FROM due))
RETURNING arc.id, rdi, identifier, name, description, lease_token, attempts, push_wanted, push_done, traceparent,
    pushed_hash, commit_id, remote_ref, first_seen, last_changed,
    coalesce((SELECT count FROM cut WHERE cut.arc_id = arc.id), 0)`
	partUnlessPaused = `
    LIMIT (SELECT CASE WHEN EXISTS (SELECT FROM remote WHERE name = $7::text AND paused_at IS NOT NULL) THEN 0 ELSE $2::bigint END)`
	sqlClaim = partClaimHead + `
        AND NOT EXISTS (SELECT FROM interruption i WHERE i.arc_id = arc.id AND i.count >= $8)
        AND (attempts = 0 OR NOT $9::boolean)
    ORDER BY due_at` + partUnlessPaused + partClaimTail
	sqlClaimSuspect = partClaimHead + `
        AND id = ANY (ARRAY(SELECT i.arc_id FROM interruption i WHERE i.count >= $8))
    ORDER BY due_at` + partUnlessPaused + partClaimTail
	sqlClaimFresh = partClaimHead + `
        AND attempts = 0
    ORDER BY due_at LIMIT $2::bigint` + partClaimTail
	sqlClaimAnyway = partClaimHead + `
    ORDER BY due_at LIMIT $2::bigint` + partClaimTail
)

// A remote that is held by hand has no next probe.
const sqlTakeProbe = `
UPDATE remote SET next_probe_at = now() + $2::interval
WHERE name = $1 AND paused_at IS NOT NULL AND next_probe_at <= now()`

// Content is one stored version of an ARC.
type Content struct {
	Hash     Hash
	Version  int64
	Harvest  uuid.UUID // that brought it; uuid.Nil if none
	Frame    []byte    // zstd frame of the RO-Crate document
	Size     int64     // bytes of the document
	HeadTree []byte    // what RecordPush was given
}

// Load gives the newest content of a claimed ARC, which is what RecordPush
// records afterwards. It fails as LeaseLost if the claim is no longer ours.
func (s *Store) Load(ctx context.Context, c *Claim) (*Content, error) {
	var content Content
	var hash []byte
	var harvest *uuid.UUID
	err := s.pool.QueryRow(ctx, sqlLoad, c.ID[:], c.Token).Scan(&hash, &content.Version, &harvest, &content.Frame,
		&content.Size, &content.HeadTree)
	if isNoRows(err) {
		return nil, leaseLost(c)
	}
	if err != nil {
		return nil, wrap("load content", err)
	}
	copy(content.Hash[:], hash)
	if harvest != nil {
		content.Harvest = *harvest
	}
	c.content = &content
	return &content, nil
}

const sqlLoad = `
SELECT content_hash, version, changed_in, content, content_size, head_tree
FROM arc WHERE id = $1 AND lease_token = $2 AND lease_holder IS NOT NULL`

// Renew extends the leases of claims and gives those that are lost; their
// holders must stop without touching the remote again. A claim whose ARC somebody
// else holds at the moment is passed over, so that the others do not run out: nobody
// can take it meanwhile, and the next renewal comes before it can.
func (s *Store) Renew(ctx context.Context, claims []*Claim, lease time.Duration) (lost []*Claim, err error) {
	if err := failpoint.Hit(failpoint.Renewing); err != nil {
		return nil, wrap("renew leases", err)
	}
	held, err := s.onClaims(ctx, "renew leases", sqlRenew, claims, lease)
	if err != nil {
		return nil, err
	}
	for _, c := range claims {
		if !held[c.ID] {
			lost = append(lost, c)
		}
	}
	return lost, nil
}

// Release gives claims back: the ARCs are due again at once, and nothing is
// counted as a failure. Claims that are lost are passed over.
func (s *Store) Release(ctx context.Context, claims []*Claim) error {
	if err := failpoint.Hit(failpoint.ReleaseBegin); err != nil {
		return wrap("release leases", err)
	}
	_, err := s.onClaims(ctx, "release leases", sqlRelease, claims)
	if lost := failpoint.Hit(failpoint.Released); err == nil {
		err = wrap("release leases", lost)
	}
	if err == nil && len(claims) > 0 {
		s.bell.ring()
	}
	return err
}

// onClaims runs a statement for claims and gives the ones that it concerned.
func (s *Store) onClaims(ctx context.Context, doing, sql string, claims []*Claim, more ...any) (map[ID]bool, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	ids, tokens := make([][]byte, len(claims)), make([]int64, len(claims))
	for i, c := range claims {
		ids[i], tokens[i] = c.ID[:], c.Token
	}
	rows, err := s.pool.Query(ctx, sql, append([]any{ids, tokens}, more...)...)
	if err != nil {
		return nil, wrap(doing, err)
	}
	held := make(map[ID]bool, len(claims))
	var id []byte
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		held[ID(id)] = true
		return nil
	})
	return held, wrap(doing, err)
}

// partOurs are the ARCs of claims that still hold.
const partOurs = `
    SELECT arc.id FROM unnest($1::bytea[], $2::bigint[]) AS c(id, token)
    JOIN arc ON arc.id = c.id AND arc.lease_token = c.token AND arc.lease_holder IS NOT NULL`

const sqlRenew = `
WITH ours AS MATERIALIZED (` + partOurs + ` ORDER BY arc.id FOR NO KEY UPDATE OF arc SKIP LOCKED),
renewed AS (
    UPDATE arc SET lease_until = now() + $3::interval, due_at = now() + $3::interval
    FROM ours WHERE arc.id = ours.id
)` + partOurs

const sqlRelease = `
WITH ours AS MATERIALIZED (` + partOurs + ` ORDER BY arc.id FOR NO KEY UPDATE OF arc)
UPDATE arc SET lease_holder = NULL, lease_until = NULL, due_at = now()
FROM ours WHERE arc.id = ours.id RETURNING arc.id`

func leaseLost(c *Claim) error {
	return fault.New(fault.LeaseLost, nil).WithText("Another synchroniser has taken ARC " + c.ID.String() + " over.")
}
