package convert_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairagro/middleware-api/internal/convert"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// Converting a crate allocates little; the bounds are a third above what docs/benchmarks.md records.
func TestAllocationsPerCrate(t *testing.T) {
	cases := filepath.Join(testenv.ConformanceDir(t), "cases")
	for name, most := range map[string]float64{
		"up-minimal": 200, "up-sample": 2350, "real-arc-prototype": 3900, "lib-many-rows-1000": 2600,
	} {
		doc, err := os.ReadFile(filepath.Join(cases, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(20, func() {
			for _, f := range convert.Crate(doc).Files {
				if _, err := f.WriteTo(io.Discard); err != nil {
					t.Fatal(err)
				}
			}
		})
		t.Logf("%s: %.0f allocations", name, n)
		if n > most {
			t.Errorf("%s: %.0f allocations, at most %.0f are allowed", name, n, most)
		}
	}
}
