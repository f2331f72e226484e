package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// probe is the health check of a worker. It looks at what matters: the whole
// chain of handlers, called inside the process (a connection to the own address
// may end at another worker), and the requests in flight.
type probe struct {
	handler http.Handler
	path    string
	traffic *traffic
	stuck   time.Duration
}

// watchdogInterval is the service manager's limit, 0 when it does not watch.
func watchdogInterval() (time.Duration, error) {
	d, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("read WATCHDOG_USEC: %w", err)
	}
	return d, nil
}

// beat feeds the watchdog three times per interval until ctx ends. A failed
// check means no beat; if that lasts, the service manager ends the process by
// SIGABRT, and the stacks of all goroutines go to the journal.
func beat(ctx context.Context, interval time.Duration, check func(context.Context, time.Duration) error, feed func(), complain func(error)) {
	period := interval / 3
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		if err := check(ctx, period); err == nil {
			feed()
		} else if ctx.Err() == nil {
			complain(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check is one health check. A handler that never returns leaves a goroutine
// behind, which then is part of the evidence in the stack dump.
func (p *probe) check(ctx context.Context, limit time.Duration) error {
	if stall := p.traffic.longestStall(time.Now()); stall > p.stuck {
		return fmt.Errorf("a request has made no progress for %s", stall.Round(time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := http.NewRequestWithContext(withProbe(ctx), http.MethodGet, "http://localhost"+p.path, http.NoBody)
	if err != nil {
		return err
	}
	r.RequestURI = p.path
	r.RemoteAddr = "127.0.0.1:0"
	r.Header.Set("User-Agent", "middleware-api-watchdog")
	done := make(chan int, 1)
	go func() {
		answer := &answer{header: http.Header{}}
		defer func() {
			if recover() != nil {
				answer.status = http.StatusInternalServerError
			}
			done <- answer.status
		}()
		p.handler.ServeHTTP(answer, r)
	}()
	select {
	case status := <-done:
		// Overload and an absent database are no reason to kill anybody.
		if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable {
			return fmt.Errorf("%s answered %d", p.path, status)
		}
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%s did not answer within %s", p.path, limit)
		}
		return ctx.Err()
	}
}

type probeKey struct{}

func withProbe(ctx context.Context) context.Context {
	return context.WithValue(ctx, probeKey{}, true)
}

// IsProbe tells whether a request comes from the watchdog inside the process.
// Such requests deserve no line in the access log.
func IsProbe(ctx context.Context) bool {
	probe, _ := ctx.Value(probeKey{}).(bool)
	return probe
}

// answer is a minimal http.ResponseWriter; only the status counts.
type answer struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return len(p), nil
}
