package report

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Verdict is the outcome of one check.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Warning Verdict = "warning"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped" // it does not apply here
)

// Finding is what a check found.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`
	Remedy  string  `json:"remedy,omitempty"`
}

// Check is one thing the service stands on.
type Check struct {
	Name string
	Run  func(ctx context.Context) []Finding
}

// Result is a check that was run.
type Result struct {
	Name     string    `json:"name"`
	Findings []Finding `json:"findings"`
	Seconds  float64   `json:"seconds"`
}

// Doctor is the outcome of all checks.
type Doctor struct {
	At      time.Time `json:"at"`
	Version string    `json:"version"`
	Results []Result  `json:"results"`
}

// checkLimit is for something that hangs, such as a server behind a firewall.
const checkLimit = 20 * time.Second

// Examine runs the checks one after the other, each with a limit of its own.
func Examine(ctx context.Context, version string, checks []Check) *Doctor {
	d := &Doctor{At: time.Now(), Version: version, Results: make([]Result, 0, len(checks))}
	for _, check := range checks {
		begin := time.Now()
		limited, cancel := context.WithTimeout(ctx, checkLimit)
		findings := check.Run(limited)
		cancel()
		d.Results = append(d.Results, Result{Name: check.Name, Findings: findings, Seconds: time.Since(begin).Seconds()})
	}
	return d
}

// Reasons runs the checks and gives what is not fine, for a status.
func Reasons(ctx context.Context, checks ...Check) []Reason {
	var list []Reason
	for _, r := range Examine(ctx, "", checks).Results {
		for _, f := range r.Findings {
			switch f.Verdict {
			case Failed:
				list = append(list, Reason{Red, sentence(f.Text), f.Remedy})
			case Warning:
				list = append(list, Reason{Yellow, sentence(f.Text), f.Remedy})
			}
		}
	}
	return list
}

func sentence(text string) string { return strings.TrimSuffix(text, ".") + "." }

// Light gives red when a check failed, yellow when one warns.
func (d *Doctor) Light() Light {
	light := Green
	for _, r := range d.Results {
		for _, f := range r.Findings {
			switch f.Verdict {
			case Failed:
				light = worst(light, Red)
			case Warning:
				light = worst(light, Yellow)
			}
		}
	}
	return light
}

// Write writes the findings for a terminal.
func (d *Doctor) Write(w io.Writer) error {
	for _, r := range d.Results {
		for _, f := range r.Findings {
			lines(w, "", fmt.Sprintf("%-7s %s: %s", f.Verdict, r.Name, clean(f.Text)))
			if f.Remedy != "" {
				lines(w, "        ", "-> "+clean(f.Remedy))
			}
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", map[Light]string{
		Green: "Everything is as it should be.", Yellow: "The service works; the warnings deserve attention.", Red: "Something has to be mended.",
	}[d.Light()])
	return err
}

func ok(format string, args ...any) Finding {
	return Finding{Verdict: OK, Text: fmt.Sprintf(format, args...)}
}

func warning(remedy, format string, args ...any) Finding {
	return Finding{Verdict: Warning, Text: fmt.Sprintf(format, args...), Remedy: remedy}
}

func failed(remedy, format string, args ...any) Finding {
	return Finding{Verdict: Failed, Text: fmt.Sprintf(format, args...), Remedy: remedy}
}

func skipped(format string, args ...any) Finding {
	return Finding{Verdict: Skipped, Text: fmt.Sprintf(format, args...)}
}
