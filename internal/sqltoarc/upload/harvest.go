package upload

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Harvest is a harvest as the API shows it.
type Harvest struct {
	ID     string `json:"harvest_id"`
	RDI    string `json:"rdi"`
	Status string `json:"status"`
}

// Statuses of harvests.
const (
	Running   = "RUNNING"
	Completed = "COMPLETED"
	Failed    = "FAILED"
)

func harvestPath(id, rest string) string { return "v3/harvests/" + url.PathEscape(id) + rest }

// Begin begins a harvest. If the answer is lost it is asked for again, by the key
// (visible ASCII characters, another one for each harvest), from a service that knows such keys. Any other would begin
// a second harvest, and looking for the first is no way either: the list shows no
// owner, so that it could be that of somebody else. It is left alone, to be ended
// by the service when it expires, which marks nothing as missing.
func (c *Client) Begin(ctx context.Context, rdi string, expected int64, key string) (Harvest, error) {
	body, err := json.Marshal(map[string]any{"rdi": rdi, "expected_datasets": expected})
	if err != nil {
		return Harvest{}, err
	}
	var h Harvest
	r := request{method: http.MethodPost, path: "v3/harvests", body: body, key: key}
	if err = c.call(ctx, r, &h); unheard(err) && c.knowsKeys(ctx) {
		r.repeat = true
		err = c.call(ctx, r, &h)
	}
	if status := statusOf(err); status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusForbidden {
		return h, &fault.Error{Code: CodeDenied, Owner: fault.OwnerRDI, Cause: err,
			Text:   fmt.Sprintf("the API takes no ARCs of the RDI %q from us: %s", rdi, statusText(err)),
			Remedy: "correct rdi, or ask the operator of the API for the right to it: sql-to-arc check"}
	}
	if err == nil && h.ID == "" {
		err = notOurs(r, nil)
	}
	return h, err
}

// unheard tells whether the service may have done what it was asked for although
// that failed.
func unheard(err error) bool {
	f, ok := fault.Of(err)
	return ok && f.Cause != nil && passing(f.Cause, true) && !passing(f.Cause, false)
}

// knowsKeys tells whether the service says of itself that it heeds the key of the
// beginning of a harvest.
func (c *Client) knowsKeys(ctx context.Context) bool {
	var api struct {
		Paths map[string]struct {
			Post struct {
				Parameters []struct{ Name string }
			}
		}
	}
	if c.call(ctx, request{method: http.MethodGet, path: "openapi.json", repeat: true}, &api) != nil {
		return false
	}
	for _, p := range api.Paths["/v3/harvests"].Post.Parameters {
		if p.Name == "Idempotency-Key" {
			return true
		}
	}
	return false
}

// Harvest looks a harvest up.
func (c *Client) Harvest(ctx context.Context, id string) (Harvest, error) {
	var h Harvest
	err := c.call(ctx, request{method: http.MethodGet, path: harvestPath(id, ""), repeat: true}, &h)
	return h, err
}

// Rest is what a harvest could not bring although it is still in the database.
type Rest struct {
	Identifiers []string
	Unnamed     bool // and more, of which nobody knows the identifiers
}

// maxNamed is how many identifiers the service takes (docs/http.md).
const maxNamed = 10_000

// nameable tells whether the service can be told all of it.
func (r Rest) nameable() bool { return !r.Unnamed && len(r.Identifiers) <= maxNamed }

// End completes a harvest or declares it failed. If the answer is lost the
// harvest is looked up, so that success is never reported as failure. The ARCs of
// the rest do not count as missing; if they cannot be named no ARC does. Earlier
// services mark nothing anyway.
func (c *Client) End(ctx context.Context, id, status string, rest Rest) (Harvest, error) {
	switch {
	case status != Completed:
		return c.change(ctx, id, status, nil)
	case rest.nameable() && len(rest.Identifiers) > 0:
		h, err := c.change(ctx, id, status, rest.Identifiers)
		switch statusOf(err) {
		case http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			// The service is too old for it, or something before it takes no list of that length.
		default:
			return h, err
		}
	case rest.nameable():
		return c.complete(ctx, id, "")
	}
	return c.complete(ctx, id, "missing=keep")
}

