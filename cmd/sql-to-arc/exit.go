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

// exitPartly says that some datasets failed, and all others are done.
const exitPartly = 3

// partlyError ends a run that has brought everything but some datasets. All has
// been said already.
type partlyError struct{}

func (partlyError) Error() string { return "" }

// cutOffError is what ended a run that had begun.
type cutOffError struct{ error }

func (e cutOffError) Unwrap() error { return e.error }

// exitCode gives the exit status for an error.
func exitCode(err error) int {
	if code, ok := cli.Status(err); ok {
		return code
	}
	if _, ok := errors.AsType[partlyError](err); ok {
		return exitPartly
	}
	if _, ok := errors.AsType[*setting.Invalid](err); ok {
		return cli.ExitConfig
	}
	switch fault.CodeOf(err) {
	case source.CodeConnectionString, upload.CodeAddress, upload.CodeCertificate:
		return cli.ExitConfig
	case source.CodeDenied, upload.CodeDenied:
		return cli.ExitDenied
	case source.CodeUnreachable, upload.CodeUnreachable:
		if _, ok := errors.AsType[cutOffError](err); ok {
			return cli.ExitTemporary
		}
		return cli.ExitUnavailable
	case upload.CodeAnswer:
		return cli.ExitUnavailable
	case sqltoarc.CodeViews, source.CodeQuery:
		return cli.ExitData
	case sqltoarc.CodeBusy, sqltoarc.CodeInterrupted, sqltoarc.CodeState, upload.CodeRefused:
		return cli.ExitTemporary
	}
	return cli.ExitFailure
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
