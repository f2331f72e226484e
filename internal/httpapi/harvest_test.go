package httpapi_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// begin begins a harvest of edal and gives its id.
func begin(tb testing.TB, s *server, headers ...string) string {
	tb.Helper()
	got := s.post(tb, "/v3/harvests", `{"rdi":"edal","expected_datasets":3}`, headers...)
	if got.status != 200 {
		tb.Fatalf("begin harvest: %d %s", got.status, got.body)
	}
	return member(tb, got.body, "harvest_id")
}

// harvest is a harvest of edal with masked times; counts are submitted, new, updated, unchanged, missing, errors.
func harvest(id, status, completed, counts, errors string) string {
	names := []string{"arcs_submitted", "arcs_new", "arcs_updated", "arcs_unchanged", "arcs_missing", "errors"}
	out := `{"client_id":null,"message":"","harvest_id":"` + id + `","rdi":"edal","status":"` + status +
		`","started_at":"<timeZ>","completed_at":` + completed + `,"statistics":{"expected_datasets":3`
	for i, n := range strings.Fields(counts) {
		out += `,"` + names[i] + `":` + n
	}
	return out + "}" + errors + "}"
}

func timesMasked(a answer) answer {
	a.body = timesZulu.ReplaceAllString(a.body, "<timeZ>")
	return a
}

// Who did not hear the answer asks again with the same Idempotency-Key, and gets
// the harvest that it has begun.
func TestBeginHarvestAgain(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	id := begin(t, s, "Idempotency-Key", "a-b_c.1")
	s.post(t, "/v3/harvests/"+id+"/arcs", `{"arc":`+crate("new", "1")+`}`)
	got := timesMasked(s.post(t, "/v3/harvests", `{"rdi":"edal","expected_datasets":3}`, "Idempotency-Key", "a-b_c.1"))
	wantAnswer(t, got, 200, harvest(id, "RUNNING", "null", "1 1 0 0 0 0", ""))
	if other := begin(t, s, "Idempotency-Key", "other"); other == id {
		t.Error("another key gives the same harvest")
	}
	begin(t, s, "Idempotency-Key", strings.Repeat("x", 255))
	begin(t, s, "Idempotency-Key", "!~")
	for _, key := range []string{"with blank", "ü", strings.Repeat("x", 256)} {
		got := s.post(t, "/v3/harvests", `{"rdi":"edal"}`, "Idempotency-Key", key)
		if got.status != 422 || !strings.Contains(got.body, `"loc":["header","idempotency-key"]`) {
			t.Errorf("key %q: got %d %s", key, got.status, got.body)
		}
	}
}

