package main

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlab"
)

// remoteName is what the remote is called in the database. There is one.
const remoteName = "git"

// newRemote gives the place where ARCs go: GitLab over REST, a git server whose
// GitLab projects are kept over REST because there is a token for it, or any
// git server or folder.
func newRemote(c *config.Config, log *slog.Logger, turn creationTurn, wrap transportWrap) (remote.Remote, error) {
	to, err := openRemote(c, log, turn, wrap)
	if err != nil {
		return nil, cli.Exit(cli.ExitConfig, err)
	}
	return to, nil
}

// creationTurn says how long an ARC has to wait for a project of its own.
type creationTurn func(ctx context.Context, arcID string) (time.Duration, error)

// transportWrap sees every exchange with the git server; nil for none.
type transportWrap = func(http.RoundTripper) http.RoundTripper

func openRemote(c *config.Config, log *slog.Logger, turn creationTurn, wrap transportWrap) (remote.Remote, error) {
	if g := c.GitLabAPI; g != nil {
		return gitlab.NewAPI(gitlab.Options{
			URL: g.URL, Group: g.Group, Branch: g.Branch, Token: g.Token.Reveal(),
			Concurrency: g.MaxWorkers, ChunkSize: g.CommitChunkSize, Wrap: wrap,
			OnForeign: git.Policy(c.Sync.OnForeignCommit),
			Log:       log,
		})
	}
	g := c.GitRepo
	o := git.Options{
		URL: g.URL, Group: g.Group, Branch: g.Branch, Token: g.Token.Reveal(),
		UserName: g.UserName, UserEmail: g.UserEmail,
		OnForeign:      git.Policy(c.Sync.OnForeignCommit),
		CommandTimeout: g.CommandTimeout,
		LowSpeedLimit:  g.HTTPLowSpeedLimit,
		LowSpeedTime:   g.HTTPLowSpeedTime,
		MemoryLimit:    c.Sync.LargeARC,
		SizeLimit:      c.Sync.SizeLimit,
		Concurrency:    g.MaxWorkers,
		Wrap:           wrap,
		Log:            log,
	}
	if g.Token.IsZero() || strings.HasPrefix(strings.ToLower(g.URL), "file:") {
		return git.New(o)
	}
	return gitlab.New(gitlab.Options{
		URL: g.URL, Group: g.Group, Branch: g.Branch, Token: g.Token.Reveal(),
		Topics: g.RDIGitLabTopics, Turn: turn, Visibility: g.ProjectsVisibility,
		Concurrency: g.MaxWorkers, Wrap: wrap,
		OnForeign: git.Policy(c.Sync.OnForeignCommit),
		Git:       o,
		Log:       log,
	})
}

// pushers is the number of pushes at a time.
func pushers(c *config.Config) int {
	if c.GitLabAPI != nil {
		return c.GitLabAPI.MaxWorkers
	}
	return c.GitRepo.MaxWorkers
}

// projectsPerHour is the budget for new projects; 0 is none.
func projectsPerHour(c *config.Config) int {
	if c.GitRepo == nil {
		return 0
	}
	return c.GitRepo.ProjectsPerHour
}
