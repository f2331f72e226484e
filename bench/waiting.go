package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/telemetry"
	"github.com/fairagro/middleware-api/internal/worker"
)

// serveWaiting is a worker with the whole HTTP stack of the product, access
// lines included, in which every request waits first. The product has no such
// route; the peer has.
func serveWaiting(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve-waiting", flag.ContinueOnError)
	wait := flags.Duration("wait", 20*time.Millisecond, "how long each request waits")
	if err := flags.Parse(args); err != nil {
		return err
	}
	logging := telemetry.New(telemetry.Options{Level: slog.LevelInfo, Output: os.Stdout})
	defer logging.Close()
	api, err := httpapi.New(ingest.New(nil, ingest.Options{}), httpapi.Options{
		KnownRDIs: []string{rdi}, Log: logging.Logger,
		Access: func(_ context.Context, r httpapi.Record) {
			logging.Access.Log(&telemetry.Access{
				Time: r.Time, Remote: r.Peer, Client: r.ClientID, Method: r.Method, URI: r.Path, Proto: r.Proto,
				Status: r.Status, Bytes: r.Bytes, UserAgent: r.UserAgent, Duration: r.Duration, RequestID: r.RequestID,
			})
		},
	})
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(*wait)
		api.ServeHTTP(w, r)
	})
	return worker.Run(ctx, worker.Options{
		Endpoints: []worker.Endpoint{{Name: "http", Handler: handler}}, Draining: api.Drain, Logger: logging.Logger,
	})
}

// plainAnswer is what GET /v3/liveness says.
const plainAnswer = `{"status":"ok","services":{"api_process":true}}`

// servePlain is net/http and nothing else, in a worker's life but without its
// bookkeeping: the floor that our HTTP stack stands on.
func servePlain(ctx context.Context, _ []string) error {
	l, err := net.FileListener(os.NewFile(3, "http"))
	if err != nil {
		return fmt.Errorf("descriptor 3: %w", err)
	}
	s := &http.Server{
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(plainAnswer))
		}),
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
