package worker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/startup"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// worker is one call of Run.
type worker struct {
	options  Options
	log      *slog.Logger
	notify   notifier
	started  time.Time
	traffic  *traffic
	recycler *recycler
	fleet    *fleet
	room     *room // nil where connections are not left to other workers

	listeners listeners
	servers   map[string]*http.Server // by endpoint
	serveOnce sync.Once
	serving   sync.WaitGroup
	broken    chan error // a listener failed

	trouble atomic.Pointer[string] // with the database, for the status line
	sick    atomic.Bool            // the last health check has failed
	clock   clock

	asked  func() error                                         // why the caller of Run has ended its context
	health func(ctx context.Context, limit time.Duration) error // behind the watchdog
	status func(what string) string
}

// EndSignals are those that end a process in an orderly way. SIGHUP is one, unless
// the process was started by nohup(1): those who know Gunicorn send it for a reload,
// and that it becomes, since the service manager starts a worker again.
func EndSignals() []os.Signal {
	all := []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// Run serves until ctx ends, one of EndSignals arrives, or the worker recycles
// itself, then drains, and gives nil if all of that went as it should. The
// values of ctx reach the requests, its end does not: requests in flight are
// answered. What the handlers need must therefore outlive Run.
func Run(ctx context.Context, options Options) error {
	// Before anything else: a SIGTERM between READY=1 and this line would
	// take requests with it.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, EndSignals()...)
	defer signal.Stop(signals)

	w := newWorker(ctx, options.withDefaults())
	ls, inherited, err := listen(ctx, w.options.Endpoints)
	if err != nil {
		return err
	}
	w.listeners = ls
	if inherited {
		w.gather()
	}
	for _, name := range names(ls) {
		for _, l := range ls[name] {
			w.log.Debug("listening", "endpoint", name, "address", l.Addr().String(), "inherited", inherited)
		}
	}
	return w.run(ctx, signals)
}

// gather lets connections gather in few workers. Without that the worker serves
// as well.
func (w *worker) gather() {
	r, err := openRoom(w.options.RuntimeDir, w.options.Instance, w.load)
	if err == nil && r != nil {
		w.room = r
		err = w.listeners.gather(r)
	}
	if err != nil {
		w.log.Warn("connections spread over all workers", "error", err)
	}
}

// load is the number of connections, and beyond all numbers when something is
// wrong, or scarce, that other workers may have.
func (w *worker) load() int64 {
	if w.sick.Load() || w.trouble.Load() != nil || w.options.Crowded != nil && w.options.Crowded() {
		return math.MaxInt64
	}
	return w.traffic.conns.Load()
}

func newWorker(ctx context.Context, o Options) *worker {
	w := &worker{
		options: o, log: o.Logger, notify: notifier{o.Logger}, started: time.Now(), clock: newClock(),
		fleet: newFleet(o.RuntimeDir), servers: map[string]*http.Server{}, broken: make(chan error, 1),
	}
	w.recycler = newRecycler(o.Recycling, newTurns(o.RuntimeDir, o.Instance), w.started)
	w.traffic = newTraffic(o.ClientLimit, w.recycler.served)
	w.status = w.statusText
	w.asked = func() error { return context.Cause(ctx) }
	for _, e := range o.Endpoints {
		w.servers[e.Name] = w.server(ctx, e.Handler)
	}
	if len(o.Endpoints) > 0 {
		probe := probe{handler: o.Endpoints[0].Handler, path: o.HealthPath, traffic: w.traffic, stuck: o.StuckLimit}
		w.health = probe.check
	}
	return w
}

func (w *worker) server(ctx context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler: w.traffic.wrap(handler),
		// Requests outlive the wish to stop.
		BaseContext:       baseContext(context.WithoutCancel(ctx)),
		ConnState:         w.traffic.connState,
		ReadHeaderTimeout: w.options.HeaderLimit,
		IdleTimeout:       w.options.KeepAlive,
		MaxHeaderBytes:    w.options.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(w.log.Handler(), slog.LevelDebug),
	}
}

// run is everything after the sockets are there.
func (w *worker) run(ctx context.Context, signals <-chan os.Signal) error {
	defer w.listeners.close()
	stopping, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hurry := make(chan struct{})
	var background sync.WaitGroup
	defer background.Wait()
	ended := make(chan struct{})
	defer close(ended)
	background.Go(func() { watchSignals(signals, ended, cancel, hurry) })

	var failure error
	release := func() {}
	if w.awaitReady(stopping) {
		release, failure = w.live(stopping, cancel)
	}
	w.drain(context.Cause(stopping), hurry)
	release()
	return failure
}

