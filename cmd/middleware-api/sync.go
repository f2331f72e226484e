package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
	"github.com/fairagro/middleware-api/internal/worker"
)

// newSync runs the synchroniser.
func newSync() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "push ARCs to the git store",
		Long: `sync claims the ARCs that are due, builds their folders and pushes them, until
SIGTERM or SIGINT. Any number of them may run, on any number of hosts. It also
ends harvests that were abandoned and forgets tasks that nobody asks for any
more.`,
		Example: `  middleware-api sync --config ./config.yaml`,
		Args:    cli.NoArgs,
	}
	path := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := load(*path, config.RoleSync)
		if err != nil {
			return err
		}
		logging := newLogging(c)
		defer logging.Close()
		limitMemory(&c.Config, logging.Logger)
		return synchronise(cmd.Context(), &c.Config, logging)
	}
	return cmd
}

// synchronise gives the synchroniser a process of its own.
func synchronise(ctx context.Context, c *config.Config, logging *telemetry.Logging) error {
	log := logging.Logger
	watch, err := observe(ctx, c, logging, "middleware-worker", "sync")
	if err != nil {
		return err
	}
	defer watch.end()
	st, err := store.Open(ctx, watch.database(storeOptions(c, "middleware-api-sync", log)))
	if err != nil {
		return err
	}
	defer st.Close()
	work, err := newSynchroniser(st, ingest.New(st, ingestOptions(c, log)), c, watch, log)
	if err != nil {
		return err
	}
	warnOfToken(c, log)
	watch.metrics.Registerer.MustRegister(report.NewCollector(st))
	defer startAdmin(ctx, c, "sync", st, watch.metrics, log)()
	return worker.RunTask(ctx, work.task(st, c))
}

// warnOfToken says early what the git server would say to the first push.
func warnOfToken(c *config.Config, log *slog.Logger) {
	g := c.GitRepo
	if g == nil || !g.Token.IsZero() || !strings.HasPrefix(strings.ToLower(g.URL), "http") {
		return
	}
	log.Warn("no token for the git server; it will probably refuse every push", "remedy",
		"install -m 0600 /dev/stdin /etc/middleware-api/credentials/gitlab-token && systemctl restart middleware-api-sync")
}

// synchroniser is all that happens without being asked: pushing what is due,
// and the upkeep of harvests and tasks.
type synchroniser struct {
	pusher  *gitsync.Syncer
	service *ingest.Service
	to      remote.Remote
	log     *slog.Logger
}

func newSynchroniser(st *store.Store, service *ingest.Service, c *config.Config, watch *observation, log *slog.Logger) (*synchroniser, error) {
	to, err := newRemote(c, log, gitsync.CreationTurns(st, gitsync.Budget(remoteName, projectsPerHour(c))), watch.exchanges())
	if err != nil {
		return nil, err
	}
	options := syncOptions(c, log)
	options.Tracer = watch.tracing.Tracer
	options.Observer = telemetry.NewPushes(watch.metrics.Registerer)
	return &synchroniser{
		pusher:  gitsync.New(st, to, options),
		service: service,
		to:      to,
		log:     log,
	}, nil
}

// task is what the service manager is told of the synchroniser.
func (s *synchroniser) task(st *store.Store, c *config.Config) worker.TaskOptions {
	return worker.TaskOptions{
		Run: func(ctx context.Context) error {
			s.run(ctx)
			return nil
		},
		Ready:      st.Ready,
		Alive:      s.pusher.Alive,
		Status:     s.pusher.Status,
		DrainLimit: c.Worker.GracefulTimeout,
		MaxAge:     c.Worker.MaxAge,
		MaxMemory:  uint64(c.Worker.MaxMemory),
		Logger:     s.log,
	}
}

// run works until ctx ends, and has handed everything back when it returns.
func (s *synchroniser) run(ctx context.Context) {
	defer s.to.Close()
	var upkeep sync.WaitGroup
	defer upkeep.Wait()
	upkeep.Go(func() { s.service.Keep(ctx) })
	if err := s.pusher.Run(ctx); err != nil {
		s.log.Error("synchroniser ended", "error", err)
	}
}
