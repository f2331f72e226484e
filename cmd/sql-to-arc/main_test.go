package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc"
	"github.com/fairagro/middleware-api/internal/sqltoarc/apitest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/datagen"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// filled gives the URL of a database with a few datasets, of which one cannot be
// converted if bad is set.
func filled(tb testing.TB, bad bool) string {
	tb.Helper()
	c, err := pgx.ParseConfig(pgtest.Empty(tb))
	if err != nil {
		tb.Fatal(err)
	}
	url := fmt.Sprintf("postgresql://%s@/%s?host=%s", c.User, c.Database, c.Host)
	change := func(n int, d *source.Dataset) {
		if bad && n == 1 {
			d.Investigation[source.InvestigationTitle] = source.Value{}
		}
	}
	if err := datagen.Load(tb.Context(), url, datagen.Shape{Investigations: 3, Studies: 1, Assays: 1, Cells: 5}, datagen.Options{Change: change}); err != nil {
		tb.Fatal(err)
	}
	return url
}

// endConnections ends those of sql-to-arc to a database.
func endConnections(tb testing.TB, url string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Error(err)
		return
	}
	defer conn.Close(tb.Context())
	if _, err := conn.Exec(tb.Context(), "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "+
		"WHERE datname = current_database() AND application_name = 'sql-to-arc'"); err != nil {
		tb.Error(err)
	}
}

// configured writes a configuration and gives its path.
func configured(tb testing.TB, connection, api, more string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "config.yaml")
	text := fmt.Sprintf("connection_string: %q\nrdi: demo\nrdi_url: https://rdi.example.org\nstate_dir: %q\napi_client:\n  api_url: %s\n  max_retries: 0\n%s",
		connection, tb.TempDir(), api, more)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// invoke runs a command line.
func invoke(tb testing.TB, args ...string) (code int, out, err string) {
	tb.Helper()
	var o, e bytes.Buffer
	code = run(tb.Context(), args, cli.Streams{Out: &o, Err: &e})
	return code, o.String(), e.String()
}

// The exit status says what happened, for scripts and for systemd.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	good, bad := filled(t, false), filled(t, true)
	api, denying := apitest.New(t), apitest.New(t)
	denying.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	cutting := apitest.New(t)
	cutting.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/arcs") {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	// A database whose connections end when the harvest has begun, before the first dataset.
	ending, lost := apitest.New(t), filled(t, false)
	ending.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/harvests") {
			endConnections(t, lost)
		}
		return false
	}
	const nowhere = "http://127.0.0.1:1"
	for name, c := range map[string]struct {
		args []string
		want int
	}{
		"done":                    {[]string{"run", "-c", configured(t, good, api.URL, "")}, 0},
		"without a command":       {[]string{"-c", configured(t, good, api.URL, "")}, 0},
		"partly":                  {[]string{"run", "-c", configured(t, bad, api.URL, "")}, 3},
		"dry run needs no API":    {[]string{"run", "--dry-run", "-c", justDatabase(t, good)}, 0},
		"nor does a folder":       {[]string{"run", "--out", t.TempDir(), "-c", justDatabase(t, good)}, 0},
		"but an upload does":      {[]string{"run", "-c", justDatabase(t, good)}, 78},
		"unknown dataset":         {[]string{"run", "--dry-run", "--only", "DS-0000000", "--only", "none", "-c", justDatabase(t, good)}, 3},
		"API is down for a run":   {[]string{"run", "-c", configured(t, good, nowhere, "")}, 69},
		"unknown RDI":             {[]string{"run", "-c", renamed(t, configured(t, good, api.URL, ""))}, 77},
		"unknown flag":            {[]string{"run", "--nonsense"}, 64},
		"flags that contradict":   {[]string{"run", "--resume", "--limit", "1"}, 64},
		"unknown dialect":         {[]string{"init", "dbase"}, 64},
		"views are missing":       {[]string{"run", "-c", configured(t, emptyDatabase(t), api.URL, "")}, 65},
		"check, views missing":    {[]string{"check", "-c", configured(t, emptyDatabase(t), api.URL, "")}, 65},
		"database is down":        {[]string{"run", "-c", configured(t, "postgresql://u@127.0.0.1:1/x", api.URL, "")}, 69},
		"API is down":             {[]string{"check", "-c", configured(t, good, nowhere, "")}, 69},
		"cut off":                 {[]string{"run", "-c", configured(t, good, cutting.URL, "")}, 75},
		"cut off at once":         {[]string{"run", "-c", configured(t, lost, ending.URL, "")}, 75},
		"denied":                  {[]string{"run", "-c", configured(t, good, denying.URL, "")}, 77},
		"no configuration":        {[]string{"run", "-c", filepath.Join(t.TempDir(), "none.yaml")}, 78},
		"wrong configuration":     {[]string{"run", "-c", configured(t, "sqlite:///x", api.URL, "")}, 78},
		"certificate is missing":  {[]string{"run", "-c", configured(t, good, api.URL, "  client_cert_path: /nowhere\n")}, 78},
		"check of another RDI":    {[]string{"check", "-c", renamed(t, configured(t, good, api.URL, ""))}, 77},
		"everything is all right": {[]string{"check", "-c", configured(t, good, api.URL, "")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, text := invoke(t, c.args...)
			if code != c.want {
				t.Errorf("%v: status %d, want %d\n%s%s", c.args, code, c.want, out, text)
			}
		})
	}
}

