package rocrate

import (
	"iter"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// place is what a value hangs on.
type place uint8

const (
	onInput place = iota
	onProtocol
	onProcess
	onOutput
)

// valueColumn is a kind of column whose cells are property values in a crate: the
// header is their name and propertyID, the cell their value, valueReference or unit.
type valueColumn struct {
	kind arc.ColumnKind
	on   place
	// properties lead to the values. The first is written, all are read.
	properties []jsonld.Property
	// types are the additionalTypes of the values. The first is written. On inputs and
	// outputs, where all values share a property, only values with one of them are read.
	types []string
}

// valueColumns says how crates tell the columns about an ontology term, as the ISA
// profile of RO-Crate has it.
var valueColumns = [...]valueColumn{
	{arc.CharacteristicColumn, onInput, []jsonld.Property{jsonld.AdditionalProperty}, []string{"CharacteristicValue", "MaterialAttributeValue"}},
	{arc.ComponentColumn, onProtocol, []jsonld.Property{jsonld.ComputationalTool, jsonld.Reagent, jsonld.LabEquipment}, []string{"Component"}},
	{arc.ParameterColumn, onProcess, []jsonld.Property{jsonld.ParameterValue}, []string{"ParameterValue"}},
	{arc.FactorColumn, onOutput, []jsonld.Property{jsonld.AdditionalProperty}, []string{"FactorValue"}},
}

// valueColumnsOn gives the kinds whose values hang on something.
func valueColumnsOn(on place) iter.Seq[*valueColumn] {
	return func(yield func(*valueColumn) bool) {
		for i := range valueColumns {
			if c := &valueColumns[i]; c.on == on && !yield(c) {
				return
			}
		}
	}
}

// protocolTexts says which property of a protocol is which column, in the order of the columns.
var protocolTexts = [...]struct {
	kind     arc.ColumnKind
	property jsonld.Property
}{
	{arc.ProtocolREFColumn, jsonld.Name},
	{arc.ProtocolDescriptionColumn, jsonld.Description},
	{arc.ProtocolURIColumn, jsonld.URL},
	{arc.ProtocolVersionColumn, jsonld.Version},
}
