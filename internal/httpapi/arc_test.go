package httpapi_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/store"
)

// A submission is answered with what was stored: key for key as clients know it.
func TestSubmitV3(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	id := arcID("DS-17")
	want := func(status, events string) string {
		return `{"client_id":null,"message":"ARC processed successfully","arc_id":"` + id + `","status":"` + status + `",` +
			`"metadata":{"arc_hash":"<hash>","status":"ACTIVE","first_seen":"<time+00:00Z>","last_seen":"<time+00:00Z>"},"events":[` + events + `]}`
	}
	const created = `{"timestamp":"<time+00:00Z>","type":"ARC_CREATED","message":"ARC first seen"}`
	const updated = `{"timestamp":"<time+00:00Z>","type":"ARC_UPDATED","message":"ARC content updated"}`
	steps := []struct {
		rule, crate, want string
	}{
		{"first", crate("DS-17", "one"), want("created", created)},
		{"the same again", crate("DS-17", "one"), want("updated", created)},
		{"identifier with blanks around is the same ARC", crate(" DS-17\u001f", "two"), want("updated", created+","+updated)},
		{"member names without @", strings.NewReplacer("@context", "context", "@graph", "graph").Replace(crate(" DS-17\u001f", "two")), want("updated", created+","+updated)},
	}
	for _, step := range steps {
		got := s.post(t, "/v3/arcs", upload("edal", step.crate))
		got.body = masked(got.body)
		wantAnswer(t, got, 200, step.want)
		wantHeader(t, got, "Content-Type", "application/json")
		if t.Failed() {
			t.Fatal(step.rule)
		}
	}
}

// Text beyond ASCII is answered as it is, not escaped.
func TestUnicodeIsNotEscaped(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), nil)
	got := s.post(t, "/v3/arcs", `{"rdi":"größe 😀 \u2028<&>","arc":`+crate("x", "y")+`}`)
	wantAnswer(t, got, 400, `{"detail":"RDI 'größe 😀 `+"\u2028"+`<&>' is not recognized."}`)
}

// Without a database nothing is acknowledged: 503 and a time to come back.
func TestNoDatabase(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), nil)
	const text = `{"detail":"Service temporarily unavailable"}`
	for _, got := range []answer{
		s.post(t, "/v3/arcs", upload("edal", crate("x", "y"))),
		s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+crate("x", "y")+`,{}]}`),
		s.post(t, "/v2/arcs", upload("edal", crate("x", "y"))),
		s.post(t, "/v3/harvests", `{"rdi":"edal"}`),
		s.get(t, "/v3/harvests"),
		s.get(t, "/v1/tasks/0c8e5f64-6f0f-4a7e-a7b2-0f6f0f2b9a10"),
	} {
		wantAnswer(t, got, 503, text)
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

// The status of v1 and its results: one answer for both kinds of clients.
func TestSubmitV1(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	accepted := newServer(t, service, func(o *httpapi.Options) { o.V1Status = httpapi.V1Accepted })
	result := func(identifier, status string) string {
		return `{"id":"` + arcID(identifier) + `","status":"` + status + `","timestamp":"<time+00:00Z>"}`
	}
	ok := func(results, errors string) string {
		return `{"client_id":null,"message":"ARCs processed successfully","rdi":"edal","arcs":[` + results + `],"task_id":"<uuid>","status":"processing"` + errors + `}`
	}
	const noIdentifier = `{"@context":"c","@graph":[{"@id":"./"}]}`
	const noIdentifierText = "Value error, RO-Crate root data entity must contain a non-empty identifier"
	cases := []struct {
		rule, arcs string
		status     int
		want       string
		location   string
	}{
		{"two new ones", crate("A", "1") + "," + crate("B", "1"), 201, ok(result("A", "created")+","+result("B", "created"), ""), "/v1/arcs/" + arcID("A")},
		{"both known", crate("A", "1") + "," + crate("B", "2"), 200, ok(result("A", "updated")+","+result("B", "updated"), ""), ""},
		{"one new", crate("A", "1") + "," + crate("C", "2"), 201, ok(result("A", "updated")+","+result("C", "created"), ""), "/v1/arcs/" + arcID("C")},
		{"none", "", 200, ok("", ""), ""},
		{"one bad ARC neither hides nor stops the others", crate("D", "1") + "," + noIdentifier + "," + crate("E", "1"), 201,
			strings.Replace(ok(result("D", "created")+","+result("E", "created"), `,"errors":[{"index":1,"identifier":null,"message":"`+noIdentifierText+`"}]`),
				"ARCs processed successfully", "Processed 2/3 ARCs successfully; refused: "+noIdentifierText, 1), "/v1/arcs/" + arcID("D")},
		{"a bad one is named if that can be told", crate("D", "1") + "," + strings.Replace(crate("H", "1"), `{"@context"`, `{"zz":1,"@context"`, 1), 200,
			strings.Replace(ok(result("D", "updated"), `,"errors":[{"index":1,"identifier":"H","message":"Extra inputs are not permitted"}]`),
				"ARCs processed successfully", "Processed 1/2 ARCs successfully; refused: Extra inputs are not permitted", 1), ""},
		{"only a bad one", noIdentifier, 422, `{"detail":"` + noIdentifierText + `"}`, ""},
		{"only bad ones", noIdentifier + `,{}`, 422, `{"detail":"ARC 0: ` + noIdentifierText + `; ARC 1: Field required"}`, ""},
		{"an extra member", strings.Replace(crate("F", "1"), `{"@context"`, `{"zz":1,"@context"`, 1), 422, `{"detail":"Extra inputs are not permitted"}`, ""},
		{"an empty graph", `{"@context":"c","@graph":[]}`, 422, `{"detail":"List should have at least 1 item after validation, not 0"}`, ""},
		{"no root", `{"@context":"c","@graph":[{"@id":"x"}]}`, 422, `{"detail":"Value error, RO-Crate must contain a root data entity with @id './'"}`, ""},
		{"the same one twice: the last counts", crate("G", "1") + "," + crate("G", "2"), 201, ok(result("G", "created")+","+result("G", "updated"), ""), "/v1/arcs/" + arcID("G")},
	}
	for _, c := range cases {
		got := s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+c.arcs+`]}`)
		got.body = masked(got.body)
		wantAnswer(t, got, c.status, c.want)
		wantHeader(t, got, "Location", c.location)
		if t.Failed() {
			t.Fatal(c.rule)
		}
	}
	for identifier, status := range map[string]string{"A": "updated", "new": "created"} {
		got := accepted.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+crate(identifier, "9")+`]}`)
		got.body = masked(got.body)
		wantAnswer(t, got, 202, ok(result(identifier, status), ""))
		wantHeader(t, got, "Location", "")
	}
	// What is not there has not arrived in git.
	if got := s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[]}`, "Prefer", "wait=1"); member(t, got.body, "status") != "processing" {
		t.Errorf("no ARC, and a wait for git: got %d %s", got.status, got.body)
	}
	wantAnswer(t, accepted.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[]}`), 400,
		`{"detail":"Currently only single ARC submission is supported per request."}`)
}

