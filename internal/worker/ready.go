package worker

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// How often the database is asked while it does not answer, how long one
// question may take, and the time asked for with each one. The first is also
// how long a request may be refused although the database is back.
const (
	readyPeriod  = 500 * time.Millisecond
	readyLimit   = 5 * time.Second
	readyExtends = 15 * time.Second
)

// awaitReady asks until the database has answered once; false means ctx ended
// before. After the first failure it lets the worker answer requests
// nevertheless (they get 503 and know when to come back, which is better than
// silence), unless another worker of the host is ready: that one serves them.
func (w *worker) awaitReady(ctx context.Context) bool {
	if w.options.Ready == nil {
		return ctx.Err() == nil
	}
	for failures := 0; ; failures++ {
		err := w.askReady(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			if failures > 0 {
				w.log.Info("database answers", telemetry.DatabaseRecovered.Attr(), slog.Int("attempt", failures+1))
			}
			return true
		}
		if failures == 0 {
			w.log.Error("database does not answer; the worker goes on asking and is not ready",
				telemetry.DatabaseUnavailable.Attr(), slog.Any("error", err), slog.String("remedy", remedy(err)))
		}
		w.notify.status("waiting for the database: " + explain(err))
		w.notify.extend(readyExtends)
		if !w.fleet.othersReady() {
			w.serve()
		}
		if !pause(ctx, readyPeriod) {
			return false
		}
	}
}

// How often the database is asked while the worker serves, and how soon again
// when it has not answered: a restart of PostgreSQL is not worth a word.
const (
	databasePeriod = 5 * time.Second
	databaseAgain  = time.Second
)

// watchDatabase tells, once for each outage and by the status line, what is wrong
// with the database of a worker that serves. Its requests find out by
// themselves and are answered with 503.
func (w *worker) watchDatabase(ctx context.Context) {
	if w.options.Ready == nil {
		return
	}
	next, failures := databasePeriod, 0
	for pause(ctx, next) {
		err := w.askReady(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && failures > 1:
			w.trouble.Store(nil)
			w.log.Info("database answers", telemetry.DatabaseRecovered.Attr(), slog.Int("attempt", failures+1))
			fallthrough
		case err == nil:
			next, failures = databasePeriod, 0
			continue
		}
		next = databaseAgain
		if failures++; failures == 2 {
			text := explain(err)
			w.trouble.Store(&text)
			w.log.Error("database does not answer; requests are refused until it does",
				telemetry.DatabaseUnavailable.Attr(), slog.Any("error", err), slog.String("remedy", remedy(err)))
		}
	}
}

// remedy is what an operator can do about an error, if anybody knows.
func remedy(err error) string {
	if f, ok := fault.Of(err); ok {
		return f.Remedy
	}
	return ""
}

// explain words an error and its remedy in one line.
func explain(err error) string {
	text := err.Error()
	if r := remedy(err); r != "" {
		text += "; " + r
	}
	return text
}

func (w *worker) askReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	return w.options.Ready(ctx)
}

// fleet is what the workers of a host know of each other: each ready one
// holds a shared lock on a file, which no kind of death can leave behind.
type fleet struct {
	path string // empty when there are no others
	file *os.File
}

func newFleet(dir string) *fleet {
	if dir == "" {
		return &fleet{}
	}
	return &fleet{path: filepath.Join(dir, "ready")}
}

func (f *fleet) othersReady() bool {
	if f.path == "" {
		return false
	}
	file, err := lockFile(f.path, syscall.LOCK_EX)
	if file != nil {
		unlock(file)
	}
	return file == nil && err == nil
}

// join says that this worker is ready. A moment in which another worker asks
// may be in the way, hence a few attempts; failing is harmless.
func (f *fleet) join(ctx context.Context) {
	for range 5 {
		if f.path == "" || f.file != nil {
			return
		}
		f.file, _ = lockFile(f.path, syscall.LOCK_SH)
		if f.file == nil && !pause(ctx, time.Millisecond) {
			return
		}
	}
}

func (f *fleet) leave() {
	if f.file != nil {
		unlock(f.file)
		f.file = nil
	}
}
