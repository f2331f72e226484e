package rocrate

import (
	"crypto/sha256"
	"errors"
	"strings"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
)

// Payload is an accepted upload.
type Payload struct {
	Identifier  string   // of the root data entity, trimmed, never empty, without NUL
	Name        string   // of the root data entity, trimmed, may be empty, as it is shown
	Description string   // the same
	Hash        [32]byte // of the content without dates that change with every export
	Document    []byte   // {"@context": …, "@graph": …}; may share memory with the scanned text
}

// MaxShown bounds in bytes what is shown of a name, of a description and of an identifier: a
// list of ARCs must not fill the memory because some have texts of many megabytes.
const MaxShown = 16 << 10

// Scan checks a crate by the payload rules, which are few: exactly a context and
// a graph of objects with a root data entity that has an identifier. The error is a
// *jsondoc.SyntaxError, a *jsondoc.LimitError or wire.Errors with places relative to the crate.
func Scan(doc []byte) (Payload, error) {
	d, err := jsondoc.Parse(doc)
	if err != nil {
		return Payload{}, err
	}
	defer d.Release()
	return ScanValue(d.Root(), nil)
}

// ScanValue is Scan for a crate that is part of a larger document; loc is its
// place there. Errors are wire.Errors; the identifier comes with them, if it can be read,
// because it tells which ARC was refused.
func ScanValue(crate jsondoc.Value, loc wire.Loc) (Payload, error) {
	var check wire.Checker
	parts, ok := checkCrate(&check, crate, loc)
	root := findRoot(parts.graph)
	if !ok {
		return Payload{Identifier: extractText(root.Member("identifier"))}, check.Err()
	}
	if !root.Exists() {
		check.ValueError(loc, "RO-Crate must contain a root data entity with @id './'", crate)
		return Payload{}, check.Err()
	}
	p := Payload{
		Identifier:  extractText(root.Member("identifier")),
		Name:        Shown(extractText(root.Member("name")), MaxShown),
		Description: Shown(extractText(root.Member("description")), MaxShown),
	}
	if p.Identifier == "" {
		check.ValueError(loc, "RO-Crate root data entity must contain a non-empty identifier", crate)
		return Payload{}, check.Err()
	}
	if strings.ContainsRune(p.Identifier, 0) {
		check.ValueError(loc, "RO-Crate root data entity must contain an identifier without NUL characters", crate)
		return Payload{Identifier: p.Identifier}, check.Err()
	}
	if p.Hash, ok = contentHash(&check, parts, loc); !ok {
		return Payload{Identifier: p.Identifier}, check.Err()
	}
	p.Document = parts.document(crate)
	return p, nil
}

// crateParts are the two members of a crate, and whether the crate is spelled as it is stored.
type crateParts struct {
	context, graph jsondoc.Value
	asStored       bool
}

// Names of the members of a crate, and the plain spellings accepted in their place.
const (
	contextKey, contextPlain = "@context", "context"
	graphKey, graphPlain     = "@graph", "graph"
)

// checkCrate checks the members of a crate; places and order of errors are those of
// the wire model: context, graph and its elements, then surplus members in the order of the text.
func checkCrate(check *wire.Checker, crate jsondoc.Value, loc wire.Loc) (crateParts, bool) {
	if !check.Object(crate, loc) {
		return crateParts{}, false
	}
	var named struct{ context, contextPlain, graph, graphPlain jsondoc.Value }
	members, surplus := 0, false
	for key, value := range crate.Members() {
		members++
		switch {
		case key.Is(contextKey):
			named.context = value
		case key.Is(graphKey):
			named.graph = value
		case key.Is(contextPlain):
			named.contextPlain = value
		case key.Is(graphPlain):
			named.graphPlain = value
		default:
			surplus = true
		}
	}
	parts := crateParts{context: named.context, graph: named.graph}
	parts.asStored = members == 2 && parts.context.Exists() && parts.graph.Exists() &&
		parts.context.Offset() < parts.graph.Offset()
	if !parts.context.Exists() {
		parts.context = named.contextPlain
	} else if named.contextPlain.Exists() {
		surplus = true
	}
	graphLoc := graphKey
	if !parts.graph.Exists() && named.graphPlain.Exists() {
		parts.graph, graphLoc = named.graphPlain, graphPlain
	} else if named.graphPlain.Exists() {
		surplus = true
	}
	if !parts.context.Exists() {
		check.Missing(crate, loc.With(contextKey))
	}
	if !parts.graph.Exists() {
		check.Missing(crate, loc.With(graphKey))
	} else {
		checkGraph(check, parts.graph, loc.With(graphLoc))
	}
	if surplus {
		checkSurplus(check, crate, parts, loc)
	}
	return parts, check.Err() == nil
}

func checkGraph(check *wire.Checker, graph jsondoc.Value, loc wire.Loc) {
	if !check.Array(graph, loc) {
		return
	}
	n := 0
	for i, entity := range graph.Elements() {
		n++
		if entity.Kind() != jsondoc.Object {
			if check.Full() {
				return
			}
			check.Dict(entity, loc.With(i))
		}
	}
	if n == 0 {
		check.Add("too_short", loc, "List should have at least 1 item after validation, not 0", graph,
			`{"field_type":"List","min_length":1,"actual_length":0}`)
	}
}

// checkSurplus reports the members that are neither context nor graph.
func checkSurplus(check *wire.Checker, crate jsondoc.Value, parts crateParts, loc wire.Loc) {
	for _, m := range crate.UniqueMembers() {
		switch m.Value {
		case parts.context, parts.graph:
			continue
		}
		check.Add("extra_forbidden", loc.With(m.Name), "Extra inputs are not permitted", m.Value, "")
	}
}

// findRoot gives the first entity whose id is "./".
func findRoot(graph jsondoc.Value) jsondoc.Value {
	for _, entity := range graph.Elements() {
		if entity.Member("@id").Is("./") {
			return entity
		}
	}
	return jsondoc.Value{}
}

// volatileMembers are rewritten by the ARC library at every export, so they say
// nothing about a change.
var volatileMembers = []string{"datePublished", "sdDatePublished", "dateModified"}

// contentHash gives the hash of the canonical text of the crate without volatile
// members. What has no canonical text is reported.
func contentHash(check *wire.Checker, parts crateParts, loc wire.Loc) (sum [32]byte, ok bool) {
	h := sha256.New()
	h.Write([]byte(`{"@context": `))
	err := parts.context.WriteCanonical(h, volatileMembers...)
	h.Write([]byte(`, "@graph": `))
	err = errors.Join(err, parts.graph.WriteCanonical(h, volatileMembers...))
	h.Write([]byte(`}`))
	if err != nil || parts.graph.Doc().Suspect() {
		reportUnstorable(check, parts.context, loc.With(contextKey))
		reportUnstorable(check, parts.graph, loc.With(graphKey))
	}
	return [32]byte(h.Sum(nil)), check.Err() == nil
}

// document gives the text to store.
func (p crateParts) document(crate jsondoc.Value) []byte {
	if p.asStored {
		return crate.Raw()
	}
	context, graph := p.context.Raw(), p.graph.Raw()
	doc := make([]byte, 0, len(context)+len(graph)+32)
	doc = append(append(doc, `{"`+contextKey+`":`...), context...)
	doc = append(append(doc, `,"`+graphKey+`":`...), graph...)
	return append(doc, '}')
}
