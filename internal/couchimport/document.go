package couchimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// document is what the service before this one kept, of whatever kind; the id
// says which.
type document struct {
	ID      string          `json:"_id"`
	Deleted bool            `json:"_deleted"`
	RDI     string          `json:"rdi"`
	Content json.RawMessage `json:"arc_content"`
	Meta    metadata        `json:"metadata"`

	ClientID    *string     `json:"client_id"`
	StartedAt   moment      `json:"started_at"`
	CompletedAt moment      `json:"completed_at"`
	Status      string      `json:"status"`
	Statistics  *statistics `json:"statistics"`

	Result    json.RawMessage `json:"result"`
	UpdatedAt json.RawMessage `json:"updated_at"`
}

type metadata struct {
	Hash         string  `json:"arc_hash"`
	Status       string  `json:"status"`
	FirstSeen    moment  `json:"first_seen"`
	LastSeen     moment  `json:"last_seen"`
	LastChanged  moment  `json:"last_changed"`
	FirstHarvest string  `json:"first_harvest_id"`
	LastHarvest  string  `json:"last_harvest_id"`
	ChangedIn    string  `json:"last_changed_harvest_id"`
	MissingSince moment  `json:"missing_since"`
	Events       []event `json:"events"`
}

type event struct {
	At      moment `json:"timestamp"`
	Type    string `json:"type"`
	Message string `json:"message"`
	Harvest string `json:"harvest_id"`
}

type statistics struct {
	Expected  *int64 `json:"expected_datasets"`
	New       int64  `json:"arcs_new"`
	Updated   int64  `json:"arcs_updated"`
	Unchanged int64  `json:"arcs_unchanged"`
	Missing   int64  `json:"arcs_missing"`
	Errors    int64  `json:"errors"`
}

// moment is a time as the old service wrote it: RFC 3339, or without a zone,
// which meant UTC; null and absent are zero.
type moment struct{ time.Time }

// UnmarshalJSON reads a time.
func (m *moment) UnmarshalJSON(data []byte) error {
	var text *string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if text == nil || *text == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, *text); err == nil {
			m.Time = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is no time", *text)
}

// Prefixes of the ids of documents.
const (
	prefixARC     = "arc_"
	prefixHarvest = "harvest-"
	prefixTask    = "task_status_"
	prefixKey     = "harvest-idempotency:" // which harvest a client's key has begun
	prefixDesign  = "_design/"
)

// parse reads a line: a document, or a row of _all_docs that holds one.
func parse(line []byte) (*document, error) {
	var row struct { // a document, or a row: the one has _id and the other doc
		document
		Error string          `json:"error"`
		Row   json.RawMessage `json:"doc"`
		Rows  json.RawMessage `json:"rows"`
		Docs  json.RawMessage `json:"docs"`
	}
	if line[0] == '[' {
		return nil, errors.New("this line is a list; write one document per line, as jq -c '.[]' does")
	}
	if err := json.Unmarshal(line, &row); err != nil {
		return nil, worded(err)
	}
	if row.ID != "" {
		return &row.document, nil
	}
	switch {
	case len(row.Rows) > 0 || len(row.Docs) > 0:
		return nil, errors.New("this line is a list; write one document per line, as jq -c '(.rows[]?, .docs[]?)' does")
	case row.Error != "":
		return nil, fmt.Errorf("the export says about this row: %s", row.Error)
	case len(row.Row) == 0 || string(row.Row) == "null":
		return nil, errors.New("there is no document in this line; export with include_docs=true")
	}
	d := &document{}
	if err := json.Unmarshal(row.Row, d); err != nil {
		return nil, worded(err)
	}
	if d.ID == "" {
		return nil, errors.New("the document has no _id")
	}
	return d, nil
}

// worded says in plain words why a line is no document.
func worded(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("this is not JSON (byte %d: %w); was the export cut off?", e.Offset, err)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("member %s is a %s", e.Field, e.Value)
	}
	return err
}

// readARC gives the ARC of a document, and whether the recorded hash is that of
// the content.
func (d *document) readARC() (in store.Imported, hashFits bool, err error) {
	if len(d.Content) == 0 || string(d.Content) == "null" {
		return in, false, errors.New("there is no arc_content")
	}
	p, err := rocrate.Scan(d.Content)
	if err != nil {
		return in, false, fmt.Errorf("arc_content is no crate that would be accepted: %w", err)
	}
	if d.RDI == "" {
		return in, false, errors.New("there is no rdi")
	}
	id := store.ID(rocrate.Identity(p.Identifier, d.RDI))
	if named := strings.TrimPrefix(d.ID, prefixARC); named != id.String() {
		return in, false, fmt.Errorf("the id says %s, but identifier %q of RDI %q has the id %s", named, p.Identifier, d.RDI, id)
	}
	m := &d.Meta
	a := &in.ARC
	*a = store.ARC{
		ID: id, RDI: strings.TrimSpace(d.RDI), Identifier: rocrate.Shown(p.Identifier, rocrate.MaxShown),
		Name: p.Name, Description: p.Description, Hash: p.Hash,
		Size: int64(len(p.Document)), FirstSeen: m.FirstSeen.Time, LastSeen: m.LastSeen.Time, LastChanged: m.LastChanged.Time,
		MissingSince: m.MissingSince.Time,
	}
	if a.Lifecycle, err = lifecycle(m.Status); err != nil {
		return in, false, err
	}
	if err := d.times(a); err != nil {
		return in, false, err
	}
	in.Frame = store.Compress(p.Document)
	a.FirstHarvest, a.LastHarvest, a.ChangedIn = harvestID(m.FirstHarvest), harvestID(m.LastHarvest), harvestID(m.ChangedIn)
	for _, e := range m.Events {
		if e.At.IsZero() || e.Type == "" {
			return in, false, errors.New("an event has no timestamp or no type")
		}
		in.Events = append(in.Events, store.Event{At: e.At.Time, Type: e.Type, Message: rocrate.Shown(e.Message, rocrate.MaxShown), Harvest: harvestID(e.Harvest)})
	}
	in.Pushed = pushed(m.Events, a.LastChanged)
	return in, m.Hash == a.Hash.String(), nil
}

