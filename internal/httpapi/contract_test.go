package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// contract is the written contract, loaded and checked once.
var contract = sync.OnceValues(func() (*openapi3.T, error) {
	text, err := docsFiles.ReadFile("docs/openapi.json")
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(loader.Context)
})

// outsideContract are the routes that serve the contract itself.
var outsideContract = []string{"/openapi.json", "/docs", "/docs/{asset}", "/redoc"}

// Every route is in the contract and the contract has no other; so are the parameters of paths.
func TestContractAndRoutes(t *testing.T) {
	t.Parallel()
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.Title != "FAIR Middleware API" {
		t.Errorf("got OpenAPI %s, title %s", doc.OpenAPI, doc.Info.Title)
	}
	served, written := map[string]bool{}, map[string]bool{}
	for _, r := range routes() {
		if !slices.Contains(outsideContract, r.pattern) {
			served[r.method+" "+r.pattern] = true
		}
	}
	ids := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			name := method + " " + path
			written[name] = true
			if !served[name] {
				t.Errorf("%s is in the contract only", name)
			}
			if other := ids[operation.OperationID]; other != "" {
				t.Errorf("%s and %s have the same operation id", name, other)
			}
			ids[operation.OperationID] = name
			if legacy := strings.HasPrefix(path, "/v1/"); legacy && !operation.Deprecated {
				t.Errorf("%s is not deprecated", name)
			}
		}
	}
	for name := range served {
		if !written[name] {
			t.Errorf("%s is served only", name)
		}
	}
}

// CheckedByContract wraps an API for tests: every answer of a known route must be
// one that the contract allows, with status, media type and schema.
func CheckedByContract(tb testing.TB, a *API) http.Handler {
	tb.Helper()
	doc, err := contract()
	if err != nil {
		tb.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &recorder{ResponseWriter: w, status: http.StatusOK}
		a.ServeHTTP(recorder, r)
		if err := checkAnswer(doc, a.routes, r, recorder); err != nil {
			tb.Errorf("%s %s: answer %d is not in the contract: %v\n%s", r.Method, r.URL, recorder.status, err, &recorder.body)
		}
	})
}

// recorder keeps a copy of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func checkAnswer(doc *openapi3.T, routes []route, r *http.Request, got *recorder) error {
	var operation *openapi3.Operation
	for i := range routes {
		if routes[i].method == r.Method && routes[i].matches(r.URL.Path) && !slices.Contains(outsideContract, routes[i].pattern) {
			operation = doc.Paths.Value(routes[i].pattern).GetOperation(r.Method)
			break
		}
	}
	if operation == nil {
		return nil
	}
	answer := operation.Responses.Status(got.status)
	if answer == nil {
		return fmt.Errorf("no such status")
	}
	media, _, _ := strings.Cut(got.Header().Get("Content-Type"), ";")
	if len(answer.Value.Content) == 0 {
		if got.body.Len() > 0 {
			return fmt.Errorf("a body where none is foreseen")
		}
		return nil
	}
	content := answer.Value.Content.Get(media)
	if content == nil {
		return fmt.Errorf("media type %q", media)
	}
	if !strings.HasSuffix(media, "json") || media == mediaNDJSON {
		return nil
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(got.body.Bytes()))
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("more than one JSON value")
	}
	return content.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors())
}

// The check itself notices what does not fit.
func TestContractCheckNotices(t *testing.T) {
	t.Parallel()
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		status       int
		body         string
		fits         bool
	}{
		{"GET", "/v3/liveness", 200, `{"status":"ok","services":{"api_process":true}}`, true},
		{"GET", "/v3/liveness", 200, `{"status":"fine","services":{}}`, false},
		{"GET", "/v3/liveness", 200, `{"status":"ok"}`, false},
		{"GET", "/v3/liveness", 418, `{"detail":"x"}`, false},
		{"GET", "/v1/whoami", 200, `{"client_id":7,"message":"","accessible_rdis":[]}`, false},
		{"GET", "/v1/whoami", 200, `{"client_id":null,"message":"","accessible_rdis":[]}`, true},
		{"GET", "/v1/whoami", 401, `{"error":"x"}`, false},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := &recorder{ResponseWriter: httptest.NewRecorder(), status: c.status}
		got.Header().Set("Content-Type", mediaJSON)
		got.body.WriteString(c.body)
		if err := checkAnswer(doc, routes(), r, got); (err == nil) != c.fits {
			t.Errorf("%s %d %s: got %v, want fit %t", c.path, c.status, c.body, err, c.fits)
		}
	}
}
