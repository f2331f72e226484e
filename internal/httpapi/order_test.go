package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/store"
)

func required(o *httpapi.Options) { o.RequireCertificate = true }

// Who am I: the name and the RDIs that are open to it.
func TestWhoami(t *testing.T) {
	t.Parallel()
	strict, open := newServer(t, noDatabase(t), required), newServer(t, noDatabase(t), nil)
	answerFor := func(id, rdis string) string {
		return `{"client_id":` + id + `,"message":"Client authenticated successfully","accessible_rdis":[` + rdis + `]}`
	}
	wantAnswer(t, strict.get(t, "/v1/whoami", certHeaders(t, "harvester-01", "edal", "elsewhere")...), 200, answerFor(`"harvester-01"`, `"edal"`))
	wantAnswer(t, strict.get(t, "/v1/whoami", certHeaders(t, "harvester-01")...), 200, answerFor(`"harvester-01"`, ``))
	wantAnswer(t, strict.get(t, "/v1/whoami", certHeaders(t, "Müller", "*")...), 200, answerFor(`"Müller"`, `"edal","bonares"`))
	wantAnswer(t, open.get(t, "/v1/whoami"), 200, answerFor(`null`, `"edal","bonares"`))
	wantAnswer(t, strict.get(t, "/v1/whoami"), 401, `{"detail":"Client certificate required"}`)
	wantAnswer(t, open.get(t, "/v1/whoami", "ssl-client-cert", "x", "ssl-client-verify", "NONE"), 401,
		`{"detail":"Client certificate verification failed: NONE"}`)
	wantAnswer(t, open.get(t, "/v1/whoami", "ssl-client-cert", "x", "ssl-client-verify", "SUCCESS"), 400,
		`{"detail":"Certificate parsing error: no PEM certificate found"}`)
}

// Spoofed headers of a peer that is not trusted are as good as none.
func TestSpoofedHeaders(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), func(o *httpapi.Options) { o.RequireCertificate, o.TrustedProxies = true, []string{"192.0.2.1"} })
	for range 3 {
		wantAnswer(t, s.get(t, "/v1/whoami", certHeaders(t, "mallory", "*")...), 401, `{"detail":"Client certificate required"}`)
	}
	if n := s.log.Count("untrusted peer"); n != 1 {
		t.Errorf("got %d log lines about it, want 1", n)
	}
}

// Which header each route looks at, and for what.
func TestHeaderRules(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	synchroniseElsewhere(t, db)
	s := newServer(t, service, nil)
	const notJSON, notAcceptable = `{"detail":"Content-Type must be application/json"}`, `{"detail":"Accept must be application/json"}`
	type request struct {
		method, path, body       string
		checksAccept, checksType bool
		ok                       int // status when nothing is wrong with the headers
	}
	const unknown = "/v3/harvests/harvest-0c8e5f64-6f0f-4a7e-a7b2-0f6f0f2b9a10"
	requests := []request{
		{"GET", "/v1/liveness", "", true, false, 200},
		{"GET", "/v1/health", "", true, false, 200},
		{"GET", "/v1/whoami", "", true, false, 200},
		{"POST", "/v1/arcs", `{"rdi":"edal","arcs":[]}`, true, true, 200},
		{"GET", "/v1/tasks/x", "", true, false, 200},
		{"GET", "/v2/health", "", true, false, 200},
		{"POST", "/v2/arcs", upload("edal", crate("v2", "")), true, true, 202},
		{"GET", "/v2/tasks/x", "", true, false, 200},
		{"GET", "/v3/liveness", "", true, false, 200},
		{"GET", "/v3/readiness", "", true, false, 200},
		{"GET", "/v3/health", "", true, false, 200},
		{"POST", "/v3/arcs", upload("edal", crate("v3", "")), true, true, 200},
		{"POST", "/v3/harvests", `{"rdi":"edal"}`, true, true, 200},
		{"GET", "/v3/harvests", "", true, false, 200},
		{"GET", unknown, "", false, false, 404},
		{"PATCH", unknown, `{"status":"FAILED"}`, false, true, 404},
		{"DELETE", unknown, "", false, false, 404},
		{"POST", unknown + "/complete", "", false, false, 404},
		{"POST", unknown + "/arcs", `{"arc":` + crate("h", "") + `}`, false, false, 404},
	}
	accepts := map[string]bool{
		"": true, "application/json": true, "*/*": true, "text/html, */*;q=0.1": true, "application/json; q=0.5": true,
		"text/html": false, "application/*": false, "Application/JSON": false, "application/jsonx": true,
	}
	types := map[string]bool{
		"application/json": true, "application/json; charset=utf-8": true, "": false, "Application/JSON": false,
		"text/json": false, "application/vnd.api+json": false,
	}
	for _, r := range requests {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			t.Parallel()
			for accept, ok := range accepts {
				headers := []string{"Content-Type", media}
				if accept != "" {
					headers = append(headers, "Accept", accept)
				}
				got := s.send(t, r.method, r.path, r.body, headers...)
				if want := ok || !r.checksAccept; (got.status == 406) == want {
					t.Errorf("Accept %q: got %d %s", accept, got.status, clip(got.body))
				}
				if got.status == 406 {
					wantAnswer(t, got, 406, notAcceptable)
				} else if got.status != r.ok {
					t.Errorf("Accept %q: got %d, want %d: %s", accept, got.status, r.ok, clip(got.body))
				}
			}
			for kind, ok := range types {
				headers := []string{"Accept", media}
				if kind != "" {
					headers = append(headers, "Content-Type", kind)
				}
				got := s.send(t, r.method, r.path, r.body, headers...)
				if want := ok || !r.checksType; (got.status == 415) == want {
					t.Errorf("Content-Type %q: got %d %s", kind, got.status, clip(got.body))
				}
				if got.status == 415 {
					wantAnswer(t, got, 415, notJSON)
				}
			}
		})
	}
}

