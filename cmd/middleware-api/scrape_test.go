package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/fairagro/middleware-api/internal/pgtest"
)

// readings are all numbers of one scrape, by series; growing ones may never fall.
type readings struct{ growing, other map[string]float64 }

func (r readings) sum(name string, labels ...string) (total float64) {
	for series, value := range r.growing {
		fits := strings.HasPrefix(series, name+"{")
		for _, label := range labels {
			fits = fits && strings.Contains(series, label)
		}
		if fits {
			total += value
		}
	}
	return total
}

// scrapeFleet reads the metrics of all processes as Prometheus would.
func scrapeFleet(ctx context.Context, client *http.Client) (readings, error) {
	out := readings{map[string]float64{}, map[string]float64{}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin/metrics", http.NoBody)
	if err != nil {
		return out, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return out, err
	}
	defer func() { _ = answer.Body.Close() }()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	for name, family := range families {
		for _, m := range family.GetMetric() {
			series := name + "{"
			for _, label := range m.GetLabel() {
				series += fmt.Sprintf("%s=%q,", label.GetName(), label.GetValue())
			}
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				out.growing[series] = m.GetCounter().GetValue()
			case dto.MetricType_HISTOGRAM:
				out.growing[series] = float64(m.GetHistogram().GetSampleCount())
				for _, b := range m.GetHistogram().GetBucket() {
					out.growing[fmt.Sprint("up to ", b.GetUpperBound(), " of ", series)] = float64(b.GetCumulativeCount())
				}
			default:
				out.other[series] = m.GetGauge().GetValue()
			}
		}
	}
	return out, err
}

// fleetPatience is for four processes that share a busy machine with other tests.
const fleetPatience = 10 * patience

// company is two workers, a synchroniser and the process for operators, as the
// units of the package start them.
type company struct {
	workers   *http.Transport // to each by its name
	metrics   *http.Client
	processes map[string]*exec.Cmd
}

func startCompany(tb testing.TB) *company {
	tb.Helper()
	dir := tb.TempDir()
	program := filepath.Join(dir, "middleware-api")
	if out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	common := fmt.Sprintf("known_rdis: [edal]\nrequire_client_cert: false\ndatabase: {url: %q}\ngit_repo: {url: %q, group: arcs}\nadmin: {directory: %q}\n",
		pgtest.DSN(tb), "file://"+tb.TempDir(), dir)
	c := &company{processes: map[string]*exec.Cmd{}}
	start := func(name, command, settings string) {
		cmd := exec.Command(program, command, "--config", write(tb, name+".yaml", settings+common)) //nolint:gosec // what was built above
		cmd.Env = append(os.Environ(), "MW_ID="+name)
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if cmd.ProcessState == nil {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				_ = cmd.Wait()
			}
		})
		c.processes[name] = cmd
	}
	// Nobody else can have taken such an address in the meantime.
	socket := func(name string) string { return filepath.Join(dir, name+".http") }
	for _, name := range []string{"1", "2"} {
		start(name, "serve", fmt.Sprintf("listen: [%q]\n", "unix:"+socket(name)))
	}
	c.workers = &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
		name, _, _ := strings.Cut(address, ":")
		return new(net.Dialer).DialContext(ctx, "unix", socket(name))
	}}
	tb.Cleanup(c.workers.CloseIdleConnections)
	start("sync", "sync", "")
	start("admin", "admin", "")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "admin.sock"))
	}}
	tb.Cleanup(transport.CloseIdleConnections)
	c.metrics = &http.Client{Transport: transport, Timeout: fleetPatience}
	c.await(tb, "all processes", func(r readings) bool {
		up := 0.0
		for series, value := range r.other {
			if strings.HasPrefix(series, "middleware_api_process_up{") {
				up += value
			}
		}
		return up == 3
	})
	return c
}

// await scrapes until the condition holds, and gives what was read then.
func (c *company) await(tb testing.TB, what string, condition func(readings) bool) readings {
	tb.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(fleetPatience); ; <-tick.C {
		r, err := scrapeFleet(tb.Context(), c.metrics)
		if err == nil && condition(r) {
			return r
		}
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain for %s: %v", what, err)
		}
	}
}

// send uploads an ARC.
func (c *company) send(ctx context.Context, client *http.Client, n int) error {
	body := `{"rdi": "edal", "arc": ` + strings.ReplaceAll(goodCrate, `"identifier": "x"`, fmt.Sprintf(`"identifier": "A%d"`, n)) + `}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%d/v3/arcs", 1+n%2), strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode/100 != 2 {
		return fmt.Errorf("status %d, %w", answer.StatusCode, err)
	}
	return nil
}

// Scraped through the socket for operators while clients upload, no counter of any
// process ever falls, in the end the numbers are those of what was sent and
// pushed, and no number of uploads makes a scrape larger.
func TestScrapesDuringALoad(t *testing.T) {
	t.Parallel()
	const uploads, clients = 240, 6
	c := startCompany(t)
	ctx := t.Context()
	c.workers.MaxIdleConnsPerHost = clients
	client := &http.Client{Transport: c.workers, Timeout: fleetPatience}

	var next atomic.Int64
	var load sync.WaitGroup
	for range clients {
		load.Go(func() {
			for n := next.Add(1); n <= uploads; n = next.Add(1) {
				if err := c.send(ctx, client, int(n)); err != nil {
					t.Errorf("upload %d: %v", n, err)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { load.Wait(); close(over) }()

	last, scrapes, early := readings{}, 0, 0
	sent := func(r readings) float64 {
		return r.sum("middleware_api_request_duration_seconds", `route="/v3/arcs"`, `method="POST"`)
	}
	for loaded := true; loaded; {
		select {
		case <-over:
			loaded = false
		default:
		}
		before := next.Load()
		now, err := scrapeFleet(ctx, c.metrics)
		if err != nil {
			t.Fatal(err)
		}
		scrapes++
		for series, value := range last.growing {
			if now.growing[series] < value {
				t.Errorf("%s fell from %v to %v", series, value, now.growing[series])
			}
		}
		if got := sent(now); got > float64(uploads) || got < sent(last) {
			t.Errorf("scrape %d tells %v uploads after %v", scrapes, got, sent(last))
		}
		if before > uploads/4 && early == 0 {
			early = len(now.growing)
		}
		last = now
	}
	end := c.await(t, "every push", func(r readings) bool {
		return r.sum("middleware_api_push_duration_seconds", `outcome="pushed"`) >= uploads
	})
	for what, got := range map[string]float64{
		"answered":                   sent(end),
		"pushed":                     end.sum("middleware_api_push_duration_seconds", `outcome="pushed"`),
		"pushed by the synchroniser": end.sum("middleware_api_push_duration_seconds", `outcome="pushed"`, `worker="sync"`),
	} {
		if got != uploads {
			t.Errorf("%s: %v, want %d", what, got, uploads)
		}
	}
	for _, worker := range []string{"1", "2"} {
		if got := end.sum("middleware_api_request_duration_seconds", `route="/v3/arcs"`, `worker="`+worker+`"`); got != uploads/2 {
			t.Errorf("worker %s answered %v, want %d", worker, got, uploads/2)
		}
	}
	// Rare outcomes may add some series; one for each upload would be hundreds.
	if late := len(end.growing); scrapes < 3 || early > 0 && late > early+uploads/6 {
		t.Errorf("%d scrapes, with %d series at first and %d in the end", scrapes, early, late)
	}
	t.Logf("%d scrapes of %d series during %d uploads", scrapes, len(end.growing)+len(end.other), uploads)
	for name, cmd := range c.processes {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %s of processor time", name, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
}
