package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// A new ARC is created and due, other content updates it, and each says so in
// its log and in the audit trail.
func TestSubmissionsCreateAndUpdate(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	first := submit(t, s, submission("A", "one"))
	if first.Outcome != store.Created || first.Lifecycle != store.Active || first.Version != 1 {
		t.Errorf("first: got %+v", first)
	}
	second := submit(t, s, submission("A", "two"))
	if second.Outcome != store.Updated || second.Version != 2 || !second.FirstSeen.Equal(first.FirstSeen) {
		t.Errorf("second: got %+v after %+v", second, first)
	}
	if diff := cmp.Diff([]string{"ARC_CREATED", "ARC_UPDATED"}, eventTypes(t, s, idOf("A"))); diff != "" {
		t.Error(diff)
	}
	a := read(t, s, idOf("A"))
	if a.Hash != hashOf("two") || a.Git.State != store.Due || a.Name != "name of A" {
		t.Errorf("ARC: got %+v", a)
	}
	content := must(s.Content(t.Context(), idOf("A")))(t)
	if string(content.Frame) != "two" || content.Version != 2 {
		t.Errorf("content: got %q version %d", content.Frame, content.Version)
	}
	trail := must(s.AuditTrail(t.Context(), idOf("A"), 0, 10))(t)
	if len(trail) != 2 || trail[0].Action != "arc.updated" || trail[0].Version != 2 || trail[1].Action != "arc.created" {
		t.Errorf("audit trail: got %+v", trail)
	}
}

// An identical resubmission refreshes last_seen and nothing else: its content
// is not even produced, there is no event, and nothing becomes due.
func TestAnIdenticalResubmissionSchedulesNothing(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	submit(t, s, submission("A", "one"))
	push(t, s, claim(t, s), "c1")
	before := read(t, s, idOf("A"))
	again := submission("A", "one")
	again.Content = func() []byte {
		t.Error("content was asked for")
		return nil
	}
	r := submit(t, s, again)
	if r.Outcome != store.Unchanged {
		t.Errorf("outcome: got %s, want unchanged", r.Outcome)
	}
	after := read(t, s, idOf("A"))
	if !after.LastSeen.After(before.LastSeen) || !after.LastChanged.Equal(before.LastChanged) || after.Git.State != store.Synced {
		t.Errorf("got %+v\nafter %+v", after, before)
	}
	if diff := cmp.Diff([]string{"ARC_CREATED", "GIT_PUSH_SUCCESS"}, eventTypes(t, s, idOf("A"))); diff != "" {
		t.Error(diff)
	}
}

// In a run of new ARCs, where contents are sent without asking, an identical
// resubmission schedules nothing either, and a run of them is noticed.
func TestResubmissionsAmongNewARCsScheduleNothing(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for i := range 200 {
		submit(t, s, submission(fmt.Sprint("N", i), fmt.Sprint("content ", i)))
	}
	for _, c := range claimN(t, s, 200) {
		push(t, s, c, "c")
	}
	sent := 0
	for i := range 200 {
		again := submission(fmt.Sprint("N", i), fmt.Sprint("content ", i))
		content := again.Content
		again.Content = func() []byte { sent++; return content() }
		if r := submit(t, s, again); r.Outcome != store.Unchanged || r.Version != 1 {
			t.Fatalf("got %+v, want version 1 unchanged", r)
		}
		if a := read(t, s, idOf(again.Identifier)); a.Git.State != store.Synced {
			t.Fatalf("%s is %s", again.Identifier, a.Git.State)
		}
	}
	if sent == 0 || sent > 20 {
		t.Errorf("%d of 200 known contents were sent, want a few, until the run is noticed", sent)
	}
	c, err := s.Content(t.Context(), idOf("N7"))
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Frame) != "content 7" {
		t.Errorf("content is %q", c.Frame)
	}
}

// Nor does it touch anything but what tells that the ARC has been seen: one that is
// parked or failing stays as it is, with its attempts and its next one, and the harvest
// that brought the content stays the one that did.
func TestResubmissionsAmongNewARCsKeepTheRest(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for i := range 200 {
		submit(t, s, submission(fmt.Sprint("N", i), fmt.Sprint("content ", i)))
	}
	before := map[string]store.ARC{}
	for i, c := range claimN(t, s, 200) {
		load(t, s, c)
		f := store.Failure{Class: store.Refused, Code: "hook_declined", Text: "no", Park: true}
		if i%2 == 1 {
			f = store.Failure{Class: store.Transient, Code: "remote_error", Text: "later", Delay: time.Hour}
		}
		if err := s.RecordFailure(t.Context(), c, f); err != nil {
			t.Fatal(err)
		}
		before[c.Identifier] = read(t, s, c.ID)
	}
	h := begin(t, s)
	sent := 0
	for i := range 20 {
		again := inHarvest(h, fmt.Sprint("N", i), fmt.Sprint("content ", i))
		content := again.Content
		again.Content = func() []byte { sent++; return content() }
		again.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		submit(t, s, again)
		seen := cmpopts.IgnoreFields(store.ARC{}, "LastSeen", "LastHarvest")
		if diff := cmp.Diff(before[again.Identifier], read(t, s, idOf(again.Identifier)), seen); diff != "" {
			t.Errorf("%s (-before +after):\n%s", again.Identifier, diff)
		}
	}
	if sent < 2 {
		t.Errorf("%d contents were sent without asking, want some", sent)
	}
	// The push continues the trace of the submission that brought the content.
	must(s.RequestPushes(t.Context(), "r", store.Actor{}))(t)
	for _, c := range claimN(t, s, 200) {
		if c.Traceparent != "" {
			t.Errorf("%s is pushed in the trace of a submission that changed nothing", c.Identifier)
		}
	}
}

