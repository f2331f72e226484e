package httpapi

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fairagro/middleware-api/internal/httpapi/auth"
	"github.com/fairagro/middleware-api/internal/ingest"
)

// Defaults of Options.
const (
	DefaultMaxBody    = 32 << 20
	DefaultRetryAfter = 5 * time.Second
	// DefaultTimeout is shorter than the 30 s that clients wait, so that they get an
	// answer they retry instead of a time-out they do not.
	DefaultTimeout = 25 * time.Second
)

// V1Status chooses the status of a successful POST /v1/arcs.
type V1Status string

// The two kinds of clients of v1 differ in nothing the server could see.
const (
	V1Created  V1Status = "created"  // 201 or 200, as the first generation
	V1Accepted V1Status = "accepted" // 202, as the later ones
)

// Options are the settings of the HTTP interface. Zero values mean defaults,
// except for RequireCertificate, for which they mean "no".
type Options struct {
	Version            string   // of the program, shown by /v3/version and the OpenAPI document
	KnownRDIs          []string // in the order in which clients see them
	OID                string   // of the certificate extension with RDIs
	OperatorOID        string   // of the one that makes an operator; "" is none
	RequireCertificate bool
	TrustedProxies     []string  // nil: loopback and unix sockets
	TLS                *auth.TLS // nil: TLS is ended by a proxy

	MaxConcurrent   int           // requests at a time; 0: no limit
	RetryAfter      time.Duration // upper bound of the Retry-After of an overload
	MaxBody         int64         // bytes of a request body
	MaxBodiesMemory int64         // bytes of all bodies, and of documents that are read, in memory; default 8 × MaxBody
	MaxStreams      int           // event streams at a time; default 256
	BodyGrace       time.Duration // within which a body may arrive at any pace; default 20 s
	BodyPause       time.Duration // longest silence within a body; default 30 s
	Timeout         time.Duration // for everything but streams

	V1Status V1Status
	Strict   bool // refuse ARCs with findings that would keep them out of git

	// Console answers requests below /console, of anybody who is authenticated;
	// what a visitor may see there is its own decision. Nil: there is none.
	Console func(http.ResponseWriter, *http.Request, Visitor)

	Log    *slog.Logger
	Access func(context.Context, Record) // called after every answer; may be nil
}

// Record is what is known about an answered request.
type Record struct {
	Time      time.Time
	Duration  time.Duration
	Method    string
	Path      string // with query
	Proto     string
	Route     string // pattern, "" if no route was found
	Status    int
	Paced     bool  // it took as long as the client or git wanted
	Bytes     int64 // of the answer's body
	Peer      string
	Referer   string
	UserAgent string
	RequestID string
	ClientID  string
	RDI       string
	ARCID     string
	HarvestID string
}

// API is the HTTP interface: a handler, its numbers and the switch for draining.
type API struct {
	service  *ingest.Service
	options  Options
	auth     *auth.Authenticator
	log      *slog.Logger
	echo     *echo.Echo
	routes   []route
	fixed    map[operation]bool
	gate     *gate
	bodies   *budget
	converts chan struct{} // holds as many as convert a document
	streams  *budget
	waits    *budget // for git, as a client prefers
	inFlight atomic.Int64
	outage   struct{ told, silent atomic.Int64 } // when the log told of it last, since began, and requests since
	began    time.Time

	draining context.Context // ends when the worker wants to be rid of long answers
	drain    context.CancelFunc
}

