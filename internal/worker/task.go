package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"
)

// TaskOptions describe a process that works without being asked over HTTP,
// such as the synchroniser. Zero values stand for the defaults named here.
type TaskOptions struct {
	// Run does the work. It returns soon after its context has ended, having
	// handed back what it could not finish.
	Run func(context.Context) error
	// Ready asks the database once, as in Options.
	Ready func(context.Context) error
	// Alive is the health check behind the watchdog. Without one a beat only
	// proves that the process is scheduled.
	Alive func(context.Context) error
	// Status is shown by systemctl status; "" shows the age.
	Status func() string
	// DrainLimit bounds the time between the wish to stop and the exit.
	// Default 30 s; TimeoutStopSec= of the unit must exceed it.
	DrainLimit time.Duration
	// MaxAge and MaxMemory end the process for a fresh one, as in Recycling.
	// Nobody else has to wait for it, so no turns are taken.
	MaxAge    time.Duration
	MaxMemory uint64
	Logger    *slog.Logger
}

// ErrUnfinished is given by RunTask when the work did not end at the limit.
var ErrUnfinished = errors.New("the work did not end in time")

// RunTask gives the work the life of a worker: it begins when the database has
// answered, ends on one of EndSignals, the end of ctx or because of age, and the
// service manager is told all the way. The error is that of the work.
func RunTask(ctx context.Context, o TaskOptions) error {
	signals := make(chan os.Signal, 4) // first, see Run
	signal.Notify(signals, EndSignals()...)
	defer signal.Stop(signals)

	w := newWorker(ctx, Options{
		Ready: o.Ready, DrainLimit: o.DrainLimit, Logger: o.Logger,
		Recycling: Recycling{MaxAge: o.MaxAge, AgeJitter: 0.1, MaxMemory: o.MaxMemory},
	}.withDefaults())
	w.fleet, w.recycler.turns = &fleet{}, turns{}
	w.status = func(what string) string {
		if t := w.trouble.Load(); t != nil {
			what += " without a database (" + *t + ")"
		}
		text := fmt.Sprintf("%s: up %s", what, time.Since(w.started).Round(time.Second))
		if o.Status != nil && o.Status() != "" {
			text += "; " + o.Status()
		}
		return text
	}
	w.health = func(ctx context.Context, limit time.Duration) error {
		if o.Alive == nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return o.Alive(ctx)
	}
	return w.runTask(ctx, signals, o.Run)
}

func (w *worker) runTask(ctx context.Context, signals <-chan os.Signal, work func(context.Context) error) error {
	stopping, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hurry, ended := make(chan struct{}), make(chan struct{})
	defer close(ended)
	go watchSignals(signals, ended, cancel, hurry)

	if !w.awaitReady(stopping) {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		err := work(stopping)
		if err == nil && stopping.Err() == nil {
			err = errors.New("the work ended by itself")
		}
		done <- err
		cancel(err)
	}()
	_, _ = w.live(stopping, cancel)
	return w.awaitWork(context.Cause(stopping), done, hurry)
}

// awaitWork gives the work its time to come to an end.
func (w *worker) awaitWork(reason error, done <-chan error, hurry <-chan struct{}) error {
	w.logStopping(reason)
	w.notify.stopping(w.status("stopping"))
	limit := time.NewTimer(w.options.DrainLimit)
	defer limit.Stop()
	report := time.NewTicker(drainReport)
	defer report.Stop()
	for {
		select {
		case err := <-done:
			if errors.Is(err, context.Canceled) {
				err = nil // that is how it was told to end
			}
			w.log.Info("worker stopped", "duration", time.Since(w.started))
			return err
		case <-limit.C:
			return ErrUnfinished
		case <-hurry:
			return ErrUnfinished
		case <-report.C:
			w.notify.extend(drainExtend)
		}
	}
}
