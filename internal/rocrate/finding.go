package rocrate

import (
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// Finding is something about a crate that its sender should know.
type Finding struct {
	Code     string      `json:"code"`     // stable, for machines
	Severity string      `json:"severity"` // SeverityError or SeverityWarning
	Pointer  string      `json:"pointer"`  // JSON Pointer (RFC 6901) into the crate
	Entity   string      `json:"entity"`   // @id of the entity, "" for the document
	Text     string      `json:"text"`     // what is the matter
	Remedy   string      `json:"remedy"`   // what to do about it
	Owner    fault.Owner `json:"owner"`    // who can
}

// maxFindingText bounds in bytes each text of a finding. Many findings may be about
// one entity, and its @id may be as long as the crate.
const maxFindingText = 2 << 10

// Shown gives the finding with texts that a report of many can hold.
func (f Finding) Shown() Finding {
	for _, text := range []*string{&f.Pointer, &f.Entity, &f.Text} {
		*text = Shown(*text, maxFindingText)
	}
	return f
}

// The severities of findings. A crate with an error becomes no ARC; a warning says what is
// lost on the way.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
)

// Codes of findings about the content of a crate; those about its graph are in
// package jsonld.
const (
	codeJSON       = "crate-json"         // not strict JSON
	codeTooLarge   = "crate-too-large"    // would become much larger than it is
	codeRoot       = "root-missing"       // no entity ./
	codeRequired   = "text-required"      // a text is absent or something else
	codeIdentifier = "identifier-invalid" // no name for a folder
	codeProcess    = "process-number"     // the number in the name of a process
	codeValue      = "value-ambiguous"    // a value with a unit and a term
	codeFile       = "file-kind"          // unknown kind of data file
	codeDataMap    = "data-map"           // a row of a data map
	codeWorkflow   = "workflow-invalid"   // what a workflow or a run computes
	codeCWLType    = "cwl-type"           // not a type of CWL
	codeIgnored    = "entity-ignored"     // an entity in a place where it does not count
	codeNotText    = "value-ignored"      // a value that would have to be a text
	codeDangling   = "reference-dangling" // refers to no entity
	codeRows       = "rows-dropped"       // inputs and outputs do not pair up
	codeSurrogate  = "text-damaged"       // half a surrogate pair
)

// maxFindings bounds how many findings are kept; the last says that there are more.
const maxFindings = 1000

// findings collects findings, errors before anything else is dropped.
type findings struct {
	list     []Finding
	errors   int
	silent   bool
	seen     map[findingKey]struct{}
	overflow bool
}

// findingKey keeps an entity that is used many times from being reported as often.
type findingKey struct {
	code, text string
	at         int
}

func (f *findings) add(severity, code string, at jsondoc.Value, entity, text, remedy string) {
	if severity == SeverityError {
		f.errors++
	}
	if f.silent {
		return
	}
	text = Shown(text, maxFindingText)
	key := findingKey{code: code, text: text, at: -1}
	if at.Exists() {
		key.at = at.Offset()
	}
	if _, ok := f.seen[key]; ok {
		return
	}
	if len(f.list) >= maxFindings && !f.makeRoom(severity) {
		f.overflow = true
		return
	}
	if f.seen == nil {
		f.seen = map[findingKey]struct{}{}
	}
	f.seen[key] = struct{}{}
	one := Finding{Code: code, Severity: severity, Entity: entity, Text: text, Remedy: remedy, Owner: fault.OwnerRDI}
	if at.Exists() {
		one.Pointer = at.Pointer()
	}
	f.list = append(f.list, one.Shown())
}

// makeRoom drops the last warning in favour of an error.
func (f *findings) makeRoom(severity string) bool {
	if severity != SeverityError {
		return false
	}
	for i := len(f.list) - 1; i >= 0; i-- {
		if f.list[i].Severity == SeverityWarning {
			f.list = append(f.list[:i], f.list[i+1:]...)
			f.overflow = true
			return true
		}
	}
	return false
}

// result gives the findings.
func (f *findings) result() []Finding {
	if f.overflow {
		f.list = append(f.list, Finding{
			Code: "findings-more", Severity: SeverityWarning, Owner: fault.OwnerRDI,
			Text:   "there are more findings than are listed",
			Remedy: "mend these first and send the crate again",
		})
	}
	return f.list
}
