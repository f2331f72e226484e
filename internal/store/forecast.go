package store

import "sync/atomic"

// A forecast tells whether the next submission is likely to bring what is
// stored already, judging by the latest ones: harvests come in long runs of one
// kind. If so it pays to ask PostgreSQL before the content is compressed and
// sent; if not, asking is a statement for nothing. A wrong forecast costs time
// and nothing else. The zero value expects what is known.
type forecast struct {
	fresh atomic.Int32 // share of new contents among the latest submissions, in parts of forecastWhole
}

const (
	forecastWhole = 1 << 12
	// forecastMemory is about how many submissions are remembered.
	forecastMemory = 32
	// forecastFresh is the share above which contents are taken for new: asking in
	// vain costs much less than sending in vain.
	forecastFresh = forecastWhole * 7 / 8
)

func (f *forecast) unchanged() bool { return f.fresh.Load() < forecastFresh }

// learn is told what became of a submission. Of two that come at the same time
// one may be forgotten.
func (f *forecast) learn(known bool) {
	share, is := f.fresh.Load(), int32(forecastWhole)
	if known {
		is = 0
	}
	f.fresh.Store(share + (is-share)/forecastMemory)
}