// A body that does not claim to be JSON is a text, which is no object.
func TestBodyThatIsNotJSON(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), nil)
	want := `{"detail":[{"type":"model_attributes_type","loc":["body"],` +
		`"msg":"Input should be a valid dictionary or object to extract fields from","input":"{\"rdi\":1}"}]}`
	got := s.send(t, "POST", "/v3/arcs", `{"rdi":1}`, "Content-Type", "text/plain; x=application/json")
	wantAnswer(t, got, 422, want)
	path := "/v3/harvests/harvest-0c8e5f64-6f0f-4a7e-a7b2-0f6f0f2b9a10/arcs"
	wantAnswer(t, s.send(t, "POST", path, `{"rdi":1}`), 422, want)
	wantAnswer(t, s.send(t, "POST", path, "\xff{"), 422, strings.Replace(want, `{\"rdi\":1}`, "\uFFFD{", 1))
	wantAnswer(t, s.send(t, "POST", path, `{"rdi":1}`, "Content-Type", "json"), 422, want)
	missing := `{"detail":[{"type":"missing","loc":["body","arc"],"msg":"Field required","input":{"rdi":1}}]}`
	wantAnswer(t, s.send(t, "POST", path, `{"rdi":1}`, "Content-Type", "APPLICATION/vnd.x+json;a=b"), 422, missing)
}

