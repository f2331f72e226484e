package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/cli/convertcmd"
)

// run carries out one command line and gives the exit status.
func run(ctx context.Context, args []string, std cli.Streams) int {
	complaint, err := cli.Execute(ctx, newRoot(), args, std, describe)
	if complaint != "" {
		fmt.Fprintln(std.Err, complaint)
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
		Version: version,
		Args:    cli.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cli.Prepare(root)
	root.SetVersionTemplate("middleware-api version {{.Version}}\n")
	root.Flags().BoolP("version", "v", false, "print the version")
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
		convertcmd.New(),
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
		Args:    cli.NoArgs,
	}
	asJSON := cli.JSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return tell(cmd.OutOrStdout(), done{
			"middleware-api version " + version,
			map[string]any{"version": version, "go": runtime.Version()},
		}, *asJSON)
	}
	return cmd
}
