package report_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// harvested is a harvest with that many ARCs of each kind.
type harvested struct {
	report.HarvestFacts
	each    int
	members []store.Member
}

func newHarvested(each int) *harvested {
	h := &harvested{each: each}
	for _, kind := range []store.Member{
		{Outcome: "missing", GitState: store.Due},
		{Outcome: "new", GitState: store.Synced, Pushed: true},
		{Outcome: "updated", GitState: store.Failing, Pushed: true},
		{Outcome: "updated", GitState: store.Synced},
		{Outcome: "unchanged", GitState: store.Due},
		{Outcome: "new", GitState: store.Failing, Failure: passing},
		{Outcome: "new", GitState: store.Parked, Failure: refused},
	} {
		for range each {
			n := len(h.members) + 1
			kind.ID, kind.Identifier = store.ID{byte(n >> 8), byte(n)}, "A"+strconv.Itoa(n)
			h.members = append(h.members, kind)
		}
	}
	return h
}

func (h *harvested) Harvest(_ context.Context, id uuid.UUID) (store.Harvest, error) {
	return store.Harvest{ID: id, RDI: "edal", Status: store.Completed, StartedAt: now, Statistics: store.Statistics{Missing: int64(h.each), Errors: 201}}, nil
}

func (h *harvested) HarvestErrors(_ context.Context, _ uuid.UUID, _ int64, limit int) ([]store.HarvestError, error) {
	list := make([]store.HarvestError, min(limit, 201))
	for i := range list {
		list[i] = store.HarvestError{At: now, Code: fault.ARCInvalid, Text: "No root."}
	}
	return list, nil
}

func (h *harvested) Members(_ context.Context, _ uuid.UUID, after store.ID, limit int) ([]store.Member, error) {
	from := int(after[0])<<8 | int(after[1])
	return h.members[from:min(len(h.members), from+limit)], nil
}

// An account counts every ARC of a harvest, however many there are, and says of each
// list how much of it is not shown.
func TestAnAccountIsOfTheWholeHarvest(t *testing.T) {
	t.Parallel()
	const each = 301 // more than are told one by one, and more pages than one together
	a, err := report.CollectHarvest(t.Context(), newHarvested(each), uuid.New())
	if err != nil {
		t.Fatal(err)
	}
	if want := (report.HarvestInGit{Arrived: 2 * each, Replaced: each, Waiting: each, Failing: each, Parked: each}); a.Git != want {
		t.Errorf("got %+v, want %+v", a.Git, want)
	}
	if len(a.Trouble) != 200 || len(a.Missed) != 200 || len(a.Refused) != 200 {
		t.Errorf("%d in trouble, %d not brought, %d refused are told one by one", len(a.Trouble), len(a.Missed), len(a.Refused))
	}
	has(t, text(t, a), "602 in git, 301 replaced by newer content since, 301 on the way, 301 tried again, 301 waiting for somebody",
		"an ARC without identifier: arc_invalid: No root.", "… and 1 more", "… and 402 more", "… and 101 more")
}

// many is a store with three harvests.
type many struct{ facts }

func (m *many) Harvests(_ context.Context, f store.HarvestFilter) ([]store.Harvest, error) {
	list := make([]store.Harvest, min(3, f.Limit))
	for i := range list {
		list[i] = store.Harvest{ID: uuid.UUID{byte(i + 1)}, RDI: "edal", Status: store.Completed, StartedAt: now.Add(-time.Duration(i) * time.Hour)}
	}
	return list, nil
}

// A page of harvests is as long as was asked for, and leads on from its last one.
func TestPagesOfHarvests(t *testing.T) {
	t.Parallel()
	for limit, next := range map[int]string{1: report.HarvestName(uuid.UUID{1}), 2: report.HarvestName(uuid.UUID{2}), 3: "", 4: ""} {
		l, err := report.CollectHarvests(t.Context(), &many{}, store.HarvestFilter{Limit: limit}, "middleware-api harvests")
		if err != nil {
			t.Fatal(err)
		}
		if len(l.List) != min(limit, 3) || l.Next != next {
			t.Errorf("%d asked for: got %d, and then after %q; want %q", limit, len(l.List), l.Next, next)
		}
	}
}
