package ingest

import (
	"context"

	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// Known is an ARC as its RDI knows it: identifier and content hash.
type Known struct {
	Identifier string
	Hash       store.Hash
}

// Compared is the answer for one of them.
type Compared struct {
	ID         store.ID
	Identifier string
	Difference store.Difference
}

// Diff says which ARCs the harvest would have to bring. The unchanged ones
// count as brought. Of an ARC that is listed more than once, the first counts;
// the others get its answer if their hash is the same, and else "conflict".
// Faults: HarvestNotYours, HarvestClosed.
func (s *Service) Diff(ctx context.Context, by Caller, h store.Harvest, known []Known) ([]Compared, error) {
	if err := owns(by, h); err != nil {
		return nil, err
	}
	out := make([]Compared, len(known))
	first := make(map[store.ID]int, len(known)) // place in pairs
	pairs := make([]store.Pair, 0, len(known))
	for i, k := range known {
		id := store.ID(rocrate.Identity(k.Identifier, h.RDI))
		out[i] = Compared{ID: id, Identifier: k.Identifier}
		if _, ok := first[id]; !ok {
			first[id] = len(pairs)
			pairs = append(pairs, store.Pair{ID: id, Hash: k.Hash})
		}
	}
	answers, err := s.store.Diff(ctx, h.ID, h.RDI, pairs)
	if err != nil {
		return nil, err
	}
	for i := range out {
		n := first[out[i].ID]
		out[i].Difference = answers[n]
		if known[i].Hash != pairs[n].Hash {
			out[i].Difference = store.IsConflict
		}
	}
	return out, nil
}
