package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Pair is an ARC and the content hash that a harvester has for it.
type Pair struct {
	ID   ID
	Hash Hash
}

// Difference says what a harvester has to do about a pair.
type Difference string

// Differences. A conflict would be refused in this harvest, which has brought
// the ARC with other content already.
const (
	IsNew       Difference = "new"
	IsChanged   Difference = "changed"
	IsUnchanged Difference = "unchanged"
	IsConflict  Difference = "conflict"
)

// Diff compares pairs (each ARC at most once) with what is stored, in one
// statement. The unchanged ones count as seen by the harvest, exactly as if
// they had been submitted. One whose row somebody else is changing at this very
// moment may be called changed. The answers are in the order of the pairs.
func (s *Store) Diff(ctx context.Context, harvest uuid.UUID, rdi string, pairs []Pair) ([]Difference, error) {
	if len(pairs) > batchSize {
		leave, err := s.long.enter(ctx, "compare with the store")
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	subs := make([]*Submission, len(pairs))
	for i, p := range pairs {
		subs[i] = &Submission{ID: p.ID, RDI: rdi, Hash: p.Hash, Harvest: harvest}
	}
	out := make([]Difference, len(pairs))
	err := s.untilFree(ctx, func(patience time.Duration) error { return s.diff(ctx, subs, out, patience) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Store) diff(ctx context.Context, subs []*Submission, out []Difference, patience time.Duration) error {
	return s.tx(ctx, "compare with the store", func(tx pgx.Tx) error {
		// The harvest may be held for long, its rows are as a rule not.
		locks := &pgx.Batch{}
		locks.Queue(sqlLockPatience, milliseconds(patience))
		locks.Queue(sqlShareLocks, harvestLocks(subs))
		locks.Queue(sqlLockPatience, milliseconds(s.patience))
		if err := tx.SendBatch(ctx, locks).Close(); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sqlDiff, admissionArguments(subs)...)
		if err != nil {
			return err
		}
		var n int
		var what string
		_, err = pgx.ForEachRow(rows, []any{&n, &what}, func() error {
			switch d := Difference(what); d {
			case IsNew, IsChanged, IsUnchanged, IsConflict:
				out[n-1] = d
				return nil
			}
			return refused(fault.Code(what), subs[n-1])
		})
		return err
	})
}
