package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/fairagro/middleware-api/internal/config"
)

const (
	// restMemory is what a process has resident besides requests, in bytes.
	restMemory = 48 << 20
	// perByte is how much memory a body takes while it is read, scanned and
	// compressed, in multiples of its size (docs/benchmarks.md).
	perByte = 3
)

// limitMemory keeps the process below the memory that it may have: that of its
// control group, as of a container or of MemoryMax= in its unit, and that beyond
// which it replaces itself (worker.max_memory). The collector works harder before
// that is reached, which it would not by itself; garbage is three quarters of the
// heap otherwise. It gives the limit of the group in bytes, 0 if there is none.
func limitMemory(c *config.Config, log *slog.Logger) (group int64) {
	group = controlGroup(log)
	limit := c.Worker.MaxMemory
	if group > 0 && (limit == 0 || group < limit) {
		limit = group
	}
	if limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(mostly(limit))
	}
	if group > 0 {
		log.Info("memory is limited by the control group", "limit", group)
	}
	return group
}

// controlGroup gives the limit of the control group in bytes, 0 if there is none.
func controlGroup(log *slog.Logger) int64 {
	group, err := memlimit.FromCgroup()
	if err != nil {
		log.Debug("the memory limit of the control group cannot be read", "error", err)
		return 0
	}
	return int64(min(group, 1<<62))
}

// mostly is what the heap may have of a limit: pages of the program and stacks
// count as well.
func mostly(limit int64) int64 { return limit / 4 * 3 }

// bodyMemory is how much all bodies may have where memory is limited: as much as
// without a limit if that fits in, and one body in any case.
func bodyMemory(limit, body int64) int64 {
	return max(body+1, min(8*body, (mostly(limit)-restMemory)/perByte))
}
