package gitsync_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// A push that takes its time is a sign of life, one that goes on beyond its
// limit is none, and the status line counts what was done, is under way and waits.
func TestAliveUntilAPushHangs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit time.Duration
		hangs bool
	}{"slow": {time.Hour, false}, "hanging": {50 * time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			entered, goOn := make(chan struct{}), make(chan struct{})
			w := &watched{Remote: r.fileRemote(t), before: func(_ context.Context, n int) error {
				if n == 2 { // whatever happens to its context
					close(entered)
					<-goOn
				}
				return nil
			}}
			opt := options()
			opt.PushLimit = c.limit
			s := gitsync.New(r.store, w, opt)
			if err := s.Alive(t.Context()); err != nil {
				t.Errorf("before the start: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()

			r.awaitState(t, r.submit(t, "a", "version 1"), "synced")
			second := r.submit(t, "b", "version 1")
			<-entered
			testenv.Await(t, "the status line", func() bool { return strings.Contains(s.Status(), "1 pushed, 0 failed, 1 in flight") })
			if c.hangs {
				testenv.Await(t, "a push that hangs", func() bool {
					err := s.Alive(t.Context())
					return err != nil && strings.Contains(err.Error(), "pushing "+second.String())
				})
			} else if err := s.Alive(t.Context()); err != nil {
				t.Errorf("during a slow push: %v", err)
			}
			close(goOn)
			r.awaitState(t, second, "synced")
			testenv.Await(t, "life", func() bool { return s.Alive(t.Context()) == nil })
			testenv.Await(t, "the status line", func() bool { return strings.Contains(s.Status(), "2 pushed, 0 failed, 0 in flight") })
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// What waits, in the status line, is what will be pushed: not what is parked, however
// much there is of it.
func TestWhatIsParkedIsNotDue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"a", "b", "c"} {
		if err := r.store.Park(t.Context(), r.submit(t, name, "version 1"), "odd", store.Actor{}); err != nil {
			t.Fatal(err)
		}
	}
	r.submit(t, "d", "version 1")
	r.submit(t, "e", "version 1")
	if err := r.store.PauseRemote(t.Context(), "git", fault.New(fault.RemoteDown, nil), time.Hour); err != nil {
		t.Fatal(err)
	}
	s := gitsync.New(r.store, r.fileRemote(t), options())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	const known = " due, git store paused (middleware-api causes)"
	testenv.Await(t, "the status line", func() bool { return strings.HasSuffix(s.Status(), known) })
	if got, want := s.Status(), "0 pushed, 0 failed, 0 in flight, 2"+known; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
