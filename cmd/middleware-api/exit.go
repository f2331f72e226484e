package main

import (
	"errors"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/fault"
)

// Exit statuses, those of sysexits.h where they have a meaning of their own.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 64 // the command line is wrong
	exitData         = 65 // the input is wrong: a crate that cannot become an ARC
	exitNoInput      = 66 // what was named is not there: a file, an ARC, a harvest
	exitUnavailable  = 69 // PostgreSQL or the git server cannot be reached
	exitCannotCreate = 73 // the output cannot be written
	exitConfig       = 78 // the configuration is wrong
)

// statusError ends the program with a status of its own. Its text may be
// empty: then everything has been said already.
type statusError struct {
	code int
	err  error
}

func (e statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e statusError) Unwrap() error { return e.err }

// exitCode gives the exit status for an error.
func exitCode(err error) int {
	if s, ok := errors.AsType[statusError](err); ok {
		return s.code
	}
	if _, ok := errors.AsType[cli.UsageError](err); ok {
		return exitUsage
	}
	f, ok := fault.Of(err)
	if !ok {
		return exitFailure
	}
	switch f.Code {
	case fault.ARCNotFound, fault.HarvestNotFound, fault.ARCAmbiguous:
		return exitNoInput
	}
	if f.RetryAfter > 0 {
		return exitUnavailable
	}
	return exitFailure
}

// remedyOf is what an operator can do about an error, if anybody knows.
func remedyOf(err error) string {
	if f, ok := fault.Of(err); ok {
		return f.Remedy
	}
	return ""
}

// describe gives what a person at a terminal needs: what happened, why, and
// what to do.
func describe(err error) string {
	if err.Error() == "" {
		return ""
	}
	text := "middleware-api: " + err.Error()
	if remedy := remedyOf(err); remedy != "" {
		text += "\n  remedy: " + remedy
	}
	return text
}
