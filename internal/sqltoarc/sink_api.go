package sqltoarc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/state"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

// newSink decides where ARCs go.
func newSink(r *runner) (sink, error) {
	switch {
	case r.o.DryRun:
		return &nowhere{r: r}, nil
	case r.o.Out != "":
		return newFolderSink(r)
	}
	return newAPISink(r)
}

// apiSink brings ARCs to the API. Partial runs have no harvest.
type apiSink struct {
	r       *runner
	client  *upload.Client
	state   *state.File // nil when there is none
	harvest string
}

func newAPISink(r *runner) (*apiSink, error) {
	o := r.o.Upload
	o.Waiting = r.waiting
	client, err := upload.New(o)
	if err != nil {
		return nil, err
	}
	s := &apiSink{r: r, client: client}
	if r.o.StateDir == "" {
		return s, nil
	}
	if err := s.openState(); errors.Is(err, state.ErrBusy) {
		return nil, &fault.Error{Code: CodeBusy, Owner: fault.OwnerNobody, Cause: err,
			Text: "another run with this configuration is going on", Remedy: "wait for it to end"}
	} else if err != nil {
		r.note("nothing will be remembered for the next run: " + err.Error())
	}
	return s, nil
}

// openState opens what earlier runs have left.
func (s *apiSink) openState() error {
	builder, err := programHash()
	if err != nil {
		return err
	}
	s.state, err = state.Open(statePath(s.r.o), builder)
	return err
}

// statePath gives a file for each combination of database, API and RDI.
func statePath(o Options) string {
	database, _, _ := strings.Cut(o.ConnectionString, "?")
	if before, after, ok := strings.Cut(database, "@"); ok {
		// The password must not decide, not even through a hash.
		user, _, _ := strings.Cut(before, "//")
		database = user + after
	}
	sum := sha256.Sum256([]byte(o.RDI + "\x00" + o.Upload.URL + "\x00" + database + "\x00" + string(o.Schema)))
	return filepath.Join(o.StateDir, hex.EncodeToString(sum[:8])+".state")
}

// begin begins a harvest, or goes on with the one that was interrupted.
func (s *apiSink) begin(ctx context.Context, total int64) error {
	if s.r.o.partial() {
		return nil
	}
	if s.state != nil && s.state.Unfinished() != "" {
		done, err := s.unfinished(ctx, s.state.Unfinished())
		if done || err != nil {
			return err
		}
	}
	// Noted before it is used, so that a run after this one, should this one be killed
	// before it has the answer, gets the same harvest.
	key := rand.Text()
	if s.state != nil {
		var err error
		if key, err = s.state.Intend(key); err != nil {
			return stateFault(err)
		}
	}
	h, err := s.client.Begin(ctx, s.r.o.RDI, total, key)
	if err != nil {
		return err
	}
	s.harvest = h.ID
	text := "begun"
	if s.r.o.Resume {
		text = "begun, because none was interrupted"
	}
	s.r.o.Report(Event{Kind: EventHarvest, Harvest: h.ID, Text: text})
	if s.state != nil {
		if err := s.state.Begin(h.ID); err != nil {
			return stateFault(err)
		}
	}
	return nil
}

// unfinished deals with the harvest that the last run has left open.
func (s *apiSink) unfinished(ctx context.Context, id string) (done bool, err error) {
	if !s.r.o.Resume {
		if _, err := s.client.End(ctx, id, upload.Failed, upload.Rest{}); err == nil {
			s.r.o.Report(Event{Kind: EventHarvest, Harvest: id, Text: "interrupted earlier, now declared failed"})
		}
		return false, nil
	}
	h, err := s.client.Harvest(ctx, id)
	if fault.CodeOf(err) == upload.CodeUnreachable {
		return false, err
	}
	if err != nil || h.Status != upload.Running {
		s.r.note("the interrupted harvest " + id + " is no longer open; a new one is begun")
		return false, nil //nolint:nilerr // a harvest that cannot be resumed is no reason not to begin another
	}
	s.harvest = id
	s.r.o.Report(Event{Kind: EventHarvest, Harvest: id, Text: "resumed"})
	return true, nil
}

