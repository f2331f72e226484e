package jsonld

import "sync"

// Property is a property that ARCs use.
type Property uint8

// The properties, by their names in schema.org and Bioschemas. Those of
// Bioschemas had another IRI once; [Property.Former] is the property with that.
const (
	Identifier Property = iota
	Name
	Headline
	Description
	DateCreated
	DatePublished
	DateModified
	Creator
	Citation
	CommentProperty
	HasPart
	License
	TextProperty
	About
	VariableMeasured
	MeasurementMethod
	MeasurementTechnique
	PropertyID
	TermCode
	GivenName
	FamilyName
	AdditionalName
	Email
	Telephone
	FaxNumber
	Address
	Affiliation
	JobTitle
	DisambiguatingDescription
	ValueProperty
	SameAs
	URL
	Author
	CreativeWorkStatus
	Object
	Result
	Version
	EncodingFormat
	UsageInfo
	AdditionalProperty
	ValueReference
	UnitText
	UnitCode
	SubjectOf
	Pattern
	AlternateName
	MainEntity
	ExampleOfWork
	Instrument
	AdditionalType
	ExecutesLabProtocol
	ParameterValue
	IntendedUse
	LabEquipment
	Reagent
	ComputationalTool
	Input
	Output
	formerExecutesLabProtocol
	formerParameterValue
	formerIntendedUse
	formerLabEquipment
	formerReagent
	formerComputationalTool
	formerInput
	formerOutput
	numProperties
)

const (
	schemaOrg      = "http://schema.org/"
	bioschemas     = "https://bioschemas.org/"
	bioschemasProp = "https://bioschemas.org/properties/"
)

var propertyNames = [...]string{
	Identifier: "identifier", Name: "name", Headline: "headline", Description: "description",
	DateCreated: "dateCreated", DatePublished: "datePublished", DateModified: "dateModified",
	Creator: "creator", Citation: "citation", CommentProperty: "comment", HasPart: "hasPart",
	License: "license", TextProperty: "text", About: "about", VariableMeasured: "variableMeasured",
	MeasurementMethod: "measurementMethod", MeasurementTechnique: "measurementTechnique",
	PropertyID: "propertyID", TermCode: "termCode", GivenName: "givenName", FamilyName: "familyName",
	AdditionalName: "additionalName", Email: "email", Telephone: "telephone", FaxNumber: "faxNumber",
	Address: "address", Affiliation: "affiliation", JobTitle: "jobTitle",
	DisambiguatingDescription: "disambiguatingDescription", ValueProperty: "value", SameAs: "sameAs",
	URL: "url", Author: "author", CreativeWorkStatus: "creativeWorkStatus", Object: "object",
	Result: "result", Version: "version", EncodingFormat: "encodingFormat", UsageInfo: "usageInfo",
	AdditionalProperty: "additionalProperty", ValueReference: "valueReference", UnitText: "unitText",
	UnitCode: "unitCode", SubjectOf: "subjectOf", Pattern: "pattern", AlternateName: "alternateName",
	MainEntity: "mainEntity", ExampleOfWork: "exampleOfWork", Instrument: "instrument",
	AdditionalType:      "additionalType",
	ExecutesLabProtocol: "executesLabProtocol", ParameterValue: "parameterValue", IntendedUse: "intendedUse",
	LabEquipment: "labEquipment", Reagent: "reagent", ComputationalTool: "computationalTool",
	Input: "input", Output: "output",
	formerExecutesLabProtocol: "executesLabProtocol", formerParameterValue: "parameterValue",
	formerIntendedUse: "intendedUse", formerLabEquipment: "labEquipment", formerReagent: "reagent",
	formerComputationalTool: "computationalTool", formerInput: "input", formerOutput: "output",
}

// Name gives the name of the property in its vocabulary.
func (p Property) Name() string { return propertyNames[p] }

// Former gives the property with the IRI that p had once.
func (p Property) Former() (Property, bool) {
	if p < ExecutesLabProtocol || p > Output {
		return 0, false
	}
	return p - ExecutesLabProtocol + formerExecutesLabProtocol, true
}

// iri gives the IRI of the property.
func (p Property) iri() string { return propertyIRIs[p] }

