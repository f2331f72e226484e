package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"strings"
)

// Metrics of a round.
const (
	metricRate   = "rate"     // requests or ARCs per second
	metricCPU    = "cpu"      // µs of the server processes per request
	metricPG     = "pg cpu"   // µs of PostgreSQL per request
	metricP50    = "p50"      // ms
	metricP99    = "p99"      // ms
	metricPSS    = "pss"      // MB, shared pages by share
	metricUSS    = "uss"      // MB, private pages
	metricStart  = "start"    // ms from exec to the first answer
	metricCost   = "duration" // µs of one operation as its caller sees it
	metricWholly = "all cpu"  // µs of caller and PostgreSQL together per operation
)

// row is what one side of a scenario showed of one metric, round by round.
type row struct {
	Scenario string    `json:"scenario"`
	Side     string    `json:"side"`
	Metric   string    `json:"metric"`
	Values   []float64 `json:"values"`
}

// results are what is kept, with the circumstances.
type results struct {
	Machine machine `json:"machine"`
	Rows    []row   `json:"results"`
}

func (r *results) add(scenario, side, metric string, value float64) {
	for i := range r.Rows {
		if x := &r.Rows[i]; x.Scenario == scenario && x.Side == side && x.Metric == metric {
			x.Values = append(x.Values, value)
			return
		}
	}
	r.Rows = append(r.Rows, row{scenario, side, metric, []float64{value}})
}

// values gives the rounds of one side, nil if there are none.
func (r *results) values(scenario, side, metric string) []float64 {
	for _, x := range r.Rows {
		if x.Scenario == scenario && x.Side == side && x.Metric == metric {
			return x.Values
		}
	}
	return nil
}

// sides gives the sides of a scenario that show the metric and begin with the prefix.
func (r *results) sides(scenario, metric, prefix string) []string {
	var out []string
	for _, x := range r.Rows {
		if x.Scenario == scenario && x.Metric == metric && strings.HasPrefix(x.Side, prefix) {
			out = append(out, x.Side)
		}
	}
	return out
}

// scenarioOf gives the scenario that a name such as "scale: list" belongs to.
func scenarioOf(name string) string {
	name, _, _ = strings.Cut(name, ":")
	return name
}

// forget drops the rows of scenarios that are measured anew.
func (r *results) forget(scenarios []string) {
	r.Rows = slices.DeleteFunc(r.Rows, func(x row) bool { return slices.Contains(scenarios, scenarioOf(x.Scenario)) })
}

// readResults reads a results file; an absent one is empty.
func readResults(path string) (*results, error) {
	r := &results{}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(text, r)
}

// write keeps the results with one line per row, so that versions can be compared.
func (r *results) write(path string) error {
	slices.SortStableFunc(r.Rows, func(a, b row) int { return cmp.Compare(order(scenarioOf(a.Scenario)), order(scenarioOf(b.Scenario))) })
	var b bytes.Buffer
	head, err := json.MarshalIndent(r.Machine, "  ", "  ")
	if err != nil {
		return err
	}
	b.WriteString("{\n  \"machine\": ")
	b.Write(head)
	b.WriteString(",\n  \"results\": [\n")
	for i, x := range r.Rows {
		for j, v := range x.Values {
			x.Values[j] = threeDigits(v)
		}
		line, err := json.Marshal(x)
		if err != nil {
			return err
		}
		b.WriteString("    ")
		b.Write(line)
		if i < len(r.Rows)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("  ]\n}\n")
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[n/2] + sorted[(n-1)/2]) / 2
}

// ratios divides round by round.
func ratios(over, under []float64) []float64 {
	out := make([]float64, 0, len(over))
	for i := range min(len(over), len(under)) {
		if under[i] != 0 {
			out = append(out, over[i]/under[i])
		}
	}
	return out
}