// Of several mistakes, the one that is looked for first is told.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, required)
	edal := certHeaders(t, "a", "edal")
	jsonType, jsonAccept := []string{"Content-Type", media}, []string{"Accept", media}
	html := []string{"Accept", "text/html"}
	bad := `{"rdi":"edal","arc":{}}`
	cases := []struct {
		rule, method, path, body string
		headers                  []string
		status                   int
	}{
		{"routing before the body", "PUT", "/v3/arcs", "{", jsonType, 405},
		{"malformed JSON before the certificate", "POST", "/v3/arcs", "{", jsonType, 422},
		{"malformed text of another type is not parsed: certificate", "POST", "/v3/arcs", "{", nil, 401},
		{"certificate before fields", "POST", "/v3/arcs", bad, jsonType, 401},
		{"certificate before Content-Type", "POST", "/v3/arcs", bad, nil, 401},
		{"Content-Type before Accept", "POST", "/v3/arcs", bad, slices.Concat(edal, html), 415},
		{"Content-Type before RDI", "POST", "/v3/arcs", upload("nope", crate("x", "")), edal, 415},
		{"Accept before fields", "POST", "/v3/arcs", bad, slices.Concat(edal, jsonType, html), 406},
		{"crate before RDI", "POST", "/v3/arcs", `{"rdi":"bonares","arc":{}}`, slices.Concat(edal, jsonType), 422},
		{"crate before RDI on v2", "POST", "/v2/arcs", `{"rdi":"bonares","arc":{}}`, slices.Concat(edal, jsonType), 422},
		{"RDI before crate on v1", "POST", "/v1/arcs", `{"rdi":"bonares","arcs":[{}]}`, slices.Concat(edal, jsonType), 403},
		{"unknown RDI", "POST", "/v3/arcs", upload("nope", crate("x", "")), slices.Concat(edal, jsonType), 400},
		{"foreign RDI", "POST", "/v3/arcs", upload("bonares", crate("x", "")), slices.Concat(edal, jsonType), 403},
		{"unknown RDI of a crate to validate", "POST", "/v3/arcs/validate", upload("nope", crate("x", "")), slices.Concat(edal, jsonType), 400},
		{"foreign RDI of a crate to validate", "POST", "/v3/arcs/validate", upload("bonares", crate("x", "")), slices.Concat(edal, jsonType), 403},
		{"foreign RDI of a list", "GET", "/v3/arcs?rdi=bonares", "", edal, 403},
		{"unknown RDI of a list", "GET", "/v3/arcs?rdi=nope", "", edal, 400},
		{"the harvest before the RDI of a list", "GET", "/v3/arcs?rdi=nope&harvest_id=x", "", edal, 404},
		{"fields before the harvest", "POST", "/v3/harvests/x/arcs", `{}`, slices.Concat(edal, jsonType), 422},
		{"no harvest", "POST", "/v3/harvests/x/arcs", `{"arc":` + crate("x", "") + `}`, slices.Concat(edal, jsonType), 404},
		{"status before the harvest", "PATCH", "/v3/harvests/x", `{"status":"DONE"}`, slices.Concat(edal, jsonType), 422},
		{"certificate before the harvest", "GET", "/v3/harvests/x", "", jsonAccept, 401},
		{"parameters before RDI", "GET", "/v3/harvests?rdi=nope&limit=0", "", edal, 422},
		{"certificate before parameters", "GET", "/v3/harvests?limit=0", "", nil, 401},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			if got := s.send(t, c.method, c.path, c.body, c.headers...); got.status != c.status {
				t.Errorf("got %d %s, want %d", got.status, clip(got.body), c.status)
			}
		})
	}
}

// No generation of routes lets anybody write for an RDI that the certificate does
// not name, known or not, nor without a certificate; and nothing is stored.
func TestNobodyWritesForAnotherRDI(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, required)
	owner, stranger := certHeaders(t, "owner", "edal"), certHeaders(t, "stranger", "bonares", "nope")
	good := crate("x", "Title")
	for path, body := range map[string]string{
		"/v1/arcs":          `{"rdi":"%s","arcs":[` + good + `]}`,
		"/v2/arcs":          `{"rdi":"%s","arc":` + good + `}`,
		"/v3/arcs":          `{"rdi":"%s","arc":` + good + `}`,
		"/v3/arcs/validate": `{"rdi":"%s","arc":` + good + `}`,
		"/v3/harvests":      `{"rdi":"%s"}`,
	} {
		wantAnswer(t, s.post(t, path, fmt.Sprintf(body, "edal"), stranger...), 403, `{"detail":"RDI 'edal' not authorized."}`)
		wantAnswer(t, s.post(t, path, fmt.Sprintf(body, "nope"), stranger...), 400, `{"detail":"RDI 'nope' is not recognized."}`)
		wantAnswer(t, s.post(t, path, fmt.Sprintf(body, "edal")), 401, `{"detail":"Client certificate required"}`)
	}
	wantAnswer(t, s.get(t, "/v3/arcs", owner...), 200, `{"arcs":[],"next":null}`)
	wantAnswer(t, s.get(t, "/v3/harvests", owner...), 200, "[]")
}