// A task that was handed out is found and done; an unknown one is pending.
func TestTasks(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	id := arcID("A")

	v1 := s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+crate("A", "1")+`]}`)
	task := member(t, v1.body, "task_id")
	got := s.get(t, "/v1/tasks/"+task)
	got.body = masked(got.body)
	wantAnswer(t, got, 200, `{"task_id":"<uuid>","status":"SUCCESS","result":{"client_id":null,"message":"Stored in CouchDB successfully","rdi":"edal",`+
		`"arcs":[{"id":"`+id+`","status":"created","timestamp":"<timeZ>"}],"task_id":null,"status":null},"error":null}`)

	for _, title := range []string{"1", "2"} { // unchanged and changed are the same to clients
		v2 := s.post(t, "/v2/arcs", upload("edal", crate("A", title)))
		task := member(t, v2.body, "task_id")
		v2.body = masked(v2.body)
		wantAnswer(t, v2, 202, `{"client_id":null,"message":"","task_id":"<uuid>","status":"SUCCESS"}`)
		got := s.get(t, "/v2/tasks/"+task)
		got.body = masked(got.body)
		wantAnswer(t, got, 200, `{"client_id":null,"message":"","status":"SUCCESS","result":{"client_id":null,"message":"Stored in CouchDB successfully","rdi":"edal",`+
			`"arc":{"id":"`+id+`","status":"updated","timestamp":"<timeZ>"}}}`)
	}

	// A part that was refused is told there as well.
	part := s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+crate("A", "1")+`,{}]}`)
	if got := s.get(t, "/v1/tasks/"+member(t, part.body, "task_id")); member(t, got.body, "result", "message") != "Processed 1/2 ARCs successfully; refused: Field required" {
		t.Errorf("a part was refused: got %s", got.body)
	}

	// Tasks that older clients may have been told of.
	name, text := "jane", "boom"
	for _, c := range []struct {
		status, v2 string
		text       *string
	}{{"RUNNING", "STARTED", nil}, {"FAILURE", "FAILURE", &text}} {
		task := store.Task{ID: uuid.New(), ClientID: &name, RDI: "edal", Status: c.status, Error: c.text}
		if err := db.PutTask(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		v1, v2 := "null", ""
		if c.text != nil {
			v1, v2 = `"boom"`, "boom"
		}
		wantAnswer(t, s.get(t, "/v1/tasks/"+task.ID.String()), 200, `{"task_id":"`+task.ID.String()+`","status":"`+c.status+`","result":{"client_id":"jane",`+
			`"message":"","rdi":"edal","arcs":[],"task_id":null,"status":null},"error":`+v1+`}`)
		wantAnswer(t, s.get(t, "/v2/tasks/"+task.ID.String()), 200, `{"client_id":"jane","message":"`+v2+`","status":"`+c.v2+`","result":null}`)
	}

	for _, unknown := range []string{"0c8e5f64-6f0f-4a7e-a7b2-0f6f0f2b9a10", "anything"} {
		wantAnswer(t, s.get(t, "/v1/tasks/"+unknown), 200, `{"task_id":"`+unknown+`","status":"PENDING","result":null,"error":null}`)
		wantAnswer(t, s.get(t, "/v2/tasks/"+unknown), 200, `{"client_id":null,"message":"","status":"PENDING","result":null}`)
	}
}
