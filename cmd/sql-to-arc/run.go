package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/sqltoarc"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// runOptions are the flags.
type runOptions struct {
	std      cli.Streams
	config   string
	json     bool
	dryRun   bool
	out      string
	folders  bool
	only     []string
	limit    int
	resume   bool
	thorough bool
	report   string
}

// runFlags are those of the command run.
var runFlags = []string{"dry-run", "out", "folders", "only", "limit", "resume", "thorough", "report"}

func (o *runOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "build every ARC, but upload nothing")
	f.StringVar(&o.out, "out", "", "write to the folder `DIR` instead of uploading, one file per ARC")
	f.BoolVar(&o.folders, "folders", false, "with --out: write ARC folders instead of RO-Crates")
	f.StringArrayVar(&o.only, "only", nil, "convert only the dataset with the identifier `ID`; may be given several times")
	f.IntVar(&o.limit, "limit", 0, "convert at most `N` datasets")
	f.BoolVar(&o.resume, "resume", false, "go on with the harvest that was interrupted, if there is one")
	f.BoolVar(&o.thorough, "thorough", false, "look at the rows of every dataset, whatever change_marker and the versions of its rows say")
	f.StringVar(&o.report, "report", "", "write the JSON-LD report to `FILE`; without it, it goes to standard output unless that is a terminal")
}

func newRun(o *runOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "convert and upload",
		Long: `Reads every dataset, builds the ARCs of those that have changed since the last
run, and uploads what the API does not have yet, as one harvest. With --only or
--limit the ARCs are uploaded without a harvest, so that the others do not count
as missing.`,
		Example: `  sql-to-arc run --dry-run
  sql-to-arc run --only ds-1 --out crates
  sql-to-arc run --config /etc/sql-to-arc/edaphobase.yaml --report report.json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.flags(cmd)
	return cmd
}

// configPath gives the file to read and whether it was asked for.
func (o *runOptions) configPath() (path string, asked bool) {
	if path = cmp.Or(o.config, os.Getenv(sqltoarc.Prefix+"_CONFIG")); path != "" {
		return path, true
	}
	return "config.yaml", false
}

// read reads the configuration.
func (o *runOptions) read() (*sqltoarc.Loaded, error) {
	path, asked := o.configPath()
	return sqltoarc.Load(path, asked, o.dryRun || o.out != "")
}

// The garbage collector runs seldom while the process is small, and harder
// before it becomes large; beyond the limit the program goes on, only slower.
const (
	softLimit = 200 << 20
	gcPercent = 400
)

// load reads the configuration and sets the process up accordingly.
func (o *runOptions) load() (*sqltoarc.Loaded, sqltoarc.Options, error) {
	c, err := o.read()
	if err != nil {
		return nil, sqltoarc.Options{}, err
	}
	options := c.Options("sql-to-arc/" + version)
	if options.Builds > 0 {
		runtime.GOMAXPROCS(min(options.Builds, runtime.NumCPU()))
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softLimit)
		debug.SetGCPercent(gcPercent)
	}
	options.Only, options.DryRun, options.Out, options.Folders, options.Resume = o.only, o.dryRun, o.out, o.folders, o.resume
	options.Thorough = o.thorough
	if o.limit > 0 {
		options.Limit = o.limit
	}
	options.StateDir = stateDir(options.StateDir)
	return c, options, nil
}

// stateDir finds a folder: the configured one, systemd's, or the user's.
func stateDir(configured string) string {
	if dir := cmp.Or(configured, os.Getenv("STATE_DIRECTORY")); dir != "" {
		return dir
	}
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "sql-to-arc")
}

func (o *runOptions) run(ctx context.Context) error {
	switch {
	case o.limit < 0:
		return cli.Usagef("--limit must not be negative")
	case o.folders && o.out == "":
		return cli.Usagef("--folders needs --out")
	case o.dryRun && o.out != "":
		return cli.Usagef("--dry-run and --out exclude each other")
	case o.resume && (len(o.only) > 0 || o.limit > 0 || o.dryRun || o.out != ""):
		return cli.Usagef("--resume is for a whole run")
	}
	if _, err := os.Stat(filepath.Dir(o.report)); err != nil {
		return cli.Usagef("--report: %w", err) // now, and not after hours
	}
	c, options, err := o.load()
	if err != nil {
		return err
	}
	teller := newTeller(o, c)
	options.Report = teller.tell
	if options.StateDir == "" && !o.dryRun && o.out == "" {
		teller.tell(sqltoarc.Event{Time: time.Now().UTC(), Kind: sqltoarc.EventNote,
			Text: "nothing will be remembered for the next run, and nothing keeps two runs apart: neither state_dir nor HOME is set"})
	}
	tracing, err := telemetry.Trace(ctx, telemetry.TraceOptions{
		Endpoint: c.OTel.Endpoint, ConsoleSpans: c.OTel.LogConsoleSpans, Service: "sql_to_arc", Version: version,
		SampleRatio: 1, Logger: teller.logging.Logger,
	})
	if err != nil {
		return err
	}
	if tracing.Enabled {
		options.Tracer, options.Upload.Tracing = tracing.Tracer, tracing.Provider
	}
	report, err := sqltoarc.Run(ctx, options)
	teller.finish()
	flush(ctx, tracing)
	if report == nil {
		return err
	}
	if e := o.writeReport(teller, report); e != nil {
		err = errors.Join(err, e)
	}
	switch {
	case err != nil && !report.Begun:
		return err
	case err != nil:
		return cutOffError{err}
	case report.Counts.Failed > 0:
		return partlyError{}
	}
	return nil
}

// flushLimit is how long a collector of spans may keep the program from ending.
const flushLimit = 5 * time.Second

// flush sends the last spans; what a collector refuses has been logged.
func flush(ctx context.Context, tracing *telemetry.Tracing) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushLimit)
	defer cancel()
	_ = tracing.Shutdown(ctx)
}

// writeReport writes the report to where it is wanted.
func (o *runOptions) writeReport(t *teller, report *sqltoarc.Report) error {
	if o.json {
		t.tell(sqltoarc.Event{Time: time.Now().UTC(), Kind: sqltoarc.EventReport, Report: report})
	} else if err := report.WriteSummary(o.std.Err); err != nil {
		return err
	}
	switch {
	case o.report != "":
		return reportFault(o.report, writeFile(o.report, report))
	case !o.json && !terminal(o.std.Out):
		return reportFault("standard output", report.WriteJSON(o.std.Out))
	}
	return nil
}

// reportFault tells that only the report is missing.
func reportFault(to string, err error) error {
	if err == nil {
		return nil
	}
	return &fault.Error{Code: sqltoarc.CodeOutput, Owner: fault.OwnerRDI, Cause: err,
		Text:   fmt.Sprintf("the run has ended as told above, but its report cannot be written to %s: %v", to, err),
		Remedy: "make room, or name another file with --report"}
}

// writeFile replaces the file as a whole, that to which a link leads and not the link. A
// device or a pipe is not replaced but written to.
func writeFile(path string, report *sqltoarc.Report) error {
	if there, err := filepath.EvalSymlinks(path); err == nil {
		path = there
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(report.WriteJSON(file), file.Close())
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".report-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	err = errors.Join(report.WriteJSON(file), file.Chmod(0o644), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
