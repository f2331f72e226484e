package httpapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// assertStored compares the number of ARCs in the database.
func assertStored(tb testing.TB, s *store.Store, want int) {
	tb.Helper()
	list, _, err := s.ARCs(tb.Context(), store.ARCFilter{Limit: 1000})
	if err != nil {
		tb.Fatal(err)
	}
	if len(list) != want {
		tb.Fatalf("got %d ARCs stored, want %d", len(list), want)
	}
}

func utf16Text(s string, big bool) string {
	var b bytes.Buffer
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b.Write([]byte{byte(u >> 8), byte(u)})
		} else {
			b.Write([]byte{byte(u), byte(u >> 8)})
		}
	}
	return b.String()
}

// Bodies that a parser may stumble over: a clear answer and nothing stored, or what JSON says.
func TestStrangeBodies(t *testing.T) {
	t.Parallel()
	const unparseable = `{"detail":"There was an error parsing the body"}`
	value := func(v string) string {
		return `{"rdi":"edal","arc":{"@context":null,"@graph":[{"@id":"./","identifier":"x","v":` + v + `}]}}`
	}
	good := upload("edal", crate("größe 😀", "x"))
	cases := []struct {
		rule, body string
		status     int
		contains   string
	}{
		{"NaN", value("NaN"), 422, `"type":"finite_number","loc":["body","arc","@graph",0,"v"]`},
		{"infinity", value("-Infinity"), 422, `"type":"finite_number"`},
		{"a number out of range", value("1e999"), 422, `"type":"finite_number"`},
		{"lone surrogate", value(`"\ud800"`), 422, `"type":"string_unicode"`},
		{"lone surrogate in a name", value(`{"\udc00":1}`), 422, `"type":"string_unicode"`},
		{"lone surrogate in the RDI", `{"rdi":"\ud800","arc":` + crate("x", "") + `}`, 422, `"loc":["body","rdi"]`},
		{"depth 10,000", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), 400, unparseable},
		{"depth 10,000 within the crate", value(strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)), 400, unparseable},
		{"5,000 digits", value(strings.Repeat("9", 5000)), 400, unparseable},
		{"not UTF-8", "{\"rdi\":\"\xff\xfe\"}", 400, unparseable},
		{"half a UTF-16", "\xff\xfe{", 400, unparseable},
		{"only a BOM", "\xef\xbb\xbf", 422, `"type":"json_invalid"`},
		{"zero bytes", "\x00\x00\x00\x00\x00", 4, ""},
		{"NUL in the identifier", upload("edal", `{"@context":null,"@graph":[{"@id":"./","identifier":"a\u0000b"}]}`), 422, `"type":"value_error","loc":["body","arc"]`},
		{"NUL in other texts", upload("edal", `{"@context":null,"@graph":[{"@id":"./","identifier":"a","name":"a\u0000b","description":"\u0000"}]}`), 200, `"status":"created"`},
		{"duplicate keys: the last counts", strings.Replace(good, `{"rdi"`, `{"rdi":"nope","rdi"`, 1), 200, `"status":"created"`},
		{"UTF-8 with BOM", "\xef\xbb\xbf" + good, 200, `"status":"created"`},
		{"UTF-16 with BOM", "\xff\xfe" + utf16Text(good, false), 200, `"status":"created"`},
		{"UTF-16 big endian without BOM", utf16Text(good, true), 200, `"status":"created"`},
		{"4,300 digits", value(strings.Repeat("9", 4300)), 200, `"status":"created"`},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			service, db := newService(t)
			s := newServer(t, service, nil)
			got := s.send(t, "POST", "/v3/arcs", c.body, "Content-Type", media)
			if got.status != c.status && got.status/100 != c.status {
				t.Errorf("got %d %s, want %d", got.status, clip(got.body), c.status)
			}
			if !strings.Contains(got.body, c.contains) {
				t.Errorf("got %s, want it to contain %s", clip(got.body), c.contains)
			}
			want := 0
			if c.status == 200 {
				want = 1
			}
			assertStored(t, db, want)
		})
	}
}

