package httpapi_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// push plays the synchroniser for one ARC that is due: it claims and records.
func push(tb testing.TB, db *store.Store, commit string) {
	tb.Helper()
	claims, err := db.ClaimDue(tb.Context(), store.ClaimRequest{Remote: "test", Holder: "test", Lease: time.Minute, Limit: 1})
	if err != nil || len(claims) != 1 {
		tb.Fatalf("claim: %d, %v", len(claims), err)
	}
	if _, err := db.Load(tb.Context(), claims[0]); err != nil {
		tb.Fatal(err)
	}
	if err := db.RecordPush(tb.Context(), claims[0], store.Pushed{Commit: commit}); err != nil {
		tb.Fatal(err)
	}
}

// What is read of an ARC is about its newest version: the content with a tag of its
// own, and the report, even if only the version before has been looked at so far.
func TestReadersSeeTheNewestVersion(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	path := "/v3/arcs/" + arcID("DS")
	first := member(t, s.post(t, "/v3/arcs", upload("edal", crate("DS", "one"))).body, "metadata", "arc_hash")
	before := s.get(t, path+"/content")
	id, err := store.ParseID(arcID("DS"))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := store.ParseHash(first)
	if err != nil {
		t.Fatal(err)
	}
	old := []store.Finding{{Code: "old", Severity: store.SeverityError, Text: "an old error"}}
	if err := db.SetReport(t.Context(), id, hash, old); err != nil {
		t.Fatal(err)
	}
	if got := s.get(t, path+"/report"); !strings.Contains(got.body, "an old error") || !strings.Contains(got.body, first) {
		t.Errorf("report on the first version: %s", got.body)
	}
	second := member(t, s.post(t, "/v3/arcs", upload("edal", crate("DS", "two"))).body, "metadata", "arc_hash")
	// The log comes in pages.
	page := s.get(t, path+"/events?limit=1")
	if strings.Count(page.body, `"type":`) != 1 || !strings.Contains(page.body, "ARC_CREATED") || !strings.HasSuffix(page.body, `"next":1}`) {
		t.Errorf("first page of events: %s", page.body)
	}
	page = s.get(t, path+"/events?limit=2&after=1")
	if strings.Count(page.body, `"type":`) != 2 || !strings.Contains(page.body, "ARC_UPDATED") || !strings.HasSuffix(page.body, `"next":null}`) {
		t.Errorf("last page of events: %s", page.body)
	}
	after := s.get(t, path+"/content", "If-None-Match", before.header.Get("ETag"))
	wantAnswer(t, after, 200, crate("DS", "two"))
	if tag := after.header.Get("ETag"); tag == "" || tag == before.header.Get("ETag") {
		t.Errorf("both versions have the tag %s", tag)
	}
	if got := s.get(t, path+"/report"); strings.Contains(got.body, "an old error") || !strings.Contains(got.body, second) {
		t.Errorf("report on the second version: %s", got.body)
	}
}

