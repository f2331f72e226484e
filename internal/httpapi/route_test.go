package httpapi

import (
	"strings"
	"testing"
)

// looks spells what a route looks at.
func looks(c checks) string {
	var words []string
	for i, word := range []string{"body", "certificate", "type", "accept", "lines", "long", "instant"} {
		if c&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// What each operation looks at before its own work: nothing but probes, tasks and the
// documentation is open to everybody, and who ends a harvest or reads a stream has time.
func TestWhatOperationsLookAt(t *testing.T) {
	t.Parallel()
	const upload = "body certificate type accept"
	want := map[string]string{
		"GET /v1/liveness": "accept instant", "GET /v1/health": "accept", "GET /v1/whoami": "certificate accept",
		"POST /v1/arcs": upload, "GET /v1/tasks/{task_id}": "accept",
		"GET /v2/health": "accept", "POST /v2/arcs": upload, "GET /v2/tasks/{task_id}": "accept",
		"GET /v3/liveness": "accept instant", "GET /v3/readiness": "accept", "GET /v3/health": "accept", "GET /v3/version": "accept",
		"POST /v3/arcs": upload, "GET /v3/arcs": "certificate accept", "POST /v3/arcs/validate": upload,
		"GET /v3/arcs/{arc_id}": "certificate accept", "GET /v3/arcs/{arc_id}/content": "certificate",
		"GET /v3/arcs/{arc_id}/events": "certificate accept", "GET /v3/arcs/{arc_id}/report": "certificate accept",
		"POST /v3/arcs/{arc_id}/sync": "certificate accept",
		"POST /v3/harvests":           upload, "GET /v3/harvests": "certificate accept", "GET /v3/harvests/{harvest_id}": "certificate",
		"PATCH /v3/harvests/{harvest_id}": "body certificate type long", "DELETE /v3/harvests/{harvest_id}": "certificate long",
		"POST /v3/harvests/{harvest_id}/complete": "certificate long", "POST /v3/harvests/{harvest_id}/arcs": "body certificate lines",
		"GET /v3/harvests/{harvest_id}/arcs": "certificate accept", "POST /v3/harvests/{harvest_id}/diff": upload,
		"GET /v3/harvests/{harvest_id}/events": "certificate long", "GET /v3/harvests/{harvest_id}/receipt": "certificate long",
		"GET /openapi.json": "", "GET /docs": "", "GET /docs/{asset}": "", "GET /redoc": "",
	}
	for _, r := range routes() {
		name := r.method + " " + r.pattern
		if checks, ok := want[name]; !ok || looks(r.checks) != checks {
			t.Errorf("%s looks at %q, want %q", name, looks(r.checks), checks)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("there is no %s", name)
	}
}
