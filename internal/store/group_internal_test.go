package store

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// However many wait, they take no more connections than they may.
func TestGroupsAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var work sync.WaitGroup
		var running, done atomic.Int64
		leave := make(chan struct{})
		g := newGroup(&work, func(q int) (ID, int) { return ID{byte(q >> 8), byte(q)}, 1 }, func(requests []int) []answer[int] {
			running.Add(1)
			defer running.Add(-1)
			<-leave
			return make([]answer[int], len(requests))
		})
		const requests = 10 * groupLimit
		for i := range requests {
			work.Go(func() {
				if _, err := g.do(t.Context(), i); err == nil {
					done.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := running.Load(); n != GroupsAtOnce {
			t.Errorf("%d groups at a time, want %d", n, GroupsAtOnce)
		}
		close(leave)
		work.Wait()
		if n := done.Load(); n != requests {
			t.Errorf("%d of %d are done", n, requests)
		}
	})
}
