package telemetry_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/telemetry"
)

// process serves metrics on a socket, as every process does.
func process(tb testing.TB, path string, h http.Handler) {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	_ = server.Listener.Close()
	server.Listener = l
	server.Start()
	tb.Cleanup(server.Close)
}

// The metrics of all processes come as one text, told apart by the label
// worker; one that is dead or talks nonsense shows as a zero and hides nobody.
func TestFleetGathersAllProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"1", "2", "sync"} {
		m := telemetry.NewMetrics(name, "1.2.3", "")
		telemetry.NewRequests(m.Registerer).Observe("GET", "/v3/arcs", 200, 10, 0)
		process(t, filepath.Join(dir, "admin-"+name+".sock"), m.Handler())
	}
	process(t, filepath.Join(dir, "admin-odd.sock"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	process(t, filepath.Join(dir, "admin-strange.sock"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{]")) }))
	dead, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "admin-dead.sock"))
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = dead.Close()

	fleet := &telemetry.Fleet{Sockets: []string{filepath.Join(dir, "admin-*.sock")}, Own: telemetry.NewMetrics("admin", "1.2.3", "")}
	out := httptest.NewRecorder()
	fleet.Handler().ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	text := out.Body.String()
	for _, want := range []string{
		`middleware_api_process_up{worker="1"} 1`, `middleware_api_process_up{worker="2"} 1`, `middleware_api_process_up{worker="sync"} 1`,
		`middleware_api_process_up{worker="odd"} 0`, `middleware_api_process_up{worker="strange"} 0`, `middleware_api_process_up{worker="dead"} 0`,
		`middleware_api_request_duration_seconds_count{method="GET",route="/v3/arcs",status="200",worker="1"} 1`,
		`middleware_api_request_duration_seconds_count{method="GET",route="/v3/arcs",status="200",worker="2"} 1`,
		`worker="admin"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("status %d, lacks %s", out.Code, want)
		}
	}
	if n := strings.Count(text, "# TYPE middleware_api_build_info "); n != 1 {
		t.Errorf("build info is described %d times", n)
	}
}