// The state of an ARC can be read by anyone authorised, and by nobody else.
func TestReadARC(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, required)
	edal, bonares := certHeaders(t, "a", "edal"), certHeaders(t, "b", "bonares")
	s.post(t, "/v3/arcs", upload("edal", crate("DS", "Größe")), edal...)
	id := arcID("DS")
	view := `{"arc_id":"` + id + `","rdi":"edal","identifier":"DS","name":"Größe","description":"","metadata":{"arc_hash":"<hash>","status":"ACTIVE",` +
		`"first_seen":"<timeZ>","last_seen":"<timeZ>","last_changed":"<timeZ>","missing_since":null,"version":1,"size":<n>,"first_harvest_id":null,` +
		`"last_harvest_id":null,"last_changed_harvest_id":null},"git":{"state":"due","commit":null,"pushed_at":null,"pushed_hash":null,"pushed_version":null,` +
		`"pushing":false,"attempts":0,"next_attempt":"<timeZ>","last_error":null}`
	const event = `{"id":1,"timestamp":"<timeZ>","type":"ARC_CREATED","message":"ARC first seen","harvest_id":null}`
	mask := func(a answer) answer {
		a.body = masked(a.body)
		a.body = strings.Replace(a.body, fmt.Sprintf(`"size":%d`, len(crate("DS", "Größe"))), `"size":<n>`, 1)
		return a
	}
	wantAnswer(t, mask(s.get(t, "/v3/arcs/"+id, edal...)), 200, view+`,"events":[`+event+`]}`)
	wantAnswer(t, mask(s.get(t, "/v3/arcs", edal...)), 200, `{"arcs":[`+view+`}],"next":null}`)
	wantAnswer(t, mask(s.get(t, "/v3/arcs/"+id+"/events", edal...)), 200, `{"events":[`+event+`],"next":null}`)
	wantAnswer(t, s.get(t, "/v3/arcs/"+id+"/events?after=1", edal...), 200, `{"events":[],"next":null}`)

	content := s.get(t, "/v3/arcs/"+id+"/content", edal...)
	wantAnswer(t, content, 200, crate("DS", "Größe"))
	wantHeader(t, content, "Content-Type", "application/ld+json")
	again := s.get(t, "/v3/arcs/"+id+"/content", append([]string{"If-None-Match", content.header.Get("ETag")}, edal...)...)
	wantAnswer(t, again, 304, "")

	report := s.get(t, "/v3/arcs/"+id+"/report", edal...)
	if report.status != 200 || !strings.HasPrefix(report.body, `{"valid":true,"arc_id":"`+id+`","identifier":"DS","arc_hash":"`) {
		t.Errorf("report: got %d %s", report.status, report.body)
	}
	if strings.Contains(report.body, `"checked_at":null`) {
		t.Errorf("what was just looked at has no time: %s", report.body)
	}
	sync := s.send(t, "POST", "/v3/arcs/"+id+"/sync", "", edal...)
	if sync.status != 202 || !strings.Contains(sync.body, `"git":{"state":"due"`) {
		t.Errorf("sync: got %d %s", sync.status, sync.body)
	}

	const hidden = `{"detail":"There is no such ARC."}`
	for _, path := range []string{"", "/content", "/events", "/report"} {
		wantAnswer(t, s.get(t, "/v3/arcs/"+id+path, bonares...), 404, hidden)
		wantAnswer(t, s.get(t, "/v3/arcs/nonsense"+path, edal...), 404, hidden)
		wantAnswer(t, s.get(t, "/v3/arcs/"+id+path), 401, `{"detail":"Client certificate required"}`)
	}
	wantAnswer(t, s.send(t, "POST", "/v3/arcs/"+id+"/sync", "", bonares...), 404, hidden)
	wantAnswer(t, s.get(t, "/v3/arcs", bonares...), 200, `{"arcs":[],"next":null}`)
	wantAnswer(t, s.get(t, "/v3/arcs?rdi=edal", bonares...), 403, `{"detail":"RDI 'edal' not authorized."}`)
}

// Of an ARC that is in git one can read which version that is, also when there is a newer
// one; who asks for a push may wait for it.
func TestReadWhatIsInGit(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	path := "/v3/arcs/" + arcID("DS")
	hash := member(t, s.post(t, "/v3/arcs", upload("edal", crate("DS", "one"))).body, "metadata", "arc_hash")
	push(t, db, "c0ffee")
	inGit := `"commit":"c0ffee","pushed_at":"<timeZ>","pushed_hash":"` + hash + `","pushed_version":1,`
	if got := s.get(t, path).body; !strings.Contains(masked(got), `"git":{"state":"synced",`+inGit) {
		t.Errorf("got %s", got)
	}
	s.post(t, "/v3/arcs", upload("edal", crate("DS", "two")))
	if got := s.get(t, path).body; !strings.Contains(masked(got), `"git":{"state":"due",`+inGit) {
		t.Errorf("with a newer one: got %s", got)
	}
	done := make(chan answer)
	go func() { done <- s.send(t, "POST", path+"/sync", "", "Prefer", "wait=20") }()
	testenv.Await(t, "the wish for a push", func() bool {
		trail, err := db.AuditTrail(t.Context(), store.ID{}, 0, 1)
		return err == nil && len(trail) == 1 && trail[0].Action == "arc.resync"
	})
	push(t, db, "c0ffee2")
	if got := <-done; got.status != 202 || !strings.Contains(got.body, `"git":{"state":"synced","commit":"c0ffee2"`) {
		t.Errorf("a wish to wait: got %d %s", got.status, got.body)
	}
}

