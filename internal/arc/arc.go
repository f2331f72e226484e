// Package arc is the model of an Annotated Research Context (ARC): the
// investigation with its studies, assays, workflows and runs, their people,
// publications and comments, their annotation tables and data maps, and the
// processing units of workflows and runs.
//
// It is pure data with the rules that belong to the data itself, whatever it is
// read from or written to: how an accession becomes a short form and a URL
// (term.go), which kinds of columns a table may have and what they hold
// (header.go), how rows become columns and equal cells become one (table.go).
// It reads no crate, writes no file, and imports nothing but the standard
// library.
//
// Values are built by one goroutine; once built they may be read by many.
package arc

// Investigation is a whole ARC: the metadata of the investigation and all its
// parts, each list in the order in which it is to be written.
type Investigation struct {
	Identifier        string
	Title             string
	Description       string
	SubmissionDate    string // free text, never reformatted
	PublicReleaseDate string // free text, never reformatted
	OntologySources   []OntologySource
	Publications      []Publication
	Contacts          []Person
	Comments          []Comment
	Studies           []*Study
	Assays            []*Assay
	Workflows         []*Workflow
	Runs              []*Run
	License           *License // nil when there is none
}

// Study is a part of an ARC that describes how material came about.
type Study struct {
	Identifier        string // name of the folder
	Title             string
	Description       string
	SubmissionDate    string
	PublicReleaseDate string
	Publications      []Publication
	Contacts          []Person
	Comments          []Comment
	Tables            []*Table
	DataMap           DataMap
}

// Assay is a part of an ARC that describes a measurement.
type Assay struct {
	Identifier         string // name of the folder
	Title              string
	Description        string
	MeasurementType    OntologyTerm
	TechnologyType     OntologyTerm
	TechnologyPlatform OntologyTerm
	Performers         []Person
	Comments           []Comment
	Tables             []*Table
	DataMap            DataMap
}

// Workflow is a part of an ARC that describes a computation that can be run.
type Workflow struct {
	Identifier  string // name of the folder
	Title       string
	Description string
	Type        OntologyTerm
	URI         string
	Version     string
	Components  []Component
	Contacts    []Person
	Comments    []Comment
	DataMap     DataMap
	Unit        *ProcessingUnit // nil when there is no CWL document
}

// Run is a part of an ARC that describes a computation that was run.
type Run struct {
	Identifier         string // name of the folder
	Title              string
	Description        string
	MeasurementType    OntologyTerm
	TechnologyType     OntologyTerm
	TechnologyPlatform OntologyTerm
	Performers         []Person
	Comments           []Comment
	Tables             []*Table
	DataMap            DataMap
	Unit               *ProcessingUnit // nil when there is no CWL document
}

// OntologySource is an ontology that the terms of an investigation come from.
type OntologySource struct {
	Name, File, Version, Description string
}

// Comment is a named remark about an object. Names are distinct within an
// object.
type Comment struct {
	Name, Value string
}

// Person is a contact or a performer.
type Person struct {
	FirstName, LastName, MidInitials string
	Email, Phone, Fax                string
	Address, Affiliation             string
	ORCID                            string // 0000-0000-0000-0000, empty when unknown
	Roles                            []OntologyTerm
	Comments                         []Comment // without the ORCID
}

// Publication is a scholarly article about an investigation or study.
type Publication struct {
	PubMedID, DOI, AuthorList, Title string
	Status                           OntologyTerm
	Comments                         []Comment
}

// Component is a part of a workflow or protocol: a tool, a reagent, a device.
type Component struct {
	Name string // the value as text, with unit and short form: 12 ml (UO:0000098)
	Type OntologyTerm
}

// License says under which terms an ARC may be used. ID is the @id of the
// license in the crate; which file that becomes is decided by whoever writes.
type License struct {
	ID   string
	Text *string // nil when the crate has no text
}
