package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// RequestPush makes an ARC due whatever is recorded of its repository, also
// if it is parked. The fault is ARCNotFound if there is none.
func (s *Store) RequestPush(ctx context.Context, arc ID, by Actor) error {
	err := s.tx(ctx, "request a push", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlRequestPush, arc[:])
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fault.New(fault.ARCNotFound, nil)
		}
		if _, err := tx.Exec(ctx, sqlAddEvent, arc[:], EventQueued, "Synchronisation requested"); err != nil {
			return err
		}
		return audit(ctx, tx, Audit{Actor: by, Action: "arc.resync", ARC: arc})
	})
	if err == nil {
		s.bell.ring()
	}
	return err
}

// A claim under way keeps its lease; when it records, it finds that more is
// wanted.
const partWant = `
UPDATE arc SET
    push_wanted = push_wanted + 1,
    due_at = CASE WHEN lease_holder IS NOT NULL THEN due_at ELSE now() END,
    attempts = 0, parked = false, failure_class = '', failure_code = ''`

const sqlRequestPush = partWant + ` WHERE id = $1`

// RequestPushes does what RequestPush does for all ARCs of an RDI or, with "",
// for all ARCs, and says for how many. Their logs do not mention it. It is done in
// batches, so that nobody who submits one of them waits for all of them; the number
// is right if there is an error as well.
func (s *Store) RequestPushes(ctx context.Context, rdi string, by Actor) (int64, error) {
	return s.requestPushes(ctx, `$1::text = '' OR rdi = $1`, rdi, Audit{Actor: by, Action: "arc.resync", RDI: rdi})
}

func (s *Store) requestPushes(ctx context.Context, condition, argument string, a Audit) (int64, error) {
	n, err := s.inBatches(ctx, "request pushes", partWant, condition, argument, func(tx pgx.Tx) error { return audit(ctx, tx, a) })
	if n > 0 {
		s.bell.ring()
	}
	return n, err
}

// Park takes an ARC out of the queue until its content changes or somebody
// requests a push. The fault is ARCNotFound if there is none.
func (s *Store) Park(ctx context.Context, arc ID, reason string, by Actor) error {
	return s.tx(ctx, "park", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlPark, arc[:], reason)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fault.New(fault.ARCNotFound, nil)
		}
		if _, err := tx.Exec(ctx, sqlAddEvent, arc[:], EventNote, "Parked: "+reason); err != nil {
			return err
		}
		return audit(ctx, tx, Audit{Actor: by, Action: "arc.park", ARC: arc, Detail: reason})
	})
}

// A push under way is fenced off: it can no longer record.
const sqlPark = `
UPDATE arc SET parked = true, due_at = NULL, lease_holder = NULL, lease_until = NULL, failed_at = now(),
    failure_class = 'refused', failure_code = 'parked_by_hand', failure_text = $2, failure_owner = 'operator',
    failure_remedy = 'middleware-api unpark ' || encode(id, 'hex')
WHERE id = $1`
