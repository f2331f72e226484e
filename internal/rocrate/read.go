package rocrate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// Read turns a crate into the ARC that the reference library of the ARC format makes
// of it. The findings are complete as far as one problem does not hide another;
// the investigation is nil if one of them is an error.
func Read(doc []byte) (*arc.Investigation, []Finding) { return read(doc, jsonld.Parse, nil) }

// Named is a part of an ARC as the bearer of its name: where its identifier stands or, if an entity is listed again as a part, where
// that is.
type Named struct{ Part any }

// Origin is where a part of an ARC stands in its crate.
type Origin struct {
	Pointer string // JSON Pointer (RFC 6901) into the crate
	Entity  string // @id of the entity
}

// ReadOrigins reads a crate that Read has read, and tells as well where its
// *arc.Investigation and each *arc.Study, *arc.Assay, *arc.Workflow, *arc.Run, *arc.Person, *arc.Publication,
// *arc.Comment and *arc.License of it stands, unless it is only a text there; of an *arc.Table, its first
// process. A Named part stands where its name does. Only who has a problem with one of them needs to know.
func ReadOrigins(doc []byte) (*arc.Investigation, map[any]Origin) {
	origins := map[any]Origin{}
	inv, _ := read(doc, jsonld.Parse, origins)
	return inv, origins
}

func read(doc []byte, parse func([]byte) (*jsonld.Document, error), origins map[any]Origin) (*arc.Investigation, []Finding) {
	var f findings
	d := parseStrict(doc, parse, &f)
	if d == nil {
		return nil, f.result()
	}
	defer d.Release()
	graph := jsonld.Read(d, func(code string, at jsondoc.Value, entity, text string) {
		f.add(SeverityError, code, at, entity, text, graphRemedies[code])
	})
	if graph == nil {
		return nil, f.result()
	}
	root, ok := graph.Node("./")
	if !ok {
		f.add(SeverityError, codeRoot, d.Root().Member("@graph"), "./", "the graph has no entity with the @id ./",
			"give the root data entity the @id ./ (a descriptor that names another one does not help)")
		return nil, f.result()
	}
	r := newReader(&f, graph, d.Len())
	r.origins = origins
	inv := r.investigation(root)
	if f.errors > 0 {
		return nil, f.result()
	}
	return inv, f.result()
}

// graphRemedies says what to do about problems of the graph.
var graphRemedies = map[string]string{
	jsonld.CodeDocument: `send {"@context": …, "@graph": […]}`,
	jsonld.CodeEntity:   "give every entry of @graph an @id (a text) and an @type (a text or a list of texts)",
	jsonld.CodeContext: "use https://w3id.org/ro/crate/1.2/context or https://w3id.org/ro/crate/1.1/context, " +
		"and define terms by texts",
	jsonld.CodeKey:   "give the property another name",
	jsonld.CodeMerge: "give each entity once, or the number as a text",
}

// parseStrict parses a document by the rules of RFC 8259, without byte order mark, or
// says why it is none.
func parseStrict(doc []byte, parse func([]byte) (*jsonld.Document, error), f *findings) *jsonld.Document {
	const remedy = "send strict JSON in UTF-8 without byte order mark"
	for _, mark := range []string{"\xef\xbb\xbf", "\xfe\xff", "\xff\xfe"} {
		if bytes.HasPrefix(doc, []byte(mark)) {
			f.add(SeverityError, codeJSON, jsondoc.Value{}, "", "the crate begins with a byte order mark", remedy)
			return nil
		}
	}
	if len(bytes.TrimSpace(doc)) == 0 {
		f.add(SeverityError, codeJSON, jsondoc.Value{}, "", "the crate is empty", graphRemedies[jsonld.CodeDocument])
		return nil
	}
	d, err := parse(doc)
	if syntax, ok := errors.AsType[*jsondoc.SyntaxError](err); ok {
		f.add(SeverityError, codeJSON, jsondoc.Value{}, "",
			fmt.Sprintf("the crate is not JSON: %s at character %d", syntax.Text, syntax.Offset), remedy)
		return nil
	}
	if err != nil {
		f.add(SeverityError, codeJSON, jsondoc.Value{}, "", "the crate cannot be read: "+err.Error(),
			fmt.Sprintf("%s, not nested more than %d levels, with integers of %d digits at most", remedy, jsondoc.MaxDepth, jsondoc.MaxIntDigits))
		return nil
	}
	if d.Suspect() {
		reportSuspects(f, d.Root().Expand())
	}
	if f.errors > 0 {
		d.Release()
		return nil
	}
	return d
}