// The life of a harvest: what it brings is counted, its end is final, and a closed one takes no ARCs.
func TestHarvestLife(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	s.post(t, "/v3/arcs", upload("edal", crate("known", "1")))
	s.post(t, "/v3/arcs", upload("edal", crate("changing", "1")))
	id := begin(t, s)
	path := "/v3/harvests/" + id
	wantAnswer(t, timesMasked(s.get(t, path)), 200, harvest(id, "RUNNING", "null", "0 0 0 0 0 0", ""))

	submit := func(crate string) answer { return s.post(t, path+"/arcs", `{"rdi":7,"arc":`+crate+`}`) }
	got := submit(crate("new", "1"))
	got.body = masked(got.body)
	wantAnswer(t, got, 200, `{"client_id":null,"message":"ARC processed successfully in harvest","arc_id":"`+arcID("new")+`","status":"created",`+
		`"metadata":{"arc_hash":"<hash>","status":"ACTIVE","first_seen":"<time+00:00Z>","last_seen":"<time+00:00Z>"},`+
		`"events":[{"timestamp":"<time+00:00Z>","type":"ARC_CREATED","message":"ARC first seen"}]}`)
	for _, c := range []string{crate("known", "1"), crate("changing", "2"), crate("new", "1")} {
		if got := submit(c); got.status != 200 || member(t, got.body, "status") != "updated" {
			t.Fatalf("got %d %s", got.status, got.body)
		}
	}
	const conflict = "ARC 'new' was already submitted in harvest '<id>' with different content."
	wantAnswer(t, submit(crate("new", "2")), 409, `{"detail":"`+strings.Replace(conflict, "<id>", id, 1)+`"}`)
	errors := `,"errors":[{"error_type":"duplicate","message":"` + strings.Replace(conflict, "<id>", id, 1) + `","arc_id":"new","timestamp":"<timeZ>"}]`
	wantAnswer(t, timesMasked(s.send(t, "PATCH", path, `{"status":"RUNNING"}`, "Content-Type", media)), 200,
		harvest(id, "RUNNING", "null", "3 1 1 1 0 1", errors))
	wantAnswer(t, timesMasked(s.post(t, path+"/complete", "")), 200, harvest(id, "COMPLETED", `"<timeZ>"`, "3 1 1 1 0 1", errors))

	for _, target := range []string{"RUNNING", "COMPLETED", "FAILED", "CANCELLED"} {
		wantAnswer(t, s.send(t, "PATCH", path, `{"status":"`+target+`"}`, "Content-Type", media), 409,
			`{"detail":"Harvest `+id+` cannot transition to `+target+`: current status is COMPLETED"}`)
	}
	if got := submit(crate("late", "1")); got.status != 409 {
		t.Errorf("late ARC: got %d %s", got.status, got.body)
	}
	// What happens later does not change the counts.
	s.post(t, "/v3/arcs", upload("edal", crate("new", "5")))
	wantAnswer(t, timesMasked(s.get(t, path)), 200, harvest(id, "COMPLETED", `"<timeZ>"`, "3 1 1 1 0 1", errors))
}

// Cancelling answers with nothing but a status; the harvest stays readable with the time of its end.
func TestCancelHarvest(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	id := begin(t, s)
	got := s.send(t, "DELETE", "/v3/harvests/"+id, "")
	wantAnswer(t, got, 204, "")
	wantHeader(t, got, "Content-Type", "application/json")
	wantHeader(t, got, "Content-Length", "")
	wantAnswer(t, timesMasked(s.get(t, "/v3/harvests/"+id)), 200, harvest(id, "CANCELLED", `"<timeZ>"`, "0 0 0 0 0 0", ""))
	second := begin(t, s)
	wantAnswer(t, timesMasked(s.send(t, "PATCH", "/v3/harvests/"+second, `{"status":"FAILED"}`, "Content-Type", media)), 200,
		harvest(second, "FAILED", `"<timeZ>"`, "0 0 0 0 0 0", ""))
}