// Every reason has the exit status that the manual names; trying again is for what may
// pass.
func TestExitStatusOfReasons(t *testing.T) {
	t.Parallel()
	for code, want := range map[fault.Code]int{
		source.CodeConnectionString: cli.ExitConfig, upload.CodeAddress: cli.ExitConfig, upload.CodeCertificate: cli.ExitConfig,
		source.CodeDenied: cli.ExitDenied, upload.CodeDenied: cli.ExitDenied,
		source.CodeUnreachable: cli.ExitUnavailable, upload.CodeUnreachable: cli.ExitUnavailable, upload.CodeAnswer: cli.ExitUnavailable,
		sqltoarc.CodeViews: cli.ExitData, source.CodeQuery: cli.ExitData,
		sqltoarc.CodeBusy: cli.ExitTemporary, sqltoarc.CodeInterrupted: cli.ExitTemporary, sqltoarc.CodeState: cli.ExitTemporary, upload.CodeRefused: cli.ExitTemporary,
		sqltoarc.CodeOutput: cli.ExitFailure, source.CodeSpool: cli.ExitFailure,
	} {
		if got := exitCode(&fault.Error{Code: code}); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
		if want == cli.ExitUnavailable && code != upload.CodeAnswer {
			want = cli.ExitTemporary
		}
		if got := exitCode(cutOffError{&fault.Error{Code: code}}); got != want {
			t.Errorf("%s in the middle of a run: %d, want %d", code, got, want)
		}
	}
}

// What is configured and what the command line says reaches the run; of two limits that of
// the command line counts.
func TestSettingsReachTheRun(t *testing.T) {
	path := configured(t, "postgresql://u@h/d", "http://api.invalid", "  follow_redirects: false\n  retry_backoff_factor: 0.5\ndebug_limit: 7\n")
	t.Setenv("STATE_DIRECTORY", "/nowhere")
	o := &runOptions{config: path}
	flags := newRun(o)
	_, got, err := o.load()
	if err != nil {
		t.Fatal(err)
	}
	if u := got.Upload; u.MaxRetries != -1 || !u.KeepRedirects || u.Insecure || u.Backoff != 500*time.Millisecond || got.Limit != 7 || got.StateDir == "/nowhere" {
		t.Errorf("from the file: %+v", got)
	}
	if err := flags.ParseFlags(strings.Fields("--limit 3 --thorough --resume --only a --only b --dry-run --out x --folders")); err != nil {
		t.Fatal(err)
	}
	if _, got, err = o.load(); err != nil || got.Limit != 3 || !got.Thorough || !got.Resume || !got.DryRun || got.Out != "x" || !got.Folders || !slices.Equal(got.Only, []string{"a", "b"}) {
		t.Errorf("from the command line: %+v, %v", got, err)
	}
	if dir := stateDir(""); dir != "/nowhere" {
		t.Errorf("under systemd the state is in %s", dir)
	}
}

