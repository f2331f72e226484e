// Package ingest accepts ARCs, alone or within a harvest, and knows the rules
// of both: identity, what a repeated submission means, who may do what with a
// harvest, how it ends. It stands between the HTTP interface, which knows
// certificates and status codes, and the store, which knows PostgreSQL.
//
// It must never acknowledge what is not committed, never talk to git, and
// never decide which RDIs a caller may see: that has been done before.
//
// A Service is safe for concurrent use. Its errors are faults.
package ingest

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/store"
)

// Options of a Service. Zero values mean the defaults.
type Options struct {
	GracePeriod  time.Duration // how long an ARC is missing before it counts as deleted (14 days); negative: no longer than to the next harvest
	MarkDeleted  bool          // whether it ever counts as deleted
	MissingLimit float64       // share of an RDI's ARCs above which a harvest marks none as missing (0.2); negative: it never marks any
	HarvestIdle  time.Duration // after which a harvest counts as abandoned (24 h); negative: never
	TaskAge      time.Duration // after which a task is forgotten (30 days)
	Logger       *slog.Logger
}

const (
	defaultGracePeriod = 14 * 24 * time.Hour
	defaultHarvestIdle = 24 * time.Hour
	defaultTaskAge     = 30 * 24 * time.Hour
)

func (o Options) withDefaults() Options {
	if o.GracePeriod == 0 {
		o.GracePeriod = defaultGracePeriod
	}
	if o.HarvestIdle == 0 {
		o.HarvestIdle = defaultHarvestIdle
	}
	if o.TaskAge <= 0 {
		o.TaskAge = defaultTaskAge
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Service is what the outside calls.
type Service struct {
	store *store.Store
	o     Options

	mu    sync.Mutex
	heads map[uuid.UUID]store.Harvest // what never changes of harvests
}

// New makes a Service on a store.
func New(s *store.Store, o Options) *Service {
	return &Service{store: s, o: o.withDefaults(), heads: map[uuid.UUID]store.Harvest{}}
}

// Caller is who wants something.
type Caller struct {
	ClientID *string // common name of the certificate; nil for an anonymous caller
	Actor    store.Actor
}

// name is how messages spell a caller.
func (c Caller) name() string {
	if c.ClientID == nil {
		return "None"
	}
	return *c.ClientID
}

// Ready says whether submissions can be stored.
func (s *Service) Ready(ctx context.Context) error { return s.store.Ready(ctx) }

// SynchroniserAlive says whether anybody, on whatever host, brings ARCs into git.
func (s *Service) SynchroniserAlive(ctx context.Context) (bool, error) {
	return s.store.SynchroniserAlive(ctx)
}
