package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/span"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// received is a span as the collector got it.
type received struct {
	id, parent, trace, name, service string
	attributes                       map[string]string
}

// gathered is a collector that takes spans over OTLP/HTTP.
type gathered struct {
	mu    sync.Mutex
	spans []received
}

// ServeHTTP implements http.Handler.
func (g *gathered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var export collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
		http.Error(w, "not an export of spans", http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, rs := range export.GetResourceSpans() {
		service := ""
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range rs.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				one := received{
					id: string(s.GetSpanId()), parent: string(s.GetParentSpanId()), trace: string(s.GetTraceId()),
					name: s.GetName(), service: service, attributes: map[string]string{},
				}
				for _, a := range s.GetAttributes() {
					one.attributes[a.GetKey()] = strings.Trim(a.GetValue().String()[strings.Index(a.GetValue().String(), ":")+1:], `"`)
				}
				g.spans = append(g.spans, one)
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

const traceToken = "glpat-a-token-for-traces"

// traced uploads one ARC through a service that sends its spans to a collector,
// waits until it is in GitLab, and gives the spans.
func traced(tb testing.TB, remote string) []received {
	tb.Helper()
	spans := &gathered{}
	server := httptest.NewServer(spans)
	tb.Cleanup(server.Close)
	hub := gitlabtest.NewGitLab(tb, traceToken, "arcs")
	loaded, err := load(write(tb, "config.yaml", `known_rdis: [edal]
require_client_cert: false
database: {url: "`+pgtest.DSN(tb)+`"}
otel: {endpoint: "`+server.URL+`"}
`+remote+`: {url: "`+hub.URL+`", group: arcs, token: "`+traceToken+`"}
`), config.RoleSync)
	if err != nil {
		tb.Fatal(err)
	}
	c := &loaded.Config
	logging := telemetry.New(telemetry.Options{Output: null(tb), Socket: "/nonexistent"})
	watch := func(service string) (*observation, *store.Store) {
		o, err := observe(tb.Context(), c, logging, service, "1")
		if err != nil {
			tb.Fatal(err)
		}
		st, err := store.Open(tb.Context(), o.database(storeOptions(c, service, logging.Logger)))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(st.Close)
		return o, st
	}

	front, frontStore := watch("middleware-api")
	options, err := httpOptions(c, logging)
	if err != nil {
		tb.Fatal(err)
	}
	options.Access = front.access(logging.Access)
	api, err := httpapi.New(ingest.New(frontStore, ingestOptions(c, logging.Logger)), options)
	if err != nil {
		tb.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/v3/arcs", strings.NewReader(`{"rdi": "edal", "arc": `+goodCrate+`}`))
	r.Header.Set("Content-Type", "application/json")
	front.handler(api).ServeHTTP(w, r)
	if w.Code/100 != 2 {
		tb.Fatalf("upload: %d %s", w.Code, w.Body)
	}
	front.end()

	back, backStore := watch("middleware-worker")
	work, err := newSynchroniser(backStore, ingest.New(backStore, ingestOptions(c, logging.Logger)), c, back, logging.Logger)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(tb.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); work.run(ctx) }()
	pushed := func() bool {
		heads, err := frontStore.Heads(tb.Context(), "", store.ID{}, 1)
		return err == nil && len(heads) == 1 && heads[0].State == store.Synced
	}
	for limit := time.Now().Add(clockPatience); !pushed(); {
		if time.Now().After(limit) {
			tb.Error("the ARC is not pushed")
			break
		}
	}
	stop()
	<-ended
	back.end()
	spans.mu.Lock()
	defer spans.mu.Unlock()
	return spans.spans
}

// One upload is one trace: from the request through the database to the push,
// with the names that searches know, each below the step it is part of, and
// without a token anywhere.
func TestAnUploadIsOneTrace(t *testing.T) {
	t.Parallel()
	over := map[string]map[string]string{ // step: what it is part of
		"git_repo": {
			span.Submit: "POST /v3/arcs", span.Sync: span.Submit, span.GitWrite: span.Sync, span.StorePut: span.Sync,
			span.Ensure: span.StorePut, span.Project: span.Ensure, span.Find: span.Project,
			span.GitPush: span.StorePut, span.GitRefs: span.GitPush, span.GitCommit: span.GitPush,
			span.GitAdd: span.GitCommit, span.GitSeal: span.GitCommit, span.GitPushed: span.GitCommit,
		},
		"gitlab_api": {
			span.Submit: "POST /v3/arcs", span.Sync: span.Submit, span.GitWrite: span.Sync, span.StorePut: span.Sync,
			span.Ensure: span.StorePut, span.OldHead: span.StorePut, span.Actions: span.StorePut,
			span.Commit: span.StorePut, span.Chunk: span.Commit,
		},
	}
	for remote, tree := range over {
		t.Run(remote, func(t *testing.T) {
			t.Parallel()
			spans := traced(t, remote)
			byID := map[string]received{}
			for _, s := range spans {
				byID[s.id] = s
			}
			at := slices.IndexFunc(spans, func(s received) bool { return s.name == "POST /v3/arcs" })
			if at < 0 {
				t.Fatalf("no span of the request among %d", len(spans))
			}
			mine := map[string]received{}
			for _, s := range spans {
				if s.trace == spans[at].trace {
					mine[s.name] = s
				}
				for key, value := range s.attributes {
					if strings.Contains(value, traceToken) {
						t.Errorf("%s tells the token in %s", s.name, key)
					}
				}
			}
			for name, parent := range tree {
				s, there := mine[name]
				if got := byID[s.parent].name; !there || got != parent {
					t.Errorf("%s is in the trace: %t, as part of %q, want %q", name, there, got, parent)
				}
			}
			id := mine[span.Submit].attributes["arc_id"]
			for name, want := range map[string]map[string]string{
				span.Submit:   {"rdi": "edal", "client_id": "", "success": "true"},
				span.Sync:     {"rdi": "edal", "arc_id": id, "success": "true"},
				span.StorePut: {"rdi": "edal", "arc_id": id},
				span.Ensure:   {"group": "arcs", "arc_id": id},
			} {
				for key, value := range want {
					if got, there := mine[name].attributes[key]; !there || got != value {
						t.Errorf("%s of %s is %q, want %q", key, name, got, value)
					}
				}
			}
			if len(id) != 64 || mine[span.Submit].service != "middleware-api" || mine[span.Sync].service != "middleware-worker" {
				t.Errorf("arc_id %q, services %q and %q", id, mine[span.Submit].service, mine[span.Sync].service)
			}
		})
	}
}

// Without a collector requests, statements and pushes go on as if there were no
// tracing at all.
func TestNothingIsWrappedWithoutTracing(t *testing.T) {
	t.Parallel()
	logging := telemetry.New(telemetry.Options{Output: null(t), Socket: "/nonexistent"})
	o, err := observe(t.Context(), &config.Config{}, logging, "middleware-api", "1")
	if err != nil {
		t.Fatal(err)
	}
	h := http.NewServeMux()
	if o.handler(h) != http.Handler(h) {
		t.Error("requests are wrapped")
	}
	if o.tracing.Tracer != nil || o.database(store.Options{}).Tracer != nil {
		t.Error("pushes or statements have a tracer")
	}
}

// null is a file for what nobody reads.
func null(tb testing.TB) *os.File {
	tb.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	return f
}