// times fills in what old documents lack.
func (d *document) times(a *store.ARC) error {
	if a.LastSeen.IsZero() {
		a.LastSeen = a.FirstSeen
	}
	if a.FirstSeen.IsZero() {
		a.FirstSeen = a.LastSeen
	}
	if a.FirstSeen.IsZero() {
		return errors.New("there is neither metadata.first_seen nor metadata.last_seen")
	}
	if a.LastChanged.IsZero() {
		a.LastChanged = d.changed(a.LastSeen)
	}
	return nil
}

// changed tells when the content of a document without last_changed changed, which
// its log may know: that it was seen again since must not make it look as if the old
// service had not pushed it. Otherwise it is as the old service read such documents.
func (d *document) changed(seen time.Time) time.Time {
	var at time.Time
	for _, e := range d.Meta.Events {
		if (e.Type == store.EventCreated || e.Type == store.EventUpdated) && e.At.After(at) && !e.At.After(seen) {
			at = e.At.Time
		}
	}
	if at.IsZero() {
		return seen
	}
	return at
}

func lifecycle(status string) (store.Lifecycle, error) {
	switch l := store.Lifecycle(status); l {
	case "":
		return store.Active, nil
	case store.Active, store.Missing, store.Deleted, "PROCESSING", "INVALID":
		return l, nil
	}
	return "", fmt.Errorf("metadata.status %q is unknown", status)
}

// harvestID gives the id of a harvest; one that cannot be read counts as none.
func harvestID(text string) uuid.UUID {
	id, _ := store.HarvestUUID(text)
	return id
}

// pushed tells when the old service last pushed the content that the document
// holds; zero if it does not say so, or if a later attempt failed.
func pushed(events []event, changed time.Time) (at time.Time) {
	var last time.Time
	for _, e := range events {
		if e.At.Before(last) {
			continue
		}
		switch e.Type {
		case store.EventPushed:
			last, at = e.At.Time, e.At.Time
		case store.EventPushFailed:
			last, at = e.At.Time, time.Time{}
		}
	}
	if at.Before(changed) {
		return time.Time{}
	}
	return at
}

// readHarvest gives the harvest of a document.
func (d *document) readHarvest() (store.Harvest, error) {
	id, ok := store.HarvestUUID(d.ID)
	if !ok {
		return store.Harvest{}, fmt.Errorf("%q is no id of a harvest", d.ID)
	}
	h := store.Harvest{ID: id, RDI: d.RDI, ClientID: d.ClientID, Status: store.HarvestStatus(d.Status), StartedAt: d.StartedAt.Time}
	switch h.Status {
	case store.Running, store.Completed, store.Failed, store.Cancelled:
	default:
		return h, fmt.Errorf("status %q is unknown", d.Status)
	}
	switch {
	case h.RDI == "":
		return h, errors.New("there is no rdi")
	case h.StartedAt.IsZero():
		return h, errors.New("there is no started_at")
	}
	if !d.CompletedAt.IsZero() {
		h.CompletedAt = &d.CompletedAt.Time
	}
	if s := d.Statistics; s != nil {
		h.Expected = s.Expected
		h.Statistics = store.Statistics{New: s.New, Updated: s.Updated, Unchanged: s.Unchanged, Missing: s.Missing, Errors: s.Errors}
	}
	return h, nil
}

// readTask gives the task of a document; false if there is nothing in it that a
// client could wait for.
func (d *document) readTask() (t store.Task, ok bool) {
	var updated moment
	var result struct {
		ClientID *string `json:"client_id"`
		Message  string  `json:"message"`
		RDI      string  `json:"rdi"`
		ARC      struct {
			ID     string        `json:"id"`
			Status store.Outcome `json:"status"`
			At     moment        `json:"timestamp"`
		} `json:"arc"`
	}
	id, err := uuid.Parse(strings.TrimPrefix(d.ID, prefixTask))
	if err == nil {
		err = errors.Join(json.Unmarshal(d.Result, &result), json.Unmarshal(d.UpdatedAt, &updated))
	}
	arc, aerr := store.ParseID(result.ARC.ID)
	if err != nil || aerr != nil || d.Status != "SUCCESS" || updated.IsZero() || result.ARC.Status == "" {
		return t, false
	}
	return store.Task{
		ID: id, ClientID: result.ClientID, RDI: result.RDI, Status: d.Status, Message: result.Message, UpdatedAt: updated.Time,
		ARCs: []store.TaskARC{{ID: arc, Status: result.ARC.Status, At: result.ARC.At.Time}},
	}, true
}
