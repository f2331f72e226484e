package httpapi

import (
	"net/http"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
	"github.com/fairagro/middleware-api/internal/store"
)

// arcAnswer is the answer to the submission of one ARC.
type arcAnswer struct {
	ClientID *string     `json:"client_id"`
	Message  string      `json:"message"`
	ARCID    string      `json:"arc_id"`
	Status   string      `json:"status"`
	Metadata arcMetadata `json:"metadata"`
	Events   []arcEvent  `json:"events"`
}

type arcMetadata struct {
	Hash      string `json:"arc_hash"`
	Status    string `json:"status"`
	FirstSeen string `json:"first_seen"`
	LastSeen  string `json:"last_seen"`
}

type arcEvent struct {
	Timestamp string `json:"timestamp"`
	Type      string `json:"type"`
	Message   string `json:"message"`
}

// submitARC is POST /v3/arcs.
func (a *API) submitARC(x *exchange) error {
	only, err := x.onlyValidate()
	if err != nil {
		return err
	}
	if only {
		return a.validateARC(x)
	}
	_, accepted, err := a.submit(x, ingest.WithLog)
	if err != nil {
		return err
	}
	return a.answerARC(x, accepted, "ARC processed successfully")
}

// submit stores the ARC of a request outside of harvests, if the client may send for its RDI.
func (a *API) submit(x *exchange, log ingest.Log) (rdi string, accepted *ingest.Accepted, err error) {
	submission, err := rocrate.ScanSubmission(x.body, true)
	if err != nil {
		return "", nil, err
	}
	if err := x.authorize(submission.RDI); err != nil {
		return "", nil, err
	}
	if err := x.strict(submission.ARC.Document, wire.Loc{"body", "arc"}); err != nil {
		return "", nil, err
	}
	accepted, err = a.service.Submit(x.ctx(), x.caller(), submission.RDI, submission.ARC, log)
	return submission.RDI, accepted, err
}

// submitInHarvest is POST /v3/harvests/{harvest_id}/arcs, here with one ARC.
func (a *API) submitInHarvest(x *exchange) error {
	only, err := x.onlyValidate()
	if err != nil {
		return err
	}
	if isNDJSON(x.r.Header.Get("Content-Type")) {
		if only {
			return x.linesAreStored()
		}
		return a.bulk(x)
	}
	submission, invalid := rocrate.ScanSubmission(x.body, false)
	if invalid != nil && !only {
		return a.refuseInHarvest(x, submission.ARC.Identifier, invalid)
	}
	h, err := a.harvestHead(x)
	if err != nil {
		return err
	}
	if crate := x.body.Member("arc"); only && crate.Kind() == jsondoc.Object {
		return x.validate(crate, h.RDI)
	}
	if invalid != nil {
		return invalid
	}
	if err := x.strict(submission.ARC.Document, wire.Loc{"body", "arc"}); err != nil {
		if _, sender := refusalOf(err); !sender {
			return err
		}
		return a.refuseInHarvest(x, submission.ARC.Identifier, err)
	}
	accepted, err := a.service.SubmitInHarvest(x.ctx(), x.caller(), h, submission.ARC, ingest.WithLog)
	if err != nil {
		return err
	}
	return a.answerARC(x, accepted, "ARC processed successfully in harvest")
}

// refuseInHarvest counts an ARC that is not valid as an error of the harvest, if
// there is one and the client may say so.
func (a *API) refuseInHarvest(x *exchange, identifier string, invalid error) error {
	h, err := a.harvestHead(x)
	if err == nil {
		a.service.NoteRefusal(x.ctx(), x.caller(), h, identifier, invalid.Error())
	}
	return invalid
}

// answerARC tells of a stored ARC.
func (a *API) answerARC(x *exchange, accepted *ingest.Accepted, text string) error {
	x.w.record.ARCID = accepted.ID.String()
	events := x.awaitLog(accepted)
	if err := failpoint.Hit(failpoint.Acknowledge); err != nil {
		return err
	}
	defer func() { _ = failpoint.Hit(failpoint.Acknowledged) }()
	return x.json(http.StatusOK, arcAnswer{
		ClientID: optional(x.client.ID),
		Message:  text,
		ARCID:    accepted.ID.String(),
		Status:   accepted.Status(),
		Metadata: arcMetadata{
			Hash: accepted.Hash.String(), Status: string(accepted.Lifecycle),
			FirstSeen: stamp(accepted.FirstSeen), LastSeen: stamp(accepted.LastSeen),
		},
		Events: arcEvents(events),
	})
}

// awaitLog gives the log of a stored ARC: as the submission left it or, for a
// client that would like to wait for git, as it is then. If that cannot be read the
// ARC is stored nevertheless, and what is known is the truth.
func (x *exchange) awaitLog(accepted *ingest.Accepted) []store.Event {
	if x.preferredWait() == 0 {
		return accepted.Log
	}
	x.awaitGit([]*ingest.Accepted{accepted})
	events, err := x.api.service.Events(x.ctx(), accepted.ID)
	if err != nil {
		x.api.log.WarnContext(x.ctx(), "events of a stored ARC not readable", "arc_id", accepted.ID.String(), "error", err)
		return accepted.Log
	}
	return events
}

func arcEvents(events []store.Event) []arcEvent {
	out := make([]arcEvent, len(events))
	for i, e := range events {
		out[i] = arcEvent{stamp(e.At), e.Type, e.Message}
	}
	return out
}
