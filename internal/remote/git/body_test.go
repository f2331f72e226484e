package git_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/fairagro/middleware-api/internal/remote/git"
)

// tally counts the answers that nobody has closed.
type tally struct {
	next http.RoundTripper
	open atomic.Int32
}

func (c *tally) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.next.RoundTrip(r)
	if err == nil {
		c.open.Add(1)
		answer.Body = &tallied{ReadCloser: answer.Body, of: c}
	}
	return answer, err
}

type tallied struct {
	io.ReadCloser

	of     *tally
	closed atomic.Bool
}

func (b *tallied) Close() error {
	if b.closed.CompareAndSwap(false, true) {
		b.of.open.Add(-1)
	}
	return b.ReadCloser.Close()
}

// Whatever the server answers is closed, so that its connection is free again: references, packs, reports and refusals.
func TestAnswersAreClosed(t *testing.T) {
	t.Parallel()
	c := &tally{}
	b := overHTTP(t, func(o *git.Options) {
		o.Wrap = func(next http.RoundTripper) http.RoundTripper { c.next = next; return c }
	})
	b.push(t, version(1))
	b.push(t, version(2)) // without a record, so that it looks at what is there
	if _, err := b.Head(t.Context(), arcID, ""); err != nil {
		t.Error(err)
	}
	if _, err := b.Head(t.Context(), arcID, group+"/nothing.git"); err != nil {
		t.Error(err)
	}
	if n := c.open.Load(); n != 0 {
		t.Errorf("%d answers were left open", n)
	}
}
