package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/sqltoarc"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

func newCheck(o *runOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "look at everything that a run needs",
		Long: `Looks at the configuration, the views with their columns, types and counts, the
API, the client certificate and the right to send for the RDI. Changes nothing.
Counting takes as long as the views need to be computed.`,
		Example: "  sql-to-arc check --config /etc/sql-to-arc/edaphobase.yaml",
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, options, err := o.load()
			if err != nil {
				return err
			}
			checks := sqltoarc.Check(cmd.Context(), options)
			if o.json {
				encoder := json.NewEncoder(o.std.Out)
				for _, c := range checks {
					if err := encoder.Encode(c); err != nil {
						return err
					}
				}
			} else {
				writeChecks(o.std.Out, checks)
			}
			for _, c := range checks {
				if !c.OK {
					return quietError{c.Err}
				}
			}
			return nil
		},
	}
}

// quietError has been told already; only its exit status is left.
type quietError struct{ error }

func (quietError) Error() string { return "" }

func (e quietError) Unwrap() error { return e.error }

// marks of findings in front of their line.
var marks = map[source.Severity]string{source.Error: "error", source.Warning: "warning", source.Note: "note"}

func writeChecks(w io.Writer, checks []sqltoarc.Checked) {
	for _, c := range checks {
		mark := "ok"
		if !c.OK {
			mark = "FAILED"
		}
		fmt.Fprintf(w, "%-7s %s: %s\n", mark, c.What, c.Text)
		if c.Remedy != "" {
			fmt.Fprintf(w, "        remedy: %s\n", c.Remedy)
		}
		for _, f := range c.Findings {
			fmt.Fprintf(w, "        %s: %s\n", marks[f.Severity], f)
		}
	}
}