// A client that was allowed to send, sends too much and then nothing more holds its connection no
// longer than a pause within a body may last.
func TestTooMuchAndThenNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), func(o *httpapi.Options) { o.MaxBody, o.BodyPause = 1000, 200*time.Millisecond })
	conn := dial(t, s)
	fmt.Fprintf(conn, "POST /v3/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
	fmt.Fprintf(conn, "7d0\r\n%s\r\n", strings.Repeat(" ", 2000))
	if all, err := io.ReadAll(conn); err != nil || !strings.Contains(string(all), "HTTP/1.1 413 ") {
		t.Errorf("got %q, %v", all, err)
	}
}

// A body above the limit is 413, whether it says its length or not, and the answer reaches
// a client that sends first and reads later.
func TestBodyTooLarge(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	const tooLarge = `{"detail":"Request body too large"}`
	s := newServer(t, service, func(o *httpapi.Options) { o.MaxBody = 1 << 20 })
	large := upload("edal", crate("x", strings.Repeat("x", 1<<20)))
	exact := upload("edal", crate("x", ""))
	exact += strings.Repeat(" ", 1<<20-len(exact))
	wantAnswer(t, s.post(t, "/v3/arcs", large), 413, tooLarge)
	wantAnswer(t, s.sendReader(t, "POST", "/v3/arcs", struct{ io.Reader }{strings.NewReader(large)}, "Content-Type", media), 413, tooLarge)
	assertStored(t, db, 0)
	if got := s.post(t, "/v3/arcs", exact); got.status != 200 {
		t.Errorf("a body of exactly the limit: got %d %s", got.status, clip(got.body))
	}
	assertStored(t, db, 1)

	usual := newServer(t, service, nil)
	wantAnswer(t, usual.post(t, "/v3/arcs", upload("edal", crate("x", strings.Repeat("x", 33<<20)))), 413, tooLarge)

	conn := dial(t, s)
	fmt.Fprintf(conn, "POST /v3/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2000000\r\n\r\n")
	if line := readLine(t, conn); !strings.Contains(line, "413") {
		t.Errorf("asked before sending: got %q", line)
	}
	before := heap()
	conn = dial(t, s)
	fmt.Fprintf(conn, "POST /v3/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
	go func() {
		chunk := "10000\r\n" + strings.Repeat(" ", 1<<16) + "\r\n"
		for {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}()
	if line := readLine(t, conn); !strings.Contains(line, "413") {
		t.Errorf("chunks without end: got %q", line)
	}
	if grown := heap() - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func dial(tb testing.TB, s *server) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

func readLine(tb testing.TB, conn net.Conn) string {
	tb.Helper()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	return line
}

// Lengths that lie and bodies that dribble or stop: a 4xx or an end, and nothing stored.
func TestBodiesThatDoNotArrive(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) {
		o.BodyGrace, o.BodyPause = 300*time.Millisecond, 300*time.Millisecond
	})
	head := "POST /v3/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	body := upload("edal", crate("x", ""))
	cases := []struct {
		rule, text string
		dribble    bool // goes on byte by byte
		half       bool // closes its side afterwards
		want       string
	}{
		{"silence after the head", head + "Content-Length: 100\r\n\r\n", false, false, "408"},
		{"silence within the body", head + "Content-Length: 100\r\n\r\n{\"rdi\":", false, false, "408"},
		{"silence within a chunk", head + "Transfer-Encoding: chunked\r\n\r\n10\r\n{", false, false, "408"},
		{"byte by byte", head + "Content-Length: 100000\r\n\r\n", true, false, "408"},
		{"shorter than it says", head + "Content-Length: 100000\r\n\r\n" + body, false, true, "400"},
		{"broken chunk", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", false, false, "400"},
		{"two lengths", head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}", false, false, "400"},
	}
	t.Run("each", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.rule, func(t *testing.T) {
				t.Parallel()
				conn := dial(t, s)
				io.WriteString(conn, c.text)
				if c.half {
					conn.(*net.TCPConn).CloseWrite()
				}
				if c.dribble {
					done := make(chan struct{})
					defer close(done)
					go func() {
						tick := time.NewTicker(20 * time.Millisecond)
						defer tick.Stop()
						for {
							select {
							case <-done:
								return
							case <-tick.C:
								io.WriteString(conn, " ")
							}
						}
					}()
				}
				if line := readLine(t, conn); !strings.Contains(line, " "+c.want+" ") {
					t.Errorf("got %q, want %s", line, c.want)
				}
			})
		}
	})
	assertStored(t, db, 0)
}

