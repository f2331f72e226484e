package telemetry_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/config/setting"
	"github.com/fairagro/middleware-api/internal/span"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// output gives a file to log to and a function that reads what was logged.
func output(tb testing.TB) (*os.File, func() string) {
	tb.Helper()
	f, err := os.Create(filepath.Join(tb.TempDir(), "log"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	return f, func() string {
		tb.Helper()
		data, err := os.ReadFile(f.Name())
		if err != nil {
			tb.Fatal(err)
		}
		return string(data)
	}
}

// journald stands in for the journal: it owns a real datagram socket and
// decodes what arrives there as the protocol says.
type journald struct {
	tb     testing.TB
	conn   *net.UnixConn
	socket string
}

func newJournald(tb testing.TB) *journald {
	tb.Helper()
	dir, err := os.MkdirTemp("", "journal") // short, as socket paths must be
	if err != nil {
		tb.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = conn.Close()
		_ = os.RemoveAll(dir)
	})
	return &journald{tb: tb, conn: conn, socket: socket}
}

// receive gives the fields of the next record and whether it came in a file.
func (j *journald) receive() (fields map[string]string, inFile bool) {
	j.tb.Helper()
	if err := j.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		j.tb.Fatal(err)
	}
	data, control := make([]byte, 1<<20), make([]byte, 1024)
	n, nc, _, _, err := j.conn.ReadMsgUnix(data, control)
	if err != nil {
		j.tb.Fatalf("no record arrived: %v", err)
	}
	data = data[:n]
	if nc > 0 {
		data, inFile = j.file(control[:nc]), true
	}
	return j.decode(data), inFile
}

func (j *journald) file(control []byte) []byte {
	j.tb.Helper()
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 {
		j.tb.Fatalf("control messages %v, %v", messages, err)
	}
	descriptors, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(descriptors) != 1 {
		j.tb.Fatalf("descriptors %v, %v", descriptors, err)
	}
	f := os.NewFile(uintptr(descriptors[0]), "record")
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		j.tb.Error("the file of a record is not sealed")
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		j.tb.Fatal(err)
	}
	return data
}

func (j *journald) decode(data []byte) map[string]string {
	j.tb.Helper()
	name := regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	fields := map[string]string{}
	for len(data) > 0 {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			j.tb.Fatalf("a record that does not end with a line end: %q", data)
		}
		key, value, plain := bytes.Cut(line, []byte("="))
		if !plain {
			size := binary.LittleEndian.Uint64(rest)
			value, rest = rest[8:8+size], rest[8+size+1:]
		}
		if !name.Match(key) {
			j.tb.Errorf("the journal would drop the field %q", key)
		}
		if _, twice := fields[string(key)]; twice {
			j.tb.Errorf("the field %q is there twice", key)
		}
		fields[string(key)] = string(value)
		data = rest
	}
	return fields
}

// A record about an ARC reaches the journal with its facts as fields, and not
// the output as well.
func TestRecordsAboutARCsHaveFields(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	file, read := output(t)
	logging := telemetry.New(telemetry.Options{Format: telemetry.FormatJournal, Output: file, Socket: j.socket})
	defer logging.Close()

	logging.Logger.With("rdi", "edal", "request_id", "r-1", "client_id", "harvester one").Error("push parked", "event", telemetry.PushParked,
		"arc_id", "0badc0de", "attempt", 3, "duration", 1500*time.Millisecond,
		"error", errors.New("line one\nline two"), slog.Group("remote", "status", 403), "message", "x", "1st", true)

	got, _ := j.receive()
	want := map[string]string{
		"MESSAGE":           `push parked rdi=edal request_id=r-1 client_id="harvester one" event=push-parked arc_id=0badc0de attempt=3 duration=1.5s error="line one\nline two" remote.status=403 message=x 1st=true`,
		"PRIORITY":          "3",
		"SYSLOG_IDENTIFIER": "middleware-api",
		"MESSAGE_ID":        telemetry.PushParked.MessageID(),
		"EVENT":             "push-parked",
		"ARC_ID":            "0badc0de",
		"RDI":               "edal",
		"ATTEMPT":           "3",
		"DURATION":          "1.5s",
		"ERROR":             "line one\nline two",
		"REMOTE_STATUS":     "403",
		"REQUEST_ID":        "r-1",
		"CLIENT_ID":         "harvester one",
		"X_MESSAGE":         "x",
		"X_1ST":             "true",
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s=%q, want %q", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("fields %v, want %v", got, want)
	}
	if out := read(); out != "" {
		t.Errorf("the record is on the output as well: %q", out)
	}
}

