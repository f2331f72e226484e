package main

import (
	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/fault"
)

// exitCode gives the exit status for an error.
func exitCode(err error) int {
	if code, ok := cli.Status(err); ok {
		return code
	}
	f, ok := fault.Of(err)
	if !ok {
		return cli.ExitFailure
	}
	switch f.Code {
	case fault.ARCNotFound, fault.HarvestNotFound, fault.ARCAmbiguous:
		return cli.ExitNoInput
	}
	if f.RetryAfter > 0 {
		return cli.ExitUnavailable
	}
	return cli.ExitFailure
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
	text := cli.Describe("middleware-api", err)
	if remedy := remedyOf(err); text != "" && remedy != "" {
		text += "\n  remedy: " + remedy
	}
	return text
}
