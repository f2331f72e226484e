package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

var _ gitsync.Observer = (*telemetry.Pushes)(nil)

// What happens is counted under labels that no client can invent.
func TestInstruments(t *testing.T) {
	t.Parallel()
	metrics := telemetry.NewMetrics("1", "v", "c")
	requests := telemetry.NewRequests(metrics.Registerer)
	requests.Observe("POST", "/v3/arcs", 201, 100, 30*time.Millisecond)
	requests.Observe("BREW", "", 404, 10, time.Millisecond)
	requests.Observe("STEEP", "", 404, -1, time.Millisecond)
	pushes := telemetry.NewPushes(metrics.Registerer)
	pushes.Pushed(time.Second, true, "")
	pushes.Pushed(time.Second, false, "")
	pushes.Pushed(time.Second, false, "hook_declined")
	pushes.Paused("token_rejected")
	telemetry.Gauges(metrics.Registerer, map[string]telemetry.Gauge{"requests_in_flight": {Help: "Now.", Value: func() float64 { return 3 }}})

	answer := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`middleware_api_request_duration_seconds_count{method="POST",route="/v3/arcs",status="201",worker="1"} 1`,
		`middleware_api_request_duration_seconds_bucket{method="POST",route="/v3/arcs",status="201",worker="1",le="0.025"} 0`,
		`middleware_api_request_duration_seconds_count{method="other",route="none",status="404",worker="1"} 2`,
		`middleware_api_response_bytes_total{route="/v3/arcs",worker="1"} 100`,
		`middleware_api_push_duration_seconds_count{outcome="pushed",worker="1"} 1`,
		`middleware_api_push_duration_seconds_count{outcome="unchanged",worker="1"} 1`,
		`middleware_api_push_duration_seconds_count{outcome="hook_declined",worker="1"} 1`,
		`middleware_api_remote_pauses_total{code="token_rejected",worker="1"} 1`,
		`middleware_api_requests_in_flight{worker="1"} 3`,
	} {
		if !strings.Contains(answer.Body.String(), want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(answer.Body.String(), "BREW") {
		t.Error("an invented method became a time series")
	}
}
