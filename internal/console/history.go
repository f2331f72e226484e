package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

const (
	// sampleEvery is shorter than the minute that a sample stands for: somebody
	// among the processes shall be in time for each.
	sampleEvery = 20 * time.Second
	// chartSpan is how far the charts look back.
	chartSpan = 24 * time.Hour
	// chartStep joins so many minutes into a point.
	chartStep = 5 * time.Minute
	// rateSpan is what the numbers per minute are the average of.
	rateSpan = 10 * time.Minute
)

// Run lets samples be taken until ctx ends. All processes do so, and the store
// sees to it that there is one a minute, so that charts need no process that
// always lives.
func (c *Console) Run(ctx context.Context) error {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		c.sample(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sample takes one. A database that does not answer leaves a gap.
func (c *Console) sample(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sampleEvery/2)
	defer cancel()
	if err := c.o.Data.TakeSample(ctx); err != nil {
		c.o.Log.DebugContext(ctx, "no sample taken", "error", err)
	}
}

// past is what the charts and the numbers per minute are made of.
type past struct {
	Charts           []chart
	Accepted, Pushed float64 // per minute
	Known            bool    // whether there are numbers per minute
}

// readPast gives the past that a viewer may see.
func (c *Console) readPast(r *http.Request) past {
	samples, err := c.o.Data.Samples(r.Context(), chartSpan, viewerOf(r).only()...)
	if err != nil || len(samples) < 2 {
		return past{}
	}
	p := past{Charts: charts(samples)}
	p.Accepted, p.Pushed, p.Known = rates(samples)
	return p
}

// rates gives what moved per minute of late. A sample counts what came since the
// one before it, whenever that was.
func rates(samples []store.Sample) (accepted, pushed float64, known bool) {
	last := samples[len(samples)-1].At
	var since time.Time
	for i := len(samples) - 1; i > 0 && last.Sub(samples[i-1].At) <= rateSpan; i-- {
		accepted += float64(samples[i].Accepted)
		pushed += float64(samples[i].Pushed)
		since = samples[i-1].At
	}
	if since.IsZero() {
		return 0, 0, false
	}
	minutes := last.Sub(since).Minutes()
	return accepted / minutes, pushed / minutes, true
}

// chart is one or two lines over time, ready to be drawn.
type chart struct {
	ID, Title string
	Text      string // what it shows, for who cannot see it
	Top       string // the value at the upper edge
	From      string // the time at the left edge
	Lines     []line
}

// line is drawn in pieces: where nobody looked there is a gap.
type line struct {
	Name, Class, Now string
	Pieces           []piece
}

// piece is a part of a line without a gap.
type piece struct {
	Points string // of a polyline in a box of chartWidth x chartHeight
	Area   string // the same, closed along the bottom
}

const (
	chartWidth  = 600
	chartHeight = 120
)

// value is one point in time of one line.
type value struct {
	at time.Time
	v  float64
}

// charts draws the samples.
func charts(samples []store.Sample) []chart {
	count := func(n float64) string { return fmt.Sprintf("%.0f", n) }
	age := func(n float64) string { return report.Span(time.Duration(n) * time.Second) }
	rate := func(n float64) string { return decimal(n) + " a minute" }
	peak := func(f func(store.Sample) float64) []value {
		return join(samples, func(list []store.Sample, _ time.Duration) float64 {
			top := 0.0
			for _, s := range list {
				top = max(top, f(s))
			}
			return top
		})
	}
	mean := func(f func(store.Sample) int64) []value {
		return join(samples, func(list []store.Sample, took time.Duration) float64 {
			var sum int64
			for _, s := range list {
				sum += f(s)
			}
			return float64(sum) / max(took.Minutes(), 1)
		})
	}
	return []chart{
		draw("waiting", "ARCs due or failing", count, series{"due or failing", "first", peak(func(s store.Sample) float64 { return float64(s.Waiting) })}),
		draw("oldest", "Longest wait", age, series{"longest wait", "first", peak(func(s store.Sample) float64 { return s.Oldest.Seconds() })}),
		draw("moved", "Throughput", rate,
			series{"stored", "first", mean(func(s store.Sample) int64 { return s.Accepted })},
			series{"pushed to git", "second", mean(func(s store.Sample) int64 { return s.Pushed })}),
	}
}

// decimal shows small numbers with a digit behind the point.
func decimal(n float64) string {
	if n > 0 && n < 10 {
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

// join makes one value of the samples of each step. What a step counts came in
// the time since the sample before its first one.
func join(samples []store.Sample, f func([]store.Sample, time.Duration) float64) []value {
	var values []value
	before := samples[0].At.Add(-time.Minute)
	for i := 0; i < len(samples); {
		step := samples[i].At.Truncate(chartStep)
		j := i
		for j < len(samples) && samples[j].At.Truncate(chartStep).Equal(step) {
			j++
		}
		values = append(values, value{samples[j-1].At, f(samples[i:j], samples[j-1].At.Sub(before))})
		before = samples[j-1].At
		i = j
	}
	return values
}

// series is the values of one line.
type series struct {
	name, class string
	values      []value
}

// draw makes a chart; word words a value.
func draw(id, title string, word func(float64) string, all ...series) chart {
	first, last := all[0].values[0].at, all[0].values[len(all[0].values)-1].at
	top := 0.0
	for _, s := range all {
		for _, v := range s.values {
			top = max(top, v.v)
		}
	}
	c := chart{ID: id, Title: title, Top: word(top), From: first.UTC().Format("15:04")}
	words := []string{}
	for _, s := range all {
		now := s.values[len(s.values)-1]
		high := slices.MaxFunc(s.values, func(a, b value) int { return int(max(-1, min(1, a.v-b.v))) })
		c.Lines = append(c.Lines, line{Name: s.name, Class: s.class, Now: word(now.v), Pieces: pieces(s.values, first, last, max(top, 1))})
		words = append(words, fmt.Sprintf("%s: now %s, at most %s (%s UTC)", s.name, word(now.v), word(high.v), high.at.UTC().Format("15:04")))
	}
	c.Text = fmt.Sprintf("%s over the last %s. %s.", title, report.Span(last.Sub(first)), strings.Join(words, "; "))
	return c
}

// pieces places values in the box, and breaks the line where nobody looked.
func pieces(values []value, first, last time.Time, top float64) []piece {
	length := max(last.Sub(first).Seconds(), 1)
	var list []piece
	var points []string
	var left, right float64
	flush := func() {
		if len(points) > 0 {
			text := strings.Join(points, " ")
			list = append(list, piece{Points: text, Area: fmt.Sprintf("%.1f,%d %s %.1f,%d", left, chartHeight, text, right, chartHeight)})
		}
		points = nil
	}
	for i, v := range values {
		if i > 0 && v.at.Sub(values[i-1].at) > 3*chartStep {
			flush()
		}
		right = chartWidth * v.at.Sub(first).Seconds() / length
		if points == nil {
			left = right
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", right, chartHeight-chartHeight*v.v/top))
	}
	flush()
	return list
}
