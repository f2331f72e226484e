package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// now is when these reports are made.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// facts are those of a service at rest, changed by a test, and what was asked about.
type facts struct {
	backlog       []store.Backlog
	causes        []store.Cause
	remotes       []store.Remote
	synchronisers []store.Synchroniser
	asked         [][]string // RDIs: of the backlog, causes and harvests
	harvests      store.HarvestFilter
}

func (f *facts) Ready(context.Context) error { return nil }
func (f *facts) Totals(context.Context) ([]store.Total, error) {
	return []store.Total{{RDI: "bonares", Count: 3}, {RDI: "edal", Count: 4}}, nil
}

func (f *facts) Backlog(_ context.Context, rdis ...string) ([]store.Backlog, error) {
	f.asked = append(f.asked, rdis)
	return f.backlog, nil
}

func (f *facts) Causes(_ context.Context, rdis ...string) ([]store.Cause, error) {
	f.asked = append(f.asked, rdis)
	return f.causes, nil
}
func (f *facts) Remotes(context.Context) ([]store.Remote, error) { return f.remotes, nil }
func (f *facts) Synchronisers(context.Context) ([]store.Synchroniser, error) {
	return f.synchronisers, nil
}
func (f *facts) Forecasts(context.Context) ([]store.Forecast, error) { return nil, nil }
func (f *facts) Harvests(_ context.Context, filter store.HarvestFilter) ([]store.Harvest, error) {
	f.asked, f.harvests = append(f.asked, filter.RDIs), filter
	return nil, nil
}

// Lists that are empty are lists for programs too: jq ends with an error at the reasons of
// a service that is green otherwise.
func TestEmptyListsAreLists(t *testing.T) {
	t.Parallel()
	for what, facts := range map[string]report.Facts{"at rest": &facts{}, "without a database": unreachable{}} {
		out, err := json.Marshal(report.CollectStatus(t.Context(), facts, report.StatusOptions{}))
		if err != nil || bytes.Contains(out, []byte("null")) {
			t.Errorf("%s: %s (%v)", what, out, err)
		}
	}
}

// unreachable is a database that does not answer.
type unreachable struct{ report.Facts }

func (unreachable) Ready(context.Context) error { return errors.New("connection refused") }

// What turns the light, and from when on: waits by their length, what waits for somebody
// by being there, and what mends itself, as foretold, not at all.
func TestWhatTurnsTheLight(t *testing.T) {
	t.Parallel()
	alive := []store.Synchroniser{{Holder: "h/1", Alive: true, Beat: now}}
	waiting := func(state store.GitState, age time.Duration) []store.Backlog {
		return []store.Backlog{{RDI: "edal", State: store.Due, Count: 1, Oldest: now}, {RDI: "edal", State: state, Count: 1, Oldest: now.Add(-age)}, {RDI: "bonares", State: store.Due, Count: 1, Oldest: now}}
	}
	expiring := report.Certificate{Light: report.Yellow, Text: "The certificate ends"}
	for rule, c := range map[string]struct {
		facts facts
		o     report.StatusOptions
		light report.Light
		says  string
	}{
		"at rest":                        {light: report.Green},
		"a short wait":                   {facts: facts{backlog: waiting(store.Due, 10*time.Minute-time.Second)}, light: report.Green},
		"ten minutes":                    {facts: facts{backlog: waiting(store.Due, 10*time.Minute)}, light: report.Yellow, says: "has been waiting for"},
		"almost an hour":                 {facts: facts{backlog: waiting(store.Due, time.Hour-time.Second)}, light: report.Yellow},
		"an hour":                        {facts: facts{backlog: waiting(store.Due, time.Hour)}, light: report.Red},
		"an hour, of one that fails":     {facts: facts{backlog: waiting(store.Failing, time.Hour)}, light: report.Red},
		"a day, of one that is parked":   {facts: facts{backlog: waiting(store.Parked, 24*time.Hour)}, light: report.Yellow, says: "1 ARC cannot be pushed"},
		"one that fails":                 {facts: facts{backlog: waiting(store.Failing, 0)}, light: report.Yellow, says: "1 ARC failed"},
		"one that waits for its project": {facts: facts{backlog: waiting(store.Failing, 0), causes: []store.Cause{{Code: fault.CreationBudgetSpent, Count: 1}}}, light: report.Green},
		"a store that is paused":         {facts: facts{remotes: []store.Remote{{Name: "git", Paused: true, PausedAt: now, Text: "away"}}}, light: report.Red, says: "away"},
		"a store paused by hand":         {facts: facts{remotes: []store.Remote{{Name: "git", Paused: true, ByHand: true, PausedAt: now}}}, light: report.Yellow, says: "by hand"},
		"a certificate":                  {o: report.StatusOptions{Certificates: []report.Certificate{expiring}}, light: report.Yellow, says: "The certificate ends."},
		"something else":                 {o: report.StatusOptions{Also: []report.Reason{{Light: report.Red, Text: "The disk is full."}}}, light: report.Red, says: "The disk is full."},
		"nobody works, and one is due": {
			facts: facts{backlog: waiting(store.Due, 0)[:1], synchronisers: []store.Synchroniser{}}, light: report.Red, says: "so nothing goes into git",
		},
		"nobody works, and one fails": {
			facts: facts{backlog: waiting(store.Failing, 0)[1:2], synchronisers: []store.Synchroniser{}}, light: report.Red, says: "so nothing goes into git",
		},
		"nobody works, and nothing is due": {facts: facts{synchronisers: []store.Synchroniser{}}, light: report.Green},
		"nobody works any more": {
			facts: facts{synchronisers: []store.Synchroniser{{Beat: now.Add(-3 * time.Hour)}, {Beat: now.Add(-2 * time.Hour)}, {Beat: now.Add(-4 * time.Hour)}}},
			light: report.Red, says: "the last sign of life was given 2 h",
		},
		"one works, another does not": {facts: facts{synchronisers: []store.Synchroniser{alive[0], {Beat: now.Add(-time.Hour)}}}, light: report.Green},
	} {
		if c.facts.synchronisers == nil {
			c.facts.synchronisers = alive
		}
		c.o.Now = now
		s := report.CollectStatus(t.Context(), &c.facts, c.o)
		said := slices.ContainsFunc(s.Reasons, func(r report.Reason) bool { return strings.Contains(r.Text, c.says) })
		if s.Light != c.light || c.says != "" && !said {
			t.Errorf("%s: got %s for %+v, want %s and %q", rule, s.Light, s.Reasons, c.light, c.says)
		}
	}
}

