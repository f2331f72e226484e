package arc

// CellKind is a kind of cell of an annotation table.
type CellKind uint8

// The kinds of cells.
const (
	TextCell     CellKind = iota // a free text
	TermCell                     // a term, perhaps without an accession
	UnitizedCell                 // a value with a unit
	DataCell                     // a data file or a fragment of one
)

// Cell is a cell of an annotation table.
type Cell struct {
	Kind CellKind
	Text string       // of a text; value of a unitized cell
	Term OntologyTerm // of a term; the unit of a unitized cell
	Data Data
}

// NewTextCell makes a cell with a free text.
func NewTextCell(text string) Cell { return Cell{Kind: TextCell, Text: text} }

// NewTermCell makes a cell with a term.
func NewTermCell(term OntologyTerm) Cell { return Cell{Kind: TermCell, Term: term} }

// NewUnitizedCell makes a cell with a value and its unit.
func NewUnitizedCell(value string, unit OntologyTerm) Cell {
	return Cell{Kind: UnitizedCell, Text: value, Term: unit}
}

// NewDataCell makes a cell that points at data.
func NewDataCell(data Data) Cell { return Cell{Kind: DataCell, Data: data} }
