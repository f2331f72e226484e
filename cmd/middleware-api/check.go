package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/config/setting"
	"github.com/fairagro/middleware-api/internal/report"
)

// newCheck lists everything that is wrong with the configuration, the files that
// it names included. It connects to nothing: what is running may be down when a
// configuration is written.
func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "check the configuration and list every problem",
		Long: `check reads the configuration as the service would and lists every problem with
its line. Exit status 78 says that the service would not start with it.`,
		Example: `  middleware-api check
  middleware-api check --config /tmp/new.yaml --role sync`,
		Args: cli.NoArgs,
	}
	path := configFlag(cmd)
	asJSON := cli.JSONFlag(cmd)
	role := cmd.Flags().String("role", "tool", "check what a process needs: serve, sync or tool")
	cli.Offer(cmd, map[string][]string{"role": {"serve", "sync", "tool"}})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, ok := map[string]config.Role{"serve": config.RoleServe, "sync": config.RoleSync, "tool": config.RoleTool}[*role]
		if !ok {
			return cli.Usagef("role %q is none of serve, sync, tool", *role)
		}
		c, err := config.Load(config.Options{Role: r, Path: *path})
		problems := []setting.Problem{}
		if inv, ok := errors.AsType[*setting.Invalid](err); ok {
			problems = append(problems, inv.Problems...)
		} else if err != nil {
			return err
		}
		if c != nil {
			problems = append(problems, c.Warnings...)
		}
		if err == nil {
			err = checkFiles(&c.Config, r)
			if err != nil {
				problems = append(problems, setting.Problem{Source: c.Path, Path: "tls", Text: err.Error(), Remedy: remedyOf(err)})
			}
			for _, f := range report.Unreachable(cmd.Context(), needs(&c.Config)...) {
				problems = append(problems, setting.Problem{Source: c.Path, Text: f.Text, Remedy: f.Remedy, Warning: true})
			}
		}
		if *asJSON {
			if err := report.WriteJSON(cmd.OutOrStdout(), problems); err != nil {
				return err
			}
		} else {
			for _, p := range problems {
				fmt.Fprintln(cmd.OutOrStdout(), p)
			}
		}
		if err != nil {
			return cli.Exit(cli.ExitConfig, nil)
		}
		if !*asJSON {
			where := c.Path
			if where == "" {
				where = "no configuration file; the defaults"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good\n", where)
		}
		return nil
	}
	return cmd
}

// checkFiles reads the files that a process of the role reads at its start.
func checkFiles(c *config.Config, role config.Role) error {
	if c.TLS == nil || role == config.RoleSync {
		return nil
	}
	_, err := loadTLS(c.TLS, nil)
	return err
}
