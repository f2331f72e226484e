package httpapi_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/testenv"
)

const ndjson = "application/x-ndjson"

// lineAnswer is what a client reads for one line.
type lineAnswer struct {
	Line       int
	Status     int
	ARCID      string `json:"arc_id"`
	Identifier string
	Outcome    string
	Hash       string `json:"arc_hash"`
	Error      *struct {
		Code, Message string
		Detail        []struct {
			Type, Msg string
			Loc       []any
		}
	}
}

func (a lineAnswer) String() string {
	text := fmt.Sprintf("%d %d %s %s", a.Line, a.Status, a.Identifier, a.Outcome)
	if a.Error != nil {
		text += a.Error.Code + ": " + a.Error.Message
	}
	return text
}

func parseLine(tb testing.TB, line string) lineAnswer {
	tb.Helper()
	var a lineAnswer
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		tb.Fatalf("%v in %q", err, clip(line))
	}
	return a
}

// summary gives the answers as texts.
func summary(tb testing.TB, body string) []string {
	tb.Helper()
	var out []string
	for line := range strings.Lines(body) {
		out = append(out, parseLine(tb, line).String())
	}
	return out
}

func wantLines(tb testing.TB, body string, want ...string) {
	tb.Helper()
	got := summary(tb, body)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		tb.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Every line has its answer, in order; a broken one harms only itself.
func TestBulk(t *testing.T) {
	t.Parallel()
	gzipped := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.WriteString(z, s)
		z.Close()
		return b.String()
	}
	zstandard := func(s string) string {
		z, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(z.EncodeAll([]byte(s), nil))
	}
	for encoding, encode := range map[string]func(string) string{"": func(s string) string { return s }, "gzip": gzipped, "zstd": zstandard} {
		t.Run("encoding "+encoding, func(t *testing.T) {
			t.Parallel()
			service, db := newService(t)
			s := newServer(t, service, func(o *httpapi.Options) { o.MaxBody = 1 << 20 })
			s.post(t, "/v3/arcs", upload("edal", crate("known", "1")))
			id := begin(t, s)
			body := strings.Join([]string{
				crate("a", "1"),
				`{"arc":` + crate("b", "1") + `}`,
				`{"@context":null`,
				``,
				crate("known", "1"),
				`{"@context":"c","@graph":[]}`,
				crate("long", strings.Repeat("x", 2<<20)),
				"  \t",
				crate("a", "1"),
				crate("a", "2"),
				"\xff",
				crate("c", "1"), // without a line break at the end
			}, "\r\n")
			headers := []string{"Content-Type", ndjson}
			if encoding != "" {
				headers = append(headers, "Content-Encoding", encoding)
			}
			got := s.send(t, "POST", "/v3/harvests/"+id+"/arcs", encode(body), headers...)
			if got.status != 200 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			wantHeader(t, got, "Content-Type", ndjson)
			wantLines(t, got.body,
				"1 200 a created", "2 200 b created", "3 422  arc_invalid: JSON decode error", "5 200 known unchanged",
				"6 422  arc_invalid: List should have at least 1 item after validation, not 0", "7 413  body_too_large: Request body too large",
				"9 200 a unchanged", "10 409  harvest_conflict: ARC 'a' was already submitted in harvest '"+id+"' with different content.",
				"11 400  body_unparseable: There was an error parsing the body", "12 200 c created")
			first := parseLine(t, strings.SplitN(got.body, "\n", 2)[0])
			if first.ARCID != arcID("a") || len(first.Hash) != 64 {
				t.Errorf("got %+v", first)
			}
			assertStored(t, db, 4)
			h := s.get(t, "/v3/harvests/"+id).body
			if !strings.Contains(h, `"arcs_submitted":4,"arcs_new":3,"arcs_updated":0,"arcs_unchanged":1,"arcs_missing":0,"errors":5`) {
				t.Errorf("got %s", h)
			}
		})
	}
}