// reportSuspects reports what the parser lets pass although it is not JSON.
func reportSuspects(f *findings, v jsondoc.Value) {
	switch v.Kind() {
	case jsondoc.Int, jsondoc.Float:
		if n := v.Float(); math.IsInf(n, 0) || math.IsNaN(n) {
			f.add(SeverityError, codeJSON, v, "", "NaN, Infinity and numbers beyond binary64 cannot be read",
				"leave the value out, make it null or write it as a JSON string")
		}
	case jsondoc.String:
		if v.HasLoneSurrogate() {
			f.add(SeverityWarning, codeSurrogate, v, "", "a text holds half of a surrogate pair, which becomes U+FFFD",
				"write characters beyond U+FFFF as they are or as a pair of escapes")
		}
	case jsondoc.Array:
		for _, element := range v.Elements() {
			reportSuspects(f, element)
		}
	case jsondoc.Object:
		for key, value := range v.Members() {
			reportSuspects(f, key)
			reportSuspects(f, value)
		}
	default:
	}
}

// reader turns the graph of one crate into an ARC.
type reader struct {
	*findings
	graph     *jsonld.Graph
	budget    *budget
	row       rowBuffers
	identity  string         // of the ARC, for generated identifiers
	generated int            // identifiers generated so far
	origins   map[any]Origin // nil if nobody wants to know
}

// origin remembers where a part of the ARC stands.
func origin[T any](r *reader, part *T, n jsonld.Node) *T {
	if r.origins != nil {
		r.origins[part] = originOf(n)
	}
	return part
}

// listed remembers where the parts of a list stand.
func listed[T any](r *reader, list []T, nodes []jsonld.Node) []T {
	for i := range list {
		origin(r, &list[i], nodes[i])
	}
	return list
}

func originOf(n jsonld.Node) Origin { return Origin{Pointer: n.At().Pointer(), Entity: n.ID()} }

// budget bounds what is made of a crate. Entities may be used many times, so that a
// small crate can stand for a huge ARC.
type budget struct {
	left     int // bytes, roughly
	work     int // bytes that may be looked at
	exceeded bool
}

// Factors of the budget: what a crate of n bytes may become.
const (
	budgetFactor = 16
	budgetFloor  = 16 << 20
	workFactor   = 4 // what may be looked at, in budgets
)

func newReader(f *findings, graph *jsonld.Graph, size int) *reader {
	size = size*budgetFactor + budgetFloor // documents are far from overflowing this
	return &reader{
		findings: f,
		graph:    graph,
		budget:   &budget{left: size, work: workFactor * size},
	}
}

// spend takes from the budget and says whether something is left.
func (r *reader) spend(bytes int, n jsonld.Node) bool {
	r.budget.left -= bytes
	if (r.budget.left < 0 || r.graph.Work() > r.budget.work) && !r.budget.exceeded {
		r.budget.exceeded = true
		r.error(codeTooLarge, n, "the crate uses the same entities so often that the ARC would be many times its size",
			"give each process and part its own entities")
	}
	return !r.budget.exceeded
}

func (r *reader) error(code string, n jsonld.Node, text, remedy string) {
	r.add(SeverityError, code, n.At(), n.ID(), text, remedy)
}

// errorIn reports an error in a value of a node, or in the node if it has no such value.
func (r *reader) errorIn(code string, n jsonld.Node, v jsondoc.Value, text, remedy string) {
	if !v.Exists() {
		v = n.At()
	}
	r.add(SeverityError, code, v, n.ID(), text, remedy)
}

func (r *reader) warn(code string, n jsonld.Node, at jsondoc.Value, text, remedy string) {
	if r.silent {
		return
	}
	if !at.Exists() {
		at = n.At()
	}
	r.add(SeverityWarning, code, at, n.ID(), text, remedy)
}