// Of two processes that submit the same new ARC at once, exactly one creates it.
func TestTwoProcessesCreateAnARCOnce(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	for i := range 50 {
		name := fmt.Sprint("A", i)
		var wg sync.WaitGroup
		results := make([]*store.Result, 2)
		for n, s := range []*store.Store{a, b} {
			wg.Go(func() { results[n] = submit(t, s, submission(name, "same")) })
		}
		wg.Wait()
		created := 0
		for _, r := range results {
			if r.Outcome == store.Created {
				created++
			}
		}
		if created != 1 || read(t, a, idOf(name)).Version != 1 {
			t.Fatalf("%s: created %d times: %+v %+v", name, created, results[0], results[1])
		}
		if n := len(eventTypes(t, a, idOf(name))); n != 1 {
			t.Fatalf("%s: %d events, want 1", name, n)
		}
	}
}

// Two processes that store the same ARCs in any order do not stand in each
// other's way: no submission fails, and every ARC ends with one of the contents.
func TestProcessesDoNotDeadlock(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	var wg sync.WaitGroup
	for n, s := range []*store.Store{a, b} {
		for i := range 200 {
			wg.Go(func() {
				name := fmt.Sprint("A", (i*(7+n*4))%40)
				submit(t, s, submission(name, fmt.Sprint(n, i%3)))
			})
		}
	}
	wg.Wait()
	for i := range 40 {
		arc := read(t, a, idOf(fmt.Sprint("A", i)))
		if got := len(eventTypes(t, a, arc.ID)); int64(got) != arc.Version {
			t.Errorf("%s: %d events for %d versions", arc.Identifier, got, arc.Version)
		}
	}
}

// What somebody else does to the row of an ARC while it is resubmitted makes it
// neither new nor changed, and it counts as seen.
func TestAResubmissionDuringAChangeOfTheRow(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	submit(t, s, submission("A", "x"))
	submit(t, s, submission("B", "x"))
	h := begin(t, s)
	other := must(connect(dsn))(t)
	defer other.Close(context.Background())
	tx := must(other.Begin(t.Context()))(t)
	if _, err := tx.Exec(t.Context(), `UPDATE arc SET attempts = attempts + 1, last_seen = now() - interval '1 day' WHERE identifier = 'A'`); err != nil {
		t.Fatal(err)
	}
	results := make(chan *store.Result)
	go func() {
		r, err := s.Submit(context.Background(), inHarvest(h, "A", "x"))
		if err != nil {
			t.Errorf("submit: %v", err)
		}
		results <- r
	}()
	awaitLock(t, dsn, "the submission waits for the row")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := <-results
	a := read(t, s, idOf("A"))
	if r == nil || r.Outcome != store.Unchanged || a.Version != 1 || a.LastSeen.Before(h.StartedAt) {
		t.Errorf("result %+v, ARC %+v", r, a)
	}
	if ended := end(t, s, h, store.EndOptions{}); ended.Statistics.Unchanged != 1 || ended.Statistics.New+ended.Statistics.Updated != 0 {
		t.Errorf("statistics %+v", ended.Statistics)
	}
}

// One submission that PostgreSQL cannot hold fails by itself, with a fault that
// tells its sender, and none of those that shared its group.
func TestAPoisonedSubmissionHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	errs := make([]error, 60)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			sub := submission(fmt.Sprint("A", i), "x")
			if i%20 == 7 {
				sub.Identifier = "a\x00b"
			}
			_, errs[i] = s.Submit(context.Background(), sub)
		})
	}
	wg.Wait()
	for i, err := range errs {
		_, missing := s.ARC(t.Context(), idOf(fmt.Sprint("A", i)))
		switch {
		case i%20 == 7 && (fault.CodeOf(err) != fault.StoreRejected || fault.CodeOf(missing) != fault.ARCNotFound):
			t.Errorf("poisoned %d: got %v and %v", i, err, missing)
		case i%20 != 7 && (err != nil || missing != nil):
			t.Errorf("good %d: got %v and %v", i, err, missing)
		}
	}
}

// Many submissions of one ARC in one process all succeed, one after the other.
func TestSubmissionsOfOneARCAreSerialised(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { submit(t, s, submission("A", fmt.Sprint("content ", i))) })
	}
	wg.Wait()
	if a := read(t, s, idOf("A")); a.Version != 100 {
		t.Errorf("version: got %d, want 100", a.Version)
	}
}

