package worker

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// traffic counts the connections and requests of a worker and makes answers
// close their connection while the worker drains.
type traffic struct {
	draining atomic.Bool
	served   atomic.Uint64
	conns    atomic.Int64
	patience time.Duration // with a client that neither sends nor takes a byte
	began    time.Time     // progress is counted from here, whatever happens to the clock

	// onServed is called with the number of requests served so far.
	onServed func(uint64)

	mu       sync.Mutex
	inFlight map[*exchange]struct{}
}

func newTraffic(patience time.Duration, onServed func(uint64)) *traffic {
	return &traffic{patience: patience, began: time.Now(), onServed: onServed, inFlight: map[*exchange]struct{}{}}
}

// deadline gives the moment patience ends, and whether the one that is set is
// so much older that setting it again is worth a call.
func (t *traffic) deadline(set time.Time) (until time.Time, stale bool) {
	until = time.Now().Add(t.patience)
	return until, until.Sub(set) > t.patience/16
}

// connState is the ConnState hook of the servers.
func (t *traffic) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		t.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		t.conns.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// wrap puts the bookkeeping around a handler.
func (t *traffic) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, traffic: t}
		x.touch()
		if r.Body != nil && r.Body != http.NoBody {
			x.body = r.Body
			r.Body = requestBody{x}
		}
		t.begin(x)
		// Also when the handler panics, which ends the connection.
		defer t.end(x)
		next.ServeHTTP(x, r)
		x.finish()
	})
}

func (t *traffic) begin(x *exchange) {
	t.mu.Lock()
	t.inFlight[x] = struct{}{}
	t.mu.Unlock()
}

func (t *traffic) end(x *exchange) {
	t.mu.Lock()
	delete(t.inFlight, x)
	t.mu.Unlock()
	t.onServed(t.served.Add(1))
}

func (t *traffic) pending() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.inFlight)
}

// longestStall is the longest time for which a request in flight has neither
// read nor written a byte.
func (t *traffic) longestStall(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	var longest time.Duration
	for x := range t.inFlight {
		longest = max(longest, now.Sub(t.began)-time.Duration(x.progress.Load()))
	}
	return longest
}

// exchange is one request in flight: it stands between the handler and the
// server in both directions. Besides keeping the books it bounds the patience
// with a client that stops sending or taking bytes, so that a request which
// stalls for longer has to be our own fault.
type exchange struct {
	http.ResponseWriter

	traffic     *traffic
	body        io.ReadCloser
	progress    atomic.Int64 // time.Duration since traffic.began of the last byte read or written
	wroteHeader bool

	readUntil, writeUntil time.Time // deadlines that are set, to set them rarely

	// A handler that sets read deadlines itself knows better how long to wait.
	ownReads atomic.Bool
}

func (x *exchange) touch() { x.progress.Store(int64(time.Since(x.traffic.began))) }

// sayClose is asked for as late as possible, since a drain may begin while a
// request is handled. SetKeepAlivesEnabled(false) would not do: it closes idle
// connections at once, under clients that are about to use them.
func (x *exchange) sayClose() {
	if x.traffic.draining.Load() {
		x.Header().Set("Connection", "close")
	}
}

// finish is called after the handler. The server flushes what is left after
// that, and the deadline of an earlier write must not hit it.
func (x *exchange) finish() {
	if !x.wroteHeader {
		x.sayClose()
	}
	x.expectWrite()
}

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if status >= http.StatusOK && !x.wroteHeader {
		x.wroteHeader = true
		x.sayClose()
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	if !x.wroteHeader {
		x.WriteHeader(http.StatusOK)
	}
	x.expectWrite()
	n, err := x.ResponseWriter.Write(p)
	x.touch()
	return n, err
}

// Flush implements http.Flusher, which some handlers ask for by type.
func (x *exchange) Flush() {
	if !x.wroteHeader {
		x.WriteHeader(http.StatusOK)
	}
	x.expectWrite()
	_ = http.NewResponseController(x.ResponseWriter).Flush()
	x.touch()
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// SetReadDeadline serves http.ResponseController.
func (x *exchange) SetReadDeadline(t time.Time) error {
	x.ownReads.Store(true)
	return http.NewResponseController(x.ResponseWriter).SetReadDeadline(t)
}

func (x *exchange) expectRead() {
	if x.ownReads.Load() {
		return
	}
	if until, stale := x.traffic.deadline(x.readUntil); stale {
		x.readUntil = until
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(until)
	}
}

// readDone lifts the deadline that a question for more has set after the body was
// complete: from then on the server itself reads, to notice a client that goes away. After an error it
// stays: the server would else wait for the rest of the body before it answers.
func (x *exchange) readDone() {
	if !x.readUntil.IsZero() {
		x.readUntil = time.Time{}
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Time{})
	}
}

func (x *exchange) expectWrite() {
	if until, stale := x.traffic.deadline(x.writeUntil); stale {
		x.writeUntil = until
		_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(until)
	}
}

// requestBody bounds the wait for each piece of a request's body.
type requestBody struct{ x *exchange }

// Read implements io.Reader.
func (b requestBody) Read(p []byte) (int, error) {
	b.x.expectRead()
	n, err := b.x.body.Read(p)
	b.x.touch()
	if errors.Is(err, io.EOF) {
		b.x.readDone()
	}
	return n, err
}

// Close implements io.Closer.
func (b requestBody) Close() error { return b.x.body.Close() }
