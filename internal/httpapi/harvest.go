package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/httpapi/auth"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
	"github.com/fairagro/middleware-api/internal/store"
)

// harvestAnswer is a harvest as clients see it. That client_id is always null is
// part of what they know.
type harvestAnswer struct {
	ClientID    *string           `json:"client_id"`
	Message     string            `json:"message"`
	HarvestID   string            `json:"harvest_id"`
	RDI         string            `json:"rdi"`
	Status      string            `json:"status"`
	StartedAt   string            `json:"started_at"`
	CompletedAt *string           `json:"completed_at"`
	Statistics  harvestStatistics `json:"statistics"`
	Errors      []harvestError    `json:"errors,omitempty"`
}

type harvestStatistics struct {
	Expected  *int64 `json:"expected_datasets"`
	Submitted int64  `json:"arcs_submitted"`
	New       int64  `json:"arcs_new"`
	Updated   int64  `json:"arcs_updated"`
	Unchanged int64  `json:"arcs_unchanged"`
	Missing   int64  `json:"arcs_missing"`
	Errors    int64  `json:"errors"`
}

// harvestError is a refused submission. Clients understand exactly two types,
// and arc_id is the crate's identifier, not the hash.
type harvestError struct {
	Type      string  `json:"error_type"`
	Message   string  `json:"message"`
	ARCID     *string `json:"arc_id"`
	Timestamp string  `json:"timestamp"`
}

// maxHarvestErrors bounds the list in the answer; the receipt has all.
const maxHarvestErrors = 1000

func newHarvestAnswer(h store.Harvest) harvestAnswer {
	out := harvestAnswer{
		Message: h.Note, HarvestID: ingest.HarvestID(h), RDI: h.RDI, Status: string(h.Status), StartedAt: zulu(h.StartedAt),
		Statistics: harvestStatistics{
			Expected: h.Expected, Submitted: h.Statistics.Submitted(), New: h.Statistics.New, Updated: h.Statistics.Updated,
			Unchanged: h.Statistics.Unchanged, Missing: h.Statistics.Missing, Errors: h.Statistics.Errors,
		},
	}
	if h.CompletedAt != nil {
		at := zulu(*h.CompletedAt)
		out.CompletedAt = &at
	}
	return out
}

// answerHarvest sends a harvest with the submissions it did not get in.
func (a *API) answerHarvest(x *exchange, h store.Harvest) error {
	out := newHarvestAnswer(h)
	if h.Statistics.Errors > 0 {
		for refusal, err := range a.service.Refusals(x.ctx(), h) {
			if err != nil {
				return err
			}
			out.Errors = append(out.Errors, newHarvestError(refusal))
			if len(out.Errors) == maxHarvestErrors {
				break
			}
		}
	}
	return x.json(http.StatusOK, out)
}

func newHarvestError(e store.HarvestError) harvestError {
	kind := "submission_failed"
	if e.Code == fault.HarvestConflict {
		kind = "duplicate"
	}
	return harvestError{kind, e.Text, optional(e.Identifier), zulu(e.At)}
}

// beginHarvest is POST /v3/harvests.
func (a *API) beginHarvest(x *exchange) error {
	var check wire.Checker
	loc := wire.Loc{"body"}
	if !check.Body(x.body) {
		return check.Err()
	}
	rdi := check.String(x.body, loc, "rdi")
	expected := check.OptionalInt(x.body, loc, "expected_datasets")
	key := x.idempotencyKey(&check)
	if err := check.Err(); err != nil {
		return err
	}
	if err := x.authorize(rdi); err != nil {
		return err
	}
	h, err := a.service.BeginHarvest(x.ctx(), x.caller(), rdi, expected, key)
	if err != nil {
		return err
	}
	x.w.record.HarvestID = ingest.HarvestID(h)
	return x.json(http.StatusOK, newHarvestAnswer(h))
}

// idempotencyKey reads what the client has named this request with, so that it may
// repeat it; "" without one.
func (x *exchange) idempotencyKey(check *wire.Checker) string {
	const most = 255
	key := x.r.Header.Get("Idempotency-Key")
	bad := strings.IndexFunc(key, func(r rune) bool { return r < '!' || r > '~' })
	if len(key) > most || bad >= 0 {
		check.AddAll(wire.Errors{{Type: "value_error", Loc: wire.Loc{"header", "idempotency-key"},
			Msg:   "Value error, the key must consist of 1 to 255 visible ASCII characters",
			Input: jsondoc.AppendString(nil, strings.ToValidUTF8(key, "\uFFFD")), Ctx: []byte(`{"error":{}}`)}})
	}
	return key
}

