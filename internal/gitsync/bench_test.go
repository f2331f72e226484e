package gitsync_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// BenchmarkDrain compares the rate at which due ARCs drain through the
// synchroniser with the rate at which the git server takes the same pushes from
// a loop that does nothing else. The two take turns, so that what else happens
// on the machine hits both, and the median of the rounds counts.
func BenchmarkDrain(b *testing.B) {
	const arcs, concurrency = 1000, 8
	url, root := gitlabtest.NewApart(b)
	r := newRig(b)
	to := openGit(b, git.Options{URL: url, Group: group, Concurrency: concurrency})
	empty := filepath.Join(b.TempDir(), "empty.git")
	if err := gitlabtest.InitBare(empty); err != nil {
		b.Fatal(err)
	}
	ids := make([]store.ID, 0, 2*arcs)
	for n := range 2 * arcs {
		id := arcID(fmt.Sprint("arc ", n))
		if err := os.CopyFS(filepath.Join(root, group, id.String()+".git"), os.DirFS(empty)); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	states := make([][]byte, arcs) // of the pushes by the loop
	var drained, alone, percent []float64
	for round := 0; b.Loop(); round++ {
		ours := func() float64 {
			for n := range arcs {
				r.submit(b, fmt.Sprint("arc ", n), sampleText(round, n))
			}
			began := time.Now()
			stop := r.run(b, to, func(o *gitsync.Options) { o.Concurrency = concurrency; o.Lease = gitsync.DefaultLease })
			awaitDrained(b, r)
			took := time.Since(began)
			stop()
			return arcs / took.Seconds()
		}
		theirs := func() float64 {
			began := time.Now()
			var wg sync.WaitGroup
			for w := range concurrency {
				wg.Go(func() {
					for n := w; n < arcs; n += concurrency {
						states[n] = pushAlone(b, to, ids[arcs+n], sampleText(round, n), states[n])
					}
				})
			}
			wg.Wait()
			return arcs / time.Since(began).Seconds()
		}
		var o, t float64
		if round%2 == 0 {
			o, t = ours(), theirs()
		} else {
			t, o = theirs(), ours()
		}
		drained, alone, percent = append(drained, o), append(alone, t), append(percent, 100*o/t)
		b.Logf("round %d: %.1f/s drained, %.1f/s the server alone, %.0f %%", round, o, t, 100*o/t)
	}
	b.ReportMetric(median(drained), "drained/s")
	b.ReportMetric(median(alone), "server-alone/s")
	b.ReportMetric(median(percent), "percent")
	b.ReportMetric(0, "ns/op")
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return (of[(len(of)-1)/2] + of[len(of)/2]) / 2
}

func sampleText(round, n int) string { return fmt.Sprint("version ", round, " of ", n) }

func pushAlone(b *testing.B, to remote.Remote, id store.ID, document string, state []byte) []byte {
	b.Helper()
	built, _ := build([]byte(document))
	res, err := to.Push(b.Context(), &remote.Push{ARC: id.String(), Files: built.Files, When: time.Now(), Recorded: state})
	if err != nil {
		b.Error(err)
	}
	return res.State
}

func awaitDrained(b *testing.B, r *rig) {
	b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		left, err := r.store.Backlog(context.Background()) //nolint:usetesting // the benchmark's own
		if err != nil {
			b.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
	}
}
