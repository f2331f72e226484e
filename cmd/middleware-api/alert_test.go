package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// everyMetric gives the names of all metrics of a worker and a synchroniser, as
// they are after some work.
func everyMetric(t *testing.T) map[string]bool {
	t.Helper()
	p := newPortal(t)
	p.submit("edal", "A")
	if err := p.store.Beat(t.Context(), store.Synchroniser{Holder: "h/1", Host: "h", Remote: "git", Token: store.Token{Ends: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	if err := p.store.PauseRemote(t.Context(), "git", fault.New(fault.StoreTimeout, nil), time.Hour); err != nil {
		t.Fatal(err)
	}
	watch := &observation{metrics: telemetry.NewMetrics("1", "1.2.3", ""), tracing: &telemetry.Tracing{}}
	count := watch.access(telemetry.New(telemetry.Options{Format: telemetry.FormatText}).Access)
	count(t.Context(), httpapi.Record{Method: "GET", Route: "/v3/arcs", Status: 200})
	watch.serviceNumbers(p.api, p.store)
	pushes := telemetry.NewPushes(watch.metrics.Registerer)
	pushes.Pushed(time.Second, true, "")
	pushes.Paused("git_timeout")
	forge := httptest.NewServer(http.NotFoundHandler())
	defer forge.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, forge.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := watch.exchanges()(http.DefaultTransport).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	telemetry.CertificateDays(watch.metrics.Registerer, func() []telemetry.CertificateEnd { return []telemetry.CertificateEnd{{Subject: "CN=x", Days: 3}} })

	dir := t.TempDir()
	c := &config.Config{Admin: config.Admin{Directory: dir}}
	stop := startAdmin(t.Context(), c, "1", p.store, watch.metrics, slog.New(slog.DiscardHandler))
	defer stop()
	out := httptest.NewRecorder()
	fleet := &telemetry.Fleet{Sockets: processSockets(c)}
	fleet.Handler().ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	names := map[string]bool{}
	for line := range strings.Lines(out.Body.String()) {
		if name, _, ok := strings.Cut(line, "{"); ok && !strings.HasPrefix(line, "#") {
			names[name] = true
			if !strings.Contains(line, `worker="1"`) {
				t.Errorf("no label worker: %s", line)
			}
		}
	}
	return names
}

// What lasts as long as a client or git wants is counted apart, and is not slow.
func TestPacedRequestsAreNotSlow(t *testing.T) {
	t.Parallel()
	watch := &observation{metrics: telemetry.NewMetrics("1", "1.2.3", ""), tracing: &telemetry.Tracing{}}
	count := watch.access(telemetry.New(telemetry.Options{Format: telemetry.FormatText}).Access)
	const route = "/v3/harvests/{harvest_id}/arcs"
	count(t.Context(), httpapi.Record{Method: "POST", Route: route, Status: 200})
	count(t.Context(), httpapi.Record{Method: "POST", Route: route, Status: 200, Paced: true, Duration: time.Hour})
	out := httptest.NewRecorder()
	watch.metrics.Handler().ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	for _, want := range []string{`route="` + route + `",status="200",worker="1",le="0.001"} 1`, `route="` + route + ` (paced)",status="200",worker="1",le="120"} 0`} {
		if !strings.Contains(out.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, out.Body)
		}
	}
	rules, err := os.ReadFile(filepath.Join(testenv.ModuleRoot(t), "packaging/monitoring/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`duration_seconds_bucket\{route!~\\"(.*?)\\"`).FindSubmatch(rules)
	if m == nil {
		t.Fatal("no alert about slow requests")
	}
	without := regexp.MustCompile("^(?:" + string(m[1]) + ")$")
	if without.MatchString(route) || !without.MatchString(route+" (paced)") {
		t.Errorf("%s leaves out the wrong requests", without)
	}
}

// Every metric of an alert or of the dashboard exists, and every alert leads to
// the section that says what to do.
func TestAlertsAndDashboardKnowTheMetrics(t *testing.T) {
	t.Parallel()
	names := everyMetric(t)
	metric := regexp.MustCompile(`\b(?:middleware_api|process|go)_[a-z_]+`)
	check := func(where, expr string) {
		found := metric.FindAllString(expr, -1)
		if len(found) == 0 {
			t.Errorf("%s: no metric in %q", where, expr)
		}
		for _, name := range found {
			if !names[name] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
	}
	root := testenv.ModuleRoot(t)
	read := func(path string) []byte {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	manual := string(read("docs/alerts.md"))
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Expr        string
				For         string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(read("packaging/monitoring/alerts.yaml"), &rules); err != nil {
		t.Fatal(err)
	}
	alerts := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			alerts++
			check(rule.Alert, rule.Expr)
			_, anchor, ok := strings.Cut(rule.Annotations["runbook_url"], "docs/alerts.md#")
			if !ok || !strings.Contains(manual, "\n## "+anchor+"\n") {
				t.Errorf("%s leads to %q, which is not in the manual", rule.Alert, rule.Annotations["runbook_url"])
			}
			if rule.For == "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
				t.Errorf("%s is not complete", rule.Alert)
			}
		}
	}
	if sections := strings.Count(manual, "\n## alert-"); alerts < 10 || sections != alerts {
		t.Errorf("%d alerts and %d sections", alerts, sections)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read("packaging/monitoring/grafana.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) < 15 {
		t.Errorf("%d panels", len(dashboard.Panels))
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			check("panel "+panel.Title, target.Expr)
		}
	}
}