// Lists of ARCs are filtered and come in pages.
func TestListARCs(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	id := begin(t, s)
	for i := range 5 {
		s.post(t, "/v3/harvests/"+id+"/arcs", `{"arc":`+crate(fmt.Sprint("arc", i), "Title")+`}`)
	}
	s.post(t, "/v3/arcs", upload("bonares", crate("other", "Title")))
	push(t, db, "c0ffee")
	names := func(query string) (found []string, next string) {
		got := s.get(t, "/v3/arcs?"+query)
		var page struct {
			ARCs []struct{ Identifier string }
			Next string
		}
		if err := json.Unmarshal([]byte(got.body), &page); err != nil || got.status != 200 {
			t.Fatalf("%s: got %d %s", query, got.status, got.body)
		}
		for _, a := range page.ARCs {
			found = append(found, a.Identifier)
		}
		return found, page.Next
	}
	for query, want := range map[string]int{
		"": 6, "rdi=edal": 5, "rdi=bonares": 1, "git_state=due": 5, "git_state=synced": 1, "git_state=parked": 0, "lifecycle=ACTIVE": 6,
		"git_state=failing": 0, "lifecycle=DELETED": 0, "lifecycle=MISSING": 0, "harvest_id=" + id: 5, "text=ARC3": 1, "text=title&rdi=edal": 5, "text=nothing": 0, "harvest_id=" + id + "&text=arc1": 1,
	} {
		if got, _ := names(query); len(got) != want {
			t.Errorf("%q: got %q, want %d", query, got, want)
		}
	}
	seen, next := names("limit=4")
	rest, end := names("limit=4&after=" + next)
	if len(seen) != 4 || len(rest) != 2 || end != "" {
		t.Errorf("pages: got %q, %q, then %q", seen, rest, end)
	}
	for _, query := range []string{"after=x", "limit=0", "git_state=x", "lifecycle=x", "text=%00", "text=%ff"} {
		if got := s.get(t, "/v3/arcs?"+query); got.status != 422 {
			t.Errorf("%q: got %d %s", query, got.status, got.body)
		}
	}
	wantAnswer(t, s.get(t, "/v3/arcs?harvest_id=x"), 404, `{"detail":"Harvest not found"}`)
}

// Who prefers to wait hears that the ARC is in git; who would wait too long, that it is not.
func TestPreferWait(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	done := make(chan answer)
	go func() {
		done <- s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+crate("A", "1")+`]}`, "Prefer", "respond-async, wait=20")
	}()
	awaitDue := func() {
		t.Helper()
		testenv.Await(t, "a due ARC", func() bool {
			list, _, err := db.ARCs(t.Context(), store.ARCFilter{Limit: 1, State: store.Due})
			return err == nil && len(list) == 1
		})
	}
	awaitDue()
	push(t, db, "c0ffee")
	got := <-done
	wantHeader(t, got, "Preference-Applied", "wait=20")
	if got.status != 201 || member(t, got.body, "status") != "SUCCESS" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	got = s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+crate("B", "1")+`]}`, "Prefer", "wait=1")
	if got.status != 201 || member(t, got.body, "status") != "processing" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	// The last one of these is in git, and that is not enough.
	got = s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+crate("B", "1")+","+crate("A", "1")+`]}`, "Prefer", "wait=1")
	if got.status != 200 || member(t, got.body, "status") != "processing" {
		t.Errorf("one of two: got %d %s", got.status, got.body)
	}
	push(t, db, "b")
	go func() { done <- s.post(t, "/v3/arcs", upload("edal", crate("C", "1")), "Prefer", "wait=20") }()
	awaitDue()
	push(t, db, "c0ffee")
	got = <-done
	if got.status != 200 || !strings.Contains(got.body, `"type":"GIT_PUSH_SUCCESS"`) {
		t.Errorf("the log does not tell of the push that was waited for: %d %s", got.status, got.body)
	}
}