// What an ARC or a harvest has been through is found by its id in the journal, also where
// nothing is wrong, and so is every warning.
func TestRecordsThatAreLookedForAreInTheJournal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  string
		warn bool
	}{{"arc_id", false}, {"harvest_id", false}, {"address", true}} {
		j := newJournald(t)
		file, read := output(t)
		logging := telemetry.New(telemetry.Options{Format: telemetry.FormatJournal, Output: file, Socket: j.socket})
		log := logging.Logger.Info
		if c.warn {
			log = logging.Logger.Warn
		}
		log("something happened", c.key, "a=b")
		if out := read(); out != "" {
			t.Fatalf("%s: the record is on the output: %q", c.key, out)
		}
		got, _ := j.receive()
		if got["MESSAGE"] != `something happened `+c.key+`="a=b"` || got[strings.ToUpper(c.key)] != "a=b" {
			t.Errorf("%s: got %v", c.key, got)
		}
		logging.Close()
	}
}

// Records without anything to find by go to the output, one line each, with
// their priority and without a time.
func TestPlainRecordsGoToTheOutput(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	file, read := output(t)
	logging := telemetry.New(telemetry.Options{Format: telemetry.FormatJournal, Output: file, Socket: j.socket, Level: slog.LevelDebug})
	defer logging.Close()
	logging.Logger.Info("listening", "address", "127.0.0.1:8000", "sockets", 2, "empty", "", "secret", setting.NewSecret("pa55word"))
	logging.Logger.WithGroup("pool").Debug("line\nbreak\x1b[31m", "idle", true)
	want := "<6>listening address=127.0.0.1:8000 sockets=2 empty=\"\" secret=***\n" +
		"<7>line\\nbreak\\x1b[31m pool.idle=true\n"
	if got := read(); got != want {
		t.Errorf("output\n%q, want\n%q", got, want)
	}
}

// A record larger than a datagram reaches the journal whole, in a sealed file.
func TestLargeRecordsArrive(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	file, _ := output(t)
	logging := telemetry.New(telemetry.Options{Format: telemetry.FormatJournal, Output: file, Socket: j.socket})
	defer logging.Close()
	large := strings.Repeat("0123456789abcde\n", 1<<18)
	logging.Logger.Error("worker stuck", "stacks", large)
	got, inFile := j.receive()
	if got["STACKS"] != large {
		t.Errorf("%d bytes arrived of %d", len(got["STACKS"]), len(large))
	}
	if !inFile {
		t.Error("4 MiB fitted into a datagram: the test does not test what it says")
	}
}

// A process that ends waits until the journal has read its last words, so that
// they are filed under its unit; a journal that reads nothing does not hold it up
// for ever.
func TestLastWordsAreReadBeforeTheEnd(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	file, _ := output(t)
	last := func() *telemetry.Logging {
		logging := telemetry.New(telemetry.Options{Format: telemetry.FormatJournal, Output: file, Socket: j.socket})
		logging.Logger.Warn("the end", "remedy", strings.Repeat("none ", 1000))
		return logging
	}
	logging := last()
	var read atomic.Bool
	slow := time.AfterFunc(100*time.Millisecond, func() {
		read.Store(true)
		j.receive()
	})
	defer slow.Stop()
	logging.Close()
	if !read.Load() {
		t.Error("closed before the journal had read the record")
	}
	last().Close() // nobody reads it
}

// Without a journal, and when it goes away, nothing is lost: records are on
// the output.
func TestWithoutAJournalRecordsAreOnTheOutput(t *testing.T) {
	t.Parallel()
	file, read := output(t)
	absent := telemetry.New(telemetry.Options{Format: telemetry.FormatJournal, Output: file, Socket: "/nonexistent"})
	absent.Logger.Error("first", "arc_id", "a")
	absent.Close()
	j := newJournald(t)
	gone := telemetry.New(telemetry.Options{Format: telemetry.FormatJournal, Output: file, Socket: j.socket})
	defer gone.Close()
	_ = j.conn.Close()
	gone.Logger.Error("second", "arc_id", "b")
	if got, want := read(), "<3>first arc_id=a\n<3>second arc_id=b\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
}

