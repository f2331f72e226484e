package config

import (
	"bytes"
	"io"

	"github.com/fairagro/middleware-api/internal/config/setting"
)

const sampleHeader = `Configuration of middleware-api; see middleware-api.yaml(5).

Every setting is shown with its default, commented out. Unknown settings are errors, and "middleware-api check" lists everything that is wrong. Each setting can also be given as a variable: a.b becomes A_B.

Apply changes with: systemctl reload middleware-api; systemctl restart middleware-api-sync`

// Sample gives the commented configuration file of the package.
func Sample() []byte {
	var b bytes.Buffer
	Table(new(Config), RoleTool).Sample(&b, sampleHeader)
	return b.Bytes()
}

// Docs writes what there is to know about the settings whose path begins with
// prefix, and reports whether there are any.
func Docs(w io.Writer, prefix string) bool {
	return Table(new(Config), RoleTool).Text(w, prefix)
}

// Documentation lists what there is to know about the settings whose path
// begins with prefix.
func Documentation(prefix string) []setting.Documented {
	return Table(new(Config), RoleTool).Documentation(prefix)
}

// ManPage gives the manual page middleware-api.yaml(5).
func ManPage() []byte {
	var b bytes.Buffer
	b.WriteString(manHead)
	table := Table(new(Config), RoleTool)
	table.Man(&b, "At the top of the file")
	b.WriteString(manRetired)
	for _, r := range table.Retired {
		text := r.Reason
		if r.Became != "" {
			text = "is called " + r.Became + " now and counts, unless that is given as well"
		}
		b.WriteString(".TP\n.B " + r.Path + "\n" + text + "\n")
	}
	b.WriteString(manTail)
	return b.Bytes()
}

const manHead = `.TH MIDDLEWARE\-API.YAML 5 "" "middleware\-api" "File Formats"
.SH NAME
middleware\-api.yaml \- configuration of middleware\-api
.SH SYNOPSIS
.I /etc/middleware\-api/config.yaml
.SH DESCRIPTION
The configuration is a YAML file.
It is taken from the first of these places:
.IP \(bu 2
the option
.BR \-\-config ,
.IP \(bu 2
the file that the variable
.B MIDDLEWARE_API_CONFIG
names,
.IP \(bu 2
.IR /etc/middleware\-api/config.yaml ,
.IP \(bu 2
.IR /run/secrets/middleware\-api\-config .
.PP
Without a file the defaults hold.
Unknown settings are errors.
.B middleware\-api check
lists everything that is wrong with its line,
.B middleware\-api config show
the values in force and where each comes from.
.SS Overriding
A setting with the path
.I a.b
is taken from the first of these that is not empty:
.IP \(bu 2
the variable
.BR A_B ,
.IP \(bu 2
a file named
.B a_b
or
.B a\-b
in the credentials directory of the unit (see
.BR systemd.exec (5),
.BR LoadCredential= ),
.IP \(bu 2
the file
.IR /run/secrets/a_b ,
.IP \(bu 2
the configuration file,
.IP \(bu 2
the default.
.PP
A list can be given as one variable, its elements separated by commas; the variable
.B A_B_0
replaces its first element.
Variables do not bring the sections
.BR git_repo ,
.B gitlab_api
and
.B tls
to life: these have to be in the file, except that
.B git_repo
holds when neither it nor
.B gitlab_api
is there.
.SH SETTINGS
`

const manRetired = `.SH RETIRED SETTINGS
Earlier generations had these. They are accepted with a warning.
Those with another name now have its effect, the others have none.
`

const manTail = `.SH FILES
.TP
.I /etc/middleware\-api/config.yaml
the configuration
.TP
.I /etc/middleware\-api/credentials/gitlab\-token
the access token for the git store, given to the synchroniser alone
.TP
.I /etc/default/middleware\-api
the number of processes, and where they listen
.SH SEE ALSO
.BR middleware\-api (8),
.BR systemd.exec (5)
`
