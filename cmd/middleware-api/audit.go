package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// newAudit compares what is stored, recorded and really there.
func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "compare what is stored, what is recorded and what is in git",
		Long: `audit asks the git store for the head of every repository and compares it with
what is recorded. Differences are listed; --repair makes those ARCs due. A git
server that was restored from an older backup is healed by one run with
--repair, and so is a database that was. With --json there is one line per
difference and one with the counts. Exit status 1 says that there were
differences that were not repaired.`,
		Example: `  middleware-api audit
  middleware-api audit --rdi edal --repair`,
		Args: cli.NoArgs,
	}
	path := configFlag(cmd)
	asJSON := cli.JSONFlag(cmd)
	rdi := cmd.Flags().String("rdi", "", "only ARCs of this RDI")
	repair := cmd.Flags().Bool("repair", false, "make ARCs that differ due")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadByHand(*path, config.RoleSync)
		if err != nil {
			return err
		}
		if err := become(userSync); err != nil {
			return err
		}
		log := slog.New(slog.DiscardHandler)
		st, err := store.Open(cmd.Context(), storeOptions(&c.Config, "middleware-api-audit", log))
		if err != nil {
			return err
		}
		defer st.Close()
		to, err := newRemote(&c.Config, log, nil, nil)
		if err != nil {
			return err
		}
		defer to.Close()
		tell := differences{out: cmd.OutOrStdout(), asJSON: *asJSON}
		sum, err := gitsync.Audit(cmd.Context(), st, to, gitsync.AuditOptions{RDI: *rdi, Repair: *repair, Actor: actor()}, tell.found)
		if err == nil || sum.Checked > 0 { // what was found until then counts
			tell.sum(&sum)
		}
		if err != nil {
			return err
		}
		if sum.Different+sum.Unreadable > sum.Repaired {
			return cli.Exit(cli.ExitFailure, nil)
		}
		return nil
	}
	return cmd
}

// differences tells what an audit finds while it runs. What cannot be written
// is lost: the reader has gone.
type differences struct {
	out    io.Writer
	asJSON bool
}

func (t differences) found(d gitsync.Difference) {
	why := ""
	if d.Err != nil {
		why = d.Err.Error()
	}
	if t.asJSON {
		_ = report.WriteLine(t.out, map[string]any{
			"arc_id": d.ID, "rdi": d.RDI, "identifier": d.Identifier, "kind": d.Kind, "recorded": d.Recorded,
			"in_git": d.Actual, "due_now": d.Repaired, "error": why,
		})
		return
	}
	fmt.Fprintf(t.out, "%s %s/%s: %s: recorded %s, in git %s", d.ID, d.RDI, d.Identifier, d.Kind, orNone(d.Recorded), orNone(d.Actual))
	if why != "" {
		fmt.Fprintf(t.out, ": %s", why)
	}
	if d.Repaired {
		fmt.Fprint(t.out, "; due now")
	}
	fmt.Fprintln(t.out)
}

func (t differences) sum(s *gitsync.AuditSummary) {
	if t.asJSON {
		_ = report.WriteLine(t.out, map[string]any{
			"checked": s.Checked, "same": s.Same, "pending": s.Pending, "different": s.Different,
			"unreadable": s.Unreadable, "repaired": s.Repaired,
		})
		return
	}
	fmt.Fprintf(t.out, "%d checked: %d as recorded, %d on their way, %d different, %d unreadable; %d made due\n",
		s.Checked, s.Same, s.Pending, s.Different, s.Unreadable, s.Repaired)
}

func orNone(commit string) string {
	if commit == "" {
		return "nothing"
	}
	return commit
}
