package trend

import (
	"testing"
	"time"
)

// Growth is seen, and none where there is noise only.
func TestLineSeesGrowth(t *testing.T) {
	t.Parallel()
	var rising, flat []Sample
	for i := range 100 {
		noise := float64(i*7919%13) / 13
		at := time.Duration(i) * time.Second
		rising = append(rising, Sample{at, map[string]float64{"x": 10 + float64(i)/10 + noise}})
		flat = append(flat, Sample{at, map[string]float64{"x": 10 + noise}})
	}
	if _, slope := line(rising, "x"); slope < 0.09 || slope > 0.11 {
		t.Errorf("slope %f, want 0.1", slope)
	}
	if _, slope := line(flat, "x"); slope < -0.01 || slope > 0.01 {
		t.Errorf("slope %f, want 0", slope)
	}
}
