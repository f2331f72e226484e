package report

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairagro/middleware-api/internal/store"
)

// BacklogFacts is what the metrics of the whole service are made of; a
// *store.Store has it.
type BacklogFacts interface {
	Backlog(ctx context.Context, rdis ...string) ([]store.Backlog, error)
	Remotes(ctx context.Context) ([]store.Remote, error)
	Synchronisers(ctx context.Context) ([]store.Synchroniser, error)
}

const (
	scrapeLimit = 5 * time.Second  // below the usual time-out of a scrape
	scrapeAge   = 10 * time.Second // every worker is asked for the same numbers
)

// Collector gives Prometheus the numbers that concern the whole service: what
// is not in git yet, and whether the git store is paused. They are the same from
// every process, so dashboards take their maximum. A database that does not
// answer shows as middleware_api_database_up 0.
type Collector struct {
	facts BacklogFacts

	mu      sync.Mutex
	at      time.Time
	metrics []prometheus.Metric
}

// NewCollector makes a collector; register it once per process.
func NewCollector(facts BacklogFacts) *Collector { return &Collector{facts: facts} }

var (
	descUp = prometheus.NewDesc("middleware_api_database_up", "Whether the database answers.", nil, nil)

	descBacklog = prometheus.NewDesc("middleware_api_backlog_arcs",
		"ARCs whose newest version is not in git, by RDI and state (due, failing, parked).", []string{"rdi", "state"}, nil)

	descOldest = prometheus.NewDesc("middleware_api_backlog_oldest_seconds",
		"Age of the oldest change that is not in git, by RDI and state.", []string{"rdi", "state"}, nil)

	descPaused = prometheus.NewDesc("middleware_api_remote_paused",
		"Whether the git store is paused, and why.", []string{"remote", "code"}, nil)

	descToken = prometheus.NewDesc("middleware_api_token_days",
		"Days until the access token of the synchroniser on a host ends; not above 0 once the git server refuses it.", []string{"remote", "host"}, nil)
)

// Describe names the metrics.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descBacklog, descOldest, descPaused, descToken} {
		ch <- d
	}
}

// Collect gives the numbers, at most some seconds old.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.metrics == nil || time.Since(c.at) > scrapeAge {
		c.metrics, c.at = c.read(), time.Now()
	}
	for _, m := range c.metrics {
		ch <- m
	}
}

func (c *Collector) read() []prometheus.Metric {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	backlog, err := c.facts.Backlog(ctx)
	if err != nil {
		return []prometheus.Metric{gauge(descUp, 0)}
	}
	remotes, err := c.facts.Remotes(ctx)
	if err != nil {
		return []prometheus.Metric{gauge(descUp, 0)}
	}
	synchronisers, err := c.facts.Synchronisers(ctx)
	if err != nil {
		return []prometheus.Metric{gauge(descUp, 0)}
	}
	list := []prometheus.Metric{gauge(descUp, 1)}
	now := time.Now()
	for _, b := range backlog {
		list = append(list, gauge(descBacklog, float64(b.Count), b.RDI, string(b.State)),
			gauge(descOldest, now.Sub(b.Oldest).Seconds(), b.RDI, string(b.State)))
	}
	for _, r := range remotes {
		paused := 0.0
		if r.Paused {
			paused = 1
		}
		list = append(list, gauge(descPaused, paused, r.Name, string(r.Code)))
	}
	return append(list, tokenDays(synchronisers, now)...)
}

// tokenDays gives the days left of each host's token: the fewest, where a host
// has several synchronisers.
func tokenDays(synchronisers []store.Synchroniser, now time.Time) []prometheus.Metric {
	left := map[[2]string]float64{}
	for _, q := range synchronisers {
		if !q.Alive || q.Token.Ends.IsZero() && !q.Token.Refused {
			continue
		}
		days := 0.0
		if !q.Token.Ends.IsZero() {
			days = q.Token.Ends.Sub(now).Hours() / 24
		}
		if q.Token.Refused {
			days = min(days, 0)
		}
		key := [2]string{q.Remote, q.Host}
		if before, ok := left[key]; !ok || days < before {
			left[key] = days
		}
	}
	var list []prometheus.Metric
	for key, days := range left {
		list = append(list, gauge(descToken, days, key[0], key[1]))
	}
	return list
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}
