package main

import (
	"log/slog"
	"math"
	"runtime/debug"
	"testing"

	"github.com/fairagro/middleware-api/internal/config"
)

// Bodies get what fits into a limit, one of them in any case, and never more than
// without a limit.
func TestBodyMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ limit, body, want int64 }{
		{64 << 20, 32 << 20, 32<<20 + 1},
		{256 << 20, 32 << 20, 48 << 20},
		{512 << 20, 32 << 20, 112 << 20},
		{8 << 30, 32 << 20, 256 << 20},
		{8 << 30, 1 << 20, 8 << 20},
	} {
		if got := bodyMemory(c.limit, c.body); got != c.want {
			t.Errorf("of %d bytes for bodies of %d: %d, want %d", c.limit, c.body, got, c.want)
		}
	}
}

// The collector knows the size at which a process replaces itself, unless the
// environment tells it another one.
func TestTheCollectorKnowsTheLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	c := &config.Config{BodyLimit: 1 << 20, Worker: config.Worker{MaxMemory: 64 << 20}}
	for _, tt := range []struct {
		environment string
		want        int64
	}{{"200MiB", math.MaxInt64}, {"", 48 << 20}} {
		t.Setenv("GOMEMLIMIT", tt.environment)
		debug.SetMemoryLimit(math.MaxInt64)
		limitMemory(c, slog.New(slog.DiscardHandler))
		if got := debug.SetMemoryLimit(-1); got != tt.want {
			t.Errorf("GOMEMLIMIT=%q: the limit is %d, want %d", tt.environment, got, tt.want)
		}
	}
}
