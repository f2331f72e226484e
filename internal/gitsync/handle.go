package gitsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/span"
	"github.com/fairagro/middleware-api/internal/store"
)

// recordPatience is how long a result waits for a database that is away. After
// that the next attempt finds the commit at the remote.
const recordPatience = 30 * time.Second

// barredTries is how often a remote that bars us is asked before the pause between
// two questions doubles: each is about another ARC, and one of them may be let in.
const barredTries = 32

// handle brings one claimed ARC to its end: recorded, failed or handed back.
func (s *Syncer) handle(ctx context.Context, stopping <-chan struct{}, c *store.Claim) {
	defer s.drop(c)
	if s.crashes(ctx, c, s.log.With("arc_id", c.ID.String(), "rdi", c.RDI, "attempt", c.Attempts+1)) {
		return
	}
	began := time.Now()
	ctx, step := s.startSync(ctx, c)
	defer step.End()
	t := &try{Claim: c, since: began, stopping: stopping}
	res, err := s.attempt(ctx, t)
	took := time.Since(began) - t.waited
	log := s.log.With("arc_id", c.ID.String(), "rdi", c.RDI, "attempt", c.Attempts+1, "duration", took)
	if err == nil {
		err = s.recordPush(ctx, c, res)
	}
	step.Flag("success", err == nil)
	if err != nil && !errors.Is(err, errNoTurn) {
		step.Fail(string(remote.FailureOf(err).Fault.Code))
	}
	switch {
	case err == nil:
		s.answered()
		s.allowed()
		s.goneThrough()
		s.finished(true)
		s.observe(took, res.Changed, "")
		if c.Probe {
			log.InfoContext(ctx, "remote resumed", "remote", s.opt.Remote)
		}
		log.InfoContext(ctx, "arc synchronised", "commit", res.Commit, "changed", res.Changed, "recovered", res.Recovered, "adopted", res.Adopted,
			"foreign", res.Foreign, "objects", res.Objects, "sent", res.Sent)
	case isLost(ctx, err):
		log.WarnContext(ctx, "lease lost, another synchroniser goes on", "error", err)
		if res.Changed {
			s.doubtful(ctx, c)
		}
	case errors.Is(context.Cause(ctx), errStop), errors.Is(err, errNoTurn):
		s.release(ctx, c)
		log.InfoContext(ctx, "arc handed back")
	default:
		f := remote.FailureOf(err)
		s.finished(false)
		s.observe(took, false, string(f.Fault.Code))
		s.fail(ctx, c, f, log)
	}
}

// doubtful asks for one more look at an ARC: a push came through after its
// lease was lost, and whoever has taken over may have recorded before.
func (s *Syncer) doubtful(ctx context.Context, c *store.Claim) {
	err := s.persist(ctx, func(ctx context.Context) error {
		return s.store.RequestPush(ctx, c.ID, store.Actor{})
	})
	if err != nil {
		s.log.ErrorContext(ctx, "arc not marked for another push", "arc_id", c.ID.String(), "error", err)
	}
}

func isLost(ctx context.Context, err error) bool {
	return errors.Is(context.Cause(ctx), errLost) || fault.CodeOf(err) == fault.LeaseLost
}

// startSync begins the span of an attempt, in the trace of the submission.
func (s *Syncer) startSync(ctx context.Context, c *store.Claim) (context.Context, span.Span) {
	ctx, step := span.Resume(ctx, s.opt.Tracer, c.Traceparent, span.Sync)
	if step.On() {
		step.Text("arc_id", c.ID.String())
		step.Text("rdi", c.RDI)
		step.Count("attempt", c.Attempts+1)
	}
	return ctx, step
}

// try is one attempt to bring a claimed ARC to the remote.
type try struct {
	*store.Claim
	since    time.Time
	stopping <-chan struct{} // closed when no push begins any more
	waited   time.Duration   // for its turn
	turn     bool            // holds a place among the pushes
}

