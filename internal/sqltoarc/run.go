package sqltoarc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold"
	"github.com/fairagro/middleware-api/internal/sqltoarc/mapping"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/state"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

// Codes of the ways in which a run ends without being done.
const (
	CodeViews       fault.Code = "sqltoarc.views"
	CodeBusy        fault.Code = "sqltoarc.busy"
	CodeState       fault.Code = "sqltoarc.state"
	CodeOutput      fault.Code = "sqltoarc.output"
	CodeInterrupted fault.Code = "sqltoarc.interrupted"
)

// maxFailedIDs bounds the list of failed datasets in the report.
const maxFailedIDs = 1 << 20

// progressInterval is how often progress is reported, and waitingInterval how often that there is none because of the API.
const (
	progressInterval = 250 * time.Millisecond
	waitingInterval  = 15 * time.Second
)

// runner is one run.
type runner struct {
	o      Options
	mapper *mapping.Mapper
	reader *source.Reader
	sink   sink
	cores  chan struct{}
	begun  bool // the sink has

	found, uploaded, unchanged, failed, built, warnings, studies, assays atomic.Int64
	hushed, hushedWarnings                                               atomic.Int64 // see settle

	mu        sync.Mutex
	waited    time.Time // when it was last said that the API is waited for
	failedIDs []string
	missing   map[string]bool // of those asked for by name
}

// piece is a dataset on its way.
type piece struct {
	key      string
	dataset  *source.Dataset // nil once it is built
	record   state.Record    // what is to be remembered; its hash is that of the ARC, when known
	hashed   bool
	recalled bool   // the record is that of an earlier run
	hushed   bool   // an earlier run has built the ARC; what it found is not told again if that one will do
	document []byte // the crate, when built
}

// sink is where ARCs go.
type sink interface {
	// begin is called before the first dataset.
	begin(ctx context.Context, total int64) error
	// known gives a function for what it has seen earlier; nil if nothing is
	// remembered.
	known() func(key string) (earlier source.Earlier, ok bool, err error)
	// recall tells what is known of a dataset without building it: its hash, or
	// that it is done with.
	recall(p *piece) (done bool, err error)
	// deliver brings pieces to where they belong and settles each of them.
	deliver(ctx context.Context, pieces []*piece) error
	// end is called once, with what went wrong, if anything. It tells whether a run
	// with [Options.Resume] could go on where this one has stopped.
	end(ctx context.Context, failure error) (open bool, err error)
}

// Run converts. The report is there even with an error, unless the run never
// began. Errors are faults, or the context's.
func Run(ctx context.Context, o Options) (*Report, error) {
	o = o.complete()
	started := time.Now()
	ctx, span := o.Tracer.Start(ctx, SpanRun, trace.WithAttributes(attribute.String("rdi", o.RDI)))
	defer span.End()
	missing := make(map[string]bool, len(o.Only))
	for _, id := range o.Only {
		missing[id] = true
	}
	r := &runner{o: o, missing: missing, mapper: mapping.New(o.Limits), cores: make(chan struct{}, o.Builds)}
	s, err := newSink(r)
	if err != nil {
		return nil, err
	}
	r.sink = s
	database, err := r.open(ctx)
	if err != nil {
		return nil, r.end(ctx, err)
	}
	defer database.Close()
	defer r.reader.Close()
	err = r.convert(ctx)
	return r.report(started, err), err
}

// open connects to the database, checks the views and opens the snapshot.
func (r *runner) open(ctx context.Context) (*source.Database, error) {
	database, err := source.Open(ctx, r.o.ConnectionString, r.o.Schema)
	if err != nil {
		return nil, err
	}
	findings, err := database.Resolve(ctx)
	if err == nil {
		for _, f := range findings {
			r.finding(f)
		}
		if !source.Usable(findings) {
			err = &fault.Error{Code: CodeViews, Owner: fault.OwnerRDI,
				Text: "the database does not offer what is needed", Remedy: "mend what is listed above, then: sql-to-arc check"}
		}
	}
	if err == nil {
		var note *source.Finding
		r.reader, note, err = database.Read(ctx, source.ReadOptions{
			BatchSize: r.o.BatchSize, DatasetBytes: r.o.MaxBytes, Sessions: min(r.o.Tasks, r.o.Builds+1),
			Only: r.o.Only, Limit: r.o.Limit, Known: r.sink.known(), Thorough: r.o.Thorough,
		})
		if note != nil {
			r.finding(*note)
		}
	}
	if err != nil {
		database.Close()
		return nil, err
	}
	return database, nil
}

