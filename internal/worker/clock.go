package worker

import (
	"log/slog"
	"time"
)

// clockTolerance is how much the time of day may gain or lose between two looks
// without being worth a word: NTP moves a clock by milliseconds.
const clockTolerance = 5 * time.Second

// clock notices that somebody has set the clock of the machine. Nothing here
// depends on the time of day (all limits are measured by the monotonic clock, the
// leases by the database's), but certificates and the times of commits do.
type clock struct{ last time.Time }

func newClock() clock { return clock{time.Now()} }

// look compares the two clocks since the last look.
func (c *clock) look(log *slog.Logger) {
	now := time.Now()
	by := (now.Round(0).Sub(c.last.Round(0)) - now.Sub(c.last)).Round(time.Second)
	c.last = now
	if by.Abs() >= clockTolerance {
		log.Warn("the clock of this machine was set", slog.Duration("by", by),
			slog.String("remedy", "nothing, if it is right now: timedatectl; certificates count as not yet valid or expired while it is wrong"))
	}
}
