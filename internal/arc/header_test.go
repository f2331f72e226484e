package arc_test

import (
	"testing"

	"github.com/fairagro/middleware-api/internal/arc"
)

// Every kind of column is described: its header tells it apart from all others,
// and says what the cells are.
func TestKindsOfColumnsAreTold(t *testing.T) {
	t.Parallel()
	seen := map[string]arc.ColumnKind{}
	for kind := range arc.ColumnKinds() {
		h := arc.NewHeader(kind, "x")
		if other, taken := seen[h.Text()]; taken {
			t.Errorf("kinds %d and %d have the header %q: is one missing in columnKinds?", other, kind, h.Text())
		}
		seen[h.Text()] = kind
		if holds := h.Holds(); holds != arc.TextCell && holds != arc.TermCell {
			t.Errorf("%q holds cells of kind %d, want texts or terms", h.Text(), holds)
		}
	}
	if seen["x"] != arc.FreeTextColumn {
		t.Errorf("kind %d has a header of nothing but its name, want that of free texts only", seen["x"])
	}
}
