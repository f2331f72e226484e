package ingest

import (
	"context"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// HarvestID is the id of a harvest as the world sees it.
func HarvestID(h store.Harvest) string { return "harvest-" + h.ID.String() }

// BeginHarvest begins a harvest, which belongs to the caller.
func (s *Service) BeginHarvest(ctx context.Context, by Caller, rdi string, expected *int64, key string) (store.Harvest, error) {
	return s.store.BeginHarvest(ctx, rdi, by.ClientID, expected, key, by.Actor)
}

// Harvest gives a harvest with its counts, or the fault HarvestNotFound.
func (s *Service) Harvest(ctx context.Context, id string) (store.Harvest, error) {
	u, ok := store.HarvestUUID(id)
	if !ok {
		return store.Harvest{}, fault.New(fault.HarvestNotFound, nil)
	}
	return s.store.Harvest(ctx, u)
}

// maxHeads bounds the memory for harvests; more are simply read again.
const maxHeads = 1000

// HarvestHead gives what decides about a submission before it is looked at:
// id, RDI and owner, which never change and are remembered. Status and counts
// are not to be relied on; the store checks the status at the submission.
func (s *Service) HarvestHead(ctx context.Context, id string) (store.Harvest, error) {
	u, ok := store.HarvestUUID(id)
	if !ok {
		return store.Harvest{}, fault.New(fault.HarvestNotFound, nil)
	}
	s.mu.Lock()
	h, ok := s.heads[u]
	s.mu.Unlock()
	if ok {
		return h, nil
	}
	h, err := s.store.HarvestHead(ctx, u)
	if err != nil {
		return store.Harvest{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heads) >= maxHeads {
		clear(s.heads)
	}
	s.heads[u] = h
	return h, nil
}

// Harvests lists harvests, newest first; the filter must name the RDIs that
// the caller may see.
func (s *Service) Harvests(ctx context.Context, f store.HarvestFilter) ([]store.Harvest, error) {
	return s.store.Harvests(ctx, f)
}

// owns says whether the harvest belongs to the caller.
func owns(by Caller, h store.Harvest) error {
	if (by.ClientID == nil) == (h.ClientID == nil) && (by.ClientID == nil || *by.ClientID == *h.ClientID) {
		return nil
	}
	return fault.New(fault.HarvestNotYours, nil).WithText(
		fmt.Sprintf("Harvest %s does not belong to client %s", HarvestID(h), by.name()))
}

// Missing says what is to become of the ARCs that a completed harvest did not bring:
// the zero value marks them as missing, within the limits of the operator.
type Missing struct {
	// KeepAll leaves them as they are: the harvester could not bring all that it found.
	KeepAll bool
	// Keep leaves those of these identifiers as they are: the harvester could not bring
	// them, but knows that they are still there. One that is not known, or was
	// brought after all, does no harm.
	Keep []string
}

// EndHarvest brings a harvest of the caller's to its final status and gives it
// with its final counts. RUNNING as the aim only reads a running harvest anew.
// Faults: HarvestNotYours, and HarvestTransition if it has ended already.
func (s *Service) EndHarvest(ctx context.Context, by Caller, h store.Harvest, to store.HarvestStatus, missing Missing) (store.Harvest, error) {
	if err := owns(by, h); err != nil {
		return store.Harvest{}, err
	}
	if to == store.Running {
		return s.refresh(ctx, h.ID)
	}
	keep := make([]store.ID, len(missing.Keep))
	for i, identifier := range missing.Keep {
		keep[i] = store.ID(rocrate.Identity(identifier, h.RDI))
	}
	ended, err := s.store.EndHarvest(ctx, h.ID, to, store.EndOptions{
		By: by.Actor, GracePeriod: s.o.GracePeriod, MarkDeleted: s.o.MarkDeleted, MissingLimit: s.o.MissingLimit,
		KeepMissing: missing.KeepAll, Keep: keep,
	})
	if err == nil && ended.Guarded {
		s.o.Logger.WarnContext(ctx, "harvest marked no arc as missing", "harvest_id", HarvestID(ended), "rdi", ended.RDI, "note", ended.Note)
	}
	return ended, err
}

func (s *Service) refresh(ctx context.Context, id uuid.UUID) (store.Harvest, error) {
	h, err := s.store.Harvest(ctx, id)
	if err == nil && h.Status != store.Running {
		err = fault.New(fault.HarvestTransition, nil).WithText(fmt.Sprintf(
			"Harvest %s cannot transition to %s: current status is %s", HarvestID(h), store.Running, h.Status))
	}
	return h, err
}

// receiptPage is the number of rows that a receipt reads at once. Of members it reads few at
// first, and fewer than that if much was found in them: each may have a thousand findings.
const (
	receiptPage  = 500
	firstPage    = 50
	pageFindings = 10_000
)

// nextPage is how many members to read at once after so many, which had so many findings.
func nextPage(members, findings int) int {
	next := 2 * members
	if findings > pageFindings/2 {
		next = members * pageFindings / findings
	}
	return max(1, min(next, receiptPage))
}

// Members runs through the ARCs of a harvest by id, those after the given one (the zero ID for
// all), including the missing ones, with what has become of them. After an error nothing more comes.
func (s *Service) Members(ctx context.Context, h store.Harvest, after store.ID) iter.Seq2[store.Member, error] {
	return func(yield func(store.Member, error) bool) {
		for n := firstPage; ; {
			page, err := s.store.Members(ctx, h.ID, after, n)
			if err != nil {
				yield(store.Member{}, err)
				return
			}
			findings := 0
			for _, m := range page {
				if !yield(m, nil) {
					return
				}
				after, findings = m.ID, findings+len(m.Findings)
			}
			if len(page) < n {
				return
			}
			n = nextPage(n, findings)
		}
	}
}

// Refusals runs through all submissions that a harvest did not get in.
func (s *Service) Refusals(ctx context.Context, h store.Harvest) iter.Seq2[store.HarvestError, error] {
	return func(yield func(store.HarvestError, error) bool) {
		var after int64
		for {
			page, err := s.store.HarvestErrors(ctx, h.ID, after, receiptPage)
			if err != nil {
				yield(store.HarvestError{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
				after = e.ID
			}
			if len(page) < receiptPage {
				return
			}
		}
	}
}

// HarvestEvents gives up to limit events of a harvest after the given one,
// oldest first. Whoever goes on from the last id misses none.
func (s *Service) HarvestEvents(ctx context.Context, h store.Harvest, after int64, limit int) ([]store.Event, error) {
	return s.store.HarvestEvents(ctx, h.ID, after, limit)
}
