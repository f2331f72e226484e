package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/console"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
	"github.com/fairagro/middleware-api/internal/worker"
)

// adminSocket is what middleware-api-admin.socket calls its descriptors.
const adminSocket = "admin"

// adminIdle is how long a process that was started by a connection stays
// without one.
const adminIdle = 15 * time.Minute

// newAdmin serves the operators of a machine.
func newAdmin() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "admin",
		Example: `  middleware-api admin --config ./config.yaml`,
		Short:   "serve the console and the metrics of all processes to the operators of this machine",
		Long: `admin answers on the sockets that systemd hands over (those named admin), or,
without systemd, on admin.sock in the setting admin.directory. On a unix socket it
serves /console and /metrics to root, to the user of the service and to the group
of the setting admin.group; on a network address it serves /metrics only. The
metrics are those of every process of the service on this machine. It works
whether or not any worker does, and ends when nobody has asked for a while.`,
		Args: cli.NoArgs,
	}
	path := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		c, err := load(*path, config.RoleServe)
		if err != nil {
			return unusable(ctx, cancel, err)
		}
		logging := newLogging(c)
		defer logging.Close()
		return admin(ctx, cancel, &c.Config, logging)
	}
	return cmd
}

// admin wires the process and runs it until ctx ends or nobody asks any more.
func admin(ctx context.Context, enough context.CancelFunc, c *config.Config, logging *telemetry.Logging) error {
	log := logging.Logger
	listeners, inherited, err := adminListeners(ctx, c)
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, storeOptions(c, "middleware-api-admin", log))
	if err != nil {
		return err
	}
	defer st.Close()
	metrics := telemetry.NewMetrics("admin", version, "")
	metrics.Registerer.MustRegister(report.NewCollector(st))
	telemetry.Counts(metrics.Registerer, "process_stops_total",
		"Orderly ends of workers and synchronisers of this machine by reason: age, requests, memory (recycling), signal, failure.", "reason",
		func() map[string]int64 { return worker.Stops("/run/middleware-api", "/run/middleware-api-sync") })
	page := newConsole(c, st, log, localViewer(c.Admin.Group))
	all := &telemetry.Fleet{Sockets: processSockets(c), Own: metrics}
	desk := &desk{log: log, listeners: listeners, local: adminHandler(page, localViewer(c.Admin.Group), all.Handler()), remote: metricsOnly(all.Handler())}
	if inherited {
		desk.idle = adminIdle
	}
	return desk.run(ctx, enough, page.Run)
}

// unusable answers with what is wrong with the configuration. Ending instead would
// let the connection that waits start the process again, and again.
func unusable(ctx context.Context, enough context.CancelFunc, problem error) error {
	listeners := activated()
	if len(listeners) == 0 {
		return problem
	}
	say := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "The configuration cannot be used:\n\n"+describe(problem)+"\n\nMend it, then: systemctl restart middleware-api-admin.service", http.StatusServiceUnavailable)
	})
	d := &desk{
		log: slog.New(slog.DiscardHandler), listeners: listeners, idle: 5 * time.Second,
		local: operatorsOnly(localViewer(""), say), remote: http.NotFoundHandler(),
	}
	return d.run(ctx, enough, nil)
}

// newConsole makes the page for those whom who knows.
func newConsole(c *config.Config, st *store.Store, log *slog.Logger, who func(*http.Request) (console.Viewer, bool)) *console.Console {
	certificates, folders := certificateFiles(c), disks(c)
	return console.New(console.Options{
		Data: st, Version: version, Fleet: report.CollectFleet, Log: log, Who: who,
		Certificates: func() []report.Certificate { return report.ReadCertificates(time.Now(), certificates...) },
		Also: func(ctx context.Context) []report.Reason {
			return report.Reasons(ctx, report.CheckDisk(folders...))
		},
	})
}

// adminHandler is what a unix socket for operators serves.
func adminHandler(page http.Handler, who func(*http.Request) (console.Viewer, bool), metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", operatorsOnly(who, metrics))
	mux.Handle(console.Path, page)
	mux.Handle(console.Path+"/", page)
	mux.Handle("GET /{$}", http.RedirectHandler(console.Path, http.StatusSeeOther))
	return mux
}

// metricsOnly is what a network address serves: nobody there can be told apart.
func metricsOnly(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	return mux
}

// processSockets are where the processes of this machine tell their metrics.
func processSockets(c *config.Config) []string {
	if c.Admin.Directory != "" {
		return []string{filepath.Join(c.Admin.Directory, "admin-*.sock")}
	}
	return []string{"/run/middleware-api/admin-*.sock", "/run/middleware-api-sync/admin-*.sock"}
}

// activated gives the sockets of the service manager, none without one.
func activated() []net.Listener {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return nil
	}
	return named[adminSocket]
}

