package main

import (
	"context"
	"os"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
	"github.com/fairagro/middleware-api/internal/worker"
)

// serveGC is the growth of the heap, in percent, after which a worker collects
// memory. Its heap is small, and what a request leaves is large in comparison: with
// Go's default of 100 a worker at full load collects dozens of times a second.
const serveGC = 300

// newServe runs one HTTP worker.
func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "serve the HTTP interface",
		Long: `serve answers HTTP requests on the sockets that systemd hands over (those named
http), or, without systemd, on the addresses of the setting listen. It is ready
when the database has answered once. SIGTERM, SIGINT and SIGHUP let it answer what it
has and then end.`,
		Example: `  middleware-api serve --with-sync --config ./config.yaml`,
		Args:    cli.NoArgs,
	}
	path := configFlag(cmd)
	withSync := cmd.Flags().Bool("with-sync", false, "run the synchroniser in the same process (for development and containers)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		role := config.RoleServe
		if *withSync {
			role = config.RoleSync
		}
		c, err := load(*path, role)
		if err != nil {
			return err
		}
		logging := newLogging(c)
		defer logging.Close()
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(serveGC)
		}
		// Bodies live, so they get as much as fits in.
		if group := limitMemory(&c.Config, logging.Logger); group > 0 && c.BodyMemoryLimit == 0 {
			c.BodyMemoryLimit = bodyMemory(group, c.BodyLimit)
		}
		return serve(cmd.Context(), &c.Config, logging, *withSync)
	}
	return cmd
}

// serve wires a worker and runs it to its end.
func serve(ctx context.Context, c *config.Config, logging *telemetry.Logging, withSync bool) error {
	watch, err := observe(ctx, c, logging, "middleware-api", processName("1"))
	if err != nil {
		return err
	}
	defer watch.end()
	options, err := httpOptions(c, logging)
	if err != nil {
		return err
	}
	options.Access = watch.access(logging.Access)
	st, err := store.Open(ctx, watch.database(storeOptions(c, "middleware-api", logging.Logger)))
	if err != nil {
		return err
	}
	defer st.Close()
	page := newConsole(c, st, logging.Logger, certifiedViewer(c.Admin.Operators))
	options.Console = visit(page)
	service := ingest.New(st, ingestOptions(c, logging.Logger))
	api, err := httpapi.New(service, options)
	if err != nil {
		return err
	}

	// The synchroniser lasts as long as the worker: while that drains, clients
	// may still wait for a push.
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	var others sync.WaitGroup
	defer others.Wait()
	defer end()
	if withSync {
		work, err := newSynchroniser(st, service, c, watch, logging.Logger)
		if err != nil {
			return err
		}
		others.Go(func() { work.run(background) })
	}
	o := workerOptions(c)
	o.Logger = logging.Logger
	o.Ready = st.Ready
	o.Draining, o.Crowded = api.Drain, api.Crowded
	o.Endpoints = []worker.Endpoint{{Name: "http", Handler: watch.handler(api), Addresses: listenAddresses(c)}}
	if options.TLS != nil {
		o.Endpoints[0].TLS = options.TLS.Config()
	}
	watch.serviceNumbers(api, st)
	others.Go(func() { watch.certificates(background, c, logging.Logger) })
	defer startAdmin(ctx, c, processName("1"), st, watch.metrics, logging.Logger)()
	return worker.Run(ctx, o)
}
