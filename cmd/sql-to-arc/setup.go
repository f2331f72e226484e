package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/sqltoarc"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

func newInit() *cobra.Command {
	return &cobra.Command{
		Use:       "init postgresql|mysql|mariadb|mssql|oracle",
		Short:     "print the SQL that creates the empty views",
		Long:      "Prints the statements that create every documented view, empty, in the SQL of the\ngiven product. Fill them in with queries over your tables.",
		Example:   "  sql-to-arc init mariadb >views.sql",
		ValidArgs: []string{"postgresql", "mysql", "mariadb", "mssql", "oracle"},
		Args:      cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dialect, ok := source.DialectByName(args[0])
			if !ok {
				return cli.Usagef("%q is none of postgresql, mysql, mariadb, mssql and oracle", args[0])
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), dialect.CreateViews())
			return err
		},
	}
}

func newConfig(o *runOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "show the configuration",
		Args:  cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.read()
			if c != nil && c.Result != nil {
				c.Table.Show(cmd.OutOrStdout(), c.Result)
			}
			return err
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "sample",
		Short:   "print a configuration file with every setting",
		Example: "  sql-to-arc config sample >config.yaml",
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sqltoarc.Table(new(sqltoarc.Config)).Sample(cmd.OutOrStdout(),
				"The configuration of sql-to-arc. Every setting is explained in sql-to-arc(1);\neach can be given as a variable too, such as SQL_TO_ARC_RDI.")
			return nil
		},
	})
	return cmd
}
