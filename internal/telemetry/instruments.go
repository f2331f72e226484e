package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests counts and times the requests of a process.
type Requests struct {
	duration *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
}

// NewRequests makes and registers the metrics of requests.
func NewRequests(r prometheus.Registerer) *Requests {
	m := &Requests{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "middleware_api_request_duration_seconds", Help: "Time to answer, by route pattern and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
		}, []string{"method", "route", "status"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "middleware_api_response_bytes_total", Help: "Bytes of the bodies of answers, by route pattern.",
		}, []string{"route"}),
	}
	r.MustRegister(m.duration, m.bytes)
	return m
}

// Observe counts one answered request. The route is a pattern, not a path, so
// that clients cannot make new time series; requests without a route share one.
func (m *Requests) Observe(method, route string, status int, bytes int64, took time.Duration) {
	if route == "" {
		route, method = "none", knownMethod(method)
	}
	m.duration.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
	m.bytes.WithLabelValues(route).Add(float64(max(0, bytes)))
}

// knownMethod keeps invented methods from becoming time series.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}

// Pushes counts and times what a synchroniser does.
type Pushes struct {
	duration *prometheus.HistogramVec
	pauses   *prometheus.CounterVec
}

// NewPushes makes and registers the metrics of pushes.
func NewPushes(r prometheus.Registerer) *Pushes {
	m := &Pushes{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "middleware_api_push_duration_seconds", Help: "Time of one attempt to push an ARC, by outcome: pushed, unchanged, or the code of the failure.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"outcome"}),
		pauses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "middleware_api_remote_pauses_total", Help: "Incidents that paused the git store, by code.",
		}, []string{"code"}),
	}
	r.MustRegister(m.duration, m.pauses)
	return m
}

// Pushed counts one attempt; code is "" when it succeeded.
func (m *Pushes) Pushed(took time.Duration, changed bool, code string) {
	switch {
	case code != "":
	case changed:
		code = "pushed"
	default:
		code = "unchanged"
	}
	m.duration.WithLabelValues(code).Observe(took.Seconds())
}

// Paused counts one incident.
func (m *Pushes) Paused(code string) { m.pauses.WithLabelValues(code).Inc() }

// Gauges registers numbers that are asked for when somebody looks: requests in
// flight, connections in use, and the like.
func Gauges(r prometheus.Registerer, gauges map[string]Gauge) {
	for name, g := range gauges {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "middleware_api_" + name, Help: g.Help}, g.Value))
	}
}

// Gauge is a number and what it means.
type Gauge struct {
	Help  string
	Value func() float64
}
