// Package gitsync is the synchroniser: it claims the ARCs that are due, builds
// their folders, pushes them and records what came of it. What is due, who
// holds it and whether the remote is paused stands in PostgreSQL and nowhere
// else, so that any number of synchronisers on any number of hosts share the
// work, and killing one at any moment loses nothing. It must never hold a lock or
// a transaction across the network, and never records what the remote has not
// confirmed.
//
// One Syncer runs once; its other methods may be called from anywhere.
package gitsync

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

// Defaults of Options.
const (
	// DefaultLease is short: what a killed synchroniser held is pushed by the next
	// one a few seconds later. Fencing keeps a slow holder harmless.
	DefaultLease       = 3 * time.Second
	DefaultConcurrency = 5
	DefaultPoll        = 15 * time.Second
	DefaultDrain       = 20 * time.Second
	DefaultBackoff     = time.Second
	DefaultBackoffMax  = time.Hour
	DefaultProbeMax    = time.Minute
	// DefaultSuspect is the number of different ARCs for which the remote must
	// fail in a row before that counts as a failure for everybody.
	DefaultSuspect = 3
	// DefaultInterruptions is the number of pushes of an ARC in a row during which
	// a synchroniser may die before the ARC is taken for the reason. The first two
	// may be the fault of another ARC; from then on it is pushed alone.
	DefaultInterruptions = 5
)

// Options of a Syncer. Zero values mean the defaults.
type Options struct {
	Remote      string        // name of the remote in the database; default "git"
	Holder      string        // name of this synchroniser; default host and process
	Concurrency int           // pushes at a time
	Lease       time.Duration // of a claim; renewed at a third of it
	Poll        time.Duration // longest time between two looks at what is due
	Drain       time.Duration // time for pushes under way at the end
	Backoff     time.Duration // first delay after a transient failure, doubled each time
	BackoffMax  time.Duration
	ProbeMax    time.Duration // longest delay between two probes of a paused remote
	PushLimit   time.Duration // for one attempt, after which Alive counts it as hung
	Suspect     int
	// Interruptions is how often the push of an ARC may end the synchroniser.
	Interruptions int
	// ProjectsPerHour is the budget for new projects, for the forecast; 0 is none.
	ProjectsPerHour int
	Build           Builder // how a document becomes files; default FromCrate
	Log             *slog.Logger
	Observer        Observer     // told of every finished attempt; nil for none
	Tracer          trace.Tracer // nil traces nothing
	// Jitter gives a number in [0,1); default random.
	Jitter func() float64
}

// Observer counts what happens, for metrics.
type Observer interface {
	// Pushed is called after every attempt; code is "" for success.
	Pushed(took time.Duration, changed bool, code string)
	// Paused is called when the remote is paused because of an incident.
	Paused(code string)
}

// Syncer brings stored ARCs to a remote.
type Syncer struct {
	store  *store.Store
	remote remote.Remote
	opt    Options
	log    *slog.Logger

	wake   chan struct{}
	news   chan struct{} // the next sign of life is to be given now
	hands  *hands
	vitals vitals
	born   time.Time
	alone  time.Time // when suspects were last pushed alone; belongs to dispatch

	mu      sync.Mutex
	held    map[*store.Claim]*holding
	paused  time.Time // when a push last met an incident
	setback setback
	token   store.Token       // what the git server last told of it
	suspect map[store.ID]bool // ARCs for which the remote failed since its last sign of life

	forbidden map[store.ID]bool // ARCs to whose repositories we might not write, since we could to any
}

// holding is a claim at work.
type holding struct {
	cancel context.CancelCauseFunc
	since  time.Time
}

// New makes a synchroniser. Nothing happens before Run.
func New(st *store.Store, r remote.Remote, opt Options) *Syncer {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&opt.Lease, DefaultLease)
	def(&opt.Poll, DefaultPoll)
	def(&opt.Drain, DefaultDrain)
	def(&opt.Backoff, DefaultBackoff)
	def(&opt.BackoffMax, DefaultBackoffMax)
	def(&opt.ProbeMax, DefaultProbeMax)
	def(&opt.PushLimit, DefaultPushLimit)
	if opt.Remote == "" {
		opt.Remote = "git"
	}
	if opt.Holder == "" {
		host, _ := os.Hostname()
		opt.Holder = host + "/" + strconv.Itoa(os.Getpid())
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = DefaultConcurrency
	}
	if opt.Suspect <= 0 {
		opt.Suspect = DefaultSuspect
	}
	if opt.Interruptions <= 0 {
		opt.Interruptions = DefaultInterruptions
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Build == nil {
		opt.Build = FromCrate
	}
	if opt.Jitter == nil {
		opt.Jitter = rand.Float64
	}
	return &Syncer{
		store: st, remote: r, opt: opt, log: opt.Log, born: time.Now(), wake: make(chan struct{}, 1), news: make(chan struct{}, 1), hands: newHands(opt.Concurrency, opt.Lease),
		held: map[*store.Claim]*holding{}, suspect: map[store.ID]bool{}, forbidden: map[store.ID]bool{},
	}
}

// Wake makes Run look for due ARCs now.
func (s *Syncer) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

var (
	errLost = errors.New("lease is lost")
	errStop = errors.New("synchroniser stops")
)

