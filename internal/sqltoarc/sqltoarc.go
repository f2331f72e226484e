// Package sqltoarc is the converter that runs at a research data infrastructure:
// it reads the datasets of an SQL database, builds an ARC of each, and brings
// them to the API as one harvest.
//
// Work goes through lanes: each reads a batch, builds what has changed, asks the
// service what it needs and sends that, before it reads the next one. Building
// is bounded by the number of cores, memory by the number of lanes. A dataset
// that fails harms no other; a run that is interrupted can be resumed. The
// package must never tell the API that a harvest is complete when it is not, and
// never write to the database.
//
// [Run] and [Check] are called once per process; what they report comes from
// several goroutines, one at a time.
package sqltoarc

import (
	"cmp"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/fairagro/middleware-api/internal/sqltoarc/mapping"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

// Options of a run.
type Options struct {
	ConnectionString string
	Schema           source.Schema
	RDI              string
	RDIURL           string // for the report
	Upload           upload.Options

	Builds    int // ARCs being built at a time; 0: one per core
	Tasks     int // batches in flight; 0: twice as many, or one if Builds is 1
	Limits    mapping.Limits
	BatchSize int // investigations per batch at most; 0: 500
	MaxBytes  int // of the rows of one dataset; 0: 64 MiB

	Only     []string // identifiers; empty: all
	Limit    int      // datasets at most; 0: all
	DryRun   bool     // build, but bring nothing anywhere
	Out      string   // folder to write to instead of uploading
	Folders  bool     // write ARC folders instead of crates
	Resume   bool     // go on with the harvest that was interrupted
	Thorough bool     // look at the rows of every dataset, whatever its marker says
	StateDir string   // where runs remember; empty: nowhere

	// Report is told what happens, by one goroutine at a time.
	Report func(Event)
	// Tracer makes spans of the run and of its batches; nil: nobody looks.
	Tracer trace.Tracer
}

func (o Options) complete() Options {
	if o.Tasks == 0 && o.Builds != 1 {
		o.Tasks = 2 * cmp.Or(o.Builds, runtime.GOMAXPROCS(0))
	}
	o.Tasks = max(o.Tasks, 1)
	o.Builds = cmp.Or(o.Builds, runtime.GOMAXPROCS(0))
	o.BatchSize = cmp.Or(o.BatchSize, 500)
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if o.Report == nil {
		o.Report = func(Event) {}
	}
	var mu sync.Mutex
	report := o.Report
	o.Report = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		e.Time = time.Now().UTC()
		report(e)
	}
	return o
}

// partial tells that not all datasets are meant, so that the run must not look
// like a harvest of everything: those left out would count as missing.
func (o Options) partial() bool { return len(o.Only) > 0 || o.Limit > 0 }

// Event is something that happens in a run.
type Event struct {
	Time    time.Time       `json:"time"`
	Kind    string          `json:"event"`
	Text    string          `json:"text,omitempty"`
	Harvest string          `json:"harvest_id,omitempty"`
	Total   int64           `json:"total,omitempty"`
	Counts  *Counts         `json:"counts,omitempty"`
	Finding *source.Finding `json:"finding,omitempty"`
	Report  any             `json:"report,omitempty"`
}

// Kinds of events.
const (
	EventBegin    = "begin"    // Total datasets are there
	EventHarvest  = "harvest"  // a harvest has begun, goes on, or has ended
	EventProgress = "progress" // Counts have changed
	EventFinding  = "finding"  // something about the data
	EventNote     = "note"     // something about the run
	EventReport   = "report"   // the report, at the end
)

// Counts say how far a run has come. Datasets are counted once they are done.
type Counts struct {
	Found     int64 `json:"found"`     // read from the database
	Uploaded  int64 `json:"uploaded"`  // acknowledged by the API, or written
	Unchanged int64 `json:"unchanged"` // the API has them already
	Failed    int64 `json:"failed"`
	Built     int64 `json:"built"` // ARCs built
	Warnings  int64 `json:"warnings"`
	Studies   int64 `json:"studies"`
	Assays    int64 `json:"assays"`
}

// Done is the number of datasets whose fate is known.
func (c Counts) Done() int64 { return c.Uploaded + c.Unchanged + c.Failed }