var propertyIRIs = func() (iris [numProperties]string) {
	for p := range numProperties {
		switch {
		case p >= formerExecutesLabProtocol:
			iris[p] = bioschemas + propertyNames[p]
		case p >= ExecutesLabProtocol:
			iris[p] = bioschemasProp + propertyNames[p]
		default:
			iris[p] = schemaOrg + propertyNames[p]
		}
	}
	return iris
}()

// Type is a set of types that ARCs use.
type Type uint32

// The types.
const (
	Dataset Type = 1 << iota
	CreativeWork
	Person
	Organization
	Comment
	File
	DefinedTerm
	PropertyValue
	ScholarlyArticle
	SoftwareSourceCode
	CreateAction
	PostalAddress
	Sample
	LabProcess
	LabProtocol
	ComputationalWorkflow
	FormalParameter
	endOfTypes
)

// typeTerm is a type as the contexts know it.
type typeTerm struct{ term, iri string }

var typeTerms = map[Type]typeTerm{
	Dataset:               {"Dataset", schemaOrg + "Dataset"},
	CreativeWork:          {"CreativeWork", schemaOrg + "CreativeWork"},
	Person:                {"Person", schemaOrg + "Person"},
	Organization:          {"Organization", schemaOrg + "Organization"},
	Comment:               {"Comment", schemaOrg + "Comment"},
	File:                  {"File", schemaOrg + "MediaObject"},
	DefinedTerm:           {"DefinedTerm", schemaOrg + "DefinedTerm"},
	PropertyValue:         {"PropertyValue", schemaOrg + "PropertyValue"},
	ScholarlyArticle:      {"ScholarlyArticle", schemaOrg + "ScholarlyArticle"},
	SoftwareSourceCode:    {"SoftwareSourceCode", schemaOrg + "SoftwareSourceCode"},
	CreateAction:          {"CreateAction", schemaOrg + "CreateAction"},
	PostalAddress:         {"PostalAddress", schemaOrg + "PostalAddress"},
	Sample:                {"Sample", bioschemas + "Sample"},
	LabProcess:            {"LabProcess", bioschemas + "LabProcess"},
	LabProtocol:           {"LabProtocol", bioschemas + "LabProtocol"},
	ComputationalWorkflow: {"ComputationalWorkflow", bioschemas + "ComputationalWorkflow"},
	FormalParameter:       {"FormalParameter", bioschemas + "FormalParameter"},
}

// builtin are the terms of an RO-Crate context that matter here.
type builtin struct {
	definitions map[string]string // term to IRI
	terms       map[string]string // IRI to term
}

// builtinContext gives a published context by its address.
func builtinContext(address string) (*builtin, bool) {
	switch address {
	case "https://w3id.org/ro/crate/1.2/context", "https://w3id.org/ro/crate/1.2-DRAFT/context":
		return context12(), true
	case "https://w3id.org/ro/crate/1.1/context":
		return context11(), true
	}
	return nil, false
}

// The contexts are made when a crate wants them.
var (
	context11 = sync.OnceValue(func() *builtin { return newBuiltin(false) })
	context12 = sync.OnceValue(func() *builtin { return newBuiltin(true) })
)

// newBuiltin makes the RO-Crate context 1.1, or 1.2, which knows more.
func newBuiltin(is12 bool) *builtin {
	b := &builtin{definitions: map[string]string{"schema": schemaOrg}, terms: map[string]string{}}
	add := func(term, iri string) {
		b.definitions[term] = iri
		b.terms[iri] = term
	}
	for p := range ExecutesLabProtocol {
		if p != MeasurementMethod || is12 {
			add(p.Name(), p.iri())
		}
	}
	for t := Dataset; t < Sample; t <<= 1 {
		add(typeTerms[t].term, typeTerms[t].iri)
	}
	b.definitions["MediaObject"] = typeTerms[File].iri
	if is12 {
		add(Input.Name(), Input.iri())
		add(Output.Name(), Output.iri())
		add(typeTerms[ComputationalWorkflow].term, typeTerms[ComputationalWorkflow].iri)
		add(typeTerms[FormalParameter].term, typeTerms[FormalParameter].iri)
		return b
	}
	// The reference library has these definitions of context 1.1 damaged, and so they hide
	// those of contexts that come later.
	for _, term := range []string{"input", "output", "ComputationalWorkflow", "FormalParameter"} {
		b.definitions[term] = "https"
	}
	return b
}
