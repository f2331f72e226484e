package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// RequestPushesOfCause makes all ARCs due that are failing or parked for one
// cause, after somebody has mended it, and says how many. Their logs do not
// mention it.
func (s *Store) RequestPushesOfCause(ctx context.Context, code fault.Code, by Actor) (n int64, err error) {
	err = s.longTx(ctx, "request pushes", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlRequestPushesOfCause, string(code))
		if err != nil {
			return err
		}
		n = tag.RowsAffected()
		return audit(ctx, tx, Audit{Actor: by, Action: "arc.resync", Detail: "all with cause " + string(code)})
	})
	if err == nil {
		s.bell.ring()
	}
	return n, err
}

const sqlRequestPushesOfCause = partWant + `
FROM (
    SELECT id AS chosen FROM arc WHERE git_state <> 'synced' AND git_state IN ('failing', 'parked') AND failure_code = $1
    ORDER BY id FOR NO KEY UPDATE
) c
WHERE id = c.chosen`
