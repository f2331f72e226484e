package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childEnv holds the childOptions of a worker process started by a test; the
// test binary is its own worker program.
const childEnv = "MIDDLEWARE_API_TEST_WORKER"

type childOptions struct {
	DrainLimit, KeepAlive, StuckLimit, ClientLimit time.Duration
	Recycling                                      Recycling
	Addresses                                      []string
	Names                                          []string // endpoints; default http
	// DatabaseFile stands for the database: it answers while the file exists.
	DatabaseFile string
	// Stall makes /v3/liveness hang for ever while the file exists.
	StallFile string
	// Task makes the child a task that does this: wait, fail or hang.
	Task string
}

func childLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(child(text))
	}
	// Who runs the tests under nohup has SIGHUP ignored, and workers would inherit that.
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	os.Exit(m.Run())
}

func child(text string) int {
	var c childOptions
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if c.Task != "" {
		return childTask(c)
	}
	o := Options{
		DrainLimit: c.DrainLimit, KeepAlive: c.KeepAlive, StuckLimit: c.StuckLimit, ClientLimit: c.ClientLimit,
		Recycling: c.Recycling,
		Logger:    childLogger(),
	}
	if len(c.Names) == 0 {
		c.Names = []string{"http"}
	}
	for _, name := range c.Names {
		o.Endpoints = append(o.Endpoints, Endpoint{Name: name, Handler: childHandler(c), Addresses: c.Addresses})
	}
	if c.DatabaseFile != "" {
		o.Ready = func(context.Context) error {
			_, err := os.Stat(c.DatabaseFile)
			return err
		}
	}
	// As in the real program, whose context a signal ends.
	ctx, stop := signal.NotifyContext(context.Background(), EndSignals()...)
	defer stop()
	if err := Run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// childHandler answers quickly, slowly, after reading, and in pieces.
func childHandler(c childOptions) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v3/liveness", func(_ http.ResponseWriter, r *http.Request) {
		if c.StallFile == "" {
			return
		}
		if _, err := os.Stat(c.StallFile); err == nil {
			<-make(chan struct{}) // a lock that nobody gives back
		}
	})
	mux.HandleFunc("GET /fast", func(w http.ResponseWriter, _ *http.Request) {
		if c.DatabaseFile != "" {
			if _, err := os.Stat(c.DatabaseFile); errors.Is(err, os.ErrNotExist) {
				w.Header().Set("Retry-After", "5")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintf(w, "%d", os.Getpid())
	})
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.URL.Query().Get("for"))
		if !pause(r.Context(), d) {
			w.WriteHeader(http.StatusInternalServerError) // what waits for a database is told that nobody waits for it
		}
		fmt.Fprintf(w, "%d", os.Getpid())
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		for range 5 {
			io.WriteString(w, strings.Repeat("x", 100))
			_ = http.NewResponseController(w).Flush()
			pause(r.Context(), 20*time.Millisecond)
		}
	})
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%d", n)
	})
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}
