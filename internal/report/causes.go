package report

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
)

// causeFacts is what knows causes; a *store.Store does.
type causeFacts interface {
	Causes(ctx context.Context, rdis ...string) ([]store.Cause, error)
	Remotes(ctx context.Context) ([]store.Remote, error)
}

// Causes is what keeps ARCs out of git, grouped.
type Causes struct {
	At     time.Time  `json:"at"`
	Causes []CauseRow `json:"causes"`
}

// CauseRow is one cause: what happened to how many ARCs, who can mend it, how,
// and what to type. A row with Remote is an incident: the git store of that name
// is paused, and every ARC waits.
type CauseRow struct {
	Remote   string      `json:"remote,omitempty"`
	ByHand   bool        `json:"by_hand,omitempty"` // the pause
	Code     fault.Code  `json:"code"`
	Class    string      `json:"class"`
	Count    int64       `json:"count"`
	Parked   int64       `json:"parked"`
	Since    time.Time   `json:"since"`
	Text     string      `json:"text"`
	Owner    fault.Owner `json:"owner"`
	Remedy   string      `json:"remedy"`
	Sample   store.ID    `json:"sample"`
	Commands []string    `json:"commands"`
}

// CollectCauses groups what fails, of the given RDIs or of all: first what keeps
// everything back, then the most frequent.
func CollectCauses(ctx context.Context, facts causeFacts, rdis ...string) (*Causes, error) {
	list, err := facts.Causes(ctx, rdis...)
	if err != nil {
		return nil, err
	}
	c := &Causes{At: time.Now(), Causes: []CauseRow{}}
	remotes, err := facts.Remotes(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range remotes {
		if r.Paused {
			c.Causes = append(c.Causes, incident(&r))
		}
	}
	for _, cause := range list {
		row := CauseRow{
			Code: cause.Code, Class: cause.Class, Count: cause.Count, Parked: cause.Parked, Since: cause.Since,
			Text: clean(cause.Text), Owner: cause.Owner, Remedy: clean(cause.Remedy), Sample: cause.Sample,
		}
		row.Commands = append(row.Commands, "middleware-api explain "+cause.Sample.String(), "middleware-api errors "+string(cause.Code))
		switch {
		case cause.Parked > 1:
			row.Commands = append(row.Commands, "middleware-api resync --code "+string(cause.Code))
		case cause.Parked == 1:
			row.Commands = append(row.Commands, "middleware-api resync "+cause.Sample.String())
		}
		c.Causes = append(c.Causes, row)
	}
	return c, nil
}

func incident(r *store.Remote) CauseRow {
	return CauseRow{
		Remote: r.Name, ByHand: r.ByHand, Code: r.Code, Class: string(fault.Incident), Since: r.PausedAt, Text: clean(r.Text),
		Owner: r.Owner, Remedy: clean(r.Remedy), Commands: []string{"middleware-api errors " + string(r.Code), "middleware-api resume " + r.Name},
	}
}

// Light gives yellow when something is failing, red when an incident keeps
// everything back.
func (c *Causes) Light() Light {
	light := Green
	for i := range c.Causes {
		if cause := &c.Causes[i]; cause.Remote != "" && !cause.ByHand {
			return Red
		}
		light = Yellow
	}
	return light
}

// Write writes the causes for a terminal.
func (c *Causes) Write(w io.Writer) error {
	if len(c.Causes) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is failing.")
		return err
	}
	for i := range c.Causes {
		if i > 0 {
			fmt.Fprintln(w)
		}
		c.Causes[i].write(w, c.At)
	}
	return nil
}

func (cause *CauseRow) write(w io.Writer, now time.Time) {
	switch {
	case cause.Remote != "" && cause.ByHand:
		fmt.Fprintf(w, "%s: every ARC, for %s, until somebody resumes the git store %q\n", cause.Code, Span(now.Sub(cause.Since)), cause.Remote)
	case cause.Remote != "":
		fmt.Fprintf(w, "%s: every ARC, for %s, the git store %q is tried again by itself\n", cause.Code, Span(now.Sub(cause.Since)), cause.Remote)
	default:
		state := "tried again by itself"
		switch {
		case cause.Parked == cause.Count:
			state = "waiting for somebody"
		case cause.Parked > 0:
			state = fmt.Sprintf("%d waiting for somebody, the rest tried again", cause.Parked)
		}
		fmt.Fprintf(w, "%s: %s, for %s, %s\n", cause.Code, plural(cause.Count, "ARC"), Span(now.Sub(cause.Since)), state)
	}
	lines(w, "  ", "what: "+cause.Text)
	fmt.Fprintf(w, "  who: %s\n", OwnerName(cause.Owner))
	if cause.Remedy != "" {
		lines(w, "  ", "how: "+cause.Remedy)
	}
	for _, command := range cause.Commands {
		fmt.Fprintf(w, "  type: %s\n", command)
	}
}
