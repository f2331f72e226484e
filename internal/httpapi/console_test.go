package httpapi_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/httpapi"
)

// visit is what the console was told of the last visit.
type visit struct {
	who     httpapi.Visitor
	limited bool // it has to answer within an hour
}

func (v *visit) serve(_ http.ResponseWriter, r *http.Request, who httpapi.Visitor) {
	deadline, ok := r.Context().Deadline()
	*v = visit{who, ok && time.Until(deadline) <= time.Hour}
}

// The console has everything below its path, and nothing beside it, if there is one.
func TestConsolePaths(t *testing.T) {
	t.Parallel()
	v := &visit{}
	with := newServer(t, noDatabase(t), func(o *httpapi.Options) { o.Console = v.serve })
	without := newServer(t, noDatabase(t), nil)
	for path, want := range map[string]int{"/console": 200, "/console/": 200, "/console/arcs/x": 200, "/consoles": 404, "/v3/console": 404} {
		if got := with.get(t, path); got.status != want {
			t.Errorf("%s: got %d, want %d", path, got.status, want)
		}
		if got := without.get(t, path); got.status != 404 {
			t.Errorf("%s without a console: got %d", path, got.status)
		}
	}
}

// The console is told who visits it, nobody gets there without the certificate that is
// required, and the record of a visit says where it was.
func TestConsoleVisitors(t *testing.T) {
	t.Parallel()
	v := &visit{}
	records := make(chan httpapi.Record, 10)
	s := newServer(t, noDatabase(t), func(o *httpapi.Options) {
		o.Console, o.Timeout, o.Access = v.serve, time.Hour, func(_ context.Context, r httpapi.Record) { records <- r }
	})
	s.post(t, "/console/x", "", "X-Request-Id", "r1")
	if by := v.who.Actor; by.Subject != "anonymous" || by.Fingerprint != "" || by.RequestID != "r1" || v.who.Client.ID != "" {
		t.Errorf("without a certificate: got %+v", v.who)
	}
	if !v.limited {
		t.Error("a page may take longer than any other answer")
	}
	<-records
	s.get(t, "/console", certHeaders(t, "jane")...)
	if by := v.who.Actor; by.Subject != "jane" || len(by.Fingerprint) != 64 || by.Fingerprint != v.who.Client.Fingerprint || v.who.Client.ID != "jane" {
		t.Errorf("with a certificate: got %+v", v.who)
	}
	if r := <-records; r.Route != "/console" || r.ClientID != "jane" || r.Status != 200 {
		t.Errorf("record: got %+v", r)
	}
	*v = visit{}
	strict := newServer(t, noDatabase(t), func(o *httpapi.Options) { o.Console, o.RequireCertificate = v.serve, true })
	if got := strict.get(t, "/console"); got.status != 401 || v.who.Actor.Subject != "" {
		t.Errorf("where one is required: got %d, visitor %+v", got.status, v.who)
	}
}
