package couchimport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/couchimport"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// childEnv names the database for a test binary that was started to be killed;
// its one argument is the export.
const childEnv = "COUCHIMPORT_DSN"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childEnv); dsn != "" {
		os.Exit(child(dsn, os.Args[len(os.Args)-1]))
	}
	os.Exit(m.Run())
}

func child(dsn, path string) int {
	st, err := store.Open(context.Background(), store.Options{DSN: dsn})
	if err == nil {
		var f *os.File
		if f, err = os.Open(path); err == nil { //nolint:gosec // a file of the test
			_, err = couchimport.Run(context.Background(), st, f, couchimport.Options{})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// patience is the deadline of everything that tests wait for.
const patience = time.Minute

func open(tb testing.TB, dsn string) *store.Store {
	tb.Helper()
	st, err := store.Open(tb.Context(), store.Options{DSN: dsn})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(st.Close)
	return st
}

// at is a moment of the old service.
func at(minute int) string { return when(minute).Format("2006-01-02T15:04:05.000000Z") }

func when(minute int) time.Time { return time.Date(2025, 5, 1, 0, minute, 0, 123456000, time.UTC) }

func crate(identifier, name string) string {
	return fmt.Sprintf(`{"@context":"x","@graph":[{"@id":"./","identifier":%q,"name":%q,"datePublished":"2025-05-01"}]}`, identifier, name)
}

// hashOf is the content hash as the old service recorded it.
func hashOf(tb testing.TB, document string) string {
	tb.Helper()
	p, err := rocrate.Scan([]byte(document))
	if err != nil {
		tb.Fatal(err)
	}
	return store.Hash(p.Hash).String()
}

func idOf(identifier string) store.ID { return store.ID(rocrate.Identity(identifier, "edal")) }

const harvestID = "harvest-6f1c2a4e-8f0b-4c1e-9d57-2a86a1b5c9f3"

// arcDocument gives an ARC as CouchDB kept it, changed in minute 1 and pushed in
// minute 2.
func arcDocument(tb testing.TB, identifier string) string {
	tb.Helper()
	content := crate(identifier, "Barley")
	return fmt.Sprintf(`{"_id":"arc_%s","_rev":"3-ab","doc_type":"arc","schema_version":1,"rdi":"edal","arc_content":%s,"metadata":{`+
		`"arc_hash":%q,"status":"ACTIVE","first_seen":%q,"last_seen":%q,"last_changed":%q,"first_harvest_id":%q,"last_harvest_id":%q,`+
		`"events":[{"timestamp":%q,"type":"ARC_CREATED","message":"ARC first seen","harvest_id":%q,"metadata":{}},`+
		`{"timestamp":%q,"type":"GIT_PUSH_SUCCESS","message":"Successfully synchronized to GitLab","metadata":{}}],"git":{"status":"PENDING"}}}`,
		idOf(identifier), content, hashOf(tb, content), at(0), at(9), at(1), harvestID, harvestID, at(1), harvestID, at(2))
}

const harvestDocument = `{"_id":"` + harvestID + `","_rev":"2-cd","type":"harvest","rdi":"edal","client_id":"harvester","started_at":"2025-05-01T00:00:00Z",` +
	`"completed_at":"2025-05-01T00:10:00.5Z","status":"COMPLETED","statistics":{"expected_datasets":7,"arcs_submitted":6,"arcs_new":3,"arcs_updated":2,"arcs_unchanged":1,"arcs_missing":0,"errors":0}}`

// load imports an export and gives the summary and the problems.
func load(tb testing.TB, st *store.Store, export string, o couchimport.Options) (*couchimport.Summary, []couchimport.Problem) {
	tb.Helper()
	var problems []couchimport.Problem
	o.Problem = func(p couchimport.Problem) { problems = append(problems, p) }
	sum, err := couchimport.Run(tb.Context(), st, strings.NewReader(export), o)
	if err != nil {
		tb.Fatal(err)
	}
	return sum, problems
}

// An ARC comes with its content, times and log, a harvest with its counts, and a
// second run changes nothing.
func TestEverythingOfADocumentArrives(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	export := arcDocument(t, "A1") + "\n" + harvestDocument + "\n"
	first, problems := load(t, st, export, couchimport.Options{Actor: store.Actor{Subject: "local user root"}})
	if len(problems) > 0 || first.ARCs.Imported != 1 || first.Harvests.Imported != 1 || first.Proven != 1 || first.Pushed != 1 {
		t.Fatalf("%+v, %v", first, problems)
	}
	a, err := st.ARC(t.Context(), idOf("A1"))
	if err != nil {
		t.Fatal(err)
	}
	want := store.ARC{
		ID: idOf("A1"), RDI: "edal", Identifier: "A1", Name: "Barley", Hash: a.Hash, Size: int64(len(crate("A1", "Barley"))), Version: 1, Lifecycle: store.Active,
		FirstSeen: moment(0), LastChanged: moment(1), LastSeen: moment(9), FirstHarvest: uuid.MustParse(harvestID[8:]), LastHarvest: uuid.MustParse(harvestID[8:]),
	}
	got := a
	got.Git = store.Git{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a.Hash.String() != hashOf(t, crate("A1", "Barley")) || !a.Git.PushedAt.Equal(moment(2)) {
		t.Errorf("got %+v", a)
	}
	content, err := st.Content(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := content.Document(); err != nil || string(text) != crate("A1", "Barley") {
		t.Errorf("%v, %s", err, text)
	}
	events, err := st.Events(t.Context(), a.ID)
	if err != nil || len(events) != 2 || events[0].Type != store.EventCreated || !events[1].At.Equal(moment(2)) {
		t.Errorf("%v, %+v", err, events)
	}
	h, err := st.Harvest(t.Context(), uuid.MustParse(harvestID[8:]))
	if err != nil || h.Statistics != (store.Statistics{New: 3, Updated: 2, Unchanged: 1}) || *h.Expected != 7 || *h.ClientID != "harvester" || h.Status != store.Completed {
		t.Errorf("%v, %+v", err, h)
	}
	again, problems := load(t, st, export, couchimport.Options{})
	if len(problems) > 0 || again.ARCs.There != 1 || again.Harvests.There != 1 || again.ARCs.Imported+again.Harvests.Imported != 0 || again.Proven != 1 {
		t.Errorf("second run: %+v, %v", again, problems)
	}
	if after, err := st.ARC(t.Context(), a.ID); err != nil || cmp.Diff(a, after) != "" {
		t.Errorf("the second run has changed the ARC: %v, %s", err, cmp.Diff(a, after))
	}
}

func moment(minute int) time.Time {
	t, err := time.Parse(time.RFC3339Nano, at(minute))
	if err != nil {
		panic(err)
	}
	return t
}

// The answer of _all_docs is an export too, also compressed.
func TestRowsOfAllDocsAndGzip(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	row := func(id, doc string) string {
		return fmt.Sprintf(`{"id":%q,"key":%q,"value":{"rev":"1-a"},"doc":%s}`, id, id, doc)
	}
	export := `{"total_rows":5,"offset":0,"rows":[` + "\r\n" +
		row("_design/x", `{"_id":"_design/x","language":"query"}`) + ",\r\n" +
		row("harvest-idempotency:1", `{"_id":"harvest-idempotency:1","type":"harvest_idempotency","status":"committed","harvest_id":"`+harvestID+`"}`) + ",\r\n" +
		row("arc_1", arcDocument(t, "A1")) + ",\r\n" +
		row("task_status_1", `{"_id":"task_status_1","status":"SUCCESS","result":{"client_id":"x"}}`) + ",\r\n" +
		row(harvestID, harvestDocument) + "\r\n]}\r\n"
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(export)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"plain": export, "gzip": zipped.String()} {
		sum, problems := load(t, st, text, couchimport.Options{})
		if len(problems) > 0 || sum.Lines != 5 || sum.ARCs.Read != 1 || sum.Harvests.Read != 1 || sum.Tasks != 1 || sum.Others != 2 || sum.Proven != 1 {
			t.Errorf("%s: %+v, %v", name, sum, problems)
		}
	}
}

// A line that cannot be used is reported with its number and its reason; the
// others are imported all the same.
func TestBadLinesAreReportedAndPassedOver(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	good := arcDocument(t, "A1")
	export := strings.Join([]string{
		good,
		`{"_id":"arc_1","rdi":"edal"`, // cut off
		strings.Replace(arcDocument(t, "A2"), idOf("A2").String(), idOf("A3").String(), 1),
		strings.Replace(arcDocument(t, "A4"), `"identifier":"A4"`, `"identifier":""`, 1),
		`{"id":"x","key":"x","error":"not_found"}`,
		strings.Replace(harvestDocument, "COMPLETED", "DONE", 1),
		`{"_id":"something else"}`,
		strings.Replace(arcDocument(t, "A5"), `"arc_hash":"`, `"arc_hash":"0`, 1),
		strings.Replace(arcDocument(t, "A6"), at(0), "yesterday", 1),
		strings.Replace(arcDocument(t, "A7"), `"type":"ARC_CREATED"`, `"type":"ARC_CREATED\u0000"`, 1),
		strings.Replace(arcDocument(t, "A8"), `"message":"ARC first seen"`, `"message":"git said \u0000"`, 1), // only shown
		strings.NewReplacer(`"identifier":"A9"`, `"identifier":"A9\u0000"`, idOf("A9").String(), idOf("A9\x00").String()).Replace(arcDocument(t, "A9")),
	}, "\n")
	sum, problems := load(t, st, export, couchimport.Options{Workers: 1})
	want := map[int]string{
		2: "cut off", 3: "has the id " + idOf("A2").String(), 4: "no crate that would be accepted", 5: "not_found",
		6: `status "DONE" is unknown`, 7: "no document of the old service", 8: "is not that of the content", 9: `"yesterday" is no time`, 10: "The database cannot hold this value: ",
		12: "identifier without NUL characters",
	}
	for _, p := range problems {
		text, ok := want[p.Line]
		if !ok || !strings.Contains(p.Text, text) || p.Imported != (p.Line == 8) {
			t.Errorf("unexpected: %+v", p)
		}
		delete(want, p.Line)
	}
	if len(want) > 0 {
		t.Errorf("not reported: %v", want)
	}
	if sum.ARCs.Imported != 3 || sum.Proven != 3 || sum.HashDiffers != 1 || sum.Bad() != 9 || sum.NotProven() != 0 {
		t.Errorf("%+v", sum)
	}
	for name := range map[string]bool{"A1": true, "A5": true, "A8": true} {
		if _, err := st.ARC(t.Context(), idOf(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A dry run tells the same counts and stores nothing.
func TestDryRunStoresNothing(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	load(t, st, arcDocument(t, "A1"), couchimport.Options{})
	sum, _ := load(t, st, arcDocument(t, "A1")+"\n"+arcDocument(t, "A2")+"\n"+harvestDocument, couchimport.Options{DryRun: true})
	if sum.ARCs.Imported != 1 || sum.ARCs.There != 1 || sum.Harvests.Imported != 1 {
		t.Errorf("%+v", sum)
	}
	if rdis, err := st.HarvestRDIs(t.Context()); err != nil || len(rdis) > 0 {
		t.Errorf("%v, a harvest was stored: %v", err, rdis)
	}
	if _, err := st.ARC(t.Context(), idOf("A2")); err == nil {
		t.Error("an ARC was stored")
	}
}

// An import tells how far it is and who did it, passes over what was deleted, and ends
// with an error when the export or the database does.
func TestHowAnImportEnds(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	export := arcDocument(t, "A1") + "\n" + `{"_id":"arc_gone","_deleted":true}` + "\n" +
		strings.Replace(strings.Replace(harvestDocument, "edal", `ed\u0000al`, 1), "harvest-6", "harvest-7", 1) + "\n" + harvestDocument
	var progress []int64
	sum, problems := load(t, st, export, couchimport.Options{Actor: store.Actor{Subject: "jane"}, Progress: func(lines int64) { progress = append(progress, lines) }})
	if cmp.Diff([]int64{1, 2, 3, 4}, progress) != "" || sum.Others != 1 || sum.Harvests.Bad != 1 || sum.Harvests.Imported != 1 || len(problems) != 1 || problems[0].Line != 3 {
		t.Errorf("progress %v, %+v, %v", progress, sum, problems)
	}
	if trail, err := st.AuditTrail(t.Context(), idOf("A1"), 0, 10); err != nil || len(trail) == 0 || trail[0].Actor.Subject != "jane" {
		t.Errorf("the audit trail says %+v, %v", trail, err)
	}
	if sum, _ := load(t, st, arcDocument(t, "A2"), couchimport.Options{DryRun: true}); sum.NotProven() != 0 {
		t.Errorf("what was only looked at is not proven: %+v", sum)
	}

	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(arcDocument(t, "A3") + "\n" + arcDocument(t, "A4") + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Flush(); err != nil {
		t.Fatal(err)
	}
	sum, err := couchimport.Run(t.Context(), st, &zipped, couchimport.Options{})
	if err == nil || !strings.Contains(err.Error(), "read the export at line 3") || sum.ARCs.Imported != 2 {
		t.Errorf("an export that was cut off: %+v, %v", sum, err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	if sum, err := couchimport.Run(over, st, strings.NewReader(arcDocument(t, "A5")), couchimport.Options{}); err == nil {
		t.Errorf("an import that was ended: %+v and no error", sum)
	}
	st.Close()
	if sum, err := couchimport.Run(t.Context(), st, strings.NewReader(arcDocument(t, "A6")), couchimport.Options{}); err == nil || !strings.Contains(err.Error(), "line 1: ") {
		t.Errorf("without a database: %+v, %v", sum, err)
	}
}

// What has been uploaded since is kept and told of.
func TestNewerContentIsKept(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	newer := crate("A1", "Oats")
	p, err := rocrate.Scan([]byte(newer))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Submit(t.Context(), &store.Submission{
		ID: idOf("A1"), RDI: "edal", Identifier: "A1", Hash: p.Hash, Size: int64(len(newer)), Content: func() []byte { return store.Compress([]byte(newer)) },
	}); err != nil {
		t.Fatal(err)
	}
	sum, _ := load(t, st, arcDocument(t, "A1"), couchimport.Options{})
	if sum.Newer != 1 || sum.ARCs.There != 1 || sum.NotProven() != 0 {
		t.Errorf("%+v", sum)
	}
	if a, err := st.ARC(t.Context(), idOf("A1")); err != nil || a.Hash != store.Hash(p.Hash) {
		t.Errorf("%v, %+v", err, a)
	}
}

// Whoever looks at an early export first and imports a later one when the old service
// has stopped, or gives both in one file, has what the later one holds.
func TestALaterExportCounts(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	early := arcDocument(t, "A1") + "\n" + arcDocument(t, "A2") + "\n" + strings.Replace(strings.Replace(harvestDocument, "COMPLETED", "RUNNING", 1), `"completed_at":"2025-05-01T00:10:00.5Z",`, "", 1) + "\n"
	changed := crate("A1", "Oats")
	lines := strings.Split(strings.ReplaceAll(arcDocument(t, "A1"), crate("A1", "Barley"), changed), "\n")
	later := strings.NewReplacer(hashOf(t, crate("A1", "Barley")), hashOf(t, changed), `"last_changed":"`+at(1), `"last_changed":"`+at(12), `"last_seen":"`+at(9), `"last_seen":"`+at(13),
		`"events":[`, `"events":[{"timestamp":"`+at(12)+`","type":"ARC_UPDATED","message":"ARC content updated"},`).Replace(lines[0]) + "\n" +
		strings.Replace(arcDocument(t, "A2"), `"last_seen":"`+at(9), `"last_seen":"`+at(13), 1) + "\n" + harvestDocument
	load(t, st, early, couchimport.Options{})
	for _, dry := range []bool{true, false} {
		sum, problems := load(t, st, later, couchimport.Options{DryRun: dry})
		if len(problems) > 0 || sum.ARCs.Imported != 2 || sum.Harvests.Imported != 1 || sum.Newer != 0 || sum.NotProven() != 0 {
			t.Errorf("dry %v: %+v, %v", dry, sum, problems)
		}
	}
	check := func() {
		t.Helper()
		a, err := st.ARC(t.Context(), idOf("A1"))
		if err != nil || a.Name != "Oats" || a.Version != 2 || !a.LastChanged.Equal(when(12)) || !a.LastSeen.Equal(when(13)) || a.Git.State != store.Due {
			t.Errorf("%v, %+v", err, a)
		}
		if a, err := st.ARC(t.Context(), idOf("A2")); err != nil || a.Version != 1 || !a.LastSeen.Equal(when(13)) || !a.LastChanged.Equal(when(1)) {
			t.Errorf("%v, %+v", err, a)
		}
		if events, err := st.Events(t.Context(), idOf("A1")); err != nil || len(events) != 3 || events[2].Type != store.EventUpdated {
			t.Errorf("%v, events %+v", err, events)
		}
		id, _ := store.HarvestUUID(harvestID)
		if h, err := st.Harvest(t.Context(), id); err != nil || h.Status != store.Completed || h.Statistics.New != 3 || h.CompletedAt == nil {
			t.Errorf("%v, %+v", err, h)
		}
	}
	check()
	// The early one has nothing to say any more.
	if sum, problems := load(t, st, early, couchimport.Options{}); len(problems) > 0 || sum.ARCs.There != 2 || sum.Newer != 1 || sum.Harvests.There != 1 {
		t.Errorf("%+v, %v", sum, problems)
	}
	check()
}

// Lists of CouchDB are read whatever is asked of it; one without its end, or nothing at
// all, as curl leaves behind, is no export that was imported.
func TestListsHaveAnEnd(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	a, b := arcDocument(t, "A1"), arcDocument(t, "A2")
	row := func(document string) string {
		return `{"id":"x","key":"x","value":{"rev":"1-a"},"doc":` + document + `}`
	}
	all := `{"total_rows":2,"offset":0,"rows":[` + "\r\n" + row(a) + ",\r\n" + row(b)
	for _, whole := range []string{
		all + "\r\n]}\n", all + "\r\n]}\n" + all + "\r\n]}", `{"total_rows":0,"offset":0,"rows":[` + "\r\n\r\n]}\n", "[\n" + a + ",\n" + b + "\n]\n",
		`{"results":[` + "\n" + row(a) + ",\n" + row(b) + "\n],\n" + `"last_seq":"2-x","pending":0}` + "\n",
		`{"new_edits":false,"docs":[` + "\n" + a + ",\n" + b + "\n]}\n", `{"docs":[` + "\r\n" + a + ",\r\n" + b + "\r\n],\r\n" + `"bookmark": "x"}` + "\n",
	} {
		if sum, problems := load(t, st, whole, couchimport.Options{}); len(problems) > 0 || sum.ARCs.Read != sum.Proven {
			t.Errorf("%.60s: %+v, %v", whole, sum, problems)
		}
	}
	for cut, want := range map[string]string{
		all: "cut off", all + ",\r\n": "cut off", all + "\r\n]}\n" + all: "cut off", `{"total_rows":2,"offset":0,"rows":[`: "cut off", "": "is empty", "\n\n": "is empty",
	} {
		if sum, err := couchimport.Run(t.Context(), st, strings.NewReader(cut), couchimport.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %+v, %v", cut, sum, err)
		}
	}
	for _, list := range []string{"[" + a + "," + b + "]", `{"rows":[` + row(a) + "]}"} {
		if sum, problems := load(t, st, list, couchimport.Options{}); sum.Unreadable != 1 || !strings.Contains(problems[0].Text, "this line is a list; write one document per line") {
			t.Errorf("%.60s: %+v, %v", list, sum, problems)
		}
	}
}

// What was uploaded here is never replaced; that the old service had a later one is
// told and not called newer.
func TestAnUploadIsNotReplacedByALaterExport(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	mine := crate("A1", "Oats")
	p, err := rocrate.Scan([]byte(mine))
	if err != nil {
		t.Fatal(err)
	}
	load(t, st, arcDocument(t, "A1"), couchimport.Options{})
	if _, err := st.Submit(t.Context(), &store.Submission{
		ID: idOf("A1"), RDI: "edal", Identifier: "A1", Hash: p.Hash, Size: int64(len(mine)), Content: func() []byte { return store.Compress([]byte(mine)) },
	}); err != nil {
		t.Fatal(err)
	}
	later := strings.Replace(arcDocument(t, "A1"), `"last_changed":"2025-05`, `"last_changed":"2999-05`, 1)
	sum, problems := load(t, st, later, couchimport.Options{})
	if sum.Bad() != 1 || sum.Newer != 0 || sum.NotProven() != 0 || len(problems) != 1 || !strings.Contains(problems[0].Text, "later than what was uploaded here") {
		t.Errorf("%+v, %v", sum, problems)
	}
	if a, err := st.ARC(t.Context(), idOf("A1")); err != nil || a.Hash != store.Hash(p.Hash) {
		t.Errorf("%v, %+v", err, a)
	}
}

// A client of the old service that still asks for a task gets its answer; tasks that
// nobody asks for any more, and those without an answer, are passed over.
func TestTasksThatClientsAskForArrive(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	const id = "2f1d7c1e-5a0b-4f0e-9f64-0d9a5c8b7e11"
	now := time.Now().UTC().Format(time.RFC3339)
	task := fmt.Sprintf(`{"_id":"task_status_%s","task_id":%q,"status":"SUCCESS","result":{"client_id":"harvester","message":"Stored in CouchDB successfully","rdi":"edal",`+
		`"arc":{"id":"%s","status":"created","timestamp":%q}},"updated_at":%q}`, id, id, idOf("A1"), at(1), now)
	another := strings.ReplaceAll(task, id, "3"+id[1:])
	export := strings.Join([]string{
		task, strings.Replace(another, now, "2020-01-01T00:00:00Z", 1), strings.Replace(another, "SUCCESS", "RUNNING", 1), strings.Replace(another, `"updated_at":`, `"was":`, 1),
		strings.Replace(another, `"result":{`, `"result":7,"was":{`, 1), strings.Replace(another, "task_status_3", "task_status_x", 1),
		strings.Replace(strings.ReplaceAll(task, id, "4"+id[1:]), `"client_id":"h`, `"client_id":"\u0000`, 1),
	}, "\n")
	for _, dry := range []bool{true, false, false} {
		sum, problems := load(t, st, export, couchimport.Options{DryRun: dry, TaskAge: time.Hour})
		if len(problems) > 0 || !dry && sum.TasksKept != 1 || sum.TasksKept+sum.Tasks != 7 || sum.Lines != 7 {
			t.Errorf("dry %v: %+v, %v", dry, sum, problems)
		}
		got, err := st.Task(t.Context(), uuid.MustParse(id))
		if dry != (err != nil) {
			t.Errorf("dry %v: %v", dry, err)
		}
		want := []store.TaskARC{{ID: idOf("A1"), Status: store.Created, At: when(1)}}
		if !dry && (got.Status != "SUCCESS" || *got.ClientID != "harvester" || got.RDI != "edal" || got.Message != "Stored in CouchDB successfully" || cmp.Diff(want, got.ARCs) != "") {
			t.Errorf("got %+v", got)
		}
	}
	if _, err := st.Task(t.Context(), uuid.MustParse("3"+id[1:])); err == nil {
		t.Error("a task that nobody asks for was kept")
	}
}

// A log is kept whatever its texts hold.
func TestOddTextsOfALogAreImported(t *testing.T) {
	t.Parallel()
	st := open(t, pgtest.DSN(t))
	sum, problems := load(t, st, strings.Replace(arcDocument(t, "A1"), "ARC first seen", `a\u0000b`, 1), couchimport.Options{})
	if len(problems) > 0 || sum.Proven != 1 {
		t.Errorf("%+v, %v", sum, problems)
	}
	if events, err := st.Events(t.Context(), idOf("A1")); err != nil || len(events) != 2 || events[0].Message != "a\uFFFDb" {
		t.Errorf("%v, %+v", err, events)
	}
}

// An import of 10,000 documents that is killed in the middle goes on where it
// was, and in the end every content has the hash of the export.
func TestKilledImportGoesOn(t *testing.T) {
	t.Parallel()
	const documents = 10_000
	dsn := pgtest.DSN(t)
	st := open(t, dsn)
	path := filepath.Join(t.TempDir(), "export.ndjson")
	var export bytes.Buffer
	for i := range documents {
		export.WriteString(arcDocument(t, fmt.Sprintf("A%d", i)))
		export.WriteByte('\n')
	}
	if err := os.WriteFile(path, export.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], path) //nolint:gosec // the test itself
	cmd.Env = append(os.Environ(), childEnv+"="+dsn)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); count(t, st) < documents/4; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("the import does not begin")
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	before := count(t, st)
	if before >= documents {
		t.Fatalf("the import was over before it was killed: %d", before)
	}
	f, err := os.Open(path) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum, err := couchimport.Run(t.Context(), st, f, couchimport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// What was under way when it was killed may have been committed since.
	there := sum.ARCs.There
	want := couchimport.Summary{Lines: documents, ARCs: couchimport.Kind{Read: documents, Imported: documents - there, There: there}, Proven: documents, Pushed: documents - there}
	if diff := cmp.Diff(want, *sum); diff != "" || there < before {
		t.Errorf("%d were there: %s", before, diff)
	}
	if n := count(t, st); n != documents {
		t.Errorf("%d ARCs in the database", n)
	}
}

func count(tb testing.TB, st *store.Store) (n int64) {
	tb.Helper()
	totals, err := st.Totals(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, t := range totals {
		n += t.Count
	}
	return n
}
