package httpapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
	"github.com/fairagro/middleware-api/internal/store"
)

// arcResult is one ARC in the answers of v1 and v2.
type arcResult struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Timestamp string `json:"timestamp"`
}

// v1Answer serves both kinds of v1 clients: those that read the results and
// those that ask for the task.
type v1Answer struct {
	ClientID *string     `json:"client_id"`
	Message  string      `json:"message"`
	RDI      *string     `json:"rdi"`
	ARCs     []arcResult `json:"arcs"`
	TaskID   *string     `json:"task_id"`
	Status   *string     `json:"status"`
	Errors   []v1Error   `json:"errors,omitempty"`
}

// v1Error tells of an ARC that was refused while others were stored.
type v1Error struct {
	Index      int     `json:"index"`
	Identifier *string `json:"identifier"`
	Message    string  `json:"message"`
}

// submitV1 is POST /v1/arcs.
func (a *API) submitV1(x *exchange) error {
	var check wire.Checker
	if !check.Body(x.body) {
		return check.Err()
	}
	rdi := check.String(x.body, wire.Loc{"body"}, "rdi")
	crates := check.List(x.body, wire.Loc{"body"}, "arcs")
	if err := check.Err(); err != nil {
		return err
	}
	if err := x.authorize(rdi); err != nil {
		return err
	}
	if len(crates) == 0 && a.options.V1Status == V1Accepted {
		return refuse(codeSingleARC, "Currently only single ARC submission is supported per request.")
	}
	stored, refused, err := a.submitAll(x, rdi, crates)
	if err != nil {
		return err
	}
	if len(stored) == 0 && len(refused) > 0 {
		return &fault.Error{Code: fault.ARCInvalid, Owner: fault.OwnerRDI, Text: refusedText(refused)}
	}
	return a.answerV1(x, rdi, stored, refused)
}

func (a *API) answerV1(x *exchange, rdi string, stored []*ingest.Accepted, refused []v1Error) error {
	out := v1Answer{
		ClientID: optional(x.client.ID), Message: "ARCs processed successfully", RDI: &rdi,
		ARCs: make([]arcResult, len(stored)), Errors: refused,
	}
	if len(refused) > 0 {
		out.Message = "Processed " + strconv.Itoa(len(stored)) + "/" + strconv.Itoa(len(stored)+len(refused)) +
			" ARCs successfully; refused: " + refusedText(refused)
	}
	task, err := a.service.KeepTask(x.ctx(), x.caller(), rdi, taskMessage(out.Message, refused), stored, "")
	if err != nil {
		return err
	}
	id, progress := task.String(), "processing"
	if len(stored) > 0 && x.awaitGit(stored) {
		progress = "SUCCESS"
	}
	out.TaskID, out.Status = &id, &progress
	status := http.StatusOK
	for i, s := range stored {
		out.ARCs[i] = arcResult{s.ID.String(), s.Status(), stamp(s.LastSeen)}
		if s.Outcome == store.Created && status == http.StatusOK {
			status = http.StatusCreated
			x.w.Header().Set("Location", "/v1/arcs/"+s.ID.String())
		}
	}
	if a.options.V1Status == V1Accepted {
		status = http.StatusAccepted
		x.w.Header().Del("Location")
	}
	return x.json(status, out)
}

// storedText is what clients of the old service read in their tasks.
const storedText = "Stored in CouchDB successfully"

func taskMessage(text string, refused []v1Error) string {
	if len(refused) == 0 {
		return storedText
	}
	return text
}

func refusedText(refused []v1Error) string {
	if len(refused) == 1 {
		return refused[0].Message
	}
	texts := make([]string, len(refused))
	for i, r := range refused {
		texts[i] = "ARC " + strconv.Itoa(r.Index) + ": " + r.Message
	}
	return strings.Join(texts, "; ")
}

// parallelARCs is how many ARCs of one request are stored at once; they share commits.
const parallelARCs = 16

