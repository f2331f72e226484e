package gitsync

import (
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

// Built is a document as it goes to its repository.
type Built struct {
	Files []remote.File
	// Identifier, Title and Description are for the project; empty ones are
	// taken from what was extracted when the document came in.
	Identifier, Title, Description string
	// Findings are kept as the report on the ARC.
	Findings []store.Finding
}

// Builder turns a RO-Crate document into the files of an ARC. Its errors are
// *remote.Failure; content that cannot be converted is of class invalid, and
// comes with findings all the same.
type Builder func(document []byte) (Built, error)

// build unpacks stored content and builds the files of the ARC.
func (s *Syncer) build(content *store.Content) (Built, error) {
	document, err := content.Document()
	if f, ok := fault.Of(err); ok {
		return Built{}, &remote.Failure{Class: fault.Invalid, Fault: f}
	} else if err != nil {
		return Built{}, err
	}
	return s.opt.Build(document)
}
