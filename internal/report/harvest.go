package report

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
)

// HarvestName is the id of a harvest as clients see it.
func HarvestName(id uuid.UUID) string { return "harvest-" + id.String() }

// ParseHarvest reads the id of a harvest as a person types it: with or without
// the prefix.
func ParseHarvest(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(text)), "harvest-"))
	if err != nil {
		f := fault.New(fault.HarvestNotFound, nil).WithText(fmt.Sprintf("%q is no id of a harvest.", clean(text)))
		f.Remedy = "Look for it: middleware-api harvests" // the words of the table are for senders
		return uuid.Nil, f
	}
	return id, nil
}

// HarvestFacts is what the account of a harvest is made of; a *store.Store has
// it.
type HarvestFacts interface {
	Harvest(ctx context.Context, id uuid.UUID) (store.Harvest, error)
	HarvestErrors(ctx context.Context, harvest uuid.UUID, after int64, limit int) ([]store.HarvestError, error)
	Members(ctx context.Context, harvest uuid.UUID, after store.ID, limit int) ([]store.Member, error)
}

// HarvestAccount is one harvest in detail: its counts, what was refused, and
// what has become of what it brought.
type HarvestAccount struct {
	At time.Time `json:"at"`
	Harvest
	ClientID  string        `json:"client_id,omitempty"`
	Unchanged int64         `json:"unchanged"`
	Refused   []RefusedRow  `json:"refused"`
	Git       HarvestInGit  `json:"git"`
	Trouble   []TroubledRow `json:"trouble"`
	Missed    []MissedRow   `json:"not_brought"`
}

// RefusedRow is a submission that the harvest did not get in.
type RefusedRow struct {
	At         time.Time  `json:"at"`
	ARC        store.ID   `json:"arc_id,omitzero"`
	Identifier string     `json:"identifier,omitempty"`
	Code       fault.Code `json:"code"`
	Text       string     `json:"text"`
}

// HarvestInGit counts what has become of the ARCs of a harvest.
type HarvestInGit struct {
	Arrived  int `json:"arrived"`  // the content it brought is in git
	Replaced int `json:"replaced"` // newer content is in git
	Waiting  int `json:"waiting"`
	Failing  int `json:"failing"`
	Parked   int `json:"parked"`
}

// TroubledRow is an ARC of the harvest that does not get into git.
type TroubledRow struct {
	ARC        store.ID    `json:"arc_id"`
	Identifier string      `json:"identifier"`
	Code       fault.Code  `json:"code"`
	Text       string      `json:"text"`
	Owner      fault.Owner `json:"owner"`
	Remedy     string      `json:"remedy"`
}

// MissedRow is a known ARC that the harvest did not bring.
type MissedRow struct {
	ARC        store.ID `json:"arc_id"`
	Identifier string   `json:"identifier"`
}

// How much of a harvest is told one by one.
const (
	shownErrors = 200
	memberPage  = 1000
)

// CollectHarvest gives the account of a harvest, or the fault HarvestNotFound.
func CollectHarvest(ctx context.Context, facts HarvestFacts, id uuid.UUID) (*HarvestAccount, error) {
	h, err := facts.Harvest(ctx, id)
	if err != nil {
		return nil, err
	}
	a := &HarvestAccount{
		At: time.Now(), Harvest: harvest(&h), Unchanged: h.Statistics.Unchanged,
		Refused: []RefusedRow{}, Trouble: []TroubledRow{}, Missed: []MissedRow{},
	}
	if h.ClientID != nil {
		a.ClientID = clean(*h.ClientID)
	}
	refused, err := facts.HarvestErrors(ctx, id, 0, shownErrors)
	if err != nil {
		return nil, err
	}
	for _, e := range refused {
		a.Refused = append(a.Refused, RefusedRow{At: e.At, ARC: e.ARC, Identifier: clean(e.Identifier), Code: e.Code, Text: clean(e.Text)})
	}
	var after store.ID
	for {
		members, err := facts.Members(ctx, id, after, memberPage)
		if err != nil {
			return nil, err
		}
		for i := range members {
			a.count(&members[i])
		}
		if len(members) < memberPage {
			return a, nil
		}
		after = members[len(members)-1].ID
	}
}

