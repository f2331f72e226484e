package store

import (
	"context"

	"github.com/fairagro/middleware-api/internal/fault"
)

// RequestPushesOfCause makes all ARCs due that are failing or parked for one
// cause, after somebody has mended it, and says how many. Their logs do not
// mention it.
func (s *Store) RequestPushesOfCause(ctx context.Context, code fault.Code, by Actor) (int64, error) {
	return s.requestPushes(ctx, `git_state <> 'synced' AND git_state IN ('failing', 'parked') AND failure_code = $1`, string(code),
		Audit{Actor: by, Action: "arc.resync", Detail: "all with cause " + string(code)})
}
