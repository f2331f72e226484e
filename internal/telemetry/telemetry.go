// Package telemetry is how the processes of the service say what they do: log
// records behind log/slog, one access line per request, traces and metrics.
//
// On a terminal records are coloured text. Under systemd most go to standard
// output, each in one write and with its priority in front, which costs least;
// records about an ARC, a harvest, an event of the catalogue or a problem go to
// the journal in its own protocol, so that they can be found by field
// (journalctl ARC_ID=…). The package never logs headers, certificates or
// bodies, and holds no state of its own: everything is made by New, Trace and
// NewMetrics.
//
// Handlers, the access log and what else is returned are safe for concurrent use.
package telemetry

import (
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/fairagro/middleware-api/internal/config/setting"
)

// The forms in which records are written.
const (
	FormatAuto     = "auto"     // by what the output is connected to
	FormatTerminal = "terminal" // coloured text
	FormatText     = "text"     // a line with time and level
	FormatJSON     = "json"     // an object per line
	FormatJournal  = "journal"  // for systemd
)

// Options says how to log. The zero value logs from INFO on to standard error.
type Options struct {
	Level      slog.Level
	Format     string   // "" is auto
	Output     *os.File // nil is standard error, or standard output under systemd
	Identifier string   // SYSLOG_IDENTIFIER; "" is middleware-api
	Socket     string   // of the journal; "" is the usual one
}

const (
	identifier    = "middleware-api"
	journalSocket = "/run/systemd/journal/socket"
)

// Logging is what a process logs with.
type Logging struct {
	Logger *slog.Logger
	Access *AccessLog
	// Format is the form that auto has decided for.
	Format string
	out    *output
	native *journalWriter
}

// New sets up logging. A journal that cannot be reached is no error: records
// then go to the output.
func New(o Options) *Logging {
	o = o.complete()
	l := &Logging{Format: o.Format, out: newOutput(o.Output)}
	var handler slog.Handler
	switch o.Format {
	case FormatTerminal:
		handler = tint.NewTextHandler(l.out, &tint.Options{
			Level: o.Level, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != "",
		})
	case FormatJSON:
		handler = slog.NewJSONHandler(l.out, &slog.HandlerOptions{Level: o.Level, ReplaceAttr: levelNames})
	case FormatJournal:
		l.native, _ = newJournalWriter(o.Socket)
		handler = newLineHandler(o, l.out, l.native)
	default:
		handler = newLineHandler(o, l.out, nil)
	}
	l.Logger = slog.New(handler)
	l.Access = newAccessLog(o, l.out)
	l.out.tell = func(lost int) { l.Logger.Warn("log lines were lost, for nobody took them", "lines", lost) }
	return l
}

// Close waits until what was logged has been taken, for a few seconds at most, and
// gives back the socket to the journal.
func (l *Logging) Close() {
	l.out.flush()
	if l.native != nil {
		l.native.close()
	}
}

func (o Options) complete() Options {
	if o.Format == "" || o.Format == FormatAuto {
		o.Format = detect(o.Output)
	}
	if o.Output == nil {
		o.Output = os.Stderr
		if o.Format == FormatJournal {
			o.Output = os.Stdout
		}
	}
	if o.Identifier == "" {
		o.Identifier = identifier
	}
	if o.Socket == "" {
		o.Socket = journalSocket
	}
	return o
}

// detect finds the form for what records are read with.
func detect(output *os.File) string {
	if output == nil {
		if is, err := journal.StdoutIsJournalStream(); err == nil && is {
			return FormatJournal
		}
		output = os.Stderr
	}
	if term.IsTerminal(int(output.Fd())) {
		return FormatTerminal
	}
	return FormatText
}

func levelNames(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		if level, ok := a.Value.Any().(slog.Level); ok {
			a.Value = slog.StringValue(levelName(level))
		}
	}
	return a
}

// levelName gives the nearest name at or below a level.
func levelName(level slog.Level) string {
	switch {
	case level >= setting.LevelCritical:
		return "CRITICAL"
	case level >= slog.LevelError:
		return "ERROR"
	case level >= slog.LevelWarn:
		return "WARNING"
	case level >= slog.LevelInfo:
		return "INFO"
	case level >= slog.LevelDebug:
		return "DEBUG"
	}
	return "NOTSET"
}

// priority gives the syslog priority of a level, see sd-daemon(3).
func priority(level slog.Level) byte {
	switch {
	case level >= setting.LevelCritical:
		return '2'
	case level >= slog.LevelError:
		return '3'
	case level >= slog.LevelWarn:
		return '4'
	case level >= slog.LevelInfo:
		return '6'
	}
	return '7'
}
