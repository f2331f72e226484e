package setting_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/config/setting"
)

// vars is what the table of these tests is bound to.
type vars struct {
	level  setting.Level
	name   string
	count  int
	ratio  float64
	on     bool
	list   []string
	topics map[string]string
	token  setting.Secret
	wait   setting.Duration
	limit  setting.Size
}

func table(v *vars) *setting.Table {
	return &setting.Table{
		Sections: []setting.Section{
			{Path: "store", Doc: "The store.", Alternative: true},
			{Path: "plain", Doc: "Plain."},
		},
		Settings: []setting.Setting{
			{Path: "log_level", Target: &v.level, Default: "INFO", Doc: "Level.", Env: []string{"OTHER_LEVEL"}},
			{Path: "known", Target: &v.list, Default: "[]", Doc: "Known.", Rule: setting.Match(&v.list, "[a-z]+", "small letters")},
			{Path: "store.name", Target: &v.name, Doc: "Name.", Required: true},
			{Path: "store.token", Target: &v.token, Doc: "Token.", Credentials: []string{"the-token"}},
			{Path: "store.topics", Target: &v.topics, Default: "{}", Doc: "Topics."},
			{Path: "plain.count", Target: &v.count, Default: "5", Doc: "Count.", Rule: setting.AtLeast(&v.count, 1)},
			{Path: "plain.ratio", Target: &v.ratio, Default: "0.5", Doc: "Ratio."},
			{Path: "plain.on", Target: &v.on, Default: "true", Doc: "On."},
			{Path: "plain.wait", Target: &v.wait, Default: "30s", Doc: "Wait."},
			{Path: "plain.limit", Target: &v.limit, Default: "32MiB", Doc: "Limit."},
		},
		Retired: []setting.Retired{{Path: "couchdb", Reason: "gone"}, {Path: "plain.cache", Reason: "gone too"}},
	}
}

func read(tb testing.TB, file string, environ ...string) (vars, *setting.Result, error) {
	tb.Helper()
	var v vars
	result, err := table(&v).Read(setting.Input{Name: "c.yaml", Data: []byte(file), Environ: environ})
	return v, result, err
}

func mustRead(tb testing.TB, file string, environ ...string) vars {
	tb.Helper()
	v, _, err := read(tb, file, environ...)
	if err != nil {
		tb.Fatalf("read %q with %q: %v", file, environ, err)
	}
	return v
}

func problems(tb testing.TB, err error) []string {
	tb.Helper()
	invalid, ok := errors.AsType[*setting.Invalid](err)
	if !ok {
		tb.Fatalf("got error %v, want *Invalid", err)
	}
	lines := make([]string, len(invalid.Problems))
	for i, p := range invalid.Problems {
		lines[i] = p.String()
	}
	return lines
}

// Every problem of a file is reported, each with its line, in one pass.
func TestAllProblemsAreReportedWithTheirLines(t *testing.T) {
	t.Parallel()
	_, result, err := read(t, `log_level: LOUD
known: edal
couchdb: {url: x}
plain:
  coutn: 3
  count: 0
  on: maybe
  on: true
  wait: soon
  limit: [1]
  cache: x
nonsense: 1
store:
  name: 12
  token: 1234
`)
	got := problems(t, err)
	want := []string{
		`c.yaml:1: log_level: "LOUD" is not one of CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET`,
		`c.yaml:2: known: must be a list, not text; write it as [a, b]`,
		`c.yaml:5: plain.coutn: unknown setting; did you mean plain.count?`,
		`c.yaml:6: plain.count: must be at least 1`,
		`c.yaml:7: plain.on: "maybe" is neither true nor false`,
		`c.yaml:8: plain.on: is given twice, first in line 7`,
		`c.yaml:9: plain.wait: "soon" is not a duration such as 30s, 5m, 24h or 7d`,
		`c.yaml:10: plain.limit: must be a size (a bare number counts bytes), not a list`,
		`c.yaml:12: nonsense: unknown setting`,
		`c.yaml:14: store.name: must be text, but YAML reads it as a number; quote it: "12"`,
		`c.yaml:15: store.token: must be text, but YAML reads it as a number; put it in quotes`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var warnings []string
	for _, w := range result.Warnings {
		warnings = append(warnings, w.String())
	}
	if want := []string{
		"c.yaml:3: warning: couchdb: is not used any more: gone",
		"c.yaml:11: warning: plain.cache: is not used any more: gone too",
	}; !slices.Equal(warnings, want) {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
}

// Broken YAML is a problem with its line, whatever is broken.
func TestBrokenYAMLHasALine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, want string }{
		{"log_level: INFO\nknown: [a\n", "c.yaml:1: not valid YAML: did not find expected ',' or ']'"},
		{"log_level: INFO\n\nknown: \"a\n", "c.yaml:3: not valid YAML: found unexpected end of stream"},
		{"log_level: INFO\n---\nknown: [a\n", "c.yaml:2: not valid YAML: did not find"},
		{"log_level: INFO\nstore: {token: *secret}\n", "c.yaml: not valid YAML: unknown … referenced"},
		{"- a\n- b\n", "c.yaml:1: must be a mapping of names to values, not a list"},
		{"log_level: INFO\n---\nlog_level: INFO\n", "c.yaml:2: a second document begins here"},
		{"plain: 5\n", "c.yaml:1: plain: must be a mapping of names to values, not a number"},
		{"a: &a {x: 1}\nplain:\n  <<: *a\n", "c.yaml:3: plain: merge keys (<<) are not supported"},
	} {
		_, _, err := read(t, c.file)
		if got := problems(t, err); !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, c.want) }) {
			t.Errorf("%q: problems %q, want one that begins with %q", c.file, got, c.want)
		} else if strings.Contains(strings.Join(got, ""), "secret") {
			t.Errorf("%q: problems %q quote what may be a secret", c.file, got)
		}
	}
}