// watchSignals turns the first signal into the wish to stop. A second SIGINT,
// from a person at a terminal who does not want to wait, cuts the drain short.
func watchSignals(signals <-chan os.Signal, ended <-chan struct{}, cancel context.CancelCauseFunc, hurry chan<- struct{}) {
	interrupts := 0
	for {
		select {
		case <-ended:
			return
		case s := <-signals:
			cancel(signalled{s})
			if s == syscall.SIGINT {
				if interrupts++; interrupts == 2 {
					close(hurry)
				}
			}
		}
	}
}

// live is the time between READY=1 and the wish to stop. It gives what hands
// back the turn of a recycling worker, and the error of a broken listener.
func (w *worker) live(stopping context.Context, cancel context.CancelCauseFunc) (release func(), failure error) {
	release = func() {}
	w.serve()
	w.fleet.join(stopping)
	_ = failpoint.Hit(failpoint.WorkerReady)
	w.notify.ready(w.status("serving"))
	w.log.Info("worker ready", telemetry.WorkerReady.Attr(), slog.Duration("duration", time.Since(w.started)))

	var parts sync.WaitGroup
	parts.Go(func() { w.reportStatus(stopping) })
	parts.Go(func() { w.watchDatabase(stopping) })
	parts.Go(func() { w.watch(stopping) })
	parts.Go(func() {
		reason, turn := w.recycler.wait(stopping)
		if reason == nil {
			return
		}
		release = turn
		cancel(reason)
	})
	select {
	case <-stopping.Done():
	case failure = <-w.broken:
		cancel(failure)
	}
	parts.Wait() // the turn may just have been taken
	return release, failure
}

// serve accepts connections from now on; only the first call does anything.
func (w *worker) serve() {
	w.serveOnce.Do(func() {
		for name, set := range w.listeners {
			for _, l := range set {
				w.serving.Go(func() {
					err := w.servers[name].Serve(w.secure(name, l))
					if w.traffic.draining.Load() || errors.Is(err, http.ErrServerClosed) {
						return // the listener was closed by us
					}
					select {
					case w.broken <- fmt.Errorf("accept connections for %s: %w", name, err):
					default:
					}
				})
			}
		}
	})
}

// secure ends TLS on a listener of an endpoint that wants it.
func (w *worker) secure(name string, l net.Listener) net.Listener {
	for _, e := range w.options.Endpoints {
		if e.Name == name && e.TLS != nil && l.Addr().Network() != "unix" {
			return tls.NewListener(l, e.TLS)
		}
	}
	return l
}

// watch feeds the watchdog if there is one.
func (w *worker) watch(ctx context.Context) {
	interval, err := watchdogInterval()
	if err != nil {
		w.log.Error("watchdog is off", "error", err)
		return
	}
	if interval == 0 {
		return
	}
	beat(ctx, interval, w.health, func() {
		w.sick.Store(false)
		w.notify.alive()
	}, func(err error) {
		w.sick.Store(true)
		w.log.Error("health check failed, the watchdog gets no beat", telemetry.WorkerStuck.Attr(), slog.Any("error", err))
	})
}

// How often the status line is looked at, and the longest time it stays the
// same; each message wakes the service manager.
const (
	statusPeriod = 5 * time.Second
	statusMaxAge = time.Minute
)

func (w *worker) reportStatus(ctx context.Context) {
	var served uint64
	pending, sent := 0, time.Now()
	var trouble *string
	for first := true; pause(ctx, statusPeriod); first = false {
		if first {
			startup.Release()
		}
		w.clock.look(w.log)
		s, p, t := w.traffic.served.Load(), w.traffic.pending(), w.trouble.Load()
		if s == served && p == pending && t == trouble && time.Since(sent) < statusMaxAge {
			continue
		}
		served, pending, trouble, sent = s, p, t, time.Now()
		w.notify.status(w.status("serving"))
	}
}

func (w *worker) statusText(what string) string {
	if t := w.trouble.Load(); t != nil {
		what += " without a database (" + *t + ")"
	}
	return fmt.Sprintf("%s: %d requests served, %d in flight, up %s", what,
		w.traffic.served.Load(), w.traffic.pending(), time.Since(w.started).Round(time.Second))
}
