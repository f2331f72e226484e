package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Healthy sends a probe through the whole chain of handlers without a network,
// and says what is wrong with the answer. It does not ask the database: a
// worker without one is not ready, but it lives.
func (a *API) Healthy(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/v3/liveness", nil)
	if err != nil {
		return err
	}
	answer := &probe{header: make(http.Header)}
	a.echo.ServeHTTP(&writer{ResponseWriter: answer, request: r, ticket: new(Stats).begin(time.Now())}, r)
	if answer.status != http.StatusOK {
		return errors.New("liveness probe answered " + strconv.Itoa(answer.status))
	}
	return nil
}

// probe is the receiving end of a request that comes from the process itself.
type probe struct {
	header http.Header
	status int
}

// Header gives the header of the answer.
func (p *probe) Header() http.Header { return p.header }

// WriteHeader notes the status.
func (p *probe) WriteHeader(status int) { p.status = status }

// Write forgets the body.
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