// submitAll stores the crates that are valid. What is wrong with the others is in
// refused; err is a failure of ours, after which the client may send all again.
func (a *API) submitAll(x *exchange, rdi string, crates []jsondoc.Value) (stored []*ingest.Accepted, refused []v1Error, err error) {
	var (
		work    sync.WaitGroup
		places  = make(chan struct{}, parallelARCs)
		results = make([]*ingest.Accepted, len(crates))
		errs    = make([]error, len(crates))
		names   = make([]string, len(crates))
		turn    = make(map[[32]byte]chan struct{}) // the last one with that ARC
	)
	for i, crate := range crates {
		payload, invalid := rocrate.ScanValue(crate, wire.Loc{"body", "arcs", i})
		names[i] = payload.Identifier // also of what is refused, if it can be read
		if invalid == nil {
			invalid = x.strict(payload.Document, wire.Loc{"body", "arcs", i})
		}
		if invalid != nil {
			errs[i] = invalid
			continue
		}
		id := rocrate.Identity(payload.Identifier, rdi)
		before, through := turn[id], make(chan struct{})
		turn[id] = through
		places <- struct{}{}
		work.Go(func() {
			defer func() { close(through); <-places }()
			if before != nil {
				<-before
			}
			results[i], errs[i] = a.service.Submit(x.ctx(), x.caller(), rdi, payload, ingest.WithoutLog)
		})
	}
	work.Wait()
	for i := range crates {
		switch text, sender := refusalOf(errs[i]); {
		case errs[i] == nil:
			stored = append(stored, results[i])
		case sender:
			refused = append(refused, v1Error{i, optional(names[i]), text})
		case err == nil:
			err = errs[i]
		}
	}
	return stored, refused, err
}

// refusalOf says what the sender did wrong, if it was the sender.
func refusalOf(err error) (text string, sender bool) {
	if errs, ok := errors.AsType[wire.Errors](err); ok {
		return errs[0].Msg, true
	}
	if f, ok := fault.Of(err); ok && statuses[f.Code] >= 400 && statuses[f.Code] < 500 {
		return f.Text, true
	}
	return "", false
}

// taskV1 is GET /v1/tasks/{task_id}.
func (a *API) taskV1(x *exchange) error {
	type answer struct {
		TaskID string    `json:"task_id"`
		Status string    `json:"status"`
		Result *v1Answer `json:"result"`
		Error  *string   `json:"error"`
	}
	t, err := a.service.Task(x.ctx(), x.param("task_id"))
	if fault.CodeOf(err) == fault.TaskNotFound {
		return x.json(http.StatusOK, answer{TaskID: x.param("task_id"), Status: "PENDING"})
	}
	if err != nil {
		return err
	}
	out := answer{TaskID: x.param("task_id"), Status: t.Status, Error: t.Error}
	out.Result = &v1Answer{ClientID: t.ClientID, Message: t.Message, RDI: &t.RDI, ARCs: taskResults(t)}
	return x.json(http.StatusOK, out)
}

func taskResults(t store.Task) []arcResult {
	out := make([]arcResult, len(t.ARCs))
	for i, arc := range t.ARCs {
		out[i] = arcResult{arc.ID.String(), string(arc.Status), zulu(arc.At)}
	}
	return out
}

// submitV2 is POST /v2/arcs.
func (a *API) submitV2(x *exchange) error {
	type answer struct {
		ClientID *string `json:"client_id"`
		Message  string  `json:"message"`
		TaskID   string  `json:"task_id"`
		Status   string  `json:"status"`
	}
	rdi, accepted, err := a.submit(x, ingest.WithoutLog)
	if err != nil {
		return err
	}
	x.w.record.ARCID = accepted.ID.String()
	task, err := a.service.KeepTask(x.ctx(), x.caller(), rdi, storedText, []*ingest.Accepted{accepted}, "")
	if err != nil {
		return err
	}
	x.awaitGit([]*ingest.Accepted{accepted})
	return x.json(http.StatusAccepted, answer{TaskID: task.String(), Status: "SUCCESS"})
}

// taskV2 is GET /v2/tasks/{task_id}.
func (a *API) taskV2(x *exchange) error {
	type result struct {
		ClientID *string   `json:"client_id"`
		Message  string    `json:"message"`
		RDI      string    `json:"rdi"`
		ARC      arcResult `json:"arc"`
	}
	type answer struct {
		ClientID *string `json:"client_id"`
		Message  string  `json:"message"`
		Status   string  `json:"status"`
		Result   *result `json:"result"`
	}
	t, err := a.service.Task(x.ctx(), x.param("task_id"))
	if fault.CodeOf(err) == fault.TaskNotFound {
		return x.json(http.StatusOK, answer{Status: "PENDING"})
	}
	if err != nil {
		return err
	}
	out := answer{ClientID: t.ClientID, Status: t.Status}
	if t.Error != nil {
		out.Message = *t.Error
	}
	if t.Status == "RUNNING" {
		out.Status = "STARTED"
	}
	if arcs := taskResults(t); len(arcs) > 0 {
		out.Result = &result{t.ClientID, t.Message, t.RDI, arcs[0]}
	}
	return x.json(http.StatusOK, out)
}
