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

// Begin begins a harvest. It is not repeated when it might have succeeded: an
// abandoned harvest would remain.
//
// Nor is a harvest looked for that was begun unheard. The list shows no owner
// (client_id is always null) and nothing that we could have sent along, so ours
// looks like that of a second converter for the same RDI which began at the same
// moment with the same number of datasets, while our own request never arrived.
// Ending or using that one would end somebody else's run; one that is only left
// alone is ended by the service when it expires, and marks nothing as missing.
func (c *Client) Begin(ctx context.Context, rdi string, expected int64) (Harvest, error) {
	body, err := json.Marshal(map[string]any{"rdi": rdi, "expected_datasets": expected})
	if err != nil {
		return Harvest{}, err
	}
	var h Harvest
	err = c.call(ctx, request{method: http.MethodPost, path: "v3/harvests", body: body}, &h)
	if status := statusOf(err); status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusForbidden {
		return h, &fault.Error{Code: CodeDenied, Owner: fault.OwnerRDI, Cause: err,
			Text:   fmt.Sprintf("the API takes no ARCs of the RDI %q from us: %s", rdi, statusText(err)),
			Remedy: "correct rdi, or ask the operator of the API for the right to it: sql-to-arc check"}
	}
	if err == nil && h.ID == "" {
		err = &fault.Error{Code: CodeAnswer, Owner: fault.OwnerOperator, Text: "the API has begun a harvest without saying which",
			Remedy: "check that api_url is the address of the API"}
	}
	return h, err
}

// Harvest looks a harvest up.
func (c *Client) Harvest(ctx context.Context, id string) (Harvest, error) {
	var h Harvest
	err := c.call(ctx, request{method: http.MethodGet, path: harvestPath(id, ""), repeat: true}, &h)
	return h, err
}

// End completes a harvest or declares it failed. If the answer is lost the
// harvest is looked up, so that success is never reported as failure.
func (c *Client) End(ctx context.Context, id, status string) (Harvest, error) {
	var h Harvest
	r := request{method: http.MethodPatch, path: harvestPath(id, ""), body: []byte(`{"status":"` + status + `"}`)}
	if status == Completed {
		// The oldest service of the third version knows completion only so.
		r = request{method: http.MethodPost, path: harvestPath(id, "/complete")}
	}
	var err error
	for range max(c.options.MaxRetries, 0) + 1 {
		if err = c.call(ctx, r, &h); err == nil || ctx.Err() != nil {
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