// Text carries time and level; JSON the level names of the configuration.
func TestOtherForms(t *testing.T) {
	t.Parallel()
	file, read := output(t)
	telemetry.New(telemetry.Options{Output: file}).Logger.Warn("slow disk", "free", 5)
	if got := read(); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\S+ WARNING slow disk free=5\n$`).MatchString(got) {
		t.Errorf("text %q", got)
	}
	file, read = output(t)
	telemetry.New(telemetry.Options{Output: file, Format: telemetry.FormatJSON}).Logger.Warn("slow disk", "free", 5)
	var object map[string]any
	if err := json.Unmarshal([]byte(read()), &object); err != nil || object["level"] != "WARNING" || object["free"] != 5.0 {
		t.Errorf("JSON %q: %v", read(), err)
	}
}

// The level of the configuration decides what is written, access lines
// included.
func TestLevels(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"CRITICAL": "", "error": "E", "WARNING": "EW", "INFO": "EWIA", "DEBUG": "EWIDA", "NOTSET": "EWIDA",
	} {
		var level setting.Level
		if err := level.Set(name); err != nil {
			t.Fatal(err)
		}
		file, read := output(t)
		l := telemetry.New(telemetry.Options{Output: file, Level: slog.Level(level), Format: telemetry.FormatJournal, Socket: "/nonexistent"})
		l.Logger.Error("E")
		l.Logger.Warn("W")
		l.Logger.Info("I")
		l.Logger.Debug("D")
		l.Access.Log(&telemetry.Access{Remote: "A"})
		got := ""
		for line := range strings.Lines(read()) {
			got += line[3:4]
		}
		if got != want {
			t.Errorf("%s writes %q, want %q", name, got, want)
		}
	}
}

var request = telemetry.Access{
	Time: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), Remote: "10.0.0.1", Client: "harvester one", Method: "POST", URI: "/v3/arcs?x=1",
	Proto: "HTTP/1.1", Status: 201, Bytes: 412, UserAgent: `curl/8 "quoted"`, Duration: 5120 * time.Microsecond, RequestID: "r-1",
}

// An access line has the fields of the former format and the request's id.
func TestAccessLine(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		telemetry.FormatJournal: `<6>10.0.0.1 - harvester_one "POST /v3/arcs?x=1 HTTP/1.1" 201 412 "-" "curl/8 \x22quoted\x22" 5120 r-1` + "\n",
		telemetry.FormatText:    `10.0.0.1 - harvester_one [01/Mar/2026:10:00:00 +0000] "POST /v3/arcs?x=1 HTTP/1.1" 201 412 "-" "curl/8 \x22quoted\x22" 5120 r-1` + "\n",
		telemetry.FormatJSON:    `{"time":"2026-03-01T10:00:00Z","level":"INFO","msg":"request","remote":"10.0.0.1","client_id":"harvester one","method":"POST","uri":"/v3/arcs?x=1","proto":"HTTP/1.1","user_agent":"curl/8 \"quoted\"","request_id":"r-1","status":201,"bytes":412,"duration":0.005120}` + "\n",
	} {
		file, read := output(t)
		telemetry.New(telemetry.Options{Output: file, Format: format, Socket: "/nonexistent"}).Access.Log(&request)
		if got := read(); got != want {
			t.Errorf("%s:\n%s, want\n%s", format, got, want)
		}
	}
}

// Clients that wait for a task do not fill the log, except for debugging.
func TestPollingIsNotLogged(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level]int{slog.LevelInfo: 2, slog.LevelDebug: 4} {
		file, read := output(t)
		access := telemetry.New(telemetry.Options{Output: file, Format: telemetry.FormatText, Level: level}).Access
		for _, a := range []telemetry.Access{
			{Method: "GET", URI: "/v1/tasks/1"}, {Method: "GET", URI: "/v2/tasks/1"}, {Method: "POST", URI: "/v1/tasks/1"}, {Method: "GET", URI: "/v1/tasksX"},
		} {
			access.Log(&a)
		}
		if got := strings.Count(read(), "\n"); got != want {
			t.Errorf("level %v: %d lines, want %d", level, got, want)
		}
	}
}

// Whatever a client sends, its request is one line, of bounded length and
// without control characters; as JSON it is one valid object.
func FuzzAccessLine(f *testing.F) {
	f.Add("GET", "/a\nb", "agent\x1b[31m\"", "id")
	f.Add("\xff\xfe", "/\u2028\u0085", "\\\"", "")
	f.Add("G\rET\x7f", strings.Repeat("/", 100_000), strings.Repeat("\u2029", 10_000), "\u009b")
	f.Fuzz(func(t *testing.T, method, uri, agent, id string) {
		a := telemetry.Access{Method: method, URI: uri, UserAgent: agent, RequestID: id, Client: agent, Remote: id, Proto: method, Referer: uri}
		for _, format := range []string{telemetry.FormatJournal, telemetry.FormatJSON} {
			file, read := output(t)
			telemetry.New(telemetry.Options{Output: file, Format: format, Level: slog.LevelDebug, Socket: "/nonexistent"}).Access.Log(&a)
			_ = file.Close()
			line := read()
			if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || strings.ContainsAny(line[:len(line)-1], "\x00\x1b\r\x7f\u0085\u009b") ||
				format == telemetry.FormatJournal && strings.ContainsAny(line, "\u2028\u2029") {
				t.Fatalf("%s: %q", format, line)
			}
			if len(line) > 8*4*2048+1000 {
				t.Fatalf("%s: a line of %d bytes", format, len(line))
			}
			if format == telemetry.FormatJSON && !json.Valid([]byte(line)) {
				t.Fatalf("not JSON: %q", line)
			}
		}
	})
}

// One access line costs no allocation, so that logging stays a small part of
// a request.
func TestAccessLineDoesNotAllocate(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	for _, format := range []string{telemetry.FormatJournal, telemetry.FormatText, telemetry.FormatJSON} {
		access := telemetry.New(telemetry.Options{Output: null, Format: format, Socket: "/nonexistent"}).Access
		if n := testing.AllocsPerRun(1000, func() { access.Log(&request) }); n >= lineAllocations {
			t.Errorf("%s: %v allocations per line", format, n)
		}
	}
}

func BenchmarkAccessLine(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	access := telemetry.New(telemetry.Options{Output: null, Format: telemetry.FormatJournal, Socket: "/nonexistent"}).Access
	b.ReportAllocs()
	for b.Loop() {
		access.Log(&request)
	}
}

// Without an endpoint tracing makes no spans and allocates nothing.
func TestTracingCostsNothingWhenOff(t *testing.T) {
	tracing, err := telemetry.Trace(t.Context(), telemetry.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	n := testing.AllocsPerRun(1000, func() {
		in, step := span.Resume(ctx, tracing.Tracer, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", span.Sync)
		if step.On() || in != ctx {
			t.Error("there is a trace")
		}
		step.Text("rdi", "edal")
		step.End()
	})
	if n != 0 {
		t.Errorf("%v allocations per span", n)
	}
	if tracing.Enabled {
		t.Error("tracing says that it is on")
	}
}

// Spans reach the collector over OTLP/HTTP.
func TestSpansReachTheCollector(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	path := ""
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		_, _ = io.Copy(&got, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	file, read := output(t)
	logger := telemetry.New(telemetry.Options{Output: file}).Logger
	tracing, err := telemetry.Trace(t.Context(), telemetry.TraceOptions{
		Endpoint: collector.URL + "/", ConsoleSpans: true, Service: "middleware-api", Version: "1.2.3", SampleRatio: 1, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}

	_, step := span.Resume(t.Context(), tracing.Tracer, "", span.Submit)
	step.End()
	if err := tracing.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	if path != "/v1/traces" {
		t.Errorf("spans went to %q", path)
	}
	for _, want := range []string{span.Submit, "middleware-api", "1.2.3"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("the collector did not receive %q", want)
		}
	}
	if !strings.Contains(read(), "span ended span="+span.Submit) {
		t.Errorf("the log lacks the span: %q", read())
	}
}

// Metrics tell worker and build.
func TestMetrics(t *testing.T) {
	t.Parallel()
	metrics := telemetry.NewMetrics("3", "1.2.3", "abc")
	answer := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{`middleware_api_build_info{commit="abc",go="go`, `version="1.2.3",worker="3"} 1`, `go_goroutines{worker="3"}`, `process_resident_memory_bytes{worker="3"}`} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("metrics lack %q:\n%.500s", want, answer.Body.String())
		}
	}
}