// Two clients and two RDIs: who may see and do what.
func TestHarvestsOfOthers(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, required)
	owner, colleague := certHeaders(t, "owner", "edal"), certHeaders(t, "colleague", "edal")
	stranger := certHeaders(t, "stranger", "bonares")
	id := begin(t, s, owner...)
	path := "/v3/harvests/" + id
	if got := s.post(t, "/v3/arcs", upload("edal", crate("A", "")), owner...); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	const hidden = `{"detail":"Harvest not found"}`
	const forbidden = `{"detail":"RDI 'edal' not authorized."}`
	notYours := `{"detail":"Harvest ` + id + ` does not belong to client colleague"}`

	wantAnswer(t, timesMasked(s.get(t, path, colleague...)), 200, harvest(id, "RUNNING", "null", "0 0 0 0 0 0", ""))
	for _, read := range []string{path, path + "/arcs", path + "/receipt", path + "/events", "/v3/arcs?harvest_id=" + id} {
		wantAnswer(t, s.get(t, read, stranger...), 404, hidden)
		wantAnswer(t, s.get(t, strings.Replace(read, id, "harvest-nonsense", 1), owner...), 404, hidden)
	}
	changes := []struct{ method, path, body string }{
		{"PATCH", path, `{"status":"FAILED"}`}, {"DELETE", path, ""}, {"POST", path + "/complete", ""},
		{"POST", path + "/arcs", `{"arc":` + crate("x", "1") + `}`}, {"POST", path + "/diff", `{"arcs":[]}`},
	}
	for _, c := range changes {
		wantAnswer(t, s.send(t, c.method, c.path, c.body, append(slices.Clone(colleague), "Content-Type", media)...), 403, notYours)
		wantAnswer(t, s.send(t, c.method, c.path, c.body, append(slices.Clone(stranger), "Content-Type", media)...), 403, forbidden)
		wantAnswer(t, s.send(t, c.method, strings.Replace(c.path, id, "harvest-nonsense", 1), c.body, append(slices.Clone(owner), "Content-Type", media)...), 404, hidden)
	}
	wantAnswer(t, timesMasked(s.get(t, "/v3/harvests", owner...)), 200, "["+harvest(id, "RUNNING", "null", "0 0 0 0 0 0", "")+"]")
	for _, nobody := range [][]string{stranger, certHeaders(t, "nobody")} {
		wantAnswer(t, s.get(t, "/v3/harvests", nobody...), 200, "[]")
		wantAnswer(t, s.get(t, "/v3/arcs", nobody...), 200, `{"arcs":[],"next":null}`)
	}
	wantAnswer(t, s.get(t, "/v3/harvests?rdi=edal", stranger...), 403, forbidden)
	wantAnswer(t, s.get(t, "/v3/harvests?rdi=nope", stranger...), 400, `{"detail":"RDI 'nope' is not recognized."}`)

	anonymous := newServer(t, service, nil)
	wantAnswer(t, anonymous.send(t, "DELETE", path, ""), 403, `{"detail":"Harvest `+id+` does not belong to client None"}`)
	fewer := newServer(t, service, func(o *httpapi.Options) { o.KnownRDIs = []string{"bonares"} })
	wantAnswer(t, fewer.get(t, path), 400, `{"detail":"RDI 'edal' is not recognized."}`)
}

// What a harvest says about git is about the content that it brought, in the list as
// in the receipt: true once that is pushed, and not for ever.
func TestAHarvestTellsOfItsOwnContent(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	bring := func(title string) (path string) {
		path = "/v3/harvests/" + begin(t, s)
		if got := s.post(t, path+"/arcs", `{"arc":`+crate("A", title)+`}`); got.status != 200 {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		return path
	}
	expect := func(what, path string, inGit bool) {
		t.Helper()
		for _, list := range []string{"/arcs", "/receipt"} {
			if got := s.get(t, path+list); !strings.Contains(got.body, fmt.Sprintf(`"in_git":%t`, inGit)) {
				t.Errorf("%s: %s says %s, want %t", what, list, got.body, inGit)
			}
		}
	}
	first := bring("one")
	expect("brought", first, false)
	push(t, db, "c1")
	expect("pushed", first, true)
	second := bring("two")
	expect("the first, when the second is brought", first, true)
	expect("the second, when brought", second, false)
	push(t, db, "c1")
	expect("the first, when the second is pushed", first, false)
	expect("the second, when pushed", second, true)
}

// Lists are newest first, by status, in pages.
func TestListHarvests(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	first, second, third := begin(t, s), begin(t, s), begin(t, s)
	s.send(t, "DELETE", "/v3/harvests/"+second, "")
	one := func(id, status string) string {
		completed := "null"
		if status != "RUNNING" {
			completed = `"<timeZ>"`
		}
		return harvest(id, status, completed, "0 0 0 0 0 0", "")
	}
	for query, want := range map[string][]string{
		"":                                  {one(third, "RUNNING"), one(second, "CANCELLED"), one(first, "RUNNING")},
		"?rdi=":                             {one(third, "RUNNING"), one(second, "CANCELLED"), one(first, "RUNNING")},
		"?rdi=edal&limit=1.0&skip=1":        {one(second, "CANCELLED")},
		"?status=RUNNING&limit=2":           {one(third, "RUNNING"), one(first, "RUNNING")},
		"?rdi=bonares":                      {},
		"?rdi=nope&rdi=edal&limit=1&zz=zz%": {one(third, "RUNNING")},
	} {
		wantAnswer(t, timesMasked(s.get(t, "/v3/harvests"+query)), 200, "["+strings.Join(want, ",")+"]")
	}
}

// Lists that nobody asked to be longer have a hundred items, and the errors of a harvest
// a thousand; its receipt has all.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	for range 100 {
		if _, err := service.BeginHarvest(t.Context(), ingest.Caller{}, "edal", nil, ""); err != nil {
			t.Fatal(err)
		}
	}
	path := "/v3/harvests/" + begin(t, s)
	var lines strings.Builder
	for i := range 501 {
		lines.WriteString(crate(fmt.Sprint("arc", i), "") + "\n")
	}
	lines.WriteString(strings.Repeat("{}\n", 1001))
	if got := s.send(t, "POST", path+"/arcs", lines.String(), "Content-Type", ndjson); strings.Count(got.body, "\n") != 1502 {
		t.Fatalf("got %d %s", got.status, clip(got.body))
	}
	for list, all := range map[string]int{"/v3/harvests": 101, "/v3/arcs": 501, path + "/arcs": 501} {
		const item = `"rdi":"edal",` // of harvests and ARCs; those of a harvest are told by their outcome
		count := func(a answer) int { return strings.Count(a.body, item) + strings.Count(a.body, `"outcome":`) }
		if n := count(s.get(t, list)); n != 100 {
			t.Errorf("%s: got %d items, want 100", list, n)
		}
		if n := count(s.get(t, list+"?limit=1000")); n != all {
			t.Errorf("%s: got %d items, want %d", list, n, all)
		}
	}
	if got := s.get(t, path).body; strings.Count(got, `"error_type":"submission_failed"`) != 1000 || !strings.Contains(got, `"errors":1001}`) {
		t.Errorf("the harvest names %d errors, want 1000: %s", strings.Count(got, `"error_type"`), clip(got))
	}
	if got := s.get(t, path+"/receipt").body; strings.Count(got, `"code":"arc_invalid"`) != 1001 || strings.Count(got, `"outcome":"new"`) != 501 {
		t.Errorf("the receipt names %d ARCs and %d errors, want 501 and 1001", strings.Count(got, `"outcome":"new"`), strings.Count(got, `"code":"arc_invalid"`))
	}
}

