package main

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// newDoctor looks at everything that the service stands on.
func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "examine everything that the service stands on, and say what to do",
		Long: `doctor examines configuration, database (version, schema, rights, clock), units,
sandbox, listeners, certificates and days left, disk, credentials, and the git
store: server, token with scopes and days left, group. With --push it also
pushes to a branch of its own in an existing repository and removes it again.
Each finding that is not fine names what to do. Exit status: 0 all is well, 1
something to look at, 2 something is broken. It is meant to be typed by root,
who may read everything; it looks at database and git store as the service does.`,
		Example: `  middleware-api doctor
  middleware-api doctor --push
  middleware-api doctor --bundle /tmp/middleware-api.tar.gz`,
		Args: cli.NoArgs,
	}
	path := configFlag(cmd)
	asJSON := cli.JSONFlag(cmd)
	bundle := cmd.Flags().String("bundle", "", "write an archive (.tar.gz) with all of this, and the newest lines of the journal, without secrets")
	push := cmd.Flags().Bool("push", false, "push to a branch of its own in an existing repository, and remove it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := readByHand(*path, config.RoleTool)
		archive, berr := openBundle(cmd.Context(), *bundle, c)
		if berr != nil {
			return berr
		}
		checks := []report.Check{report.CheckConfiguration(*path, err, nil)}
		if err == nil {
			warnings := make([]string, len(c.Warnings))
			for i, w := range c.Warnings {
				warnings[i] = w.String()
			}
			checks[0] = report.CheckConfiguration(c.Path, nil, warnings)
			more, end, err := examinations(cmd.Context(), &c.Config, *push)
			if err != nil {
				return err
			}
			defer end()
			checks = append(checks, more...)
		}
		d := report.Examine(cmd.Context(), version, checks)
		if err := archive.write(d); err != nil {
			return err
		}
		if err := tell(cmd.OutOrStdout(), d, *asJSON); err != nil {
			return err
		}
		if status := d.Light().ExitCode(); status != cli.ExitOK {
			return cli.Exit(status, nil)
		}
		return nil
	}
	return cmd
}

// settled runs a check that only root can do while this is still root.
func settled(ctx context.Context, c report.Check) report.Check {
	findings := c.Run(ctx)
	return report.Check{Name: c.Name, Run: func(context.Context) []report.Finding { return findings }}
}

// examinations are the checks that need a usable configuration. End is to be
// called after them.
func examinations(ctx context.Context, c *config.Config, push bool) (checks []report.Check, end func(), err error) {
	secrets := settled(ctx, report.CheckSecretFiles(credentialsFolder+"/gitlab-token", credentialsFolder+"/database-password"))
	certificates := certificateFiles(c)
	ends := settled(ctx, report.CheckCertificates(time.Now(), certificates...))
	units := settled(ctx, report.CheckUnits())                    // before a connection starts some
	listeners := settled(ctx, report.CheckListeners(c.Listen...)) // one may be for a proxy only
	if err := become(userSync); err != nil {
		return nil, nil, err
	}
	st, err := store.Open(ctx, storeOptions(c, "middleware-api-doctor", slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, nil, err
	}
	checks = []report.Check{
		report.CheckDatabase(st),
		units,
		report.CheckSandbox(workerUnit, syncUnit),
		report.CheckReach(needs(c)...),
		listeners,
		ends,
		report.CheckDisk(disks(c)...),
		secrets,
	}
	to, err := newRemote(c, slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		return append(checks, report.CheckRemote(remoteName, func(context.Context) error { return err })), st.Close, nil
	}
	checks = append(checks, report.CheckRemote(remoteName, to.Check), report.CheckToken(time.Now(), tokenOf(c, to)))
	if push {
		checks = append(checks, trial(st, to))
	}
	return checks, func() { to.Close(); st.Close() }, nil
}

// disks are where the service, its repositories and its database, if they are
// on this machine, need room.
func disks(c *config.Config) []string {
	list := []string{"/var/lib/middleware-api"}
	if c.GitRepo != nil {
		if u, err := url.Parse(c.GitRepo.URL); err == nil && u.Scheme == "file" {
			list = append([]string{u.Path}, list...)
		}
	}
	if _, err := os.Stat("/var/lib/postgresql"); err == nil {
		list = append(list, "/var/lib/postgresql")
	}
	return list
}

func certificateFiles(c *config.Config) []string {
	if c.TLS == nil {
		return nil
	}
	return []string{c.TLS.Certificate, c.TLS.ClientCA}
}

// tokenOf gives whom to ask about the token; nil if there is nobody.
func tokenOf(c *config.Config, to remote.Remote) func(context.Context) (remote.Token, error) {
	if g := c.GitLabAPI; g != nil && g.Token.IsZero() {
		return nil
	}
	if t, ok := to.(interface {
		Token(ctx context.Context) (remote.Token, error)
	}); ok {
		return t.Token
	}
	return nil
}

// trial pushes to the repository of the ARC that was pushed last.
func trial(st *store.Store, to remote.Remote) report.Check {
	t, ok := to.(interface {
		Trial(ctx context.Context, repo string) error
	})
	if !ok {
		return report.CheckTrial(nil, nil)
	}
	return report.CheckTrial(func(ctx context.Context) (string, error) {
		list, _, err := st.ARCs(ctx, store.ARCFilter{State: store.Synced, Limit: 1})
		if err != nil || len(list) == 0 {
			return "", err
		}
		return list[0].Git.RemoteRef, nil
	}, t.Trial)
}