func adminListeners(ctx context.Context, c *config.Config) (listeners []net.Listener, inherited bool, err error) {
	if listeners := activated(); len(listeners) > 0 {
		return listeners, true, nil
	}
	dir := adminDirectory(c)
	if dir == "" {
		return nil, false, cli.Exit(cli.ExitConfig, errors.New("no socket was inherited: systemctl start middleware-api-admin.socket, or set admin.directory"))
	}
	l, err := listenAdmin(ctx, filepath.Join(dir, "admin.sock"))
	if err != nil {
		return nil, false, fmt.Errorf("open the socket for operators: %w", err)
	}
	return []net.Listener{l}, false, nil
}

// desk serves operators on several sockets.
type desk struct {
	log           *slog.Logger
	listeners     []net.Listener
	local, remote http.Handler
	idle          time.Duration // ends after so long without a connection; 0 never does

	mu    sync.Mutex
	open  map[net.Conn]struct{}
	quiet time.Time // since when there has been no connection
}

// run serves until ctx ends. Background is run beside it; nil for nothing.
func (d *desk) run(ctx context.Context, enough context.CancelFunc, background func(context.Context) error) error {
	d.open, d.quiet = map[net.Conn]struct{}{}, time.Now()
	return worker.RunTask(ctx, worker.TaskOptions{
		Logger: d.log, DrainLimit: 5 * time.Second,
		Run: func(ctx context.Context) error {
			var parts sync.WaitGroup
			defer parts.Wait()
			if background != nil {
				parts.Go(func() { _ = background(ctx) }) // ends with its context
			}
			if d.idle > 0 {
				parts.Go(func() { d.watch(ctx, enough) })
			}
			var servers []*http.Server
			for _, l := range d.listeners {
				server := &http.Server{
					Handler: d.remote, ReadHeaderTimeout: adminHeader, ConnContext: withPeer, ConnState: d.count,
					ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
				}
				if l.Addr().Network() == "unix" {
					server.Handler = d.local
				}
				servers = append(servers, server)
				parts.Go(func() {
					if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
						d.log.Warn("socket for operators closed", "path", l.Addr().String(), "error", err)
					}
				})
			}
			<-ctx.Done()
			for _, server := range servers {
				_ = server.Close()
			}
			return nil
		},
	})
}

// count knows the open connections.
func (d *desk) count(conn net.Conn, state http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch state {
	case http.StateNew:
		d.open[conn] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(d.open, conn)
		d.quiet = time.Now()
	}
}

// watch ends the process when nobody has been connected for long enough. The
// socket stays with the service manager, which starts it again for the next one.
func (d *desk) watch(ctx context.Context, enough context.CancelFunc) {
	ticker := time.NewTicker(d.idle / 10)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.mu.Lock()
			over := len(d.open) == 0 && time.Since(d.quiet) >= d.idle
			d.mu.Unlock()
			if over {
				enough()
				return
			}
		}
	}
}

// adminHeader is how long a person's program may take for a header.
const adminHeader = 5 * time.Second

// startAdmin opens the socket of one process, with its own metrics and the
// console, and serves until the function that it gives is called. It is no part
// of the service that clients see, so that it needs no drain, and a process that
// cannot open it serves all the same.
func startAdmin(ctx context.Context, c *config.Config, process string, st *store.Store, m *telemetry.Metrics, log *slog.Logger) (stop func()) {
	dir := adminDirectory(c)
	if dir == "" {
		return func() {}
	}
	page := newConsole(c, st, log, localViewer(c.Admin.Group))
	path := filepath.Join(dir, "admin-"+process+".sock")
	l, err := listenAdmin(ctx, path)
	if err != nil {
		log.Warn("no socket for operators", "path", path, "error", err)
		return func() {}
	}
	mux := http.NewServeMux()
	// Whoever may open the socket may read these: the process that gathers them
	// runs as another user than the synchroniser.
	mux.Handle("GET /metrics", m.Handler())
	mux.Handle(console.Path, page)
	mux.Handle(console.Path+"/", page)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: adminHeader, ConnContext: withPeer,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	sampling, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { _ = page.Run(sampling) }) // ends with its context
	running.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("socket for operators closed", "path", path, "error", err)
		}
	})
	return func() {
		end()
		_ = server.Close()
		running.Wait()
	}
}

// adminDirectory is where the sockets are; "" is nowhere.
func adminDirectory(c *config.Config) string {
	if c.Admin.Directory != "" {
		return c.Admin.Directory
	}
	dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	return dir
}

// listenAdmin opens a socket, in the place of one that a killed process left. The
// group of the service may connect, nobody else.
func listenAdmin(ctx context.Context, path string) (net.Listener, error) {
	if err := removeSocket(path); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil { //nolint:gosec // for the group, see above
		_ = l.Close()
		return nil, fmt.Errorf("let the group of the service connect: %w", err)
	}
	return l, nil
}

func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look for an old socket: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s is in the way and no socket", path)
	}
	return os.Remove(path)
}
