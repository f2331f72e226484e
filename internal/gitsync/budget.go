package gitsync

import (
	"context"
	"time"

	"github.com/fairagro/middleware-api/internal/store"
)

// Budget allows so many new projects in an hour, a tenth of them at once; 0 is no
// limit.
func Budget(remoteName string, perHour int) store.Budget {
	return store.Budget{Remote: remoteName, PerHour: perHour, Burst: max(perHour/10, 1)}
}

// CreationTurns gives ARCs their turns to get a project, out of the budget that
// all synchronisers of the database share. It tells how long an ARC has to wait.
func CreationTurns(st *store.Store, b store.Budget) func(ctx context.Context, arcID string) (time.Duration, error) {
	return func(ctx context.Context, arcID string) (time.Duration, error) {
		if b.PerHour <= 0 {
			return 0, nil
		}
		id, err := store.ParseID(arcID)
		if err != nil {
			return 0, err
		}
		return st.CreationTurn(ctx, b, id)
	}
}
