package rocrate

import (
	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// ReadLarge reads a crate as if it were a large one.
func ReadLarge(doc []byte) (*arc.Investigation, []Finding) { return read(doc, jsonld.ParseLarge, nil) }
