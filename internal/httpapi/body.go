package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Time limits for bodies. Within the grace any pace will do; afterwards the
// average must reach slowRate.
const (
	defaultBodyGrace = 20 * time.Second
	defaultBodyPause = 30 * time.Second
	slowRate         = 1 << 10 // bytes per second; a modem does better
)

// firstChunk is the first buffer for a body, whatever length it claims: memory
// grows only with what arrives.
const firstChunk = 4 << 10

// growth is how many times larger the next buffer for a body is: a length that was
// claimed saves reads and copies, yet takes no more than eight times what has arrived.
func growth(r *http.Request) int64 {
	if r.ContentLength > 0 {
		return 8
	}
	return 2
}

// pacedReader reads a body from a connection and fails when it arrives too slowly.
type pacedReader struct {
	body    io.Reader
	control *http.ResponseController
	start   time.Time
	total   int64
	rate    int64         // least average rate in bytes per second; 0: only pauses count
	grace   time.Duration // for which the rate does not matter
	pause   time.Duration
	guard   func(time.Time) // sets the deadline instead of control; may be nil
	place   *place          // not held while the client is waited for
}

// paced makes a reader of the body that gives up on clients that are too slow.
func (a *API) paced(w *writer, r *http.Request, rate int64) *pacedReader {
	return &pacedReader{
		place: w.place, body: r.Body, control: http.NewResponseController(w), start: time.Now(),
		rate: rate, grace: a.options.BodyGrace, pause: a.options.BodyPause,
	}
}

func (p *pacedReader) Read(b []byte) (int, error) {
	now := time.Now()
	deadline := now.Add(p.pause)
	if p.rate > 0 {
		earned := time.Duration(p.total) * time.Second / time.Duration(p.rate)
		latest := p.start.Add(p.grace + earned)
		if now.After(latest) {
			return 0, tooSlow()
		}
		if latest.Before(deadline) {
			deadline = latest
		}
	}
	if p.guard != nil {
		p.guard(deadline)
	} else {
		_ = p.control.SetReadDeadline(deadline)
	}
	var n int
	var err error
	p.place.wait(func() { n, err = p.body.Read(b) })
	p.total += int64(n)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return n, tooSlow()
	}
	return n, err
}

// done lifts the deadline, which would otherwise end the wait for the next request.
func (p *pacedReader) done() { _ = p.control.SetReadDeadline(time.Time{}) }

// giveUp makes the rest of the body unreadable: net/http would wait for it before
// it sends the answer.
func (p *pacedReader) giveUp() { _ = p.control.SetReadDeadline(time.Unix(1, 0)) }

// readBody reads the whole body. Release gives its memory back to the budget and
// must be called once, also after an error. A body that is refused keeps its deadline:
// net/http reads on for a while after the answer, whatever the client does.
func (a *API) readBody(w *writer, r *http.Request) (body []byte, release func(), err error) {
	limit := a.options.MaxBody
	if r.ContentLength > limit {
		return nil, func() {}, tooLarge()
	}
	if r.Body == nil || r.ContentLength == 0 {
		return nil, func() {}, nil
	}
	taken, memory := 0, a.bodies.of(a.admissionKey(r))
	release = func() { memory.give(taken) }
	reader := a.paced(w, r, slowRate)
	size := firstChunk
	if r.ContentLength > 0 {
		size = min(size, int(r.ContentLength)+1) // one more, so that the end is seen without growing
	}
	for {
		if !memory.take(size-taken, size > firstChunk) {
			return nil, release, overloaded()
		}
		taken = size
		grown := make([]byte, len(body), size)
		copy(grown, body)
		body = grown
		for len(body) < cap(body) {
			n, err := reader.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
			if int64(len(body)) > limit {
				return nil, release, tooLarge()
			}
			if errors.Is(err, io.EOF) {
				reader.done()
				w.bodyDone = true
				if w.place.crowded() {
					return nil, release, overloaded()
				}
				return body, release, nil
			}
			if err != nil {
				reader.giveUp()
				w.bodyDone = true
				return nil, release, bodyError(err)
			}
		}
		size = int(min(int64(size)*growth(r), limit+1))
		if r.ContentLength > 0 {
			size = min(size, int(r.ContentLength)+1)
		}
	}
}

// bodyError keeps our own refusals; anything else is a connection that broke
// or lied about the length.
func bodyError(err error) error {
	if _, ok := fault.Of(err); ok {
		return err
	}
	return &fault.Error{Code: codeBroken, Text: "The request body ended early", Owner: fault.OwnerRDI, Cause: err}
}

func tooSlow() error { return refuse(codeTooSlow, "Request body arrived too slowly") }

func tooLarge() error {
	return &fault.Error{
		Code: codeTooLarge, Owner: fault.OwnerRDI, Text: "Request body too large",
		Remedy: "send fewer ARCs per request; the operator can raise the limit",
	}
}