// A status for some RDIs is about nothing else, and does not even ask; one for everything
// shows the harvests of all, also of those that have no ARC yet.
func TestStatusOfSomeRDIs(t *testing.T) {
	t.Parallel()
	only := []string{"edal"}
	f := &facts{}
	s := report.CollectStatus(t.Context(), f, report.StatusOptions{Now: now, Only: only, RDIs: []string{"new"}})
	if len(s.RDIs) != 1 || s.RDIs[0].Name != "edal" || s.RDIs[0].ARCs != 4 {
		t.Errorf("got %+v", s.RDIs)
	}
	for _, asked := range f.asked {
		if !slices.Equal(asked, only) {
			t.Errorf("asked about %q", f.asked)
		}
	}
	f = &facts{}
	if s := report.CollectStatus(t.Context(), f, report.StatusOptions{Now: now, RDIs: []string{"new", "edal"}}); len(s.RDIs) != 2 {
		t.Errorf("everything: got %+v", s.RDIs)
	}
	if !slices.Equal(f.harvests.RDIs, []string{"new", "edal", "bonares"}) || f.harvests.Limit != 5 {
		t.Errorf("harvests of %+v", f.harvests)
	}
}

// An RDI whose first ARC comes while a status is made has a line of its own.
func TestAnRDIThatComesMeanwhile(t *testing.T) {
	t.Parallel()
	f := &facts{backlog: []store.Backlog{
		{RDI: "new", State: store.Due, Count: 2, Oldest: now}, {RDI: "new", State: store.Parked, Count: 1, Oldest: now}, {RDI: "edal", State: store.Due, Count: 3, Oldest: now},
	}}
	got := report.CollectStatus(t.Context(), f, report.StatusOptions{Now: now}).RDIs
	want := []report.RDI{{Name: "bonares", ARCs: 3}, {Name: "edal", ARCs: 4, Due: 3, Oldest: now}, {Name: "new", ARCs: 2, Due: 2, Parked: 1, Oldest: now}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// leaving is a database that goes away while it is asked.
type leaving struct{ facts }

func (*leaving) Synchronisers(context.Context) ([]store.Synchroniser, error) {
	return nil, fault.New(fault.StoreUnavailable, nil)
}

// What a database does not tell any more is not taken for an absence of synchronisers.
func TestADatabaseThatGoesAwayTellsNothing(t *testing.T) {
	t.Parallel()
	f := &leaving{facts{backlog: []store.Backlog{{RDI: "edal", State: store.Due, Count: 1, Oldest: now}}}}
	s := report.CollectStatus(t.Context(), f, report.StatusOptions{Now: now})
	if len(s.Reasons) != 1 || s.Light != report.Red || s.Database.OK || s.Reasons[0].Text != s.Database.Text {
		t.Errorf("%s because of %+v", s.Light, s.Reasons)
	}
}