// Integers of the body may come as numbers without fraction, booleans and texts.
func TestExpectedDatasets(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	for sent, want := range map[string]string{
		"null": "null", "2": "2", "2.0": "2", "-5": "-5", "true": "1", `"12"`: "12", `" 1_000 "`: "1000",
	} {
		got := s.post(t, "/v3/harvests", `{"rdi":"edal","expected_datasets":`+sent+`}`)
		if !strings.Contains(got.body, `"expected_datasets":`+want+`,`) {
			t.Errorf("sent %s: got %d %s", sent, got.status, got.body)
		}
	}
	if got := s.post(t, "/v3/harvests", `{"rdi":"edal"}`); !strings.Contains(got.body, `"expected_datasets":null,`) {
		t.Errorf("sent nothing: got %s", got.body)
	}
}

// A whole harvest marks what it did not bring as missing, unless that is too much of the RDI.
func TestMissingARCs(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	names := []string{"a", "b", "c", "d", "e", "f"}
	complete := func(query string, bring ...string) answer {
		path := "/v3/harvests/" + begin(t, s)
		for _, n := range bring {
			if got := s.post(t, path+"/arcs", `{"arc":`+crate(n, "1")+`}`); got.status != 200 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
		}
		return s.post(t, path+"/complete"+query, "")
	}
	run := func(bring ...string) answer { return complete("", bring...) }
	run(names...)
	if got := complete("?missing=keep", names[:5]...); !strings.Contains(got.body, `"arcs_missing":0,`) || !strings.Contains(member(t, got.body, "message"), "could not bring all") {
		t.Errorf("one of six not brought: got %s", got.body)
	}
	if got := complete("?missing=forget", names...); got.status != 422 || !strings.Contains(got.body, `"loc":["query","missing"]`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := run(names[:5]...); !strings.Contains(got.body, `"arcs_missing":1,`) || member(t, got.body, "message") != "" {
		t.Errorf("one of six missing: got %s", got.body)
	}
	if got := run(names[:2]...); !strings.Contains(got.body, `"arcs_missing":0,`) || !strings.Contains(member(t, got.body, "message"), "none was marked") {
		t.Errorf("four of six missing: got %s", got.body)
	}
	got := s.post(t, "/v3/arcs", upload("edal", crate("f", "1")))
	if !strings.Contains(got.body, `"status":"ACTIVE"`) || !strings.Contains(got.body, "ARC_RESTORED") || !strings.Contains(got.body, "ARC_MARKED_MISSING") {
		t.Errorf("seen again: got %s", got.body)
	}
}

// What the harvester names because it could not bring it is not missing; everything
// else that it did not bring is. Who names too much is told so.
func TestNamedARCsAreKept(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	run := func(body string, bring ...string) answer {
		path := "/v3/harvests/" + begin(t, s)
		for _, n := range bring {
			if got := s.post(t, path+"/arcs", `{"arc":`+crate(n, "1")+`}`); got.status != 200 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
		}
		return s.send(t, "PATCH", path, body, "Content-Type", "application/json")
	}
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	run(`{"status":"COMPLETED","keep":null}`, names...)
	got := run(`{"status":"COMPLETED","keep":[" b ","nobody knows me"]}`, names[2:]...)
	if !strings.Contains(got.body, `"arcs_missing":1,`) || !strings.HasPrefix(member(t, got.body, "message"), "ARCs of RDI edal that were not brought but stay as they are, because they are still at the source: 1.") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	for identifier, want := range map[string]string{"a": "MISSING", "b": "ACTIVE"} {
		if got := s.get(t, "/v3/arcs?rdi=edal&lifecycle="+want); !strings.Contains(got.body, `"identifier":"`+identifier+`"`) {
			t.Errorf("%s: got %s, want it %s", identifier, got.body, want)
		}
	}
	for body, want := range map[string]string{
		`{"status":"COMPLETED","keep":"b"}`:                                         `"type":"list_type","loc":["body","keep"]`,
		`{"status":"COMPLETED","keep":[1]}`:                                         `"type":"string_type","loc":["body","keep",0]`,
		`{"status":"COMPLETED","keep":["` + strings.Repeat(`x","`, 10_000) + `y"]}`: `"type":"too_long","loc":["body","keep"]`,
	} {
		if got := run(body, names...); got.status != 422 || !strings.Contains(got.body, want) {
			t.Errorf("%.60s: got %d %.200s", body, got.status, got.body)
		}
	}
}

// The end of a harvest that waits for submissions under way goes on when its client
// gives up: no client tries again.
func TestAHarvestEndsWithoutItsClient(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	service, db := serviceOn(t, dsn)
	s := newServer(t, service, nil)
	id := begin(t, s)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	harvest := uuid.MustParse(strings.TrimPrefix(id, "harvest-"))
	underWay, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := underWay.Exec(t.Context(), "SELECT pg_advisory_xact_lock_shared($1)", int64(binary.BigEndian.Uint64(harvest[:8]))); err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v3/harvests/"+id+"/complete", http.NoBody)
	r.Header.Set("Content-Type", media)
	served := make(chan struct{})
	go func() { defer close(served); s.api.ServeHTTP(httptest.NewRecorder(), r) }()
	testenv.Await(t, "the end waits", func() bool {
		var waits bool
		err := underWay.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waits)
		return err == nil && waits
	})
	giveUp()
	if err := underWay.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-served
	if h, err := db.Harvest(t.Context(), harvest); err != nil || h.Status != store.Completed {
		t.Errorf("got %s, %v, want it complete", h.Status, err)
	}
}

