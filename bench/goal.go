package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A goal is a ratio of two sides of a scenario and the bound it has to keep.
type goal struct {
	what     string
	scenario string
	metric   string
	over     string // side above the line
	under    string // side below it; bestPeer for the best configuration of the peer
	atMost   bool
	bound    float64
}

// bestPeer stands for the configuration of the peer that does best.
const bestPeer = "best peer"

func goals() []goal {
	five := fmt.Sprint(peerPrefix, workers())
	return []goal{
		{"CPU per liveness request, ours ÷ best peer", "liveness", metricCPU, sideOurs, bestPeer, true, 1.0 / 3},
		{"rate of a handler that waits 20 ms, ours ÷ best peer", "wait-20ms", metricRate, sideOurs, bestPeer, false, 4.5},
		{"rate of a handler that waits 100 ms, ours ÷ best peer", "wait-100ms", metricRate, sideOurs, bestPeer, false, 3.5},
		{"rate of durable ingest, 1.5 KB, ours ÷ best peer", "ingest-1.5k", metricRate, sideOurs, bestPeer, false, 4},
		{"rate of durable ingest, 29 KB, ours ÷ best peer", "ingest-29k", metricRate, sideOurs, bestPeer, false, 8},
		{"rate of unchanged resubmission, 29 KB, ours ÷ best peer", "unchanged-29k", metricRate, sideOurs, bestPeer, false, 10},
		{"rate of bulk upload ÷ single uploads one after the other", "bulk-29k", metricRate, sideBulk, sideSingle, false, 5},
		{"private memory of idle workers and synchroniser ÷ as many Uvicorn workers", "memory", metricUSS, sideFleet, five, true, 1.0 / 7},
		{"time from start to first answer, ours ÷ best peer", "start", metricStart, sideOurs, bestPeer, true, 1.0 / 8},
		{"rate of durable ingest, 29 KB ÷ pgbench, one ARC a commit", "limit-postgres", metricRate, sideOurs, sidePgbenchOne, false, 0.8},
		{"rate of durable ingest, 29 KB ÷ pgbench, grouped alike", "limit-postgres", metricRate, sideOurs, sidePgbenchMany, false, 0.8},
		{"CPU per liveness request ÷ plain net/http", "limit-http", metricCPU, sideOurs, sidePlain, true, 1.15},
	}
}

// scaleBound is by how much the cost of an operation may grow from the smallest
// to the largest database.
const scaleBound = 1.5

// higherIsBetter says so for a metric.
func higherIsBetter(metric string) bool { return metric == metricRate }

// best gives the side of the peer with the best median.
func (r *results) best(scenario, metric string) string {
	sides := r.sides(scenario, metric, peerPrefix)
	if len(sides) == 0 {
		return ""
	}
	better := func(a, b string) int {
		x, y := median(r.values(scenario, a, metric)), median(r.values(scenario, b, metric))
		if x == y {
			return strings.Compare(a, b)
		}
		if (x > y) == higherIsBetter(metric) {
			return -1
		}
		return 1
	}
	return slices.MinFunc(sides, better)
}

// verdict is a goal and what was measured.
type verdict struct {
	goal

	against  string
	measured float64
	met      bool
}

// judge compares the results with the goals; what was not measured is left out.
func (r *results) judge() []verdict {
	var out []verdict
	all := goals()
	for _, x := range r.Rows {
		if scenarioOf(x.Scenario) == "scale" && x.Metric == metricPG {
			g := goal{"cost, " + strings.TrimPrefix(x.Scenario, "scale: "), x.Scenario, metricPG, r.last(x.Scenario), r.first(x.Scenario), true, scaleBound}
			if !slices.Contains(all, g) && g.over != g.under {
				all = append(all, g)
			}
		}
	}
	for _, g := range all {
		v := verdict{goal: g, against: g.under}
		if g.under == bestPeer {
			v.against = r.best(g.scenario, g.metric)
		}
		rounds := ratios(r.values(g.scenario, g.over, g.metric), r.values(g.scenario, v.against, g.metric))
		if len(rounds) == 0 {
			continue
		}
		v.measured = median(rounds)
		v.met = v.measured >= g.bound
		if g.atMost {
			v.met = v.measured <= g.bound
		}
		out = append(out, v)
	}
	return out
}

func (r *results) first(scenario string) string { return r.sides(scenario, metricPG, "")[0] }

func (r *results) last(scenario string) string {
	sides := r.sides(scenario, metricPG, "")
	return sides[len(sides)-1]
}

// table prints the verdicts as Markdown.
func (r *results) table(w io.Writer) {
	fmt.Fprintln(w, "| What | Goal | Measured | Against | |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- |")
	for _, v := range r.judge() {
		word, sign := "**missed**", "≥"
		if v.met {
			word = "met"
		}
		if v.atMost {
			sign = "≤"
		}
		fmt.Fprintf(w, "| %s | %s %.3g | %.3g | %s | %s |\n", v.what, sign, v.bound, v.measured, v.against, word)
	}
}
