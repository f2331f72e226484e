package arc

import "iter"

// ColumnKind is a kind of column of an annotation table.
type ColumnKind uint8

// The kinds of columns. To add one, add it here and describe it in columnKinds:
// alignment, sorting and the workbook writer go by the description. How a crate
// says it is told in package rocrate (column.go).
const (
	InputColumn ColumnKind = iota
	ProtocolREFColumn
	ProtocolTypeColumn
	ProtocolDescriptionColumn
	ProtocolURIColumn
	ProtocolVersionColumn
	PerformerColumn
	DateColumn
	ComponentColumn
	CharacteristicColumn
	FactorColumn
	ParameterColumn
	CommentColumn
	FreeTextColumn
	OutputColumn
)

// columnKind describes a kind of column.
type columnKind struct {
	label     string      // first word(s) of the header
	named     bool        // the header goes on with [NAME]
	group     ColumnGroup // where the column stands in a sheet
	holds     CellKind    // what its cells are: a text, a term (or a value with a unit), data
	accession string      // of the header, where the kind has a fixed one
}

var columnKinds = [...]columnKind{
	InputColumn:               {label: "Input", named: true, group: InputGroup, holds: TextCell},
	ProtocolREFColumn:         {label: "Protocol REF", group: ProtocolGroup, holds: TextCell},
	ProtocolTypeColumn:        {label: "Protocol Type", group: ProtocolGroup, holds: TermCell, accession: "DPBO:1000161"},
	ProtocolDescriptionColumn: {label: "Protocol Description", group: ProtocolGroup, holds: TextCell},
	ProtocolURIColumn:         {label: "Protocol Uri", group: ProtocolGroup, holds: TextCell},
	ProtocolVersionColumn:     {label: "Protocol Version", group: ProtocolGroup, holds: TextCell},
	PerformerColumn:           {label: "Performer", group: ProtocolGroup, holds: TextCell},
	DateColumn:                {label: "Date", group: ProtocolGroup, holds: TextCell},
	ComponentColumn:           {label: "Component", named: true, group: ValueGroup, holds: TermCell},
	CharacteristicColumn:      {label: "Characteristic", named: true, group: ValueGroup, holds: TermCell},
	FactorColumn:              {label: "Factor", named: true, group: ValueGroup, holds: TermCell},
	ParameterColumn:           {label: "Parameter", named: true, group: ValueGroup, holds: TermCell},
	CommentColumn:             {label: "Comment", named: true, group: ValueGroup, holds: TextCell},
	FreeTextColumn:            {group: ValueGroup, holds: TextCell},
	OutputColumn:              {label: "Output", named: true, group: OutputGroup, holds: TextCell},
}

// ColumnKinds gives all kinds of columns, so that whoever treats them one by one
// can check that none is forgotten.
func ColumnKinds() iter.Seq[ColumnKind] {
	return func(yield func(ColumnKind) bool) {
		for k := range columnKinds {
			if !yield(ColumnKind(k)) {
				return
			}
		}
	}
}

// ColumnGroup says where a column stands in a sheet: groups follow each other in
// ascending order.
type ColumnGroup uint8

// The groups of columns, from left to right.
const (
	InputGroup ColumnGroup = iota
	ProtocolGroup
	ValueGroup
	OutputGroup
)

// The well-known kinds of inputs and outputs: the Name of the term of an input
// or output header. Others are allowed.
const (
	IOSource   = "Source Name"
	IOSample   = "Sample Name"
	IOData     = "Data"
	IOMaterial = "Material"
)

// Header is the head of a column. Two headers are equal when kind and name of
// the term are; the accession does not matter.
type Header struct {
	Kind ColumnKind
	// Term is what the column is about: the term of a characteristic, factor,
	// parameter or component; only with a name: the kind of an input or output,
	// the key of a comment, the text of a free text column.
	Term OntologyTerm
}

// NewHeader makes a header that needs no more than a name, or none at all.
func NewHeader(kind ColumnKind, name string) Header {
	return Header{Kind: kind, Term: OntologyTerm{Name: name}}
}

// Text gives the header as it stands in a sheet: Parameter [temperature].
func (h Header) Text() string {
	k := columnKinds[h.Kind]
	switch {
	case k.label == "":
		return h.Term.Name
	case k.named:
		return k.label + " [" + h.Term.Name + "]"
	}
	return k.label
}

// Accession gives the short form of the accession of the header, or "".
func (h Header) Accession() string {
	if fixed := columnKinds[h.Kind].accession; fixed != "" {
		return fixed
	}
	return h.Term.Short()
}

// Group says where the column stands in a sheet.
func (h Header) Group() ColumnGroup { return columnKinds[h.Kind].group }

// Holds says what the cells of the column are. TermCell means that they may
// have units as well.
func (h Header) Holds() CellKind {
	if (h.Kind == InputColumn || h.Kind == OutputColumn) && h.Term.Name == IOData {
		return DataCell
	}
	return columnKinds[h.Kind].holds
}

// key is what equal headers have in common.
func (h Header) key() headerKey {
	if columnKinds[h.Kind].named || columnKinds[h.Kind].label == "" {
		return headerKey{h.Kind, h.Term.Name}
	}
	return headerKey{kind: h.Kind}
}

type headerKey struct {
	kind ColumnKind
	name string
}
