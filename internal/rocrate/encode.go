package rocrate

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/fairagro/middleware-api/internal/arc"
)

// Encode writes an ARC as an RO-Crate 1.2 metadata document (UTF-8, compact),
// in the profile that ARCs use: flattened, one LabProcess for each row of an
// annotation table. Reading it again, here or with the reference library, gives
// the same ARC, as far as a crate can say it: ontology sources are not part of
// a crate, a table with characteristics but without inputs (or with factors but
// without outputs) gets generated ones, and performer and date columns
// become agent and endTime of the processes, which no reader turns into
// columns.
//
// The document depends on nothing but the ARC. The error names the table that
// has no form in a crate: one with more than one input or output in a row, or
// with a kind of column that no crate knows.
func Encode(inv *arc.Investigation) ([]byte, error) {
	w := newCrateWriter()
	root := w.investigation(inv)
	if w.err != nil {
		return nil, w.err
	}
	var doc bytes.Buffer
	doc.WriteString(`{"@context":["https://w3id.org/ro/crate/1.2/context",{`)
	for i, term := range contextTerms {
		if i > 0 {
			doc.WriteByte(',')
		}
		doc.WriteString(`"` + term.name + `":"` + term.iri + `"`)
	}
	doc.WriteString(`}],"@graph":[{"@id":"ro-crate-metadata.json","@type":"CreativeWork",` +
		`"conformsTo":{"@id":"https://w3id.org/ro/crate/1.2"},"about":{"@id":"./"}}`)
	appendEntity(&doc, root)
	doc.Write(w.graph.Bytes())
	doc.WriteString("]}")
	return doc.Bytes(), nil
}

// contextTerms are the terms of ARC crates that the RO-Crate context lacks.
var contextTerms = []struct{ name, iri string }{
	{"Sample", "https://bioschemas.org/Sample"},
	{"LabProtocol", "https://bioschemas.org/LabProtocol"},
	{"LabProcess", "https://bioschemas.org/LabProcess"},
	{"computationalTool", "https://bioschemas.org/properties/computationalTool"},
	{"labEquipment", "https://bioschemas.org/properties/labEquipment"},
	{"reagent", "https://bioschemas.org/properties/reagent"},
	{"intendedUse", "https://bioschemas.org/properties/intendedUse"},
	{"executesLabProtocol", "https://bioschemas.org/properties/executesLabProtocol"},
	{"parameterValue", "https://bioschemas.org/properties/parameterValue"},
	{"columnIndex", "https://w3id.org/ro/terms/arc#columnIndex"},
}

// ref is a reference to an entity: its @id.
type ref string

// property is a member of an entity. Its value is a string, a []string, a ref
// or a []ref.
type property struct {
	name  string
	value any
}

// entity is a node of the graph on its way out.
type entity struct {
	id         string
	types      []string
	additional string // additionalType
	properties []property
}

// text adds a text unless it is empty: an absent text reads as an empty one.
func (e *entity) text(name, value string) {
	if value != "" {
		e.properties = append(e.properties, property{name, value})
	}
}

// must adds a text even if it is empty, because the entity does not count
// without it.
func (e *entity) must(name, value string) {
	e.properties = append(e.properties, property{name, value})
}

func (e *entity) ref(name string, id ref) {
	if id != "" {
		e.properties = append(e.properties, property{name, id})
	}
}

func (e *entity) refs(name string, ids []ref) {
	if len(ids) > 0 {
		e.properties = append(e.properties, property{name, ids})
	}
}

func (e *entity) texts(name string, values []string) {
	if len(values) > 0 {
		e.properties = append(e.properties, property{name, values})
	}
}

// crateWriter collects the entities of a crate. Equal entities are written once;
// others never share an @id, because readers merge those that do.
type crateWriter struct {
	graph   bytes.Buffer
	used    map[string]bool
	numbers map[string]int // the last number given to an @id that was taken
	byWords map[string]ref // what an entity says, without its @id
	scratch bytes.Buffer
	err     error
}

func newCrateWriter() *crateWriter {
	return &crateWriter{
		used:    map[string]bool{"./": true, "ro-crate-metadata.json": true},
		numbers: map[string]int{},
		byWords: map[string]ref{},
	}
}

// add writes an entity under its @id or, if that is taken, under one like it.
func (w *crateWriter) add(e entity) ref {
	base := e.id
	for w.used[e.id] {
		w.numbers[base]++
		e.id = base + "_" + strconv.Itoa(w.numbers[base]+1)
	}
	w.used[e.id] = true
	appendEntity(&w.graph, e)
	return ref(e.id)
}

// share is add for entities that may stand for several equal ones.
func (w *crateWriter) share(e entity) ref {
	w.scratch.Reset()
	appendEntity(&w.scratch, e)
	if id, ok := w.byWords[w.scratch.String()]; ok {
		return id
	}
	words := w.scratch.String()
	id := w.add(e)
	w.byWords[words] = id
	return id
}

func (w *crateWriter) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// appendEntity writes an entity behind others.
func appendEntity(b *bytes.Buffer, e entity) {
	b.WriteByte(',')
	b.WriteByte('{')
	appendMember(b, "@id", e.id)
	b.WriteByte(',')
	if len(e.types) == 1 {
		appendMember(b, "@type", e.types[0])
	} else {
		appendMember(b, "@type", e.types)
	}
	if e.additional != "" {
		b.WriteByte(',')
		appendMember(b, "additionalType", e.additional)
	}
	for _, p := range e.properties {
		b.WriteByte(',')
		appendMember(b, p.name, p.value)
	}
	b.WriteByte('}')
}

func appendMember(b *bytes.Buffer, name string, value any) {
	appendString(b, name)
	b.WriteByte(':')
	switch v := value.(type) {
	case string:
		appendString(b, v)
	case ref:
		appendRef(b, v)
	case []string:
		appendList(b, v, appendString)
	case []ref:
		appendList(b, v, appendRef)
	}
}

func appendList[T any](b *bytes.Buffer, values []T, one func(*bytes.Buffer, T)) {
	b.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		one(b, v)
	}
	b.WriteByte(']')
}

func appendRef(b *bytes.Buffer, id ref) {
	b.WriteString(`{"@id":`)
	appendString(b, string(id))
	b.WriteByte('}')
}

// appendString writes a JSON text. Bytes that are no UTF-8 become U+FFFD.
func appendString(b *bytes.Buffer, s string) {
	quoted, err := jsontext.AppendQuote(b.AvailableBuffer(), s)
	if err != nil { // invalid UTF-8, which AppendQuote has replaced
		quoted, _ = jsontext.AppendQuote(nil, string([]rune(s)))
	}
	b.Write(quoted)
}
