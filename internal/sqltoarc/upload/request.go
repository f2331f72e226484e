package upload

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
)

// request is one call. The body is kept so that it can be sent again.
type request struct {
	method, path string
	query        string
	body         []byte
	contentType  string // default application/json
	encoding     string
	accept       string // default application/json
	key          string // Idempotency-Key
	// repeat tells that sending it twice does no harm.
	repeat bool
}

// StatusError is an answer that is not a success.
type StatusError struct {
	Status int
	Detail string // what the service says about it
}

// Error gives status and detail on one line.
func (e *StatusError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.Status, e.Detail) }

// statusOf gives the status of an answer that was not a success, 0 without one.
func statusOf(err error) int {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Status
	}
	return 0
}

// statusText gives what the service says about an answer that is not a success.
func statusText(err error) string {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Error()
	}
	return err.Error()
}

// call sends a request and reads its answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, r request, out any) error {
	return c.attempts(ctx, r.repeat, func(ctx context.Context) (time.Duration, error) {
		ctx, p := c.patience(ctx)
		defer p.end()
		resp, err := c.send(ctx, r, p)
		if err != nil {
			return 0, p.timedOut(err)
		}
		defer func() { _ = resp.Body.Close() }()
		return retryAfter(resp), p.timedOut(decode(resp, r, out))
	})
}

// patience ends a request that nothing moves in: a large ARC over a slow line may
// rightly take longer than an answer.
type patience struct {
	limit  time.Duration
	watch  *time.Timer
	cancel context.CancelCauseFunc
	ctx    context.Context //nolint:containedctx // its end is what this is about
}

func (c *Client) patience(ctx context.Context) (context.Context, *patience) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &patience{limit: c.options.Timeout, cancel: cancel, ctx: ctx}
	p.watch = time.AfterFunc(p.limit, func() { cancel(errNoAnswer) })
	return ctx, p
}

// moved tells that something has been sent or has come.
func (p *patience) moved() { p.watch.Reset(p.limit) }

func (p *patience) end() {
	p.cancel(nil)
	p.watch.Stop()
}

// timedOut says so when the reason is that nothing has moved.
func (p *patience) timedOut(err error) error {
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(p.ctx), errNoAnswer) {
		return errNoAnswer
	}
	return err
}

var errNoAnswer = errors.New("no answer in time")

// parcel is a body that tells how far it has been taken.
type parcel struct {
	in *bytes.Reader
	p  *patience
}

func (b parcel) Read(to []byte) (int, error) {
	b.p.moved()
	return b.in.Read(to)
}

func (b parcel) Close() error { return nil }

// attempts repeats what failed for a passing reason.
func (c *Client) attempts(ctx context.Context, repeat bool, once func(ctx context.Context) (time.Duration, error)) error {
	for attempt := 1; ; attempt++ {
		wait, err := c.slot(ctx, once)
		if err == nil || attempt > max(c.options.MaxRetries, 0) || ctx.Err() != nil || !passing(err, repeat) {
			return c.failure(err)
		}
		if wait == 0 {
			wait = delay(c.options.Backoff, attempt)
		}
		if c.options.Waiting != nil {
			c.options.Waiting(c.failure(err), wait)
		}
		if e := sleep(ctx, wait); e != nil {
			return c.failure(err)
		}
	}
}

// delay gives the wait after an attempt that has failed: the first one doubled with
// each further attempt, of which there may be more than a shift has bits.
func delay(first time.Duration, attempt int) time.Duration {
	wait := maxDelay
	if first <= maxDelay>>(attempt-1) {
		wait = first << (attempt - 1)
	}
	return wait/2 + rand.N(wait/2+1) //nolint:gosec // jitter
}

// slot bounds the requests in flight.
func (c *Client) slot(ctx context.Context, once func(ctx context.Context) (time.Duration, error)) (time.Duration, error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-c.slots }()
	return once(ctx)
}