// required gives a text that must be there.
func (r *reader) required(n jsonld.Node, p jsonld.Property) string {
	text, ok := n.Text(p)
	if !ok {
		what := "has no " + p.Name()
		if n.Value(p).Exists() {
			what = "has a " + p.Name() + " that is not a text"
		}
		r.errorIn(codeRequired, n, n.Value(p), "the entity "+what, "give it a "+p.Name()+", a JSON string")
	}
	r.spend(len(text), n)
	return text
}

// optional gives a text, or "" if there is none.
func (r *reader) optional(n jsonld.Node, p jsonld.Property) string {
	text, _ := r.text(n, p)
	return text
}

// text gives a text and whether there is one. Other values do not count, which is worth a warning.
func (r *reader) text(n jsonld.Node, p jsonld.Property) (string, bool) {
	text, ok := n.Text(p)
	if ok {
		r.spend(len(text), n)
	} else if v := n.Value(p); v.Exists() {
		r.warnNoText(n, p, v)
	}
	return text, ok
}

// warnNoText reports a value that gets lost because it is not a text.
func (r *reader) warnNoText(n jsonld.Node, p jsonld.Property, v jsondoc.Value) {
	switch v.Kind() {
	case jsondoc.Int, jsondoc.Float, jsondoc.True, jsondoc.False:
		r.warn(codeNotText, n, v, "the "+p.Name()+" is not a text and gets lost", "write it as a JSON string: \""+short(v)+"\"")
	case jsondoc.Object:
		if v.Member("@value").Exists() {
			r.warn(codeNotText, n, v, "the "+p.Name()+" is a value object and gets lost", "write it as a JSON string")
		}
	default:
	}
}

// short shows a number or a truth value.
func short(v jsondoc.Value) string {
	raw := v.Raw()
	return string(raw[:min(len(raw), 40)])
}

// nodes gives the nodes of a property that have some types and properties. References to nowhere are
// worth a warning.
func (r *reader) nodes(n jsonld.Node, p jsonld.Property, types jsonld.Type, needs ...jsonld.Property) []jsonld.Node {
	return r.appendNodes(nil, n, p, types, needs...)
}

// appendNodes is nodes for those who read the same property of many nodes, one after the other.
func (r *reader) appendNodes(list []jsonld.Node, n jsonld.Node, p jsonld.Property, types jsonld.Type, needs ...jsonld.Property) []jsonld.Node {
	before := len(list)
	for v := range n.Values(p) {
		node, ok := r.graph.Resolve(v)
		if !ok {
			r.warnDangling(n, p, v)
			continue
		}
		if isA(node.In(n), types, needs...) {
			if !r.spend(nodeCost, n) {
				return list[:before]
			}
			list = append(list, node)
		}
	}
	return list
}

// nodeCost is what holding a node costs, in bytes.
const nodeCost = 64

// isA says whether a node counts as something.
func isA(n jsonld.Node, types jsonld.Type, needs ...jsonld.Property) bool {
	for _, p := range needs {
		if !n.Has(p) {
			return false
		}
	}
	return types == 0 || n.Is(types)
}

// warnDangling reports a value that is a reference, since it leads nowhere.
func (r *reader) warnDangling(n jsonld.Node, p jsonld.Property, v jsondoc.Value) {
	if v.Kind() != jsondoc.Object || v.Member("@id").Kind() != jsondoc.String || v.Member("@type").Exists() {
		return
	}
	r.warn(codeDangling, n, v, "the "+p.Name()+" refers to an entity that is not in the graph",
		"add the entity to @graph or remove the reference")
}

// jsonText gives a node as a text.
func (r *reader) jsonText(n jsonld.Node) string {
	text, err := n.AppendJSON(nil)
	if err != nil {
		r.error(codeRequired, n, err.Error(), "write the number as a JSON string")
	}
	r.spend(len(text), n)
	return string(text)
}

// missingIdentifier makes an identifier for a process that has no name of any kind. It is
// different for each, and the same whenever the crate is read.
func (r *reader) missingIdentifier() string {
	r.generated++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d", r.identity, r.generated))
	sum[6] = sum[6]&0x0f | 0x80 // version 8 and variant of RFC 9562
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return "MISSING_IDENTIFIER_" + strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
