package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/fairagro/middleware-api/internal/sqltoarc"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// teller tells people and programs what happens: as JSON events, with a bar on a
// terminal, or as log lines.
type teller struct {
	o       *runOptions
	logging *telemetry.Logging
	events  *json.Encoder            // with --json
	bar     *progressbar.ProgressBar // on a terminal, once the total is known
	total   int64
	last    time.Time // of the last line about progress
}

// lineInterval is how often a log tells how far the run is.
const lineInterval = 10 * time.Second

func newTeller(o *runOptions, c *sqltoarc.Loaded) *teller {
	t := &teller{o: o}
	output, ok := o.std.Err.(*os.File)
	if !ok {
		output = os.Stderr
	}
	format := c.LogFormat
	if format == telemetry.FormatAuto && inJournal(o.std.Err) {
		format = telemetry.FormatJournal
	}
	t.logging = telemetry.New(telemetry.Options{
		Level: slog.Level(c.LogLevel), Format: format, Output: output, Identifier: "sql-to-arc",
	})
	if o.json {
		t.events = json.NewEncoder(o.std.Out)
		t.events.SetEscapeHTML(false)
	}
	for _, p := range c.Warnings {
		t.logging.Logger.Warn("configuration", "problem", p.String())
	}
	return t
}

// tell is called by one goroutine at a time.
func (t *teller) tell(e sqltoarc.Event) {
	if t.events != nil {
		_ = t.events.Encode(e)
		return
	}
	switch e.Kind {
	case sqltoarc.EventBegin:
		t.begin(e.Total)
	case sqltoarc.EventProgress:
		t.progress(e.Counts)
	case sqltoarc.EventFinding:
		t.finding(e.Finding)
	case sqltoarc.EventHarvest:
		t.line(func() { t.logging.Logger.Info("harvest "+e.Text, "harvest_id", e.Harvest) }) //nolint:sloglint // one of few constant texts
	case sqltoarc.EventNote:
		t.line(func() { t.logging.Logger.Warn("note", "text", e.Text) })
	}
}

func (t *teller) begin(total int64) {
	t.total = total
	if !terminal(t.o.std.Err) {
		t.logging.Logger.Info("reading", "datasets", total)
		return
	}
	t.bar = progressbar.NewOptions64(max(total, 1), progressbar.OptionSetWriter(t.o.std.Err), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("datasets"), progressbar.OptionSetPredictTime(true),
		progressbar.OptionFullWidth(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

func (t *teller) progress(c *sqltoarc.Counts) {
	if t.bar != nil {
		if c.Failed > 0 {
			t.bar.Describe(fmt.Sprintf("%d failed", c.Failed))
		}
		_ = t.bar.Set64(c.Done())
		return
	}
	if now := time.Now(); now.Sub(t.last) >= lineInterval {
		if !t.last.IsZero() {
			t.logging.Logger.Info("progress", "done", c.Done(), "of", t.total, "uploaded", c.Uploaded, "unchanged", c.Unchanged, "failed", c.Failed)
		}
		t.last = now
	}
}

// levels of findings.
var levels = map[source.Severity]slog.Level{source.Error: slog.LevelError, source.Warning: slog.LevelWarn, source.Note: slog.LevelInfo}

func (t *teller) finding(f *source.Finding) {
	t.line(func() {
		attrs := make([]slog.Attr, 0, 6)
		for _, a := range []slog.Attr{
			slog.String("view", f.View), slog.String("key", f.Key), slog.String("row", f.Row), slog.String("column", f.Column),
			slog.String("text", f.Text), slog.String("remedy", f.Remedy),
		} {
			if a.Value.String() != "" {
				attrs = append(attrs, a)
			}
		}
		t.logging.Logger.LogAttrs(context.Background(), levels[f.Severity], "finding", attrs...)
	})
}

// line writes something without the bar in its way.
func (t *teller) line(write func()) {
	if t.bar != nil {
		_ = t.bar.Clear()
	}
	write()
	if t.bar != nil {
		_ = t.bar.RenderBlank()
	}
}

// finish takes the bar away.
func (t *teller) finish() {
	if t.bar != nil {
		_ = t.bar.Finish()
		t.bar = nil
	}
}
