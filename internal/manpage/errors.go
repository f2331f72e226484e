package manpage

import (
	"fmt"
	"io"
	"strings"
)

// Section is one section of a page of the manual in Markdown: its title without
// marks, and its lines.
type Section struct {
	Level int // of the heading
	Title string
	Lines []string
}

// Sections cuts a page of the manual into its sections.
func Sections(page string) []Section {
	var list []Section
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		if level := len(line) - len(strings.TrimLeft(line, "#")); level > 0 && strings.HasPrefix(line[level:], " ") {
			list = append(list, Section{Level: level, Title: strings.Trim(line[level+1:], "`")})
			continue
		}
		if n := len(list); n > 0 && (line != "" || len(list[n-1].Lines) > 0) {
			list[n-1].Lines = append(list[n-1].Lines, line)
		}
	}
	for i := range list {
		for n := len(list[i].Lines); n > 0 && list[i].Lines[n-1] == ""; n-- {
			list[i].Lines = list[i].Lines[:n-1]
		}
	}
	return list
}

// Plain takes the marks of Markdown out of a line.
func Plain(line string) string {
	return strings.NewReplacer("`", "", "**", "").Replace(strings.TrimPrefix(line, "- "))
}

// Errors writes middleware-api-errors(7) from the page that explains the codes.
func Errors(w io.Writer, page, version string) {
	fmt.Fprintf(w, ".TH MIDDLEWARE\\-API\\-ERRORS 7 \"\" \"middleware\\-api %s\" \"Miscellaneous\"\n", Text(version))
	fmt.Fprint(w, ".SH NAME\nmiddleware\\-api\\-errors \\- every error code, and how to mend it\n.SH DESCRIPTION\n")
	for i, s := range Sections(page) {
		switch {
		case i == 0:
		case s.Level == 2:
			fmt.Fprintf(w, ".SH %s\n", Text(strings.ToUpper(s.Title)))
		default:
			fmt.Fprintf(w, ".SS %s\n", Text(s.Title))
		}
		for _, line := range s.Lines {
			if strings.HasPrefix(line, "- ") {
				fmt.Fprintln(w, ".IP \\(bu 2")
			}
			fmt.Fprintln(w, Text(Plain(line)))
		}
	}
	fmt.Fprint(w, ".SH SEE ALSO\n.BR middleware\\-api (8)\n")
}
