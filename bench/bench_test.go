package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// smoke runs scenarios, one short round each, and gives the results.
func smoke(tb testing.TB, only string) *results {
	tb.Helper()
	dir := tb.TempDir()
	program, out := filepath.Join(dir, "bench"), filepath.Join(dir, "results.json")
	for _, args := range [][]string{
		{"go", "build", "-o", program, "."},
		{program, "run", "-count", "1", "-round", "1s", "-only", only, "-out", out},
	} {
		//nolint:gosec // G204: our own program
		if text, err := exec.CommandContext(tb.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			tb.Fatalf("%v: %v\n%s", args, err, text)
		}
	}
	r, err := readResults(out)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// The benchmark of our side alone runs: uploads are all answered, in bulk and
// one by one, and PostgreSQL and net/http can be measured beside it.
func TestOurSideIsMeasured(t *testing.T) {
	t.Parallel()
	testenv.Program(t, "wrk", "wrk")
	r := smoke(t, "bulk-29k,limit-postgres,limit-http")
	for scenario, sides := range map[string][]string{
		"bulk-29k":       {sideBulk, sideSingle, sideMany},
		"limit-postgres": {sideOurs, sidePgbenchOne, sidePgbenchMany},
		"limit-http":     {sideOurs, sidePlain},
	} {
		for _, side := range sides {
			if v := r.values(scenario, side, metricRate); len(v) != 1 || v[0] <= 0 {
				t.Errorf("%s, %s: rate %v, want one positive number", scenario, side, v)
			}
		}
	}
	if len(r.judge()) == 0 {
		t.Error("the results are held against no goal")
	}
}

// The peer does the same work and answers all of it: each of its configurations
// is measured beside ours.
func TestThePeerIsMeasured(t *testing.T) {
	t.Parallel()
	if missing := peerMissing(t.Context()); missing != "" {
		testenv.Skip(t, missing)
	}
	testenv.Program(t, "nginx", "nginx-light")
	r := smoke(t, "start,liveness,ingest-1.5k,unchanged-29k")
	for scenario, others := range map[string]int{"liveness": 2, "ingest-1.5k": 1, "unchanged-29k": 1} {
		if n := len(r.sides(scenario, metricRate, "")); n != 1+len(peerSizes())+others {
			t.Errorf("%s has %d sides, want ours, %d of the peer and %d others", scenario, n, len(peerSizes()), others)
		}
	}
	if best := r.best("ingest-1.5k", metricRate); !strings.HasPrefix(best, peerPrefix) {
		t.Errorf("best configuration of the peer is %q", best)
	}
}

// A goal is judged by the median of the ratios within a round, against the
// configuration of the peer that does best.
func TestGoalsAreJudgedByMedians(t *testing.T) {
	t.Parallel()
	r := &results{}
	for i, ours := range []float64{90, 10, 100} {
		r.add("ingest-29k", sideOurs, metricRate, ours)
		r.add("ingest-29k", "peer-1", metricRate, 1)
		r.add("ingest-29k", "peer-4", metricRate, []float64{10, 10, 20}[i])
	}
	verdicts := r.judge()
	if len(verdicts) != 1 {
		t.Fatalf("got %d verdicts, want one: %+v", len(verdicts), verdicts)
	}
	if v := verdicts[0]; v.against != "peer-4" || v.measured != 5 || v.met {
		t.Errorf("got %+v, want 5 times peer-4, which misses 8", v)
	}
}

// The report of wrk is read, and one with failed requests is refused.
func TestWrkIsUnderstood(t *testing.T) {
	t.Parallel()
	const report = `Running 2s test @ http://127.0.0.1:1/
  Latency Distribution
     50%    1.50ms
     75%    2.00ms
     90%    4.00ms
     99%   30.00ms
  4000 requests in 2.00s, 1.00MB read
Requests/sec:   2000.00
`
	o, err := parseWrk(report)
	if err != nil {
		t.Fatal(err)
	}
	if o.rate() != 2000 || o.quantile(0.5) != 1500*time.Microsecond || o.quantile(0.99) != 30*time.Millisecond {
		t.Errorf("got %v/s, %v, %v", o.rate(), o.quantile(0.5), o.quantile(0.99))
	}
	if _, err := parseWrk(report + "  Non-2xx or 3xx responses: 3\n"); err == nil {
		t.Error("failed requests were not noticed")
	}
}

// Each upload is another crate of the same size, and about the size asked for.
func TestUploadsDiffer(t *testing.T) {
	t.Parallel()
	for _, size := range []int{400, 1500, 29 << 10, 1 << 20} {
		u := upload(size)
		if n := len(u.text); n < size*8/10 || n > size*12/10 {
			t.Errorf("asked for %d bytes, got %d", size, n)
		}
		a, b := bytes.Clone(u.text), bytes.Clone(u.text)
		u.number(a, 1)
		u.number(b, 2)
		if bytes.Equal(a, b) || len(a) != len(b) || bytes.Contains(a, mark) {
			t.Errorf("%d bytes: serials are not written", size)
		}
	}
}

// The charts in docs are those of the results in docs, and well-formed.
func TestChartsShowTheResults(t *testing.T) {
	t.Parallel()
	r, err := readResults("../docs/benchmarks.json")
	if err != nil {
		t.Fatal(err)
	}
	drawn := 0
	for _, c := range r.charts() {
		if len(c.groups) == 0 {
			continue
		}
		drawn++
		want, err := os.ReadFile(filepath.Join("..", "docs", "benchmark-"+c.name+".svg"))
		if err != nil || string(want) != c.svg() {
			t.Errorf("%s: draw it again (go run ./bench chart): %v", c.name, err)
		}
		for d := xml.NewDecoder(strings.NewReader(c.svg())); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
	}
	if drawn == 0 {
		t.Error("there are no results")
	}
}

// A backlog drains no faster than GitLab and our budget allow, and with a budget
// below what GitLab allows no project is refused.
func TestBacklogsDrainWithinTheLimits(t *testing.T) {
	t.Parallel()
	const arcs = 3000
	drain := func(h hub) (time.Duration, *simulation) {
		s := newSimulation(h, 300*time.Millisecond, 80*time.Millisecond)
		return s.drain(arcs), s
	}
	if d, s := drain(hub{hands: 5, known: true}); d != arcs/5*300*time.Millisecond || s.attempts != arcs {
		t.Errorf("without limits: drained after %s with %d attempts", d, s.attempts)
	}
	if d, s := drain(hub{hands: 16, gets: 400}); d < 7*time.Minute || d > 9*time.Minute || s.refused > 8 {
		t.Errorf("400 a minute: drained after %s, refused %d times", d, s.refused)
	}
	if d, s := drain(hub{hands: 5, budget: 600, creates: 20_000}); d < 290*time.Minute || d > 305*time.Minute || s.refused > 0 {
		t.Errorf("600 an hour: drained after %s, refused %d times", d, s.refused)
	}
}

// Scenarios are known by their names, and others are refused.
func TestScenariosAreChosenByName(t *testing.T) {
	t.Parallel()
	chosen, err := choose("scale,start")
	if err != nil || len(chosen) != 2 || chosen[0].name != "scale" {
		t.Errorf("got %v, %v", chosen, err)
	}
	if _, err := choose("nothing"); err == nil {
		t.Error("an unknown scenario was accepted")
	}
	if names := scenarioNames(); len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("names are not unique: %v", names)
	}
}
