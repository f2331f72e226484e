package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// While PostgreSQL is gone every submission is answered with 503, never with success; what was
// acknowledged before is there afterwards, and the same server goes on.
func TestPostgreSQLGoesAway(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{})
	service, db := serviceOn(t, cluster.DSN())
	s := newServer(t, service, nil)
	if got := s.post(t, "/v3/arcs", upload("edal", crate("before", ""))); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	id := begin(t, s)
	if got := s.post(t, "/v3/harvests/"+id+"/arcs", `{"arc":`+crate("member", "")+`}`); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	cluster.Kill()
	for _, got := range []answer{
		s.post(t, "/v3/arcs", upload("edal", crate("during", ""))), s.post(t, "/v2/arcs", upload("edal", crate("during", ""))),
		s.post(t, "/v1/arcs", `{"rdi":"edal","arcs":[`+crate("during", "")+`]}`), s.post(t, "/v3/harvests/"+id+"/arcs", `{"arc":`+crate("during", "")+`}`),
		s.post(t, "/v3/harvests/"+id+"/complete", ""), s.get(t, "/v3/arcs/"+arcID("before")),
	} {
		wantAnswer(t, got, 503, `{"detail":"Service temporarily unavailable"}`)
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	line := s.send(t, "POST", "/v3/harvests/"+id+"/arcs", crate("during", "")+"\n", "Content-Type", ndjson)
	wantLines(t, line.body, "1 503  store_unavailable: Service temporarily unavailable")
	if got := s.get(t, "/v3/readiness"); got.status != 503 {
		t.Errorf("readiness: got %d", got.status)
	}
	if got := s.get(t, "/v3/liveness"); got.status != 200 {
		t.Errorf("liveness: got %d", got.status)
	}
	cluster.Restart()
	testenv.Await(t, "readiness", func() bool { return s.get(t, "/v3/readiness").status == 200 })
	if got := s.post(t, "/v3/arcs", upload("edal", crate("after", ""))); got.status != 200 {
		t.Errorf("afterwards: got %d %s", got.status, got.body)
	}
	assertStored(t, db, 3)
	if n := s.log.Count("request failed"); n != 1 {
		t.Errorf("the log tells of the outage %d times, want 1", n)
	}
}

// BenchmarkUpload compares single uploads, one connection after the other request, with bulk.
func BenchmarkUpload(b *testing.B) {
	open := func(b *testing.B) *server {
		b.Helper()
		cluster := pgtest.Start(b, pgtest.Options{})
		service, _ := serviceOn(b, cluster.DSN())
		return newServer(b, service, nil)
	}
	text := strings.Repeat("some words of a description ", 1000)
	b.Run("single", func(b *testing.B) {
		s := open(b)
		for i := 0; b.Loop(); i++ {
			if got := s.post(b, "/v3/arcs", upload("edal", crate(fmt.Sprint("arc", i), text))); got.status != 200 {
				b.Fatal(got.body)
			}
		}
	})
	b.Run("bulk", func(b *testing.B) {
		s := open(b)
		id := begin(b, s)
		var lines strings.Builder
		for i := range b.N {
			lines.WriteString(crate(fmt.Sprint("arc", i), text) + "\n")
		}
		b.ResetTimer()
		got := s.send(b, "POST", "/v3/harvests/"+id+"/arcs", lines.String(), "Content-Type", ndjson)
		b.StopTimer()
		if n := strings.Count(got.body, `"outcome":"created"`); n != b.N {
			b.Fatalf("got %d of %d", n, b.N)
		}
	})
}

// BenchmarkDiff compares 10,000 ARCs that have not changed, in one request.
func BenchmarkDiff(b *testing.B) {
	const n = 10_000
	cluster := pgtest.Start(b, pgtest.Options{Fast: true})
	service, _ := serviceOn(b, cluster.DSN())
	s := newServer(b, service, nil)
	var lines, pairs strings.Builder
	for i := range n {
		lines.WriteString(crate(fmt.Sprint("arc", i), "") + "\n")
	}
	stored := s.send(b, "POST", "/v3/harvests/"+begin(b, s)+"/arcs", lines.String(), "Content-Type", ndjson)
	for line := range strings.Lines(stored.body) {
		a := parseLine(b, line)
		fmt.Fprintf(&pairs, `,{"identifier":"%s","arc_hash":"%s"}`, a.Identifier, a.Hash)
	}
	body := `{"arcs":[` + strings.TrimPrefix(pairs.String(), ",") + `]}`
	for b.Loop() {
		got := s.post(b, "/v3/harvests/"+begin(b, s)+"/diff", body)
		if !strings.Contains(got.body, `"unchanged":10000,`) {
			b.Fatalf("got %d %s", got.status, clip(got.body))
		}
	}
}