// attempt loads, builds and pushes: the first two ahead of its turn, while others
// push. A panic is a bug that one ARC has found; the others must not suffer from
// it.
func (s *Syncer) attempt(ctx context.Context, c *try) (res remote.Result, err error) {
	defer s.endTurn(c)
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "panic during a push", "arc_id", c.ID.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = remote.Fail(fault.InternalError, fmt.Errorf("panic: %v", p))
		}
	}()
	content, err := s.store.Load(ctx, c.Claim)
	if err != nil {
		return res, err
	}
	if err := failpoint.Hit(failpoint.Loaded); err != nil {
		return res, err
	}
	if content.Hash == c.PushedHash && !c.Forced && !c.Probe && c.Commit != "" {
		// Nothing to push: it changed back before anybody came to push it.
		return remote.Result{Commit: c.Commit, State: content.HeadTree, Ref: c.RemoteRef}, nil
	}
	if content.Size > aheadLimit {
		// What waits for its turn must not fill the memory.
		if err := s.awaitTurn(ctx, c); err != nil {
			return res, err
		}
	}
	_, writing := span.Start(ctx, span.GitWrite)
	built, err := s.build(content)
	writing.End()
	if lost := failpoint.Hit(failpoint.Built); err == nil {
		err = lost
	}
	if len(built.Findings) > 0 {
		rerr := s.persist(ctx, func(ctx context.Context) error { return s.store.SetReport(ctx, c.ID, content.Hash, built.Findings) })
		if rerr != nil {
			return res, rerr
		}
		if lost := failpoint.Hit(failpoint.ReportKept); err == nil {
			err = lost
		}
	}
	if err != nil {
		return res, err
	}
	p := &remote.Push{
		ARC: c.ID.String(), RDI: c.RDI,
		Identifier: cmp.Or(built.Identifier, c.Identifier), Title: cmp.Or(built.Title, c.Name), Description: cmp.Or(built.Description, c.Description),
		Files: built.Files, When: c.LastChanged, Recorded: content.HeadTree,
		Forced: c.Forced,
		// Recorded as pushed without a commit: an import says so.
		Adopt: c.Commit == "" && content.Hash == c.PushedHash,
		Guard: func(ctx context.Context) error { return s.stillHeld(ctx, c.Claim) },
	}
	if err := s.awaitTurn(ctx, c); err != nil {
		return res, err
	}
	ctx, pushing := span.Start(ctx, span.StorePut)
	pushing.Text("arc_id", p.ARC)
	pushing.Text("rdi", p.RDI)
	defer pushing.End()
	return s.remote.Push(ctx, p)
}

// stillHeld asks the database, not the clock, whether the claim is ours.
func (s *Syncer) stillHeld(ctx context.Context, c *store.Claim) error {
	lost, err := s.store.Renew(ctx, []*store.Claim{c}, s.opt.Lease)
	if err == nil && len(lost) > 0 {
		err = errLost
	}
	return err
}

// recordPush writes the result down, patiently: the push has happened.
func (s *Syncer) recordPush(ctx context.Context, c *store.Claim, res remote.Result) error {
	p := store.Pushed{Commit: res.Commit, HeadTree: res.State, RemoteRef: res.Ref, Unchanged: res.Commit == c.Commit || res.Adopted}
	return s.persist(ctx, func(ctx context.Context) error { return s.store.RecordPush(ctx, c, p) })
}

