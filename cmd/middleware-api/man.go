package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/docs"
	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/manpage"
)

// newMan prints the manual pages; the package is built with it.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:       "man middleware-api.8|middleware-api.yaml.5|middleware-api-errors.7",
		Short:     "print a manual page",
		Hidden:    true,
		ValidArgs: []string{"middleware-api.8", "middleware-api.yaml.5", "middleware-api-errors.7"},
		Args:      cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "middleware-api.8":
				writeMan(cmd.OutOrStdout(), cmd.Root())
			case "middleware-api.yaml.5":
				_, err := cmd.OutOrStdout().Write(config.ManPage())
				return err
			case "middleware-api-errors.7":
				manpage.Errors(cmd.OutOrStdout(), docs.Errors, version)
			default:
				return cli.Usagef("there is no manual page %q", args[0])
			}
			return nil
		},
	}
}

// writeMan writes middleware-api(8) from the tree of commands.
func writeMan(w io.Writer, root *cobra.Command) {
	fmt.Fprintf(w, ".TH MIDDLEWARE-API 8 \"\" \"middleware-api %s\" \"System Administration\"\n", manpage.Text(root.Version))
	fmt.Fprintf(w, ".SH NAME\nmiddleware\\-api \\- %s\n", manpage.Text(root.Short))
	fmt.Fprint(w, ".SH SYNOPSIS\n.B middleware\\-api\n.I COMMAND\n[\\fIOPTION\\fR...]\n")
	fmt.Fprintf(w, ".SH DESCRIPTION\n%s\n", manpage.Text(root.Long))
	fmt.Fprint(w, `.PP
Under systemd nothing has to be started by hand:
.B systemctl start middleware\-api.socket
opens the port, and the workers and the synchroniser follow.
.SH COMMANDS
`)
	manpage.Commands(w, root)
	fmt.Fprint(w, `.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Something else went wrong; the message says what. From
.BR status " and " doctor :
yellow, somebody should look. From
.BR audit :
there are differences that were not repaired. From
.BR import :
some lines were not imported.
.TP
.B 2
From
.BR status " and " doctor :
red, the service does not do what it is for.
.TP
.B 64
The command line is wrong.
.TP
.B 65
The input is wrong, for example a crate that cannot become an ARC.
.TP
.B 66
What was named is not there: a file, an ARC, a harvest.
.TP
.B 69
PostgreSQL or the git server cannot be reached.
.TP
.B 72
The program behind /usr/bin/middleware\-api is missing; install the package again.
.TP
.B 73
The output cannot be written, for example because it exists.
.TP
.B 78
The configuration is wrong; every problem is listed with its line.
.SH FILES
.TP
.I /etc/middleware\-api/config.yaml
The configuration, see
.BR middleware\-api.yaml (5).
.TP
.I /etc/default/middleware\-api
Number of workers and address of the socket.
.TP
.I /etc/middleware\-api/credentials/gitlab\-token
The token for the git server; only the synchroniser gets it.
.TP
.I /var/lib/middleware\-api/arcs
The repositories, unless a git server is configured.
.SH SEE ALSO
.BR middleware\-api.yaml (5),
.BR middleware\-api\-errors (7),
.BR systemctl (1),
.BR journalctl (1)
`)
}
