package sqltoarc

import "testing"

func TestPerSecond(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]string{0.0312: "0.031", 1: "1", 9.96: "10", 12.4: "12", 4321.5: "4322"} {
		if got := perSecond(rate); got != want {
			t.Errorf("%v: %s, want %s", rate, got, want)
		}
	}
}