func stateFault(err error) error {
	return &fault.Error{Code: CodeState, Owner: fault.OwnerRDI, Cause: err, Text: "the state file cannot be used: " + err.Error(),
		Remedy: "make room on the disk, or choose another folder with state_dir"}
}

// known gives what datasets were when they were last uploaded.
func (s *apiSink) known() func(key string) (earlier source.Earlier, ok bool, err error) {
	if s.state == nil {
		return nil
	}
	return func(key string) (earlier source.Earlier, ok bool, err error) {
		// Without a handshake the rows are needed in any case.
		if s.r.o.partial() || !s.client.Handshakes() {
			return earlier, false, nil
		}
		record, ok, err := s.state.Get(key)
		if err != nil {
			return earlier, false, stateFault(err)
		}
		return source.Earlier{
			Fingerprint: record.Fingerprint, Marker: record.Marker,
			StudyCount: int(record.Studies), AssayCount: int(record.Assays),
		}, ok, nil
	}
}

// recall looks a dataset up among those of earlier runs.
func (s *apiSink) recall(p *piece) (done bool, err error) {
	if s.state == nil || p.dataset.TooLarge || p.dataset.Duplicate {
		return false, nil
	}
	record, ok, err := s.state.Get(p.key)
	if err != nil {
		return false, stateFault(err)
	}
	p.record = state.Record{
		Fingerprint: p.dataset.Fingerprint, Marker: p.dataset.Marker,
		Studies: uint32(p.dataset.StudyCount), Assays: uint32(p.dataset.AssayCount), //nolint:gosec // bounded by the memory of a dataset
	}
	same := ok && record.Fingerprint == p.record.Fingerprint
	if same {
		p.hushed, p.record.Warnings = true, record.Warnings
	}
	if ok && s.harvest != "" && record.Run == s.state.Run() {
		if !same {
			s.differs(p)
			return true, nil
		}
		s.r.settle(p)
		return true, nil
	}
	if same && s.harvest != "" {
		p.record.Hash, p.hashed, p.recalled = record.Hash, true, record.Marker == p.record.Marker
	}
	return false, nil
}

