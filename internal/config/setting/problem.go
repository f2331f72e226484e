package setting

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, or worth a warning, in a configuration.
type Problem struct {
	Source  string // file, variable or credential; "" if none is to blame
	Line    int    // line in the file, from 1; 0 if there is none
	Path    string // setting or section, "" for the file as a whole
	Text    string // what is wrong; never the value of a secret
	Remedy  string // what to do, if there is more to say
	Warning bool   // the configuration is usable nevertheless
}

// String gives the problem on one line, in the form that editors jump to.
func (p Problem) String() string {
	var b strings.Builder
	if p.Source != "" {
		b.WriteString(p.Source)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// Invalid is the error for a configuration that cannot be used.
type Invalid struct {
	Problems []Problem
}

// NewInvalid makes the error of problems, which are put into the order of the file.
func NewInvalid(problems []Problem) *Invalid {
	slices.SortStableFunc(problems, byLine)
	return &Invalid{Problems: problems}
}

// byLine sorts by line, and what has no line to the end.
func byLine(a, b Problem) int {
	line := func(p Problem) int { return cmp.Or(p.Line, math.MaxInt) }
	return cmp.Compare(line(a), line(b))
}

// Error lists all problems, one per line.
func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// suggest gives the candidate that was probably meant, or "".
func suggest(name string, candidates []string) string {
	best, bestDistance := "", 1+min(3, len(name)/3)
	for _, c := range candidates {
		if d := distance(name, c, bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between two words; it gives limit when they differ more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var before []int
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		if slices.Min(row) >= limit {
			return limit
		}
		before, previous = previous, row
	}
	return previous[len(b)]
}