// Who waits for git leaves places for work: a wish to wait is passed over, and the answer says so,
// when half of the places are taken by such.
func TestWaitsLeavePlaces(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, func(o *httpapi.Options) { o.MaxConcurrent = 4 })
	done := make(chan answer)
	go func() { done <- s.post(t, "/v3/arcs", upload("edal", crate("A", "1")), "Prefer", "wait=20") }()
	testenv.Await(t, "a due ARC", func() bool {
		list, _, err := db.ARCs(t.Context(), store.ARCFilter{Limit: 1, State: store.Due})
		return err == nil && len(list) == 1
	})
	for _, name := range []string{"B", "C", "D"} {
		got := s.post(t, "/v3/arcs", upload("edal", crate(name, "1")), "Prefer", "wait=20")
		if got.status != 200 || got.header.Get("Preference-Applied") != "" {
			t.Errorf("%s beside one that waits: got %d, applied %q", name, got.status, got.header.Get("Preference-Applied"))
		}
	}
	select {
	case got := <-done:
		t.Fatalf("nobody waited: got %d %s", got.status, got.body)
	default:
	}
	push(t, db, "c0ffee")
	wantHeader(t, <-done, "Preference-Applied", "wait=20")
	go func() { done <- s.post(t, "/v3/arcs", upload("edal", crate("E", "1")), "Prefer", "wait=1") }()
	wantHeader(t, <-done, "Preference-Applied", "wait=1")
}

// A wait for git ends early enough that the answer is still in time, and at once when
// the worker drains.
func TestPreferredWaitsEnd(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	hasty := newServer(t, service, func(o *httpapi.Options) { o.Timeout = 2 * time.Second })
	if got := hasty.post(t, "/v3/arcs", upload("edal", crate("A", "1"))); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if got := hasty.post(t, "/v3/arcs/"+arcID("A")+"/sync", "", "Prefer", "wait=3600"); got.status != 202 {
		t.Errorf("a wait longer than answers may take: got %d %s", got.status, got.body)
	}

	patient := newServer(t, service, func(o *httpapi.Options) { o.Timeout = 2 * time.Hour })
	done := make(chan answer, 1)
	go func() { done <- patient.post(t, "/v3/arcs/"+arcID("A")+"/sync", "", "Prefer", "wait=3600") }()
	testenv.Await(t, "a wait", func() bool { return patient.api.InFlight() == 1 })
	patient.api.Drain()
	select {
	case got := <-done:
		if got.status != 202 {
			t.Errorf("while draining: got %d %s", got.status, got.body)
		}
	case <-time.After(20 * time.Second):
		t.Error("the wait goes on while the worker drains")
	}
}

// The diff tells what a harvester has to send; the unchanged ones count as seen.
func TestDiff(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	hash := func(name, title string) string {
		return member(t, s.post(t, "/v3/arcs", upload("edal", crate(name, title))).body, "metadata", "arc_hash")
	}
	same, old := hash("same", "1"), hash("changed", "1")
	hash("changed", "2")
	id := begin(t, s)
	pair := func(name, hash string) string { return `{"identifier":"` + name + `","arc_hash":"` + hash + `"}` }
	body := `{"arcs":[` + pair("same", same) + "," + pair("changed", old) + "," + pair("new", old) + "]}"
	entry := func(name, status string) string {
		return `{"identifier":"` + name + `","arc_id":"` + arcID(name) + `","status":"` + status + `"}`
	}
	wantAnswer(t, s.post(t, "/v3/harvests/"+id+"/diff", body), 200, `{"harvest_id":"`+id+`","new":1,"changed":1,"unchanged":1,"conflict":0,"arcs":[`+
		entry("same", "unchanged")+","+entry("changed", "changed")+","+entry("new", "new")+"]}")
	wantAnswer(t, s.post(t, "/v3/harvests/"+id+"/diff", `{"arcs":[`+pair("same", old)+"]}"), 200,
		`{"harvest_id":"`+id+`","new":0,"changed":0,"unchanged":0,"conflict":1,"arcs":[`+entry("same", "conflict")+"]}")
	if h := s.get(t, "/v3/harvests/"+id).body; !strings.Contains(h, `"arcs_submitted":1,"arcs_new":0,"arcs_updated":0,"arcs_unchanged":1`) {
		t.Errorf("got %s", h)
	}
	for _, bad := range []string{`{}`, `{"arcs":[{"identifier":"x"}]}`, `{"arcs":[` + pair("x", "ABC") + `]}`, `{"arcs":[` + pair("x", "") + `]}`, `{"arcs":[7]}`} {
		if got := s.post(t, "/v3/harvests/"+id+"/diff", bad); got.status != 422 {
			t.Errorf("%s: got %d %s", bad, got.status, got.body)
		}
	}
	if got := s.post(t, "/v3/harvests/x/diff", body); got.status != 404 {
		t.Errorf("got %d", got.status)
	}
}

