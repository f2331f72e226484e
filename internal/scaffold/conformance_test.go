package scaffold_test

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold"
	"github.com/fairagro/middleware-api/internal/scaffold/conformance"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// deviations are the cases in which we differ from the reference library on
// purpose. docs/arc-format.md says why.
var deviations = map[string]string{}

// Every crate becomes the files that the reference library writes, and is
// refused when the reference library refuses it.
func TestConformance(t *testing.T) {
	t.Parallel()
	cases, err := conformance.Cases(testenv.ConformanceDir(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 200 {
		t.Errorf("only %d cases found", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			crate, err := os.ReadFile(c.Crate)
			if err != nil {
				t.Fatal(err)
			}
			differences, refused := judge(t, c.Want, crate)
			// Large crates are read in another way, and blanks make one large.
			large, _ := judge(t, c.Want, slices.Concat(crate, bytes.Repeat([]byte(" "), 8<<20)))
			if !slices.Equal(large, differences) {
				t.Errorf("as a large crate: %q, want %q", large, differences)
			}
			reason, deviates := deviations[c.Name]
			switch {
			case deviates && len(differences) == 0:
				t.Errorf("listed as a deviation (%s), but there is no difference", reason)
			case !deviates && len(differences) > 0:
				for _, d := range differences {
					t.Error(d)
				}
				for _, text := range refused {
					t.Log("refused: " + text)
				}
			}
		})
	}
}

// judge converts a crate and compares. refused says why it could not be
// converted.
func judge(tb testing.TB, want *conformance.Expected, crate []byte) (differences, refused []string) {
	tb.Helper()
	inv, findings := rocrate.Read(crate)
	if inv == nil {
		if len(findings) == 0 {
			tb.Error("the crate was refused without a finding")
		}
		for _, f := range findings {
			refused = append(refused, f.Pointer+" "+f.Text)
		}
		return want.CompareRejected(), refused
	}
	files, err := scaffold.Files(inv)
	if err != nil {
		return want.CompareRejected(), []string{err.Error()}
	}
	got := map[string][]byte{}
	for _, f := range files {
		var b bytes.Buffer
		if _, err := f.WriteTo(&b); err != nil {
			tb.Fatal(err)
		}
		got[f.Path] = b.Bytes()
	}
	return want.Compare(got), nil
}
