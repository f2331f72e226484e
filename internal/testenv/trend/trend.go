// Package trend tells whether what a process uses grows in the long run. It is
// for tests only and keeps no state.
package trend

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// Sample is what a process uses at a moment.
type Sample struct {
	At    time.Duration      // since the beginning
	Value map[string]float64 // by what is used
}

// Least is the fewest samples from which anything can be told.
const Least = 20

// Flat fails the test for everything that grows over the samples by more than a
// fifth of its mean and the allowance, which is for what comes and goes with
// garbage collection and connections. The first quarter, when everything
// is still filling, does not count.
func Flat(tb testing.TB, name string, all []Sample, allowance map[string]float64) {
	tb.Helper()
	if len(all) < Least {
		tb.Fatalf("%s: only %d samples", name, len(all))
	}
	all = all[len(all)/4:]
	lasts := all[len(all)-1].At - all[0].At
	for _, what := range slices.Sorted(maps.Keys(allowance)) {
		var values []float64
		for _, s := range all {
			values = append(values, s.Value[what])
		}
		mean, slope := line(all, what)
		growth := slope * lasts.Seconds()
		tb.Logf("%-13s %-12s mean %7.1f  least %7.1f  most %7.1f  growth %+7.2f", name, what, mean, slices.Min(values), slices.Max(values), growth)
		if growth > mean/5+allowance[what] {
			tb.Errorf("%s: %s grow by %.1f over the run", name, what, growth)
		}
	}
}

// line gives mean and slope per second by least squares.
func line(all []Sample, what string) (mean, slope float64) {
	var sx, sy, sxx, sxy float64
	n := float64(len(all))
	for _, s := range all {
		x, y := s.At.Seconds(), s.Value[what]
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return sy / n, (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
