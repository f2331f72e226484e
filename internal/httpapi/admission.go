package httpapi

import (
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/fairagro/middleware-api/internal/httpapi/auth"
)

// gate lets at most limit requests into the process at a time and shares the
// places fairly: while others want places too, nobody holds more than an equal
// part. Who was refused counts as wanting a place until it had time to come
// back, so that a busy client leaves room for it. A limit of 0 lets everybody in.
type gate struct {
	limit  int
	window time.Duration // how long a refused client counts as waiting
	now    func() time.Time
	seed   maphash.Seed

	mu      sync.Mutex
	inside  int
	full    int64 // refusals because all places were taken
	unfair  int64 // refusals because the client had its share
	holders map[uint64]int
	waiting map[uint64]time.Time
}

// maxWaiting bounds the memory for refused clients.
const maxWaiting = 1024

func newGate(limit int, window time.Duration, now func() time.Time) *gate {
	return &gate{
		limit: limit, window: window, now: now, seed: maphash.MakeSeed(),
		holders: make(map[uint64]int), waiting: make(map[uint64]time.Time),
	}
}

// enter asks for a place; leave gives it back. Without a place leave is nil.
func (g *gate) enter(client string) (leave func()) {
	if g.limit <= 0 {
		return func() {}
	}
	key := maphash.String(g.seed, client)
	g.mu.Lock()
	defer g.mu.Unlock()
	if full := g.inside >= g.limit; full || g.holders[key] >= g.share(key) {
		if full {
			g.full++
		} else {
			g.unfair++
		}
		g.refuse(key)
		return nil
	}
	delete(g.waiting, key)
	g.inside++
	g.holders[key]++
	return sync.OnceFunc(func() { g.leave(key) })
}

// comeBack gives a place to a request that has had one, even if there are too
// many inside by now: it has sent what it has to send.
func (g *gate) comeBack(client string) (leave func()) {
	key := maphash.String(g.seed, client)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside++
	g.holders[key]++
	return sync.OnceFunc(func() { g.leave(key) })
}

// crowded says whether so many have come back that no more can be worked on.
func (g *gate) crowded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit > 0 && g.inside > 2*g.limit
}

func (g *gate) leave(key uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.holders[key]--; g.holders[key] == 0 {
		delete(g.holders, key)
	}
}

// share is how many places the client may hold: all of them alone, otherwise
// an equal part, rounded up.
func (g *gate) share(key uint64) int {
	others := len(g.holders)
	if g.holders[key] > 0 {
		others--
	}
	for waiter, until := range g.waiting {
		switch {
		case g.now().After(until):
			delete(g.waiting, waiter)
		case waiter != key && g.holders[waiter] == 0:
			others++
		}
	}
	parties := others + 1
	return (g.limit + parties - 1) / parties
}

func (g *gate) refuse(key uint64) {
	if len(g.waiting) < maxWaiting {
		g.waiting[key] = g.now().Add(g.window)
	}
}

// admissionKey tells clients apart before anybody is authenticated: by the
// certificate, else by the address. It grants nothing.
func (a *API) admissionKey(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return string(r.TLS.PeerCertificates[0].Raw)
	}
	if cert := a.auth.HeaderCertificate(r); cert != "" {
		return cert
	}
	return auth.PeerName(r)
}

// exempt says whether a request is let in whatever the load: probes, because an
// overloaded worker is not a dead one, and the begin and end of a harvest,
// because no client retries them.
func exempt(method, path string) bool {
	path = strings.TrimSuffix(path, "/")
	switch path {
	case "/v3/liveness", "/v3/readiness", "/v3/health", "/v1/liveness", "/v1/health", "/v2/health":
		return true
	case "/v3/harvests":
		return method == http.MethodPost
	}
	rest, ok := strings.CutPrefix(path, "/v3/harvests/")
	if !ok {
		return false
	}
	id, tail, _ := strings.Cut(rest, "/")
	switch {
	case id == "":
		return false
	case tail == "":
		return method == http.MethodPatch || method == http.MethodDelete
	}
	return tail == "complete" && method == http.MethodPost
}