// A mistake on the command line ends with 64 and shows how the command is called.
func TestMistakesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"nonsense":              "\n  see: sql-to-arc --help\n",
		"run --limit x":         "\n  usage: sql-to-arc run [flags]\n  see: sql-to-arc run --help\n",
		"run --dry-run --out x": "\n  see: sql-to-arc run --help\n",
		"run --folders":         "\n  see: sql-to-arc run --help\n",
		"run --limit -1":        "\n  see: sql-to-arc run --help\n",
		"run --resume --out x":  "\n  see: sql-to-arc run --help\n",
		"run --resume --only x": "\n  see: sql-to-arc run --help\n",
		"--resume --dry-run":    "\n  see: sql-to-arc --help\n",
		"init":                  "\n  usage: sql-to-arc init postgresql|mysql|mariadb|mssql|oracle [flags]\n  see: sql-to-arc init --help\n",
	} {
		if code, _, text := invoke(t, strings.Fields(args)...); code != cli.ExitUsage || !strings.HasSuffix(text, want) {
			t.Errorf("%s: status %d, %q, want the end %q", args, code, text, want)
		}
	}
}

// Who has no configuration yet is told how to get one, not only what it lacks.
func TestNoConfigurationYet(t *testing.T) {
	t.Chdir(t.TempDir())
	code, _, text := invoke(t, "run")
	if code != cli.ExitConfig || !strings.HasPrefix(text, "sql-to-arc: config.yaml: there is no such file; write one (sql-to-arc config sample)") {
		t.Errorf("status %d, %q", code, text)
	}
}

// The way to go on that a message names is one that can be gone: only a run that
// has left a harvest open can be resumed.
func TestRemedy(t *testing.T) {
	t.Parallel()
	good := filled(t, false)
	cutting := apitest.New(t)
	cutting.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/arcs") {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	cut := configured(t, good, cutting.URL, "")
	down := configured(t, good, "http://127.0.0.1:1", "")
	ending := apitest.New(t)
	ending.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/complete") {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	const resume, again = "; then go on where it stopped: sql-to-arc run --resume", "; then run again"
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"check", []string{"check", "-c", down}, "remedy: check api_url and the network\n"},
		{"before a harvest", []string{"run", "-c", down}, again},
		{"within a harvest", []string{"run", "-c", cut}, resume},
		{"at the end of a harvest", []string{"run", "-c", configured(t, good, ending.URL, "")}, resume},
		{"one dataset", []string{"run", "--only", "DS-0000001", "-c", cut}, again},
		{"resuming while the API is still down", []string{"run", "--resume", "-c", cut}, resume},
	} {
		_, out, text := invoke(t, c.args...)
		if text = out + text; !strings.Contains(text, c.want) || c.want != resume && strings.Contains(text, "--resume") {
			t.Errorf("%s: got\n%s\nwant %q", c.name, text, c.want)
		}
	}
	_, _, text := invoke(t, "run", "--only", "DS-0000001", "--dry-run", "-c", justDatabase(t, good))
	if !strings.Contains(text, "1 dataset read with 1 study and 1 assay in ") || !strings.Contains(text, "1 new or changed, 0 unchanged, 0 failed, 0 warnings") {
		t.Errorf("summary of one dataset: %s", text)
	}
}