// The record of a request names its client and what it was about, for the log.
func TestTheRecordNamesWhatARequestIsAbout(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	records := make(chan httpapi.Record, 1)
	s := newServer(t, service, func(o *httpapi.Options) {
		o.RequireCertificate, o.Access = true, func(_ context.Context, r httpapi.Record) { records <- r }
	})
	owner := certHeaders(t, "owner", "edal")
	id := begin(t, s, owner...)
	if r := <-records; r.ClientID != "owner" || r.RDI != "edal" || r.HarvestID != id || r.Route != "/v3/harvests" {
		t.Errorf("beginning of a harvest: got %+v", r)
	}
	path := "/v3/harvests/" + id
	for _, c := range []struct{ method, path, body, arc, harvest string }{
		{"POST", "/v1/arcs", `{"rdi":"edal","arcs":[` + crate("A1", "") + `]}`, "", ""},
		{"POST", "/v2/arcs", upload("edal", crate("A2", "")), arcID("A2"), ""},
		{"POST", "/v3/arcs", upload("edal", crate("A3", "")), arcID("A3"), ""},
		{"POST", path + "/arcs", `{"arc":` + crate("A4", "") + `}`, arcID("A4"), id},
		{"GET", path, "", "", id},
		{"GET", "/v3/arcs/" + arcID("A3"), "", arcID("A3"), ""},
		{"DELETE", path, "", "", id},
	} {
		got := s.send(t, c.method, c.path, c.body, append(slices.Clone(owner), "Content-Type", media)...)
		r := <-records
		if got.status/100 != 2 || r.ClientID != "owner" || r.RDI != "edal" || r.ARCID != c.arc || r.HarvestID != c.harvest {
			t.Errorf("%s %s: got %d, %+v", c.method, c.path, got.status, r)
		}
	}
}

// How long lines take is up to their sender, and a wait for git to git: neither says
// anything about how fast the service is.
func TestTheRecordTellsWhosePaceItWas(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	records := make(chan httpapi.Record, 1)
	s := newServer(t, service, func(o *httpapi.Options) { o.Access = func(_ context.Context, r httpapi.Record) { records <- r } })
	path := "/v3/harvests/" + begin(t, s) + "/arcs"
	<-records
	for _, c := range []struct {
		path, body, media, prefer string
		paced                     bool
	}{
		{path, crate("A1", "") + "\n", "application/x-ndjson", "", true},
		{path, `{"arc":` + crate("A2", "") + `}`, media, "", false},
		{"/v3/arcs", upload("edal", crate("A3", "")), media, "wait=1", true},
		{"/v3/arcs", upload("edal", crate("A4", "")), media, "respond-async", false},
	} {
		got := s.send(t, "POST", c.path, c.body, "Content-Type", c.media, "Prefer", c.prefer)
		if r := <-records; got.status != 200 && got.status != 201 || r.Paced != c.paced {
			t.Errorf("%s as %s, %q: %d, paced %t", c.path, c.media, c.prefer, got.status, r.Paced)
		}
	}
}

// The audit trail names who sent each version, with which certificate, and in which
// request, by whichever route.
func TestTheAuditTrailNamesTheSender(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, required)
	owner := certHeaders(t, "owner", "edal")
	inHarvest := "/v3/harvests/" + begin(t, s, owner...) + "/arcs"
	for identifier, upload := range map[string][2]string{
		"A1": {"/v1/arcs", `{"rdi":"edal","arcs":[` + crate("A1", "Title") + `]}`},
		"A2": {"/v2/arcs", upload("edal", crate("A2", "Title"))},
		"A3": {"/v3/arcs", upload("edal", crate("A3", "Title"))},
		"A4": {inHarvest, `{"arc":` + crate("A4", "Title") + `}`},
	} {
		path, body := upload[0], upload[1]
		if got := s.post(t, path, body, append(slices.Clone(owner), "X-Request-Id", "request-"+identifier)...); got.status/100 != 2 {
			t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		id, err := store.ParseID(arcID(identifier))
		if err != nil {
			t.Fatal(err)
		}
		trail, err := db.AuditTrail(t.Context(), id, 0, 10)
		if err != nil || len(trail) != 1 {
			t.Fatalf("%s: trail %+v, %v", path, trail, err)
		}
		if by := trail[0].Actor; by.Subject != "owner" || len(by.Fingerprint) != 64 || by.RequestID != "request-"+identifier {
			t.Errorf("%s: by %+v", path, by)
		}
	}
}