// convert lets the lanes work until there is no dataset left.
func (r *runner) convert(ctx context.Context) error {
	total := r.reader.Total()
	ctx, span := r.o.Tracer.Start(ctx, SpanProcess, trace.WithAttributes(attribute.Int64("investigation_count", total)))
	defer span.End()
	r.o.Report(Event{Kind: EventBegin, Total: total})
	if err := r.sink.begin(ctx, total); err != nil {
		return r.end(ctx, err)
	}
	r.begun = true
	stop := r.watch()
	lanes, laneCtx := errgroup.WithContext(ctx)
	for range r.o.Tasks {
		lanes.Go(func() error { return r.lane(laneCtx) })
	}
	err := lanes.Wait()
	if err == nil {
		var strays []source.Finding
		strays, err = r.reader.Strays(ctx)
		for _, f := range strays {
			r.finding(f)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.missing)) {
		if err == nil {
			r.refuse(id, "there is no dataset with this identifier", "correct --only")
		}
	}
	stop()
	r.recallWarnings()
	return r.end(ctx, err)
}

// end lets go of the sink, even if the run is told to stop, and completes the
// error with the way to go on.
func (r *runner) end(ctx context.Context, failure error) error {
	if ctx.Err() != nil {
		failure = &fault.Error{Code: CodeInterrupted, Owner: fault.OwnerNobody, Cause: context.Cause(ctx), Text: "the run was interrupted"}
	}
	open, err := r.sink.end(context.WithoutCancel(ctx), failure)
	err = errors.Join(failure, err)
	f, ok := fault.Of(err)
	if !ok || !passing(f.Code) {
		return err
	}
	again := *f
	again.Cause = err
	if again.Remedy != "" {
		again.Remedy += "; then "
	}
	if open {
		again.Remedy += "go on where it stopped: sql-to-arc run --resume"
	} else {
		again.Remedy += "run again"
	}
	return &again
}

// passing tells whether a run that ended so may succeed when it is tried again.
func passing(code fault.Code) bool {
	switch code {
	case CodeInterrupted, upload.CodeUnreachable, source.CodeUnreachable, CodeState:
		return true
	}
	return false
}

