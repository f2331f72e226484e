package remote

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
)

// Redactor takes a secret out of whatever is about to be written.
type Redactor struct{ r *strings.Replacer }

// NewRedactor makes a redactor for a token and the forms in which it travels. An
// empty token redacts nothing.
func NewRedactor(token string) *Redactor {
	if token == "" {
		return &Redactor{strings.NewReplacer()}
	}
	var pairs []string
	for _, form := range []string{
		base64.StdEncoding.EncodeToString([]byte("oauth2:" + token)),
		url.QueryEscape(token), url.PathEscape(token), token,
	} {
		pairs = append(pairs, form, "[token]")
	}
	return &Redactor{strings.NewReplacer(pairs...)}
}

// Text gives s without the secret.
func (r *Redactor) Text(s string) string { return r.r.Replace(s) }

// Err gives an error that reads like err without the secret. It still answers to
// errors.Is for what is in the chain of err.
func (r *Redactor) Err(err error) error {
	if err == nil {
		return nil
	}
	return &redacted{text: r.Text(err.Error()), err: err}
}

// redacted has no Unwrap on purpose: nobody who walks the chain can print the
// original.
type redacted struct {
	text string
	err  error
}

func (e *redacted) Error() string { return e.text }

func (e *redacted) Is(target error) bool { return errors.Is(e.err, target) }
