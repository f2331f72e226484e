package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// print shows the medians of a scenario.
func (r *results) print(w io.Writer, scenario string) {
	for _, x := range r.Rows {
		if scenarioOf(x.Scenario) == scenario {
			part := strings.TrimPrefix(x.Scenario, scenario+": ")
			if part == scenario {
				part = ""
			}
			fmt.Fprintf(w, "    %-30s %-24s %-9s %10.4g   %v\n", part, x.Side, x.Metric, median(x.Values), x.Values)
		}
	}
}

func reportCommand(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	from := flags.String("from", "docs/benchmarks.json", "results file")
	rounds := flags.Bool("rounds", false, "show every round as well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := readResults(*from)
	if err != nil {
		return err
	}
	r.table(os.Stdout)
	if *rounds {
		for _, s := range scenarios() {
			fmt.Fprintf(os.Stdout, "\n%s: %s\n", s.name, s.what)
			r.print(os.Stdout, s.name)
		}
	}
	return nil
}
