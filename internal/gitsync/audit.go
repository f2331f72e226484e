package gitsync

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

// What an audit finds.
const (
	KindMissing     = "missing"     // the repository or its branch is gone
	KindOtherHead   = "other_head"  // the repository is at another commit than recorded
	KindUnscheduled = "unscheduled" // newer content is stored, but nothing would push it
	KindUnreadable  = "unreadable"  // the remote did not answer for this ARC
	auditPage       = 500           // heads read at a time
	auditTimeout    = time.Minute   // for the head of one repository
	auditWorkers    = 4             // heads asked for at a time
)

// Difference is an ARC whose stored, recorded and actual states do not fit.
type Difference struct {
	Kind       string
	ID         store.ID
	RDI        string
	Identifier string
	Recorded   string // commit
	Actual     string // commit; "" if there is none
	Repaired   bool   // made due
	Err        error  // for KindUnreadable
}

// AuditOptions narrow an audit down.
type AuditOptions struct {
	RDI     string // "" is all
	Repair  bool   // make what differs due
	Actor   store.Actor
	Workers int
}

// AuditSummary counts what an audit saw.
type AuditSummary struct {
	Checked, Same, Pending, Different, Unreadable, Repaired int
}

// Audit compares what is stored, what is recorded and what is really at the
// remote, ARC by ARC, and reports every difference. ARCs that are on their way
// anyway count as pending. With repair, differing ARCs become due; the
// synchroniser then looks at the remote and puts right what is missing. Found
// is called from one goroutine at a time. An incident ends the audit.
func Audit(ctx context.Context, st *store.Store, r remote.Remote, opt AuditOptions, found func(Difference)) (AuditSummary, error) {
	a := &auditor{store: st, remote: r, opt: opt, found: found}
	if opt.Workers <= 0 {
		a.opt.Workers = auditWorkers
	}
	var after store.ID
	for {
		heads, err := st.Heads(ctx, opt.RDI, after, auditPage)
		if err != nil || len(heads) == 0 {
			return a.sum, err
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(a.opt.Workers)
		for _, h := range heads {
			g.Go(func() error { return a.check(gctx, h) })
		}
		if err := g.Wait(); err != nil {
			return a.sum, err
		}
		after = heads[len(heads)-1].ID
	}
}

type auditor struct {
	store  *store.Store
	remote remote.Remote
	opt    AuditOptions
	found  func(Difference)

	mu  sync.Mutex
	sum AuditSummary
}

func (a *auditor) check(ctx context.Context, h store.Head) error {
	if h.State != store.Synced {
		a.count(func(s *AuditSummary) { s.Pending++ })
		return nil
	}
	hctx, cancel := context.WithTimeout(ctx, auditTimeout)
	actual, err := a.remote.Head(hctx, h.ID.String(), h.RemoteRef)
	cancel()
	d := Difference{ID: h.ID, RDI: h.RDI, Identifier: h.Identifier, Recorded: h.Commit, Actual: actual}
	switch {
	case err != nil:
		if f := remote.FailureOf(err); f.Class == fault.Incident || ctx.Err() != nil {
			return err
		}
		d.Kind, d.Err = KindUnreadable, err
	case h.Hash != h.PushedHash:
		d.Kind = KindUnscheduled
	case actual == h.Commit:
		a.count(func(s *AuditSummary) { s.Same++ })
		return nil
	case actual == "":
		d.Kind = KindMissing
	default:
		d.Kind = KindOtherHead
	}
	// It may have been pushed between the two looks.
	now, err := a.store.ARC(ctx, h.ID)
	if err != nil {
		return err
	}
	if now.Git.State != store.Synced || d.Err == nil && now.Git.Commit == actual && now.Hash == now.Git.PushedHash {
		a.count(func(s *AuditSummary) { s.Pending++ })
		return nil
	}
	if a.opt.Repair && d.Kind != KindUnreadable {
		if err := a.store.RequestPush(ctx, h.ID, a.opt.Actor); err != nil {
			return err
		}
		d.Repaired = true
	}
	a.report(d)
	return nil
}

func (a *auditor) count(f func(*AuditSummary)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sum.Checked++
	f(&a.sum)
}

func (a *auditor) report(d Difference) {
	a.count(func(s *AuditSummary) {
		if d.Kind == KindUnreadable {
			s.Unreadable++
		} else {
			s.Different++
		}
		if d.Repaired {
			s.Repaired++
		}
		a.found(d)
	})
}

// Resync makes ARCs due whatever is recorded of them: one, all of an RDI, or all.
// It tells how many.
func Resync(ctx context.Context, st *store.Store, arc store.ID, rdi string, by store.Actor) (int64, error) {
	if arc != (store.ID{}) {
		if err := st.RequestPush(ctx, arc, by); err != nil {
			return 0, err
		}
		return 1, nil
	}
	return st.RequestPushes(ctx, rdi, by)
}
