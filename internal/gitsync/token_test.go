package gitsync

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

type teller func() (remote.Token, error)

func (t teller) Token(context.Context) (remote.Token, error) { return t() }

// telling is a remote that does nothing but tell of its token.
type telling struct {
	remote.Remote
	teller
}

// What the git server says of the token replaces what was known; a server that
// does not answer changes nothing and is asked again soon, as is one that refuses
// the token.
func TestTokenIsLearned(t *testing.T) {
	t.Parallel()
	end := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	known := store.Token{Name: "middleware", Ends: end}
	for name, c := range map[string]struct {
		before store.Token
		answer remote.Token
		err    error
		want   store.Token
		wait   time.Duration
	}{
		"first answer":     {store.Token{}, remote.Token{Name: "middleware", Expires: end}, nil, known, tokenEvery},
		"accepted again":   {store.Token{Name: "middleware", Ends: end, Refused: true}, remote.Token{Name: "middleware", Expires: end}, nil, known, tokenEvery},
		"refused":          {known, remote.Token{}, remote.Fail(fault.TokenRejected, nil), store.Token{Name: "middleware", Ends: end, Refused: true}, tokenAgain},
		"refused at first": {store.Token{}, remote.Token{}, remote.Fail(fault.TokenRejected, nil), store.Token{Refused: true}, tokenAgain},
		"no answer":        {known, remote.Token{}, remote.Fail(fault.RemoteUnreachable, errors.New("connection refused")), known, tokenAgain},
		"nobody to ask":    {store.Token{}, remote.Token{}, errors.New("404"), store.Token{}, tokenAgain},
	} {
		got, wait := learn(t.Context(), teller(func() (remote.Token, error) { return c.answer, c.err }), c.before)
		if got != c.want || wait != c.wait {
			t.Errorf("%s: got %+v, again in %s; want %+v, %s", name, got, wait, c.want, c.wait)
		}
	}
}

// The log tells of a token that ends soon or is refused at once and then daily, of
// one that is accepted again once, and of a good one never.
func TestTheLogTellsOfTheToken(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	refused := remote.Fail(fault.TokenRejected, nil)
	for name, c := range map[string]struct {
		ends   time.Duration // from the beginning on; 0 is never
		answer func(since time.Duration) error
		levels string // of the lines of two days and a half
		text   string
	}{
		"never ends":     {0, nil, "", ""},
		"ends later":     {17 * day, nil, "", ""},
		"ends soon":      {10 * day, nil, "WARN WARN WARN", "access token ends soon"},
		"soon ends soon": {29 * day / 2, nil, "WARN WARN", "access token ends soon"},
		"ended":          {-day, nil, "WARN WARN WARN", "access token ends soon"},
		"refused":        {0, func(time.Duration) error { return refused }, "ERROR ERROR ERROR", "access token refused by the git server"},
		"refused for a bit": {0, func(since time.Duration) error {
			if since < time.Hour {
				return refused
			}
			return nil
		}, "ERROR INFO", "access token accepted again"},
		"no answer": {0, func(time.Duration) error { return errors.New("404") }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began, lines := time.Now(), &testenv.Log{}
				answer := teller(func() (remote.Token, error) {
					token := remote.Token{Name: "middleware"}
					if c.ends != 0 {
						token.Expires = began.Add(c.ends)
					}
					if c.answer != nil {
						return token, c.answer(time.Since(began))
					}
					return token, nil
				})
				s := New(nil, telling{teller: answer}, Options{Log: slog.New(slog.NewTextHandler(lines, nil))})
				ctx, cancel := context.WithTimeout(t.Context(), 5*day/2)
				defer cancel()
				s.watchToken(ctx)
				var levels []string
				for line := range strings.Lines(lines.String()) {
					_, level, _ := strings.Cut(line, "level=")
					level, _, _ = strings.Cut(level, " ")
					levels = append(levels, level)
				}
				if got := strings.Join(levels, " "); got != c.levels || !strings.Contains(lines.String(), c.text) {
					t.Errorf("got %q, want %q and %q in\n%s", got, c.levels, c.text, lines)
				}
			})
		})
	}
}
