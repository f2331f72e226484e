package e2e

import (
	"slices"
	"testing"
	"time"
)

// benchRound is how long one side of a comparison works.
const benchRound = 5 * time.Second

// BenchmarkLog compares what the service takes in while the journal gets its
// access lines with what it takes in without; the two take turns, and the median
// of the rounds counts.
func BenchmarkLog(b *testing.B) {
	box := prepare(b)
	box.fleet(3)
	box.sh("systemctl reload middleware-api")
	box.untilWorkers(3)
	for _, kind := range []string{uploader, keepAlive} {
		b.Run(kind, func(b *testing.B) {
			box.as(b)
			var percent []float64
			for b.Loop() {
				with := box.rate("INFO", kind)
				percent = append(percent, 100*with/box.rate("WARNING", kind))
			}
			slices.Sort(percent)
			b.Logf("with access lines, in percent of without: %.0f", percent)
			b.ReportMetric(percent[len(percent)/2], "%ofWithout")
			b.ReportMetric(0, "ns/op")
		})
	}
	box.as(b)
}

// rate gives the requests per second that the service answers when it logs from
// a level on.
func (b *box) rate(level, kind string) float64 {
	b.tb.Helper()
	b.configure("log_level: " + level)
	r := b.load(loadKind{kind, 8, 0})
	began := r.seen()
	start := time.Now()
	for time.Since(start) < benchRound {
		r.seen()
	}
	answered := float64(r.total - began)
	took := time.Since(start).Seconds()
	r.flawless(level)
	return answered / took
}
