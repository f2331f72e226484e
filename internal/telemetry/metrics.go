package telemetry

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the numbers of one process. Every process has its own, told
// apart by the label worker.
type Metrics struct {
	// Registerer takes further metrics; it adds the label worker.
	Registerer prometheus.Registerer
	gatherer   prometheus.Gatherer
}

// NewMetrics makes a registry with what every process tells: the Go runtime,
// memory, descriptors and CPU of the process, and which build it is.
func NewMetrics(worker, version, commit string) *Metrics {
	registry := prometheus.NewRegistry()
	m := &Metrics{
		Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"worker": worker}, registry),
		gatherer:   registry,
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "middleware_api_build_info", Help: "Always 1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "go": runtime.Version()},
	})
	build.Set(1)
	start := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "middleware_api_start_time_seconds", Help: "When the process started, in seconds since 1970; its changes count restarts and recycling.",
	})
	start.SetToCurrentTime()
	m.Registerer.MustRegister(build, start, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the numbers in the formats that Prometheus reads.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.gatherer, promhttp.HandlerOpts{})
}
