package main

import (
	"log/slog"
	"strings"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// newLogging sets logging up and says what the configuration deserves to be
// warned of.
func newLogging(c *config.Loaded) *telemetry.Logging {
	l := telemetry.New(telemetry.Options{Level: c.LogLevel, Format: c.LogFormat})
	for _, p := range c.Warnings {
		l.Logger.Warn("configuration", "problem", p.String())
	}
	slog.SetDefault(l.Logger) // for libraries; our own packages are given theirs
	return l
}

// sayUnusable tells the journal, where there is one, that a process cannot start
// with its configuration. On standard error the problems are listed anyway.
func sayUnusable(err error) {
	l := telemetry.New(telemetry.Options{})
	defer l.Close()
	if l.Format == telemetry.FormatJournal {
		l.Logger.Error("configuration cannot be used", "error", err,
			"remedy", strings.TrimPrefix(remedyOf(err)+"; then: systemctl reload middleware-api", "; then: "))
	}
}
