package main

import (
	"container/heap"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/fairagro/middleware-api/internal/gitsync"
)

// gitlabCommand simulates how a backlog of ARCs drains into a GitLab. Time is
// the simulation's own. The synchronisers behave as package gitsync does: so many
// hands, turns for new projects by a budget that all of them share, back-off with
// full jitter, a pause of the whole remote when it asks for fewer requests.
func gitlabCommand(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("gitlab", flag.ContinueOnError)
	arcs := flags.Int("arcs", 100_000, "ARCs that are due at the beginning, all without a project")
	push := flags.Duration("push", 300*time.Millisecond, "time of one push")
	call := flags.Duration("call", 80*time.Millisecond, "time of one request to the REST API")
	if err := flags.Parse(args); err != nil {
		return err
	}
	simulate(os.Stdout, *arcs, *push, *call)
	return nil
}

// hub is a GitLab with its limits, and the synchronisers set against it.
type hub struct {
	name   string
	hands  int // pushes at a time, of all synchronisers together
	budget int // new projects per hour that we allow ourselves; 0 is no limit

	// Limits of the server per minute and per user, 0 for none
	// (https://docs.gitlab.com/administration/settings/rate_limit_on_projects_api/,
	// https://docs.gitlab.com/user/gitlab_com/rate_limits/).
	gets    int // GET /projects/:id
	api     int // requests to the API
	creates int // POST /projects, per day

	known bool // the ARCs have projects already: changes, not a first delivery
}

func hubs() []hub {
	return []hub{
		{name: "no limits, 5 hands, changes", hands: 5, known: true},
		{name: "no limits, 5 hands", hands: 5},
		{name: "no limits, 16 hands", hands: 16},
		{name: "GitLab.com: 2,000 API and 400 GET a minute, 16 hands", hands: 16, gets: 400, api: 2000},
		{name: "the same, our budget 20,000 projects an hour", hands: 16, gets: 400, api: 2000, budget: 20_000},
		{name: "200 projects a day, no budget of ours", hands: 5, gets: 400, creates: 200},
		{name: "200 projects a day, our budget 8 an hour", hands: 5, gets: 400, creates: 200, budget: 8},
	}
}

func simulate(w io.Writer, arcs int, push, call time.Duration) {
	fmt.Fprintf(w, "%d ARCs, a push takes %s, a request to the API %s\n\n", arcs, push, call)
	fmt.Fprintln(w, "| GitLab and synchronisers | drained after | ARCs per hour | answered 429 | attempts per ARC |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- |")
	for _, h := range hubs() {
		s := newSimulation(h, push, call)
		d := s.drain(arcs)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %.2f |\n", h.name, span(d), figure(float64(arcs)/d.Hours()), figure(float64(s.refused)),
			float64(s.attempts)/float64(arcs))
	}
}

// span writes a duration in the unit that fits.
func span(d time.Duration) string {
	if d > 48*time.Hour {
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	}
	return d.Round(time.Minute).String()
}

// window is a limit as GitLab counts it: so many within a fixed interval.
type window struct {
	limit int
	every time.Duration
	begun time.Duration
	used  int
}

// take asks for one request; wait is what the refusal says, 0 if it is allowed.
func (w *window) take(now time.Duration) (wait time.Duration) {
	if w.limit == 0 {
		return 0
	}
	if now-w.begun >= w.every {
		w.begun, w.used = now-now%w.every, 0
	}
	if w.used == w.limit {
		return w.begun + w.every - now
	}
	w.used++
	return 0
}

// due is an ARC that waits, or the end of what a hand does.
type due struct {
	at       time.Duration
	arc      int
	attempts int
}

type queue []due

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(due)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

type simulation struct {
	hub

	push, call         time.Duration
	gets, api, creates window
	next               time.Duration         // of the budget: when its next turn is, as the store keeps it
	turns              map[int]time.Duration // of ARCs that wait for a project
	pausedUntil        time.Duration
	probes             int
	jitter             *rand.Rand
	refused, attempts  int
}

func newSimulation(h hub, push, call time.Duration) *simulation {
	const day = 24 * time.Hour
	return &simulation{
		hub: h, push: push, call: call, turns: map[int]time.Duration{},
		gets: window{limit: h.gets, every: time.Minute}, api: window{limit: h.api, every: time.Minute}, creates: window{limit: h.creates, every: day},
		jitter: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // G404: the same simulation at every run
	}
}

// drain gives the time after which the last of so many ARCs has arrived.
func (s *simulation) drain(arcs int) time.Duration {
	waiting := make(queue, arcs)
	for i := range waiting {
		waiting[i].arc = i
	}
	hands := make(queue, s.hands)
	var end time.Duration
	for len(waiting) > 0 {
		hand := heap.Pop(&hands).(due)
		d := heap.Pop(&waiting).(due)
		now := max(hand.at, d.at, s.pausedUntil)
		s.attempts++
		took, again := s.attempt(now, d)
		if again > 0 {
			heap.Push(&waiting, due{at: now + took + again, arc: d.arc, attempts: d.attempts + 1})
		} else {
			end = max(end, now+took)
		}
		heap.Push(&hands, due{at: now + took})
	}
	return end
}

// attempt is one push: what it takes, and after which time the ARC is due again
// if it has not arrived.
func (s *simulation) attempt(now time.Duration, d due) (took, again time.Duration) {
	if s.known {
		return s.push, 0
	}
	if wait := s.ask(now, &s.gets, &s.api); wait > 0 {
		return s.call, s.pause(now, wait)
	}
	if wait := s.turn(now, d.arc); wait > 0 {
		return s.call, max(wait, s.backoff(gitsync.DefaultBackoff, gitsync.DefaultBackoffMax, d.attempts+1))
	}
	if wait := s.ask(now, &s.creates, &s.api); wait > 0 {
		return 2 * s.call, s.pause(now, wait)
	}
	s.probes = 0
	return 2*s.call + s.push, 0
}

// ask sends a request that counts against some limits.
func (s *simulation) ask(now time.Duration, limits ...*window) time.Duration {
	for _, w := range limits {
		if wait := w.take(now); wait > 0 {
			s.refused++
			return min(wait, 24*time.Hour)
		}
	}
	return 0
}

// pause stops every synchroniser for as long as the server asks, at least; the
// ARC itself is not charged.
func (s *simulation) pause(now, wait time.Duration) time.Duration {
	s.probes++
	s.pausedUntil = max(s.pausedUntil, now+max(wait, s.backoff(gitsync.DefaultBackoff, gitsync.DefaultProbeMax, s.probes)))
	return time.Nanosecond
}

// turn gives an ARC its turn within the budget, a tenth of an hour's worth of
// which may be spent at once, and tells how long it has to wait for it.
func (s *simulation) turn(now time.Duration, arc int) time.Duration {
	if s.budget == 0 {
		return 0
	}
	at, known := s.turns[arc]
	if !known {
		each := time.Hour / time.Duration(s.budget)
		s.next = max(s.next, now) + each
		at = max(now, s.next-time.Duration(max(1, s.budget/10))*each)
	}
	if at > now {
		s.turns[arc] = at
		return at - now
	}
	delete(s.turns, arc)
	return 0
}

// backoff is exponential with full jitter, as that of package gitsync.
func (s *simulation) backoff(base, most time.Duration, n int) time.Duration {
	d := most
	if n < 30 && base<<(n-1) < most {
		d = base << (n - 1)
	}
	return time.Duration(s.jitter.Float64() * float64(d))
}
