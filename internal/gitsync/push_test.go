package gitsync_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

// A remote is told whose ARC comes, since when it is as it is and what it had been given before, also if that changed and changed back meanwhile; and what to call it: as the converter says, or else as it was when it came in.
func TestWhatARemoteIsTold(t *testing.T) {
	t.Parallel()
	const commit, place = "0123456789012345678901234567890123456789", "its/place.git"
	r := newRig(t)
	id := arcID("a")
	told := make(chan *remote.Push, 1)
	start := func() (stop func()) {
		return r.run(t, answering(func(_ context.Context, p *remote.Push) (remote.Result, error) {
			told <- p
			return remote.Result{Commit: commit, State: []byte("state"), Ref: place, Changed: true}, nil
		}), func(o *gitsync.Options) {
			o.Build = func(document []byte) (gitsync.Built, error) {
				if string(document) == "named" {
					return gitsync.Built{Identifier: "identifier", Title: "title", Description: "description"}, nil
				}
				return gitsync.Built{}, nil
			}
		})
	}
	submit := func(document string) {
		t.Helper()
		_, err := r.store.Submit(t.Context(), &store.Submission{
			ID: id, RDI: "demo", Identifier: "a", Name: "b", Description: "c", Hash: sha256.Sum256([]byte(document)), Size: int64(len(document)),
			Content: func() []byte { return encoder.EncodeAll([]byte(document), nil) },
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	push := func(want remote.Push) {
		t.Helper()
		var p *remote.Push
		select {
		case p = <-told:
		case <-time.After(time.Minute):
			t.Fatal("no push")
		}
		if changed := r.state(t, id).LastChanged; p.ARC != id.String() || p.RDI != "demo" || !p.When.Equal(changed) {
			t.Errorf("ARC %s of %q as of %s, want %s of demo as of %s", p.ARC, p.RDI, p.When, id, changed)
		}
		if p.Identifier != want.Identifier || p.Title != want.Title || p.Description != want.Description || string(p.Recorded) != string(want.Recorded) {
			t.Errorf("told %+v, want %+v", p, want)
		}
	}
	synced := func() {
		t.Helper()
		if git := r.awaitState(t, id, "synced").Git; git.Commit != commit || git.RemoteRef != place {
			t.Errorf("recorded %s at %q, want %s at %s", git.Commit, git.RemoteRef, commit, place)
		}
	}
	stop := start()
	submit("named")
	push(remote.Push{Identifier: "identifier", Title: "title", Description: "description"})
	synced()
	stop()
	submit("nameless")
	submit("named")
	start()
	synced()
	submit("nameless")
	push(remote.Push{Identifier: "a", Title: "b", Description: "c", Recorded: []byte("state")})
	synced()
}
