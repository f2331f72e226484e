package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// names walks through all pages of a list.
func names(tb testing.TB, s *store.Store, f store.ARCFilter) (out []string) {
	tb.Helper()
	for {
		list, next, err := s.ARCs(tb.Context(), f)
		if err != nil {
			tb.Fatal(err)
		}
		if len(list) > f.Limit {
			tb.Fatalf("page of %d, limit %d", len(list), f.Limit)
		}
		for _, a := range list {
			out = append(out, a.Identifier)
		}
		if next.IsZero() {
			return out
		}
		// As a client gives it back.
		if f.After, err = store.ParseCursor(next.String()); err != nil {
			tb.Fatal(err)
		}
	}
}

// Lists show what the filter asks for and nothing of other RDIs, newest change
// first, complete and without repetition over all pages.
func TestListsAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	h := begin(t, s)
	for i := range 7 {
		submit(t, s, submission(fmt.Sprint("A", i), "x"))
	}
	secret := submission("secret", "x")
	secret.RDI, secret.ID = "q", store.ID{1}
	submit(t, s, secret)
	submit(t, s, inHarvest(h, "A2", "y"))
	submit(t, s, inHarvest(h, "A5", "x"))
	// A0 synced, A1 parked, A3 failing; the rest is due.
	for _, c := range claimN(t, s, 9) {
		load(t, s, c)
		f := store.Failure{Class: store.Transient, Code: "x", Delay: time.Hour}
		var err error
		switch c.Identifier {
		case "A0":
			err = s.RecordPush(t.Context(), c, store.Pushed{Commit: "c"})
		case "A1":
			f.Park = true
			err = s.RecordFailure(t.Context(), c, f)
		case "A3":
			err = s.RecordFailure(t.Context(), c, f)
		default:
			err = s.Release(t.Context(), []*store.Claim{c})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r := []string{"r"}
	for name, c := range map[string]struct {
		f    store.ARCFilter
		want string
	}{
		"newest change first": {store.ARCFilter{RDIs: r}, "A2 A6 A5 A4 A3 A1 A0"},
		"two RDIs":            {store.ARCFilter{RDIs: []string{"q", "r"}}, "A2 secret A6 A5 A4 A3 A1 A0"},
		"all RDIs":            {store.ARCFilter{}, "A2 secret A6 A5 A4 A3 A1 A0"},
		"no RDI":              {store.ARCFilter{RDIs: []string{}}, ""},
		"synced":              {store.ARCFilter{RDIs: r, State: store.Synced}, "A0"},
		"parked":              {store.ARCFilter{RDIs: r, State: store.Parked}, "A1"},
		"failing":             {store.ARCFilter{RDIs: r, State: store.Failing}, "A3"},
		"due":                 {store.ARCFilter{RDIs: r, State: store.Due}, "A2 A6 A5 A4"},
		"code":                {store.ARCFilter{RDIs: r, Code: "x"}, "A3 A1"},
		"code and state":      {store.ARCFilter{RDIs: r, Code: "x", State: store.Parked}, "A1"},
		"another code":        {store.ARCFilter{RDIs: r, Code: "y"}, ""},
		"text in identifier":  {store.ARCFilter{RDIs: r, Text: "a4"}, "A4"},
		"text in name":        {store.ARCFilter{RDIs: r, Text: "NAME OF A6"}, "A6"},
		"missing":             {store.ARCFilter{RDIs: r, Lifecycle: store.Missing}, ""},
		"active":              {store.ARCFilter{RDIs: r, Lifecycle: store.Active, State: store.Due, Text: "5"}, "A5"},
	} {
		for _, limit := range []int{1, 3, 100} {
			c.f.Limit, c.f.After = limit, store.Cursor{}
			if diff := cmp.Diff(strings.Fields(c.want), append([]string{}, names(t, s, c.f)...)); diff != "" {
				t.Errorf("%s, pages of %d: %s", name, limit, diff)
			}
		}
	}
	for _, limit := range []int{1, 100} {
		got := names(t, s, store.ARCFilter{RDIs: r, Harvest: h.ID, Limit: limit})
		if len(got) != 2 || got[0] == got[1] {
			t.Errorf("harvest: got %v, want A2 and A5", got)
		}
	}
	// Those that it did not bring are none of its own.
	later := begin(t, s)
	submit(t, s, inHarvest(later, "A5", "x"))
	if ended := end(t, s, later, store.EndOptions{MissingLimit: 1}); ended.Statistics.Missing != 6 {
		t.Fatalf("got %+v, want six missing", ended.Statistics)
	}
	if got := names(t, s, store.ARCFilter{RDIs: r, Harvest: later.ID, Limit: 100}); len(got) != 1 || got[0] != "A5" {
		t.Errorf("harvest with missing ARCs: got %v, want A5", got)
	}
	if got := names(t, s, store.ARCFilter{RDIs: []string{"q"}, Harvest: h.ID, Limit: 9}); len(got) != 0 {
		t.Errorf("harvest of another RDI: got %v", got)
	}
}

// A cursor that nobody gave out is refused.
func TestMadeUpCursorsAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x", "AAAA", "ä", strings.Repeat("A", 1000)} {
		if _, err := store.ParseCursor(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// The backlog and its causes are counted by RDI, state and code.
func TestBacklogAndCauses(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for i := range 6 {
		submit(t, s, submission(fmt.Sprint("A", i), "x"))
	}
	var first, last store.ID
	for i, c := range claimN(t, s, 5) {
		if i == 1 {
			first = c.ID
		}
		last = c.ID
		load(t, s, c)
		f := store.Failure{Class: store.Transient, Code: "slow", Text: "slow", Owner: "nobody", Delay: time.Hour}
		if i == 0 {
			f = store.Failure{Class: store.Refused, Code: "hook", Text: "hook", Owner: "datahub", Remedy: "ask", Park: true}
		}
		if err := s.RecordFailure(t.Context(), c, f); err != nil {
			t.Fatal(err)
		}
	}
	counts := map[store.GitState]int64{}
	for _, b := range must(s.Backlog(t.Context()))(t) {
		if b.RDI != "r" || b.Oldest.IsZero() {
			t.Errorf("got %+v", b)
		}
		counts[b.State] = b.Count
	}
	if diff := cmp.Diff(map[store.GitState]int64{store.Due: 1, store.Failing: 4, store.Parked: 1}, counts); diff != "" {
		t.Error(diff)
	}
	causes := must(s.Causes(t.Context(), "r"))(t)
	if len(causes) != 2 || causes[0].Code != "slow" || causes[0].Count != 4 || causes[1].Parked != 1 || causes[1].Remedy != "ask" {
		t.Errorf("causes: got %+v", causes)
	}
	// It began with the one that failed first; the sample is fresh.
	if got, want := causes[0].Since, read(t, s, first).Git.FailedAt; !got.Equal(want) || causes[0].Sample != last {
		t.Errorf("since %s, sample %s; want %s and %s", got, causes[0].Sample, want, last)
	}
	// One that was parked before it ever failed has a time as well.
	if err := s.Park(t.Context(), idOf("A5"), "odd", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range must(s.Causes(t.Context(), "r"))(t) {
		if c.Since.IsZero() {
			t.Errorf("no time: %+v", c)
		}
	}
	// What is said of a cause belongs to one ARC, the sample.
	for _, name := range []string{"A5", "A2"} {
		for _, reason := range []string{"odd", "another"} {
			if err := s.Park(t.Context(), idOf(name), reason+" "+name, store.Actor{}); err != nil {
				t.Fatal(err)
			}
			for _, c := range must(s.Causes(t.Context(), "r"))(t) {
				if got := read(t, s, c.Sample).Git.Failure; got.Text != c.Text || got.Remedy != c.Remedy || got.Owner != c.Owner || got.Class != c.Class {
					t.Errorf("the cause %+v is not that of its sample, %+v", c, got)
				}
			}
		}
	}
	if none := must(s.Causes(t.Context(), "q"))(t); len(none) != 0 {
		t.Errorf("another RDI sees %+v", none)
	}
	if totals := must(s.Totals(t.Context()))(t); len(totals) != 1 || totals[0] != (store.Total{RDI: "r", Count: 6}) {
		t.Errorf("totals: got %+v", totals)
	}
}

// However much is asked about many ARCs, and compared with them, it leaves connections to everybody
// else, and waits for its like.
func TestWhatLooksAtManyARCsLeavesConnections(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	h := begin(t, s)
	submit(t, s, inHarvest(h, "A", "x"))
	list := func(f store.ARCFilter) func(context.Context) error {
		return func(ctx context.Context) error {
			f.RDIs, f.Limit = []string{"r"}, 10
			_, _, err := s.ARCs(ctx, f)
			return err
		}
	}
	compare := func(n int) func(context.Context) error {
		pairs := make([]store.Pair, n)
		for i := range pairs {
			pairs[i] = store.Pair{ID: idOf(fmt.Sprint("C", i)), Hash: hashOf("x")}
		}
		return func(ctx context.Context) error { _, err := s.Diff(ctx, h.ID, "r", pairs); return err }
	}
	questions := map[string]func(context.Context) error{
		"totals":    func(ctx context.Context) error { _, err := s.Totals(ctx); return err },
		"causes":    func(ctx context.Context) error { _, err := s.Causes(ctx); return err },
		"prefix":    func(ctx context.Context) error { _, err := s.ARCsByPrefix(ctx, "0", []string{"r"}, 10); return err },
		"text":      list(store.ARCFilter{Text: "x"}),
		"lifecycle": list(store.ARCFilter{Lifecycle: store.Missing}),
		"code":      list(store.ARCFilter{Code: "x"}),
		"synced":    list(store.ARCFilter{State: store.Synced}),
		"harvest":   list(store.ARCFilter{Harvest: h.ID, State: store.Due}),
		"diff":      compare(501),
	}
	large, listed := begin(t, s), begin(t, s)
	for _, h := range []store.Harvest{large, listed} {
		grow(t, dsn, h, 1001)
	}
	questions["count"] = func(ctx context.Context) error { _, err := s.Harvest(ctx, large.ID); return err }
	questions["counts"] = func(ctx context.Context) error {
		_, err := s.Harvests(ctx, store.HarvestFilter{RDIs: []string{"r"}, Limit: 10})
		return err
	}
	leave := s.Occupy()
	var asked sync.WaitGroup
	for name, ask := range questions {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := ask(ctx); fault.CodeOf(err) != fault.StoreTimeout {
				t.Errorf("%s beside others of its kind: %v, want that it waits", name, err)
			}
		})
	}
	asked.Wait()
	for name, ask := range map[string]func(context.Context) error{
		"all": list(store.ARCFilter{}), "due": list(store.ARCFilter{State: store.Due}), "all of a harvest": list(store.ARCFilter{Harvest: h.ID}),
		"backlog":    func(ctx context.Context) error { _, err := s.Backlog(ctx); return err },
		"small diff": compare(500),
		"harvest":    func(ctx context.Context) error { _, err := s.Harvest(ctx, h.ID); return err },
		"upload":     func(ctx context.Context) error { _, err := s.Submit(ctx, submission("B", "x")); return err },
	} {
		if err := ask(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	leave()
	for name, ask := range questions {
		if err := ask(t.Context()); err != nil {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
}

// Of however few connections, what takes long leaves one.
func TestWhatTakesLongLeavesAConnection(t *testing.T) {
	t.Parallel()
	for conns := 2; conns <= 20; conns++ {
		s := must(store.Open(t.Context(), store.Options{DSN: "host=" + t.TempDir(), MaxConns: conns}))(t)
		long, wide, shared := s.Places()
		if shared {
			wide = 0
		}
		if long < 1 || long+wide >= conns || shared != (conns < 3) {
			t.Errorf("of %d connections %d and %d, shared %v", conns, long, wide, shared)
		}
		s.Close()
	}
}
