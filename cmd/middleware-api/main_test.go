package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/manpage"
)

// invocation is one run of the program.
type invocation struct {
	code     int
	out, err string
}

func invoke(tb testing.TB, stdin string, args ...string) invocation {
	tb.Helper()
	var out, errs bytes.Buffer
	code := run(tb.Context(), args, cli.Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	return invocation{code, out.String(), errs.String()}
}

func write(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path) //nolint:gosec // a file of the test
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// A mistake on the command line ends with 64, says what is wrong and where the
// command is explained.
func TestMistakesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, wrong, see string }{
		{"nonsense", `"nonsense"`, ""},
		{"--nonsense", "--nonsense", ""},
		{"stauts", "did you mean status?", ""},
		{"serve --nonsense", "--nonsense", " serve"},
		{"migrate surplus", `"surplus"`, " migrate"},
		{"convert one", "usage: middleware-api convert CRATE.json DIR", " convert"},
		{"check --role nobody", `"nobody"`, " check"},
		{"config docs no.such.setting", "middleware-api config docs lists all", " config docs"},
		{"man ls.1", `"ls.1"`, " man"},
		{"convert a b --report xml", `"xml"`, " convert"},
	} {
		got := invoke(t, "", strings.Fields(tt.args)...)
		if got.code != cli.ExitUsage || !strings.Contains(got.err, tt.wrong) || !strings.HasSuffix(got.err, "\n  see: middleware-api"+tt.see+" --help\n") {
			t.Errorf("%s: exit status %d, %q", tt.args, got.code, got.err)
		}
	}
}

// Without a command the program tells what it can do.
func TestHelpListsTheCommands(t *testing.T) {
	t.Parallel()
	got := invoke(t, "")
	for _, want := range []string{"serve", "sync", "migrate", "convert", "check", "config", "version"} {
		if got.code != cli.ExitOK || !strings.Contains(got.out, "\n  "+want+" ") {
			t.Errorf("exit status %d; %q is not in\n%s", got.code, want, got.out)
		}
	}
}

// The version is spelled as clients of the earlier program expect it.
func TestVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--version"}, {"-v"}, {"version"}} {
		if got := invoke(t, "", args...); got.out != "middleware-api version "+version+"\n" || got.code != cli.ExitOK {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// check lists every problem with its line and ends with 78.
func TestCheckListsEveryProblem(t *testing.T) {
	t.Parallel()
	path := write(t, "config.yaml", "log_level: LOUD\nknown_rdis: [demo]\nknwon_rdis: []\nretry_after_seconds: 0\n")
	got := invoke(t, "", "check", "--config", path)
	if got.code != cli.ExitConfig {
		t.Errorf("exit status %d, want %d", got.code, cli.ExitConfig)
	}
	for _, want := range []string{path + ":1: ", path + ":3: ", path + ":4: "} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no problem at %q in\n%s", want, got.out)
		}
	}
	asJSON := invoke(t, "", "check", "--json", "--config", path)
	var problems []struct{ Line int }
	if err := json.Unmarshal([]byte(asJSON.out), &problems); err != nil || len(problems) != 3 || asJSON.code != cli.ExitConfig {
		t.Errorf("as JSON: %v, exit status %d\n%s", err, asJSON.code, asJSON.out)
	}
}

// serve and sync refuse a wrong configuration with 78 before they do anything.
func TestWrongConfigurationStartsNothing(t *testing.T) {
	t.Parallel()
	path := write(t, "config.yaml", "nonsense: 1\n")
	for _, command := range []string{"serve", "sync", "migrate"} {
		got := invoke(t, "", command, "--config", path)
		if got.code != cli.ExitConfig || !strings.Contains(got.err, path+":1: ") {
			t.Errorf("%s: exit status %d, %q", command, got.code, got.err)
		}
	}
}

// The sample configuration is a valid one.
func TestTheSampleConfigurationIsGood(t *testing.T) {
	t.Parallel()
	sample := invoke(t, "", "config", "sample")
	if got := invoke(t, "", "check", "--config", write(t, "config.yaml", sample.out)); got.code != cli.ExitOK {
		t.Errorf("exit status %d: %s", got.code, got.out)
	}
}

const goodCrate = `{"@context": "https://w3id.org/ro/crate/1.2/context", "@graph": [
  {"@id": "./", "@type": "Dataset", "identifier": "x", "hasPart": {"@id": "a"}},
  {"@id": "a", "@type": "Dataset", "additionalType": "Assay", "identifier": "a1"}]}`

// convert writes the folder and tells what is in it.
func TestConvertWritesTheFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	got := invoke(t, goodCrate, "convert", "-", dir)
	if got.code != cli.ExitOK || !strings.Contains(got.out, "0 studies, 1 assay,") {
		t.Fatalf("%+v", got)
	}
	for _, file := range []string{"isa.investigation.xlsx", "assays/a1/isa.assay.xlsx", "runs/.gitkeep"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	if again := invoke(t, goodCrate, "convert", "-", dir); again.code != cli.ExitCannotCreate || !strings.Contains(again.err, "not empty") {
		t.Errorf("into the same folder: %+v", again)
	}
}

// A crate that cannot become an ARC gives a line per finding, status 65, and
// no folder.
func TestConvertListsEveryFinding(t *testing.T) {
	t.Parallel()
	crate := write(t, "crate.json", `{"@context": "https://w3id.org/ro/crate/1.2/context", "@graph": [
  {"@id": "./", "@type": "Dataset", "identifier": "x", "hasPart": [{"@id": "a"}, {"@id": "s"}]},
  {"@id": "a", "@type": "Dataset", "additionalType": "Assay", "identifier": "a/1"},
  {"@id": "s", "@type": "Dataset", "additionalType": "Study"}]}`)
	dir := filepath.Join(t.TempDir(), "out")
	got := invoke(t, "", "convert", crate, dir)
	if got.code != cli.ExitData {
		t.Errorf("exit status %d, want %d", got.code, cli.ExitData)
	}
	for _, want := range []string{"/@graph/1", "/@graph/2"} {
		if !strings.Contains(got.err, want) {
			t.Errorf("no finding at %s in\n%s", want, got.err)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
	asJSON := invoke(t, "", "convert", "--report", "json", crate, dir)
	var report struct {
		Converted bool              `json:"converted"`
		Findings  []json.RawMessage `json:"findings"`
	}
	if err := json.Unmarshal([]byte(asJSON.out), &report); err != nil || report.Converted || len(report.Findings) < 2 || asJSON.code != cli.ExitData {
		t.Errorf("as JSON: %v, exit status %d\n%s", err, asJSON.code, asJSON.out)
	}
}

// An input that is not there is told apart from one that is wrong.
func TestConvertWithoutInput(t *testing.T) {
	t.Parallel()
	got := invoke(t, "", "convert", filepath.Join(t.TempDir(), "absent.json"), t.TempDir())
	if got.code != cli.ExitNoInput || !strings.Contains(got.err, "absent.json") {
		t.Errorf("%+v", got)
	}
}

// The manual names every command and every exit status.
func TestManualIsComplete(t *testing.T) {
	t.Parallel()
	page := invoke(t, "", "man", "middleware-api.8").out
	for _, c := range newRoot().Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		if !strings.Contains(page, ".SS "+manpage.Text(c.Name())) {
			t.Errorf("%s is not in the manual", c.Name())
		}
	}
}
