package httpapi

import (
	"context"
	"net/http"
	"runtime"
	"time"
)

// probeTime is short: whoever probes gives up after three seconds.
const probeTime = 2 * time.Second

type health[S any] struct {
	Status   string `json:"status"`
	Services S      `json:"services"`
}

func healthOf[S any](ok bool, services S) (int, health[S]) {
	if ok {
		return http.StatusOK, health[S]{"ok", services}
	}
	return http.StatusServiceUnavailable, health[S]{"error", services}
}

// storeReady asks the database. The answer stands for every service of the old
// stack that the database replaces: document store, broker and result backend.
func (a *API) storeReady(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return a.service.Ready(ctx) == nil
}

func (a *API) v1Liveness(x *exchange) error {
	return writeBody(x.w, http.StatusOK, mediaJSON, []byte(`{"message":"ok"}`))
}

func (a *API) v1Health(x *exchange) error {
	type answer struct {
		Status   string `json:"status"`
		Redis    bool   `json:"redis_reachable"`
		RabbitMQ bool   `json:"rabbitmq_reachable"`
	}
	if a.storeReady(x.ctx()) {
		return x.json(http.StatusOK, answer{"ok", true, true})
	}
	return x.json(http.StatusServiceUnavailable, answer{"error", true, false})
}

// synchroniserAlive asks the database for signs of life of the synchronisers,
// which took the place of the workers that the field in the answer is named after.
func (a *API) synchroniserAlive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	alive, err := a.service.SynchroniserAlive(ctx)
	return err == nil && alive
}

func (a *API) v2Health(x *exchange) error {
	type services struct {
		Store  bool `json:"couchdb_reachable"`
		Broker bool `json:"rabbitmq"`
	}
	ok := a.storeReady(x.ctx())
	return x.json(healthOf(ok, services{ok, ok}))
}

func (a *API) v3Liveness(x *exchange) error {
	return writeBody(x.w, http.StatusOK, mediaJSON, []byte(`{"status":"ok","services":{"api_process":true}}`))
}

func (a *API) v3Readiness(x *exchange) error {
	type services struct {
		Process bool `json:"api_process"`
		Store   bool `json:"couchdb_reachable"`
		Broker  bool `json:"rabbitmq"`
	}
	ok := a.storeReady(x.ctx())
	return x.json(healthOf(ok, services{true, ok, ok}))
}

func (a *API) v3Health(x *exchange) error {
	type services struct {
		Process bool `json:"api_process"`
		Store   bool `json:"couchdb_reachable"`
		Broker  bool `json:"rabbitmq"`
		Workers bool `json:"celery_workers"`
	}
	ok := a.storeReady(x.ctx())
	alive := ok && a.synchroniserAlive(x.ctx())
	return x.json(healthOf(ok && alive, services{true, ok, ok, alive}))
}

func (a *API) whoami(x *exchange) error {
	type answer struct {
		ClientID *string  `json:"client_id"`
		Message  string   `json:"message"`
		RDIs     []string `json:"accessible_rdis"`
	}
	return x.json(http.StatusOK, answer{optional(x.client.ID), "Client authenticated successfully", x.client.RDIs()})
}

func (a *API) version(x *exchange) error {
	type answer struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Go      string `json:"go"`
	}
	return x.json(http.StatusOK, answer{"middleware-api", a.options.Version, runtime.Version()})
}
