package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/store"
)

// arcView is an ARC as somebody reads it.
type arcView struct {
	ARCID       string       `json:"arc_id"`
	RDI         string       `json:"rdi"`
	Identifier  string       `json:"identifier"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Metadata    metadataView `json:"metadata"`
	Git         gitView      `json:"git"`
}

type metadataView struct {
	Hash               string  `json:"arc_hash"`
	Status             string  `json:"status"`
	FirstSeen          string  `json:"first_seen"`
	LastSeen           string  `json:"last_seen"`
	LastChanged        string  `json:"last_changed"`
	MissingSince       *string `json:"missing_since"`
	Version            int64   `json:"version"`
	Size               int64   `json:"size"`
	FirstHarvest       *string `json:"first_harvest_id"`
	LastHarvest        *string `json:"last_harvest_id"`
	LastChangedHarvest *string `json:"last_changed_harvest_id"`
}

// gitView tells how far an ARC has come on its way into git.
type gitView struct {
	State         string       `json:"state"` // synced, due, failing or parked
	Commit        *string      `json:"commit"`
	PushedAt      *string      `json:"pushed_at"`
	PushedHash    *string      `json:"pushed_hash"`
	PushedVersion *int64       `json:"pushed_version"`
	Pushing       bool         `json:"pushing"`
	Attempts      int          `json:"attempts"` // failed ones since the last success
	NextAttempt   *string      `json:"next_attempt"`
	LastError     *failureView `json:"last_error"`
}

type failureView struct {
	Class  string      `json:"class"`
	Code   fault.Code  `json:"code"`
	Text   string      `json:"text"`
	Owner  fault.Owner `json:"owner"`
	Remedy string      `json:"remedy"`
	At     *string     `json:"at"`
}

type eventView struct {
	ID        int64   `json:"id"`
	Timestamp string  `json:"timestamp"`
	Type      string  `json:"type"`
	Message   string  `json:"message"`
	HarvestID *string `json:"harvest_id"`
}

func newARCView(a store.ARC) arcView {
	return arcView{
		ARCID: a.ID.String(), RDI: a.RDI, Identifier: a.Identifier, Name: a.Name, Description: a.Description,
		Metadata: metadataView{
			Hash: a.Hash.String(), Status: string(a.Lifecycle), FirstSeen: zulu(a.FirstSeen), LastSeen: zulu(a.LastSeen),
			LastChanged: zulu(a.LastChanged), MissingSince: optionalTime(a.MissingSince), Version: a.Version, Size: a.Size,
			FirstHarvest: optionalHarvest(a.FirstHarvest), LastHarvest: optionalHarvest(a.LastHarvest), LastChangedHarvest: optionalHarvest(a.ChangedIn),
		},
		Git: newGitView(a.Git),
	}
}

func newGitView(g store.Git) gitView {
	v := gitView{
		State: string(g.State), Commit: optional(g.Commit), PushedAt: optionalTime(g.PushedAt), Pushing: g.Pushing,
		Attempts: g.Attempts, NextAttempt: optionalTime(g.NextAttempt), LastError: newFailureView(g.Failure, g.FailedAt),
	}
	if !g.PushedAt.IsZero() {
		hash := g.PushedHash.String()
		v.PushedHash, v.PushedVersion = &hash, &g.PushedVersion
	}
	return v
}

func newFailureView(f store.Failure, at time.Time) *failureView {
	if f.Code == "" {
		return nil
	}
	return &failureView{f.Class, f.Code, f.Text, f.Owner, f.Remedy, optionalTime(at)}
}

func newEventView(e store.Event) eventView {
	return eventView{e.ID, zulu(e.At), e.Type, e.Message, optionalHarvest(e.Harvest)}
}

func optionalTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := zulu(t)
	return &s
}

func optionalHarvest(id uuid.UUID) *string {
	if id == uuid.Nil {
		return nil
	}
	s := ingest.HarvestID(store.Harvest{ID: id})
	return &s
}

// visibleARC finds the ARC of the path. One of an RDI that is not the caller's
// is hidden.
func (a *API) visibleARC(x *exchange) (store.ARC, error) {
	x.w.record.ARCID = x.param("arc_id")
	arc, err := a.service.ARC(x.ctx(), x.param("arc_id"))
	if err != nil {
		return arc, err
	}
	if x.authorize(arc.RDI) != nil {
		return arc, fault.New(fault.ARCNotFound, nil)
	}
	return arc, nil
}

// getARC is GET /v3/arcs/{arc_id}.
func (a *API) getARC(x *exchange) error {
	type answer struct {
		arcView
		Events []eventView `json:"events"`
	}
	arc, err := a.visibleARC(x)
	if err != nil {
		return err
	}
	events, err := a.service.Events(x.ctx(), arc.ID)
	if err != nil {
		return err
	}
	out := answer{newARCView(arc), make([]eventView, len(events))}
	for i, e := range events {
		out.Events[i] = newEventView(e)
	}
	return x.json(http.StatusOK, out)
}

// listARCs is GET /v3/arcs.
func (a *API) listARCs(x *exchange) error {
	type answer struct {
		ARCs []arcView `json:"arcs"`
		Next *string   `json:"next"`
	}
	q := x.newQuery()
	filter := store.ARCFilter{
		State:     store.GitState(q.enum("git_state", string(store.Synced), string(store.Due), string(store.Failing), string(store.Parked))),
		Lifecycle: store.Lifecycle(q.enum("lifecycle", string(store.Active), string(store.Missing), string(store.Deleted))),
		Limit:     q.integer("limit", 100, 1, 1000),
	}
	filter.Text, _ = x.query("text")
	if strings.ContainsRune(filter.Text, 0) || strings.ToValidUTF8(filter.Text, "") != filter.Text {
		q.add("text", "string_unicode", "Input should be a valid string, unable to parse raw data as a unicode string", strings.ToValidUTF8(filter.Text, "\uFFFD"), "")
	}
	after, _ := x.query("after")
	cursor, err := store.ParseCursor(after)
	if err != nil {
		q.add("after", "value_error", "Value error, after must be the member next of an earlier answer", strings.ToValidUTF8(after, "\uFFFD"), `{"error":{}}`)
	}
	filter.After = cursor
	if err := q.err(); err != nil {
		return err
	}
	if id, _ := x.query("harvest_id"); id != "" {
		h, err := a.service.HarvestHead(x.ctx(), id)
		if err != nil || x.client.Authorize(h.RDI) != nil {
			return hiddenHarvest(err)
		}
		filter.Harvest = h.ID
	}
	if filter.RDIs, err = x.rdis(); err != nil {
		return err
	}
	list, next, err := a.service.ARCs(x.ctx(), filter)
	if err != nil {
		return err
	}
	out := answer{make([]arcView, len(list)), optional(next.String())}
	for i, arc := range list {
		out.ARCs[i] = newARCView(arc)
	}
	return x.json(http.StatusOK, out)
}

// hiddenHarvest makes what is not there of what may not be seen.
func hiddenHarvest(err error) error {
	if err == nil {
		return fault.New(fault.HarvestNotFound, nil)
	}
	return err
}

// arcContent is GET /v3/arcs/{arc_id}/content.
func (a *API) arcContent(x *exchange) error {
	arc, err := a.visibleARC(x)
	if err != nil {
		return err
	}
	// The hash leaves dates out that change with every export, hence a weak tag.
	tag := func(hash store.Hash) string { return `W/"` + hash.String() + `"` }
	if known := tag(arc.Hash); x.r.Header.Get("If-None-Match") == known {
		x.w.Header().Set("ETag", known)
		x.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	memory := x.memory() // for as long as the client takes to read it
	if !memory.take(int(arc.Size), arc.Size > firstChunk) {
		return overloaded()
	}
	defer memory.give(int(arc.Size))
	document, hash, err := a.service.Document(x.ctx(), arc.ID)
	if err != nil {
		return err
	}
	x.w.Header().Set("ETag", tag(hash))
	return writeBody(x.w, http.StatusOK, "application/ld+json", document)
}

// arcEventsAfter is GET /v3/arcs/{arc_id}/events.
func (a *API) arcEventsAfter(x *exchange) error {
	type answer struct {
		Events []eventView `json:"events"`
		Next   *int64      `json:"next"`
	}
	q := x.newQuery()
	after, limit := q.position("after"), q.integer("limit", 100, 1, 1000)
	if err := q.err(); err != nil {
		return err
	}
	arc, err := a.visibleARC(x)
	if err != nil {
		return err
	}
	events, err := a.service.Events(x.ctx(), arc.ID)
	if err != nil {
		return err
	}
	out := answer{Events: []eventView{}}
	for _, e := range events {
		if e.ID <= after {
			continue
		}
		if len(out.Events) == limit {
			out.Next = &out.Events[limit-1].ID
			break
		}
		out.Events = append(out.Events, newEventView(e))
	}
	return x.json(http.StatusOK, out)
}

// arcReport is GET /v3/arcs/{arc_id}/report. What the push has not looked at yet
// is looked at now.
func (a *API) arcReport(x *exchange) error {
	arc, err := a.visibleARC(x)
	if err != nil {
		return err
	}
	report, err := a.service.Report(x.ctx(), arc.ID)
	if err != nil {
		return err
	}
	out := newReport(report.Findings)
	out.CheckedAt = optionalTime(report.At)
	hash := arc.Hash
	if report.Hash != arc.Hash {
		result, err := x.convert(func() (document []byte, err error) {
			document, hash, err = a.service.Document(x.ctx(), arc.ID)
			return document, err
		})
		if err != nil {
			return err
		}
		out = newReport(storeFindings(result.Findings))
		out.CheckedAt = optionalTime(time.Now())
	}
	out.ARCID, out.Hash, out.Identifier = optional(arc.ID.String()), optional(hash.String()), optional(arc.Identifier)
	return x.json(http.StatusOK, out)
}

// syncARC is POST /v3/arcs/{arc_id}/sync.
func (a *API) syncARC(x *exchange) error {
	type answer struct {
		ARCID string  `json:"arc_id"`
		Git   gitView `json:"git"`
	}
	arc, err := a.visibleARC(x)
	if err != nil {
		return err
	}
	if err := a.service.RequestSync(x.ctx(), x.caller(), arc.ID); err != nil {
		return err
	}
	x.awaitGit([]*ingest.Accepted{{ID: arc.ID}})
	if arc, err = a.service.ARC(x.ctx(), arc.ID.String()); err != nil {
		return err
	}
	return x.json(http.StatusAccepted, answer{arc.ID.String(), newGitView(arc.Git)})
}