// change gives a harvest another status.
func (c *Client) change(ctx context.Context, id, status string, keep []string) (Harvest, error) {
	body, err := json.Marshal(struct {
		Status string   `json:"status"`
		Keep   []string `json:"keep,omitempty"`
	}{status, keep})
	if err != nil {
		return Harvest{}, err
	}
	return c.end(ctx, id, status, request{method: http.MethodPatch, path: harvestPath(id, ""), body: body})
}

// complete is the one way of completing that the oldest service of the third version knows.
func (c *Client) complete(ctx context.Context, id, query string) (Harvest, error) {
	return c.end(ctx, id, Completed, request{method: http.MethodPost, path: harvestPath(id, "/complete"), query: query})
}

func (c *Client) end(ctx context.Context, id, status string, r request) (h Harvest, err error) {
	for range max(c.options.MaxRetries, 0) + 1 {
		if err = c.call(ctx, r, &h); err == nil && h.Status != status {
			err = notOurs(r, nil)
		}
		if err == nil || ctx.Err() != nil {
			return h, err
		}
		lost := statusOf(err) == 0 || statusOf(err) >= 500 || statusOf(err) == http.StatusConflict
		if !lost {
			return h, err
		}
		now, lookErr := c.Harvest(ctx, id)
		switch {
		case lookErr != nil:
			return h, err
		case now.Status == status:
			return now, nil
		case now.Status != Running:
			return now, err
		}
	}
	return h, err
}

// Known is an ARC as this side has it: identifier and content hash.
type Known struct {
	Identifier string
	Hash       [32]byte
}

// ErrUnsupported is the error for what the service does not have.
var ErrUnsupported = errors.New("the API does not have this")

// Unchanged asks the service which of the ARCs it has with the same content
// already; those count as seen by the harvest. The answer is in the order of
// the question. [ErrUnsupported] means that the service has no delta handshake.
func (c *Client) Unchanged(ctx context.Context, harvest string, known []Known) ([]bool, error) {
	if c.noDiff.Load() {
		return nil, ErrUnsupported
	}
	question := diffQuestion{ARCs: make([]diffEntry, len(known))}
	for i, k := range known {
		question.ARCs[i] = diffEntry{Identifier: k.Identifier, Hash: hex.EncodeToString(k.Hash[:])}
	}
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	var answer diffAnswer
	err = c.call(ctx, request{method: http.MethodPost, path: harvestPath(harvest, "/diff"), body: body, repeat: true}, &answer)
	if status := statusOf(err); status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
		// A harvest that is gone answers like a service without diff.
		if _, err := c.Harvest(ctx, harvest); err != nil {
			return nil, err
		}
		c.noDiff.Store(true)
		return nil, ErrUnsupported
	}
	if err != nil {
		return nil, err
	}
	return answer.unchanged(known)
}

// Handshakes tells whether the service has the delta handshake, as far as is known.
func (c *Client) Handshakes() bool { return !c.noDiff.Load() }

// Identity is who the API takes us for.
type Identity struct {
	ClientID *string  `json:"client_id"`
	RDIs     []string `json:"accessible_rdis"`
}

// WhoAmI asks the API who we are and which RDIs we may send for.
func (c *Client) WhoAmI(ctx context.Context) (Identity, error) {
	var i Identity
	err := c.call(ctx, request{method: http.MethodGet, path: "v1/whoami", repeat: true}, &i)
	return i, err
}

// Alive asks the API whether it serves at all.
func (c *Client) Alive(ctx context.Context) error {
	err := c.call(ctx, request{method: http.MethodGet, path: "v1/liveness", repeat: true}, nil)
	if err != nil {
		return fmt.Errorf("ask for life: %w", err)
	}
	return nil
}