// Validation tells everything that is wrong, by the code of the push, and stores nothing.
func TestValidate(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	strict := newServer(t, service, func(o *httpapi.Options) { o.Strict = true })
	type report struct {
		Valid      bool
		ARCID      string `json:"arc_id"`
		Identifier string
		Errors     int
		Findings   []store.Finding
	}
	read := func(got answer) report {
		var r report
		if err := json.Unmarshal([]byte(got.body), &r); err != nil || got.status != 200 {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		return r
	}
	good := read(s.post(t, "/v3/arcs/validate", `{"arc":`+crate("x", "y")+`}`))
	if !good.Valid || good.Errors != 0 || good.Identifier != "x" || good.ARCID != "" {
		t.Errorf("good crate: got %+v", good)
	}
	id := begin(t, s)
	for _, path := range []string{"/v3/arcs/validate", "/v3/arcs?validate=only", "/v3/harvests/" + id + "/arcs?validate=only"} {
		bad := read(s.post(t, path, upload("edal", `{"@context":"https://w3id.org/ro/crate/1.1/context","zz":1,"@graph":[{"@id":"./","@type":"Dataset"},{"@id":7}]}`)))
		if bad.Valid || bad.Errors < 2 || bad.Findings[0].Pointer != "/zz" || bad.Findings[0].Owner != "rdi" || bad.Findings[0].Remedy == "" {
			t.Errorf("%s: got %+v", path, bad)
		}
		if !slices.ContainsFunc(bad.Findings, func(f store.Finding) bool { return f.Text == "an entity has no text as @id" }) {
			t.Errorf("%s does not tell what the push would have found: %+v", path, bad)
		}
		if got := read(s.post(t, path, upload("edal", crate("x", "")))); !got.Valid {
			t.Errorf("%s: got %+v", path, got)
		}
	}
	// What a submission refuses is not valid, and what it takes is.
	for name, valid := range map[string]bool{`"identifier":"x\u0000"`: false, `"identifier":"x","name":"\u0000"`: true} {
		if got := read(s.post(t, "/v3/arcs/validate", upload("edal", strings.Replace(crate("x", ""), `"identifier":"x"`, name, 1)))); got.Valid != valid {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	assertStored(t, db, 0)
	if got := s.post(t, "/v3/arcs?validate=no", upload("edal", crate("x", ""))); got.status != 422 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"arc":1}`, `{"rdi":1,"arc":{}}`} {
		if got := s.post(t, "/v3/arcs/validate", bad); got.status != 422 {
			t.Errorf("%s: got %d %s", bad, got.status, got.body)
		}
	}

	// Accepted by the payload rules, but no ARC: stored unless the operator is strict.
	doomed := `{"@context":"https://w3id.org/ro/crate/1.1/context","@graph":[{"@id":"./","@type":"Dataset","identifier":"doomed"},{"@id":7}]}`
	for _, refusal := range []answer{
		strict.post(t, "/v3/arcs", upload("edal", doomed)), strict.post(t, "/v2/arcs", upload("edal", doomed)),
		strict.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+doomed+`]}`), strict.post(t, "/v3/harvests/"+id+"/arcs", `{"arc":`+doomed+`}`),
	} {
		if refusal.status != 422 {
			t.Errorf("strict: got %d %s", refusal.status, refusal.body)
		}
	}
	assertStored(t, db, 0)
	if got := s.post(t, "/v3/arcs", upload("edal", doomed)); got.status != 200 {
		t.Errorf("lenient: got %d %s", got.status, got.body)
	}
	if got := read(s.get(t, "/v3/arcs/"+arcID("doomed")+"/report")); got.Valid || got.Errors == 0 {
		t.Errorf("report: got %+v", got)
	}
	if got := s.get(t, "/v3/harvests/"+id).body; !strings.Contains(got, `"errors":1}`) {
		t.Errorf("harvest: got %s", got)
	}
}

// sseEvent is one event that a client read.
type sseEvent struct{ id, name, data string }

// events opens the stream of a harvest and gives a function that reads the next event.
func events(tb testing.TB, s *server, id string, headers ...string) (next func() (sseEvent, bool), stop func()) {
	tb.Helper()
	return eventsAt(tb, s, "/v3/harvests/"+id+"/events", headers...)
}

func eventsAt(tb testing.TB, s *server, path string, headers ...string) (next func() (sseEvent, bool), stop func()) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.Client().Transport.RoundTrip(r)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { resp.Body.Close() })
	if h := resp.Header; resp.StatusCode != http.StatusOK || h.Get("Content-Type") != "text/event-stream" ||
		h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
		tb.Fatalf("got %d %s", resp.StatusCode, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != "retry: 2000" {
		tb.Fatalf("the stream begins with %q", lines.Text())
	}
	return func() (e sseEvent, ok bool) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.name != "" {
					return e, true
				}
			}
		}
		return e, false
	}, func() { resp.Body.Close() }
}

// The progress of a harvest is a stream; who comes back with the last id has missed nothing.
func TestHarvestProgress(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	id := begin(t, s)
	submit := func(name string) {
		s.post(t, "/v3/harvests/"+id+"/arcs", `{"arc":`+crate(name, "")+`}`)
	}
	// wait reads up to the next event of an ARC.
	wait := func(next func() (sseEvent, bool), name string) sseEvent {
		t.Helper()
		for {
			e, ok := next()
			if !ok {
				t.Fatalf("the stream ended before %s", name)
			}
			if e.name == "harvest" {
				continue
			}
			if !strings.Contains(e.data, arcID(name)) || e.name != "ARC_CREATED" {
				t.Fatalf("got %+v, want the creation of %s", e, name)
			}
			return e
		}
	}
	submit("a")
	next, stop := events(t, s, id)
	first := wait(next, "a")
	submit("b")
	second := wait(next, "b")
	stop()
	submit("c")
	// The header counts before the parameter, unless it is no id.
	for header, name := range map[string]string{second.id: "c", "0": "a", "-1": "b", "x": "b", "": "b"} {
		next, stop = eventsAt(t, s, "/v3/harvests/"+id+"/events?last_event_id="+first.id, "Last-Event-ID", header)
		wait(next, name)
		stop()
	}
	next, stop = events(t, s, id, "Last-Event-ID", first.id)
	wait(next, "b")
	wait(next, "c")
	s.post(t, "/v3/harvests/"+id+"/complete", "")
	for {
		e, ok := next()
		if !ok {
			t.Fatal("the stream ended before the harvest's end was told")
		}
		if e.name == "harvest" && strings.Contains(e.data, "COMPLETED") {
			break
		}
	}
	stop()
	next, _ = events(t, s, id)
	s.api.Drain()
	for {
		if _, ok := next(); !ok {
			return
		}
	}
}

// The receipt has every outcome, in the form the reader likes.
func TestReceipt(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	for _, n := range []string{"gone", "=1+1", "b", "c", "d", "e"} {
		s.post(t, "/v3/arcs", upload("edal", crate(n, "<b>")))
	}
	id := begin(t, s)
	path := "/v3/harvests/" + id
	for _, n := range []string{"=1+1", "b", "c", "d", "e", "new"} {
		s.post(t, path+"/arcs", `{"arc":`+crate(n, "<b>")+`}`)
	}
	s.post(t, path+"/arcs", `{"arc":{}}`)
	s.post(t, path+"/arcs", `{"arc":`+crate("b", "other")+`}`)
	s.post(t, path+"/complete", "")
	for range 7 {
		push(t, db, "c0ffee")
	}
	var receipt struct {
		Harvest struct{ Status string }
		ARCs    []struct {
			Identifier, Outcome, Commit string
			InGit                       bool `json:"in_git"`
		}
		Refused []struct {
			ID                        *string `json:"arc_id"`
			Identifier, Code, Message string
		}
	}
	got := s.get(t, path+"/receipt")
	if err := json.Unmarshal([]byte(got.body), &receipt); err != nil {
		t.Fatalf("%v in %s", err, got.body)
	}
	outcomes := map[string]string{}
	for _, a := range receipt.ARCs {
		outcomes[a.Identifier] = a.Outcome
		if a.Commit != "c0ffee" || !a.InGit {
			t.Errorf("got %+v", a)
		}
	}
	if receipt.Harvest.Status != "COMPLETED" || len(outcomes) != 7 || outcomes["gone"] != "missing" || outcomes["new"] != "new" ||
		outcomes["b"] != "unchanged" || len(receipt.Refused) != 2 {
		t.Fatalf("got %+v", receipt)
	}
	if r := receipt.Refused[0]; r.ID != nil || r.Identifier != "" || r.Code != "arc_invalid" {
		t.Errorf("without an identifier: got %+v", r)
	}
	if r := receipt.Refused[1]; r.ID == nil || *r.ID != arcID("b") || r.Identifier != "b" || r.Code != "harvest_conflict" {
		t.Errorf("of a known ARC: got %+v", r)
	}
	table := s.send(t, "GET", path+"/receipt", "", "Accept", "text/csv")
	wantHeader(t, table, "Content-Type", "text/csv; charset=utf-8")
	if strings.Count(table.body, id+",") != 9 || !strings.Contains(table.body, ",'=1+1,") || !strings.Contains(table.body, ",refused,") {
		t.Errorf("got %s", table.body)
	}
	page := s.send(t, "GET", path+"/receipt", "", "Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	wantHeader(t, page, "Content-Type", "text/html; charset=utf-8")
	if !strings.Contains(page.body, "&lt;b&gt;") || strings.Contains(page.body, "<b>") || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("got %s", page.body)
	}
	_, style, _ := strings.Cut(page.body, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	if sum := sha256.Sum256([]byte(style)); style == "" || !strings.Contains(page.header.Get("Content-Security-Policy"), "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy does not allow the style of the page: %s", page.header.Get("Content-Security-Policy"))
	}
	wantHeader(t, page, "X-Content-Type-Options", "nosniff")
	for _, form := range []answer{got, table, page} {
		wantHeader(t, form, "Vary", "Accept")
	}
	if got := s.send(t, "GET", path+"/receipt", "", "Accept", "image/png"); got.status != 406 {
		t.Errorf("got %d", got.status)
	}
	arcs := s.get(t, path+"/arcs?limit=5")
	if member(t, arcs.body, "next") == "" || strings.Count(arcs.body, `"outcome"`) != 5 {
		t.Errorf("got %s", arcs.body)
	}
	if rest := s.get(t, path+"/arcs?after="+member(t, arcs.body, "next")); strings.Count(rest.body, `"outcome"`) != 2 || !strings.Contains(rest.body, `"next":null`) {
		t.Errorf("got %s", rest.body)
	}
}

// ARCs in which much was found come in shorter lists, and none gets lost between them.
func TestListsWithManyFindingsAreShort(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	path := "/v3/harvests/" + begin(t, s)
	findings := make([]store.Finding, 1000)
	for i := range findings {
		findings[i] = store.Finding{Code: strconv.Itoa(i), Severity: store.SeverityWarning, Text: "Odd."}
	}
	const many = 30
	for i := range many {
		name := fmt.Sprint("arc", i)
		s.post(t, path+"/arcs", `{"arc":`+crate(name, "1")+`}`)
		id, err := store.ParseID(arcID(name))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := db.ARC(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.SetReport(t.Context(), id, stored.Hash, findings); err != nil {
			t.Fatal(err)
		}
	}
	seen, lists := map[string]bool{}, 0
	for next := "none"; next != ""; lists++ {
		var page struct {
			ARCs []struct {
				ID       string `json:"arc_id"`
				Findings []store.Finding
			}
			Next string
		}
		query := "?limit=1000"
		if lists > 0 {
			query += "&after=" + next
		}
		if got := s.get(t, path+"/arcs"+query); json.Unmarshal([]byte(got.body), &page) != nil || len(page.ARCs) > 20 {
			t.Fatalf("got %d, %d ARCs", got.status, len(page.ARCs))
		}
		for _, a := range page.ARCs {
			seen[a.ID] = len(a.Findings) == len(findings)
		}
		next = page.Next
	}
	if len(seen) != many || lists != 2 {
		t.Errorf("%d ARCs in %d lists", len(seen), lists)
	}
	if got := s.get(t, path+"/receipt"); strings.Count(got.body, `"outcome"`) != many {
		t.Errorf("the receipt has %d ARCs", strings.Count(got.body, `"outcome"`))
	}
}

// The receipt tells of an ARC that does not get into git why, who has to do what, and what was
// found in it.
func TestReceiptOfWhatFails(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	s := newServer(t, service, nil)
	path := "/v3/harvests/" + begin(t, s)
	s.post(t, path+"/arcs", `{"arc":`+crate("bad", "1")+`}`)
	claims, err := db.ClaimDue(t.Context(), store.ClaimRequest{Remote: "test", Holder: "test", Lease: time.Minute, Limit: 1})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claim: %d, %v", len(claims), err)
	}
	if _, err := db.Load(t.Context(), claims[0]); err != nil {
		t.Fatal(err)
	}
	stored, err := db.ARC(t.Context(), claims[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	findings := []store.Finding{
		{Code: "one", Severity: store.SeverityWarning, Pointer: "/@graph/1", Text: "Odd.", Remedy: "Even it"},
		{Code: "two", Severity: store.SeverityError, Pointer: "/@graph/2", Text: "Wrong."},
	}
	if err := db.SetReport(t.Context(), stored.ID, stored.Hash, findings); err != nil {
		t.Fatal(err)
	}
	why := store.Failure{Class: store.Refused, Code: "hook_declined", Text: "A hook declined the push.", Owner: fault.OwnerDataHUB, Remedy: "Ask them", Park: true}
	if err := db.RecordFailure(t.Context(), claims[0], why); err != nil {
		t.Fatal(err)
	}
	s.post(t, path+"/complete", "")
	rows, err := csv.NewReader(strings.NewReader(s.send(t, "GET", path+"/receipt", "", "Accept", "text/csv").body)).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("got %q, %v", rows, err)
	}
	row := map[string]string{}
	for i, name := range rows[0] {
		row[name] = rows[1][i]
	}
	for name, want := range map[string]string{
		"outcome": "new", "identifier": "bad", "arc_id": arcID("bad"), "git_state": "parked", "in_git": "false", "commit": "",
		"error_code": "hook_declined", "error": "A hook declined the push.", "owner": "datahub", "remedy": "Ask them",
		"findings": "warning one /@graph/1: Odd.\nerror two /@graph/2: Wrong.",
	} {
		if row[name] != want {
			t.Errorf("%s: got %q, want %q", name, row[name], want)
		}
	}
	for _, form := range []string{"application/json", "text/html"} {
		body := s.send(t, "GET", path+"/receipt", "", "Accept", form).body
		for _, want := range []string{"A hook declined the push.", "Ask them", "Odd.", "Wrong."} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q: %s", form, want, body)
			}
		}
	}
	report := s.get(t, "/v3/arcs/"+arcID("bad")+"/report").body
	if !strings.HasPrefix(report, `{"valid":false,`) || !strings.Contains(report, `"errors":1,"warnings":1,`) || strings.Contains(report, `"checked_at":null`) {
		t.Errorf("report: got %s", report)
	}
}
