package couchimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// minute is a moment of the old service.
func minute(n int) time.Time { return time.Date(2025, 5, 1, 0, n, 0, 0, time.UTC) }

// arc gives the document of ARC A of edal with the given members of its metadata.
func arc(tb testing.TB, rdi, metadata string) *document {
	tb.Helper()
	id := store.ID(rocrate.Identity("A", "edal"))
	text := fmt.Sprintf(`{"_id":"arc_%s","rdi":%q,"arc_content":{"@context":"x","@graph":[{"@id":"./","identifier":"A"}]},"metadata":{%s}}`, id, rdi, metadata)
	d, err := parse([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// Times were written in several ways, and without a zone they meant UTC.
func TestTimesOfTheOldService(t *testing.T) {
	t.Parallel()
	want := time.Date(2025, 5, 1, 10, 0, 0, 123456000, time.UTC)
	for _, text := range []string{
		"2025-05-01T10:00:00.123456Z", "2025-05-01T12:00:00.123456+02:00", "2025-05-01T10:00:00.123456", "2025-05-01 10:00:00.123456+00:00",
	} {
		var m moment
		if err := json.Unmarshal([]byte(`"`+text+`"`), &m); err != nil || !m.Equal(want) || m.Location() != time.UTC {
			t.Errorf("%s: got %s, %v", text, m.Time, err)
		}
	}
	for _, none := range []string{`null`, `""`} {
		var m moment
		if err := json.Unmarshal([]byte(none), &m); err != nil || !m.IsZero() {
			t.Errorf("%s: got %s, %v", none, m.Time, err)
		}
	}
	for _, bad := range []string{`"yesterday"`, `7`, `"2025-05-01"`} {
		var m moment
		if err := json.Unmarshal([]byte(bad), &m); err == nil {
			t.Errorf("%s: got %s", bad, m.Time)
		}
	}
}

func logged(kind string, n int) string {
	return fmt.Sprintf(`{"timestamp":%q,"type":%q,"message":""}`, minute(n).Format(time.RFC3339), kind)
}

// What old documents lack is taken from what they have.
func TestTimesThatAreMissing(t *testing.T) {
	t.Parallel()
	const first, last, changed = `"first_seen":"2025-05-01T00:01:00Z"`, `"last_seen":"2025-05-01T00:03:00Z"`, `"last_changed":"2025-05-01T00:02:00Z"`
	for metadata, want := range map[string][3]int{
		first + "," + last + "," + changed: {1, 3, 2}, first: {1, 1, 1}, last: {3, 3, 3}, first + "," + last: {1, 3, 3},
		first + "," + last + `,"events":[` + logged("ARC_UPDATED", 2) + "," + logged("ARC_CREATED", 1) + "," + logged("GIT_PUSH_SUCCESS", 3) + "]": {1, 3, 2},
		first + "," + last + `,"events":[` + logged("ARC_UPDATED", 5) + "]":                                                                        {1, 3, 3},
		first + "," + last + "," + changed + `,"events":[` + logged("ARC_CREATED", 1) + "]":                                                        {1, 3, 2},
	} {
		in, _, err := arc(t, "edal", metadata).readARC()
		if a := in.ARC; err != nil || !a.FirstSeen.Equal(minute(want[0])) || !a.LastSeen.Equal(minute(want[1])) || !a.LastChanged.Equal(minute(want[2])) {
			t.Errorf("%s: got %s, %s, %s, %v", metadata, a.FirstSeen, a.LastSeen, a.LastChanged, err)
		}
	}
	if _, _, err := arc(t, "edal", changed).readARC(); err == nil {
		t.Error("an ARC that nobody has ever seen is taken")
	}
}

// What an ARC has been through comes along: since when it is missing, and its log.
func TestStatesOfTheOldService(t *testing.T) {
	t.Parallel()
	const seen = `"first_seen":"2025-05-01T00:01:00Z",`
	for status, want := range map[string]store.Lifecycle{
		"": store.Active, "ACTIVE": store.Active, "MISSING": store.Missing, "DELETED": store.Deleted, "PROCESSING": "PROCESSING", "INVALID": "INVALID",
	} {
		in, _, err := arc(t, "edal", seen+`"status":"`+status+`","missing_since":"2025-05-01T00:07:00Z"`).readARC()
		if err != nil || in.ARC.Lifecycle != want || !in.ARC.MissingSince.Equal(minute(7)) {
			t.Errorf("%q: got %s since %s, %v", status, in.ARC.Lifecycle, in.ARC.MissingSince, err)
		}
	}
	const harvest = "harvest-6f1c2a4e-8f0b-4c1e-9d57-2a86a1b5c9f3"
	in, _, err := arc(t, "edal", seen+`"events":[{"timestamp":"2025-05-01T00:01:00Z","type":"ARC_CREATED","message":"first","harvest_id":"`+harvest+`"}]`).readARC()
	if err != nil || len(in.Events) != 1 || in.Events[0].Message != "first" || in.Events[0].Harvest.String() != harvest[8:] || !in.Events[0].At.Equal(minute(1)) {
		t.Errorf("events: got %+v, %v", in.Events, err)
	}
	for rule, d := range map[string]*document{
		"an unknown status":       arc(t, "edal", seen+`"status":"GONE"`),
		"an event without time":   arc(t, "edal", seen+`"events":[{"type":"X"}]`),
		"an event without a type": arc(t, "edal", seen+`"events":[{"timestamp":"2025-05-01T00:01:00Z"}]`),
		"no RDI":                  arc(t, "", strings.TrimSuffix(seen, ",")),
		"another RDI":             arc(t, "bonares", strings.TrimSuffix(seen, ",")),
		"no content":              {ID: "arc_x", Content: json.RawMessage("null")},
	} {
		if _, _, err := d.readARC(); err == nil {
			t.Errorf("%s: it is taken", rule)
		}
	}
}

// The content counts as pushed only if the last attempt since it changed succeeded: an
// ARC that is taken for pushed and is not would never arrive.
func TestWhatCountsAsPushed(t *testing.T) {
	t.Parallel()
	at := func(n int, kind string) event { return event{At: moment{minute(n)}, Type: kind} }
	const ok, failed = store.EventPushed, store.EventPushFailed
	for rule, c := range map[string]struct {
		events  []event
		changed int
		want    int // minute; -1 for not pushed
	}{
		"never":                            {[]event{at(1, "ARC_CREATED")}, 1, -1},
		"after the change":                 {[]event{at(2, ok)}, 1, 2},
		"at the change":                    {[]event{at(1, ok)}, 1, 1},
		"before the change":                {[]event{at(2, ok)}, 3, -1},
		"twice":                            {[]event{at(2, ok), at(4, ok)}, 3, 4},
		"failed later":                     {[]event{at(2, ok), at(4, failed)}, 1, -1},
		"failed before":                    {[]event{at(2, failed), at(4, ok)}, 1, 4},
		"failed before, told in disorder":  {[]event{at(4, ok), at(2, failed)}, 1, 4},
		"failed later, told in disorder":   {[]event{at(4, failed), at(2, ok)}, 1, -1},
		"before the change, failed before": {[]event{at(1, failed), at(2, ok)}, 3, -1},
	} {
		got := pushed(c.events, minute(c.changed))
		if c.want < 0 && !got.IsZero() || c.want >= 0 && !got.Equal(minute(c.want)) {
			t.Errorf("%s: got %s, want minute %d", rule, got, c.want)
		}
	}
}

// A harvest comes with what it was, or not at all.
func TestHarvestsOfTheOldService(t *testing.T) {
	t.Parallel()
	const id = `"_id":"harvest-6f1c2a4e-8f0b-4c1e-9d57-2a86a1b5c9f3"`
	read := func(members string) (store.Harvest, error) {
		d, err := parse([]byte("{" + members + "}"))
		if err != nil {
			t.Fatal(err)
		}
		return d.readHarvest()
	}
	h, err := read(id + `,"rdi":"edal","started_at":"2025-05-01T00:01:00","completed_at":"2025-05-01T00:02:00","status":"FAILED","statistics":{"arcs_missing":4,"errors":5}`)
	if err != nil || h.CompletedAt == nil || !h.CompletedAt.Equal(minute(2)) || !h.StartedAt.Equal(minute(1)) || h.Statistics != (store.Statistics{Missing: 4, Errors: 5}) {
		t.Errorf("got %+v, %v", h, err)
	}
	if h, err := read(id + `,"rdi":"edal","started_at":"2025-05-01T00:01:00","status":"RUNNING"`); err != nil || h.CompletedAt != nil {
		t.Errorf("running: got %+v, %v", h, err)
	}
	for rule, members := range map[string]string{
		"no RDI": id + `,"started_at":"2025-05-01T00:01:00","status":"RUNNING"`, "no beginning": id + `,"rdi":"edal","status":"RUNNING"`,
		"no status": id + `,"rdi":"edal","started_at":"2025-05-01T00:01:00"`, "no id": `"_id":"harvest-1","rdi":"edal","started_at":"2025-05-01T00:01:00","status":"RUNNING"`,
	} {
		if _, err := read(members); err == nil {
			t.Errorf("%s: it is taken", rule)
		}
	}
}

// Of an export every line that may be a document is given, with its number; a line of a
// megabyte and more is whole, and what is around the rows of _all_docs is left out.
func TestLinesOfAnExport(t *testing.T) {
	t.Parallel()
	long := `{"x":"` + strings.Repeat("y", 5<<20) + `"}`
	in, err := newLines(strings.NewReader("\xef\xbb\xbf{\"total_rows\":2,\"offset\":0,\"rows\":[\r\n\n{\"a\":1} ,\r\n" + long + "\n]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		text   string
		number int
	}{{`{"a":1}`, 3}, {long, 4}} {
		if got, err := in.next(); err != nil || string(got) != want.text || in.number != want.number {
			t.Errorf("got line %d, %.40s of %d bytes, %v; want line %d", in.number, got, len(got), err, want.number)
		}
	}
	for range 2 {
		if got, err := in.next(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: got %.40s, %v", got, err)
		}
	}
	for text, want := range map[string]string{
		`{"key":"x","doc":null}`: "include_docs", `{"key":"x"}`: "include_docs", `{"key":"x","doc":{}}`: "no _id", `[1]`: "this line is a list", `{"_id":7}`: "_id is a number",
		`{"key":"x","doc":{"_id":7}}`: "_id is a number", `{"key":"x","error":"not_found"}`: "not_found",
	} {
		if _, err := parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