func (a *HarvestAccount) count(m *store.Member) {
	switch {
	case m.Outcome == "missing":
		if len(a.Missed) < shownErrors {
			a.Missed = append(a.Missed, MissedRow{m.ID, clean(m.Identifier)})
		}
		return
	case m.Pushed:
		a.Git.Arrived++
		return
	case m.GitState == store.Synced:
		a.Git.Replaced++
		return
	case m.GitState == store.Due:
		a.Git.Waiting++
		return
	case m.GitState == store.Parked:
		a.Git.Parked++
	default:
		a.Git.Failing++
	}
	if len(a.Trouble) < shownErrors {
		f := &m.Failure
		a.Trouble = append(a.Trouble, TroubledRow{m.ID, clean(m.Identifier), f.Code, clean(f.Text), f.Owner, clean(f.Remedy)})
	}
}

// Write writes the account for a terminal.
func (a *HarvestAccount) Write(w io.Writer) error {
	fmt.Fprintf(w, "%s of %s: %s\n", HarvestName(a.ID), clean(a.RDI), a.Status)
	who := a.ClientID
	if who == "" {
		who = "a client without a certificate"
	}
	fmt.Fprintf(w, "  begun %s by %s (%s)\n", a.StartedAt.Local().Format(time.DateTime), who, Ago(a.At, a.StartedAt))
	if !a.EndedAt.IsZero() {
		fmt.Fprintf(w, "  ended %s, after %s\n", a.EndedAt.Local().Format(time.DateTime), Span(a.EndedAt.Sub(a.StartedAt)))
	}
	if a.Note != "" {
		lines(w, "  ", "note: "+a.Note)
	}
	brought := plural(a.Submitted, "ARC")
	if a.Expected > 0 {
		brought += fmt.Sprintf(" of %d announced", a.Expected)
	}
	fmt.Fprintf(w, "\nbrought %s: %d new, %d updated, %d unchanged; %d refused, %d known ones not brought\n",
		brought, a.New, a.Updated, a.Unchanged, a.Errors, a.Missing)
	fmt.Fprintf(w, "of what it brought: %d in git, %d replaced by newer content since, %d on the way, %d tried again, %d waiting for somebody\n",
		a.Git.Arrived, a.Git.Replaced, a.Git.Waiting, a.Git.Failing, a.Git.Parked)
	a.writeTrouble(w)
	if len(a.Missed) > 0 {
		fmt.Fprintln(w, "\nknown, but not brought")
		for _, m := range a.Missed {
			fmt.Fprintf(w, "  %s\n", m.Identifier)
		}
		cut(w, len(a.Missed), a.Missing)
	}
	return nil
}

func (a *HarvestAccount) writeTrouble(w io.Writer) {
	if len(a.Refused) > 0 {
		fmt.Fprintln(w, "\nrefused (the RDI corrects and sends again)")
		for _, r := range a.Refused {
			name := r.Identifier
			if name == "" {
				name = "an ARC without identifier"
			}
			lines(w, "  ", fmt.Sprintf("%s %s: %s: %s", r.At.Local().Format(time.TimeOnly), name, r.Code, r.Text))
		}
		cut(w, len(a.Refused), a.Errors)
	}
	if len(a.Trouble) > 0 {
		fmt.Fprintln(w, "\naccepted, but not in git")
		for _, t := range a.Trouble {
			lines(w, "  ", fmt.Sprintf("%s: %s: %s", t.Identifier, t.Code, t.Text))
			lines(w, "    ", "who: "+OwnerName(t.Owner)+"; type: middleware-api explain "+t.ARC.String())
		}
		cut(w, len(a.Trouble), int64(a.Git.Failing+a.Git.Parked))
	}
}

// cut says that a list is longer than what is shown.
func cut(w io.Writer, shown int, all int64) {
	if more := all - int64(shown); more > 0 {
		fmt.Fprintf(w, "  … and %d more\n", more)
	}
}
