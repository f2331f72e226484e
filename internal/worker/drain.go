package worker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// How often a draining worker looks whether its clients are gone, and how
// often it asks the service manager for patience.
const (
	drainPeriod = 10 * time.Millisecond
	drainReport = time.Second
	drainExtend = 5 * time.Second
)

// drain ends the worker without failing a request: new connections go to the
// other workers, every answer closes its connection, and idle connections stay
// open for as long as a client was promised that it may use them. What is left
// at the limit, or when hurry is closed, is cut.
//
// http.Server.Shutdown alone would not do: it closes idle connections at once
// and drops a request that was read but not yet dispatched.
func (w *worker) drain(reason error, hurry <-chan struct{}) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), w.options.DrainLimit)
	defer cancel()
	w.traffic.draining.Store(true) // before anybody is told
	_ = failpoint.Hit(failpoint.WorkerDrain)
	w.logStopping(reason)
	w.notify.stopping(w.status("draining"))
	w.fleet.leave()
	w.room.leave() // others take connections from now on
	w.listeners.close()
	// A connection that was accepted but not counted yet is counted when
	// Serve has returned.
	w.serving.Wait()
	w.awaitSilence(ctx, hurry)
	cut := w.traffic.pending()
	if ctx.Err() == nil && w.traffic.conns.Load() == 0 {
		for _, s := range w.servers {
			_ = s.Shutdown(ctx)
		}
	} else {
		for _, s := range w.servers {
			_ = s.Close()
		}
	}
	if cut > 0 {
		w.log.Warn("worker stopped with requests in flight", "requests", cut, "duration", time.Since(began))
		return
	}
	w.log.Info("worker stopped", "served", w.traffic.served.Load(), "duration", time.Since(began))
}

// recycled is the wish of a worker itself to end.
type recycled struct {
	kind   StopReason
	reason string
}

// Error implements error.
func (r *recycled) Error() string { return "recycling: " + r.reason }

// signalled is the wish of somebody else that a process ends.
type signalled struct{ signal os.Signal }

// Error implements error.
func (s signalled) Error() string { return s.signal.String() + " received" }

func (w *worker) logStopping(reason error) {
	event := telemetry.WorkerDraining
	if _, ok := errors.AsType[*recycled](reason); ok {
		event = telemetry.WorkerRecycled
	}
	if err := countStop(w.options.RuntimeDir, w.reasonOf(reason)); err != nil {
		w.log.Warn("stop not counted", "error", err)
	}
	w.log.Info("worker stopping", event.Attr(), slog.Any("reason", reason))
}

func (w *worker) awaitSilence(ctx context.Context, hurry <-chan struct{}) {
	if w.options.Draining != nil {
		w.options.Draining()
	}
	look := time.NewTicker(drainPeriod)
	defer look.Stop()
	report := time.NewTicker(drainReport)
	defer report.Stop()
	for w.traffic.conns.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-hurry:
			return
		case <-report.C:
			w.notify.extend(drainExtend)
			w.notify.status(w.status("draining"))
		case <-look.C:
		}
	}
}

func baseContext(ctx context.Context) func(net.Listener) context.Context {
	return func(net.Listener) context.Context { return ctx }
}
