package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Lifecycle says whether the RDI still has the ARC.
type Lifecycle string

// Lifecycles that occur. Deleted is a mark only: content and repository stay.
const (
	Active  Lifecycle = "ACTIVE"
	Missing Lifecycle = "MISSING"
	Deleted Lifecycle = "DELETED"
)

// GitState says how far an ARC has come on its way into git.
type GitState string

// States of an ARC with regard to git.
const (
	Synced  GitState = "synced"  // the newest content is in git
	Due     GitState = "due"     // it is to be pushed, or being pushed
	Failing GitState = "failing" // the last push failed and is tried again
	Parked  GitState = "parked"  // the last push failed and waits for somebody
)

// ARC is everything about an ARC but its content.
type ARC struct {
	ID           ID
	RDI          string
	Identifier   string
	Name         string
	Description  string
	Hash         Hash
	Size         int64
	Version      int64
	Lifecycle    Lifecycle
	FirstSeen    time.Time
	LastSeen     time.Time
	LastChanged  time.Time
	MissingSince time.Time // zero unless missing or deleted
	FirstHarvest uuid.UUID
	LastHarvest  uuid.UUID
	ChangedIn    uuid.UUID
	Git          Git
}

// Git is what is known of an ARC's repository.
type Git struct {
	State         GitState
	Commit        string // recorded head; empty if never pushed
	PushedHash    Hash
	PushedVersion int64
	PushedAt      time.Time
	RemoteRef     string
	Pushing       bool      // a synchroniser holds it
	Attempts      int       // failed ones since the last success
	NextAttempt   time.Time // zero if none is planned or one is under way
	FailedAt      time.Time
	Failure       Failure // of the last attempt; without Code if it worked
}

const partARCColumns = `arc.id, arc.rdi, arc.identifier, arc.name, arc.description, arc.content_hash, arc.content_size,
    arc.version, arc.lifecycle, arc.first_seen, arc.last_seen, arc.last_changed, arc.missing_since, arc.first_harvest,
    arc.last_harvest, arc.changed_in, arc.git_state, arc.commit_id, arc.pushed_hash, arc.pushed_version, arc.pushed_at,
    arc.remote_ref, arc.lease_holder IS NOT NULL AND arc.lease_until > now(), arc.attempts, arc.due_at, arc.failed_at,
    arc.failure_class, arc.failure_code, arc.failure_text, arc.failure_owner, arc.failure_remedy, arc.parked`

func scanARC(row pgx.CollectableRow) (a ARC, err error) {
	var id, hash, pushed []byte
	var missing, pushedAt, due, failed *time.Time
	var first, last, changed *uuid.UUID
	var pushedVersion *int64
	g := &a.Git
	f := &g.Failure
	err = row.Scan(&id, &a.RDI, &a.Identifier, &a.Name, &a.Description, &hash, &a.Size,
		&a.Version, &a.Lifecycle, &a.FirstSeen, &a.LastSeen, &a.LastChanged, &missing, &first,
		&last, &changed, &g.State, &g.Commit, &pushed, &pushedVersion, &pushedAt,
		&g.RemoteRef, &g.Pushing, &g.Attempts, &due, &failed,
		&f.Class, &f.Code, &f.Text, &f.Owner, &f.Remedy, &f.Park)
	copy(a.ID[:], id)
	copy(a.Hash[:], hash)
	copy(g.PushedHash[:], pushed)
	a.MissingSince, g.PushedAt, g.FailedAt = orZero(missing), orZero(pushedAt), orZero(failed)
	a.FirstHarvest, a.LastHarvest, a.ChangedIn = orNil(first), orNil(last), orNil(changed)
	if pushedVersion != nil {
		g.PushedVersion = *pushedVersion
	}
	if due != nil && !g.Pushing {
		g.NextAttempt = *due
	}
	if f.Code == "" {
		// Left over from an older content.
		g.Failure, g.FailedAt = Failure{}, time.Time{}
	}
	return a, err
}

// ARC gives an ARC, or the fault ARCNotFound.
func (s *Store) ARC(ctx context.Context, id ID) (ARC, error) {
	found, err := read(ctx, s, "read ARC", scanARC, sqlARC, id[:])
	if err != nil {
		return ARC{}, err
	}
	if len(found) == 0 {
		return ARC{}, fault.New(fault.ARCNotFound, nil)
	}
	return found[0], nil
}

const sqlARC = `SELECT ` + partARCColumns + ` FROM arc WHERE arc.id = $1`

// Content gives the newest content of an ARC, or the fault ARCNotFound.
func (s *Store) Content(ctx context.Context, id ID) (Content, error) {
	var c Content
	var hash []byte
	var harvest *uuid.UUID
	err := s.readOne(ctx, []any{&hash, &c.Version, &harvest, &c.Frame, &c.Size}, sqlContent, id[:])
	if isNoRows(err) {
		return c, fault.New(fault.ARCNotFound, nil)
	}
	copy(c.Hash[:], hash)
	c.Harvest = orNil(harvest)
	return c, wrap("read content", err)
}

const sqlContent = `SELECT content_hash, version, changed_in, content, content_size FROM arc WHERE id = $1`