// What is wrong with the whole is answered as for a single ARC.
func TestBulkRefused(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, required)
	owner, colleague, stranger := certHeaders(t, "owner", "edal"), certHeaders(t, "colleague", "edal"), certHeaders(t, "s", "bonares")
	path := "/v3/harvests/" + begin(t, s, owner...) + "/arcs"
	send := func(path string, headers []string, more ...string) answer {
		return s.send(t, "POST", path, crate("x", "")+"\n", append(append([]string{"Content-Type", ndjson}, headers...), more...)...)
	}
	for rule, c := range map[string]struct {
		got    answer
		status int
	}{
		"no certificate":   {send(path, nil), 401},
		"no harvest":       {send("/v3/harvests/x/arcs", owner), 404},
		"foreign RDI":      {send(path, stranger), 403},
		"foreign harvest":  {send(path, colleague), 403},
		"unknown encoding": {send(path, owner, "Content-Encoding", "br"), 415},
	} {
		if c.got.status != c.status || !strings.HasPrefix(c.got.body, `{"detail":"`) {
			t.Errorf("%s: got %d %s, want %d", rule, c.got.status, c.got.body, c.status)
		}
	}
	for _, query := range []string{"?validate=only", "?validate=no"} {
		got := send(path+query, owner)
		if got.status != 422 || !strings.HasPrefix(got.body, `{"detail":[{`) || !strings.Contains(got.body, `"loc":["query","validate"]`) {
			t.Errorf("%s: got %d %s, want it refused", query, got.status, got.body)
		}
	}
	assertStored(t, db, 0)
	wantLines(t, send(path, owner, "Content-Encoding", "gzip").body, "1 415  media_type: The request body is not encoded as Content-Encoding says")
	wantLines(t, send(path, owner, "Content-Encoding", "zstd").body, "1 415  media_type: The request body is not encoded as Content-Encoding says")
	got := s.send(t, "POST", path, "", append([]string{"Content-Type", ndjson}, owner...)...)
	wantAnswer(t, got, 200, "")
	s.post(t, strings.TrimSuffix(path, "/arcs")+"/complete", "", owner...)
	wantLines(t, send(path, owner).body, "1 409  harvest_closed: The harvest has ended and takes no more ARCs.")
}

// A line is judged as a single ARC would be: what stands beside a graph is surplus, the
// places of mistakes are those of the line, and a strict operator gets no crate that
// could not become an ARC. Afterwards nothing of it is in memory.
func TestBulkIsJudgedAsSingleARCs(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.Strict = true })
	doomed := `{"@context":"https://w3id.org/ro/crate/1.1/context","@graph":[{"@id":"./","@type":"Dataset","identifier":"doomed"},{"@id":7}]}`
	got := s.send(t, "POST", "/v3/harvests/"+begin(t, s)+"/arcs", strings.Join([]string{
		crate("a", ""), doomed, `{"arc":` + doomed + `}`, strings.Replace(crate("b", ""), "{", `{"arc":{},`, 1),
		strings.NewReplacer(`"@context"`, `"arc":{},"context"`, "@graph", "graph").Replace(crate("c", "")), `{"arc":{"@context":1}}`,
	}, "\n"), "Content-Type", ndjson)
	places := []string{"", "[body @graph 1]", "[body arc @graph 1]", "[body arc]", "[body arc]", "[body arc @graph]"}
	lines := strings.Split(strings.TrimSpace(got.body), "\n")
	if len(lines) != len(places) {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	for i, place := range places {
		line := parseLine(t, lines[i])
		if place == "" {
			if line.Status != 200 {
				t.Errorf("got %s", line)
			}
			continue
		}
		if line.Status != 422 || line.Error == nil || len(line.Error.Detail) == 0 || fmt.Sprint(line.Error.Detail[0].Loc) != place {
			t.Errorf("line %d: got %s, want it refused for %s", i+1, lines[i], place)
		}
	}
	assertStored(t, db, 1)
	if n := s.api.BodyBytes(); n != 0 {
		t.Errorf("%d bytes are left in memory", n)
	}
}

// Lines may come as slowly as their sender makes them, if only something comes.
func TestBulkMayBeSlow(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.BodyGrace = time.Millisecond })
	st := openStream(t, s, begin(t, s))
	for range 4 { // far below what a single body must come with
		st.line(t, "")
		<-time.After(50 * time.Millisecond)
	}
	st.line(t, crate("a", ""))
	if got := st.answer(t); got != "5 200 a created" {
		t.Errorf("got %q", got)
	}
	_ = st.send.Close()
	assertStored(t, db, 1)
}

// stream is a bulk upload whose lines the test sends one by one.
type stream struct {
	send    *io.PipeWriter
	answers *bufio.Scanner
	resp    chan *http.Response
}

