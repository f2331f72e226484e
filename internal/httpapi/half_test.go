package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// spoiled is an answer to which something happens once its first part is out.
type spoiled struct {
	http.ResponseWriter
	begun bool
	first func()
	later error
}

func (w *spoiled) Write(b []byte) (int, error) {
	if w.begun && w.later != nil {
		return 0, w.later
	}
	n, err := w.ResponseWriter.Write(b)
	if !w.begun && w.first != nil {
		if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
			return n, err
		}
		w.first()
	}
	w.begun = true
	return n, err
}

func (w *spoiled) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// spoil serves the same API with answers that fail once they have begun: either the
// rest cannot be written, or what they tell of can no longer be read.
func spoil(tb testing.TB, s *server, written bool) *server {
	tb.Helper()
	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		out := &spoiled{ResponseWriter: w, first: cancel}
		if written {
			out.first, out.later = nil, errors.New("no more")
		}
		s.api.ServeHTTP(out, r.WithContext(ctx))
	}))
	tb.Cleanup(half.Close)
	return &server{Server: half, api: s.api, log: s.log}
}

// A receipt of which the rest cannot be read from the database ends as a broken
// answer, not as a short one.
func TestHalfAReceiptDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	id := begin(t, s)
	s.post(t, "/v3/harvests/"+id+"/arcs", `{"arc":`+crate("a", "")+`}`)
	half := spoil(t, s, false)
	for _, accept := range []string{media, "text/html"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, half.URL+"/v3/harvests/"+id+"/receipt", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		resp, err := half.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || err == nil {
			t.Errorf("%s: got %d %s, want half an answer", accept, resp.StatusCode, text)
		}
	}
}

// A bulk answer of which a line cannot be sent ends as a broken one; what was
// answered before is stored.
func TestHalfABulkAnswerDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	st := openStream(t, spoil(t, s, true), begin(t, s))
	st.line(t, crate("a", ""))
	if got := st.answer(t); got != "1 200 a created" {
		t.Fatalf("got %q", got)
	}
	st.line(t, crate("b", ""))
	_ = st.send.Close()
	if st.answers.Scan() || st.answers.Err() == nil {
		t.Errorf("got %q and a proper end", st.answers.Text())
	}
	assertStored(t, db, 2)
}

// The results of many ARCs come in the order of the ARCs, whichever is stored first,
// and those of the refused ones say which they are.
func TestResultsComeInOrder(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	var crates, want []string
	for i := range 60 {
		if i%20 == 7 {
			crates = append(crates, `{}`)
			continue
		}
		name := fmt.Sprint("arc", i)
		crates = append(crates, crate(name, strings.Repeat("x", (60-i)*1000)))
		want = append(want, `{"id":"`+arcID(name)+`","status":"created"`)
	}
	got := s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+strings.Join(crates, ",")+`]}`).body
	for _, w := range append(want, `"errors":[{"index":7,`, `{"index":27,`, `{"index":47,`) {
		_, rest, ok := strings.Cut(got, w)
		if !ok {
			t.Fatalf("no %s in the rest of the answer, %s", w, clip(got))
		}
		got = rest
	}
}
