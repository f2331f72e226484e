package ingest

import (
	"context"
	"iter"
	"sync"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// Line is one ARC of a bulk submission; it is read (and its errors found) by
// whoever works on it, several at once.
type Line func() (rocrate.Payload, error)

// bulkWindow is the number of lines that are worked on at once: two groups,
// one being committed while the other one gathers.
const bulkWindow = 128

// Bulk stores many ARCs of one harvest. Report is called for each line, in
// their order and from this goroutine, as soon as that line and those before
// it are durable or refused, also while lines waits for the sender: it runs in
// a goroutine of its own. A refused line harms only itself. If an ARC comes
// more than once, the lines are stored one after the other. When report fails,
// because nobody listens any more, no more lines are begun, and its error is
// returned once lines has ended; what was reported stays.
func (s *Service) Bulk(ctx context.Context, by Caller, h store.Harvest, lines iter.Seq[Line],
	report func(*Accepted, error) error,
) error {
	if err := owns(by, h); err != nil {
		return err
	}
	b := &bulk{s: s, by: by, h: h, latest: map[store.ID]<-chan struct{}{}, turn: closed()}
	defer b.workers.Wait()
	window, deaf := make(chan chan outcome, bulkWindow), make(chan struct{})
	b.workers.Go(func() {
		defer close(window)
		for line := range lines {
			select {
			case window <- b.begin(ctx, line):
			case <-deaf:
				return
			}
		}
	})
	for w := range window {
		o := <-w
		if err := report(o.accepted, o.err); err != nil {
			close(deaf)
			return err
		}
	}
	return nil
}

type outcome struct {
	accepted *Accepted
	err      error
}

// bulk is one run of Bulk.
type bulk struct {
	s  *Service
	by Caller
	h  store.Harvest

	workers sync.WaitGroup
	turn    <-chan struct{} // closed when the line before has been registered

	mu     sync.Mutex
	latest map[store.ID]<-chan struct{} // closed when the last line so far with that ARC is through
}

// begin starts work on a line and gives the place of its outcome.
func (b *bulk) begin(ctx context.Context, line Line) chan outcome {
	before, registered := b.turn, make(chan struct{})
	b.turn = registered
	out := make(chan outcome, 1)
	b.workers.Go(func() {
		p, err := line()
		if err != nil {
			<-before
			close(registered)
			b.refuse(ctx, p, err)
			out <- outcome{err: err}
			return
		}
		id := store.ID(rocrate.Identity(p.Identifier, b.h.RDI))
		through := make(chan struct{})
		defer b.finish(id, through)
		<-before
		previous := b.register(id, through)
		close(registered)
		<-previous
		a, err := b.s.SubmitInHarvest(ctx, b.by, b.h, p, WithoutLog)
		out <- outcome{a, err}
	})
	return out
}

// register notes that a line works on the ARC, and gives what it has to wait for.
func (b *bulk) register(id store.ID, through <-chan struct{}) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	previous, ok := b.latest[id]
	b.latest[id] = through
	if !ok {
		return closed()
	}
	return previous
}

// finish lets the next line with the ARC go, and forgets the ARC if there is none.
func (b *bulk) finish(id store.ID, through chan struct{}) {
	b.mu.Lock()
	if b.latest[id] == through {
		delete(b.latest, id)
	}
	b.mu.Unlock()
	close(through)
}

// refuse counts what is wrong with a line as an error of the harvest, unless the
// sender is not to blame: that line is sent again and may well be stored.
func (b *bulk) refuse(ctx context.Context, p rocrate.Payload, err error) {
	f, ok := fault.Of(err)
	if !ok {
		f = fault.New(fault.ARCInvalid, nil).WithText(err.Error())
	}
	if f.Owner != fault.OwnerRDI {
		return
	}
	b.s.NoteRefusal(ctx, b.by, b.h, p.Identifier, f.Text)
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
