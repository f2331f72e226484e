package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/couchimport"
	"github.com/fairagro/middleware-api/internal/report"
)

// newImport takes over what the service before this one kept.
func newImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "take over what the service before this one kept",
		Args:  cli.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImportCouchDB())
	return cmd
}

func newImportCouchDB() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "couchdb EXPORT.ndjson",
		Short: "import an export of the CouchDB database",
		Long: `import couchdb reads ARCs with their log, harvests with their counts, and tasks
that clients may still ask for, from an export: one document per line, or the
answer of _all_docs?include_docs=true (or of _changes), plain or compressed with
gzip; "-" reads standard input. What was uploaded since is not changed, so it may
be cut off and run again, also with a later export, of which what is newer counts.
Every stored content is read back and hashed. Lines that cannot be used are listed
with their number and passed over. An ARC that the old service says to have pushed
is compared with the head of its repository and not pushed again if that is
current. Exit status: 0 everything is there, 1 some lines were not imported or not
proven, 66 the export cannot be read or was cut off, 69 the database cannot be
reached (run it again).`,
		Example: `  middleware-api import couchdb --dry-run export.ndjson
  middleware-api import couchdb export.ndjson`,
		Args: cli.ExactArgs(1),
	}
	path := configFlag(cmd)
	asJSON := cli.JSONFlag(cmd)
	dry := cmd.Flags().Bool("dry-run", false, "read and judge everything, store nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in, size, err := openExport(cmd.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		c, err := loadByHand(*path, config.RoleTool)
		if err != nil {
			return err
		}
		st, err := openStoreOf(cmd.Context(), c)
		if err != nil {
			return err
		}
		defer st.Close()
		shown := newImportProgress(size)
		sum, err := couchimport.Run(cmd.Context(), st, cli.Reader(cmd.Context(), shown.counting(in)), couchimport.Options{
			DryRun: *dry, Actor: actor(), TaskAge: c.Tasks.Retention, Progress: shown.lines,
			Problem: func(p couchimport.Problem) { tellProblem(cmd.ErrOrStderr(), p, *asJSON) },
		})
		shown.end()
		if werr := tell(cmd.OutOrStdout(), importSummary{sum, err == nil}, *asJSON); err == nil {
			err = werr
		}
		switch {
		case err != nil:
			err = fmt.Errorf("the import has ended early; what was imported stays, run it again: %w", err)
			if _, ok := errors.AsType[*couchimport.UnreadableError](err); ok && cmd.Context().Err() == nil {
				return cli.Exit(cli.ExitNoInput, err)
			}
			return err
		case sum.Bad() > 0 || sum.NotProven() > 0:
			return cli.Exit(cli.ExitFailure, nil)
		}
		return nil
	}
	return cmd
}

// openExport opens the export and tells its size, -1 if it has none.
func openExport(stdin io.Reader, path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(stdin), -1, nil
	}
	f, err := os.Open(path)
	if err != nil {
		code := cli.ExitFailure
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			code = cli.ExitNoInput
		}
		return nil, 0, cli.Exit(code, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// tellProblem writes what is wrong with a line. What cannot be written is lost.
func tellProblem(w io.Writer, p couchimport.Problem, asJSON bool) {
	if asJSON {
		_ = report.WriteLine(w, p)
		return
	}
	what := "not imported"
	if p.Imported {
		what = "imported"
	}
	id := p.ID
	if id != "" {
		id += ": "
	}
	fmt.Fprintf(w, "line %d: %s: %s%s\n", p.Line, what, id, p.Text)
}

// importSummary words what an import did.
type importSummary struct {
	*couchimport.Summary

	whole bool // the export was read to its end
}

// Write writes the counts for a terminal.
func (s importSummary) Write(w io.Writer) error {
	done, there := "imported now", "there before"
	if s.DryRun {
		done, there = "would be imported", "are there"
		fmt.Fprintln(w, "dry run: nothing was stored")
	}
	fmt.Fprintf(w, "lines read: %d\n", s.Lines)
	for _, k := range []struct {
		name string
		k    couchimport.Kind
	}{{"ARCs", s.ARCs}, {"harvests", s.Harvests}} {
		fmt.Fprintf(w, "%s: %d in the export = %d %s + %d %s + %d not imported\n", k.name, k.k.Read, k.k.Imported, done, k.k.There, there, k.k.Bad)
	}
	fmt.Fprintf(w, "tasks that clients may still ask for: %d\n", s.TasksKept)
	fmt.Fprintf(w, "passed over: %d tasks (nobody asks for them any more), %d others (deleted, keys of harvests, or of CouchDB itself)\n", s.Tasks, s.Others)
	fmt.Fprintf(w, "lines that hold no document of the old service: %d\n", s.Unreadable)
	fmt.Fprintf(w, "recorded hashes that are not those of the content: %d (the content counts)\n", s.HashDiffers)
	fmt.Fprintf(w, "pushed by the old service, to be compared with the repository only: %d\n", s.Pushed)
	if s.DryRun {
		return nil
	}
	fmt.Fprintf(w, "proven: %d of %d ARCs, read back from the database, have the hash of the export; %d are newer in the database; %d are neither\n",
		s.Proven, s.ARCs.Imported+s.ARCs.There, s.Newer, s.NotProven())
	verdict := "Everything in the export is in the database."
	if !s.whole {
		verdict = "The export was not read to its end; what comes after that is missing."
	} else if s.Bad() > 0 || s.NotProven() > 0 {
		verdict = "Not everything is in the database; the lines above say what is missing, and why."
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}

// importProgress shows a person how far an import is: a bar on a terminal,
// a line now and then elsewhere.
type importProgress struct {
	bar  *progressbar.ProgressBar
	said time.Time
}

// progressEvery is the time between two lines where there is no terminal.
const progressEvery = 15 * time.Second

func newImportProgress(size int64) *importProgress {
	p := &importProgress{said: time.Now()}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("importing"),
			progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
	}
	return p
}

// counter counts what is read of the export, compressed as it may be.
type counter struct {
	io.Reader
	bar *progressbar.ProgressBar
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if c.bar != nil {
		_ = c.bar.Add(n)
	}
	return n, err
}

func (p *importProgress) counting(r io.Reader) io.Reader {
	return &counter{r, p.bar}
}

func (p *importProgress) lines(lines int64) {
	if p.bar == nil && time.Since(p.said) >= progressEvery {
		p.said = time.Now()
		fmt.Fprintf(os.Stderr, "%d lines\n", lines)
	}
}

func (p *importProgress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