// Concurrent submissions share commits: a hundred of them need far fewer.
func TestConcurrentSubmissionsShareCommits(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{})
	dsn := c.DSN()
	s := open(t, dsn)
	submit(t, s, submission("warm", "up"))
	commits := func() (n int64) {
		conn := must(connect(dsn))(t)
		defer conn.Close(context.Background())
		// A WAL flush is what a commit costs.
		if err := conn.QueryRow(t.Context(), "SELECT wal_sync FROM pg_stat_wal").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	sql(t, dsn, "SELECT pg_stat_reset_shared('wal')")
	before := commits()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() { submit(t, s, submission(fmt.Sprint("A", i), strings.Repeat("x", 1000))) })
	}
	wg.Wait()
	s.Close()
	var flushes int64
	testenv.Await(t, "statistics of the WAL", func() bool {
		flushes = commits() - before
		return flushes > 0
	})
	if flushes > 100 {
		t.Errorf("200 concurrent submissions took %d flushes, want less than half", flushes)
	}
}

// The newest events are kept, as many as configured, and the table does not
// grow beyond that for long.
func TestTheEventLogIsBounded(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := must(store.Open(t.Context(), store.Options{DSN: dsn, EventLimit: 10}))(t)
	defer s.Close()
	for i := range 40 {
		submit(t, s, submission("A", fmt.Sprint(i)))
	}
	if got := eventTypes(t, s, idOf("A")); len(got) != 10 || got[0] != "ARC_UPDATED" {
		t.Errorf("log: got %v, want the 10 newest", got)
	}
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	var rows int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM event").Scan(&rows); err != nil || rows > 12 {
		t.Errorf("table: got %d rows, %v; want at most 12", rows, err)
	}
}

// Pushes alone, which write into the log as well, fill it no more than submissions do.
func TestTheEventLogIsBoundedByPushesToo(t *testing.T) {
	t.Parallel()
	for name, push := range map[string]func(*store.Store, *store.Claim, int) error{
		"that fail": func(s *store.Store, c *store.Claim, n int) error {
			return s.RecordFailure(t.Context(), c, store.Failure{Class: store.Transient, Code: fault.Code(fmt.Sprint("code_", n%2)), Text: "no"})
		},
		"that were asked for": func(s *store.Store, c *store.Claim, n int) error {
			load(t, s, c)
			if err := s.RecordPush(t.Context(), c, store.Pushed{Commit: fmt.Sprint(n)}); err != nil {
				return err
			}
			_, err := s.RequestPushes(t.Context(), "", store.Actor{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			s := must(store.Open(t.Context(), store.Options{DSN: dsn, EventLimit: 10}))(t)
			defer s.Close()
			submit(t, s, submission("A", "x"))
			for n := range 40 {
				if err := push(s, claim(t, s), n); err != nil {
					t.Fatal(err)
				}
			}
			conn := must(connect(dsn))(t)
			defer conn.Close(context.Background())
			var rows int
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM event").Scan(&rows); err != nil || rows > 12 {
				t.Errorf("table: got %d rows, %v; want at most 12", rows, err)
			}
		})
	}
}

// The log that comes with a result is the one that can be read afterwards, whatever
// became of the submission and whichever statement found that out, and it is as
// bounded; who does not ask gets none.
func TestResultsTellTheLog(t *testing.T) {
	t.Parallel()
	for name, news := range map[string]int{"asked first": 0, "sent at once": 120} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := must(store.Open(t.Context(), store.Options{DSN: pgtest.DSN(t), EventLimit: 4}))(t)
			defer s.Close()
			for i := range news {
				submit(t, s, submission(fmt.Sprint("N", i), fmt.Sprint(i)))
			}
			check := func(content string, want store.Outcome) {
				t.Helper()
				sub := submission("A", content)
				sub.WithLog = true
				r := submit(t, s, sub)
				if r.Outcome != want {
					t.Fatalf("got %s, want %s", r.Outcome, want)
				}
				stored := must(s.Events(t.Context(), idOf("A")))(t)
				if diff := cmp.Diff(stored, r.Log, cmpopts.IgnoreFields(store.Event{}, "ID", "Harvest")); diff != "" {
					t.Errorf("%s: %s", want, diff)
				}
			}
			check("one", store.Created)
			check("one", store.Unchanged)
			check("two", store.Updated)
			if err := s.AddEvent(t.Context(), idOf("A"), store.EventNote, "by hand"); err != nil {
				t.Fatal(err)
			}
			end(t, s, begin(t, s), store.EndOptions{MissingLimit: 1})
			if a := read(t, s, idOf("A")); a.Lifecycle != store.Missing {
				t.Fatalf("the ARC is %s, want missing", a.Lifecycle)
			}
			check("two", store.Restored)
			check("two", store.Unchanged)
			check("three", store.Updated)
			check("four", store.Updated)
			if r := submit(t, s, submission("A", "four")); r.Log != nil {
				t.Errorf("nobody asked for %+v", r.Log)
			}
		})
	}
}