// Every kind of validation error, as the whole answer.
func TestValidationErrors(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), nil)
	e := func(kind, loc, msg, input string, ctx ...string) string {
		out := `{"type":"` + kind + `","loc":` + loc + `,"msg":"` + msg + `","input":` + input
		if len(ctx) > 0 {
			out += `,"ctx":` + ctx[0]
		}
		return out + "}"
	}
	const (
		noObject = "Input should be a valid dictionary or object to extract fields from"
		noRoot   = "Value error, RO-Crate must contain a root data entity with @id './'"
		noID     = "Value error, RO-Crate root data entity must contain a non-empty identifier"
		noInt    = "Input should be a valid integer, unable to parse string as an integer"
		statuses = "'RUNNING', 'COMPLETED', 'FAILED' or 'CANCELLED'"
	)
	syntax := func(offset int, text string) string {
		return e("json_invalid", `["body",`+strconv.Itoa(offset)+`]`, "JSON decode error", "{}", `{"error":"`+text+`"}`)
	}
	good := crate("x", "")
	const graph = `"@graph":[{"@id":"./","identifier":"x"}]`
	cases := []struct {
		method, path, body string
		want               []string
	}{
		{"POST", "/v3/arcs", `{"rdi":"edal","arc":{},}`, []string{syntax(23, "Expecting property name enclosed in double quotes")}},
		{"POST", "/v3/arcs", `{"ä":[1,}`, []string{syntax(8, "Expecting value")}},
		{"POST", "/v3/arcs", `{"rdi" "edal"}`, []string{syntax(7, "Expecting ':' delimiter")}},
		{"POST", "/v3/arcs", `{"rdi":"edal" "arc"}`, []string{syntax(14, "Expecting ',' delimiter")}},
		{"POST", "/v3/arcs", `{} x`, []string{syntax(3, "Extra data")}},
		{"POST", "/v3/arcs", `{"rdi":"edal`, []string{syntax(7, "Unterminated string starting at")}},
		{"POST", "/v3/arcs", "{\"rdi\":\"e\n\"}", []string{syntax(9, "Invalid control character at")}},
		{"POST", "/v3/arcs", `{"rdi":"\x"}`, []string{syntax(8, `Invalid \\escape`)}},
		{"POST", "/v3/arcs", `   `, []string{syntax(3, "Expecting value")}},
		{"POST", "/v3/arcs", ``, []string{e("missing", `["body"]`, "Field required", "null")}},
		{"POST", "/v3/arcs", `null`, []string{e("missing", `["body"]`, "Field required", "null")}},
		{"POST", "/v3/arcs", `[1]`, []string{e("model_attributes_type", `["body"]`, noObject, "[1]")}},
		{"POST", "/v3/arcs", `"x"`, []string{e("model_attributes_type", `["body"]`, noObject, `"x"`)}},
		{"POST", "/v3/arcs", `{}`, []string{e("missing", `["body","rdi"]`, "Field required", "{}"), e("missing", `["body","arc"]`, "Field required", "{}")}},
		{"POST", "/v3/arcs", `{"rdi":7,"arc":[]}`, []string{e("string_type", `["body","rdi"]`, "Input should be a valid string", "7"), e("model_attributes_type", `["body","arc"]`, noObject, "[]")}},
		{"POST", "/v3/arcs", `{"rdi":"edal","arc":{}}`, []string{e("missing", `["body","arc","@context"]`, "Field required", "{}"), e("missing", `["body","arc","@graph"]`, "Field required", "{}")}},
		{"POST", "/v3/arcs", `{"rdi":"edal","arc":{"@context":null,"@graph":{}}}`, []string{e("list_type", `["body","arc","@graph"]`, "Input should be a valid list", "{}")}},
		{"POST", "/v3/arcs", `{"rdi":"edal","arc":{"@context":null,"@graph":[{},1,"x"]}}`, []string{
			e("dict_type", `["body","arc","@graph",1]`, "Input should be a valid dictionary", "1"), e("dict_type", `["body","arc","@graph",2]`, "Input should be a valid dictionary", `"x"`),
		}},
		{"POST", "/v3/arcs", `{"rdi":"edal","arc":{"@context":null,"@graph":[]}}`, []string{
			e("too_short", `["body","arc","@graph"]`, "List should have at least 1 item after validation, not 0", "[]", `{"field_type":"List","min_length":1,"actual_length":0}`),
		}},
		{"POST", "/v3/arcs", `{"rdi":"edal","arc":{"zz":{"ü":1.0},"@context":null,` + graph + `}}`, []string{e("extra_forbidden", `["body","arc","zz"]`, "Extra inputs are not permitted", `{"ü":1.0}`)}},
		{"POST", "/v2/arcs", `{"rdi":"edal","arc":{"@context":null,"@graph":[{"@id":"x"}]}}`, []string{e("value_error", `["body","arc"]`, noRoot, `{"@context":null,"@graph":[{"@id":"x"}]}`, `{"error":{}}`)}},
		{"POST", "/v2/arcs", `{"rdi":"edal","arc":{"@context":null,"@graph":[{"@id":"./","identifier":" "}]}}`, []string{e("value_error", `["body","arc"]`, noID, `{"@context":null,"@graph":[{"@id":"./","identifier":" "}]}`, `{"error":{}}`)}},
		{"POST", "/v3/harvests/x/arcs", `{"rdi":7}`, []string{e("missing", `["body","arc"]`, "Field required", `{"rdi":7}`)}},

		{"POST", "/v1/arcs", `{"rdi":"edal"}`, []string{e("missing", `["body","arcs"]`, "Field required", `{"rdi":"edal"}`)}},
		{"POST", "/v1/arcs", `{"rdi":"edal","arcs":{}}`, []string{e("list_type", `["body","arcs"]`, "Input should be a valid list", "{}")}},
		{"POST", "/v1/arcs", `{"arcs":[{},[],null]}`, []string{
			e("missing", `["body","rdi"]`, "Field required", `{"arcs":[{},[],null]}`),
			e("dict_type", `["body","arcs",1]`, "Input should be a valid dictionary", "[]"), e("dict_type", `["body","arcs",2]`, "Input should be a valid dictionary", "null"),
		}},

		{"POST", "/v3/harvests", `{"rdi":"edal","expected_datasets":"x"}`, []string{e("int_parsing", `["body","expected_datasets"]`, noInt, `"x"`)}},
		{"POST", "/v3/harvests", `{"rdi":"edal","expected_datasets":1.5}`, []string{e("int_from_float", `["body","expected_datasets"]`, "Input should be a valid integer, got a number with a fractional part", `1.5`)}},
		{"POST", "/v3/harvests", `{"rdi":"edal","expected_datasets":[]}`, []string{e("int_type", `["body","expected_datasets"]`, "Input should be a valid integer", `[]`)}},
		{"PATCH", "/v3/harvests/x", `{"status":"DONE"}`, []string{e("enum", `["body","status"]`, "Input should be "+statuses, `"DONE"`, `{"expected":"`+statuses+`"}`)}},
		{"PATCH", "/v3/harvests/x", `{"status":1}`, []string{e("enum", `["body","status"]`, "Input should be "+statuses, `1`, `{"expected":"`+statuses+`"}`)}},
		{"PATCH", "/v3/harvests/x", `{}`, []string{e("missing", `["body","status"]`, "Field required", `{}`)}},

		{"GET", "/v3/harvests?limit=0", "", []string{e("greater_than_equal", `["query","limit"]`, "Input should be greater than or equal to 1", `"0"`, `{"ge":1}`)}},
		{"GET", "/v3/harvests?limit=1001", "", []string{e("less_than_equal", `["query","limit"]`, "Input should be less than or equal to 1000", `"1001"`, `{"le":1000}`)}},
		{"GET", "/v3/harvests?limit=5&limit=1.5&skip=", "", []string{e("int_parsing", `["query","skip"]`, noInt, `""`), e("int_parsing", `["query","limit"]`, noInt, `"1.5"`)}},
		{"GET", "/v3/harvests?skip=-1", "", []string{e("greater_than_equal", `["query","skip"]`, "Input should be greater than or equal to 0", `"-1"`, `{"ge":0}`)}},
		// What is not encoded as it should be counts as it is, rather than as not there.
		{"GET", "/v3/harvests?limit=1;skip=2", "", []string{e("int_parsing", `["query","limit"]`, noInt, `"1;skip=2"`)}},
		{"GET", "/v3/harvests?limit=%zz&skip=%2", "", []string{e("int_parsing", `["query","skip"]`, noInt, `"%2"`), e("int_parsing", `["query","limit"]`, noInt, `"%zz"`)}},
		{"POST", "/v3/arcs?validate=only;", `{"rdi":"edal","arc":` + good + `}`, []string{e("enum", `["query","validate"]`, "Input should be 'only'", `"only;"`, `{"expected":"'only'"}`)}},
		{"POST", "/v3/harvests/x/complete?%6dissing=k%65ep%", "", []string{e("enum", `["query","missing"]`, "Input should be 'mark' or 'keep'", `"keep%"`, `{"expected":"'mark' or 'keep'"}`)}},
		{"GET", "/v3/harvests?status=done", "", []string{e("enum", `["query","status"]`, "Input should be "+statuses, `"done"`, `{"expected":"`+statuses+`"}`)}},
		{"POST", "/v3/arcs", `{"rdi":"edal","arc":` + good + `,"rdi":3}`, []string{e("string_type", `["body","rdi"]`, "Input should be a valid string", "3")}},
	}
	for _, c := range cases {
		t.Run(c.method+" "+c.path+" "+c.body, func(t *testing.T) {
			t.Parallel()
			got := s.send(t, c.method, c.path, c.body, "Content-Type", media)
			wantAnswer(t, got, http.StatusUnprocessableEntity, `{"detail":[`+strings.Join(c.want, ",")+`]}`)
			wantHeader(t, got, "Content-Type", "application/json")
			wantHeader(t, got, "Content-Length", strconv.Itoa(len(got.body)))
		})
	}
}

