package telemetry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// gatherLimit is the time of one process to tell its numbers: less than the
// usual time-out of a scrape, so that one that hangs does not hide the others.
const gatherLimit = 4 * time.Second

// Fleet gathers the numbers of all processes of this machine from their
// sockets. They are told apart by the label worker that each process puts on
// everything it says; middleware_api_process_up says which of them answered.
type Fleet struct {
	// Sockets are patterns as of filepath.Match; the part between "admin-" and
	// ".sock" of a file's name is the name of the process.
	Sockets []string
	// Own adds the numbers of the process itself; nil for none.
	Own *Metrics
}

// Handler serves the merged numbers. A process that does not answer leaves a
// gap and a zero, and takes no other process' numbers with it.
func (f *Fleet) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		promhttp.HandlerFor(f.gather(r.Context()), promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(w, r)
	})
}

// gather asks all processes at the same time.
func (f *Fleet) gather(ctx context.Context) prometheus.Gatherer {
	ctx, cancel := context.WithTimeout(ctx, gatherLimit)
	defer cancel()
	sockets := f.sockets()
	answers := make([][]*dto.MetricFamily, len(sockets))
	var asked sync.WaitGroup
	for i, path := range sockets {
		asked.Go(func() { answers[i], _ = scrape(ctx, path) }) // what is missing shows as a zero
	}
	asked.Wait()
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "middleware_api_process_up", Help: "Whether a process of this machine tells its numbers.",
	}, []string{"worker"})
	all := prometheus.Gatherers{}
	for i, path := range sockets {
		value := 0.0
		if answers[i] != nil {
			value = 1
			all = append(all, told(answers[i]))
		}
		up.WithLabelValues(processOf(path)).Set(value)
	}
	if f.Own != nil {
		all = append(all, f.Own.gatherer)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(up)
	return append(all, registry)
}

func (f *Fleet) sockets() []string {
	var all []string
	for _, pattern := range f.Sockets {
		found, _ := filepath.Glob(pattern) // a bad pattern finds nothing
		all = append(all, found...)
	}
	return all
}

func processOf(socket string) string {
	name := strings.TrimSuffix(filepath.Base(socket), ".sock")
	return strings.TrimPrefix(name, "admin-")
}

// told is what a process has said.
func told(families []*dto.MetricFamily) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
}

// scrape reads the numbers of one process.
func scrape(ctx context.Context, socket string) ([]*dto.MetricFamily, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://process/metrics", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", socket, err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", socket, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape %s: %s", socket, response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", socket, err)
	}
	families := make([]*dto.MetricFamily, 0, len(byName))
	for _, family := range byName {
		families = append(families, family)
	}
	return families, nil
}
