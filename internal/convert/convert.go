// Package convert turns a crate into the files of an ARC folder, or says all
// that stands in the way. It is the one path from document to folder: the
// synchroniser, validation before storing and the command line go it, so that
// what was found good is what can be pushed. It reads and writes nothing but
// its arguments and may be called concurrently.
package convert

import (
	"errors"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold"
)

// Result is what became of a crate.
type Result struct {
	// Investigation is the ARC, nil if the crate cannot be read.
	Investigation *arc.Investigation
	// Files are the files of the folder, nil if there are errors.
	Files []scaffold.File
	// Findings are all errors and warnings.
	Findings []rocrate.Finding
}

// OK says whether the crate became a folder.
func (r Result) OK() bool { return r.Files != nil }

// Errors gives the findings that keep the crate from becoming a folder.
func (r Result) Errors() []rocrate.Finding {
	var list []rocrate.Finding
	for _, f := range r.Findings {
		if f.Severity == rocrate.SeverityError {
			list = append(list, f)
		}
	}
	return list
}

// Crate converts an RO-Crate metadata document. Contents of files are made
// when they are written.
func Crate(document []byte) Result {
	inv, findings := rocrate.Read(document)
	r := Result{Investigation: inv, Findings: findings}
	if inv == nil {
		return r
	}
	files, err := scaffold.Files(inv)
	if err == nil {
		r.Files = files
		return r
	}
	r.Findings = append(r.Findings, problems(document)...)
	return r
}

// problems says why a crate that can be read becomes no folder. It reads the
// crate once more, to know where in it the parts of the ARC stand.
func problems(document []byte) []rocrate.Finding {
	inv, origins := rocrate.ReadOrigins(document)
	_, err := scaffold.Files(inv)
	var list scaffold.Problems
	if !errors.As(err, &list) {
		list = scaffold.Problems{{Code: "folder", Text: err.Error(), Parts: []any{inv}}}
	}
	found := make([]rocrate.Finding, len(list))
	for i, p := range list {
		found[i] = finding(p, origin(p, origins))
	}
	return found
}

// origin gives the place of the most special part of the ARC that a problem is about and that stands somewhere in the
// crate; of its name if that is the problem.
func origin(p scaffold.Problem, origins map[any]rocrate.Origin) rocrate.Origin {
	for _, part := range p.Parts {
		if at, ok := origins[rocrate.Named{Part: part}]; ok && p.Name {
			return at
		}
		if at, ok := origins[part]; ok {
			return at
		}
	}
	return rocrate.Origin{}
}

// finding says a problem with the folder as one with the crate.
func finding(p scaffold.Problem, at rocrate.Origin) rocrate.Finding {
	text := p.Text
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	return rocrate.Finding{
		Code: p.Code, Severity: rocrate.SeverityError, Pointer: at.Pointer, Entity: at.Entity,
		Text: text, Remedy: p.Remedy, Owner: fault.OwnerRDI,
	}.Shown()
}
