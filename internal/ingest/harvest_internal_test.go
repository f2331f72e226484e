package ingest

import (
	"testing"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// What is remembered of harvests is asked for once, and bounded.
func TestRememberedHarvestsAreBounded(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Options{DSN: pgtest.DSN(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := New(db, Options{})
	h, err := s.BeginHarvest(t.Context(), Caller{}, "r", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	for range maxHeads {
		s.heads[uuid.New()] = store.Harvest{}
	}
	if _, err := s.HarvestHead(t.Context(), HarvestID(h)); err != nil {
		t.Fatal(err)
	}
	if n := len(s.heads); n > maxHeads || s.heads[h.ID].RDI != "r" {
		t.Errorf("%d harvests are remembered, this one as %+v", n, s.heads[h.ID])
	}
}
