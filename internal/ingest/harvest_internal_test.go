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

// Members are read in pages that grow while little was found in them and shrink at once
// when much was.
func TestPagesOfMembers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ members, findings, want int }{
		{firstPage, 0, 2 * firstPage}, {firstPage, pageFindings / 2, 2 * firstPage}, {receiptPage, 1, receiptPage},
		{firstPage, 50_000, 10}, {10, 10_000, 10}, {10, 0, 20}, {1, 1000, 2}, {1, pageFindings * 2, 1}, {receiptPage, pageFindings, receiptPage},
	} {
		if got := nextPage(c.members, c.findings); got != c.want {
			t.Errorf("after %d members with %d findings: %d, want %d", c.members, c.findings, got, c.want)
		}
	}
}
