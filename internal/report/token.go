package report

import (
	"fmt"
	"math"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
)

// tokenRemedy is what to do about a token that ends, lacks something or was
// revoked.
func tokenRemedy() string { return fault.New(fault.TokenRejected, nil).Remedy }

// Token is the access token with which a synchroniser pushes.
type Token struct {
	Name   string    `json:"name,omitempty"`
	Ends   time.Time `json:"ends,omitzero"` // zero if it never does
	Days   int       `json:"days"`          // left; negative once it has ended, 0 if it never does
	Light  Light     `json:"light"`         // yellow two weeks before the end, red from then on
	Text   string    `json:"text"`          // one sentence without its full stop
	Remedy string    `json:"remedy,omitempty"`
}

// judgeToken gives nil for a token of which nothing is known.
func judgeToken(t store.Token, now time.Time) *Token {
	if t == (store.Token{}) {
		return nil
	}
	out := &Token{Name: clean(t.Name), Ends: t.Ends, Light: Green, Remedy: tokenRemedy()}
	name := "The access token"
	if out.Name != "" {
		name = fmt.Sprintf("The access token %q", out.Name)
	}
	left := t.Ends.Sub(now)
	if !t.Ends.IsZero() {
		out.Days = int(math.Floor(left.Hours() / 24))
	}
	day := t.Ends.Format(time.DateOnly)
	switch {
	case !t.Ends.IsZero() && left <= 0:
		out.Light, out.Text = Red, name+" has ended on "+day+"; nothing can be pushed"
	case t.Refused:
		out.Light, out.Text = Red, name+" is refused by the git server; nothing can be pushed"
	case t.Ends.IsZero():
		out.Text, out.Remedy = name+" has no end", ""
	case left < 24*time.Hour:
		out.Light, out.Text = Yellow, name+" ends on "+day+", in less than a day; nothing can be pushed then"
	case left < store.TokenSoon:
		out.Light, out.Text = Yellow, fmt.Sprintf("%s ends on %s, in %s; nothing can be pushed then", name, day, plural(int64(out.Days), "day"))
	default:
		out.Text, out.Remedy = fmt.Sprintf("%s is valid for %s, until %s", name, plural(int64(out.Days), "day"), day), ""
	}
	return out
}

// judgeTokens tells of the tokens of the synchronisers that live. Those of
// several hosts are usually one and the same, of which it tells once.
func (s *Status) judgeTokens() {
	refused := false // which is said already
	for _, r := range s.Remotes {
		refused = refused || r.Paused && r.Code == fault.TokenRejected
	}
	said := map[string]bool{}
	for _, q := range s.Synchronisers {
		t := q.Token
		if t == nil || !q.Alive || t.Light == Green || t.Light == Red && refused || said[t.Text] {
			continue
		}
		said[t.Text] = true
		s.because(t.Light, t.Text+".", t.Remedy)
	}
}

// Brief is the token in a table.
func (t *Token) Brief() string {
	switch {
	case t == nil:
		return "-"
	case t.Light == Red && t.Days >= 0:
		return "refused"
	case t.Light == Red:
		return "ended"
	case t.Ends.IsZero():
		return "no end"
	}
	return plural(int64(t.Days), "day") + " left"
}
