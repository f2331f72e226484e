package report

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Synchroniser is a process that brings ARCs into git, on whatever host.
type Synchroniser struct {
	Host      string    `json:"host"`
	Name      string    `json:"name"`
	Remote    string    `json:"remote"`
	StartedAt time.Time `json:"started_at"`
	LastBeat  time.Time `json:"last_beat"`
	Silent    float64   `json:"silent_seconds"` // since the last sign of life
	Pushing   int       `json:"pushing"`
	Alive     bool      `json:"alive"`
	// Token is nil where the remote has none, or nobody could be asked about it.
	Token *Token `json:"token,omitempty"`
}

// Creation foretells when the ARCs that wait for a GitLab project will have one.
type Creation struct {
	Remote  string    `json:"remote"`
	ToDo    int64     `json:"todo"`
	PerHour int       `json:"per_hour"`
	DoneAt  time.Time `json:"done_at"`
}

// Text says it in one line; now decides whether a date is needed.
func (c Creation) Text(now time.Time) string {
	if c.ToDo == 0 {
		return "no project to create; the budget allows " + c.rate()
	}
	at := c.DoneAt.In(now.Location())
	when := at.Format("15:04")
	if at.YearDay() != now.YearDay() || at.Year() != now.Year() {
		when = at.Format("2006-01-02 15:04")
	}
	return fmt.Sprintf("%s to create, the budget allows %s, done at about %s", plural(c.ToDo, "project"), c.rate(), when)
}

func (c Creation) rate() string {
	if c.PerHour >= 60 && c.PerHour%60 == 0 {
		return fmt.Sprintf("%d per minute", c.PerHour/60)
	}
	return fmt.Sprintf("%d per hour", c.PerHour)
}

func (s *Status) readSynchronisers(ctx context.Context, facts Facts, tokens bool) error {
	list, err := facts.Synchronisers(ctx)
	if err != nil {
		return err
	}
	for _, q := range list {
		out := Synchroniser{
			Host: clean(q.Host), Name: clean(q.Holder), Remote: q.Remote, StartedAt: q.StartedAt, LastBeat: q.Beat,
			Silent: q.Age.Round(time.Millisecond).Seconds(), Pushing: q.Pushing, Alive: q.Alive,
		}
		if tokens {
			out.Token = judgeToken(q.Token, s.At)
		}
		s.Synchronisers = append(s.Synchronisers, out)
	}
	forecasts, err := facts.Forecasts(ctx)
	if err != nil {
		return err
	}
	for _, f := range forecasts {
		s.Creations = append(s.Creations, Creation{Remote: f.Remote, ToDo: f.ToDo, PerHour: f.PerHour, DoneAt: f.DoneAt})
	}
	return nil
}

// judgeSynchronisers finds out whether anybody works. Nobody has to where there
// is nothing to push and no synchroniser was ever seen.
func (s *Status) judgeSynchronisers() {
	if !s.Database.OK {
		return
	}
	var alive, silent int
	var pending int64
	last := time.Time{}
	for _, q := range s.Synchronisers {
		if q.Alive {
			alive++
			continue
		}
		silent++
		if q.LastBeat.After(last) {
			last = q.LastBeat
		}
	}
	for _, r := range s.RDIs {
		pending += r.Due + r.Failing
	}
	const remedy = "systemctl status middleware-api-sync; journalctl -u middleware-api-sync"
	switch {
	case alive > 0:
	case silent > 0:
		s.because(Red, "No synchroniser is alive; the last sign of life was given "+Ago(s.At, last)+".", remedy)
	case pending > 0:
		s.because(Red, "No synchroniser is alive, so nothing goes into git.", "systemctl start middleware-api-sync")
	}
}

func (s *Status) writeSynchronisers(w io.Writer) {
	for _, c := range s.Creations {
		fmt.Fprintf(w, "  %s\n", c.Text(s.At))
	}
	if len(s.Synchronisers) == 0 {
		fmt.Fprintln(w, "\nno synchroniser is alive")
		return
	}
	fmt.Fprintln(w, "\nsynchroniser\thost\tstate\tlast sign of life\tstarted\tpushing\ttoken")
	for _, q := range s.Synchronisers {
		state := "alive"
		if !q.Alive {
			state = "silent"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", q.Name, q.Host, state,
			Ago(s.At, q.LastBeat), Ago(s.At, q.StartedAt), q.Pushing, q.Token.Brief())
	}
}
