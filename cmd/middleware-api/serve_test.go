package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/pgtest"
)

// A worker that is told to end does not wait for readers of events: they come back
// to another one.
func TestAWorkerThatEndsLetsStreamsGo(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	config := write(t, "config.yaml", fmt.Sprintf("listen: [%q]\nknown_rdis: [edal]\nrequire_client_cert: false\n"+
		"database: {url: %q}\nworker: {graceful_timeout: 30m}\nadmin: {directory: %q}\n", address, pgtest.DSN(t), t.TempDir()))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--config", config}, cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	}()
	defer stop()

	harvest := beginOver(t, "http://"+address, ended)
	response, err := http.Get("http://" + address + "/v3/harvests/" + harvest + "/events") //nolint:noctx // ended by the server
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "retry: 2000\n" {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	stop()
	defer time.AfterFunc(patience, func() { _ = response.Body.Close() }).Stop()
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Errorf("the stream did not end in order: %v", err)
	}
	if code := <-ended; code != cli.ExitOK {
		t.Errorf("exit status %d", code)
	}
}

// beginOver begins a harvest as soon as the worker answers.
func beginOver(tb testing.TB, url string, ended <-chan int) string {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		response, err := http.Post(url+"/v3/harvests", "application/json", strings.NewReader(`{"rdi":"edal"}`)) //nolint:noctx // of a test
		if err == nil {
			defer response.Body.Close()
			var h struct {
				ID string `json:"harvest_id"`
			}
			if err := json.NewDecoder(response.Body).Decode(&h); err != nil || response.StatusCode != http.StatusOK {
				tb.Fatalf("harvest: %s, %v", response.Status, err)
			}
			return h.ID
		}
		select {
		case code := <-ended:
			tb.Fatalf("the worker ended with %d", code)
		case <-deadline:
			tb.Fatalf("no answer: %v", err)
		case <-tick.C:
		}
	}
}
