package setting

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written as a number with a unit (ms, s, m, h,
// d) or several of them ("1h30m"). A bare number counts seconds.
type Duration time.Duration

var units = []struct {
	name string
	size time.Duration
}{
	{"ns", time.Nanosecond}, {"us", time.Microsecond}, {"ms", time.Millisecond},
	{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour},
}

// Set takes the text of a duration.
func (d *Duration) Set(text string) error {
	rest := strings.ReplaceAll(strings.TrimSpace(text), " ", "")
	wrong := errors.New("is not a duration such as 30s, 5m, 24h or 7d")
	if seconds, err := strconv.ParseFloat(rest, 64); err == nil {
		return d.setFloat(seconds * float64(time.Second))
	}
	total := 0.0
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			return wrong
		}
		number, err := strconv.ParseFloat(rest[:i], 64)
		if err != nil {
			return wrong
		}
		rest = rest[i:]
		j := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' || r == '.' })
		if j < 0 {
			j = len(rest)
		}
		size, ok := unit(rest[:j])
		if !ok {
			return wrong
		}
		total += number * float64(size)
		rest = rest[j:]
	}
	if strings.TrimSpace(text) == "" {
		return wrong
	}
	return d.setFloat(total)
}

func unit(name string) (time.Duration, bool) {
	for _, u := range units {
		if u.name == name {
			return u.size, true
		}
	}
	return 0, false
}

func (d *Duration) setFloat(ns float64) error {
	if math.IsNaN(ns) || ns < 0 || ns > math.MaxInt64 {
		return errors.New("is out of range for a duration")
	}
	*d = Duration(math.Round(ns))
	return nil
}

// String gives the duration in the shortest form that Set reads.
func (d Duration) String() string {
	for i := len(units) - 1; i >= 0; i-- {
		if n := time.Duration(d); n != 0 && n%units[i].size == 0 {
			return strconv.FormatInt(int64(n/units[i].size), 10) + units[i].name
		}
	}
	return "0s"
}

// Type names the type in the documentation.
func (d Duration) Type() string { return "duration (a bare number counts seconds)" }

// Size is a number of bytes, written with a unit (KiB, MiB, GiB for powers of
// 1024; kB, MB, GB for powers of 1000). A bare number counts bytes.
type Size int64

var sizes = []struct {
	name string
	size int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"B", 1},
}

// Set takes the text of a size.
func (s *Size) Set(text string) error {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, u := range sizes {
		if n := len(number) - len(u.name); n > 0 && strings.EqualFold(number[n:], u.name) {
			number, factor = strings.TrimSpace(number[:n]), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(number, "_", ""), 64)
	if err != nil {
		return errors.New("is not a size such as 32MiB or 500kB")
	}
	n *= float64(factor)
	if math.IsNaN(n) || n < 0 || n >= math.MaxInt64 || n != math.Trunc(n) {
		return errors.New("is out of range for a size")
	}
	*s = Size(n)
	return nil
}

// String gives the size with the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range sizes[:3] {
		if s != 0 && int64(s)%u.size == 0 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Type names the type in the documentation.
func (s Size) Type() string { return "size (a bare number counts bytes)" }

// Level is a log level under the names that the configuration has always used.
type Level slog.Level

// The levels beyond those of slog.
const (
	LevelCritical = slog.LevelError + 4
	LevelNotSet   = slog.LevelDebug - 4
)

var levels = []struct {
	name  string
	level slog.Level
}{
	{"CRITICAL", LevelCritical}, {"ERROR", slog.LevelError}, {"WARNING", slog.LevelWarn},
	{"INFO", slog.LevelInfo}, {"DEBUG", slog.LevelDebug}, {"NOTSET", LevelNotSet},
}

// Set takes the name of a level, in any case, since Gunicorn spells them small.
func (l *Level) Set(text string) error {
	name := strings.ToUpper(strings.TrimSpace(text))
	if name == "WARN" {
		name = "WARNING"
	}
	for _, known := range levels {
		if known.name == name {
			*l = Level(known.level)
			return nil
		}
	}
	return errors.New("is not one of CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET")
}

// String gives the name of the level.
func (l Level) String() string {
	for _, known := range levels {
		if known.level == slog.Level(l) {
			return known.name
		}
	}
	return fmt.Sprintf("level %d", int(l))
}

// Type names the type in the documentation.
func (l Level) Type() string {
	return "one of CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET"
}