// passing tells whether trying again makes sense. What is not safe to repeat is
// repeated only if the service cannot have begun to work on it.
func passing(err error, repeat bool) bool {
	switch status := statusOf(err); {
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return true
	case status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		return repeat
	case status != 0:
		return false
	}
	if distrust(err) || distrusted(err) {
		return false
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	if _, ok := fault.Of(err); ok || errors.Is(err, ErrUnsupported) {
		return false
	}
	return repeat
}

// distrust tells that the API's certificate does not convince us.
func distrust(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// distrusted tells that our certificate, or the lack of one, does not convince the
// other side: it sends one of the alerts about certificates (RFC 8446, section
// 6.2), for which crypto/tls has only texts.
func distrusted(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate")
}

func (c *Client) send(ctx context.Context, r request, p *patience) (*http.Response, error) {
	u := *c.base
	u.Path += r.path
	u.RawQuery = r.query
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	if len(r.body) > 0 {
		req.ContentLength = int64(len(r.body))
		req.Body = parcel{bytes.NewReader(r.body), p}
		req.GetBody = func() (io.ReadCloser, error) { return parcel{bytes.NewReader(r.body), p}, nil }
	}
	req.Header.Set("Accept", cmp.Or(r.accept, "application/json"))
	if r.method != http.MethodGet {
		req.Header.Set("Content-Type", cmp.Or(r.contentType, "application/json"))
	}
	if r.encoding != "" {
		req.Header.Set("Content-Encoding", r.encoding)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if c.options.UserAgent != "" {
		req.Header.Set("User-Agent", c.options.UserAgent)
	}
	return c.http.Do(req)
}

// decode reads an answer.
func decode(resp *http.Response, r request, out any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &StatusError{Status: resp.StatusCode, Detail: detail(body)}
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return notOurs(r, err)
	}
	return nil
}

// notOurs tells that a success comes from something that is not the API.
func notOurs(r request, cause error) error {
	return &fault.Error{Code: CodeAnswer, Owner: fault.OwnerOperator, Cause: cause,
		Text:   fmt.Sprintf("the answer to %s %s is not what the API answers", r.method, r.path),
		Remedy: "check that api_url is the address of the API and not of something before it"}
}

// maxDetail keeps messages readable.
const maxDetail = 500

// detail gives the reason out of an error's body.
func detail(body []byte) string {
	var shape struct{ Detail json.RawMessage }
	text := string(body)
	if json.Unmarshal(body, &shape) == nil && len(shape.Detail) > 0 {
		text = string(shape.Detail)
		var plain string
		var list []struct{ Msg string }
		switch {
		case json.Unmarshal(shape.Detail, &plain) == nil:
			text = plain
		case json.Unmarshal(shape.Detail, &list) == nil && len(list) > 0:
			messages := make([]string, len(list))
			for i, e := range list {
				messages[i] = e.Msg
			}
			text = strings.Join(messages, "; ")
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxDetail {
		text = string(runes[:maxDetail]) + "…"
	}
	return text
}

// retryAfter reads how long the service wants to be left alone: seconds or a
// date (RFC 9110, section 10.2.3).
func retryAfter(resp *http.Response) time.Duration {
	text := resp.Header.Get("Retry-After")
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(text); err == nil {
		wait = time.Until(date)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// failure turns what finally went wrong into a fault.
func (c *Client) failure(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrUnsupported) {
		return err
	}
	if _, ok := fault.Of(err); ok {
		return err
	}
	status := statusOf(err)
	f := &fault.Error{Code: CodeRefused, Owner: fault.OwnerRDI, Cause: err, Text: "the API refuses: " + err.Error()}
	switch {
	case distrust(err):
		f.Code = CodeCertificate
		f.Text = fmt.Sprintf("the certificate of the API at %s is not to be trusted: %v", c.base.Host, plainCause(err))
		f.Remedy = "name the authority that it comes from in ca_cert_path, or have the certificate renewed"
	case distrusted(err):
		f.Code = CodeDenied
		f.Text = fmt.Sprintf("the API at %s does not accept our certificate: %v", c.base.Host, plainCause(err))
		f.Remedy = "check that client_cert_path names a certificate that is valid and comes from the right authority: sql-to-arc check"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		f.Code = CodeDenied
		f.Remedy = "check the client certificate (client_cert_path) and that it allows this RDI: sql-to-arc check"
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		f.Remedy = "check that api_url is the address of the API"
	case status >= 500 || status == http.StatusTooManyRequests:
		f.Code, f.Owner = CodeUnreachable, fault.OwnerOperator
		f.Text = "the API is not able to work: " + err.Error()
		f.Remedy = "wait, and ask its operator if that does not help"
	case status == 0:
		f.Code, f.Owner = CodeUnreachable, fault.OwnerNobody
		f.Text = fmt.Sprintf("the API at %s cannot be reached: %v", c.base.Host, plainCause(err))
		f.Remedy = "check api_url and the network"
	}
	return f
}

// plainCause leaves out method and URL, which the message has already.
func plainCause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