// harvestHead finds the harvest of the path for somebody who wants to change it:
// it exists, and its RDI is known and authorised. Ownership is checked by ingest.
func (a *API) harvestHead(x *exchange) (store.Harvest, error) {
	x.w.record.HarvestID = x.param("harvest_id")
	h, err := a.service.HarvestHead(x.ctx(), x.param("harvest_id"))
	if err != nil {
		return h, err
	}
	return h, x.authorize(h.RDI)
}

// visibleHarvest finds the harvest of the path for somebody who wants to read it.
// One of an RDI that is not the caller's is hidden.
func (a *API) visibleHarvest(x *exchange) (store.Harvest, error) {
	x.w.record.HarvestID = x.param("harvest_id")
	h, err := a.service.Harvest(x.ctx(), x.param("harvest_id"))
	if err != nil {
		return h, err
	}
	err = x.authorize(h.RDI)
	if fault.CodeOf(err) == auth.CodeRDIForbidden {
		err = fault.New(fault.HarvestNotFound, nil)
	}
	return h, err
}

// getHarvest is GET /v3/harvests/{harvest_id}.
func (a *API) getHarvest(x *exchange) error {
	h, err := a.visibleHarvest(x)
	if err != nil {
		return err
	}
	return a.answerHarvest(x, h)
}

// listHarvests is GET /v3/harvests.
func (a *API) listHarvests(x *exchange) error {
	q := x.newQuery()
	filter := store.HarvestFilter{
		Skip:   q.integer("skip", 0, 0, maxSkip),
		Limit:  q.integer("limit", 100, 1, 1000),
		Status: store.HarvestStatus(q.enum("status", harvestStatuses...)),
	}
	if err := q.err(); err != nil {
		return err
	}
	var err error
	if filter.RDIs, err = x.rdis(); err != nil {
		return err
	}
	list, err := a.service.Harvests(x.ctx(), filter)
	if err != nil {
		return err
	}
	out := make([]harvestAnswer, len(list))
	for i, h := range list {
		out[i] = newHarvestAnswer(h)
	}
	return x.json(http.StatusOK, out)
}

// maxSkip keeps a place in a list within the database's integers.
const maxSkip = 1 << 31

var harvestStatuses = []string{
	string(store.Running), string(store.Completed), string(store.Failed), string(store.Cancelled),
}

// maxKeep bounds the datasets that a harvester names because it could not bring them;
// whoever has more of them keeps everything.
const maxKeep = 10_000

// patchHarvest is PATCH /v3/harvests/{harvest_id}.
func (a *API) patchHarvest(x *exchange) error {
	var check wire.Checker
	if !check.Body(x.body) {
		return check.Err()
	}
	status := check.Enum(x.body, wire.Loc{"body"}, "status", harvestStatuses...)
	keep := check.OptionalStrings(x.body, wire.Loc{"body"}, "keep", maxKeep)
	if err := check.Err(); err != nil {
		return err
	}
	h, err := a.endHarvest(x, store.HarvestStatus(status), keep)
	if err != nil {
		return err
	}
	return a.answerHarvest(x, h)
}

// completeHarvest is POST /v3/harvests/{harvest_id}/complete.
func (a *API) completeHarvest(x *exchange) error {
	h, err := a.endHarvest(x, store.Completed, nil)
	if err != nil {
		return err
	}
	return a.answerHarvest(x, h)
}

// cancelHarvest is DELETE /v3/harvests/{harvest_id}.
func (a *API) cancelHarvest(x *exchange) error {
	if _, err := a.endHarvest(x, store.Cancelled, nil); err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", mediaJSON)
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// endHarvest goes on to the end even if the client does not wait for it: no
// client tries again. Keep are identifiers of ARCs that are not missing.
func (a *API) endHarvest(x *exchange, to store.HarvestStatus, keep []string) (store.Harvest, error) {
	missing := ingest.Missing{Keep: keep}
	if to == store.Completed {
		q := x.newQuery()
		missing.KeepAll = q.enum("missing", "mark", "keep") == "keep"
		if err := q.err(); err != nil {
			return store.Harvest{}, err
		}
	}
	h, err := a.harvestHead(x)
	if err != nil {
		return h, err
	}
	return a.service.EndHarvest(context.WithoutCancel(x.ctx()), x.caller(), h, to, missing)
}
