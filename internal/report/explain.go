package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// ARCFacts is what the story of an ARC is made of; a *store.Store has it.
type ARCFacts interface {
	ARC(ctx context.Context, id store.ID) (store.ARC, error)
	ARCs(ctx context.Context, f store.ARCFilter) ([]store.ARC, store.Cursor, error)
	Events(ctx context.Context, arc store.ID) ([]store.Event, error)
	AuditTrail(ctx context.Context, arc store.ID, before int64, limit int) ([]store.Audit, error)
	Report(ctx context.Context, arc store.ID) (store.Report, error)
	Remotes(ctx context.Context) ([]store.Remote, error)
}

// FindARC finds the ARC that a person means: by its id, as RDI/IDENTIFIER, or
// by a text that occurs in the identifier or the name of one ARC only. The
// search by text is limited to the given RDIs, if there are any.
func FindARC(ctx context.Context, facts ARCFacts, text string, rdis ...string) (store.ID, error) {
	text = strings.TrimSpace(text)
	if id, err := store.ParseID(strings.ToLower(text)); err == nil {
		return id, nil
	}
	if rdi, identifier, ok := strings.Cut(text, "/"); ok {
		id := store.ID(rocrate.Identity(identifier, rdi))
		if _, err := facts.ARC(ctx, id); err == nil {
			return id, nil
		} else if fault.CodeOf(err) != fault.ARCNotFound {
			return store.ID{}, err
		}
	}
	if text == "" {
		return store.ID{}, fault.New(fault.ARCNotFound, nil)
	}
	return search(ctx, facts, text, rdis)
}

// shownMatches is how many ARCs are named when a text fits several.
const shownMatches = 5

func search(ctx context.Context, facts ARCFacts, text string, rdis []string) (store.ID, error) {
	list, _, err := facts.ARCs(ctx, store.ARCFilter{RDIs: rdis, Text: text, Limit: shownMatches + 1})
	if err != nil {
		return store.ID{}, err
	}
	switch len(list) {
	case 0:
		f := fault.New(fault.ARCNotFound, nil).WithText(fmt.Sprintf("No ARC has %q as its id, RDI/IDENTIFIER, or part of its identifier or name.", clean(text)))
		f.Remedy = "Look for it: middleware-api arcs" // the words of the table are for senders
		return store.ID{}, f
	case 1:
		return list[0].ID, nil
	}
	var names []string
	for _, a := range list[:min(len(list), shownMatches)] {
		names = append(names, clean(a.RDI+"/"+a.Identifier))
	}
	if len(list) > shownMatches {
		names = append(names, "…")
	}
	return store.ID{}, fault.New(fault.ARCAmbiguous, nil).WithText(
		fmt.Sprintf("%q fits several ARCs: %s.", clean(text), strings.Join(names, ", ")))
}

// Story is everything that is known of one ARC, from its first upload to the
// commit.
type Story struct {
	At         time.Time       `json:"at"`
	ID         store.ID        `json:"id"`
	RDI        string          `json:"rdi"`
	Identifier string          `json:"identifier"`
	Name       string          `json:"name"`
	Lifecycle  store.Lifecycle `json:"lifecycle"`
	Version    int64           `json:"version"`
	Size       int64           `json:"size"`
	State      store.GitState  `json:"git_state"`
	Now        string          `json:"now"`              // one or two sentences
	Owner      fault.Owner     `json:"owner,omitempty"`  // who has to do something
	Remedy     string          `json:"remedy,omitempty"` // what
	Commands   []string        `json:"commands"`
	Findings   []store.Finding `json:"findings"`
	Moments    []Moment        `json:"moments"`
}

// Moment is something that happened to the ARC.
type Moment struct {
	At      time.Time `json:"at"`
	Type    string    `json:"type"`
	Text    string    `json:"text"`
	Actor   string    `json:"actor,omitempty"`
	Harvest uuid.UUID `json:"harvest,omitzero"`
	Request string    `json:"request_id,omitempty"`
}

// auditLines is how much of the audit trail belongs to a story.
const auditLines = 200

// CollectStory tells the story of an ARC, or gives the fault ARCNotFound.
func CollectStory(ctx context.Context, facts ARCFacts, id store.ID) (*Story, error) {
	arc, err := facts.ARC(ctx, id)
	if err != nil {
		return nil, err
	}
	events, errEvents := facts.Events(ctx, id)
	trail, errTrail := facts.AuditTrail(ctx, id, 0, auditLines)
	findings, errFindings := facts.Report(ctx, id)
	remotes, errRemotes := facts.Remotes(ctx)
	if err := errors.Join(errEvents, errTrail, errFindings, errRemotes); err != nil {
		return nil, err
	}
	s := &Story{
		At: time.Now(), ID: id, RDI: clean(arc.RDI), Identifier: clean(arc.Identifier), Name: clean(arc.Name),
		Lifecycle: arc.Lifecycle, Version: arc.Version, Size: arc.Size, State: arc.Git.State,
		Commands: []string{}, Findings: []store.Finding{}, Moments: moments(events, trail),
	}
	if findings.Hash == arc.Hash {
		s.Findings = append(s.Findings, findings.Findings...)
	}
	s.now(&arc, remotes)
	return s, nil
}

