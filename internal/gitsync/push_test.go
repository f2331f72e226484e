package gitsync_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
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

// What depends on the context of a push ends with it.
func TestAPushEndsItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pushing := make(chan context.Context, 1)
	r.run(t, answering(func(ctx context.Context, _ *remote.Push) (remote.Result, error) {
		pushing <- ctx
		return remote.Result{Commit: "0123456789012345678901234567890123456789", Changed: true}, nil
	}), nil)
	r.awaitState(t, r.submit(t, "a", "version 1"), "synced")
	push := <-pushing
	testenv.Await(t, "the end of its context", func() bool { return push.Err() != nil })
}

// speaking is a remote that knows what the other side thinks of the token.
type speaking struct {
	answering

	token remote.Token
}

func (s speaking) Token(context.Context) (remote.Token, error) { return s.token, nil }

// What the git server tells of the token is told to everybody who asks the database.
func TestTheTokenIsToldToOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	r.run(t, speaking{token: remote.Token{Name: "middleware", Expires: ends}}, nil)
	testenv.Await(t, "the token to be known", func() bool {
		all, err := r.store.Synchronisers(t.Context())
		return err == nil && len(all) == 1 && all[0].Token.Name == "middleware" && all[0].Token.Ends.Equal(ends)
	})
}

// counting counts what a database is asked.
type counting struct{ asked atomic.Int64 }

func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.asked.Add(1)
	return ctx
}

func (*counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A synchroniser that has nothing to do leaves the database alone between its looks.
func TestAnIdleSynchroniserRests(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var c counting
	st, err := store.Open(t.Context(), store.Options{DSN: r.dsn, Tracer: &c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	r.store = st
	r.run(t, r.fileRemote(t), nil)
	r.awaitState(t, r.submit(t, "a", "version 1"), "synced")
	before := c.asked.Load()
	time.Sleep(2 * options().Poll)
	// Each look asks less than ten times; nobody who asks all the time asks as rarely.
	if asked := c.asked.Load() - before; asked > 100 {
		t.Errorf("asked %d times meanwhile", asked)
	}
}

// That nothing can be claimed is told once for each time it happens, and passes.
func TestFailedClaimsAreToldEachTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	conn, err := pgx.Connect(t.Context(), r.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var log testenv.Log
	r.run(t, r.fileRemote(t), func(o *gitsync.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for outage, name := range []string{"a", "b"} {
		r.awaitState(t, r.submit(t, name, "version 1"), "synced")
		if _, err := conn.Exec(t.Context(), `ALTER TABLE interruption RENAME TO away`); err != nil {
			t.Fatal(err)
		}
		testenv.Await(t, "the complaint", func() bool { return log.Count("due arcs cannot be claimed") == outage+1 })
		if _, err := conn.Exec(t.Context(), `ALTER TABLE away RENAME TO interruption`); err != nil {
			t.Fatal(err)
		}
	}
}
