package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// Exit statuses, those of sysexits.h where they have a meaning of their own.
// What each means for a command is said in the manual pages.
const (
	ExitOK           = 0
	ExitFailure      = 1
	ExitUsage        = 64 // the command line is wrong
	ExitData         = 65 // the input is wrong
	ExitNoInput      = 66 // what was named is not there
	ExitUnavailable  = 69 // what is needed cannot be reached
	ExitSystemFile   = 72 // a file of the program itself is missing
	ExitCannotCreate = 73 // the output cannot be written
	ExitTemporary    = 75 // cut off; running again goes on
	ExitDenied       = 77 // what is needed does not let us in
	ExitConfig       = 78 // the configuration is wrong
)

// statusError ends a program with a status of its own. Without err everything
// has been said already.
type statusError struct {
	code int
	err  error
}

// Exit makes an error that ends a program with a status of its own; err may be
// nil, if everything has been said already.
func Exit(code int, err error) error { return statusError{code, err} }

func (e statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e statusError) Unwrap() error { return e.err }

// Status gives the exit status for an error that says so itself.
func Status(err error) (code int, ok bool) {
	if err == nil {
		return ExitOK, true
	}
	if s, ok := errors.AsType[statusError](err); ok {
		return s.code, true
	}
	if _, ok := errors.AsType[UsageError](err); ok {
		return ExitUsage, true
	}
	return ExitFailure, false
}

// Streams are the standard streams, so that tests can look at them.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Execute carries out one command line. If that fails, complaint is what to
// tell the person who typed it: what describe makes of the error, and after a
// mistake where the command is explained.
func Execute(ctx context.Context, root *cobra.Command, args []string, std Streams, describe func(error) string) (complaint string, err error) {
	root.SetArgs(args)
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return "", nil
	}
	complaint = describe(err)
	if _, ok := errors.AsType[UsageError](err); ok {
		complaint += help(cmd)
	}
	return complaint, err
}

// Describe gives an error the way programs here tell it; nothing if everything
// has been said already.
func Describe(program string, err error) string {
	if err.Error() == "" {
		return ""
	}
	return program + ": " + err.Error()
}
