package couchimport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// Options of an import.
type Options struct {
	DryRun  bool // read and judge everything, store nothing
	Actor   store.Actor
	Workers int // documents at a time; 0 means 8
	// TaskAge is how old a task may be that somebody still asks for; older ones are
	// passed over, as all are with 0.
	TaskAge time.Duration
	// Problem is told of every line that was not imported, and of contents whose
	// hash was not as recorded. It is called from one goroutine at a time.
	Problem func(Problem)
	// Progress is told of the number of lines that are done.
	Progress func(lines int64)
}

// Problem is what is wrong with a line.
type Problem struct {
	Line     int    `json:"line"`
	ID       string `json:"id,omitempty"`
	Text     string `json:"text"`
	Imported bool   `json:"imported"` // all the same
}

// Kind counts the documents of one kind.
type Kind struct {
	Read     int64 `json:"read"`     // in the export
	Imported int64 `json:"imported"` // by this run
	There    int64 `json:"there"`    // before this run
	Bad      int64 `json:"bad"`      // not imported
}

// Summary is what an import did. Every line read is imported, there, bad or
// passed over; every ARC that is there is proven or newer.
type Summary struct {
	DryRun     bool  `json:"dry_run"`
	Lines      int64 `json:"lines"`
	ARCs       Kind  `json:"arcs"`
	Harvests   Kind  `json:"harvests"`
	TasksKept  int64 `json:"tasks"` // that clients may still ask for: they are there
	Tasks      int64 `json:"tasks_passed_over"`
	Others     int64 `json:"others_passed_over"` // design documents, keys of harvests and deleted ones
	Unreadable int64 `json:"unreadable"`         // lines that hold no document of the old service
	// Proven counts ARCs whose content, read back from the database, has the hash
	// of the content in the export.
	Proven int64 `json:"proven"`
	Newer  int64 `json:"newer"` // that were there with other content than in the export
	Pushed int64 `json:"pushed_before"`
	// HashDiffers counts ARCs whose recorded hash is not that of their content, as
	// early versions of the old service left them. The content counts.
	HashDiffers int64 `json:"hash_differs"`
}

// Bad counts what was not imported and should have been.
func (s *Summary) Bad() int64 { return s.ARCs.Bad + s.Harvests.Bad + s.Unreadable }

// NotProven counts ARCs that are neither proven nor known to be newer.
func (s *Summary) NotProven() int64 {
	if s.DryRun {
		return 0
	}
	return s.ARCs.Imported + s.ARCs.There - s.Proven - s.Newer
}

const defaultWorkers = 8

// UnreadableError says that an export cannot be read to its end.
type UnreadableError struct{ err error }

func (e *UnreadableError) Error() string { return e.err.Error() }

// Unwrap gives what is wrong.
func (e *UnreadableError) Unwrap() error { return e.err }

// Run imports an export. The error is one that ends the import: the export
// cannot be read any further, the database cannot be reached, or ctx has ended.
// The summary tells of what was done until then.
func Run(ctx context.Context, st *store.Store, export io.Reader, o Options) (*Summary, error) {
	in, err := newLines(export)
	if err != nil {
		return &Summary{DryRun: o.DryRun}, &UnreadableError{err}
	}
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	r := &run{store: st, Options: o, sum: Summary{DryRun: o.DryRun}}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(o.Workers)
	for gctx.Err() == nil {
		line, rerr := in.next()
		if rerr != nil {
			if !errors.Is(rerr, io.EOF) {
				err = &UnreadableError{fmt.Errorf("read the export at line %d: %w", in.number+1, rerr)}
			}
			break
		}
		number := in.number
		group.Go(func() error { return r.line(gctx, number, line) })
	}
	if werr := group.Wait(); werr != nil {
		err = werr
	}
	if err == nil {
		err = ctx.Err()
	}
	return &r.sum, err
}

type run struct {
	store *store.Store
	Options

	mu  sync.Mutex
	sum Summary
}

// count changes the summary.
func (r *run) count(f func(s *Summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.sum)
}