// An alias stands for what its anchor has, as a value, in a list and in a mapping.
func TestAliases(t *testing.T) {
	t.Parallel()
	v := mustRead(t, "store: {name: &n abc, topics: {*n : *n, b: *n}}\nknown: &k [x, *n]\n")
	if v.name != "abc" || !slices.Equal(v.list, []string{"x", "abc"}) || len(v.topics) != 2 || v.topics["abc"] != "abc" || v.topics["b"] != "abc" {
		t.Errorf("got %+v", v)
	}
	v = mustRead(t, "store: &s {name: abc}\nplain: {count: &c 7}\n")
	if v.name != "abc" || v.count != 7 {
		t.Errorf("got %+v", v)
	}
}

// A variable wins over a credential, that over a secret file, that over the
// file, that over the default; an empty one is none.
func TestSourcesAreAskedInOrder(t *testing.T) {
	t.Parallel()
	secrets, credentials := t.TempDir(), t.TempDir()
	write := func(dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	token := func(environ ...string) string {
		t.Helper()
		var v vars
		_, err := table(&v).Read(setting.Input{
			Name: "c.yaml", Data: []byte("store: {name: n, token: of-file}"),
			Environ: environ, Secrets: secrets, Credentials: credentials,
		})
		if err != nil {
			t.Fatal(err)
		}
		return v.token.Reveal()
	}
	if got := token(); got != "of-file" {
		t.Errorf("file only: %q", got)
	}
	write(secrets, "store_token", "of-secret\n")
	if got := token(); got != "of-secret" {
		t.Errorf("with a secret file: %q", got)
	}
	write(credentials, "the-token", "\n")
	if got := token(); got != "of-secret" {
		t.Errorf("with a blank credential: %q", got)
	}
	write(credentials, "the-token", "of-credential\n")
	if got := token(); got != "of-credential" {
		t.Errorf("with a credential: %q", got)
	}
	if got := token("STORE_TOKEN="); got != "of-credential" {
		t.Errorf("with an empty variable: %q", got)
	}
	if got := token("STORE_TOKEN=007"); got != "007" {
		t.Errorf("with a variable that looks like a number: %q", got)
	}
}

// Variables are read by the type of their setting, with everything that was
// an integer or a boolean for the former configuration.
func TestVariablesFollowTheTypeOfTheSetting(t *testing.T) {
	t.Parallel()
	v := mustRead(t, "store: {name: x, topics: {Edal: a}}\nknown: [a, b]",
		"STORE_NAME=true", "PLAIN_COUNT= 1_000 ", "PLAIN_ON=FALSE", "PLAIN_RATIO=1e-1", "_LOG_LEVEL=DEBUG",
		"KNOWN_1=c", "KNOWN_2=d", "STORE_TOPICS_EDAL=b", "STORE_TOPICS_NEW=c", "PLAIN_WAIT=1h30m", "PLAIN_LIMIT=1kB")
	if v.name != "true" || v.count != 1000 || v.on || v.ratio != 0.1 || v.level.String() != "DEBUG" {
		t.Errorf("scalars: %+v", v)
	}
	if !slices.Equal(v.list, []string{"a", "c", "d"}) {
		t.Errorf("list %q", v.list)
	}
	if len(v.topics) != 2 || v.topics["Edal"] != "b" || v.topics["new"] != "c" {
		t.Errorf("topics %q", v.topics)
	}
	if time.Duration(v.wait) != 90*time.Minute || v.limit != 1000 {
		t.Errorf("wait %v, limit %v", v.wait, v.limit)
	}
	if got := mustRead(t, "", "KNOWN=a, b").list; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("list in one variable: %q", got)
	}
	if got := mustRead(t, "", "LOG_LEVEL=ERROR", "OTHER_LEVEL=debug").level.String(); got != "ERROR" {
		t.Errorf("level %s, want that of the setting's own variable", got)
	}
	if got := mustRead(t, "log_level: INFO", "OTHER_LEVEL=debug").level.String(); got != "DEBUG" {
		t.Errorf("level %s, want that of the further variable", got)
	}
}

