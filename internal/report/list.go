package report

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
)

// ARCRow is one ARC in a list. Cursor is the place behind it: a list that is
// asked for after it goes on with the next ARC.
type ARCRow struct {
	ID          store.ID        `json:"id"`
	RDI         string          `json:"rdi"`
	Identifier  string          `json:"identifier"`
	Name        string          `json:"name,omitempty"`
	Lifecycle   store.Lifecycle `json:"lifecycle"`
	Version     int64           `json:"version"`
	LastChanged time.Time       `json:"last_changed"`
	State       store.GitState  `json:"git_state"`
	Commit      string          `json:"commit,omitempty"`
	PushedAt    time.Time       `json:"pushed_at,omitzero"`
	Attempts    int             `json:"attempts,omitempty"`
	NextAttempt time.Time       `json:"next_attempt,omitzero"`
	Code        fault.Code      `json:"code,omitempty"`
	Text        string          `json:"text,omitempty"`
	Owner       fault.Owner     `json:"owner,omitempty"`
	Remedy      string          `json:"remedy,omitempty"`
	Cursor      string          `json:"cursor"`
}

// ARCs is a page of a list of ARCs.
type ARCs struct {
	At   time.Time
	List []ARCRow
	Next string // cursor of the next page; "" on the last one
	more string // what to type for the next page
}

// CollectARCs lists a page of ARCs, or all pages from there on; more is the
// command that was typed, for the hint at the end of a page.
func CollectARCs(ctx context.Context, facts ARCFacts, f store.ARCFilter, all bool, more string) (*ARCs, error) {
	out := &ARCs{At: time.Now(), List: []ARCRow{}, more: more}
	for {
		list, next, err := facts.ARCs(ctx, f)
		if err != nil {
			return nil, err
		}
		for i := range list {
			out.List = append(out.List, arcRow(&list[i]))
		}
		if !all || next.IsZero() {
			out.Next = next.String()
			return out, nil
		}
		f.After = next
	}
}

func arcRow(a *store.ARC) ARCRow {
	g := &a.Git
	return ARCRow{
		ID: a.ID, RDI: clean(a.RDI), Identifier: clean(a.Identifier), Name: clean(a.Name), Lifecycle: a.Lifecycle,
		Version: a.Version, LastChanged: a.LastChanged, State: g.State, Commit: g.Commit, PushedAt: g.PushedAt,
		Attempts: g.Attempts, NextAttempt: g.NextAttempt, Code: g.Failure.Code, Text: clean(g.Failure.Text),
		Owner: g.Failure.Owner, Remedy: clean(g.Failure.Remedy), Cursor: a.Cursor().String(),
	}
}

// WriteLines writes one line of JSON per ARC.
func (l *ARCs) WriteLines(w io.Writer) error {
	for i := range l.List {
		if err := WriteLine(w, &l.List[i]); err != nil {
			return err
		}
	}
	return nil
}

// Write writes the page for a terminal.
func (l *ARCs) Write(w io.Writer) error {
	if len(l.List) == 0 {
		_, err := fmt.Fprintln(w, "No ARC is like that.")
		return err
	}
	out := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(out, "RDI/identifier\tgit\tchanged\twhat")
	for i := range l.List {
		a := &l.List[i]
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", short(a.RDI+"/"+a.Identifier), a.State, Ago(l.At, a.LastChanged), l.what(a))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write list: %w", err)
	}
	if l.Next != "" {
		fmt.Fprintf(w, "\nmore: %s --after %s\n", l.more, l.Next)
	}
	_, err := fmt.Fprintf(w, "one of them in detail: middleware-api explain %s\n", QuoteForShell(l.List[0].RDI+"/"+l.List[0].Identifier))
	return err
}

// what says in few words what is known of an ARC's way into git.
func (l *ARCs) what(a *ARCRow) string {
	switch {
	case a.Code != "" && !a.NextAttempt.IsZero():
		return fmt.Sprintf("%s, %s to mend, tried again %s", a.Code, OwnerName(a.Owner), Until(l.At, a.NextAttempt))
	case a.Code != "":
		return fmt.Sprintf("%s, %s to mend", a.Code, OwnerName(a.Owner))
	case a.State == store.Synced:
		return fmt.Sprintf("commit %.12s, pushed %s", a.Commit, Ago(l.At, a.PushedAt))
	}
	return "waits to be pushed"
}

// shownName is how much of a name fits into a list.
const shownName = 48

func short(name string) string {
	r := []rune(name)
	if len(r) <= shownName {
		return name
	}
	return string(r[:shownName-1]) + "…"
}

// QuoteForShell gives a text as one word of a command line.
func QuoteForShell(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,+@%="
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// HarvestList is a page of a list of harvests.
type HarvestList struct {
	At   time.Time `json:"at"`
	List []Harvest `json:"harvests"`
	Next string    `json:"next,omitempty"` // id of the harvest after which the next page begins
	more string
}

// CollectHarvests lists harvests, newest first; more is the command that was
// typed, for the hint at the end of a page.
func CollectHarvests(ctx context.Context, facts Facts, f store.HarvestFilter, more string) (*HarvestList, error) {
	limit := f.Limit
	f.Limit++
	list, err := facts.Harvests(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &HarvestList{At: time.Now(), List: []Harvest{}, more: more}
	if len(list) > limit {
		list = list[:limit]
		out.Next = HarvestName(list[limit-1].ID)
	}
	for i := range list {
		out.List = append(out.List, harvest(&list[i]))
	}
	return out, nil
}

// Write writes the page for a terminal.
func (l *HarvestList) Write(w io.Writer) error {
	if len(l.List) == 0 {
		_, err := fmt.Fprintln(w, "No harvest is like that.")
		return err
	}
	out := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	writeHarvests(out, "harvest", l.At, l.List)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write list: %w", err)
	}
	if l.Next != "" {
		fmt.Fprintf(w, "\nmore: %s --after %s\n", l.more, l.Next)
	}
	_, err := fmt.Fprintf(w, "one of them in detail: middleware-api harvests %s\n", HarvestName(l.List[0].ID))
	return err
}

func writeHarvests(w io.Writer, title string, now time.Time, list []Harvest) {
	fmt.Fprintf(w, "%s\tRDI\tstate\tbegan\tARCs\tnew\tupdated\tmissing\terrors\n", title)
	for i := range list {
		h := &list[i]
		arcs := strconv.FormatInt(h.Submitted, 10)
		if h.Expected > 0 {
			arcs += fmt.Sprintf(" of %d", h.Expected)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", HarvestName(h.ID), clean(h.RDI), h.Status, Ago(now, h.StartedAt),
			arcs, h.New, h.Updated, h.Missing, h.Errors)
		if h.Note != "" {
			lines(w, "  ", h.Note)
		}
	}
}
