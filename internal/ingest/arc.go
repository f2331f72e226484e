package ingest

import (
	"context"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
)

// ARC gives an ARC by its id in hex, or the fault ARCNotFound.
func (s *Service) ARC(ctx context.Context, id string) (store.ARC, error) {
	parsed, err := store.ParseID(id)
	if err != nil {
		return store.ARC{}, fault.New(fault.ARCNotFound, err)
	}
	return s.store.ARC(ctx, parsed)
}

// ARCs lists ARCs; the filter must name the RDIs that the caller may see.
func (s *Service) ARCs(ctx context.Context, f store.ARCFilter) ([]store.ARC, store.Cursor, error) {
	if f.RDIs == nil {
		f.RDIs = []string{}
	}
	return s.store.ARCs(ctx, f)
}

// Document gives the newest RO-Crate document of an ARC and its hash.
func (s *Service) Document(ctx context.Context, id store.ID) ([]byte, store.Hash, error) {
	c, err := s.store.Content(ctx, id)
	if err != nil {
		return nil, store.Hash{}, err
	}
	doc, err := c.Document()
	return doc, c.Hash, err
}

// Events gives the log of an ARC, oldest first.
func (s *Service) Events(ctx context.Context, id store.ID) ([]store.Event, error) {
	return s.store.Events(ctx, id)
}

// Report gives what the reading of the newest content found; its Hash is zero
// if that has not happened yet.
func (s *Service) Report(ctx context.Context, id store.ID) (store.Report, error) {
	return s.store.Report(ctx, id)
}

// SetReport keeps what the reading of a content found.
func (s *Service) SetReport(ctx context.Context, id store.ID, hash store.Hash, findings []store.Finding) error {
	return s.store.SetReport(ctx, id, hash, findings)
}

// RequestSync makes an ARC due whatever is recorded of its repository.
func (s *Service) RequestSync(ctx context.Context, by Caller, id store.ID) error {
	return s.store.RequestPush(ctx, id, by.Actor)
}

// How often AwaitGit looks: at first, when a push that has just begun may end, and later.
const (
	awaitPoll = 100 * time.Millisecond
	awaitRest = time.Second
)

// AwaitGit waits until the newest content of an ARC is in git, or its push has
// failed, or the context ends (which is not an error), and gives the ARC.
func (s *Service) AwaitGit(ctx context.Context, id store.ID) (store.ARC, error) {
	pause := awaitPoll
	tick := time.NewTimer(pause)
	defer tick.Stop()
	for {
		// The last look must not fail because the wait is over.
		a, err := s.store.ARC(context.WithoutCancel(ctx), id)
		if err != nil || a.Git.State != store.Due {
			return a, err
		}
		select {
		case <-ctx.Done():
			return a, nil
		case <-tick.C:
			pause = min(2*pause, awaitRest)
			tick.Reset(pause)
		}
	}
}
