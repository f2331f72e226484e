package ingest

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/span"
	"github.com/fairagro/middleware-api/internal/store"
)

// Accepted is what became of a submission that was stored.
type Accepted struct {
	ID         store.ID
	Identifier string
	RDI        string
	Hash       store.Hash
	Outcome    store.Outcome // what the service did
	Lifecycle  store.Lifecycle
	FirstSeen  time.Time
	LastSeen   time.Time
	Log        []store.Event // of the ARC as the submission left it, oldest first; nil WithoutLog
}

// Status is the word for clients, who know only created and updated.
func (a *Accepted) Status() string {
	if a.Outcome == store.Created {
		return string(store.Created)
	}
	return string(store.Updated)
}

// Log says whether the log of the ARC is wanted with what became of a submission.
type Log bool

// WithLog is for answers that tell the log.
const (
	WithLog    Log = true
	WithoutLog Log = false
)

// Submit stores an ARC of an RDI and returns when it is durable.
func (s *Service) Submit(ctx context.Context, by Caller, rdi string, p rocrate.Payload, log Log) (*Accepted, error) {
	return s.submit(ctx, by, rdi, uuid.Nil, p, log)
}

// SubmitInHarvest stores an ARC as part of a harvest and returns when it is
// durable. Refusals count as errors of the harvest. Faults: HarvestNotYours,
// HarvestClosed, and HarvestConflict if the harvest has brought the ARC with
// other content already.
func (s *Service) SubmitInHarvest(ctx context.Context, by Caller, h store.Harvest, p rocrate.Payload, log Log) (*Accepted, error) {
	if err := owns(by, h); err != nil {
		return nil, err
	}
	a, err := s.submit(ctx, by, h.RDI, h.ID, p, log)
	if f, ok := fault.Of(err); ok && refusal(f.Code) {
		s.noteRefusal(ctx, h, rocrate.Identity(p.Identifier, h.RDI), p.Identifier, f)
	}
	return a, err
}

// refusal says whether a fault is the sender's and worth a line in the receipt.
func refusal(code fault.Code) bool {
	return code == fault.HarvestConflict || code == fault.StoreRejected
}

func (s *Service) submit(
	ctx context.Context, by Caller, rdi string, harvest uuid.UUID, p rocrate.Payload, log Log,
) (a *Accepted, err error) {
	ctx, step := span.Start(ctx, span.Submit)
	sub := &store.Submission{
		ID:  rocrate.Identity(p.Identifier, rdi),
		RDI: rdi,
		// Copies, because a group may outlive a caller that gave up, and the
		// texts may share the memory of its request.
		Identifier:  strings.Clone(shown(p.Identifier)),
		Name:        strings.Clone(p.Name),
		Description: strings.Clone(p.Description),
		Hash:        p.Hash,
		Size:        int64(len(p.Document)),
		Content:     func() []byte { return store.Compress(p.Document) },
		Harvest:     harvest,
		Actor:       by.Actor,
		Traceparent: span.Traceparent(ctx),
		WithLog:     bool(log),
	}
	defer func() { ended(step, by, sub, err) }()
	if err := failpoint.Hit(failpoint.SubmitBegin); err != nil {
		return nil, err
	}
	r, err := s.store.Submit(ctx, sub)
	if err != nil {
		return nil, err
	}
	return &Accepted{
		ID: sub.ID, Identifier: sub.Identifier, RDI: rdi, Hash: sub.Hash,
		Outcome: r.Outcome, Lifecycle: r.Lifecycle, FirstSeen: r.FirstSeen, LastSeen: r.LastSeen, Log: r.Log,
	}, nil
}

// ended says in the trace what became of a submission.
func ended(step span.Span, by Caller, sub *store.Submission, err error) {
	if !step.On() {
		return
	}
	client := ""
	if by.ClientID != nil {
		client = *by.ClientID
	}
	step.Text("rdi", sub.RDI)
	step.Text("client_id", client)
	step.Text("arc_id", sub.ID.String())
	step.Flag("success", err == nil)
	if err != nil {
		step.Fail(string(fault.CodeOf(err)))
	}
	step.End()
}

// shown gives a text as lists can show it.
func shown(text string) string { return rocrate.Shown(text, rocrate.MaxShown) }

// NoteRefusal counts a submission that never came as far as SubmitInHarvest,
// because its crate is not valid, as an error of the harvest. The identifier, "" if it
// is not known, keeps the ARC from being missing: somebody has tried to bring it. A
// failure to do so is logged only: the sender is told of the error anyway.
func (s *Service) NoteRefusal(ctx context.Context, by Caller, h store.Harvest, identifier, text string) {
	if owns(by, h) != nil {
		return
	}
	var id store.ID
	if identifier != "" {
		id = rocrate.Identity(identifier, h.RDI)
	}
	s.noteRefusal(ctx, h, id, identifier, fault.New(fault.ARCInvalid, nil).WithText(text))
}

func (s *Service) noteRefusal(ctx context.Context, h store.Harvest, id store.ID, identifier string, f *fault.Error) {
	_ = failpoint.Hit(failpoint.RefusalBegin)
	err := s.store.AddHarvestError(ctx, h.ID, store.HarvestError{ARC: id, Identifier: shown(identifier), Code: f.Code, Text: shown(f.Text)})
	if err != nil {
		s.o.Logger.Warn("refused submission not counted in its harvest", "harvest_id", HarvestID(h), "error", err)
	}
}
