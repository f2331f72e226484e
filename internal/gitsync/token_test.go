package gitsync

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

type teller func() (remote.Token, error)

func (t teller) Token(context.Context) (remote.Token, error) { return t() }

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
