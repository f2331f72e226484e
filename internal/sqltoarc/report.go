package sqltoarc

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// Report tells how a run went. Its JSON form is the JSON-LD document that the
// converter has always printed.
type Report struct {
	RDI      string
	RDIURL   string
	Duration time.Duration
	Counts   Counts
	Begun    bool     // it has come so far that it can be cut off: the harvest, if there is to be one, has begun
	Failed   []string // identifiers of the datasets that failed, sorted
	Err      error    // why the run was not brought to its end
}

func (r *runner) report(started time.Time, err error) *Report {
	return &Report{
		RDI: r.o.RDI, RDIURL: r.o.RDIURL, Duration: time.Since(started),
		Counts: r.counts(), Begun: r.begun, Failed: r.failedKeys(), Err: err,
	}
}

// vocabulary is the @context of the report.
type vocabulary struct {
	Schema   string  `json:"schema"`
	Prov     string  `json:"prov"`
	Void     string  `json:"void"`
	XSD      string  `json:"xsd"`
	Duration term    `json:"duration"`
	Failed   setTerm `json:"failed_ids"`
	Status   term    `json:"status"`
	Found    term    `json:"found_datasets"`
	Studies  term    `json:"total_studies"`
	Assays   term    `json:"total_assays"`
}

type term struct {
	ID string `json:"@id"`
}

type setTerm struct {
	ID        string `json:"@id"`
	Container string `json:"@container"`
}

type instrument struct {
	Type string `json:"@type"`
	Name string `json:"schema:name"`
}

type organization struct {
	ID         string `json:"@id"`
	Type       string `json:"@type"`
	Identifier string `json:"schema:identifier"`
	Name       string `json:"schema:name"`
}

type document struct {
	Context         vocabulary   `json:"@context"`
	Type            []string     `json:"@type"`
	Name            string       `json:"schema:name"`
	Instrument      instrument   `json:"schema:instrument"`
	Status          string       `json:"status"`
	Duration        string       `json:"duration"`
	DurationSeconds float64      `json:"duration_seconds"`
	Found           int64        `json:"found_datasets"`
	Studies         int64        `json:"total_studies"`
	Assays          int64        `json:"total_assays"`
	FailedDatasets  int64        `json:"failed_datasets"`
	FailedIDs       []string     `json:"failed_ids"`
	Used            organization `json:"prov:used"`
}

// MarshalJSON gives the JSON-LD form.
func (r *Report) MarshalJSON() ([]byte, error) {
	seconds := r.Duration.Seconds()
	d := document{
		Context: vocabulary{
			Schema: "http://schema.org/", Prov: "http://www.w3.org/ns/prov#", Void: "http://rdfs.org/ns/void#",
			XSD: "http://www.w3.org/2001/XMLSchema#", Duration: term{"schema:duration"},
			Failed: setTerm{"schema:error", "@set"}, Status: term{"schema:actionStatus"}, Found: term{"void:entities"},
			Studies: term{"schema:result"}, Assays: term{"schema:result"},
		},
		Type: []string{"prov:Activity", "schema:CreateAction"}, Name: "SQL to ARC Conversion Run",
		Instrument: instrument{"schema:SoftwareApplication", "FAIRagro Middleware SQL-to-ARC"},
		Status:     "schema:CompletedActionStatus", Duration: fmt.Sprintf("PT%.2fS", seconds), DurationSeconds: seconds,
		Found: r.Counts.Found, Studies: r.Counts.Studies, Assays: r.Counts.Assays,
		FailedDatasets: r.Counts.Failed, FailedIDs: r.Failed,
		Used: organization{r.RDIURL, "schema:Organization", r.RDI, "Research Data Infrastructure: " + r.RDI},
	}
	if d.FailedIDs == nil {
		d.FailedIDs = []string{}
	}
	if r.Counts.Failed > 0 || r.Err != nil {
		d.Status = "schema:FailedActionStatus"
	}
	return json.Marshal(d)
}

// WriteJSON writes the JSON-LD form, indented by two blanks.
func (r *Report) WriteJSON(w io.Writer) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// perSecond spells a rate, with two digits where it is small.
func perSecond(rate float64) string {
	if rate >= 10 {
		return strconv.FormatFloat(rate, 'f', 0, 64)
	}
	return strconv.FormatFloat(rate, 'g', 2, 64)
}

// maxSummaryIDs keeps the summary on one screen.
const maxSummaryIDs = 10

// WriteSummary writes the report for people.
func (r *Report) WriteSummary(w io.Writer) error {
	c := r.Counts
	rate := ""
	if s := r.Duration.Seconds(); s >= 1 {
		rate = fmt.Sprintf(" (%s datasets/s)", perSecond(float64(c.Found)/s))
	}
	_, err := fmt.Fprintf(w, "%s read with %s and %s in %s%s\n  %d new or changed, %d unchanged, %d failed, %s\n",
		source.Counted(c.Found, "dataset", "datasets"), source.Counted(c.Studies, "study", "studies"), source.Counted(c.Assays, "assay", "assays"),
		r.Duration.Round(10*time.Millisecond), rate, c.Uploaded, c.Unchanged, c.Failed, source.Counted(c.Warnings, "warning", "warnings"))
	for i, id := range r.Failed {
		if i == maxSummaryIDs {
			_, e := fmt.Fprintf(w, "  … and %d more\n", len(r.Failed)-i)
			err = errors.Join(err, e)
			break
		}
		_, e := fmt.Fprintf(w, "  failed: %s\n", cmp.Or(id, "(without an identifier)"))
		err = errors.Join(err, e)
	}
	return err
}
