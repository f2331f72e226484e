package store

import (
	"context"
	"slices"
	"sync"
)

// A group collects what concurrent callers want done and does it together:
// while one group is on its way to the disk the next one gathers, so that a
// lone caller waits for nobody and many callers share the cost of a commit.
// There is no timer and, when idle, no goroutine.
type group[Q, R any] struct {
	work *sync.WaitGroup
	key  func(Q) (ID, int) // identity and size in bytes of a request
	run  func([]Q) []answer[R]

	mu      sync.Mutex
	waiting []*call[Q, R]
	running int
}

type answer[R any] struct {
	result R
	err    error
}

type call[Q, R any] struct {
	request Q
	done    chan answer[R]
}

func newGroup[Q, R any](work *sync.WaitGroup, key func(Q) (ID, int), run func([]Q) []answer[R]) *group[Q, R] {
	return &group[Q, R]{work: work, key: key, run: run}
}

// do has the request done. When the context ends first the request may be done
// all the same; nobody is told then.
func (g *group[Q, R]) do(ctx context.Context, request Q) (R, error) {
	c := &call[Q, R]{request: request, done: make(chan answer[R], 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	if g.running == 0 || g.running < GroupsAtOnce && len(g.waiting) >= groupWorth {
		g.running++
		g.work.Go(g.drain)
	}
	g.mu.Unlock()
	select {
	case a := <-c.done:
		return a.result, a.err
	case <-ctx.Done():
		var none R
		return none, wrap("wait for the commit", ctx.Err())
	}
}

// drain does what is waiting, group by group, until nothing is.
func (g *group[Q, R]) drain() {
	for calls := g.take(); len(calls) > 0; calls = g.take() {
		requests := make([]Q, len(calls))
		for i, c := range calls {
			requests[i] = c.request
		}
		for i, a := range g.run(requests) {
			calls[i].done <- a
		}
	}
}

// take removes the next group from what waits, in order of arrival. A second
// request for the same ARC waits for the next group: one statement cannot
// touch a row twice. The group is sorted by ARC, the order in which rows are
// locked.
func (g *group[Q, R]) take() []*call[Q, R] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.running--
		return nil
	}
	var taken, rest []*call[Q, R]
	seen := make(map[ID]bool, groupLimit)
	size := 0
	for i, c := range g.waiting {
		id, n := g.key(c.request)
		if len(taken) == groupLimit || (len(taken) > 0 && size+n > groupBytes) {
			rest = append(rest, g.waiting[i:]...)
			break
		}
		if seen[id] {
			rest = append(rest, c)
			continue
		}
		seen[id] = true
		size += n
		taken = append(taken, c)
	}
	g.waiting = rest
	slices.SortFunc(taken, func(a, b *call[Q, R]) int {
		x, _ := g.key(a.request)
		y, _ := g.key(b.request)
		return slices.Compare(x[:], y[:])
	})
	return taken
}