// problem reports a line and counts it as one.
func (r *run) problem(p Problem, count func(s *Summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count(&r.sum)
	if r.Problem != nil {
		r.Problem(p)
	}
}

// line handles one line; its error ends the import.
func (r *run) line(ctx context.Context, number int, line []byte) error {
	d, err := parse(line)
	switch {
	case err != nil:
		r.problem(Problem{Line: number, Text: err.Error()}, func(s *Summary) { s.Unreadable++ })
		err = nil
	case d.Deleted, strings.HasPrefix(d.ID, prefixDesign), strings.HasPrefix(d.ID, prefixKey):
		r.count(func(s *Summary) { s.Others++ })
	case strings.HasPrefix(d.ID, prefixTask):
		err = r.task(ctx, d)
	case strings.HasPrefix(d.ID, prefixARC):
		err = r.arc(ctx, number, d)
	case strings.HasPrefix(d.ID, prefixHarvest):
		err = r.harvest(ctx, number, d)
	default:
		text := "this is no document of the old service"
		r.problem(Problem{Line: number, ID: d.ID, Text: text}, func(s *Summary) { s.Unreadable++ })
	}
	if err != nil {
		return fmt.Errorf("line %d: %w", number, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Lines++
	if r.Progress != nil {
		r.Progress(r.sum.Lines)
	}
	return nil
}

func (r *run) arc(ctx context.Context, number int, d *document) error {
	r.count(func(s *Summary) { s.ARCs.Read++ })
	in, fits, err := d.readARC()
	if err != nil {
		r.problem(Problem{Line: number, ID: d.ID, Text: err.Error()}, func(s *Summary) { s.ARCs.Bad++ })
		return nil //nolint:nilerr // the line is told, and the import goes on
	}
	if !fits {
		text := fmt.Sprintf("the recorded hash %q is not that of the content, %s; the content counts", d.Meta.Hash, in.ARC.Hash)
		r.problem(Problem{Line: number, ID: d.ID, Text: text, Imported: true}, func(s *Summary) { s.HashDiffers++ })
	}
	if r.DryRun {
		return r.look(ctx, &in)
	}
	imported, err := r.store.ImportARC(ctx, in, r.Actor)
	if fault.CodeOf(err) == fault.StoreRejected {
		r.problem(Problem{Line: number, ID: d.ID, Text: err.Error()}, func(s *Summary) { s.ARCs.Bad++ })
		return nil
	}
	if err != nil {
		return err
	}
	r.count(func(s *Summary) { s.ARCs.add(imported, !in.Pushed.IsZero(), s) })
	return r.prove(ctx, number, d.ID, &in)
}

func (k *Kind) add(imported, pushed bool, s *Summary) {
	if !imported {
		k.There++
		return
	}
	k.Imported++
	if pushed {
		s.Pushed++
	}
}

// look tells what an import would do.
func (r *run) look(ctx context.Context, in *store.Imported) error {
	would, err := r.store.WouldImportARC(ctx, *in)
	if err != nil {
		return err
	}
	r.count(func(s *Summary) { s.ARCs.add(would, !in.Pushed.IsZero(), s) })
	return nil
}

// prove reads the stored content back and hashes it.
func (r *run) prove(ctx context.Context, number int, id string, in *store.Imported) error {
	c, err := r.store.Content(ctx, in.ARC.ID)
	if err != nil {
		return err
	}
	if c.Hash != in.ARC.Hash {
		return r.other(ctx, number, id, in)
	}
	text, err := c.Document()
	if err == nil {
		var p rocrate.Payload
		if p, err = rocrate.Scan(text); err == nil && store.Hash(p.Hash) != in.ARC.Hash {
			err = fmt.Errorf("it has the hash %x", p.Hash)
		}
	}
	if err != nil {
		what := fmt.Sprintf("what is stored is not what the export holds: %v", err)
		r.problem(Problem{Line: number, ID: id, Text: what}, func(*Summary) {})
		return nil //nolint:nilerr // the line is told, and the summary does not count it as proven
	}
	r.count(func(s *Summary) { s.Proven++ })
	return nil
}

// other judges an ARC that is there with other content.
func (r *run) other(ctx context.Context, number int, id string, in *store.Imported) error {
	there, err := r.store.ARC(ctx, in.ARC.ID)
	if err != nil {
		return err
	}
	if !there.LastChanged.Before(in.ARC.LastChanged) {
		r.count(func(s *Summary) { s.Newer++ })
		return nil
	}
	text := fmt.Sprintf("its content is of %s, later than what was uploaded here on %s, which stays; upload the right one again",
		in.ARC.LastChanged.Format(time.RFC3339), there.LastChanged.UTC().Format(time.RFC3339))
	r.problem(Problem{Line: number, ID: id, Text: text}, func(s *Summary) { s.ARCs.There--; s.ARCs.Bad++ })
	return nil
}

// task keeps what a client may be waiting for: of the first ones that ask for tasks,
// some wait without end for one that nobody knows.
func (r *run) task(ctx context.Context, d *document) error {
	t, ok := d.readTask()
	if !ok || time.Since(t.UpdatedAt) > r.TaskAge {
		r.count(func(s *Summary) { s.Tasks++ })
		return nil
	}
	if !r.DryRun {
		if err := r.store.ImportTask(ctx, t); fault.CodeOf(err) == fault.StoreRejected {
			r.count(func(s *Summary) { s.Tasks++ })
			return nil
		} else if err != nil {
			return err
		}
	}
	r.count(func(s *Summary) { s.TasksKept++ })
	return nil
}

func (r *run) harvest(ctx context.Context, number int, d *document) error {
	r.count(func(s *Summary) { s.Harvests.Read++ })
	h, err := d.readHarvest()
	if err != nil {
		r.problem(Problem{Line: number, ID: d.ID, Text: err.Error()}, func(s *Summary) { s.Harvests.Bad++ })
		return nil //nolint:nilerr // the line is told, and the import goes on
	}
	var imported bool
	if r.DryRun {
		imported, err = r.store.WouldImportHarvest(ctx, h)
	} else {
		imported, err = r.store.ImportHarvest(ctx, h)
	}
	if fault.CodeOf(err) == fault.StoreRejected {
		r.problem(Problem{Line: number, ID: d.ID, Text: err.Error()}, func(s *Summary) { s.Harvests.Bad++ })
		return nil
	}
	if err != nil {
		return err
	}
	r.count(func(s *Summary) { s.Harvests.add(imported, false, s) })
	return nil
}
