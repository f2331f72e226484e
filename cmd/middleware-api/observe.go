package main

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/exaring/otelpgx"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
	"github.com/fairagro/middleware-api/internal/worker"
)

// flushLimit is the time for sending the last spans.
const flushLimit = 3 * time.Second

// observation is how a process can be looked at: metrics always, traces when
// somebody wants them.
type observation struct {
	metrics  *telemetry.Metrics
	tracing  *telemetry.Tracing
	requests *telemetry.Requests
}

// processName tells the workers of a host apart; alone is the name of a process
// that no service manager has numbered.
func processName(alone string) string {
	if id := os.Getenv("MW_ID"); id != "" {
		return id
	}
	return alone
}

func observe(ctx context.Context, c *config.Config, logging *telemetry.Logging, service, process string) (*observation, error) {
	tracing, err := telemetry.Trace(ctx, telemetry.TraceOptions{
		Endpoint: c.OTel.Endpoint, ConsoleSpans: c.OTel.LogConsoleSpans, Service: service,
		Version: version, SampleRatio: c.OTel.SampleRatio, Logger: logging.Logger,
	})
	if err != nil {
		return nil, err
	}
	otel.SetTracerProvider(tracing.Provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return &observation{metrics: telemetry.NewMetrics(process, version, ""), tracing: tracing}, nil
}

// end sends what is left.
func (o *observation) end() {
	ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
	defer cancel()
	_ = o.tracing.Shutdown(ctx) // what a collector refuses has been logged
}

// database adds spans of statements, if anybody looks at spans.
func (o *observation) database(s store.Options) store.Options {
	if o.tracing.Enabled {
		s.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(o.tracing.Provider))
	}
	return s
}

// handler adds a span for each request, if anybody looks at spans.
func (o *observation) handler(h http.Handler) http.Handler {
	if !o.tracing.Enabled {
		return h
	}
	return otelhttp.NewHandler(h, "request", otelhttp.WithTracerProvider(o.tracing.Provider),
		otelhttp.WithPropagators(propagation.TraceContext{}))
}

// access gives what is called after every answer: it counts, and writes the
// access line.
func (o *observation) access(log *telemetry.AccessLog) func(context.Context, httpapi.Record) {
	o.requests = telemetry.NewRequests(o.metrics.Registerer)
	return func(ctx context.Context, r httpapi.Record) {
		if worker.IsProbe(ctx) {
			return
		}
		if s := trace.SpanFromContext(ctx); s.IsRecording() && r.Route != "" {
			s.SetName(r.Method + " " + r.Route) // known only now
			s.SetAttributes(attribute.String("http.route", r.Route), attribute.String("request_id", r.RequestID))
		}
		route := r.Route
		if r.Paced { // how long it took says nothing about us
			route += " (paced)"
		}
		o.requests.Observe(r.Method, route, r.Status, r.Bytes, r.Duration)
		log.Log(&telemetry.Access{
			Time: r.Time, Remote: r.Peer, Client: r.ClientID, Method: r.Method, URI: r.Path, Proto: r.Proto,
			Status: r.Status, Bytes: r.Bytes, Referer: r.Referer, UserAgent: r.UserAgent,
			Duration: r.Duration, RequestID: r.RequestID,
		})
	}
}

// exchanges sees every exchange with the git server: it is timed, and traced if
// anybody looks at spans.
func (o *observation) exchanges() transportWrap {
	times := telemetry.NewExchanges(o.metrics.Registerer)
	return func(t http.RoundTripper) http.RoundTripper {
		if o.tracing.Enabled {
			// The trace is not told to the git server, which is somebody else's.
			t = otelhttp.NewTransport(t, otelhttp.WithTracerProvider(o.tracing.Provider), otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()))
		}
		return times.Transport(t)
	}
}

// serviceNumbers adds what concerns the whole service, and what is asked for
// when somebody looks.
func (o *observation) serviceNumbers(api *httpapi.API, st *store.Store) {
	o.metrics.Registerer.MustRegister(report.NewCollector(st))
	telemetry.Counts(o.metrics.Registerer, "requests_refused_total",
		"Requests turned away by reason: full (no place), share (the client had its part), memory (of bodies), streams.", "reason", api.Refusals)
	telemetry.Counts(o.metrics.Registerer, "database_waits_total", "Times that no connection to the database was free.", "",
		func() map[string]int64 { return map[string]int64{"": st.PoolStats().EmptyAcquireCount()} })
	telemetry.Gauges(o.metrics.Registerer, map[string]telemetry.Gauge{
		"requests_in_flight":        {Help: "Requests being answered.", Value: func() float64 { return float64(api.InFlight()) }},
		"database_connections":      {Help: "Connections to the database.", Value: func() float64 { return float64(st.PoolStats().TotalConns()) }},
		"request_bodies_bytes":      {Help: "Bytes of request bodies in memory.", Value: func() float64 { return float64(api.BodyBytes()) }},
		"database_connections_max":  {Help: "Connections to the database that the process may have.", Value: func() float64 { return float64(st.PoolStats().MaxConns()) }},
		"database_connections_busy": {Help: "Connections to the database in use.", Value: func() float64 { return float64(st.PoolStats().AcquiredConns()) }},
	})
}
