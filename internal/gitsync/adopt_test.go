package gitsync_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

// answering is a remote that answers pushes as the function does.
type answering func(context.Context, *remote.Push) (remote.Result, error)

func (a answering) Push(ctx context.Context, p *remote.Push) (remote.Result, error) { return a(ctx, p) }
func (answering) Head(context.Context, string, string) (string, error)              { return "", nil }
func (answering) Check(context.Context) error                                       { return nil }
func (answering) Close()                                                            {}

// imported stores ARC "a" with content "one" of the system before, which says to have
// pushed it at the given time, if that is not zero.
func (r *rig) imported(tb testing.TB, pushed time.Time) store.ID {
	tb.Helper()
	const document = "one"
	seen := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	a := store.ARC{
		ID: arcID("a"), RDI: "demo", Identifier: "a", Hash: store.Hash(arcID(document)), Size: int64(len(document)), Lifecycle: store.Active,
		FirstSeen: seen, LastSeen: seen, LastChanged: seen,
	}
	if _, err := r.store.ImportARC(tb.Context(), store.Imported{ARC: a, Frame: encoder.EncodeAll([]byte(document), nil), Pushed: pushed}, store.Actor{}); err != nil {
		tb.Fatal(err)
	}
	return a.ID
}

// The head of a repository is taken over as it is only for what the system before says
// to have pushed: nothing new, nothing changed since and nothing that we have pushed, be
// it asked for again.
func TestOnlyWhatWasImportedAsPushedIsAdopted(t *testing.T) {
	t.Parallel()
	const commit = "0123456789012345678901234567890123456789"
	for name, c := range map[string]struct {
		arrange func(*testing.T, *rig) store.ID
		want    bool
	}{
		"imported as pushed": {func(t *testing.T, r *rig) store.ID { t.Helper(); return r.imported(t, time.Now()) }, true},
		"imported":           {func(t *testing.T, r *rig) store.ID { t.Helper(); return r.imported(t, time.Time{}) }, false},
		"new":                {func(t *testing.T, r *rig) store.ID { t.Helper(); return r.submit(t, "a", "one") }, false},
		"changed since": {func(t *testing.T, r *rig) store.ID {
			t.Helper()
			r.imported(t, time.Now())
			return r.submit(t, "a", "two")
		}, false},
		"pushed by us, and asked for": {func(t *testing.T, r *rig) store.ID {
			t.Helper()
			id := r.submit(t, "a", "one")
			stop := r.run(t, answering(func(context.Context, *remote.Push) (remote.Result, error) {
				return remote.Result{Commit: commit, Changed: true}, nil
			}), nil)
			r.awaitState(t, id, "synced")
			stop()
			if err := r.store.RequestPush(t.Context(), id, store.Actor{}); err != nil {
				t.Fatal(err)
			}
			return id
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			id := c.arrange(t, r)
			adopt := make(chan bool, 9)
			r.run(t, answering(func(_ context.Context, p *remote.Push) (remote.Result, error) {
				adopt <- p.Adopt
				return remote.Result{Commit: commit, Changed: true}, nil
			}), nil)
			r.awaitState(t, id, "synced")
			if got := <-adopt; got != c.want {
				t.Errorf("to be adopted: got %t, want %t", got, c.want)
			}
		})
	}
}

// A head that is taken over was made by the system before, whose log came along: there
// is no push to tell of, but the commit is recorded.
func TestWhatIsAdoptedIsNoEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	commit := strings.Repeat("a", 40)
	pushed := time.Now().Add(-time.Hour)
	id := r.imported(t, pushed)
	r.run(t, answering(func(context.Context, *remote.Push) (remote.Result, error) {
		return remote.Result{Commit: commit, Adopted: true}, nil
	}), nil)
	a := r.awaitState(t, id, "synced")
	if n := len(r.events(t, id)); n != 0 || a.Git.Commit != commit {
		t.Errorf("got %d events and commit %q, want none and %s", n, a.Git.Commit, commit)
	}
	if !a.Git.PushedAt.Equal(pushed.Truncate(time.Microsecond)) {
		t.Errorf("pushed at %s, want what was imported, %s", a.Git.PushedAt, pushed)
	}
}