// justDatabase writes a configuration that names the database and nothing else.
func justDatabase(tb testing.TB, connection string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "config.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, "connection_string: %q\n", connection), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// renamed gives the configuration another RDI.
func renamed(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.ReplaceAll(data, []byte("rdi: demo"), []byte("rdi: other")), 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// With a collector configured the run and its requests are spans of one trace, and
// the API is told which.
func TestSpans(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sent []byte
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, body...)
	}))
	defer collector.Close()
	api := apitest.New(t)
	parents := map[string]bool{}
	api.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		trace, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Traceparent"), "00-"), "-")
		parents[trace] = true
		return false
	}
	code, _, text := invoke(t, "run", "-c", configured(t, filled(t, false), api.URL, "otel:\n  endpoint: "+collector.URL+"\n"))
	mu.Lock()
	defer mu.Unlock()
	if code != 0 || len(parents) != 1 || parents[""] {
		t.Errorf("status %d, traces %v\n%s", code, parents, text)
	}
	for _, name := range []string{"sql_to_arc", "sql_to_arc.main.run_conversion", "sql_to_arc.main.process_investigations", "sql_to_arc.main.upload_batch"} {
		if !bytes.Contains(sent, []byte(name)) {
			t.Errorf("no span %s among %d bytes", name, len(sent))
		}
	}
}