// persist repeats a write to a database that is away, until it comes back, the
// patience ends or the lease is lost.
func (s *Syncer) persist(ctx context.Context, write func(context.Context) error) error {
	// A result is recorded even while stopping.
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordPatience)
	defer cancel()
	for n := 1; ; n++ {
		err := write(rctx)
		code := fault.CodeOf(err)
		again := code == fault.StoreUnavailable || code == fault.StoreTimeout
		if err == nil || !again || errors.Is(context.Cause(ctx), errLost) {
			return err
		}
		t := time.NewTimer(min(s.jitter(100*time.Millisecond, 2*time.Second, n)+10*time.Millisecond, recordPatience))
		select {
		case <-rctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

// fail writes a failure down according to its class.
func (s *Syncer) fail(ctx context.Context, c *store.Claim, f *remote.Failure, log *slog.Logger) {
	switch {
	case s.doubt(c, f):
		f = remote.Fail(fault.RemoteDown, f).After(f.Fault.RetryAfter)
	case s.barred(ctx, c, f):
		f = remote.Fail(fault.RemoteForbidden, f).After(f.Fault.RetryAfter)
	}
	if f.Class == fault.Incident {
		s.incident(ctx, c, f, log)
		return
	}
	if f.Class == fault.Refused { // what is invalid need not have come to the remote
		s.answered()
	}
	sf := store.Failure{Class: string(f.Class), Code: f.Fault.Code, Text: f.Fault.Text, Owner: f.Fault.Owner, Remedy: f.Fault.Remedy}
	if f.Class == fault.Transient {
		sf.Delay = max(s.backoff(c.Attempts+1), f.Fault.RetryAfter)
	} else {
		sf.Park = true
	}
	err := s.persist(ctx, func(ctx context.Context) error { return s.store.RecordFailure(ctx, c, sf) })
	level := slog.LevelWarn
	if sf.Park {
		level = slog.LevelError
	}
	log.Log(ctx, level, "arc not synchronised", "class", sf.Class, "code", sf.Code, "owner", sf.Owner, "remedy", sf.Remedy,
		"parked", sf.Park, "next", sf.Delay, "error", f, "record_error", err)
	if c.Probe && f.Class == fault.Refused {
		// The remote has answered about this one ARC: for the others it works.
		if err := s.store.ResumeRemote(context.WithoutCancel(ctx), s.opt.Remote, store.Actor{}); err != nil {
			log.WarnContext(ctx, "remote not resumed", "error", err)
		} else {
			log.InfoContext(ctx, "remote resumed", "remote", s.opt.Remote)
		}
	}
}

// incident pauses the remote for every synchroniser and hands the ARC back
// without charging it.
func (s *Syncer) incident(ctx context.Context, c *store.Claim, f *remote.Failure, log *slog.Logger) {
	s.mu.Lock()
	s.paused = time.Now()
	s.mu.Unlock()
	s.setBack()
	wctx := context.WithoutCancel(ctx)
	now, err := s.store.Remote(wctx, s.opt.Remote)
	if err == nil && (c.Probe || !now.Paused) {
		n := 1
		switch {
		case now.Paused && f.Fault.Code == fault.RemoteForbidden:
			n = now.Probes/barredTries + 1
		case now.Paused:
			n = now.Probes + 2
		}
		delay := max(s.jitter(s.opt.Backoff, s.opt.ProbeMax, n), s.opt.Backoff/2, f.Fault.RetryAfter)
		err = s.persist(ctx, func(ctx context.Context) error { return s.store.PauseRemote(ctx, s.opt.Remote, f.Fault, delay) })
		if !now.Paused {
			s.observePause(string(f.Fault.Code))
			log.ErrorContext(ctx, "remote paused", "remote", s.opt.Remote, "code", f.Fault.Code, "owner", f.Fault.Owner,
				"remedy", f.Fault.Remedy, "next", delay, "error", f)
		}
	}
	if err != nil {
		log.ErrorContext(ctx, "remote not paused", "remote", s.opt.Remote, "error", err, "cause", f)
	}
	s.release(ctx, c)
}

func (s *Syncer) release(ctx context.Context, c *store.Claim) {
	err := s.persist(ctx, func(ctx context.Context) error { return s.store.Release(ctx, []*store.Claim{c}) })
	if err != nil {
		s.log.WarnContext(ctx, "lease not handed back, it will expire", "arc_id", c.ID.String(), "error", err)
	}
}

// doubt counts failures of the remote for different ARCs since it last gave a
// sign of life, and tells when there are so many that it is not about the ARCs. One that
// has failed before is no witness: its repository may be what hangs, and the others work.
func (s *Syncer) doubt(c *store.Claim, f *remote.Failure) bool {
	switch f.Fault.Code {
	case fault.RemoteError, fault.RemoteTimeout, fault.ConnectionCut:
	default:
		return false
	}
	if c.Retry() {
		return false
	}
	return s.enough(s.suspect, c)
}

// enough adds an ARC to those of which one thing was seen, and tells whether they
// are as many as it takes not to be about the ARCs.
func (s *Syncer) enough(seen map[store.ID]bool, c *store.Claim) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen[c.ID] = true
	return len(seen) >= s.opt.Suspect
}

// answered forgets the doubts: the remote has answered.
func (s *Syncer) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.suspect)
}

// barred counts different ARCs whose repositories we may not write to since we last
// could to any, and tells when there are so many that it is about us: who has lost a
// role or is blocked would else park one ARC after the other. A probe that meets the
// same does not show that the others work.
func (s *Syncer) barred(ctx context.Context, c *store.Claim, f *remote.Failure) bool {
	if f.Fault.Code != fault.PushForbidden || c.Retry() {
		return false
	}
	if c.Probe {
		now, err := s.store.Remote(context.WithoutCancel(ctx), s.opt.Remote)
		return err == nil && now.Code == fault.RemoteForbidden
	}
	return s.enough(s.forbidden, c)
}

// allowed forgets who was barred: we could write to a repository.
func (s *Syncer) allowed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.forbidden)
}

func (s *Syncer) observe(took time.Duration, changed bool, code string) {
	if s.opt.Observer != nil {
		s.opt.Observer.Pushed(took, changed, code)
	}
}

func (s *Syncer) observePause(code string) {
	if s.opt.Observer != nil {
		s.opt.Observer.Paused(code)
	}
}
