// Package datagen makes up the database of a research data infrastructure for
// tests and measurements: any number of datasets, every kind of column of
// annotation tables, values that break careless programs. A shape and a number
// always give the same dataset, whatever was made before.
//
// It is for tests and measurements only. Generators are values and safe for
// concurrent use.
package datagen

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// Shape says what the datasets look like.
type Shape struct {
	Investigations int
	Studies        int // per investigation
	Assays         int // per investigation
	Cells          int // annotation cells per investigation, at least
	Nasty          bool
	Seed           uint64
}

// Small has every kind of value in few datasets.
func Small() Shape {
	return Shape{Investigations: 40, Studies: 2, Assays: 4, Cells: 120, Nasty: true}
}

// Benchmark is the load that the speed of the converter is measured with.
func Benchmark(investigations int) Shape {
	return Shape{Investigations: investigations, Studies: 2, Assays: 4, Cells: 40}
}

// nasty are values that have to arrive unchanged. The NUL character is missing
// because no database takes it.
var nasty = []string{
	`it's "quoted" and \back\slashed`, `\N`, `\.`, "two\nlines", "tab\tand\r\nreturn", `{"json": ["a", null]}`,
	"=1+1", "Ünïcödé, 植物, Ελλάδα", "🌱🧪 beyond the first plane", "שלום right to left", "e\u0301 combining",
	" blanks around ", "NULL", "null", "%s %d %%", "'; DROP TABLE x; --", "a,b;c|d", "<b>&amp;</b>", "_x000A_", "\u2028\u00a0\ufeff",
	strings.Repeat("long ", 1000), "0", "007", "1e400", "-", "${HOME} `id`", "\u0001\u001f control",
}

// generator makes one dataset.
type generator struct {
	Shape
	n   int
	rng *rand.Rand
	d   *source.Dataset
	id  string
}

// Dataset gives the n-th dataset, counted from 0.
func (s Shape) Dataset(n int) *source.Dataset {
	g := &generator{Shape: s, n: n, rng: rand.New(rand.NewPCG(s.Seed, uint64(n)))} //nolint:gosec // not for secrets
	g.id = fmt.Sprintf("DS-%07d", n)
	g.d = &source.Dataset{}
	g.d.Investigation = row(len(source.Views()[0].Columns), g.id, g.words("Investigation", 6), g.words("We measured", 30), g.time(), g.time())
	for i := range s.Studies {
		g.study(i)
	}
	for i := range s.Assays {
		g.assay(i)
	}
	g.people()
	g.cells()
	return g.d
}

// row makes a row of width values; nil is NULL.
func row(width int, values ...any) source.Row {
	r := make(source.Row, width)
	for i, v := range values {
		switch v := v.(type) {
		case string:
			r[i] = source.Value{Text: v, Valid: true}
		case int:
			r[i] = source.Value{Text: strconv.Itoa(v), Valid: true}
		}
	}
	return r
}

var vocabulary = strings.Fields("soil nitrogen wheat barley drought yield root phosphate plot replicate field season " +
	"genotype biomass leaf canopy sensor moisture temperature sample treatment fertiliser rotation earthworm collembola")

func (g *generator) words(first string, n int) string {
	var b strings.Builder
	b.WriteString(first)
	for range n {
		b.WriteByte(' ')
		b.WriteString(vocabulary[g.rng.IntN(len(vocabulary))])
	}
	if g.Nasty && g.rng.IntN(3) == 0 {
		b.WriteByte(' ')
		b.WriteString(nasty[g.rng.IntN(len(nasty))])
	}
	return b.String()
}

// maybe gives the value, or NULL one time in four.
func (g *generator) maybe(v string) any {
	if g.rng.IntN(4) == 0 {
		return nil
	}
	return v
}

func (g *generator) time() any {
	if g.rng.IntN(5) == 0 {
		return nil
	}
	micro := ""
	if g.rng.IntN(3) == 0 {
		micro = fmt.Sprintf(".%06d", 1+g.rng.IntN(999999))
	}
	return fmt.Sprintf("20%02d-%02d-%02d %02d:%02d:%02d%s", 10+g.rng.IntN(16), 1+g.rng.IntN(12), 1+g.rng.IntN(28),
		g.rng.IntN(24), g.rng.IntN(60), g.rng.IntN(60), micro)
}

func studyID(i int) string { return fmt.Sprintf("study_%d", i+1) }
func assayID(i int) string { return fmt.Sprintf("assay-%d", i+1) }

func (g *generator) study(i int) {
	g.d.Studies = append(g.d.Studies, row(6, studyID(i), g.words("Study", 4), g.maybe(g.words("Description", 12)), g.time(), g.time(), g.id))
}

func (g *generator) assay(i int) {
	var studies any
	switch {
	case g.Studies == 0 || g.rng.IntN(10) == 0:
	case g.rng.IntN(3) == 0 && g.Studies > 1:
		studies = fmt.Sprintf(`[%q, %q]`, studyID(0), studyID(1))
	case g.rng.IntN(2) == 0:
		studies = fmt.Sprintf(`[%q]`, studyID(i%g.Studies))
	default:
		studies = studyID(i % g.Studies)
	}
	var platform any
	if g.rng.IntN(2) == 0 {
		platform = "Illumina NovaSeq 6000"
	}
	g.d.Assays = append(g.d.Assays, row(12, assayID(i), g.maybe(g.words("Assay", 3)), g.maybe(g.words("An assay of", 8)),
		"nitrogen content", g.maybe("http://purl.obolibrary.org/obo/OBI_0000366"), g.maybe("2026-01-01"),
		"mass spectrometry", g.maybe("OBI:0000470"), nil, platform, g.id, studies))
}

func (g *generator) people() {
	roles := []any{nil, `[]`, `[{"term": "principal investigator", "uri": "http://purl.org/spar/scoro/principal-investigator", "version": "1"}]`,
		`[{"term": "data curator", "uri": "NCIT:C69141"}, {"term": "researcher"}]`}
	contact := func(i int, target string, ref any) {
		g.d.Contacts = append(g.d.Contacts, row(12, fmt.Sprintf("Meyer%d", i), fmt.Sprintf("Ada %d", i), g.maybe("B."),
			g.maybe(fmt.Sprintf("ada%d@example.org", i)), g.maybe("+49 30 1234"), nil, g.maybe("Feldweg 1, 12345 Ackerstadt"),
			g.maybe("Institute of Soil Science"), roles[g.rng.IntN(len(roles))], target, ref, g.id))
	}
	contact(0, "investigation", nil)
	contact(1, "investigation", nil)
	publication := func(i int, target string, ref any) {
		g.d.Publications = append(g.d.Publications, row(10, g.maybe(strconv.Itoa(30000000+i)), g.maybe(fmt.Sprintf("10.1000/%d.%d", g.n, i)),
			"Meyer A, Schulze B", g.words("On", 7), g.maybe("published"), g.maybe("http://purl.org/spar/pso/published"), nil, target, ref, g.id))
	}
	publication(0, "investigation", nil)
	if g.Studies > 0 {
		contact(2, "study", studyID(0))
		publication(1, "study", studyID(0))
	}
	if g.Assays > 0 {
		contact(3, "assay", assayID(0))
	}
}