func emptyDatabase(tb testing.TB) string {
	tb.Helper()
	c, err := pgx.ParseConfig(pgtest.Empty(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("postgresql://%s@/%s?host=%s", c.User, c.Database, c.Host)
}

// The report goes to standard output for programs, or to the file that is named;
// people get a summary.
func TestReport(t *testing.T) {
	t.Parallel()
	api := apitest.New(t)
	file := filepath.Join(t.TempDir(), "report.json")
	config := configured(t, filled(t, true), api.URL, "")
	_, out, text := invoke(t, "run", "-c", config)
	_, quiet, _ := invoke(t, "run", "-c", config, "--report", file)
	written, err := os.ReadFile(file)
	if err != nil || quiet != "" {
		t.Fatalf("%v, standard output: %s", err, quiet)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("others cannot read the report: %v, %v", info.Mode(), err)
	}
	for _, report := range []string{out, string(written)} {
		var d map[string]any
		if err := json.Unmarshal([]byte(report), &d); err != nil {
			t.Fatalf("%v\n%s", err, report)
		}
		if d["found_datasets"] != 3.0 || d["failed_datasets"] != 1.0 || fmt.Sprint(d["failed_ids"]) != "[DS-0000001]" || d["status"] != "schema:FailedActionStatus" {
			t.Errorf("report: %v", d)
		}
	}
	if !strings.Contains(text, "3 datasets read") || !strings.Contains(text, "failed: DS-0000001") {
		t.Errorf("summary: %s", text)
	}
}

// A report may go into a pipe, or to where nobody reads it: what is no file stays
// what it is.
func TestReportIntoAPipe(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	// Open for both, so that neither side waits for the other.
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	code, _, text := invoke(t, "run", "--dry-run", "-c", justDatabase(t, filled(t, false)), "--report", pipe)
	info, err := os.Stat(pipe)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 || info.Mode().Type() != os.ModeNamedPipe {
		t.Fatalf("status %d, %v\n%s", code, info.Mode(), text)
	}
	var d map[string]any
	if err := json.NewDecoder(reader).Decode(&d); err != nil || d["found_datasets"] != 3.0 {
		t.Errorf("report: %v, %v", d, err)
	}
}

// A report goes to where a link leads, in which others look for it.
func TestReportBehindALink(t *testing.T) {
	t.Parallel()
	file, link := filepath.Join(t.TempDir(), "report.json"), filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	code, _, text := invoke(t, "run", "--dry-run", "-c", justDatabase(t, filled(t, false)), "--report", link)
	data, err := os.ReadFile(file)
	if code != 0 || err != nil || !bytes.Contains(data, []byte("found_datasets")) {
		t.Errorf("status %d, %v, %s\n%s", code, err, data, text)
	}
	if to, err := os.Readlink(link); err != nil || to != file {
		t.Errorf("the link is gone: %v", err)
	}
}

// Where nothing can be remembered, as for a service without a home, a run says so.
func TestNowhereToRemember(t *testing.T) {
	config := configured(t, filled(t, false), apitest.New(t).URL, "")
	data, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, regexp.MustCompile("(?m)^state_dir.*$").ReplaceAll(data, nil), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"} {
		t.Setenv(name, "")
	}
	const note = "neither state_dir nor HOME is set"
	if code, out, _ := invoke(t, "run", "--json", "-c", config); code != 0 || !strings.Contains(out, note) {
		t.Errorf("status %d\n%s", code, out)
	}
	if code, out, _ := invoke(t, "run", "--json", "--dry-run", "-c", config); code != 0 || strings.Contains(out, note) {
		t.Errorf("dry run: status %d\n%s", code, out)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A report that cannot be written is told as just that; if it can be known before,
// nothing is begun.
func TestReportWithoutRoom(t *testing.T) {
	t.Parallel()
	config := justDatabase(t, filled(t, false))
	var text bytes.Buffer
	code := run(t.Context(), []string{"run", "--dry-run", "-c", config}, cli.Streams{Out: full{}, Err: &text})
	if code != cli.ExitFailure || !strings.Contains(text.String(), "3 new or changed") || !strings.Contains(text.String(), "report cannot be written to standard output") {
		t.Errorf("no room: status %d\n%s", code, text.String())
	}
	code, _, said := invoke(t, "run", "--dry-run", "-c", config, "--report", filepath.Join(t.TempDir(), "none", "report.json"))
	if code != cli.ExitUsage || strings.Contains(said, "datasets read") {
		t.Errorf("no folder: status %d\n%s", code, said)
	}
}

// With --json every line of standard output is an event, the last one the
// report.
func TestJSONEvents(t *testing.T) {
	t.Parallel()
	code, out, _ := invoke(t, "run", "--json", "-c", configured(t, filled(t, true), apitest.New(t).URL, ""))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	kinds := map[string]int{}
	last := ""
	for _, line := range lines {
		var e struct{ Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		kinds[e.Event]++
		last = e.Event
	}
	if code != 3 || last != "report" || kinds["begin"] != 1 || kinds["harvest"] != 2 || kinds["finding"] != 1 || kinds["progress"] == 0 {
		t.Errorf("status %d, last %s, %v", code, last, kinds)
	}
}

// databaseOf makes a database by statements, and says how to connect to it.
func databaseOf(t *testing.T, statements string) *pgx.ConnConfig {
	t.Helper()
	c, err := pgx.ParseConfig(pgtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	return c
}

// A configuration of the first generation, with its variables, still works: the
// three tables, the password from the environment.
func TestFormerConfiguration(t *testing.T) {
	c := databaseOf(t, `
		CREATE TABLE "ARC_Investigation" (id text, title text, description text, submission_time timestamp, release_time timestamp);
		CREATE TABLE "ARC_Study" (id text, investigation_id text, title text, description text, submission_time timestamp, release_time timestamp);
		CREATE TABLE "ARC_Assay" (id text, study_id text, measurement_type text, technology_type text);
		INSERT INTO "ARC_Investigation" SELECT 'I' || n, 'T', 'D', now(), NULL FROM generate_series(1, 30) n`)
	api := apitest.New(t)
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := fmt.Sprintf(`log_level: INFO
db_name: %s
db_user: %s
db_host: overridden
rdi: demo
rdi_url: https://rdi.example.org
batch_size: 10
max_concurrent_arc_builds: 5
api_client:
  api_url: https://overridden.example.org
  timeout: 600
  polling_timeout: 90
`, c.Database, c.User)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SQL_TO_ARC_DB_HOST", c.Host)
	t.Setenv("SQL_TO_ARC_DB_PASSWORD", "007")
	t.Setenv("SQL_TO_ARC_API_CLIENT_API_URL", api.URL)
	t.Setenv("SQL_TO_ARC_STATE_DIR", t.TempDir())
	code, _, problems := invoke(t, "-c", path)
	if code != 0 || len(api.ARCs()) != 30 {
		t.Errorf("status %d, %d ARCs\n%s", code, len(api.ARCs()), problems)
	}
}

// A configuration of the last generation still works as it is, with every key that
// generation had and nothing where nothing was set, and so does a database without
// what that generation did without: a description, an assay's title, lists instead
// of JSON in a text.
func TestConfigurationOfTheViews(t *testing.T) {
	c := databaseOf(t, `
		CREATE TABLE "vInvestigation" (identifier integer, title text, public_release_date date);
		CREATE TABLE "vStudy" (identifier text, title text, investigation_ref integer);
		CREATE TABLE "vAssay" (identifier text, measurement_type_term text, investigation_ref integer, study_ref text);
		CREATE TABLE "vContact" (last_name text, roles jsonb, investigation_ref integer, target_type text DEFAULT 'investigation', target_ref text);
		INSERT INTO "vInvestigation" VALUES (1, 'One', '2023-06-01'), (2, 'Two', NULL);
		INSERT INTO "vStudy" VALUES ('S1', 'Study', 1), ('S2', 'Study', 1);
		INSERT INTO "vAssay" VALUES ('A1', 'sequencing', 1, 'S1'), ('A1', 'sequencing', 1, 'S2'), ('A2', NULL, 1, '["S2"]');
		INSERT INTO "vContact" (last_name, roles, investigation_ref) VALUES ('Doe', '[{"term": "owner", "uri": null, "version": null}]', 1)`)
	api := apitest.New(t)
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(`connection_string: "postgresql+psycopg://unused:unused@localhost:5432/rdi"
rdi: demo
rdi_url: https://rdi.example.org
log_level: INFO
max_concurrent_arc_builds: 4
max_concurrent_tasks: ~
db_batch_size: 5000
max_studies: 5000
max_assays: 10000
arc_generation_timeout_minutes: 30
debug_limit: ~
api_client:
  api_url: https://overridden.example.org
  client_cert_path: ~
  client_key_path: ~
  ca_cert_path: ~
  timeout: 30.0
  verify_ssl: "false"
  follow_redirects: true
  max_concurrency: 10
  max_retries: 3
  retry_backoff_factor: 2.0
otel:
  endpoint: null
  log_console_spans: false
  log_level: INFO
`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SQL_TO_ARC_CONNECTION_STRING", fmt.Sprintf("postgresql+psycopg://%s@/%s?host=%s", c.User, c.Database, c.Host))
	t.Setenv("SQL_TO_ARC_API_CLIENT_API_URL", api.URL)
	t.Setenv("SQL_TO_ARC_STATE_DIR", t.TempDir())
	code, _, problems := invoke(t, "-c", path)
	if code != 0 || len(api.ARCs()) != 2 {
		t.Fatalf("status %d, %d ARCs\n%s", code, len(api.ARCs()), problems)
	}
	for _, want := range []string{`"identifier":"S2"`, `"identifier":"A2"`, "sequencing", "owner", "2023-06-01T00:00:00"} {
		if !strings.Contains(api.ARCs()["1"], want) {
			t.Errorf("%s is missing in:\n%s", want, api.ARCs()["1"])
		}
	}
}

// The manual page is sound, and knows every command and setting; the sample
// configuration can be read.
func TestManual(t *testing.T) {
	t.Parallel()
	_, page, _ := invoke(t, "man")
	for _, word := range []string{".SS check", ".SS init", ".SS run", "max_concurrent_arc_builds", "client_cert_path", "EXIT STATUS"} {
		if !strings.Contains(page, word) {
			t.Errorf("the page lacks %q", word)
		}
	}
	groff := testenv.Program(t, "groff", "groff-base")
	cmd := exec.CommandContext(t.Context(), groff, "-man", "-Tutf8", "-ww", "-z")
	cmd.Stdin = strings.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
	_, sample, _ := invoke(t, "config", "sample")
	if !strings.Contains(sample, "connection_string") {
		t.Errorf("sample:\n%s", sample)
	}
}
