// Package manpage writes the parts of a manual page that a tree of commands
// knows by itself: its commands and their flags, in the man macros of roff. It
// never writes a whole page; what a command cannot know of itself (files, exit
// statuses) is said by whoever writes the page.
package manpage

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Commands describes the commands below parent that are not hidden, each in a
// subsection. Errors of w are not reported; pages are written to memory or to
// standard output.
func Commands(w io.Writer, parent *cobra.Command) {
	root := parent.Root().Name() + " "
	for _, c := range parent.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		use := strings.TrimSuffix(strings.TrimPrefix(c.UseLine(), root), " [flags]")
		fmt.Fprintf(w, ".SS %s\n", Text(use))
		text := c.Long
		if text == "" {
			text = strings.ToUpper(c.Short[:1]) + c.Short[1:] + "."
		}
		fmt.Fprintf(w, "%s\n", Text(text))
		Flags(w, c.LocalNonPersistentFlags())
		if c.Example != "" {
			fmt.Fprintf(w, ".PP\nExamples:\n.PP\n.nf\n%s\n.fi\n", Text(c.Example))
		}
		Commands(w, c)
	}
}

// Flags describes flags that are not hidden, each in a tagged paragraph.
func Flags(w io.Writer, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "\\-\\-" + Text(f.Name)
		if f.Shorthand != "" {
			name = "\\-" + f.Shorthand + "\\fR, \\fB" + name
		}
		value, about := pflag.UnquoteUsage(f)
		if value != "" {
			name += "\\fR=\\fI" + Text(value)
		}
		fmt.Fprintf(w, ".TP\n\\fB%s\\fR\n%s\n", name, Text(about))
	})
}

// Text escapes what roff would take for its own; an empty line becomes a
// paragraph.
func Text(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		switch {
		case line == "":
			lines[i] = ".PP"
		case line[0] == '.' || line[0] == '\'':
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