// What may be asked for, or named, at a time is limited: one more is refused before
// anything is looked up.
func TestLimitsOfParameters(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), nil)
	refused := func(method, path, body, kind string) {
		t.Helper()
		got := s.send(t, method, path, body, "Content-Type", media)
		if got.status != 422 || !strings.Contains(got.body, `"type":"`+kind+`"`) {
			t.Errorf("%s %s: got %d %s, want %s", method, path, got.status, clip(got.body), kind)
		}
	}
	for _, list := range []string{"/v3/harvests", "/v3/arcs", "/v3/arcs/x/events", "/v3/harvests/x/arcs"} {
		refused("GET", list+"?limit=0", "", "greater_than_equal")
		refused("GET", list+"?limit=1001", "", "less_than_equal")
		refused("GET", list+"?limit=x", "", "int_parsing")
	}
	for _, most := range []string{"/v3/arcs/x/events?limit=1000&limit=1e9", "/v3/harvests/x/arcs?limit=1.5"} {
		refused("GET", most, "", "int_parsing")
	}
	for _, most := range []string{"/v3/arcs/x/events?limit=1000", "/v3/harvests/x/arcs?limit=1000", "/v3/arcs?harvest_id=x&limit=1000"} {
		if got := s.get(t, most); got.status != 404 {
			t.Errorf("%s: got %d %s", most, got.status, got.body)
		}
	}
	refused("GET", "/v3/harvests?skip=2147483649", "", "less_than_equal")
	refused("GET", "/v3/harvests/x/arcs?after=x", "", "value_error")
	refused("GET", "/v3/harvests/x/events?last_event_id=-1", "", "greater_than_equal")
	refused("GET", "/v3/harvests/x/events?last_event_id=9223372036854775808", "", "int_parsing_size")
	refused("POST", "/v3/harvests/x/complete?missing=x", "", "enum")
	refused("PATCH", "/v3/harvests/x?missing=x", `{"status":"COMPLETED"}`, "enum")

	keep := func(n int) string { return `{"status":"COMPLETED","keep":["A"` + strings.Repeat(`,"A"`, n-1) + `]}` }
	if got := s.send(t, "PATCH", "/v3/harvests/x", keep(10_000), "Content-Type", media); got.status != 404 {
		t.Errorf("10,000 identifiers: got %d %s", got.status, clip(got.body))
	}
	refused("PATCH", "/v3/harvests/x", keep(10_001), "too_long")
	refused("PATCH", "/v3/harvests/x", `{"status":"COMPLETED","keep":"A"}`, "list_type")
	refused("PATCH", "/v3/harvests/x", `{"status":"COMPLETED","keep":[1]}`, "string_type")
	if got := s.send(t, "PATCH", "/v3/harvests/x?missing=x", `{"status":"FAILED"}`, "Content-Type", media); got.status != 404 {
		t.Errorf("missing is of no interest to a harvest that failed: got %d %s", got.status, got.body)
	}

	var pairs strings.Builder
	for range 1200 {
		pairs.WriteString(`{},`)
	}
	got := s.post(t, "/v3/harvests/x/diff", `{"arcs":[`+pairs.String()+`{}]}`)
	if n := strings.Count(got.body, `"type":"missing"`); got.status != 422 || n != 1000 {
		t.Errorf("got %d with %d mistakes, want the first 1000", got.status, n)
	}
}
