package source

import (
	"strconv"
	"strings"
)

// Severity says what a finding means for the run.
type Severity string

// The severities: an error keeps the run or the dataset from being done, a
// warning changes the result, a note changes nothing.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Finding is something about the database that its owner should know: where it
// is, what it is, what follows from it and how it is mended.
type Finding struct {
	Severity Severity `json:"severity"`
	View     string   `json:"view,omitempty"`
	Key      string   `json:"key,omitempty"` // identifier of the investigation
	Row      string   `json:"row,omitempty"` // what tells the row from the others of the view
	Column   string   `json:"column,omitempty"`
	Text     string   `json:"text"`
	Remedy   string   `json:"remedy,omitempty"`
}

// String gives the finding on one line.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.View)
	if f.Column != "" {
		b.WriteString("." + f.Column)
	}
	if f.Key != "" {
		b.WriteString(" [" + f.Key + "]")
	}
	if f.Row != "" {
		b.WriteString(" " + f.Row)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(f.Text)
	if f.Remedy != "" {
		b.WriteString("; " + f.Remedy)
	}
	return b.String()
}

// Counted says how many there are of something.
func Counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}