// New makes the HTTP interface of a service.
func New(service *ingest.Service, o Options) (*API, error) {
	o = withDefaults(o)
	who, err := auth.New(auth.Options{
		KnownRDIs: o.KnownRDIs, OID: o.OID, OperatorOID: o.OperatorOID, RequireCertificate: o.RequireCertificate,
		TrustedProxies: o.TrustedProxies, TLS: o.TLS, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	a := &API{
		service: service, options: o, auth: who, log: o.Log, began: time.Now(),
		gate:     newGate(o.MaxConcurrent, o.RetryAfter+time.Second, time.Now),
		bodies:   newBudget(o.MaxBodiesMemory, o.MaxBody+1),
		converts: make(chan struct{}, conversions(o)), streams: newBudget(int64(o.MaxStreams), 1), waits: newBudget(waits(o), 1),
	}
	a.draining, a.drain = context.WithCancel(context.Background())
	a.register(routes()...)
	return a, nil
}

func withDefaults(o Options) Options {
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxBodiesMemory <= 0 {
		o.MaxBodiesMemory = 8 * o.MaxBody
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = 256
	}
	if o.RetryAfter < time.Second {
		o.RetryAfter = DefaultRetryAfter
	}
	if o.BodyGrace <= 0 {
		o.BodyGrace = defaultBodyGrace
	}
	if o.BodyPause <= 0 {
		o.BodyPause = defaultBodyPause
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.V1Status == "" {
		o.V1Status = V1Created
	}
	if o.Version == "" {
		o.Version = "0.0.0"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// waits is how many requests may wait for git at a time: half of those that are let
// in, so that there are always places for work.
func waits(o Options) int64 {
	const most = 256
	if o.MaxConcurrent <= 0 {
		return most
	}
	return int64(min(most, max(1, o.MaxConcurrent/2)))
}

// register makes the router and the index of the routes.
func (a *API) register(routes ...route) {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = echo.ExtractIPDirect()
	e.HTTPErrorHandler = func(err error, c echo.Context) { a.answerError(c.Response().Writer.(*writer), err) }
	a.routes, a.fixed = routes, fixed(routes)
	for i := range routes {
		rt := &routes[i]
		e.Add(rt.method, rt.echoPath(), func(c echo.Context) error { return a.serve(rt, c) })
	}
	a.echo = e
}

// ServeHTTP answers one request. What comes before the route's own work are plain
// calls rather than Echo's middleware, which is put together anew for each request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &writer{ResponseWriter: w, request: r, record: Record{
		Time: time.Now(), Method: r.Method, Path: r.URL.RequestURI(), Proto: r.Proto, Peer: auth.PeerName(r),
		Referer: r.Referer(), UserAgent: r.UserAgent(), RequestID: chooseID(r),
	}}
	out.Header().Set("X-Request-Id", out.record.RequestID)
	a.inFlight.Add(1)
	defer a.answered(out)
	if err := a.survive(out); err != nil {
		a.answerError(out, err)
	}
}

// answered is called after every answer.
func (a *API) answered(w *writer) {
	w.finish()
	a.inFlight.Add(-1)
	w.record.Duration = time.Since(w.record.Time)
	if a.options.Access != nil {
		a.options.Access(w.request.Context(), w.record)
	}
}

// answerError answers with an error, unless an answer has begun.
func (a *API) answerError(w *writer, err error) {
	if w.record.Status == 0 {
		a.fail(w, err)
	}
}

// survive turns a panic into the answer for mistakes of ours and a line in the
// log with the stack.
func (a *API) survive(w *writer) (err error) {
	defer func() {
		reason := recover()
		if reason == nil {
			return
		}
		if reason == http.ErrAbortHandler { //nolint:errorlint // the value itself is the agreed signal
			panic(reason)
		}
		a.log.ErrorContext(w.request.Context(), "request handler panicked", "reason", reason,
			"request_id", w.record.RequestID, "stack", string(debug.Stack()))
		err = errPanicked
		if w.record.Status != 0 {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
	}()
	return a.admit(w)
}

var errPanicked = errors.New("request handler panicked")

// admit lets a request in or refuses it before anything else is looked at.
func (a *API) admit(w *writer) error {
	r := w.request
	if exempt(r.Method, r.URL.Path) {
		return a.dispatch(w)
	}
	client := a.admissionKey(r)
	leave := a.gate.enter(client)
	if leave == nil {
		return overloaded()
	}
	p := newPlace(a.gate, client, leave)
	defer p.end()
	w.place = p
	return a.dispatch(w)
}

// jitter draws whole seconds from 1 to the bound.
func (a *API) jitter(bound time.Duration) int {
	//nolint:gosec // G404: it spreads clients, it hides nothing
	return 1 + mathrand.IntN(max(1, int(bound/time.Second)))
}

// Refusals gives how many requests were turned away since the start, and why: no
// place was free (full), the client had its share of them (share), the bodies of
// others took all memory (memory), or there were enough streams (streams).
func (a *API) Refusals() map[string]int64 {
	_, memory := a.bodies.state()
	_, streams := a.streams.state()
	a.gate.mu.Lock()
	defer a.gate.mu.Unlock()
	return map[string]int64{"full": a.gate.full, "share": a.gate.unfair, "memory": memory, "streams": streams}
}

// BodyBytes gives the bytes of request bodies that are in memory.
func (a *API) BodyBytes() int64 {
	used, _ := a.bodies.state()
	return used
}

// Crowded says whether bodies take more than a quarter of their memory, so that new clients
// are better served by another process.
func (a *API) Crowded() bool { return a.BodyBytes() > a.options.MaxBodiesMemory/4 }

// InFlight gives the number of requests being answered, streams included.
func (a *API) InFlight() int { return int(a.inFlight.Load()) }

// Drain ends streams and waits early, so that their connections can be closed.
// Everything else is answered as usual. It may be called more than once.
func (a *API) Drain() { a.drain() }

// chooseID keeps an id that came along, if it is harmless in a log, or draws one.
func chooseID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id != "" && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool {
		return c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}) < 0 {
		return id
	}
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:], mathrand.Uint64())  //nolint:gosec // G404: it has to be unique, not secret
	binary.NativeEndian.PutUint64(b[8:], mathrand.Uint64()) //nolint:gosec // the same
	return hex.EncodeToString(b[:12])
}
