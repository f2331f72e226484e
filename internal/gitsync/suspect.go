package gitsync

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

const (
	// aloneEvery is how long suspects wait while there is other work.
	aloneEvery = 10 * time.Second
	// alonePatience bounds the time for which other ARCs wait: until the pushes
	// under way have ended before a suspect begins, and until it has ended before
	// they go on.
	alonePatience = 10 * time.Second
)

// pushSuspects pushes the ARCs that have been in the hands of synchronisers that
// died, one at a time and with nothing beside them: when another one dies, it is
// known by which. It tells whether it pushed any.
func (s *Syncer) pushSuspects(ctx context.Context, push func(*store.Claim), idle bool) bool {
	if !idle && time.Since(s.alone) < aloneEvery {
		return false
	}
	s.alone = time.Now()
	due, err := s.store.SuspectsDue(ctx)
	if err != nil || !due {
		return false
	}
	pushed := false
	for ctx.Err() == nil && time.Since(s.alone) < alonePatience {
		s.hands.quiet(ctx, alonePatience)
		if s.hands.wait(ctx) == 0 {
			break
		}
		c, err := s.store.ClaimSuspect(ctx, s.request(1, false))
		if err != nil || c == nil {
			break
		}
		pushed = true
		push(c)
	}
	s.hands.quiet(ctx, alonePatience)
	s.alone = time.Now()
	return pushed
}

// crashes parks an ARC that has ended the synchroniser too often, and tells
// whether it did.
func (s *Syncer) crashes(ctx context.Context, c *store.Claim, log *slog.Logger) bool {
	if c.Interrupted < s.opt.Interruptions {
		return false
	}
	s.fail(ctx, c, remote.Fail(fault.PushCrashes, fmt.Errorf("%d pushes in a row were cut off", c.Interrupted)), log)
	return true
}