// moments merges what happened to the ARC with who caused it.
func moments(events []store.Event, trail []store.Audit) []Moment {
	list := make([]Moment, 0, len(events)+len(trail))
	for _, e := range events {
		list = append(list, Moment{At: e.At, Type: e.Type, Text: clean(e.Message), Harvest: e.Harvest})
	}
	for _, a := range trail {
		m := Moment{At: a.At, Type: a.Action, Text: clean(a.Detail), Actor: clean(a.Actor.Subject), Harvest: a.Harvest, Request: a.Actor.RequestID}
		if m.Text == a.ARC.String() {
			m.Text = "" // the page says already which ARC it is
		}
		if a.Version > 0 {
			m.Text = strings.TrimSpace(fmt.Sprintf("version %d %s", a.Version, m.Text))
		}
		list = append(list, m)
	}
	slices.SortStableFunc(list, func(a, b Moment) int { return a.At.Compare(b.At) })
	return list
}

// now words where the ARC stands, and what would bring it further.
func (s *Story) now(arc *store.ARC, remotes []store.Remote) {
	git := &arc.Git
	switch {
	case git.Pushing:
		s.Now = fmt.Sprintf("Version %d is being pushed right now.", arc.Version)
	case git.State == store.Synced:
		s.Now = fmt.Sprintf("Version %d, the newest, is in git: commit %s, pushed %s.", arc.Version, git.Commit, Ago(s.At, git.PushedAt))
		return
	case git.State == store.Parked:
		s.Now = fmt.Sprintf("Version %d is not in git, and trying again would not help: %s", arc.Version, sentence(clean(git.Failure.Text)))
		if git.Failure.Code == fault.ParkedByHand {
			s.Now = fmt.Sprintf("Version %d is not in git, and waits, since an operator has parked it: %s", arc.Version, sentence(clean(git.Failure.Text)))
		}
		if git.Commit != "" && git.PushedHash == arc.Hash { // parked when there was nothing to push
			s.Now = fmt.Sprintf("Version %d, the newest, is in git, and is not pushed again: %s", arc.Version, sentence(clean(git.Failure.Text)))
		}
		s.Owner, s.Remedy = git.Failure.Owner, clean(git.Failure.Remedy)
		s.Commands = append(s.Commands, "middleware-api resync "+s.ID.String())
	case git.State == store.Failing:
		s.Now = fmt.Sprintf("Version %d is not in git yet. %s failed, the last %s: %s The next attempt is %s.", arc.Version,
			plural(int64(git.Attempts), "attempt"), Ago(s.At, git.FailedAt), sentence(clean(git.Failure.Text)), Until(s.At, git.NextAttempt))
		s.Owner, s.Remedy = git.Failure.Owner, clean(git.Failure.Remedy)
		s.Commands = append(s.Commands, "middleware-api resync "+s.ID.String())
	default:
		s.Now = fmt.Sprintf("Version %d has been waiting to be pushed for %s.", arc.Version, Span(s.At.Sub(arc.LastChanged)))
	}
	if git.Commit == "" {
		s.Now += " It was never in git before."
	} else {
		s.Now += fmt.Sprintf(" In git is version %d, commit %s.", git.PushedVersion, git.Commit)
	}
	s.held(remotes)
}

// held adds that nothing moves because the git store is paused.
func (s *Story) held(remotes []store.Remote) {
	if s.State == store.Parked {
		return
	}
	for _, r := range remotes {
		if r.Paused {
			s.Now += fmt.Sprintf(" Nothing is pushed at the moment, because the git store %q has been paused for %s: %s", r.Name, Span(s.At.Sub(r.PausedAt)), clean(r.Text))
			s.Owner, s.Remedy = r.Owner, clean(r.Remedy)
		}
	}
}

// Write writes the story for a terminal.
func (s *Story) Write(w io.Writer) error {
	fmt.Fprintf(w, "ARC %s\n  %s/%s", s.ID, s.RDI, s.Identifier)
	if s.Name != "" {
		fmt.Fprintf(w, " (%s)", s.Name)
	}
	fmt.Fprintf(w, "\n  %s, %d bytes, git state %s\n\n", strings.ToLower(string(s.Lifecycle)), s.Size, s.State)
	lines(w, "", s.Now)
	if s.Remedy != "" {
		lines(w, "  ", "who: "+OwnerName(s.Owner))
		lines(w, "  ", "how: "+s.Remedy)
	}
	for _, command := range s.Commands {
		fmt.Fprintf(w, "  then: %s\n", command)
	}
	if len(s.Findings) > 0 {
		fmt.Fprintf(w, "\n%s in the newest content\n", plural(int64(len(s.Findings)), "finding"))
	}
	for _, f := range s.Findings {
		lines(w, "  ", fmt.Sprintf("%s at %q: %s", f.Severity, clean(f.Pointer), clean(f.Text)))
		if f.Remedy != "" {
			lines(w, "    ", "-> "+clean(f.Remedy))
		}
	}
	fmt.Fprintln(w, "\nwhat happened")
	for _, m := range s.Moments {
		fmt.Fprintf(w, "  %s  %-20s  %s", m.At.Local().Format(time.DateTime), m.Type, m.Text)
		if m.Actor != "" {
			fmt.Fprintf(w, "  by %s", m.Actor)
		}
		if m.Request != "" {
			fmt.Fprintf(w, "  request %s", m.Request)
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "\nmore: journalctl ARC_ID=%s\n", s.ID)
	return err
}
