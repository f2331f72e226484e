package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
)

// Remote is what all synchronisers know together of a place where ARCs go.
type Remote struct {
	Name      string
	Paused    bool
	PausedAt  time.Time
	ByHand    bool // only ResumeRemote ends the pause
	Code      fault.Code
	Text      string
	Owner     fault.Owner
	Remedy    string
	Probes    int // failed ones in this incident
	NextProbe time.Time
	Data      string // see SetRemoteData
}

// PauseRemote stops all claims for a remote because of something that hits
// every ARC. The first call opens the incident; a further one, after a probe
// that failed, counts it. After the delay one claimant gets one ARC to probe
// with. It never turns a pause by hand into one that ends by itself.
func (s *Store) PauseRemote(ctx context.Context, name string, why *fault.Error, probeAfter time.Duration) error {
	if err := failpoint.Hit(failpoint.PauseBegin); err != nil {
		return wrap("pause remote "+name, err)
	}
	_, err := s.pool.Exec(ctx, sqlPauseRemote, name, string(why.Code), why.Text, string(why.Owner), why.Remedy, probeAfter)
	return wrap("pause remote "+name, err)
}

const sqlPauseRemote = `
INSERT INTO remote AS remote (name, paused_at, code, message, owner, remedy, next_probe_at)
VALUES ($1, now(), $2, $3, $4, $5, now() + $6::interval)
ON CONFLICT (name) DO UPDATE SET
    paused_at = coalesce(remote.paused_at, now()),
    code = excluded.code, message = excluded.message, owner = excluded.owner, remedy = excluded.remedy,
    probes = CASE WHEN remote.paused_at IS NULL THEN 0 ELSE remote.probes + 1 END,
    next_probe_at = excluded.next_probe_at
WHERE NOT remote.by_hand`

// HoldRemote pauses a remote by hand, until ResumeRemote.
func (s *Store) HoldRemote(ctx context.Context, name, reason string, by Actor) error {
	return s.tx(ctx, "hold remote "+name, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlHoldRemote, name, reason); err != nil {
			return err
		}
		return audit(ctx, tx, Audit{Actor: by, Action: "remote.pause", Detail: name + ": " + reason})
	})
}

const sqlHoldRemote = `
INSERT INTO remote AS remote (name, paused_at, by_hand, code, message, owner, remedy)
VALUES ($1, now(), true, 'remote_paused', $2, 'operator', 'middleware-api resume ' || $1)
ON CONFLICT (name) DO UPDATE SET
    paused_at = coalesce(remote.paused_at, now()), by_hand = true, code = excluded.code, message = excluded.message,
    owner = excluded.owner, remedy = excluded.remedy, next_probe_at = NULL`

// ResumeRemote ends a pause, whoever began it.
func (s *Store) ResumeRemote(ctx context.Context, name string, by Actor) error {
	err := s.tx(ctx, "resume remote "+name, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlResumeRemote, name)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fault.New(fault.RemoteNotFound, nil)
		}
		return audit(ctx, tx, Audit{Actor: by, Action: "remote.resume", Detail: name})
	})
	if err == nil {
		s.bell.ring()
	}
	return err
}

const sqlResumeRemote = `
UPDATE remote SET paused_at = NULL, by_hand = false, code = '', message = '', owner = '', remedy = '',
    probes = 0, next_probe_at = NULL
WHERE name = $1`

// SetRemoteData keeps a note of the remote's own, for example its budget.
func (s *Store) SetRemoteData(ctx context.Context, name, data string) error {
	_, err := s.pool.Exec(ctx, sqlSetRemoteData, name, data)
	return wrap("note on remote "+name, err)
}

const sqlSetRemoteData = `
INSERT INTO remote (name, data) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET data = excluded.data`

// Remotes lists what is known of remotes, by name.
func (s *Store) Remotes(ctx context.Context) ([]Remote, error) {
	rows, err := s.pool.Query(ctx, sqlRemotes)
	if err != nil {
		return nil, wrap("list remotes", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Remote, err error) {
		var paused, probe *time.Time
		err = row.Scan(&r.Name, &paused, &r.ByHand, &r.Code, &r.Text, &r.Owner, &r.Remedy, &r.Probes, &probe, &r.Data)
		r.Paused, r.PausedAt, r.NextProbe = paused != nil, orZero(paused), orZero(probe)
		return r, err
	})
	return list, wrap("list remotes", err)
}

const sqlRemotes = `
SELECT name, paused_at, by_hand, code, message, owner, remedy, probes, next_probe_at, data
FROM remote ORDER BY name`

// Remote gives what is known of one remote; nothing is known of one that has
// never been in trouble, which is fine.
func (s *Store) Remote(ctx context.Context, name string) (Remote, error) {
	all, err := s.Remotes(ctx)
	for _, r := range all {
		if r.Name == name {
			return r, err
		}
	}
	return Remote{Name: name}, err
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
