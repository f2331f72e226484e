package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// pageLimit is the length of a list when nobody says otherwise: a screen.
const pageLimit = 25

// largestPage keeps one statement from reading the whole table.
const largestPage = 1000

func checkLimit(limit int) error {
	if limit < 1 || limit > largestPage {
		return fmt.Errorf("--limit %d is not between 1 and %d", limit, largestPage)
	}
	return nil
}

// oneOf checks the value of a flag against the list that a shell completes it
// from.
func oneOf(flag, value string, list []string) error {
	if value == "" || slices.Contains(list, value) {
		return nil
	}
	return fmt.Errorf("--%s %q is none of %s", flag, value, strings.Join(list, ", "))
}

var (
	gitStates  = []string{string(store.Due), string(store.Failing), string(store.Parked), string(store.Synced)}
	lifecycles = []string{"active", "missing", "deleted"}
	statuses   = []string{"running", "completed", "failed", "cancelled"}
)

// arcQuery is what was asked of a list of ARCs.
type arcQuery struct {
	rdis                         []string
	state, code, lifecycle, text string
	harvest, after               string
	limit                        int
	all                          bool
	filter                       store.ARCFilter
}

func (q *arcQuery) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&q.rdis, "rdi", nil, "of these RDIs only")
	f.StringVar(&q.state, "state", "", "on its way into git: "+strings.Join(gitStates, ", "))
	f.StringVar(&q.code, "code", "", "whose last push failed with this code, see causes")
	f.StringVar(&q.lifecycle, "lifecycle", "", "at its RDI: "+strings.Join(lifecycles, ", "))
	f.StringVar(&q.text, "text", "", "with this text in identifier or name")
	f.StringVar(&q.harvest, "harvest", "", "brought by this harvest")
	f.IntVar(&q.limit, "limit", pageLimit, "length of a page")
	f.StringVar(&q.after, "after", "", "the page after this place, which the page before names")
	f.BoolVar(&q.all, "all", false, "all pages")
}

// sensible makes the filter.
func (q *arcQuery) sensible([]string) error {
	err := errors.Join(checkLimit(q.limit), oneOf("state", q.state, gitStates), oneOf("lifecycle", q.lifecycle, lifecycles))
	if err != nil {
		return err
	}
	q.filter = store.ARCFilter{
		RDIs: q.rdis, State: store.GitState(q.state), Code: fault.Code(q.code),
		Lifecycle: store.Lifecycle(strings.ToUpper(q.lifecycle)), Text: q.text, Limit: q.limit,
	}
	if q.all {
		q.filter.Limit = largestPage
	}
	if q.harvest != "" {
		if q.filter.Harvest, err = report.ParseHarvest(q.harvest); err != nil {
			return err
		}
	}
	if q.filter.After, err = store.ParseCursor(q.after); err != nil {
		return fmt.Errorf("--after %w", err)
	}
	return nil
}

// command gives what was typed, without the place in the list.
func (q *arcQuery) command() string {
	words := []string{"middleware-api arcs"}
	for _, f := range []struct{ name, value string }{
		{"rdi", strings.Join(q.rdis, ",")}, {"state", q.state}, {"code", q.code}, {"lifecycle", q.lifecycle},
		{"text", q.text}, {"harvest", q.harvest},
	} {
		if f.value != "" {
			words = append(words, "--"+f.name, report.QuoteForShell(f.value))
		}
	}
	if q.limit != pageLimit {
		words = append(words, fmt.Sprintf("--limit %d", q.limit))
	}
	return strings.Join(words, " ")
}

// newARCs lists ARCs.
func newARCs() *cobra.Command {
	q := &arcQuery{}
	return inquiry{
		use:   "arcs",
		short: "list ARCs, those that changed last first",
		long: `arcs lists ARCs and how far each has come on its way into git. All filters
together have to fit. A page ends with the command for the next one. With
--json there is one line per ARC; its member cursor, given to --after, goes on
behind that ARC. Exit status 0, also when no ARC fits.`,
		example: `  middleware-api arcs --state parked
  middleware-api arcs --code hook_declined --rdi edal
  middleware-api arcs --text barley --limit 5
  middleware-api arcs --state failing --all --json | jq -r .id`,
		args:     cli.NoArgs,
		flags:    q.flags,
		sensible: q.sensible,
		values:   map[string][]string{"state": gitStates, "lifecycle": lifecycles},
		ask: func(ctx context.Context, _ *config.Config, st *store.Store, _ []string) (written, int, error) {
			list, err := report.CollectARCs(ctx, st, q.filter, q.all, q.command())
			return list, cli.ExitOK, err
		},
	}.command()
}

// newHarvests lists harvests, or tells of one.
func newHarvests() *cobra.Command {
	var rdis []string
	var status, after string
	var limit int
	return inquiry{
		use:   "harvests [HARVEST]",
		short: "list harvests, newest first, or tell everything about one",
		long: `harvests lists harvests with their counts. With the id of a harvest it tells what
that one brought, what was refused and why, and what has become in git of what
was accepted. Exit status 66 says that there is no such harvest.`,
		example: `  middleware-api harvests
  middleware-api harvests --rdi edal --status failed
  middleware-api harvests harvest-6f1c2a4e-8f0b-4c1e-9d57-2a86a1b5c9f3`,
		args: cli.MaximumArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringSliceVar(&rdis, "rdi", nil, "of these RDIs only")
			f.StringVar(&status, "status", "", strings.Join(statuses, ", "))
			f.IntVar(&limit, "limit", pageLimit, "length of a page")
			f.StringVar(&after, "after", "", "the page after this harvest")
		},
		sensible: func([]string) error {
			status = strings.ToLower(status)
			return errors.Join(checkLimit(limit), oneOf("status", status, statuses))
		},
		values: map[string][]string{"status": statuses},
		ask: func(ctx context.Context, _ *config.Config, st *store.Store, args []string) (written, int, error) {
			if len(args) == 1 {
				id, err := report.ParseHarvest(args[0])
				if err != nil {
					return nil, cli.ExitFailure, err
				}
				account, err := report.CollectHarvest(ctx, st, id)
				return account, cli.ExitOK, err
			}
			f := store.HarvestFilter{RDIs: rdis, Status: store.HarvestStatus(strings.ToUpper(status)), Limit: limit}
			var err error
			if after != "" {
				if f.Before, err = report.ParseHarvest(after); err != nil {
					return nil, cli.ExitFailure, err
				}
			}
			if f.RDIs == nil {
				if f.RDIs, err = st.HarvestRDIs(ctx); err != nil {
					return nil, cli.ExitFailure, err
				}
			}
			more := "middleware-api harvests"
			if rdis != nil {
				more += " --rdi " + report.QuoteForShell(strings.Join(rdis, ","))
			}
			if status != "" {
				more += " --status " + status
			}
			if limit != pageLimit {
				more += fmt.Sprintf(" --limit %d", limit)
			}
			list, err := report.CollectHarvests(ctx, st, f, more)
			return list, cli.ExitOK, err
		},
	}.command()
}