// watch reports progress now and then, until stop.
func (r *runner) watch() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		last := Counts{}
		for {
			select {
			case <-tick.C:
				if now := r.counts(); now != last {
					last = now
					r.o.Report(Event{Kind: EventProgress, Counts: &now})
				}
			case <-done:
				now := r.counts()
				r.o.Report(Event{Kind: EventProgress, Counts: &now})
				return
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

func (r *runner) counts() Counts {
	return Counts{
		Found: r.found.Load(), Uploaded: r.uploaded.Load(), Unchanged: r.unchanged.Load(), Failed: r.failed.Load(),
		Built: r.built.Load(), Warnings: r.warnings.Load(), Studies: r.studies.Load(), Assays: r.assays.Load(),
	}
}

// maxDocuments is how many bytes of crates a lane delivers at a time; of datasets
// without one it delivers those of a batch.
const maxDocuments = 4 << 20

// The names of our spans, as the earlier generations called them.
const (
	SpanRun     = "sql_to_arc.main.run_conversion"         // rdi
	SpanProcess = "sql_to_arc.main.process_investigations" // investigation_count
	SpanFetch   = "sql_to_arc.main.db.fetch_investigations"
	SpanUpload  = "sql_to_arc.main.upload_batch" // count, rdi
)

func (r *runner) next(ctx context.Context) ([]*source.Dataset, error) {
	ctx, span := r.o.Tracer.Start(ctx, SpanFetch)
	defer span.End()
	return r.reader.Next(ctx)
}

// lane reads batches and brings each to its end.
func (r *runner) lane(ctx context.Context) error {
	for {
		batch, err := r.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var pieces []*piece
		size := 0
		for i, d := range batch {
			batch[i] = nil
			p, err := r.prepare(ctx, d)
			if err != nil {
				return err
			}
			if p == nil {
				continue
			}
			pieces = append(pieces, p)
			if size += len(p.document); size < maxDocuments {
				continue
			}
			if err := r.deliver(ctx, pieces); err != nil {
				return err
			}
			pieces, size = pieces[:0], 0
		}
		if len(pieces) > 0 {
			if err := r.deliver(ctx, pieces); err != nil {
				return err
			}
		}
	}
}

func (r *runner) deliver(ctx context.Context, pieces []*piece) error {
	ctx, span := r.o.Tracer.Start(ctx, SpanUpload, trace.WithAttributes(attribute.Int("count", len(pieces)), attribute.String("rdi", r.o.RDI)))
	defer span.End()
	return r.sink.deliver(ctx, pieces)
}

// prepare looks at a dataset: what is unchanged keeps its rows, everything else
// is built. Without a piece the dataset is done with.
func (r *runner) prepare(ctx context.Context, d *source.Dataset) (*piece, error) {
	if err := r.core(ctx); err != nil {
		return nil, err
	}
	defer r.free()
	r.found.Add(1)
	r.seen(d.Key())
	r.studies.Add(int64(d.StudyCount))
	r.assays.Add(int64(d.AssayCount))
	p := &piece{key: d.Key(), dataset: d}
	done, err := r.sink.recall(p)
	switch {
	case err != nil:
		return nil, err
	case done:
		return nil, nil
	case p.hashed:
		return p, nil
	case d.Unchanged:
		// What was known about it is no longer so: the rows are needed after all.
		if err := r.reader.Fetch(ctx, []*source.Dataset{d}); err != nil {
			return nil, err
		}
	}
	if !r.build(p) {
		return nil, nil
	}
	return p, nil
}

// seen notes that a dataset that was asked for by name is there.
func (r *runner) seen(key string) {
	if len(r.o.Only) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.missing, key)
}

// core waits for a core to build on.
func (r *runner) core(ctx context.Context) error {
	select {
	case r.cores <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *runner) free() { <-r.cores }

// build makes the crate of a dataset and lets go of its rows.
func (r *runner) build(p *piece) bool {
	result := r.mapper.Map(p.dataset)
	p.dataset, p.record.Warnings = nil, 0
	for _, f := range result.Findings {
		r.tell(p, f)
	}
	if result.Dropped > 0 {
		r.tell(p, source.Finding{Severity: source.Note, Key: p.key, Text: fmt.Sprintf("%d more findings about this dataset are not listed", result.Dropped)})
	}
	if result.ARC == nil {
		r.fail(p.key)
		return false
	}
	return r.encode(p, result)
}

// encode turns the ARC into the document that is sent.
func (r *runner) encode(p *piece, result mapping.Result) bool {
	document, err := rocrate.Encode(result.ARC)
	if err == nil {
		var payload rocrate.Payload
		if payload, err = rocrate.Scan(document); err == nil {
			p.record.Hash, p.hashed, p.document = payload.Hash, true, document
		}
	}
	if err != nil {
		r.finding(source.Finding{Severity: source.Error, Key: p.key, Text: "the ARC has no form as RO-Crate: " + err.Error()})
		r.fail(p.key)
		return false
	}
	r.built.Add(1)
	if !r.o.Folders {
		r.foretell(p, result.ARC)
	}
	return true
}

// maxProblems is how many reasons are told that keep one ARC out of git.
const maxProblems = 10

// foretell tells what will keep an ARC out of git once it is stored, which the
// sender would learn of only by asking the service later.
func (r *runner) foretell(p *piece, inv *arc.Investigation) {
	_, err := scaffold.Files(inv)
	problems, _ := errors.AsType[scaffold.Problems](err)
	for i, problem := range problems {
		if i == maxProblems {
			r.tell(p, source.Finding{Severity: source.Warning, Key: p.key, Text: fmt.Sprintf("%d more such reasons are not listed", len(problems)-i)})
			return
		}
		r.tell(p, source.Finding{Severity: source.Warning, Key: p.key, Text: "the ARC cannot arrive in git: " + problem.Text, Remedy: problem.Remedy})
	}
}

// fail counts a dataset as failed.
func (r *runner) fail(key string) {
	r.failed.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failedIDs) < maxFailedIDs {
		r.failedIDs = append(r.failedIDs, key)
	}
}

// refuse counts a dataset as failed and says why.
func (r *runner) refuse(key, text, remedy string) {
	r.finding(source.Finding{Severity: source.Error, Key: key, Text: text, Remedy: remedy})
	r.fail(key)
}

// tell reports what the building of a dataset has found.
func (r *runner) tell(p *piece, f source.Finding) {
	if f.Severity == source.Warning {
		p.record.Warnings++
	}
	r.finding(f)
}

// settle counts a dataset as unchanged. What was found when its ARC was built is not found again.
func (r *runner) settle(p *piece) {
	r.unchanged.Add(1)
	if p.hushed && p.record.Warnings > 0 {
		r.hushed.Add(1)
		r.hushedWarnings.Add(int64(p.record.Warnings))
	}
}

// recallWarnings says that there are warnings that this run has not given.
func (r *runner) recallWarnings() {
	if n := r.hushed.Load(); n > 0 {
		r.note(fmt.Sprintf("%s that %s had %s when last built; sql-to-arc run --dry-run gives them again",
			source.Counted(n, "dataset", "datasets"), verb(n), source.Counted(r.hushedWarnings.Load(), "warning", "warnings")))
	}
}

func verb(n int64) string {
	if n == 1 {
		return "has not changed"
	}
	return "have not changed"
}

func (r *runner) finding(f source.Finding) {
	if f.Severity == source.Warning {
		r.warnings.Add(1)
	}
	r.o.Report(Event{Kind: EventFinding, Finding: &f})
}

// waiting says what the run waits for, so that nobody takes it for stuck.
func (r *runner) waiting(why error, wait time.Duration) {
	r.mu.Lock()
	now := time.Now()
	silent := now.Sub(r.waited) < waitingInterval
	if !silent {
		r.waited = now
	}
	r.mu.Unlock()
	if silent {
		return
	}
	text := why.Error()
	if f, ok := fault.Of(why); ok {
		text = f.Text
	}
	r.note(fmt.Sprintf("%s; trying again in %v", text, max(wait.Round(time.Second), time.Second)))
}

func (r *runner) note(text string) { r.o.Report(Event{Kind: EventNote, Text: text}) }

func (r *runner) failedKeys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := slices.Clone(r.failedIDs)
	slices.Sort(ids)
	return ids
}