// A problem with a variable names the variable; a setting that is required
// names every way to give it.
func TestProblemsNameTheirSource(t *testing.T) {
	t.Parallel()
	_, _, err := read(t, "store: {}", "PLAIN_COUNT=nan", "KNOWN_3=x", "LOG_LEVEL=7")
	got := strings.Join(problems(t, err), "\n")
	for _, want := range []string{
		`variable PLAIN_COUNT: plain.count: "nan" is not an integer`,
		`variable LOG_LEVEL: log_level: "7" is not one of`,
		`variable KNOWN_3 sets element 3 of a list of 0`,
		`c.yaml:1: store.name: is required; set it in the file or as STORE_NAME`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("problems lack %q:\n%s", want, got)
		}
	}
}

// A section that is a choice is brought to life by the file alone.
func TestVariablesDoNotBringAlternativesToLife(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"", "store:", "store: null"} {
		if v := mustRead(t, file, "STORE_NAME=x", "STORE_TOKEN=y"); v.name != "" || !v.token.IsZero() {
			t.Errorf("%q: name %q", file, v.name)
		}
	}
	if v := mustRead(t, "store: {}", "STORE_NAME=x"); v.name != "x" {
		t.Errorf("name %q with an empty section, want x", v.name)
	}
}

// A withheld secret is neither kept nor are its other sources looked at.
func TestWithheldSecretsStayAway(t *testing.T) {
	t.Parallel()
	var v vars
	tab := table(&v)
	for i := range tab.Settings {
		if tab.Settings[i].Path == "store.token" {
			tab.Settings[i].Withheld = true
		}
	}
	credentials := t.TempDir()
	if err := os.Mkdir(filepath.Join(credentials, "the-token"), 0o000); err != nil {
		t.Fatal(err)
	}
	result, err := tab.Read(setting.Input{
		Name: "c.yaml", Data: []byte("store: {name: n, token: hidden}"),
		Environ: []string{"STORE_TOKEN=hidden"}, Credentials: credentials,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !v.token.IsZero() {
		t.Errorf("the token was kept: %q", v.token.Reveal())
	}
	if len(result.Warnings) != 1 || result.Warnings[0].Line != 1 || result.Warnings[0].Remedy != "give it as credential the-token" {
		t.Errorf("warnings %v, want one that points to the credential", result.Warnings)
	}
}

// No way of printing shows a secret or the password in a DSN, also not from
// within fields that fmt cannot ask for their methods.
func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	const word = "pa55word"
	type public struct {
		Token setting.Secret
		DSN   setting.DSN
	}
	values := public{setting.NewSecret(word), setting.NewDSN("postgres://u:" + word + "@h/db?sslpassword=" + word)}
	hidden := struct{ inner public }{values}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, value := range []any{values.Token, &values.Token, values.DSN, values, &values, hidden, &hidden} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("secrets", "token", values.Token, "dsn", values.DSN, "all", values, "hidden", hidden)
	}
	for _, encode := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		data, err := encode(values)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(data)
	}
	var v vars
	tab := table(&v)
	result, err := tab.Read(setting.Input{Name: "c", Data: []byte("store: {name: n, token: " + word + "}")})
	if err != nil {
		t.Fatal(err)
	}
	tab.Show(&out, result)
	if strings.Contains(out.String(), word) || strings.Contains(out.String(), fmt.Sprintf("%x", word)) {
		t.Errorf("the secret was printed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "***") {
		t.Error("nothing masked was printed at all")
	}
	for _, dsn := range []string{
		"host=/run user=u password='a " + word + "' dbname=d", "password = " + word + " host=h", "postgres://u:a%3A" + word + "@h/d",
		"postgres://h/d?password=" + word + "&x=y", "postgres://u:" + word + "@[::1/d",
	} {
		if shown := setting.NewDSN(dsn).String(); strings.Contains(shown, word) {
			t.Errorf("%q is shown as %q", dsn, shown)
		}
	}
}

