package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/telemetry"
	"github.com/fairagro/middleware-api/internal/worker"
)

// Every setting reaches the part of the service that it is for: each has a value of its
// own here, so that none can be taken for another or be left out.
func TestSettingsReachTheirParts(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	c := &config.Config{
		KnownRDIs: []string{"a"}, ClientAuthOID: "1.1", RequireClientCert: true, TrustedProxies: []string{"unix"},
		MaxConcurrentRequests: 2, RetryAfter: 3 * time.Second, BodyLimit: 4, BodyMemoryLimit: 5, MaxEventStreams: 6,
		RequestTimeout: 7 * time.Second, V1Status: "accepted", Validation: "strict", MaxEventLogSize: 8,
	}
	c.Admin.OperatorOID = "1.2"
	c.Worker = config.Worker{
		MaxRequests: 11, MaxRequestsJitter: 12, MaxAge: 13 * time.Second, MaxMemory: 14, Timeout: 15 * time.Second,
		GracefulTimeout: 18 * time.Second, KeepAlive: 17 * time.Second, ReadTimeout: 19 * time.Second, BodyGrace: 20 * time.Second,
	}
	c.Harvest = config.Harvest{GracePeriodDays: 21, AutoMarkDeleted: true, MissingGuardPercent: 22, ExpireAfter: 23 * time.Second}
	c.Tasks.Retention = 24 * time.Second
	c.Sync.Lease, c.Sync.PollInterval, c.Sync.BackoffMin, c.Sync.BackoffMax = 25*time.Second, 26*time.Second, 27*time.Second, 28*time.Second
	c.GitRepo = &config.GitRepo{CommandTimeout: time.Hour, MaxWorkers: 29, ProjectsPerHour: 30}

	http, err := httpOptions(c, &telemetry.Logging{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	serves, takes, pushes := workerOptions(c), ingestOptions(c, log), syncOptions(c, log)
	http.Log, takes.Logger, pushes.Log = nil, nil, nil
	for name, diff := range map[string]string{
		"httpapi": cmp.Diff(httpapi.Options{
			Version: version, KnownRDIs: []string{"a"}, OID: "1.1", OperatorOID: "1.2", RequireCertificate: true, TrustedProxies: []string{"unix"},
			MaxConcurrent: 2, RetryAfter: 3 * time.Second, MaxBody: 4, MaxBodiesMemory: 5, MaxStreams: 6, Timeout: 7 * time.Second,
			V1Status: "accepted", Strict: true, BodyGrace: 20 * time.Second, BodyPause: 19 * time.Second,
		}, http),
		"worker": cmp.Diff(worker.Options{
			DrainLimit: 18 * time.Second, KeepAlive: 17 * time.Second, HeaderLimit: 19 * time.Second, ClientLimit: 19 * time.Second, StuckLimit: 15 * time.Second,
			Recycling: worker.Recycling{MaxAge: 13 * time.Second, AgeJitter: 0.1, MaxMemory: 14, MaxRequests: 11, RequestJitter: 12, MinUptime: time.Minute},
		}, serves),
		"ingest": cmp.Diff(ingest.Options{
			GracePeriod: 21 * 24 * time.Hour, MarkDeleted: true, MissingLimit: 0.22, HarvestIdle: 23 * time.Second, TaskAge: 24 * time.Second,
		}, takes),
		// Of the time for a drain a third is left for handing leases back; a push may take
		// its time twice, for what comes before and after it.
		"gitsync": cmp.Diff(gitsync.Options{
			PushLimit: 2 * time.Hour, Remote: remoteName, Concurrency: 29, ProjectsPerHour: 30,
			Lease: 25 * time.Second, Poll: 26 * time.Second, Drain: 12 * time.Second, Backoff: 27 * time.Second, BackoffMax: 28 * time.Second,
		}, pushes),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	none := ingestOptions(&config.Config{}, log)
	if none.GracePeriod >= 0 || none.MissingLimit >= 0 || none.HarvestIdle >= 0 {
		t.Errorf("a 0 becomes the default: %+v", none)
	}
	if n := storeOptions(c, "x", log).EventLimit; n != 8 {
		t.Errorf("store: %d events are kept", n)
	}
}
