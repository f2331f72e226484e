package main

import (
	"errors"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config/setting"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/sqltoarc"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

// Exit statuses, those of sysexits.h where they have a meaning of their own.
const (
	exitOK          = 0
	exitFailure     = 1
	exitPartly      = 3  // some datasets failed, all others are done
	exitUsage       = 64 // the command line is wrong
	exitData        = 65 // the views are not usable
	exitUnavailable = 69 // database or API cannot be reached
	exitTemporary   = 75 // cut off; running again goes on
	exitDenied      = 77 // database or API does not let us in
	exitConfig      = 78 // the configuration is wrong
)

// partlyError ends a run that has brought everything but some datasets. All has
// been said already.
type partlyError struct{}

func (partlyError) Error() string { return "" }

// cutOffError is what ended a run that had begun.
type cutOffError struct{ error }

func (e cutOffError) Unwrap() error { return e.error }

// exitCode gives the exit status for an error.
func exitCode(err error) int {
	if _, ok := errors.AsType[cli.UsageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[partlyError](err); ok {
		return exitPartly
	}
	if _, ok := errors.AsType[*setting.Invalid](err); ok {
		return exitConfig
	}
	switch fault.CodeOf(err) {
	case source.CodeConnectionString, upload.CodeAddress, upload.CodeCertificate:
		return exitConfig
	case source.CodeDenied, upload.CodeDenied:
		return exitDenied
	case source.CodeUnreachable, upload.CodeUnreachable:
		if _, ok := errors.AsType[cutOffError](err); ok {
			return exitTemporary
		}
		return exitUnavailable
	case upload.CodeAnswer:
		return exitUnavailable
	case sqltoarc.CodeViews, source.CodeQuery:
		return exitData
	case sqltoarc.CodeBusy, sqltoarc.CodeInterrupted, sqltoarc.CodeState, upload.CodeRefused:
		return exitTemporary
	}
	return exitFailure
}

// describe gives what a person needs: what happened, why, and what to do.
func describe(err error) string {
	text := err.Error()
	if text == "" {
		return ""
	}
	if f, ok := fault.Of(err); ok {
		text = f.Text
		if f.Remedy != "" {
			text += "\n  remedy: " + f.Remedy
		}
	}
	return "sql-to-arc: " + text
}
