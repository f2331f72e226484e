// Package convertcmd is the command that turns a crate into a folder. It has a
// package of its own because two programs have it: the one with all commands,
// and the small one in front of it, for which this is the only work.
package convertcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/convert"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold"
	"github.com/fairagro/middleware-api/internal/startup"
)

// progressAfter is how long a conversion may take before a person is shown
// that it goes on.
const progressAfter = time.Second

// What a crate is read into lives as long as the conversion, so little of the
// heap is ever garbage. Below freeHeap a collection finds nothing that would be
// worth its time; above it, a small growth keeps the memory within a small
// multiple of the crate.
const (
	largeCrate = 4 << 20
	freeHeap   = 24 << 20
	largeGC    = 10 // growth of the heap, in percent, after which memory is collected
)

// collectLate puts the first collection off until the heap has grown to
// freeHeap. What it gives tells whether there has been one.
func collectLate() (collected func() bool) {
	var first atomic.Bool
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(freeHeap)
	// Nothing refers to it, so that the first collection finds it.
	runtime.AddCleanup(new([64]byte), func(first *atomic.Bool) {
		first.Store(true)
		debug.SetGCPercent(largeGC)
		debug.SetMemoryLimit(math.MaxInt64)
	}, &first)
	return first.Load
}

// New gives the command, which writes the folder of a crate, without server and database.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "convert CRATE.json DIR",
		Short: "turn an RO-Crate into an ARC folder",
		Long: `convert reads an RO-Crate metadata document ("-" reads standard input) and writes
the ARC folder that would be pushed for it to DIR, which must be empty or not
exist. Exit status 65 says that the crate cannot become an ARC; every reason is
printed on a line of its own: where (JSON Pointer), which entity, what, and what
to do.`,
		Example: `  middleware-api convert ro-crate-metadata.json /tmp/arc
  middleware-api convert --report json - /tmp/arc <crate.json | jq '.findings[]'`,
		Args: cli.ExactArgs(2),
	}
	asJSON := cli.JSONFlag(cmd)
	report := cmd.Flags().String("report", "text", "how to tell the outcome: text or json")
	cli.Offer(cmd, map[string][]string{"report": {"text", "json"}})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *asJSON {
			*report = "json"
		}
		var tell func(io.Writer, *outcome) error
		switch *report {
		case "text":
			tell = tellText
		case "json":
			tell = tellJSON
		default:
			return cli.Usagef("report %q is neither text nor json", *report)
		}
		o, err := convertCrate(cmd, args[0], args[1])
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if !o.Converted && *report == "text" {
			out = cmd.ErrOrStderr()
		}
		if err := tell(out, o); err != nil {
			return err
		}
		if !o.Converted {
			return cli.Exit(cli.ExitData, nil)
		}
		return nil
	}
	return cmd
}

// outcome is the report on one conversion.
type outcome struct {
	Crate        string            `json:"crate"`
	Folder       string            `json:"folder"`
	Converted    bool              `json:"converted"`
	Identifier   string            `json:"identifier,omitempty"`
	Studies      int               `json:"studies"`
	Assays       int               `json:"assays"`
	Workflows    int               `json:"workflows"`
	Runs         int               `json:"runs"`
	Tables       int               `json:"tables"`
	Rows         int               `json:"rows"`
	Files        int               `json:"files"`
	Bytes        int64             `json:"bytes"`
	Milliseconds float64           `json:"milliseconds"`
	Findings     []rocrate.Finding `json:"findings"`
}

func convertCrate(cmd *cobra.Command, crate, dir string) (*outcome, error) {
	document, err := cli.Await(cmd.Context(), func() ([]byte, error) { return readCrate(cmd.InOrStdin(), crate) })
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if len(document) > largeCrate {
		startup.Release()
	}
	collected := collectLate()
	result := convert.Crate(document)
	if collected() {
		runtime.GC() // what the crate was read with is as much again as what is written
	}
	o := &outcome{Crate: crate, Folder: dir, Converted: result.OK(), Findings: result.Findings}
	if o.Findings == nil {
		o.Findings = []rocrate.Finding{}
	}
	if result.OK() {
		o.count(result.Investigation)
		if o.Bytes, err = writeFolder(cmd.Context(), dir, result.Files); err != nil {
			return nil, err
		}
		o.Files = len(result.Files)
	}
	o.Milliseconds = float64(time.Since(begin).Microseconds()) / 1000
	return o, nil
}

