package httpapi

import (
	"net/http"
	"strings"

	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
	"github.com/fairagro/middleware-api/internal/store"
)

// memberView is an ARC as a harvest saw it, and what has become of it since.
type memberView struct {
	ARCID      string          `json:"arc_id"`
	Identifier string          `json:"identifier"`
	Name       string          `json:"name"`
	Outcome    string          `json:"outcome"` // new, updated, unchanged or missing
	Hash       string          `json:"arc_hash"`
	Timestamp  string          `json:"timestamp"`
	GitState   string          `json:"git_state"`
	Commit     *string         `json:"commit"`
	InGit      bool            `json:"in_git"` // the content of this harvest is what is in git
	LastError  *failureView    `json:"last_error"`
	Findings   []store.Finding `json:"findings"`
}

func newMemberView(m store.Member) memberView {
	return memberView{
		ARCID: m.ID.String(), Identifier: m.Identifier, Name: m.Name, Outcome: m.Outcome, Hash: m.Hash.String(), Timestamp: zulu(m.At),
		GitState: string(m.GitState), Commit: optional(m.Commit), InGit: m.Pushed, LastError: newFailureView(m.Failure, m.FailedAt), Findings: m.Findings,
	}
}

// maxListedFindings ends a list of ARCs before its limit: their findings are held in memory.
const maxListedFindings = 20_000

// harvestARCs is GET /v3/harvests/{harvest_id}/arcs.
func (a *API) harvestARCs(x *exchange) error {
	type answer struct {
		ARCs []memberView `json:"arcs"`
		Next *string      `json:"next"`
	}
	q := x.newQuery()
	limit := q.integer("limit", 100, 1, 1000)
	var after store.ID
	if text, _ := x.query("after"); text != "" {
		var err error
		if after, err = store.ParseID(text); err != nil {
			q.add("after", "value_error", "Value error, after must be the member next of an earlier answer", strings.ToValidUTF8(text, "\uFFFD"), `{"error":{}}`)
		}
	}
	if err := q.err(); err != nil {
		return err
	}
	h, err := a.visibleHarvest(x)
	if err != nil {
		return err
	}
	out, findings := answer{ARCs: []memberView{}}, 0
	for m, err := range a.service.Members(x.ctx(), h, after) {
		if err != nil {
			return err
		}
		if len(out.ARCs) == limit || findings >= maxListedFindings {
			out.Next = &out.ARCs[len(out.ARCs)-1].ARCID
			break
		}
		out.ARCs = append(out.ARCs, newMemberView(m))
		findings += len(m.Findings)
	}
	return x.json(http.StatusOK, out)
}

// diffHarvest is POST /v3/harvests/{harvest_id}/diff.
func (a *API) diffHarvest(x *exchange) error {
	type compared struct {
		Identifier string `json:"identifier"`
		ARCID      string `json:"arc_id"`
		Status     string `json:"status"` // new, changed, unchanged or conflict
	}
	type answer struct {
		HarvestID string     `json:"harvest_id"`
		New       int        `json:"new"`
		Changed   int        `json:"changed"`
		Unchanged int        `json:"unchanged"`
		Conflict  int        `json:"conflict"`
		ARCs      []compared `json:"arcs"`
	}
	known, err := x.readPairs()
	if err != nil {
		return err
	}
	h, err := a.harvestHead(x)
	if err != nil {
		return err
	}
	list, err := a.service.Diff(x.ctx(), x.caller(), h, known)
	if err != nil {
		return err
	}
	out := answer{HarvestID: ingest.HarvestID(h), ARCs: make([]compared, len(list))}
	for i, c := range list {
		out.ARCs[i] = compared{c.Identifier, c.ID.String(), string(c.Difference)}
		switch c.Difference {
		case store.IsNew:
			out.New++
		case store.IsChanged:
			out.Changed++
		case store.IsUnchanged:
			out.Unchanged++
		case store.IsConflict:
			out.Conflict++
		}
	}
	return x.json(http.StatusOK, out)
}

// readPairs reads {"arcs":[{"identifier":…,"arc_hash":…}, …]}.
func (x *exchange) readPairs() ([]ingest.Known, error) {
	var check wire.Checker
	if !check.Body(x.body) {
		return nil, check.Err()
	}
	elements := check.List(x.body, wire.Loc{"body"}, "arcs")
	if err := check.Err(); err != nil {
		return nil, err
	}
	known := make([]ingest.Known, len(elements))
	for i, element := range elements {
		loc := wire.Loc{"body", "arcs", i}
		known[i].Identifier = check.String(element, loc, "identifier")
		text := check.String(element, loc, "arc_hash")
		if check.Full() {
			break
		}
		hash, err := store.ParseHash(text)
		if sent := element.Member("arc_hash"); err != nil && sent.Is(text) { // else it is no text, which has been told
			check.ValueError(loc.With("arc_hash"), "arc_hash must be 64 lower-case hex digits", sent)
		}
		known[i].Hash = hash
	}
	return known, check.Err()
}
