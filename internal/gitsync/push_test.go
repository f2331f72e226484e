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

// A remote is told whose ARC comes, since when it is as it is and what it had been given before; and what to call it: as the converter says, or else as it was when it came in.
func TestWhatARemoteIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	told := make(chan *remote.Push, 1)
	r.run(t, answering(func(_ context.Context, p *remote.Push) (remote.Result, error) {
		told <- p
		return remote.Result{Commit: "0123456789012345678901234567890123456789", State: []byte("state"), Changed: true}, nil
	}), func(o *gitsync.Options) {
		o.Build = func(document []byte) (gitsync.Built, error) {
			if string(document) == "named" {
				return gitsync.Built{Identifier: "identifier", Title: "title", Description: "description"}, nil
			}
			return gitsync.Built{}, nil
		}
	})
	id := arcID("a")
	for _, c := range []struct {
		document string
		want     remote.Push
	}{
		{"named", remote.Push{Identifier: "identifier", Title: "title", Description: "description"}},
		{"nameless", remote.Push{Identifier: "a", Title: "b", Description: "c", Recorded: []byte("state")}},
	} {
		_, err := r.store.Submit(t.Context(), &store.Submission{
			ID: id, RDI: "demo", Identifier: "a", Name: "b", Description: "c", Hash: sha256.Sum256([]byte(c.document)), Size: int64(len(c.document)),
			Content: func() []byte { return encoder.EncodeAll([]byte(c.document), nil) },
		})
		if err != nil {
			t.Fatal(err)
		}
		var p *remote.Push
		select {
		case p = <-told:
		case <-time.After(time.Minute):
			t.Fatal("no push")
		}
		if changed := r.state(t, id).LastChanged; p.ARC != id.String() || p.RDI != "demo" || !p.When.Equal(changed) {
			t.Errorf("%s: ARC %s of %q as of %s, want %s of demo as of %s", c.document, p.ARC, p.RDI, p.When, id, changed)
		}
		if p.Identifier != c.want.Identifier || p.Title != c.want.Title || p.Description != c.want.Description || string(p.Recorded) != string(c.want.Recorded) {
			t.Errorf("%s: told %+v, want %+v", c.document, p, c.want)
		}
		r.awaitState(t, id, "synced")
	}
}
