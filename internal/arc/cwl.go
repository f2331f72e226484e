package arc

// UnitClass is the class of a CWL document.
type UnitClass string

// The classes of CWL documents.
const (
	CommandLineTool UnitClass = "CommandLineTool"
	CWLWorkflow     UnitClass = "Workflow"
	ExpressionTool  UnitClass = "ExpressionTool"
	Operation       UnitClass = "Operation"
)

// ProcessingUnit is a CWL document: what a workflow or a run computes.
type ProcessingUnit struct {
	Class      UnitClass
	Inputs     []CWLParameter
	Outputs    []CWLParameter
	Steps      []CWLStep // of a workflow
	Expression *string   // of an expression tool; nil when there is none
}

// CWLParameter is an input or an output of a processing unit.
type CWLParameter struct {
	Name     string
	Type     CWLType
	Prefix   *string // of an input on the command line; nil when there is none
	Position *int    // of an input on the command line; nil when there is none
	Glob     *string // of an output; nil when there is none
}

// CWLStep is a step of a workflow.
type CWLStep struct {
	Name string
	Run  string          // the CWL file to run
	Unit *ProcessingUnit // what is in that file, when the ARC knows it and it is no part of itself
}

// CWLTypeKind is a kind of CWL type.
type CWLTypeKind string

// The kinds of CWL types.
const (
	CWLFile      CWLTypeKind = "File"
	CWLDirectory CWLTypeKind = "Directory"
	CWLString    CWLTypeKind = "string"
	CWLInt       CWLTypeKind = "int"
	CWLLong      CWLTypeKind = "long"
	CWLFloat     CWLTypeKind = "float"
	CWLDouble    CWLTypeKind = "double"
	CWLBoolean   CWLTypeKind = "boolean"
	CWLNull      CWLTypeKind = "null"
	CWLStdout    CWLTypeKind = "stdout"
	CWLArray     CWLTypeKind = "array"
	CWLEnum      CWLTypeKind = "enum"
	CWLRecord    CWLTypeKind = "record"
	CWLUnion     CWLTypeKind = "union"
)

// CWLType is a type of CWL. An optional type (int?) is the union of null and
// the type.
type CWLType struct {
	Kind    CWLTypeKind
	Items   *CWLType   // of an array
	Symbols []string   // of an enum
	Fields  []CWLField // of a record
	Members []CWLType  // of a union
	Notes   []CWLNote  // of a File, Directory, array, enum or record
}

// CWLField is a field of a record.
type CWLField struct {
	Name  string
	Type  CWLType
	Notes []CWLNote
}

// CWLNote is something that is said about a type and does not change it: a label, a name, a format.
type CWLNote struct {
	Key   string
	Value CWLValue
}

// CWLValue is what a note says: a text, a list or a mapping.
type CWLValue struct {
	Text    string
	List    []CWLValue // nil unless it is a list
	Fields  []CWLNote  // nil unless it is a mapping
	Written bool       // as in the crate: texts have their quotes or are nothing, the items of a list lines of their own
}
