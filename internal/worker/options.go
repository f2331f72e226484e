package worker

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Endpoint is one named set of sockets and the handler that answers there.
type Endpoint struct {
	// Name is what the socket unit calls the descriptor (FileDescriptorName=).
	Name string
	// Handler answers the requests. While the database has not answered yet
	// it is called as well and has to say 503 by itself.
	Handler http.Handler
	// Addresses are opened when no sockets were inherited: "host:port",
	// "[ipv6]:port", or the absolute path of a unix socket.
	Addresses []string
	// Optional endpoints may be missing among inherited sockets.
	Optional bool
	// TLS ends TLS on the TCP sockets; nil leaves that to a proxy. Unix sockets
	// are plain in any case: only this machine reaches them.
	TLS *tls.Config
}

// Recycling says when a worker ends itself to be replaced by a fresh one. A
// limit of zero is off.
type Recycling struct {
	// MaxAge is the age at which a worker goes, give or take AgeJitter as a
	// fraction of it, so that workers started together do not go together.
	MaxAge    time.Duration
	AgeJitter float64
	// MaxMemory is the resident set in bytes above which a worker goes.
	MaxMemory uint64
	// MaxRequests is the number of requests after which a worker goes, plus a
	// random number up to RequestJitter.
	MaxRequests   uint64
	RequestJitter uint64
	// MinUptime keeps a busy worker from recycling all the time because of
	// requests or memory.
	MinUptime time.Duration
}

// Options describe a worker. Zero values stand for the defaults named here.
type Options struct {
	Endpoints []Endpoint
	// Ready asks the database once; nil means there is nothing to wait for.
	// It is repeated until it succeeds. Afterwards it is asked every few seconds,
	// and what it says is shown and logged but changes nothing else.
	Ready func(context.Context) error
	// HealthPath is requested from the handler of the first endpoint, inside
	// the process, before each beat of the watchdog. Default /v3/liveness.
	HealthPath string
	// Draining is called once when the worker begins to drain, for handlers to
	// end what would last: event streams, waits. It must return at once; nil for none.
	Draining func()
	// Crowded tells that new connections are better served by other workers; nil
	// for never.
	Crowded func() bool
	// DrainLimit bounds the time between the wish to stop and the exit.
	// Default 30 s; TimeoutStopSec= of the unit must exceed it.
	DrainLimit time.Duration
	// KeepAlive is how long an idle connection stays open. Default 5 s.
	KeepAlive time.Duration
	// HeaderLimit is how long a client may take for a request's header.
	// Default 10 s.
	HeaderLimit time.Duration
	// ClientLimit is how long a client may neither send nor take a byte in the
	// middle of a request. Default 60 s; below StuckLimit.
	ClientLimit time.Duration
	// StuckLimit is how long a request may stay in flight without reading or
	// writing a byte before the worker counts as hung. Default 120 s.
	StuckLimit time.Duration
	// MaxHeaderBytes bounds a request's header. Default 64 KiB, room for a
	// client certificate in a header.
	MaxHeaderBytes int

	Recycling Recycling

	// Instance tells the workers of a host apart. Default $MW_ID.
	Instance string
	// RuntimeDir is shared by the workers of a host and holds the files by
	// which they take turns. Default $RUNTIME_DIRECTORY; without one a worker
	// believes to be alone.
	RuntimeDir string

	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.HealthPath == "" {
		o.HealthPath = "/v3/liveness"
	}
	setDefault(&o.DrainLimit, 30*time.Second)
	setDefault(&o.KeepAlive, 5*time.Second)
	setDefault(&o.HeaderLimit, 10*time.Second)
	setDefault(&o.ClientLimit, 60*time.Second)
	setDefault(&o.StuckLimit, 120*time.Second)
	if o.MaxHeaderBytes == 0 {
		o.MaxHeaderBytes = 64 << 10
	}
	if o.Instance == "" {
		o.Instance = os.Getenv("MW_ID")
	}
	if o.RuntimeDir == "" {
		// systemd separates several directories by colons.
		o.RuntimeDir, _, _ = strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	}
	if o.RuntimeDir != "" {
		o.RuntimeDir = filepath.Clean(o.RuntimeDir)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}
