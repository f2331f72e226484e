package httpapi_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/fairagro/middleware-api/internal/httpapi"
)

// What no route is for is answered as the framework of the old service did.
func TestNoRoute(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), nil)
	const notFound, notAllowed = `{"detail":"Not Found"}`, `{"detail":"Method Not Allowed"}`
	cases := []struct {
		rule, method, path string
		status             int
		body, allow        string
		location           string
	}{
		{rule: "unknown path", method: "GET", path: "/v4/arcs", status: 404, body: notFound},
		{rule: "root", method: "GET", path: "/", status: 404, body: notFound},
		{rule: "double slash", method: "GET", path: "/v3//liveness", status: 404, body: notFound},
		{rule: "case matters", method: "GET", path: "/V3/liveness", status: 404, body: notFound},
		{rule: "an encoded slash separates segments", method: "GET", path: "/v3/harvests/a%2Fb", status: 404, body: notFound},
		{rule: "other escapes are decoded", method: "PUT", path: "/v3/live%6eess", status: 405, body: notAllowed, allow: "GET"},
		{rule: "wrong method", method: "POST", path: "/v3/liveness", status: 405, body: notAllowed, allow: "GET"},
		{rule: "OPTIONS is no method of ours", method: "OPTIONS", path: "/v3/liveness", status: 405, body: notAllowed, allow: "GET"},
		{rule: "HEAD is not provided for GET", method: "HEAD", path: "/v3/liveness", status: 405, body: "", allow: "GET"},
		{rule: "Allow names the first route's method", method: "PUT", path: "/v3/harvests", status: 405, body: notAllowed, allow: "POST"},
		{rule: "Allow names the first route's method", method: "PUT", path: "/v3/harvests/x", status: 405, body: notAllowed, allow: "GET"},
		{rule: "Allow names the first route's method", method: "PUT", path: "/v3/arcs", status: 405, body: notAllowed, allow: "POST"},
		{rule: "slash too many", method: "GET", path: "/v3/liveness/?a=b&c=%20", status: 307, location: "/v3/liveness?a=b&c=%20"},
		{rule: "slash too many, wrong method", method: "POST", path: "/v3/liveness/", status: 307, location: "/v3/liveness"},
		{rule: "slash after a parameter", method: "GET", path: "/v1/tasks/x/", status: 307, location: "/v1/tasks/x"},
		{rule: "empty parameter", method: "GET", path: "/v3/harvests/", status: 307, location: "/v3/harvests"},
		{rule: "slash too many, unknown path", method: "GET", path: "/v4/", status: 404, body: notFound},
	}
	for _, c := range cases {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			t.Parallel()
			got := s.send(t, c.method, c.path, "")
			wantAnswer(t, got, c.status, c.body)
			wantHeader(t, got, "Allow", c.allow)
			location := c.location
			if location != "" {
				location = s.URL + location
			} else {
				wantHeader(t, got, "Content-Type", "application/json")
			}
			wantHeader(t, got, "Location", location)
			if c.method != "HEAD" {
				wantHeader(t, got, "Content-Length", strconv.Itoa(len(c.body)))
			}
		})
	}
}

// A parameter is what the path says when it is decoded, and a name that a route has for
// itself is one for other methods.
func TestParametersOfPaths(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), nil)
	for path, id := range map[string]string{
		"abc": "abc", "%61b%63": "abc", "a%20b": "a b", "%25zz": "%zz", "a:b": "a:b", "%3Atask_id": ":task_id", "*": "*", "%C3%A4": "ä",
	} {
		wantAnswer(t, s.get(t, "/v1/tasks/"+path), 200, `{"task_id":"`+id+`","status":"PENDING","result":null,"error":null}`)
	}
	for _, path := range []string{"/v3/arcs/validate", "/v3/arcs/validate/content", "/v3/arcs/validate/events"} {
		wantAnswer(t, s.get(t, path), 404, `{"detail":"There is no such ARC."}`)
	}
}

// A redirect keeps https if a trusted proxy says so, and nobody else.
func TestRedirectScheme(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), nil)
	got := s.send(t, http.MethodGet, "/v3/liveness/", "", "X-Forwarded-Proto", "https")
	wantHeader(t, got, "Location", "https://"+s.Listener.Addr().String()+"/v3/liveness")
	got = s.send(t, http.MethodGet, "/v3/liveness/", "", "X-Forwarded-Proto", "javascript")
	wantHeader(t, got, "Location", "http://"+s.Listener.Addr().String()+"/v3/liveness")
	s = newServer(t, noDatabase(t), func(o *httpapi.Options) { o.TrustedProxies = []string{"192.0.2.7"} })
	got = s.send(t, http.MethodGet, "/v3/liveness/", "", "X-Forwarded-Proto", "https")
	wantHeader(t, got, "Location", "http://"+s.Listener.Addr().String()+"/v3/liveness")
}

// Probes ask for no certificate and say what is reachable.
func TestProbes(t *testing.T) {
	t.Parallel()
	service, db := newService(t)
	synchroniseElsewhere(t, db)
	up, down := newServer(t, service, nil), newServer(t, noDatabase(t), nil)
	cases := []struct {
		path, up, down string
		downStatus     int
	}{
		{"/v1/liveness", `{"message":"ok"}`, `{"message":"ok"}`, 200},
		{"/v1/health", `{"status":"ok","redis_reachable":true,"rabbitmq_reachable":true}`, `{"status":"error","redis_reachable":true,"rabbitmq_reachable":false}`, 503},
		{"/v2/health", `{"status":"ok","services":{"couchdb_reachable":true,"rabbitmq":true}}`, `{"status":"error","services":{"couchdb_reachable":false,"rabbitmq":false}}`, 503},
		{"/v3/liveness", `{"status":"ok","services":{"api_process":true}}`, `{"status":"ok","services":{"api_process":true}}`, 200},
		{"/v3/readiness", `{"status":"ok","services":{"api_process":true,"couchdb_reachable":true,"rabbitmq":true}}`, `{"status":"error","services":{"api_process":true,"couchdb_reachable":false,"rabbitmq":false}}`, 503},
		{"/v3/health", `{"status":"ok","services":{"api_process":true,"couchdb_reachable":true,"rabbitmq":true,"celery_workers":true}}`, `{"status":"error","services":{"api_process":true,"couchdb_reachable":false,"rabbitmq":false,"celery_workers":false}}`, 503},
	}
	for _, c := range cases {
		wantAnswer(t, up.get(t, c.path), 200, c.up)
		wantAnswer(t, down.get(t, c.path), c.downStatus, c.down)
		wantAnswer(t, up.get(t, c.path, "X-Ignored", "1"), 200, c.up)
		wantAnswer(t, up.send(t, "GET", c.path, "", "Accept", "text/html"), 406, `{"detail":"Accept must be application/json"}`)
	}
}

// The health of the whole says so when no synchroniser gives signs of life; a worker is ready all the same.
func TestHealthWithoutSynchroniser(t *testing.T) {
	t.Parallel()
	service, _ := newService(t)
	s := newServer(t, service, nil)
	wantAnswer(t, s.get(t, "/v3/health"), 503, `{"status":"error","services":{"api_process":true,"couchdb_reachable":true,"rabbitmq":true,"celery_workers":false}}`)
	wantAnswer(t, s.get(t, "/v3/readiness"), 200, `{"status":"ok","services":{"api_process":true,"couchdb_reachable":true,"rabbitmq":true}}`)
	wantAnswer(t, s.get(t, "/v2/health"), 200, `{"status":"ok","services":{"couchdb_reachable":true,"rabbitmq":true}}`)
}
