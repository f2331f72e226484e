package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/docs"
	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/manpage"
)

// explained is what the manual says about codes.
type explained []manpage.Section

// codes gives the sections of the manual about one code, or about all.
func codes(code string) explained {
	var list explained
	for _, s := range manpage.Sections(docs.Errors) {
		if s.Level == 3 && (code == "" || s.Title == code) {
			list = append(list, s)
		}
	}
	return list
}

// isCode says that a code is none.
func isCode(code string) error {
	if len(codes(code)) == 0 {
		return cli.Exit(cli.ExitNoInput, fmt.Errorf("there is no code %q; middleware-api errors lists all", code))
	}
	return nil
}

// Write writes the sections for a terminal.
func (e explained) Write(w io.Writer) error {
	for i, s := range e {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, s.Title)
		for _, line := range s.Lines {
			if line != "" {
				fmt.Fprintln(w, "  "+manpage.Plain(line))
			}
		}
	}
	return nil
}

// rows gives the members of each code, for programs.
func (e explained) rows() []map[string]string {
	rows := []map[string]string{}
	for _, s := range e {
		row := map[string]string{"code": s.Title, "what": manpage.Plain(s.Lines[0])}
		for _, line := range s.Lines[1:] {
			if key, text, ok := strings.Cut(manpage.Plain(line), ": "); ok {
				row[strings.ToLower(key)] = text
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// newErrors explains codes without server and database.
func newErrors() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "errors [CODE]",
		Short: "explain an error code, or all of them",
		Long: `errors prints what the manual says about a code: what happened, why, who can mend
it and how. Codes are in causes, in the log (code=), in the header X-Error-Code
of answers and in findings. Exit status 66 says that there is no such code.`,
		Example: `  middleware-api errors token_rejected
  middleware-api errors --json`,
		Args: cli.MaximumArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, s := range codes("") {
				names = append(names, s.Title)
			}
			if len(args) > 0 {
				names = nil
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	asJSON := cli.JSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		code := ""
		if len(args) == 1 {
			code = args[0]
		}
		if err := isCode(code); err != nil {
			return err
		}
		list := codes(code)
		if *asJSON {
			return tell(cmd.OutOrStdout(), done{members: map[string]any{"errors": list.rows()}}, true)
		}
		return list.Write(cmd.OutOrStdout())
	}
	return cmd
}