// Lines that stop coming end the request: those that have come are answered, and then why there
// are no more.
func TestLinesThatStopComing(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.BodyPause = 300 * time.Millisecond })
	id := begin(t, s)
	conn := dial(t, s)
	line := crate("x", "") + "\n"
	fmt.Fprintf(conn, "POST /v3/harvests/%s/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n",
		id, len(line), line)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if lines := strings.Split(strings.TrimSpace(string(body)), "\n"); err != nil || len(lines) != 2 || !strings.Contains(lines[0], `"status":200`) || !strings.Contains(lines[1], `"status":408`) {
		t.Errorf("got %s, %v", body, err)
	}
	assertStored(t, db, 1)
	testenv.Await(t, "the end of the request", func() bool { return s.api.InFlight() == 0 })
}

// After a refusal for slowness the connection's next request is not haunted by the deadline.
func TestDeadlineEndsWithTheBody(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.BodyPause = 200 * time.Millisecond })
	conn := dial(t, s)
	reader := bufio.NewReader(conn)
	for range 2 {
		body := upload("edal", crate("x", ""))
		fmt.Fprintf(conn, "POST /v3/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("got %d", resp.StatusCode)
		}
		<-time.After(400 * time.Millisecond) // longer than the pause within a body may be
	}
}

// pipes is a listener without a network, so that 10,000 clients need no file descriptors.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// Ten thousand clients that send half a body and wait neither exhaust the memory nor keep others out.
func TestTenThousandSlowClients(t *testing.T) {
	service, db := newService(t)
	api, err := httpapi.New(service, httpapi.Options{KnownRDIs: []string{"edal"}, BodyGrace: time.Minute, BodyPause: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	listener := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	web := &http.Server{Handler: api}
	go web.Serve(listener)
	defer web.Close()
	before := heap()
	const clients = 10_000
	slow := make([]net.Conn, 0, clients)
	defer func() {
		for _, c := range slow {
			c.Close()
		}
	}()
	for range clients {
		c := listener.dial()
		slow = append(slow, c)
		c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(c, "POST /v3/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 33554432\r\n\r\n{\"rdi\":"); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(time.Minute)
	for api.InFlight() < clients && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := api.InFlight(); n != clients {
		t.Fatalf("got %d requests in flight", n)
	}
	grown := heap() - before
	t.Logf("%d slow clients need %d MiB", clients, grown>>20)
	if grown > 512<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	conn := listener.dial()
	conn.SetDeadline(time.Now().Add(time.Minute))
	body := upload("edal", crate("x", ""))
	go fmt.Fprintf(conn, "POST /v3/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if line := readLine(t, conn); !strings.Contains(line, "200") {
		t.Errorf("another client: got %q", line)
	}
	assertStored(t, db, 1)
}

// Who takes an answer slowly holds no place: with a single one, others are served beside him, and the
// answer is whole in the end.
func TestSlowReadersHoldNoPlace(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.MaxConcurrent = 1 })
	document := crate("large", strings.Repeat("x", 16<<20))
	s.post(t, "/v3/arcs", upload("edal", document))
	conn := dial(t, s)
	fmt.Fprintf(conn, "GET /v3/arcs/%s/content HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", arcID("large"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "a place beside the slow reader", func() bool {
		return s.post(t, "/v3/arcs", upload("edal", crate("small", ""))).status == 200
	})
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != document {
		t.Errorf("got %d bytes of %d, %v", len(got), len(document), err)
	}
}

// However many large bodies a client sends slowly, others find memory for theirs; what
// it may not have is refused at once.
func TestMemoryForBodiesIsShared(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.MaxBody, o.MaxBodiesMemory = 1<<20, 4<<20 })
	slow := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for _, length := range []int{1 << 20, 1 << 20, 500_000, 500_000, 270_000, 270_000, 270_000} {
		before := s.api.BodyBytes()
		conn, err := slow.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		refused := make(chan struct{})
		go func() {
			defer close(refused)
			bufio.NewReader(conn).ReadString('\n')
		}()
		fmt.Fprintf(conn, "POST /v3/arcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			length, strings.Repeat(" ", length-1000))
		testenv.Await(t, "memory for the body, or a refusal", func() bool {
			select {
			case <-refused:
				return s.api.BodyBytes() == before
			default:
				return s.api.BodyBytes() == before+int64(length)+1
			}
		})
	}
	if n := s.api.BodyBytes(); n < 1<<20 || n > 2<<20 {
		t.Errorf("a client that is alone holds %d bytes, want one body or more, and half of the memory at most", n)
	}
	if got := s.post(t, "/v3/arcs", upload("edal", crate("x", strings.Repeat("x", 900<<10)))); got.status != 200 {
		t.Errorf("a large body of somebody else: got %d %s", got.status, got.body)
	}
}

// A document that is read takes memory as long as its reader does; there is none to take for one
// who has it already.
func TestMemoryForDocuments(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	for name, size := range map[string]int{"large": 100 << 10, "small": 10} {
		s.post(t, "/v3/arcs", upload("edal", crate(name, strings.Repeat("x", size))))
	}
	path := "/v3/arcs/" + arcID("large") + "/content"
	tag := s.get(t, path).header.Get("ETag")
	small := newServer(t, service, func(o *httpapi.Options) { o.MaxBody, o.MaxBodiesMemory = 1<<10, 64<<10 })
	wantAnswer(t, small.get(t, path), 503, `{"detail":"Service temporarily unavailable"}`)
	wantAnswer(t, small.get(t, path, "If-None-Match", tag), 304, "")
	if got := small.get(t, "/v3/arcs/"+arcID("small")+"/content"); got.status != 200 {
		t.Errorf("a small one: got %d %s", got.status, got.body)
	}
	for _, s := range []*server{s, small} {
		testenv.Await(t, "memory to be given back", func() bool { return s.api.BodyBytes() == 0 })
	}
}

// More bodies at once than the memory for them holds are refused, to be tried again;
// in a harvest that is nobody's mistake.
func TestMemoryForBodies(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.MaxBodiesMemory = 64 << 10 })
	got := s.post(t, "/v3/arcs", upload("edal", crate("x", strings.Repeat("x", 128<<10))))
	wantAnswer(t, got, 503, `{"detail":"Service temporarily unavailable"}`)
	if got := s.post(t, "/v3/arcs", upload("edal", crate("x", ""))); got.status != 200 {
		t.Errorf("a small body afterwards: got %d %s", got.status, got.body)
	}
	path := "/v3/harvests/" + begin(t, s)
	wantLines(t, s.send(t, "POST", path+"/arcs", crate("x", "")+"\n", "Content-Type", ndjson).body,
		"1 503  overloaded: Service temporarily unavailable")
	if got := s.get(t, path); !strings.Contains(got.body, `"errors":0}`) {
		t.Errorf("a line that there was no memory for counts as a refused one: %s", got.body)
	}
}
