package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fairagro/middleware-api/internal/cli"
)

// terminal tells whether a person looks at the stream.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// run carries out one command line and gives the exit status.
func run(ctx context.Context, args []string, std cli.Streams) int {
	complaint, err := cli.Execute(ctx, newRoot(std), args, std, describe)
	if complaint != "" {
		if inJournal(std.Err) {
			// One record, marked as an error (sd-daemon(3)).
			complaint = "<3>" + strings.ReplaceAll(complaint, "\n  ", "; ")
		}
		fmt.Fprintln(std.Err, complaint)
	}
	return exitCode(err)
}

// inJournal tells whether a stream ends in systemd's journal.
func inJournal(w io.Writer) bool {
	if w != io.Writer(os.Stderr) {
		return false
	}
	is, err := journal.StderrIsJournalStream()
	return err == nil && is
}

// newRoot gives the tree of commands. Help, manual page and completion are made
// from it. Without a command it runs, as it always has.
func newRoot(std cli.Streams) *cobra.Command {
	o := &runOptions{std: std}
	root := &cobra.Command{
		Use:   "sql-to-arc",
		Short: "upload the datasets of an SQL database as ARCs",
		Long: `sql-to-arc reads the datasets of a research data infrastructure out of its SQL
database (PostgreSQL, MySQL, MariaDB, Microsoft SQL Server, Oracle), builds an
ARC (Annotated Research Context) of each, and uploads those that are new or have
changed to middleware-api.`,
		Version: version,
		Args:    cli.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cli.Prepare(root)
	root.SetVersionTemplate("sql-to-arc version {{.Version}}\n")
	root.PersistentFlags().StringVarP(&o.config, "config", "c", "", "the configuration `FILE` (default config.yaml, or the one that SQL_TO_ARC_CONFIG names)")
	root.PersistentFlags().BoolVar(&o.json, "json", false, "write what happens to standard output as JSON, one event per line")
	root.AddCommand(newRun(o), newCheck(o), newInit(), newConfig(o), newMan())
	o.flags(root)
	for _, name := range runFlags {
		// They work without a command too, but are described with it.
		_ = root.Flags().MarkHidden(name)
	}
	return root
}
