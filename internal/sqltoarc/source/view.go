package source

// Kind is what a column has to hold.
type Kind int

// The kinds of columns. Text takes any type of the database: numbers are turned
// into text.
const (
	Text Kind = iota
	Time
	Integer
)

// Column is one documented column of a view.
type Column struct {
	Name     string
	Kind     Kind
	Required bool // the column has to exist
	Extra    bool // nobody misses the column: the documentation of the views does not have it
	NotNull  bool // and a row without a value is of no use
}

// View is one documented view. Rows of it hold their values in the order of
// Columns.
type View struct {
	Name    string
	Columns []Column
	// Ref is the index of the column that names the investigation.
	Ref int
	// Essential marks the view without which there is nothing to do; any other
	// missing view counts as empty.
	Essential bool
}

// Columns of vInvestigation.
const (
	InvestigationIdentifier = iota
	InvestigationTitle
	InvestigationDescription
	InvestigationSubmission
	InvestigationRelease
	// InvestigationMarker is any value that differs whenever anything of the
	// dataset has changed: a time, a counter, a sum. NULL says nothing.
	InvestigationMarker
)

// Columns of vStudy.
const (
	StudyIdentifier = iota
	StudyTitle
	StudyDescription
	StudySubmission
	StudyRelease
	StudyInvestigation
)

// Columns of vAssay.
const (
	AssayIdentifier = iota
	AssayTitle
	AssayDescription
	AssayMeasurementTerm
	AssayMeasurementURI
	AssayMeasurementVersion
	AssayTechnologyTerm
	AssayTechnologyURI
	AssayTechnologyVersion
	AssayPlatform
	AssayInvestigation
	AssayStudies
)

// Columns of vPublication.
const (
	PublicationPubMedID = iota
	PublicationDOI
	PublicationAuthors
	PublicationTitle
	PublicationStatusTerm
	PublicationStatusURI
	PublicationStatusVersion
	PublicationTargetType
	PublicationTarget
	PublicationInvestigation
)

// Columns of vContact.
const (
	ContactLastName = iota
	ContactFirstName
	ContactMidInitials
	ContactEmail
	ContactPhone
	ContactFax
	ContactAddress
	ContactAffiliation
	ContactRoles
	ContactTargetType
	ContactTarget
	ContactInvestigation
)

// Columns of vAnnotationTable. From CellColumnType to CellColumnVersion they
// identify a column of the annotation table.
const (
	CellTable = iota
	CellTargetType
	CellTarget
	CellInvestigation
	CellColumnType
	CellColumnIO
	CellColumnValue
	CellColumnTerm
	CellColumnURI
	CellColumnVersion
	CellRow
	CellValue
	CellTerm
	CellURI
	CellVersion
)

func required(name string) Column  { return Column{Name: name, Required: true, NotNull: true} }
func optional(name string) Column  { return Column{Name: name} }
func timestamp(name string) Column { return Column{Name: name, Kind: Time} }

// Views gives the documented views: vInvestigation first, then in the order of
// the documentation.
func Views() []*View {
	return []*View{
		{Name: "vInvestigation", Essential: true, Ref: InvestigationIdentifier, Columns: []Column{
			required("identifier"), required("title"),
			// The documentation requires a description, but the earlier converter did
			// without the column as well as without a value.
			optional("description_text"),
			timestamp("submission_date"), timestamp("public_release_date"),
			{Name: "change_marker", Extra: true},
		}},
		{Name: "vStudy", Ref: StudyInvestigation, Columns: []Column{
			required("identifier"), required("title"), optional("description_text"),
			timestamp("submission_date"), timestamp("public_release_date"),
			required("investigation_ref"),
		}},
		{Name: "vAssay", Ref: AssayInvestigation, Columns: []Column{
			required("identifier"), optional("title"), optional("description_text"),
			optional("measurement_type_term"), optional("measurement_type_uri"), optional("measurement_type_version"),
			optional("technology_type_term"), optional("technology_type_uri"), optional("technology_type_version"),
			optional("technology_platform"), required("investigation_ref"), optional("study_ref"),
		}},
		{Name: "vPublication", Ref: PublicationInvestigation, Columns: []Column{
			optional("pubmed_id"), optional("doi"), optional("authors"), optional("title"),
			optional("status_term"), optional("status_uri"), optional("status_version"),
			required("target_type"), optional("target_ref"), required("investigation_ref"),
		}},
		{Name: "vContact", Ref: ContactInvestigation, Columns: []Column{
			optional("last_name"), optional("first_name"), optional("mid_initials"), optional("email"),
			optional("phone"), optional("fax"), optional("postal_address"), optional("affiliation"),
			optional("roles"), required("target_type"), optional("target_ref"), required("investigation_ref"),
		}},
		{Name: "vAnnotationTable", Ref: CellInvestigation, Columns: []Column{
			required("table_name"), required("target_type"), required("target_ref"), required("investigation_ref"),
			required("column_type"), optional("column_io_type"), optional("column_value"),
			optional("column_annotation_term"), optional("column_annotation_uri"), optional("column_annotation_version"),
			{Name: "row_index", Kind: Integer, Required: true, NotNull: true},
			optional("cell_value"), optional("cell_annotation_term"), optional("cell_annotation_uri"),
			optional("cell_annotation_version"),
		}},
	}
}
