package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Counts registers counters that somebody else keeps, told apart by one label;
// with the label "" there is one counter.
func Counts(r prometheus.Registerer, name, help, label string, counts func() map[string]int64) {
	var labels []string
	if label != "" {
		labels = []string{label}
	}
	r.MustRegister(&asked{desc: prometheus.NewDesc("middleware_api_"+name, help, labels, nil), ask: func(desc *prometheus.Desc, ch chan<- prometheus.Metric) {
		for value, n := range counts() {
			var values []string
			if label != "" {
				values = []string{value}
			}
			ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), values...)
		}
	}})
}

// CertificateEnd says when a certificate ends.
type CertificateEnd struct {
	Subject, File string
	Days          float64
}

// CertificateDays registers the days that are left of certificates, read anew
// whenever somebody looks.
func CertificateDays(r prometheus.Registerer, read func() []CertificateEnd) {
	desc := prometheus.NewDesc("middleware_api_certificate_days", "Days until a certificate of the service ends.", []string{"subject", "file"}, nil)
	r.MustRegister(&asked{desc: desc, ask: func(desc *prometheus.Desc, ch chan<- prometheus.Metric) {
		seen := map[[2]string]bool{}
		for _, c := range read() {
			key := [2]string{c.Subject, c.File}
			if !seen[key] { // two of a name in one file would be one metric twice
				seen[key] = true
				ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, c.Days, c.Subject, c.File)
			}
		}
	}})
}

// asked is a metric that is computed when somebody looks.
type asked struct {
	desc *prometheus.Desc
	ask  func(*prometheus.Desc, chan<- prometheus.Metric)
}

// Describe names the metric.
func (a *asked) Describe(ch chan<- *prometheus.Desc) { ch <- a.desc }

// Collect computes it.
func (a *asked) Collect(ch chan<- prometheus.Metric) { a.ask(a.desc, ch) }

// Exchanges times the exchanges with the git server, and notes what is left of
// its budget for requests.
type Exchanges struct {
	duration *prometheus.HistogramVec
	left     prometheus.Gauge
}

// NewExchanges makes and registers the metrics of exchanges.
func NewExchanges(r prometheus.Registerer) *Exchanges {
	m := &Exchanges{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "middleware_api_remote_duration_seconds", Help: "Time until the git server began to answer, by method and status (none: no answer).",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "status"}),
		left: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "middleware_api_remote_budget_requests", Help: "Requests that the git server still allows in its present window, as it said last; -1 as long as it says nothing.",
		}),
	}
	m.left.Set(-1)
	r.MustRegister(m.duration, m.left)
	return m
}

// Transport measures what goes through another one.
func (m *Exchanges) Transport(next http.RoundTripper) http.RoundTripper {
	return &timedTransport{Exchanges: m, next: next}
}

type timedTransport struct {
	*Exchanges
	next http.RoundTripper
}

// RoundTrip sends one request.
func (t *timedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	begin := time.Now()
	response, err := t.next.RoundTrip(r)
	status := "none"
	if err == nil {
		status = strconv.Itoa(response.StatusCode)
		if n, err := strconv.ParseFloat(response.Header.Get("RateLimit-Remaining"), 64); err == nil {
			t.left.Set(n)
		}
	}
	t.duration.WithLabelValues(knownMethod(r.Method), status).Observe(time.Since(begin).Seconds())
	return response, err //nolint:wrapcheck // a transport passes errors on as they are
}

// CloseIdleConnections does so in what is measured.
func (t *timedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
