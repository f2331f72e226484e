// Package cli is what the command lines of all programs have in common: how
// they are read, how mistakes in them are told to whoever made them, and how
// programs end.
package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// UsageError is a mistake on the command line. Programs end with status 64
// for it (EX_USAGE, sysexits.h).
type UsageError struct{ error }

// Unwrap gives what is wrong.
func (e UsageError) Unwrap() error { return e.error }

// Usage makes a UsageError of an error, and nothing of none.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return UsageError{err}
}

// Usagef is Usage for a new error.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// Prepare makes a tree of commands leave it to the program to tell errors, and
// report wrong flags as a UsageError.
func Prepare(root *cobra.Command) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return UsageError{readable(err)} })
}

// readable says what a flag takes where a parser would name itself.
func readable(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	number, ok := errors.AsType[*strconv.NumError](err)
	if !ok {
		return err
	}
	flag, value := invalid.GetFlag(), invalid.GetValue()
	if errors.Is(number, strconv.ErrRange) {
		return fmt.Errorf("--%s %s is out of range", flag.Name, value)
	}
	if flag.Value.Type() == "bool" {
		return fmt.Errorf("--%s takes true or false, not %q", flag.Name, value)
	}
	return fmt.Errorf("--%s takes a whole number, not %q", flag.Name, value)
}

// JSONFlag adds --json.
func JSONFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "print as JSON, for programs")
}

// Offer gives a shell the values of flags, for completion.
func Offer(cmd *cobra.Command, values map[string][]string) {
	for flag, list := range values {
		// Fails only for a flag that does not exist, which the tests would show.
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp))
	}
}

// NoArgs takes no arguments, and suggests a command that is spelled like the
// first one there is.
func NoArgs(cmd *cobra.Command, args []string) error {
	err := cobra.NoArgs(cmd, args)
	if err == nil {
		return nil
	}
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(like, " or "))
	}
	return UsageError{err}
}

// ExactArgs takes n arguments.
func ExactArgs(n int) cobra.PositionalArgs { return checked(cobra.ExactArgs(n)) }

// MaximumArgs takes up to n arguments.
func MaximumArgs(n int) cobra.PositionalArgs { return checked(cobra.MaximumNArgs(n)) }

func checked(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return Usage(check(cmd, args)) }
}

// help says where a command is explained.
func help(cmd *cobra.Command) string {
	text := "\n  see: " + cmd.CommandPath() + " --help"
	if cmd.HasParent() {
		text = "\n  usage: " + cmd.UseLine() + text
	}
	return text
}
