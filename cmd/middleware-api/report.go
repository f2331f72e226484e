package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// inquiry is a command that looks at the database, or changes something there,
// and tells what came of it, as text or as JSON.
type inquiry struct {
	use, short, long, example string

	args  cobra.PositionalArgs
	flags func(*pflag.FlagSet)
	// sensible looks at arguments and flags before the database is opened.
	sensible func(args []string) error
	// values lists what may follow flags, for the completion of a shell.
	values map[string][]string
	// ask gives the answer and the exit status that goes with it.
	ask func(ctx context.Context, c *config.Config, st *store.Store, args []string) (written, int, error)
}

// written is a report that can be read by people.
type written interface{ Write(w io.Writer) error }

// asLines is a report whose JSON is one line per entry, for long lists.
type asLines interface{ WriteLines(w io.Writer) error }

func (q inquiry) command() *cobra.Command {
	cmd := &cobra.Command{Use: q.use, Short: q.short, Long: q.long, Example: q.example, Args: q.args}
	path := configFlag(cmd)
	asJSON := cli.JSONFlag(cmd)
	if q.flags != nil {
		q.flags(cmd.Flags())
	}
	cli.Offer(cmd, q.values)
	if q.sensible != nil {
		cmd.PreRunE = func(_ *cobra.Command, args []string) error { return cli.Usage(q.sensible(args)) }
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, st, err := openStore(cmd.Context(), *path)
		if err != nil {
			return err
		}
		defer st.Close()
		r, status, err := q.ask(cmd.Context(), &c.Config, st, args)
		if err != nil {
			return err
		}
		if err := tell(cmd.OutOrStdout(), r, *asJSON); err != nil {
			return err
		}
		if status != cli.ExitOK {
			return cli.Exit(status, nil)
		}
		return nil
	}
	return cmd
}

// tell writes an answer.
func tell(w io.Writer, r written, asJSON bool) error {
	if !asJSON {
		return r.Write(w)
	}
	if l, ok := r.(asLines); ok {
		return l.WriteLines(w)
	}
	return report.WriteJSON(w, r)
}

// openStore gives the configuration and the database to a command that a
// person started.
func openStore(ctx context.Context, path string) (*config.Loaded, *store.Store, error) {
	c, err := loadByHand(path, config.RoleTool)
	if err != nil {
		return nil, nil, err
	}
	st, err := openStoreOf(ctx, c)
	return c, st, err
}

func openStoreOf(ctx context.Context, c *config.Loaded) (*store.Store, error) {
	if err := become(userService); err != nil {
		return nil, err
	}
	return store.Open(ctx, storeOptions(&c.Config, "middleware-api-command", slog.New(slog.DiscardHandler)))
}

// newStatus is one look at everything.
func newStatus() *cobra.Command {
	var rdis []string
	return inquiry{
		use:   "status",
		short: "show in one look what is going on",
		long: `status shows workers, database, what is not in git yet by RDI and age, the git
store, the last harvests, what is failing, disks that fill up, certificates and
access tokens that end, under one light. Exit status: 0 green, 1 yellow (somebody
should look), 2 red (the service does not do what it is for), as monitoring
plugins have it; 78 if the configuration cannot be used. A database that does not
answer is part of the picture, and red.`,
		example: `  middleware-api status
  middleware-api status --rdi edal
  middleware-api status --json | jq -r '.reasons[] | .text + " -> " + .remedy'`,
		args:  cli.NoArgs,
		flags: func(f *pflag.FlagSet) { f.StringSliceVar(&rdis, "rdi", nil, "only these RDIs") },
		ask: func(ctx context.Context, c *config.Config, st *store.Store, _ []string) (written, int, error) {
			fleet, err := report.CollectFleet(ctx)
			if err != nil {
				fleet = nil // no systemd here; the rest is still worth a look
			}
			s := report.CollectStatus(ctx, st, report.StatusOptions{
				Fleet: fleet, RDIs: c.KnownRDIs, Only: rdis, Tokens: true,
				Also:         report.Reasons(ctx, report.CheckDisk(disks(c)...)),
				Certificates: report.ReadCertificates(time.Now(), certificateFiles(c)...),
			})
			return s, s.Light.ExitCode(), nil
		},
	}.command()
}

// newCauses groups what keeps ARCs out of git.
func newCauses() *cobra.Command {
	var rdis []string
	return inquiry{
		use:   "causes",
		short: "show what is failing, who can mend it and how",
		long: `causes groups what keeps ARCs out of git by code: how many, since when, what
happened, who can mend it, how, and what to type. Exit status: 0, also when
something is failing; status tells the two apart. Every code is explained in
middleware-api-errors(7).`,
		example: `  middleware-api causes
  middleware-api causes --rdi edal --json`,
		args:  cli.NoArgs,
		flags: func(f *pflag.FlagSet) { f.StringSliceVar(&rdis, "rdi", nil, "only these RDIs") },
		ask: func(ctx context.Context, _ *config.Config, st *store.Store, _ []string) (written, int, error) {
			causes, err := report.CollectCauses(ctx, st, rdis...)
			return causes, cli.ExitOK, err
		},
	}.command()
}

// newExplain tells one ARC's story.
func newExplain() *cobra.Command {
	return inquiry{
		use:   "explain ARC",
		short: "tell the story of an ARC, from its first upload to its last commit",
		long: `explain tells the story of one ARC: where it stands, who has to do what, what the
reading of its content found, and everything that has happened to it. ARC is
its id (64 hexadecimal digits), RDI/IDENTIFIER, or a text that occurs in one
identifier or name only. Exit status 66 says that there is no such ARC, or more
than one.`,
		example: `  middleware-api explain edal/10.5447/IPK/2020/1
  middleware-api explain barley
  middleware-api explain d15287234a1b01437556b8d5cc493f1361eff2f44279207f9e4033e8a204b6b2 --json`,
		args: cli.ExactArgs(1),
		ask: func(ctx context.Context, _ *config.Config, st *store.Store, args []string) (written, int, error) {
			id, err := report.FindARC(ctx, st, args[0])
			if err != nil {
				return nil, cli.ExitFailure, err
			}
			story, err := report.CollectStory(ctx, st, id)
			return story, cli.ExitOK, err
		},
	}.command()
}
