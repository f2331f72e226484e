package main

import (
	"context"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// chartCommand draws the results. The same results give the same bytes.
func chartCommand(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("chart", flag.ContinueOnError)
	from := flags.String("from", "docs/benchmarks.json", "results file")
	to := flags.String("to", "docs", "folder for the charts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := readResults(*from)
	if err != nil {
		return err
	}
	for _, c := range r.charts() {
		if len(c.groups) == 0 {
			continue
		}
		path := filepath.Join(*to, "benchmark-"+c.name+".svg")
		if err := os.WriteFile(path, []byte(c.svg()), 0o644); err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}

// A chart is groups of horizontal bars with one scale per group, since only what
// is within a group is comparable.
type chart struct {
	name, title, note string
	groups            []group
}

type group struct {
	title string
	unit  string
	bars  []bar
}

// bar is a median with the range of the rounds.
type bar struct {
	label       string
	value       float64
	least, most float64
	ours        bool
}

var sideLabels = strings.NewReplacer(peerPrefix, "FastAPI, workers: ", leanPrefix, "FastAPI, the least, workers: ")

func (r *results) bars(scenario, metric string, sides ...string) []bar {
	var out []bar
	for _, side := range sides {
		values := r.values(scenario, side, metric)
		if len(values) == 0 {
			continue
		}
		b := bar{label: sideLabels.Replace(side), value: median(values), least: values[0], most: values[0]}
		for _, v := range values {
			b.least, b.most = min(b.least, v), max(b.most, v)
		}
		b.ours = side == sideOurs || side == sideFleet || side == sideBulk
		out = append(out, b)
	}
	return out
}

func (r *results) group(title, unit, scenario, metric string) []group {
	sides := r.sides(scenario, metric, "")
	bars := r.bars(scenario, metric, sides...)
	if len(bars) == 0 {
		return nil
	}
	return []group{{title, unit, bars}}
}

func join(groups ...[]group) []group {
	var all []group
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// charts says what is drawn.
func (r *results) charts() []chart {
	const note = "Median of the rounds; the thin line is their range. "
	var scale []group
	for _, s := range r.scaleNames() {
		scale = append(scale, r.group(strings.TrimPrefix(s, "scale: "), "µs of PostgreSQL", s, metricPG)...)
	}
	return []chart{
		{"ingest", "Durable ingest", note + "Longer is better.", join(
			r.group("Crates of 0.4 KB", "ARCs/s", "ingest-0.4k", metricRate), r.group("Crates of 1.5 KB", "ARCs/s", "ingest-1.5k", metricRate),
			r.group("Crates of 29 KB", "ARCs/s", "ingest-29k", metricRate), r.group("Crates of 1 MB", "ARCs/s", "ingest-1m", metricRate),
			r.group("Unchanged crates of 29 KB", "ARCs/s", "unchanged-29k", metricRate))},
		{"cpu", "Processor time of the server processes", note + "Shorter is better.", join(
			r.group("GET /v3/liveness", "µs/request", "liveness", metricCPU), r.group("Ingest of 1.5 KB", "µs/ARC", "ingest-1.5k", metricCPU),
			r.group("Ingest of 29 KB", "µs/ARC", "ingest-29k", metricCPU), r.group("Ingest of 1 MB", "µs/ARC", "ingest-1m", metricCPU))},
		{"waiting", "A handler that waits, many clients", note + "Longer is better.", join(
			r.group("20 ms, 1,000 clients", "requests/s", "wait-20ms", metricRate), r.group("100 ms, 3,000 clients", "requests/s", "wait-100ms", metricRate))},
		{"process", "Memory and start", note + "Shorter is better.", join(
			r.group("Memory at idle, private pages", "MB", "memory", metricUSS), r.group("From start to first answer", "ms", "start", metricStart))},
		{"limit", "How close to the limit", note + "Rates: longer is better. Processor time: shorter is better.", join(
			r.group("Ingest of 29 KB and PostgreSQL alone", "ARCs/s", "limit-postgres", metricRate),
			r.group("The same, processor time in PostgreSQL", "µs/ARC", "limit-postgres", metricPG),
			r.group("Bulk and single uploads of 29 KB", "ARCs/s", "bulk-29k", metricRate),
			r.group("Liveness and plain net/http", "µs/request", "limit-http", metricCPU))},
		{"scale", "One operation at growing numbers of ARCs", note + "Equal is good.", scale},
	}
}

func (r *results) scaleNames() []string {
	var names []string
	seen := map[string]bool{}
	for _, x := range r.Rows {
		if scenarioOf(x.Scenario) == "scale" && !seen[x.Scenario] {
			seen[x.Scenario] = true
			names = append(names, x.Scenario)
		}
	}
	return names
}

// Measures of the drawing, in pixels.
const (
	chartWidth  = 860
	labelWidth  = 230
	barsWidth   = 470
	barHeight   = 18
	barPitch    = 24
	groupHead   = 34
	chartHead   = 64
	chartMargin = 20
)

func (c chart) svg() string {
	height := chartHead + chartMargin
	for _, g := range c.groups {
		height += groupHead + barPitch*len(g.bars)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(c.title))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<text x="%d" y="28" font-size="18" font-weight="bold" fill="#222">%s</text>`+"\n", chartMargin, html.EscapeString(c.title))
	fmt.Fprintf(&b, `<text x="%d" y="48" fill="#666">%s</text>`+"\n", chartMargin, html.EscapeString(c.note))
	y := chartHead
	for _, g := range c.groups {
		y = g.draw(&b, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (g group) draw(b *strings.Builder, y int) int {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold" fill="#222">%s<tspan dx="8" font-weight="normal" fill="#666">%s</tspan></text>`+"\n",
		chartMargin, y+22, html.EscapeString(g.title), html.EscapeString(g.unit))
	y += groupHead
	most := 0.0
	for _, x := range g.bars {
		most = max(most, x.most)
	}
	at := func(v float64) float64 { return labelWidth + v/most*barsWidth }
	for _, x := range g.bars {
		color := "#9aa5b1"
		if x.ours {
			color = "#0b7a75"
		}
		middle := y + barHeight/2
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" fill="#222">%s</text>`+"\n", labelWidth-8, middle+4, html.EscapeString(x.label))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelWidth, y, x.value/most*barsWidth, barHeight, color)
		fmt.Fprintf(b, `<path d="M%.1f %dH%.1f" stroke="#222" stroke-width="1.5"/>`+"\n", at(x.least), middle, at(x.most))
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="#222">%s</text>`+"\n", labelWidth+barsWidth+10, middle+4, figure(x.value))
		y += barPitch
	}
	return y
}

// figure writes a number with three digits that count, and thousands apart.
func figure(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.3g", v)
	}
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
