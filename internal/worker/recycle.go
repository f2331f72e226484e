package worker

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"time"
)

// How often the memory is looked at, and how often a worker that wants to go
// asks whether it is its turn.
const (
	memoryPeriod = 10 * time.Second
	turnPeriod   = 200 * time.Millisecond
)

// recycler finds out when a worker should be replaced by a fresh one.
type recycler struct {
	limits   Recycling
	turns    turns
	started  time.Time
	requests uint64        // the threshold with its jitter; 0 is off
	enough   chan struct{} // closed when the threshold is reached
}

func newRecycler(limits Recycling, turns turns, started time.Time) *recycler {
	r := &recycler{limits: limits, turns: turns, started: started, enough: make(chan struct{})}
	if limits.MaxRequests > 0 {
		r.requests = limits.MaxRequests + rand.Uint64N(limits.RequestJitter+1) //nolint:gosec // spreads load, guards nothing
	}
	return r
}

// served is told the number of requests served, each number once.
func (r *recycler) served(n uint64) {
	if r.requests > 0 && n == r.requests {
		close(r.enough)
	}
}

// wait blocks until this worker should recycle and it is its turn. It gives
// the reason and what hands the turn back, or no reason when ctx ended.
func (r *recycler) wait(ctx context.Context) (reason *recycled, release func()) {
	for !r.turns.back() {
		if !pause(ctx, turnPeriod) {
			return nil, nil
		}
	}
	reason, wanted := r.wish(ctx)
	if reason == nil || !pause(ctx, wanted-time.Since(r.started)) {
		return nil, nil
	}
	for {
		// An error here is a runtime directory that cannot be written; going
		// without a turn could take two workers at once, so the worker stays.
		if release, err := r.turns.take(time.Now()); err == nil && release != nil {
			return reason, release
		}
		if !pause(ctx, turnPeriod) {
			return nil, nil
		}
	}
}

// wish blocks until a limit is reached. It gives the reason, nil if ctx
// ended, and the age before which nobody goes for that reason.
func (r *recycler) wish(ctx context.Context) (reason *recycled, minimum time.Duration) {
	var old <-chan time.Time
	if r.limits.MaxAge > 0 {
		t := time.NewTimer(jittered(r.limits.MaxAge, r.limits.AgeJitter) - time.Since(r.started))
		defer t.Stop()
		old = t.C
	}
	var look <-chan time.Time
	if r.limits.MaxMemory > 0 {
		t := time.NewTicker(memoryPeriod)
		defer t.Stop()
		look = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil, 0
		case <-old:
			return &recycled{StopAge, "age of " + time.Since(r.started).Round(time.Second).String()}, 0
		case <-r.enough:
			return &recycled{StopRequests, fmt.Sprintf("%d requests served", r.requests)}, r.limits.MinUptime
		case <-look:
			if size := tooLarge(r.limits.MaxMemory); size > 0 {
				return &recycled{StopMemory, fmt.Sprintf("%d MiB resident", size>>20)}, r.limits.MinUptime
			}
		}
	}
}

// tooLarge gives the resident size if it exceeds the limit even after
// everything that is free went back to the system.
func tooLarge(limit uint64) uint64 {
	if residentSize() <= limit {
		return 0
	}
	debug.FreeOSMemory()
	if size := residentSize(); size > limit {
		return size
	}
	return 0
}

// residentSize reads proc_pid_statm(5); 0 when it cannot be read.
func residentSize() uint64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return pages * uint64(os.Getpagesize())
}

func jittered(d time.Duration, fraction float64) time.Duration {
	return d + time.Duration(float64(d)*fraction*(2*rand.Float64()-1)) //nolint:gosec // spreads load, guards nothing
}

// pause waits and reports whether the time passed, rather than ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
