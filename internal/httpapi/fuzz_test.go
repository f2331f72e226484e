package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/store"
)

// newFuzzAPI makes an API whose database is absent: whatever passes all checks ends there.
func newFuzzAPI(tb testing.TB) *API {
	tb.Helper()
	db, err := store.Open(tb.Context(), store.Options{DSN: "host=" + tb.TempDir() + " user=nobody dbname=none"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)
	a, err := New(ingest.New(db, ingest.Options{}), Options{KnownRDIs: []string{"edal"}, Strict: true})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// Whatever a client sends, it gets an answer that the contract allows, and never 500.
func FuzzRequest(f *testing.F) {
	good := `{"rdi":"edal","arc":{"@context":"https://w3id.org/ro/crate/1.1/context","@graph":[{"@id":"./","@type":"Dataset","identifier":"x"}]}}`
	for route := range uint8(6) {
		f.Add(route, mediaJSON, good)
	}
	f.Add(uint8(0), mediaJSON, `{"rdi":"edal","arcs":[{},{"@context":null,"@graph":[1]}]}`)
	f.Add(uint8(1), mediaJSON, "\xef\xbb\xbf{\"rdi\":NaN}")
	f.Add(uint8(1), "text/plain; x=application/json", "\xff\xfe{")
	f.Add(uint8(2), mediaJSON, `{"rdi":"\ud800","expected_datasets":1e400}`)
	f.Add(uint8(4), "", "")
	paths := []string{"/v1/arcs", "/v3/arcs", "/v3/harvests", "/v3/arcs/validate", "/v2/arcs", "/v3/arcs?validate=only"}
	api := newFuzzAPI(f)
	doc, err := contract()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, route uint8, contentType, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, paths[int(route)%len(paths)], bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		got := &recorder{ResponseWriter: httptest.NewRecorder(), status: http.StatusOK}
		api.ServeHTTP(got, r)
		if got.status == http.StatusInternalServerError {
			t.Fatalf("got %d %s", got.status, &got.body)
		}
		if err := checkAnswer(doc, api.routes, r, got); err != nil {
			t.Fatalf("answer %d: %v\n%s", got.status, err, &got.body)
		}
	})
}

// However a body of lines is cut, the lines are those of the text, none is lost and
// none is longer than allowed.
func FuzzLines(f *testing.F) {
	f.Add("a\nb\n\nc", 3, 2)
	f.Add("\n\n", 1, 1)
	f.Add("too long\nx\ntoo long as well", 1, 4)
	f.Fuzz(func(t *testing.T, text string, chunk, limit int) {
		limit = 1 + abs(limit)%100
		b := newBudget(1<<30, 1)
		lines := &lineReader{from: &chunks{text, 1 + abs(chunk)%50}, limit: limit, memory: b.of("")}
		want := wantedLines(text, limit)
		for i := 0; ; i++ {
			line, err := lines.next()
			if err != nil && !isTooLarge(err) {
				if i != len(want) {
					t.Fatalf("got %d lines, want %d: %v", i, len(want), err)
				}
				break
			}
			if i >= len(want) {
				t.Fatalf("line %q is one too many", line)
			}
			if (err != nil) != want[i].tooLong || err == nil && string(line) != want[i].text {
				t.Fatalf("line %d: got %q, %v; want %+v", i, line, err, want[i])
			}
			number, release := lines.answered()
			release()
			if number != want[i].number {
				t.Fatalf("got number %d, want %d", number, want[i].number)
			}
		}
		lines.close()
		if used := b.used; used != 0 {
			t.Fatalf("%d bytes were not given back", used)
		}
	})
}

type wantedLine struct {
	text    string
	number  int
	tooLong bool
}

func wantedLines(text string, limit int) (want []wantedLine) {
	for i, line := range bytes.SplitAfter([]byte(text), []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		switch {
		case len(line) > limit:
			want = append(want, wantedLine{number: i + 1, tooLong: true})
		case len(bytes.TrimSpace(line)) > 0:
			want = append(want, wantedLine{string(line), i + 1, false})
		}
	}
	return want
}

// chunks gives a text in pieces of at most n bytes.
type chunks struct {
	text string
	n    int
}

func (c *chunks) Read(b []byte) (int, error) {
	if c.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(c.n, len(b))], c.text)
	c.text = c.text[n:]
	return n, nil
}

func abs(n int) int {
	if n < 0 {
		n = -(n + 1)
	}
	return n
}
