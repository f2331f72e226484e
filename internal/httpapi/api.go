package httpapi

import (
	"context"
	"crypto/rand"
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
	MaxBodiesMemory int64         // bytes of all bodies in memory; default 8 × MaxBody
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

// API is the HTTP interface: a handler, its statistics and the switch for
// draining.
type API struct {
	service *ingest.Service
	options Options
	auth    *auth.Authenticator
	log     *slog.Logger
	echo    *echo.Echo
	routes  []route
	gate    *gate
	bodies  budget
	streams chan struct{}
	unheard atomic.Int64 // streams that were refused
	stats   Stats
	outage  struct{ told, silent atomic.Int64 } // when the log told of it last, since began, and requests since
	began   time.Time

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
		service: service, options: o, auth: who, log: o.Log, routes: routes(), began: time.Now(),
		gate:    newGate(o.MaxConcurrent, o.RetryAfter+time.Second, time.Now),
		streams: make(chan struct{}, o.MaxStreams),
	}
	a.draining, a.drain = context.WithCancel(context.Background())
	a.bodies.limit = o.MaxBodiesMemory
	a.echo = a.newEcho()
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

func (a *API) newEcho() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = echo.ExtractIPDirect()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		w := c.Response().Writer.(*writer)
		if w.record.Status == 0 {
			a.fail(w, c.Request(), err)
		}
	}
	e.Pre(a.survive, a.admit, a.routing)
	for i := range a.routes {
		rt := &a.routes[i]
		e.Add(rt.method, rt.echoPath(), func(c echo.Context) error { return a.serve(rt, c) })
	}
	return e
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := chooseID(r)
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	out := &writer{ResponseWriter: w, request: r, record: Record{
		Time: start, Method: r.Method, Path: r.URL.RequestURI(), Proto: r.Proto, Peer: auth.PeerName(r),
		Referer: r.Referer(), UserAgent: r.UserAgent(), RequestID: id,
	}}
	out.Header().Set("X-Request-Id", id)
	out.ticket = a.stats.begin(start)
	defer func() {
		out.finish()
		out.ticket.end()
		out.record.Duration = time.Since(start)
		if a.options.Access != nil {
			a.options.Access(r.Context(), out.record)
		}
	}()
	a.echo.ServeHTTP(out, r)
}

// survive turns a panic into the answer for mistakes of ours and a line in the
// log with the stack.
func (a *API) survive(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if reason == http.ErrAbortHandler { //nolint:errorlint // the value itself is the agreed signal
				panic(reason)
			}
			a.log.ErrorContext(c.Request().Context(), "request handler panicked", "reason", reason,
				"request_id", requestID(c.Request().Context()), "stack", string(debug.Stack()))
			err = errPanicked
			if c.Response().Writer.(*writer).record.Status != 0 {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
		}()
		return next(c)
	}
}

var errPanicked = errors.New("request handler panicked")

// admit lets a request in or refuses it before anything else is looked at.
func (a *API) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if exempt(r.Method, r.URL.Path) {
			return next(c)
		}
		client := a.admissionKey(r)
		leave := a.gate.enter(client)
		if leave == nil {
			return overloaded()
		}
		p := newPlace(a.gate, client, leave)
		defer p.end()
		c.Response().Writer.(*writer).place = p
		return next(c)
	}
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
	a.gate.mu.Lock()
	defer a.gate.mu.Unlock()
	return map[string]int64{
		"full": a.gate.full, "share": a.gate.unfair, "memory": a.bodies.refused.Load(), "streams": a.unheard.Load(),
	}
}

// BodyBytes gives the bytes of request bodies that are in memory.
func (a *API) BodyBytes() int64 { return a.bodies.used.Load() }

// Stats gives the request counters.
func (a *API) Stats() *Stats { return &a.stats }

// Drain ends streams and waits early, so that their connections can be closed.
// Everything else is answered as usual. It may be called more than once.
func (a *API) Drain() { a.drain() }

type requestIDKey struct{}

// requestID gives the id under which log lines of a request are found.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// chooseID keeps an id that came along, if it is harmless in a log, or draws one.
func chooseID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id != "" && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool {
		return c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}) < 0 {
		return id
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
