package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/manpage"
	"github.com/fairagro/middleware-api/internal/sqltoarc"
)

// newMan prints the manual page; the package is built with it.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man",
		Short:  "print the manual page",
		Hidden: true,
		Args:   cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			writeMan(cmd.OutOrStdout(), cmd.Root())
			return nil
		},
	}
}

// manExit, manFiles: what the tree of commands does not know.
const manExit = `.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 3
Done but for some datasets, which are listed with the reason.
.TP
.B 64
The command line is wrong.
.TP
.B 65
The views are not usable; every problem is listed.
.TP
.B 69
Database or API cannot be reached.
.TP
.B 75
The run was cut off, or another one is going on;
.B sql\-to\-arc run \-\-resume
goes on.
.TP
.B 77
The database or the API does not let us in.
.TP
.B 78
The configuration is wrong; every problem is listed with its line.
`

const manRest = `.SH SYSTEMD
.B systemctl start sql\-to\-arc@edaphobase
runs with
.I /etc/sql\-to\-arc/edaphobase.yaml\fR,
.B systemctl enable \-\-now sql\-to\-arc@edaphobase.timer
does so every night. The password is a credential: the file
.I /etc/sql\-to\-arc/edaphobase.password\fR,
readable for root only. So are the client certificate and its key:
.I edaphobase.client.pem
and
.I edaphobase.client.key
beside it. The report is in
.I /var/lib/sql\-to\-arc/edaphobase/report.json\fR.
.SH FILES
.TP
.I config.yaml
In the working directory, unless
.B \-\-config
or the variable
.B SQL_TO_ARC_CONFIG
names another file. Each setting can be given as a variable, too
.RB ( SQL_TO_ARC_API_CLIENT_API_URL ),
or as a file in
.I /run/secrets
.RI ( sql_to_arc_db_password ).
.TP
.I ~/.local/state/sql\-to\-arc
What earlier runs have uploaded. Losing it costs time only.
.SH SEE ALSO
.BR systemctl (1),
.BR systemd\-creds (1)
`

// writeMan writes sql-to-arc(1) from the tree of commands and the table of
// settings.
func writeMan(w io.Writer, root *cobra.Command) {
	fmt.Fprintf(w, ".TH SQL\\-TO\\-ARC 1 \"\" \"sql-to-arc %s\" \"User Commands\"\n", manpage.Text(root.Version))
	fmt.Fprintf(w, ".SH NAME\nsql\\-to\\-arc \\- %s\n", manpage.Text(root.Short))
	fmt.Fprint(w, ".SH SYNOPSIS\n.B sql\\-to\\-arc\n[\\fICOMMAND\\fR] [\\fIOPTION\\fR...]\n")
	fmt.Fprintf(w, ".SH DESCRIPTION\n%s\n.PP\nWithout a command it does what\n.B run\ndoes.\n", manpage.Text(root.Long))
	fmt.Fprint(w, ".SH OPTIONS\n")
	manpage.Flags(w, root.PersistentFlags())
	fmt.Fprint(w, ".SH COMMANDS\n")
	manpage.Commands(w, root)
	fmt.Fprint(w, ".SH CONFIGURATION\n")
	sqltoarc.Table(new(sqltoarc.Config)).Man(w, "General")
	fmt.Fprint(w, manExit, manRest)
}