// An ARC that is refused before it is looked at closely counts as an error of the
// harvest that it was for.
func TestARefusalCountsInItsHarvest(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	id := begin(t, s)
	if got := s.post(t, "/v3/harvests/"+id+"/arcs", `{"arc":{}}`); got.status != 422 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if got := s.get(t, "/v3/harvests/"+id); !strings.Contains(got.body, `"errors":1}`) || !strings.Contains(got.body, `"error_type":"submission_failed"`) {
		t.Errorf("got %s, want one error", got.body)
	}
	// What the database cannot hold is no reason not to count it.
	for _, crate := range []string{
		strings.Replace(crate("a", ""), `{"@context"`, `{"z\u0000":1,"@context"`, 1), strings.Replace(crate("a", ""), `{"@context"`, `{"\ud800":1,"@context"`, 1),
		strings.Replace(crate("a", ""), `"identifier":"a"`, `"identifier":"a\u0000"`, 1),
	} {
		if got := s.post(t, "/v3/harvests/"+id+"/arcs", `{"arc":`+crate+`}`); got.status != 422 {
			t.Errorf("%s: got %d %s", crate, got.status, got.body)
		}
		if got := s.send(t, "POST", "/v3/harvests/"+id+"/arcs", crate, "Content-Type", ndjson); !strings.Contains(got.body, `"status":422`) {
			t.Errorf("%s: got %d %s", crate, got.status, got.body)
		}
	}
	if got := s.get(t, "/v3/harvests/"+id); !strings.Contains(got.body, `"errors":7}`) || !strings.Contains(got.body, "a\uFFFD") {
		t.Errorf("got %s, want seven errors", got.body)
	}
}