func openStream(tb testing.TB, s *server, id string) *stream {
	tb.Helper()
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, s.URL+"/v3/harvests/"+id+"/arcs", reader)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", ndjson)
	st := &stream{send: writer, resp: make(chan *http.Response, 1)}
	go func() {
		resp, err := s.Client().Transport.RoundTrip(r)
		if err != nil {
			tb.Errorf("bulk: %v", err)
		}
		st.resp <- resp
	}()
	return st
}

func (st *stream) line(tb testing.TB, crate string) {
	tb.Helper()
	if _, err := io.WriteString(st.send, crate+"\n"); err != nil {
		tb.Fatal(err)
	}
}

func (st *stream) answer(tb testing.TB) string {
	tb.Helper()
	if st.answers == nil {
		resp := <-st.resp
		tb.Cleanup(func() { resp.Body.Close() })
		st.answers = bufio.NewScanner(resp.Body)
	}
	if !st.answers.Scan() {
		tb.Fatalf("no answer: %v", st.answers.Err())
	}
	return parseLine(tb, st.answers.Text()).String()
}

// A client may wait for each answer before it sends the next ARC.
func TestBulkAnswersAtOnce(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	st := openStream(t, s, begin(t, s))
	for i := range 5 {
		name := fmt.Sprint("arc", i)
		st.line(t, crate(name, ""))
		if got, want := st.answer(t), fmt.Sprintf("%d 200 %s created", i+1, name); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		assertStored(t, db, i+1)
	}
	st.send.Close()
	if st.answers.Scan() {
		t.Errorf("got another line %q", st.answers.Text())
	}
}

// A connection that drops loses nothing that was answered, and half a line is no ARC.
func TestBulkConnectionDrops(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	conn := dial(t, s)
	fmt.Fprintf(conn, "POST /v3/harvests/%s/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", begin(t, s), ndjson)
	text := crate("whole", "") + "\n" + crate("half", "")
	fmt.Fprintf(conn, "%x\r\n%s\r\n", len(text), text)
	reader := bufio.NewReader(conn)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, `"outcome":"created"`) {
			break
		}
	}
	conn.Close()
	testenv.Await(t, "the end of the request", func() bool { return s.api.InFlight() == 0 })
	assertStored(t, db, 1)
}

// A client that sends everything before it reads anything gets all its answers.
func TestBulkSendFirst(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	id := begin(t, s)
	const n = 500
	var body strings.Builder
	for i := range n {
		body.WriteString(crate(fmt.Sprint("arc", i), strings.Repeat("x", 1000)) + "\n")
	}
	conn := dial(t, s)
	fmt.Fprintf(conn, "POST /v3/harvests/%s/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", id, ndjson, body.Len(), body.String())
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := summary(t, string(text))
	if len(lines) != n || lines[n-1] != fmt.Sprintf("%d 200 arc%d created", n, n-1) {
		t.Errorf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	assertStored(t, db, n)
}

// A worker that has to go ends the answer after what it has read; the rest was not stored and not answered.
func TestBulkDrain(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	st := openStream(t, s, begin(t, s))
	st.line(t, crate("a", ""))
	if got := st.answer(t); got != "1 200 a created" {
		t.Fatalf("got %q", got)
	}
	s.api.Drain()
	if st.answers.Scan() || st.answers.Err() != nil {
		t.Errorf("got %q, %v; want a proper end", st.answers.Text(), st.answers.Err())
	}
	assertStored(t, db, 1)
}

// What ends bodies of lines while a worker drains is none of the business of a request that
// comes on the connection of one that is through.
func TestDrainSparesWhatComesAfterLines(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	conn := dial(t, s)
	reader := bufio.NewReader(conn)
	lines := crate("a", "") + "\n"
	fmt.Fprintf(conn, "POST /v3/harvests/%s/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", begin(t, s), ndjson, len(lines), lines)
	for _, half := range []bool{false, true} {
		if half {
			body := upload("edal", crate("b", ""))
			fmt.Fprintf(conn, "POST /v3/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", media, len(body), body[:10])
			testenv.Await(t, "the request is there", func() bool { return s.api.InFlight() > 0 })
			s.api.Drain()
			time.Sleep(50 * time.Millisecond) // nothing tells that nothing happens
			io.WriteString(conn, body[10:])
		}
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("second request %t: got %d %s, %v", half, resp.StatusCode, answer, err)
		}
	}
	assertStored(t, db, 2)
}