// deliver asks which ARCs the service needs, builds those that are not built
// yet, and sends them.
func (s *apiSink) deliver(ctx context.Context, pieces []*piece) error {
	needed := pieces
	if s.harvest != "" {
		var err error
		if needed, err = s.handshake(ctx, pieces); err != nil {
			return err
		}
	}
	for len(needed) > 0 {
		n, size := 0, 0
		var batch []*piece
		for n < len(needed) && size < maxDocuments {
			if err := s.fetch(ctx, needed[n:]); err != nil {
				return err
			}
			p := needed[n]
			n++
			if p.document == nil && !s.rebuild(ctx, p) {
				continue
			}
			size += len(p.document)
			batch = append(batch, p)
		}
		needed = needed[n:]
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.send(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// fetch brings the rows of the first dataset if the service lacks it although it
// has not changed, and with it those of others for which that is so.
func (s *apiSink) fetch(ctx context.Context, needed []*piece) error {
	without := func(p *piece) bool { return p.dataset != nil && p.dataset.Unchanged }
	if !without(needed[0]) {
		return nil
	}
	var datasets []*source.Dataset
	for _, p := range needed {
		if without(p) {
			datasets = append(datasets, p.dataset)
		}
	}
	return s.r.reader.Fetch(ctx, datasets)
}

// rebuild builds what was thought to be known to the service.
func (s *apiSink) rebuild(ctx context.Context, p *piece) bool {
	if s.r.core(ctx) != nil {
		return false
	}
	defer s.r.free()
	return s.r.build(p)
}

// handshake gives the pieces that the service does not have in this form.
func (s *apiSink) handshake(ctx context.Context, pieces []*piece) ([]*piece, error) {
	known := make([]upload.Known, len(pieces))
	for i, p := range pieces {
		known[i] = upload.Known{Identifier: strings.TrimSpace(p.key), Hash: p.record.Hash}
	}
	unchanged, err := s.client.Unchanged(ctx, s.harvest, known)
	if errors.Is(err, upload.ErrUnsupported) {
		return pieces, nil
	}
	if err != nil {
		return nil, err
	}
	needed := make([]*piece, 0, len(pieces))
	for i, p := range pieces {
		if !unchanged[i] {
			needed = append(needed, p)
			continue
		}
		s.r.settle(p)
		// What is on record for an earlier run stays so: a resumed run asks again.
		if p.recalled {
			continue
		}
		if err := s.remember(p); err != nil {
			return nil, err
		}
	}
	return needed, nil
}

// send uploads and settles what was acknowledged, also when the rest failed.
func (s *apiSink) send(ctx context.Context, batch []*piece) error {
	submissions := make([]*upload.Submission, len(batch))
	for i, p := range batch {
		submissions[i] = &upload.Submission{Document: p.document}
	}
	err := s.client.Submit(ctx, s.r.o.RDI, s.harvest, submissions)
	for i, sub := range submissions {
		p := batch[i]
		switch {
		case !sub.Settled():
		case sub.Err != nil:
			s.refused(p, sub.Err)
		default:
			s.r.uploaded.Add(1)
			if e := s.remember(p); e != nil {
				err = errors.Join(err, e)
			}
		}
		p.document = nil
	}
	return err
}

// refused fails a dataset whose ARC the service does not take.
func (s *apiSink) refused(p *piece, err error) {
	if status, ok := errors.AsType[*upload.StatusError](err); ok && status.Status == http.StatusConflict {
		s.differs(p)
		return
	}
	s.r.refuse(p.key, "the API refuses the ARC: "+err.Error(), "")
}

// differs fails a dataset that the harvest has already, whether we know that of
// ourselves or the service says so because its first answer was lost.
func (s *apiSink) differs(p *piece) {
	s.r.refuse(p.key, "this harvest has brought the dataset already, with other content",
		"make identifiers unique; if the data has changed since the run was interrupted, run again")
}

// remember notes what the service has acknowledged.
func (s *apiSink) remember(p *piece) error {
	if s.state == nil {
		return nil
	}
	if s.harvest != "" {
		p.record.Run = s.state.Run()
	}
	if err := s.state.Put(p.key, p.record); err != nil {
		return stateFault(err)
	}
	return nil
}

// end completes the harvest if everything was read and sent. If the run was cut
// off by something that passes, the harvest stays open to be resumed; otherwise
// it is declared failed.
func (s *apiSink) end(ctx context.Context, failure error) (open bool, err error) {
	defer s.close()
	if s.harvest == "" {
		return s.r.o.Resume && s.state != nil && s.state.Unfinished() != "", nil
	}
	status, words := upload.Completed, "completed"
	if failure != nil {
		if s.state != nil && passing(fault.CodeOf(failure)) {
			s.r.o.Report(Event{Kind: EventHarvest, Harvest: s.harvest, Text: "left open, to be resumed"})
			return true, nil
		}
		status, words = upload.Failed, "declared failed"
	}
	rest := s.r.rest()
	switch {
	case status != upload.Completed:
	case rest.Unnamed:
		words = "completed; no ARC that it did not bring counts as missing, because datasets have failed of which the identifier is not known"
	case len(rest.Identifiers) > 0:
		words = "completed; the ARCs of the datasets that have failed do not count as missing"
	}
	if _, err := s.client.End(ctx, s.harvest, status, rest); err != nil {
		if failure != nil {
			s.r.note("the harvest " + s.harvest + " could not be declared failed: " + err.Error())
			return false, nil
		}
		return s.state != nil, err
	}
	s.r.o.Report(Event{Kind: EventHarvest, Harvest: s.harvest, Text: words})
	if s.state != nil {
		if err := s.state.Finish(); err != nil {
			return false, stateFault(err)
		}
	}
	return false, nil
}

// rest gives the datasets that have failed: they are in the database, but not in the harvest.
func (r *runner) rest() upload.Rest {
	named := slices.DeleteFunc(r.failedKeys(), func(id string) bool { return strings.TrimSpace(id) == "" })
	return upload.Rest{Identifiers: named, Unnamed: int64(len(named)) < r.failed.Load()}
}

func (s *apiSink) close() {
	s.client.Close()
	if s.state != nil {
		_ = s.state.Close()
	}
}
