package datagen

import (
	"fmt"
	"strconv"

	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// column is a column of an annotation table: what its cells have in common, and
// how one is made.
type column struct {
	kind, io, value, term, uri, version any
	cell                                func(g *generator, row int) (value, term, uri, version any)
}

func text(format string) func(*generator, int) (value, term, uri, version any) {
	return func(g *generator, row int) (value, term, uri, version any) {
		return fmt.Sprintf(format, g.n, row), nil, nil, nil
	}
}

func term(name, uri string) func(*generator, int) (value, term, uri, version any) {
	return func(g *generator, _ int) (value, name2, uri2, version any) {
		return nil, name, g.maybe(uri), g.maybe("2025-11-01")
	}
}

func measured(unit, uri string) func(*generator, int) (value, term, uri, version any) {
	return func(g *generator, _ int) (value, term, uri2, version any) {
		return strconv.FormatFloat(float64(g.rng.IntN(100000))/100, 'f', -1, 64), unit, uri, nil
	}
}

func nastyText(g *generator, row int) (value, term, uri, version any) {
	if !g.Nasty {
		return "a remark", nil, nil, nil
	}
	return nasty[(g.n+row)%len(nasty)], nil, nil, nil
}

func nothing(*generator, int) (value, term, uri, version any) { return nil, nil, nil, nil }

// columns has every type of column, with every kind of cell.
var columns = []column{
	{kind: "input", io: "source_name", cell: text("source %d.%d")},
	{kind: "characteristic", term: "organism", uri: "OBI:0100026", cell: term("Triticum aestivum", "http://purl.obolibrary.org/obo/NCBITaxon_4565")},
	{kind: "parameter", term: "temperature", uri: "http://purl.obolibrary.org/obo/PATO_0000146", version: "1", cell: measured("degree Celsius", "UO:0000027")},
	{kind: "factor", term: "fertiliser treatment", cell: nastyText},
	{kind: "output", io: "sample_name", cell: text("sample %d.%d")},
	{kind: "component", term: "centrifuge", uri: "OBI:0400106", cell: term("Centrifuge X1", "")},
	{kind: "comment", value: "remark", cell: nastyText},
	{kind: "date", cell: func(*generator, int) (value, term, uri, version any) { return "2026-03-01", nil, nil, nil }},
	{kind: "performer", cell: text("Ada %d.%d")},
	{kind: "parameter", term: "unused", cell: nothing},
	{kind: "characteristic", term: "depth", uri: "PATO:0001595", cell: measured("centimetre", "UO:0000015")},
}

// rawData are the columns of the table of an assay that has data files.
var rawData = []column{
	{kind: "input", io: "sample_name", cell: text("sample %d.%d")},
	{kind: "parameter", term: "instrument", uri: "MS:1000031", cell: term("Orbitrap", "http://purl.obolibrary.org/obo/MS_1000031")},
	{kind: "output", io: "data", cell: text("run_%d_%d.raw")},
}

var material = []column{
	{kind: "input", io: "material_name", cell: text("material %d.%d")},
	{kind: "output", io: "material_name", cell: text("extract %d.%d")},
}

// cells fills tables, one after the other, until there are enough cells.
func (g *generator) cells() {
	type target struct{ kind, ref string }
	var targets []target
	for i := range g.Assays {
		targets = append(targets, target{"assay", assayID(i)})
	}
	for i := range g.Studies {
		targets = append(targets, target{"study", studyID(i)})
	}
	if len(targets) == 0 {
		return
	}
	for t := 0; len(g.d.Cells) < g.Cells; t++ {
		at := targets[t%len(targets)]
		chosen, rows := columns[:5], 2
		if g.Nasty {
			chosen, rows = [][]column{columns, rawData, material}[t%3], 1+g.rng.IntN(4)
		}
		g.table(fmt.Sprintf("Process %d", t+1), at.kind, at.ref, chosen, rows)
	}
}

func (g *generator) table(name, kind, ref string, chosen []column, rows int) {
	for r := range rows {
		for _, c := range chosen {
			value, cellTerm, uri, version := c.cell(g, r)
			g.d.Cells = append(g.d.Cells, row(15, name, kind, ref, g.id, c.kind, c.io, c.value, c.term, c.uri, c.version,
				r, value, cellTerm, uri, version))
		}
	}
}

// rows gives the rows of a view, by its place among [source.Views].
func rows(d *source.Dataset, view int) []source.Row {
	return [][]source.Row{{d.Investigation}, d.Studies, d.Assays, d.Publications, d.Contacts, d.Cells}[view]
}