func (o *outcome) count(inv *arc.Investigation) {
	o.Identifier = inv.Identifier
	o.Studies, o.Assays, o.Workflows, o.Runs = len(inv.Studies), len(inv.Assays), len(inv.Workflows), len(inv.Runs)
	add := func(tables []*arc.Table) {
		o.Tables += len(tables)
		for _, t := range tables {
			o.Rows += t.NumRows()
		}
	}
	for _, s := range inv.Studies {
		add(s.Tables)
	}
	for _, a := range inv.Assays {
		add(a.Tables)
	}
	for _, r := range inv.Runs {
		add(r.Tables)
	}
}

func readCrate(in io.Reader, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(in)
	}
	document, err := os.ReadFile(path)
	if err != nil {
		return nil, cli.Exit(cli.ExitNoInput, err)
	}
	return document, nil
}

// writeFolder writes into a folder that is new or empty, so that nothing of
// another ARC is mixed in or overwritten.
func writeFolder(ctx context.Context, dir string, files []scaffold.File) (int64, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return 0, cli.Exit(cli.ExitCannotCreate, err)
		}
	case err != nil:
		return 0, cli.Exit(cli.ExitCannotCreate, err)
	case len(entries) > 0:
		return 0, cli.Exit(cli.ExitCannotCreate, fmt.Errorf("%s is not empty; name a new folder", dir))
	}
	bar := newProgress(len(files))
	defer bar.end()
	var total int64
	for _, f := range files {
		n, err := scaffold.WriteDir(ctx, dir, []scaffold.File{f})
		total += n
		if err != nil {
			return total, cli.Exit(cli.ExitCannotCreate, fmt.Errorf("%w; %s is incomplete and can be removed", err, dir))
		}
		bar.step()
	}
	return total, nil
}

// progress shows a bar on a terminal, once it takes longer.
type progress struct {
	bar   *progressbar.ProgressBar
	begin time.Time
	done  int
}

func newProgress(files int) *progress {
	p := &progress{begin: time.Now()}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p.bar = progressbar.NewOptions(files,
			progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("writing files"),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionSetRenderBlankState(false))
	}
	return p
}

// step counts a file. Most conversions are over in milliseconds, and show
// nothing.
func (p *progress) step() {
	p.done++
	if p.bar != nil && time.Since(p.begin) >= progressAfter {
		_ = p.bar.Set(p.done)
	}
}

func (p *progress) end() {
	if p.bar != nil && time.Since(p.begin) >= progressAfter {
		_ = p.bar.Finish()
	}
}

func tellText(w io.Writer, o *outcome) error {
	for _, f := range o.Findings {
		fmt.Fprintln(w, findingLine(f))
	}
	if !o.Converted {
		_, err := fmt.Fprintf(w, "%s: cannot become an ARC; nothing was written\n", o.Crate)
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %s, %s, %s, %s, %s in %s; wrote %s, %s in %.1f ms\n", o.Folder,
		count(o.Studies, "study", "studies"), count(o.Assays, "assay", "assays"), count(o.Workflows, "workflow", "workflows"),
		count(o.Runs, "run", "runs"), count(o.Rows, "row", "rows"), count(o.Tables, "table", "tables"),
		count(o.Files, "file", "files"), count(o.Bytes, "byte", "bytes"), o.Milliseconds)
	return err
}

// count says how many there are of something.
func count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// findingLine puts a finding on one line.
func findingLine(f rocrate.Finding) string {
	where := f.Pointer
	if where == "" {
		where = "(crate)"
	}
	line := fmt.Sprintf("%s: %s", where, f.Severity)
	if f.Entity != "" {
		line += fmt.Sprintf(": %q", f.Entity)
	}
	line += ": " + f.Text
	if f.Remedy != "" {
		line += "; " + f.Remedy
	}
	return line
}

func tellJSON(w io.Writer, o *outcome) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(o)
}
