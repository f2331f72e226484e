package scaffold

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problem is a reason why an ARC cannot be laid out as a folder.
//
// Its parts go from the most special to the most general. The last is *arc.Investigation, *arc.Study, *arc.Assay,
// *arc.Workflow or *arc.Run; before may come *arc.Table, *arc.License, *arc.Person, *arc.Publication and *arc.Comment.
type Problem struct {
	Code   string // stable: path-taken, path, identifier, comment, sheet-name, too-large, more
	Path   string // the file or folder that cannot be made
	Parts  []any  // what of the ARC it is about, see above, never empty
	Name   bool   // it is about the identifier of the first of them
	Text   string // what is wrong, a clause without full stop
	Remedy string // what the sender can do about it
}

// Problems are all the reasons why an ARC cannot be laid out, in the order of the
// ARC; as an error they make one line each.
type Problems []Problem

// Error gives the texts of all problems.
func (ps Problems) Error() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.Path + ": " + p.Text
	}
	return strings.Join(texts, "\n")
}

// maxProblems keeps the list readable when an ARC is wrong everywhere.
const maxProblems = 1000

func (p *plan) problem(problem Problem) {
	problem.Parts = append(problem.Parts, p.part)
	switch n := len(p.problems); {
	case n < maxProblems:
		p.problems = append(p.problems, problem)
	case n == maxProblems:
		p.problems = append(p.problems, Problem{
			Code: "more", Path: problem.Path, Parts: []any{p.part},
			Text:   fmt.Sprintf("there are more than %d problems, the rest is not listed", maxProblems),
			Remedy: "mend those that are listed and try again",
		})
	}
}

// quote makes a text from an ARC fit for a message: quoted, and not too long.
func quote(s string) string {
	const most = 120
	if len(s) > most {
		n := most
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "…"
	}
	return strconv.Quote(s)
}