// Durations, sizes and levels are read back from what they print.
func TestValuesAreReadBackFromWhatTheyPrint(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := setting.Duration(rapid.Int64Range(0, 1<<50).Draw(t, "duration"))
		var gotD setting.Duration
		if err := gotD.Set(d.String()); err != nil || gotD != d {
			t.Fatalf("duration %d printed as %q read as %d, %v", d, d, gotD, err)
		}
		s := setting.Size(rapid.Int64Range(0, 1<<52).Draw(t, "size"))
		var gotS setting.Size
		if err := gotS.Set(s.String()); err != nil || gotS != s {
			t.Fatalf("size %d printed as %q read as %d, %v", s, s, gotS, err)
		}
	})
}

func TestDurationsAndSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"5": 5 * time.Second, "0.5": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "30 s": 30 * time.Second, "0": 0,
	} {
		var d setting.Duration
		if err := d.Set(text); err != nil || time.Duration(d) != want {
			t.Errorf("duration %q: %v, %v, want %v", text, time.Duration(d), err, want)
		}
	}
	for _, text := range []string{"", "s", "-1s", "1x", "1s2", "nan", "inf", "99999999999d", "1..2s", "1h-3m"} {
		if err := new(setting.Duration).Set(text); err == nil {
			t.Errorf("duration %q was accepted", text)
		}
	}
	for text, want := range map[string]setting.Size{"1024": 1024, "32MiB": 32 << 20, "32 mib": 32 << 20, "1kB": 1000, "1.5GiB": 3 << 29, "1_000": 1000, "5B": 5} {
		var s setting.Size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("size %q: %d, %v, want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1XB", "0.5", "nan", "1e30", "99999999999GiB"} {
		if err := new(setting.Size).Set(text); err == nil {
			t.Errorf("size %q was accepted", text)
		}
	}
}

// Whatever the file and a variable hold, reading neither panics nor repeats a
// secret, and what is shown of a usable configuration can be read again.
func FuzzRead(f *testing.F) {
	f.Add("log_level: INFO\nplain: {count: 1}\n", "5")
	f.Add("a: &a [*a]\nstore: {name: n, topics: {a: b}}\n", "x,y")
	f.Add("plain:\n  <<: {count: 1}\n", "")
	f.Add("known: ['a', \"b\"]\nstore: {name: \"a\\nb\", token: s3cr3t-token}\n", "1h")
	f.Fuzz(func(t *testing.T, file, variable string) {
		var v vars
		tab := table(&v)
		result, err := tab.Read(setting.Input{
			Name: "c.yaml", Data: []byte(file),
			Environ: []string{"PLAIN_COUNT=" + variable, "KNOWN=" + variable, "STORE_TOPICS_A=" + variable, "PLAIN_WAIT=" + variable},
		})
		if err != nil {
			if len(problems(t, err)) == 0 {
				t.Fatal("an error without a problem")
			}
			return
		}
		var out bytes.Buffer
		tab.Show(&out, result)
		var again vars
		if _, err := table(&again).Read(setting.Input{Name: "shown", Data: out.Bytes()}); err != nil {
			t.Fatalf("shown:\n%s\ncannot be read: %v", out.String(), err)
		}
		if again.name != v.name || !slices.Equal(again.list, v.list) || again.wait != v.wait || again.count != v.count {
			t.Fatalf("shown:\n%s\nread as %+v, want %+v", out.String(), again, v)
		}
	})
}

