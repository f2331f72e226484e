package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// done tells what a command did: a sentence for people, members for programs.
type done struct {
	text    string
	members map[string]any
}

// Write writes the sentence.
func (d done) Write(w io.Writer) error {
	_, err := fmt.Fprintln(w, d.text)
	return err
}

// MarshalJSON gives the members.
func (d done) MarshalJSON() ([]byte, error) { return json.Marshal(d.members) }

// newResync makes ARCs due whatever is recorded of them.
func newResync() *cobra.Command {
	var rdi, code string
	var all bool
	return inquiry{
		use:   "resync [ARC]",
		short: "push ARCs again: one, those of an RDI or of a cause, or all",
		long: `resync makes ARCs due, whatever is known about them; the synchroniser then looks
at their repositories and pushes what is not there. Nothing is committed where
nothing has changed. ARC is named as for explain. A parked ARC is taken up
again. With --code it is for what fails or is parked for one cause, after that has
been mended. Exit status 66 says that there is no such ARC, or no such code.`,
		example: `  middleware-api resync edal/10.5447/IPK/2020/1
  middleware-api resync --rdi edal
  middleware-api resync --code push_forbidden
  middleware-api resync --all`,
		args: cli.MaximumArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&rdi, "rdi", "", "all ARCs of this RDI")
			f.StringVar(&code, "code", "", "all ARCs that fail or are parked for this cause, as causes names it")
			f.BoolVar(&all, "all", false, "all ARCs")
		},
		sensible: func(args []string) error {
			named := 0
			for _, is := range []bool{len(args) == 1, rdi != "", code != "", all} {
				if is {
					named++
				}
			}
			if named != 1 {
				return errors.New("name one ARC, or --rdi, or --code, or --all")
			}
			return nil
		},
		ask: func(ctx context.Context, _ *config.Config, st *store.Store, args []string) (written, int, error) {
			var id store.ID
			if len(args) == 1 {
				var err error
				if id, err = report.FindARC(ctx, st, args[0]); err != nil {
					return nil, cli.ExitFailure, err
				}
			}
			var n int64
			var err error
			if code == "" {
				n, err = gitsync.Resync(ctx, st, id, rdi, actor())
			} else if err = isCode(code); err == nil {
				n, err = st.RequestPushesOfCause(ctx, fault.Code(code), actor())
			}
			return done{fmt.Sprintf("ARCs that are due now: %d", n), map[string]any{"due": n}}, cli.ExitOK, err
		},
	}.command()
}

// newPark takes an ARC out of the queue.
func newPark() *cobra.Command {
	var reason string
	return inquiry{
		use:   "park ARC",
		short: "keep an ARC from being pushed until its content changes",
		long: `park takes one ARC out of the queue, so that nothing is pushed for it until its
content changes or somebody types unpark or resync. It goes on being accepted. Who
did it, when and why stands in the story of the ARC. Exit status 66 says that
there is no such ARC.`,
		example: `  middleware-api park edal/10.5447/IPK/2020/1 --reason 'wrong licence, the RDI knows'`,
		args:    cli.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&reason, "reason", "parked by hand", "why, for those who ask later")
		},
		ask: func(ctx context.Context, _ *config.Config, st *store.Store, args []string) (written, int, error) {
			id, err := report.FindARC(ctx, st, args[0])
			if err == nil {
				err = st.Park(ctx, id, reason, actor())
			}
			return done{
				fmt.Sprintf("parked %s; to take it up again: middleware-api unpark %s", id, id),
				map[string]any{"arc_id": id, "git_state": store.Parked},
			}, cli.ExitOK, err
		},
	}.command()
}

// newUnpark is the way back.
func newUnpark() *cobra.Command {
	return inquiry{
		use:   "unpark ARC",
		short: "push a parked ARC after all",
		long: `unpark makes one ARC due, whoever or whatever has parked it. Exit status 66 says
that there is no such ARC.`,
		example: `  middleware-api unpark edal/10.5447/IPK/2020/1`,
		args:    cli.ExactArgs(1),
		ask: func(ctx context.Context, _ *config.Config, st *store.Store, args []string) (written, int, error) {
			id, err := report.FindARC(ctx, st, args[0])
			if err == nil {
				err = st.RequestPush(ctx, id, actor())
			}
			return done{fmt.Sprintf("%s is due now", id), map[string]any{"arc_id": id, "git_state": store.Due}}, cli.ExitOK, err
		},
	}.command()
}

// oneRemote takes the name of the git store as an argument that may be left
// out, since there is one.
func oneRemote(cmd *cobra.Command, args []string) error {
	if err := cli.MaximumArgs(1)(cmd, args); err != nil {
		return err
	}
	if len(args) == 1 && args[0] != remoteName {
		return cli.Exit(cli.ExitNoInput, fault.New(fault.RemoteNotFound, nil).WithText(fmt.Sprintf(
			"There is no git store %q; the one there is is called %q.", args[0], remoteName)))
	}
	return nil
}

// newPause and newResume hold the git store back for all synchronisers.
func newPause() *cobra.Command {
	var reason string
	return inquiry{
		use:   "pause [REMOTE]",
		short: "push nothing more until resume, on any host",
		long: `pause holds the git store back for every synchroniser: pushes under way are
finished, none is begun. ARCs go on being accepted. It lasts until resume.
REMOTE is the git store's name in status; there is one, so it may be left out.`,
		example: `  middleware-api pause --reason 'GitLab is upgraded until noon'`,
		args:    oneRemote,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&reason, "reason", "paused by hand", "why, for those who ask later")
		},
		ask: func(ctx context.Context, _ *config.Config, st *store.Store, _ []string) (written, int, error) {
			err := st.HoldRemote(ctx, remoteName, reason, actor())
			return done{
				"paused; ARCs are still accepted. To go on: middleware-api resume " + remoteName,
				map[string]any{"remote": remoteName, "paused": true},
			}, cli.ExitOK, err
		},
	}.command()
}

func newResume() *cobra.Command {
	return inquiry{
		use:   "resume [REMOTE]",
		short: "push again after pause or after an incident",
		long: `resume ends a pause, by hand or by an incident. An incident ends by itself when
the git store works again; resume only makes that sooner.`,
		example: `  middleware-api resume`,
		args:    oneRemote,
		ask: func(ctx context.Context, _ *config.Config, st *store.Store, _ []string) (written, int, error) {
			err := st.ResumeRemote(ctx, remoteName, actor())
			if fault.CodeOf(err) == fault.RemoteNotFound { // nothing was ever said about it, so it is not paused
				err = nil
			}
			return done{"resumed", map[string]any{"remote": remoteName, "paused": false}}, cli.ExitOK, err
		},
	}.command()
}
