package gitsync

import (
	"fmt"

	"github.com/fairagro/middleware-api/internal/convert"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// FromCrate is the Builder of the service: it converts an RO-Crate document into
// the folder of an ARC.
func FromCrate(document []byte) (Built, error) {
	r := convert.Crate(document)
	out := Built{Findings: make([]store.Finding, 0, len(r.Findings))}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, store.Finding(f))
	}
	if !r.OK() {
		return out, unconvertible(r.Errors())
	}
	inv := r.Investigation
	out.Identifier, out.Title, out.Description = inv.Identifier, inv.Title, inv.Description
	out.Files = make([]remote.File, 0, len(r.Files))
	for _, f := range r.Files {
		out.Files = append(out.Files, remote.File{Path: f.Path, Content: f})
	}
	return out, nil
}

// unconvertible names the first reason; the report on the ARC has them all.
func unconvertible(errors []rocrate.Finding) *remote.Failure {
	f := remote.Fail(fault.ARCUnconvertible, nil)
	if len(errors) == 0 {
		return f
	}
	first := errors[0]
	text := first.Text
	if first.Pointer != "" {
		text = first.Pointer + ": " + text
	}
	if more := len(errors) - 1; more > 0 {
		text = fmt.Sprintf("%s (and %d more)", text, more)
	}
	f.Fault.Text = fmt.Sprintf("%s %s.", f.Fault.Text, text)
	return f
}