// What counts as a number, a truth or an element of a list when it comes as a text.
func TestTextsAreReadByType(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"7": 7, "007": 7, "1_000": 1000, "+5": 5, "1e3": 1000, "2.0": 2, "9007199254740992": 1 << 53} {
		if got := mustRead(t, "", "PLAIN_COUNT="+text).count; got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	for _, name := range []string{"PLAIN_COUNT", "PLAIN_RATIO"} {
		for _, text := range []string{"x", "_1", "1_", "1__0", "0x10", "0x1p4", "nan", "inf", "-Infinity", "1e999", "1 2"} {
			if _, _, err := read(t, "", name+"="+text); err == nil || !strings.Contains(err.Error(), "is not a") {
				t.Errorf("%s=%q: got %v", name, text, err)
			}
		}
	}
	for _, text := range []string{"1.5", "1e17", "-1e17"} {
		if _, _, err := read(t, "", "PLAIN_COUNT="+text); err == nil || !strings.Contains(err.Error(), "is not an integer of a usable size") {
			t.Errorf("%q: got %v", text, err)
		}
	}
	for text, want := range map[string]bool{
		"true": true, "Yes": true, "on": true, "1": true, "t": true, "Y": true, "FALSE": false, "no": false, "off": false, "0": false, "f": false, "n": false,
	} {
		if got := mustRead(t, "", "PLAIN_ON="+text).on; got != want {
			t.Errorf("%q: got %t", text, got)
		}
	}
	if got := mustRead(t, "", "KNOWN= a,, b ,").list; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("list: got %q", got)
	}
	for text, want := range map[string]setting.Size{"1GB": 1e9, "1gib": 1 << 30, "2 MB": 2e6, "1_000": 1000, "3K": 3 << 10} {
		if got := mustRead(t, "", "PLAIN_LIMIT="+text).limit; got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	if got := mustRead(t, "", "LOG_LEVEL=warn").level.String(); got != "WARNING" {
		t.Errorf("level: got %s", got)
	}
	// Elements come by number, the tenth after the second.
	environ := []string{"KNOWN=z"}
	want := []string{}
	for i := range 12 {
		element := string(rune('a' + i))
		environ = append(environ, fmt.Sprintf("KNOWN_%d=%s", i, element))
		want = append(want, element)
	}
	if got := mustRead(t, "known: []", environ[1:]...).list; !slices.Equal(got, want) {
		t.Errorf("list by elements: got %q, want %q", got, want)
	}
	_, _, err := read(t, "store: {name: n, topics: {a: x, b: y, a: z}}")
	if err == nil || !strings.Contains(err.Error(), `c.yaml:1: store.topics: entry "a" is given twice`) {
		t.Errorf("an entry that is given twice: %v", err)
	}
}

// A file holds a value if it is a file of the size of one, under any of its names; the
// value is what is in it without what is around it.
func TestFilesWithAValue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, want string }{
		"the-token":   {content: "one\n", want: "one"},
		"store_token": {content: " two \r\n", want: "two"},
		"store-token": {content: "three", want: "three"},
		"token":       {content: "four", want: ""},
		"the-token2":  {content: "five", want: ""},
	} {
		v, err := readCredential(t, name, c.content)
		if err != nil || v.token.Reveal() != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, v.token.Reveal(), err, c.want)
		}
	}
	if v, err := readCredential(t, "the-token", strings.Repeat("x", 64<<10)); err != nil || len(v.token.Reveal()) != 64<<10 {
		t.Errorf("64 KiB: got %d bytes, %v", len(v.token.Reveal()), err)
	}
	if _, err := readCredential(t, "the-token", strings.Repeat("x", 64<<10+1)); err == nil || !strings.Contains(err.Error(), "credential the-token: store.token: cannot be read: larger than") {
		t.Errorf("more than 64 KiB: got %.200v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "the-token"), 0o755); err != nil {
		t.Fatal(err)
	}
	var v vars
	if _, err := table(&v).Read(setting.Input{Name: "c.yaml", Data: []byte("store: {name: n}"), Credentials: dir}); err != nil || !v.token.IsZero() {
		t.Errorf("a folder: got %q, %v", v.token.Reveal(), err)
	}
}

func readCredential(tb testing.TB, name, content string) (v vars, err error) {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	_, err = table(&v).Read(setting.Input{Name: "c.yaml", Data: []byte("store: {name: n}"), Credentials: dir})
	return v, err
}
