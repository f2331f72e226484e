package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

// streams are the standard streams, so that tests can look at them.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run carries out one command line and gives the exit status.
func run(ctx context.Context, args []string, std streams) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if text := describe(err); text != "" {
		if _, ok := errors.AsType[usageError](err); ok {
			text += help(cmd)
		}
		fmt.Fprintln(std.err, text)
	}
	return exitCode(err)
}

// newRoot gives the tree of commands. Help, man pages and completion are made
// from it.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "middleware-api",
		Short: "accept ARCs over HTTP and push them as git repositories",
		Long: `middleware-api accepts ARCs (Annotated Research Contexts) as RO-Crate JSON-LD
over HTTP, keeps them durably in PostgreSQL, turns them into ARC folders and
pushes them as git repositories to a GitLab group or any other git server.`,
		Version:       version,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("middleware-api version {{.Version}}\n")
	root.Flags().BoolP("version", "v", false, "print the version")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newServe(),
		newSync(),
		newAdmin(),
		newMigrate(),
		newStatus(),
		newCauses(),
		newExplain(),
		newErrors(),
		newARCs(),
		newHarvests(),
		newResync(),
		newPark(),
		newUnpark(),
		newPause(),
		newResume(),
		newAudit(),
		newImport(),
		newDoctor(),
		newConvert(),
		newCheck(),
		newConfig(),
		newVersion(),
		newMan(),
	)
	return root
}

// newVersion prints the version as the flag does.
func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "print the version",
		Example: "  middleware-api version --json",
		Args:    noArgs,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return tell(cmd.OutOrStdout(), done{
			"middleware-api version " + version,
			map[string]any{"version": version, "go": runtime.Version()},
		}, *asJSON)
	}
	return cmd
}

// noArgs and exactArgs are cobra's checks with our exit status.
func noArgs(cmd *cobra.Command, args []string) error {
	err := cobra.NoArgs(cmd, args)
	if err == nil {
		return nil
	}
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(like, " or "))
	}
	return usageError{err}
}

func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return usage(cobra.ExactArgs(n)(cmd, args)) }
}
