package gitsync

import (
	"context"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

const (
	// tokenEvery is how often the git server is asked about our access token. It
	// ends by the day, but may be revoked at any time, and where nothing is due no
	// push would notice.
	tokenEvery = time.Hour
	// tokenAgain is for a server that does not answer or refuses the token, so that
	// its recovery shows soon.
	tokenAgain = time.Minute
	// tokenLimit is for one question.
	tokenLimit = 30 * time.Second
	// tokenTold is how often the log repeats it.
	tokenTold = 24 * time.Hour
)

// tokenTeller is a remote that knows what the other side thinks of our token.
type tokenTeller interface {
	Token(ctx context.Context) (remote.Token, error)
}

// watchToken keeps what the signs of life tell of our access token, until ctx
// ends. It alone can: nobody else holds the token.
func (s *Syncer) watchToken(ctx context.Context) {
	from, ok := s.remote.(tokenTeller)
	if !ok {
		return
	}
	var told time.Time
	var last store.Token
	for {
		now, wait := learn(ctx, from, last)
		if now != last || time.Since(told) >= tokenTold {
			s.logToken(ctx, now, last)
			told = time.Now()
		}
		last = now
		s.tellToken(now)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// learn asks about the token, and says when to ask again. What was known stays
// when no answer comes.
func learn(ctx context.Context, from tokenTeller, known store.Token) (store.Token, time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, tokenLimit)
	defer cancel()
	answer, err := from.Token(ctx)
	switch {
	case err == nil:
		return store.Token{Name: answer.Name, Ends: answer.Expires}, tokenEvery
	case refused(err):
		known.Refused = true
	}
	return known, tokenAgain
}

func refused(err error) bool {
	f := remote.FailureOf(err)
	return f != nil && f.Fault.Code == fault.TokenRejected
}

// tellToken gives the others the news now and not with the next sign of life.
func (s *Syncer) tellToken(t store.Token) {
	s.mu.Lock()
	news := t != s.token
	s.token = t
	s.mu.Unlock()
	if !news {
		return
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *Syncer) logToken(ctx context.Context, now, before store.Token) {
	advice := fault.New(fault.TokenRejected, nil)
	switch {
	case now.Refused:
		s.log.ErrorContext(ctx, "access token refused by the git server", "token", now.Name, "remedy", advice.Remedy)
	case !now.Ends.IsZero() && time.Until(now.Ends) < store.TokenSoon:
		s.log.WarnContext(ctx, "access token ends soon", "token", now.Name, "ends", now.Ends.Format(time.DateOnly), "remedy", advice.Remedy)
	case before.Refused:
		s.log.InfoContext(ctx, "access token accepted again", "token", now.Name)
	}
}
