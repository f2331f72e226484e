package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// A synchroniser counts as alive on every host while it gives signs of life, for a
// moment after an orderly end, and no longer when it has fallen silent.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	alive := func() bool { return must(s.SynchroniserAlive(t.Context()))(t) }
	if alive() {
		t.Fatal("alive before any sign of life")
	}
	ends := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	for _, q := range []store.Synchroniser{{Holder: "b/1", Host: "b", Remote: "git", Pushing: 3, Token: store.Token{Name: "middleware", Ends: ends}}, {Holder: "a/7", Host: "a", Remote: "git"}} {
		if err := s.Beat(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	list := must(s.Synchronisers(t.Context()))(t)
	if len(list) != 2 || list[0].Host != "a" || !list[0].Alive || list[1].Pushing != 3 || !alive() {
		t.Fatalf("alive %t, list %+v", alive(), list)
	}
	if got := list[1].Token; list[0].Token != (store.Token{}) || got.Name != "middleware" || !got.Ends.Equal(ends) || got.Refused {
		t.Errorf("tokens %+v and %+v", list[0].Token, got)
	}
	// a ends in order, b is killed.
	if err := s.EndBeat(t.Context(), "a/7"); err != nil {
		t.Fatal(err)
	}
	sql(t, dsn, `UPDATE synchroniser SET started_at = now() - interval '1 h', beat_at = now() - interval '20 s' WHERE holder = 'b/1'`)
	list = must(s.Synchronisers(t.Context()))(t)
	if len(list) != 1 || list[0].Holder != "b/1" || list[0].Alive || list[0].Age < store.SilentAfter {
		t.Errorf("list %+v, want only the silent one", list)
	}
	if !alive() {
		t.Error("one that is being restarted is missed at once")
	}
	sql(t, dsn, `UPDATE synchroniser SET ended_at = now() - interval '6 s' WHERE holder = 'a/7'`)
	if alive() {
		t.Error("alive after the last one has ended")
	}
	// The same process name again, after a restart.
	if err := s.Beat(t.Context(), store.Synchroniser{Holder: "a/7", Host: "a", Remote: "git"}); err != nil || !alive() {
		t.Errorf("after its return: %v, alive %t", err, alive())
	}
	// In a container the same name is that of another process.
	if err := s.Beat(t.Context(), store.Synchroniser{Holder: "a/7", Host: "a", Remote: "git", Up: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if list = must(s.Synchronisers(t.Context()))(t); list[0].Beat.Sub(list[0].StartedAt).Round(time.Minute) != time.Hour {
		t.Errorf("started at %s, told at %s that it has lived for an hour", list[0].StartedAt, list[0].Beat)
	}
	if err := s.Beat(t.Context(), store.Synchroniser{Holder: "a/7", Host: "a", Remote: "git"}); err != nil {
		t.Fatal(err)
	}
	if list = must(s.Synchronisers(t.Context()))(t); !list[0].StartedAt.Equal(list[0].Beat) {
		t.Errorf("started at %s, want %s: it has been started anew", list[0].StartedAt, list[0].Beat)
	}
	// b is started anew, under the name of another process.
	if err := s.Beat(t.Context(), store.Synchroniser{Holder: "b/2", Host: "b", Remote: "git"}); err != nil {
		t.Fatal(err)
	}
	list = must(s.Synchronisers(t.Context()))(t)
	if len(list) != 2 || list[1].Holder != "b/2" {
		t.Errorf("list %+v, want the successor in place of the dead", list)
	}
}

// A database whose clock is behind that of the one before it (a failover, a restored machine) has
// signs of life from times to come: of the dead as well, which neither live on for as long nor hide
// those who live.
func TestSignsOfLifeFromTheFuture(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	beat := func(holder string) {
		t.Helper()
		if err := s.Beat(t.Context(), store.Synchroniser{Holder: holder, Host: "a", Remote: "git"}); err != nil {
			t.Fatal(err)
		}
	}
	beat("a/1")
	sql(t, dsn, `UPDATE synchroniser SET started_at = now() + interval '10 min', beat_at = now() + interval '20 min'`)
	if must(s.SynchroniserAlive(t.Context()))(t) {
		t.Error("alive, although nobody has given a sign of life by this clock")
	}
	if list := must(s.Synchronisers(t.Context()))(t); len(list) != 0 {
		t.Errorf("list %+v, want none", list)
	}
	beat("a/2")
	if list := must(s.Synchronisers(t.Context()))(t); len(list) != 1 || list[0].Holder != "a/2" || !list[0].Alive || !must(s.SynchroniserAlive(t.Context()))(t) {
		t.Errorf("list %+v, want the one that lives", list)
	}
}

// The budget for new projects is shared: what one process has given out another does not give again, a turn once given is kept, and the forecast says when all are served.
func TestCreationBudget(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	a, b := open(t, dsn), open(t, dsn)
	budget := store.Budget{Remote: "git", PerHour: 60, Burst: 3}
	turn := func(s *store.Store, name string) time.Duration {
		t.Helper()
		return must(s.CreationTurn(t.Context(), budget, idOf(name)))(t)
	}
	near := func(got, want time.Duration) bool { return got > want-5*time.Second && got <= want }
	names := []string{"A", "B", "C", "D", "E", "F"}
	for _, name := range names {
		submit(t, a, submission(name, "x"))
	}
	if err := a.SetBudget(t.Context(), budget); err != nil {
		t.Fatal(err)
	}
	forecast := func() store.Forecast {
		t.Helper()
		list := must(a.Forecasts(t.Context()))(t)
		if len(list) != 1 || list[0].PerHour != 60 {
			t.Fatalf("forecasts %+v", list)
		}
		return list[0]
	}
	// Three at once, then one a minute: the sixth has its turn in three minutes.
	if f := forecast(); f.ToDo != 6 || !near(time.Until(f.DoneAt), 3*time.Minute) {
		t.Errorf("before: %+v, in %s", f, time.Until(f.DoneAt))
	}
	for i, name := range names[:4] {
		s := a
		if i%2 == 1 {
			s = b
		}
		got := turn(s, name)
		if i < 3 && got != 0 || i == 3 && !near(got, time.Minute) {
			t.Errorf("turn of %s in %s", name, got)
		}
	}
	if got := turn(a, "D"); !near(got, time.Minute) {
		t.Errorf("asked again: %s, want the same turn", got)
	}
	if got := turn(b, "A"); got != 0 {
		t.Errorf("after a failed attempt: %s, want the turn it had", got)
	}
	for _, c := range claimN(t, a, 9) {
		if c.ID == idOf("A") || c.ID == idOf("B") {
			push(t, a, c, "c1")
		}
	}
	if f := forecast(); f.ToDo != 4 || !near(time.Until(f.DoneAt), 3*time.Minute) {
		t.Errorf("in between: %+v, in %s", f, time.Until(f.DoneAt))
	}
	if got := turn(b, "E"); !near(got, 2*time.Minute) {
		t.Errorf("turn of E in %s", got)
	}
	// What is parked needs no project for now, and what has its turn keeps it, however
	// many are allowed from now on.
	if err := a.Park(t.Context(), idOf("F"), "odd", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	if err := a.SetBudget(t.Context(), store.Budget{Remote: "git", PerHour: 3600, Burst: 360}); err != nil {
		t.Fatal(err)
	}
	list := must(a.Forecasts(t.Context()))(t)
	if len(list) != 1 || list[0].ToDo != 3 || !near(time.Until(list[0].DoneAt), 2*time.Minute) {
		t.Errorf("with a larger budget: %+v, want 3 in two minutes", list)
	}
	// Time passes: what was kept for later comes due, and old turns are forgotten.
	sql(t, dsn, `UPDATE creation_turn SET at = at - interval '2 hours'`)
	sql(t, dsn, `UPDATE creation_budget SET next_turn = next_turn - interval '2 hours'`)
	for _, name := range names[:3] {
		if got := turn(a, name); got != 0 {
			t.Errorf("two hours later: turn of %s in %s", name, got)
		}
	}
	if got := turn(a, "D"); !near(got, time.Minute) {
		t.Errorf("two hours later: turn of D in %s", got)
	}
	if got := must(a.CreationTurn(t.Context(), store.Budget{Remote: "git"}, idOf("Z")))(t); got != 0 {
		t.Errorf("without a limit: %s", got)
	}
	if err := a.SetBudget(t.Context(), store.Budget{Remote: "git"}); err != nil {
		t.Fatal(err)
	}
	if list := must(a.Forecasts(t.Context()))(t); len(list) != 0 {
		t.Errorf("forecast without a budget: %+v", list)
	}
}

// An ARC whose claims are lost again and again is kept apart from the others, with the number of times; any end of a push, other content or a request by hand starts the count anew.
func TestInterruptionsAreCounted(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "x"))
	at := store.ClaimRequest{Holder: "t", Limit: 9, Remote: "git"} // leases that end at once
	claim := func() *store.Claim {
		t.Helper()
		claims := must(s.ClaimDue(t.Context(), at))(t)
		if len(claims) != 1 {
			t.Fatalf("%d claims, want 1", len(claims))
		}
		return claims[0]
	}
	suspect := func() *store.Claim {
		t.Helper()
		if more := must(s.ClaimDue(t.Context(), at))(t); len(more) != 0 {
			t.Fatalf("a suspect is given together with others: %+v", more[0])
		}
		if !must(s.SuspectsDue(t.Context()))(t) {
			t.Fatal("no suspect is due")
		}
		c := must(s.ClaimSuspect(t.Context(), at))(t)
		if c == nil {
			t.Fatal("no suspect")
		}
		return c
	}
	for n := range 3 {
		if got := claim().Interrupted; got != n {
			t.Errorf("claim %d: %d interruptions", n, got)
		}
	}
	why := fault.New(fault.PushInterrupted, nil)
	told := store.Failure{Class: store.Transient, Code: why.Code, Text: why.Text, Owner: why.Owner, Remedy: why.Remedy}
	if got := read(t, s, idOf("A")).Git; got.Failure != told || got.FailedAt.IsZero() {
		t.Errorf("after interruptions: got %+v, want %+v and when", got, told)
	}
	if got := suspect().Interrupted; got != 3 {
		t.Errorf("suspect: %d interruptions, want 3", got)
	}
	// Other content counts anew, and is given with the others as soon as that is known.
	submit(t, s, submission("A", "y"))
	if got := suspect().Interrupted; got != 1 {
		t.Errorf("with other content: %d interruptions, want 1", got)
	}
	c := claim()
	if c.Interrupted != 2 {
		t.Errorf("again: %d interruptions, want 2", c.Interrupted)
	}
	if err := s.RecordFailure(t.Context(), c, store.Failure{Class: store.Transient, Code: "x"}); err != nil {
		t.Fatal(err)
	}
	if got := claim().Interrupted; got != 0 {
		t.Errorf("after a failure that was recorded: %d interruptions", got)
	}
	if got := claim().Interrupted; got != 1 {
		t.Errorf("after that: %d interruptions, want 1", got)
	}
	if err := s.RequestPush(t.Context(), idOf("A"), store.Actor{}); err != nil {
		t.Fatal(err)
	}
	c = claim()
	if c.Interrupted != 1 {
		t.Errorf("after a request: %d interruptions, want 1", c.Interrupted)
	}
	c = claim()
	push(t, s, c, "c1")
	if must(s.SuspectsDue(t.Context()))(t) {
		t.Error("still suspect after a push")
	}
	if more := must(s.ClaimSuspect(t.Context(), at))(t); more != nil {
		t.Errorf("nothing is due, but got %+v", more)
	}
	// What comes next is no suspect any more.
	submit(t, s, submission("A", "z"))
	if got := claim().Interrupted; got != 0 {
		t.Errorf("new content after a push: %d interruptions", got)
	}
	claim()
	claim()
	at.Lease = time.Hour
	suspect()
	if must(s.SuspectsDue(t.Context()))(t) {
		t.Error("a suspect that somebody holds is due")
	}
}

// A synchroniser that fell silent has a successor only where one with the same remote
// was started on its host since, and one beside it is none; and none is remembered for ever.
func TestSilentSynchronisersAreForgotten(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	sql(t, dsn, `INSERT INTO synchroniser (holder, host, remote, started_at, beat_at, ended_at) VALUES
		('silent', 'a', 'git', now() - interval '3 h', now() - interval '2 h', NULL),
		('other remote', 'a', 'hub', now() - interval '1 h', now(), NULL),
		('other host', 'b', 'git', now() - interval '1 h', now(), NULL),
		('just ended', 'c', 'git', now() - interval '1 h', now() - interval '30 s', now() - interval '30 s'),
		('ended', 'c', 'git', now() - interval '1 h', now() - interval '2 min', now() - interval '2 min'),
		('elder', 'd', 'git', now() - interval '3 h', now(), NULL),
		('younger', 'd', 'git', now() - interval '1 h', now(), NULL),
		('long dead', 'c', 'git', now() - interval '30 h', now() - interval '25 h', NULL)`)
	listed := func() (holders []string) {
		for _, q := range must(s.Synchronisers(t.Context()))(t) {
			holders = append(holders, q.Holder)
		}
		return holders
	}
	if diff := cmp.Diff([]string{"silent", "other remote", "other host", "elder", "younger"}, listed()); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	if err := s.EndBeat(t.Context(), "other host"); err != nil {
		t.Fatal(err)
	}
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	rows := must(conn.Query(t.Context(), "SELECT holder FROM synchroniser ORDER BY holder"))(t)
	kept := must(pgx.CollectRows(rows, pgx.RowTo[string]))(t)
	if diff := cmp.Diff([]string{"elder", "just ended", "other host", "other remote", "silent", "younger"}, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// Who pushes suspects alone is given nothing else, however long that has been due.
func TestOnlySuspectsArePushedAlone(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "x"))
	for range store.SuspectAfter + 1 {
		must(s.ClaimDue(t.Context(), store.ClaimRequest{Holder: "t", Limit: 1, Remote: "git"}))(t)
	}
	submit(t, s, submission("B", "x"))
	at := store.ClaimRequest{Holder: "t", Limit: 1, Lease: time.Hour, Remote: "git"}
	if c := must(s.ClaimSuspect(t.Context(), at))(t); c == nil || c.ID != idOf("A") {
		t.Fatalf("got %+v, want the suspect", c)
	}
	if c := must(s.ClaimSuspect(t.Context(), at))(t); c != nil {
		t.Errorf("got %s, which nobody suspects", c.Identifier)
	}
}
