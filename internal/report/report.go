// Package report says how the service is doing and what to do about it, for the
// people who run it: one look (status), what is failing grouped by cause
// (causes), the story of one ARC (explain), and a walk through everything the
// service stands on (doctor).
//
// Each report is a plain value that is collected first and then written, as text
// for a terminal or as JSON, so that the command line, the console and tests see
// the same. Reports name the remedy and, where there is one, the command to
// type. They never hold a secret, and looking changes nothing.
//
// Collecting may be done concurrently; a report belongs to whoever collected it.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Light is a summary for somebody who has one second.
type Light string

// The lights, from best to worst.
const (
	Green  Light = "green"  // nothing needs to be done
	Yellow Light = "yellow" // somebody should look at it
	Red    Light = "red"    // the service does not do what it is for
)

func (l Light) rank() int {
	switch l {
	case Red:
		return 2
	case Yellow:
		return 1
	}
	return 0
}

// ExitCode gives the exit status for monitoring: 0 for green, 1 for yellow, 2
// for red, as monitoring plugins have it.
func (l Light) ExitCode() int { return l.rank() }

// worst gives the worse of two lights.
func worst(a, b Light) Light {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// Reason says why a light is not green.
type Reason struct {
	Light  Light  `json:"light"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// WriteJSON writes a report for programs.
func WriteJSON(w io.Writer, report any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(report); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// WriteLine writes one value as a line of JSON.
func WriteLine(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	return nil
}

// Span words a length of time with its two largest units.
func Span(d time.Duration) string {
	d = d.Round(time.Second)
	if d < time.Second {
		return "0 s"
	}
	parts := []string{}
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}} {
		if n := d / u.size; n > 0 || len(parts) > 0 {
			if n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			}
			d -= n * u.size
			if len(parts) == 2 || n == 0 {
				break
			}
		}
	}
	return strings.Join(parts, " ")
}

// Ago words how long before now something was.
func Ago(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	if d := now.Sub(then); d >= time.Second {
		return Span(d) + " ago"
	}
	return "just now"
}

// Until words how long after now something will be.
func Until(now, then time.Time) string {
	if d := then.Sub(now); d >= time.Second {
		return "in " + Span(d)
	}
	return "now"
}

// plural gives "1 ARC" and "2 ARCs".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// lines writes text wrapped to a terminal, each line with an indent.
func lines(w io.Writer, indent, text string) {
	const columns = 80
	line := indent
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == indent:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns:
			fmt.Fprintln(w, line)
			line = indent + word
		default:
			line += " " + word
		}
	}
	if line != indent {
		fmt.Fprintln(w, line)
	}
}

// Clean keeps text from others on one line and from steering a terminal.
func Clean(text string) string { return clean(text) }

// clean keeps text from others on one line and from steering the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '�'
		}
		return r
	}, text)
}