// Run synchronises until ctx ends. Then it claims nothing more, gives the pushes
// under way their time, and hands back what is left, so that another
// synchroniser can go on at once. It returns when everything it began has ended.
func (s *Syncer) Run(ctx context.Context) error {
	s.log.InfoContext(ctx, "synchroniser started", "remote", s.opt.Remote, "concurrency", s.opt.Concurrency)
	var helpers, pushes sync.WaitGroup
	helpers.Go(func() { s.store.Listen(ctx, s.Wake) })

	// Pushes outlive ctx by the drain time; the heart beats as long as they do.
	work, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	heart, stopHeart := context.WithCancel(work)
	helpers.Go(func() { s.heartbeat(heart) })
	helpers.Go(func() { s.signsOfLife(heart) })
	helpers.Go(func() { s.watchToken(ctx) })
	helpers.Go(func() { s.survey(ctx) })

	s.dispatch(ctx, work, &pushes)

	done := make(chan struct{})
	go func() { pushes.Wait(); close(done) }()
	drain := time.NewTimer(s.opt.Drain)
	select {
	case <-done:
	case <-drain.C:
		abort(errStop)
		<-done
	}
	drain.Stop()
	stopHeart()
	helpers.Wait()
	abort(nil)
	s.log.InfoContext(ctx, "synchroniser stopped")
	return nil
}

// dispatch claims as much as there are hands for, until ctx ends.
func (s *Syncer) dispatch(ctx, work context.Context, pushes *sync.WaitGroup) {
	s.alone = time.Now()
	push := func(c *store.Claim) {
		give := s.hands.take(c)
		pushing := s.hold(work, c)
		pushes.Go(func() {
			defer give()
			s.handle(pushing, ctx.Done(), c)
		})
	}
	for failures := 0; ctx.Err() == nil; {
		s.vitals.dispatching.enter("waiting for a push to end", 0)
		n := s.hands.wait(ctx)
		if n == 0 {
			return
		}
		if wait := s.steppedBack(ctx); wait > 0 {
			s.vitals.dispatching.enter("leaving the work to others that can do it", s.opt.Poll+turnLimit)
			rest(ctx, wait)
			continue
		}
		s.vitals.dispatching.enter("claiming due ARCs", turnLimit)
		request := s.request(s.hands.limit(n))
		claims, err := s.store.ClaimDue(ctx, request)
		for _, c := range claims {
			push(c)
		}
		s.vitals.dispatching.enter("waiting for a push to end", 0) // pushSuspects may
		switch {
		case err != nil && ctx.Err() == nil:
			failures++
			if failures == 1 {
				s.log.ErrorContext(ctx, "due arcs cannot be claimed", "error", err)
			}
			s.vitals.dispatching.enter("waiting for the database", s.opt.Poll+turnLimit)
			s.sleep(ctx, min(s.backoff(failures), s.opt.Poll), nil)
			continue
		case s.pushSuspects(ctx, push, len(claims) == 0 && !request.Fresh):
		case len(claims) == 0 && request.Fresh:
			s.vitals.dispatching.enter("waiting for new ARCs, or for one that has failed before to end", s.opt.Poll+turnLimit)
			s.sleep(ctx, s.opt.Poll, s.hands.freed)
		case len(claims) == 0:
			s.vitals.dispatching.enter("waiting for due ARCs", s.opt.Poll+turnLimit)
			s.sleep(ctx, s.pause(ctx), nil)
		}
		failures = 0
	}
}

func (s *Syncer) request(limit int, fresh bool) store.ClaimRequest {
	return store.ClaimRequest{Holder: s.opt.Holder, Limit: limit, Lease: s.opt.Lease, Remote: s.opt.Remote, Fresh: fresh}
}

// rest waits for the time or the end.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// sleep waits for the time, a wake-up call, what else may be waited for, or the end.
func (s *Syncer) sleep(ctx context.Context, d time.Duration, or <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s.wake:
	case <-or:
	case <-t.C:
	}
}

// pause tells how long nothing can be due. The floor keeps a claim that somebody
// else is making just now from turning us in circles.
func (s *Syncer) pause(ctx context.Context) time.Duration {
	const floor = 50 * time.Millisecond
	next, now, err := s.store.NextDue(ctx)
	if err != nil || next.IsZero() {
		return s.opt.Poll
	}
	r, err := s.store.Remote(ctx, s.opt.Remote)
	if err == nil && r.Paused {
		if r.NextProbe.IsZero() {
			return s.opt.Poll
		}
		if r.NextProbe.After(next) {
			next = r.NextProbe
		}
	}
	return max(floor, min(next.Sub(now)+time.Millisecond, s.opt.Poll))
}

// hold remembers a claim for the heartbeat and gives the context of its push.
func (s *Syncer) hold(work context.Context, c *store.Claim) context.Context {
	ctx, cancel := context.WithCancelCause(work)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[c] = &holding{cancel, time.Now()}
	return ctx
}

func (s *Syncer) drop(c *store.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.held[c]; h != nil {
		h.cancel(nil)
	}
	delete(s.held, c)
}

// backoff gives the delay before the next attempt after n failures: exponential,
// with full jitter, capped.
func (s *Syncer) backoff(n int) time.Duration {
	return s.jitter(s.opt.Backoff, s.opt.BackoffMax, n)
}

func (s *Syncer) jitter(base, most time.Duration, n int) time.Duration {
	d := most
	if n = max(n, 1); n < 40 && base<<(n-1) < most && base<<(n-1) > 0 {
		d = base << (n - 1)
	}
	return time.Duration(s.opt.Jitter() * float64(d))
}