// An ARC that a harvest tried to bring is not missing, for whatever reason it was
// refused, as long as it can be told which one it was.
func TestRefusedARCsAreNotMissing(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.Strict = true })
	var known []string
	for i := range 40 {
		known = append(known, crate(fmt.Sprint("arc", i), ""))
	}
	if got := s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+strings.Join(known, ",")+`]}`); got.status != 201 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	path := "/v3/harvests/" + begin(t, s)
	if got := s.send(t, "POST", path+"/arcs", strings.Join(known[7:], "\n"), "Content-Type", ndjson); strings.Count(got.body, `"outcome"`) != 33 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	doomed := strings.NewReplacer(`"@type":"CreativeWork"`, `"@type":"CreativeWork"},{"@id":7`)
	surplus := strings.NewReplacer(`{"@context"`, `{"zz":1,"@context"`)
	infinite := strings.NewReplacer(`"@type":"CreativeWork"`, `"@type":"CreativeWork","x":1e999`)
	for i, spoil := range []*strings.Replacer{doomed, surplus, infinite} {
		if got := s.post(t, path+"/arcs", `{"arc":`+spoil.Replace(known[i])+`}`); got.status != 422 {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if got := s.send(t, "POST", path+"/arcs", spoil.Replace(known[i+3]), "Content-Type", ndjson); !strings.Contains(got.body, `"status":422`) {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	got := s.post(t, path+"/complete", "")
	if !strings.Contains(got.body, `"arcs_missing":1,"errors":6}`) {
		t.Errorf("got %s", got.body)
	}
	if got := s.get(t, "/v3/arcs?lifecycle=MISSING"); strings.Count(got.body, `"identifier"`) != 1 || !strings.Contains(got.body, `"identifier":"arc6"`) {
		t.Errorf("got %s, want that arc6 is missing", got.body)
	}
}

// Readers of events hold no place: with a single one, others are served beside them.
func TestReadersOfEventsHoldNoPlace(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.MaxConcurrent, o.MaxStreams = 1, 1 })
	id := begin(t, s)
	next, stop := events(t, s, id)
	defer stop()
	if e, ok := next(); !ok || e.name != "harvest" {
		t.Fatalf("the stream begins with %+v", e)
	}
	if got := s.get(t, "/v3/arcs"); got.status != 200 {
		t.Errorf("beside the stream: got %d %s", got.status, got.body)
	}
	// There may be so many streams, and afterwards others.
	again := func() answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v3/harvests/"+id+"/events", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode == http.StatusOK {
			return answer{status: resp.StatusCode} // it has no end
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{resp.StatusCode, resp.Header, string(text)}
	}
	got := again()
	wantAnswer(t, got, 503, `{"detail":"Service temporarily unavailable"}`)
	if got.header.Get("Retry-After") == "" || s.api.Refusals()["streams"] != 1 {
		t.Errorf("a second stream: Retry-After %q, refusals %v", got.header.Get("Retry-After"), s.api.Refusals())
	}
	stop()
	testenv.Await(t, "another stream", func() bool { return again().status == 200 })
}
