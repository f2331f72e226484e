package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/report"
)

// newConfig groups what there is to see of the configuration.
func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "show the configuration, or what can be configured",
		Args:  cli.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	show := &cobra.Command{
		Use:   "show",
		Short: "print every setting, where it comes from, and no secret",
		Long: `config show prints the values in force, each with where it comes from: a line of
the file, a variable, a credential or the default. Secrets are masked. Exit
status 78 says that the configuration cannot be used.`,
		Example: `  middleware-api config show
  MIDDLEWARE_API_CONFIG=/tmp/new.yaml middleware-api config show --json`,
		Args: cli.NoArgs,
	}
	path := configFlag(show)
	showJSON := cli.JSONFlag(show)
	show.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadByHand(*path, config.RoleTool)
		if c == nil {
			return err
		}
		if !*showJSON {
			c.Show(cmd.OutOrStdout())
			return err
		}
		return errors.Join(report.WriteJSON(cmd.OutOrStdout(), c.Values()), err)
	}
	docs := &cobra.Command{
		Use:   "docs [SETTING]",
		Short: "explain the settings, or those that begin with SETTING",
		Example: `  middleware-api config docs git_repo
  middleware-api config docs sync.poll_interval`,
		Args: cli.MaximumArgs(1),
	}
	docsJSON := cli.JSONFlag(docs)
	docs.RunE = func(cmd *cobra.Command, args []string) error {
		prefix := ""
		if len(args) == 1 {
			prefix = args[0]
		}
		list := config.Documentation(prefix)
		switch {
		case len(list) == 0:
			return cli.Usagef("there is no setting %q; middleware-api config docs lists all", prefix)
		case *docsJSON:
			return report.WriteJSON(cmd.OutOrStdout(), list)
		}
		config.Docs(cmd.OutOrStdout(), prefix)
		return nil
	}
	sample := &cobra.Command{
		Use:     "sample",
		Short:   "print a configuration file with every setting commented",
		Example: `  middleware-api config sample >/etc/middleware-api/config.yaml`,
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Sample())
			return err
		},
	}
	cmd.AddCommand(show, docs, sample)
	return cmd
}
