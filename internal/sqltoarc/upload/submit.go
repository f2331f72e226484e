package upload

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Submission is an ARC on its way: the crate as JSON on one line.
type Submission struct {
	Document []byte
	// Err is set by Submit: nil when the ARC is acknowledged, else why the
	// service refuses this ARC.
	Err error
	// acknowledged or refused: not to be sent again.
	done bool
}

// Settled tells whether the service has decided about the ARC.
func (s *Submission) Settled() bool { return s.done }

// Submit brings ARCs into a harvest, or, with an empty harvest, alone. The
// error is about all that are not done: the service cannot be reached, the
// harvest is closed, access is denied.
func (c *Client) Submit(ctx context.Context, rdi, harvest string, batch []*Submission) error {
	// One alone has a form without compression, which for a large one is many times as much.
	alone := len(batch) == 1 && len(batch[0].Document) < worthBulk
	if harvest != "" && !alone && !c.noBulk.Load() {
		err := c.bulk(ctx, harvest, batch)
		if !errors.Is(err, ErrUnsupported) {
			return err
		}
		c.noBulk.Store(true)
	}
	return c.singles(ctx, rdi, harvest, batch)
}

// worthBulk is the size from which one ARC is sent as if it were many.
const worthBulk = 64 << 10

// singles sends each ARC for itself, several at a time.
func (c *Client) singles(ctx context.Context, rdi, harvest string, batch []*Submission) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	begun := make(chan struct{}, c.options.MaxConcurrency)
	for _, s := range batch {
		if s.done || ctx.Err() != nil {
			continue
		}
		begun <- struct{}{}
		wg.Go(func() {
			defer func() { <-begun }()
			if err := c.single(ctx, rdi, harvest, s); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (c *Client) single(ctx context.Context, rdi, harvest string, s *Submission) error {
	r := request{method: http.MethodPost, path: "v3/arcs", repeat: true}
	if harvest == "" {
		name, err := json.Marshal(rdi)
		if err != nil {
			return err
		}
		r.body = wrap(`{"rdi":`+string(name)+`,"arc":`, s.Document)
	} else {
		r.path = harvestPath(harvest, "/arcs")
		r.body = wrap(`{"arc":`, s.Document)
	}
	var answer struct {
		ID string `json:"arc_id"`
	}
	err := c.call(ctx, r, &answer)
	if err == nil && answer.ID == "" {
		err = notOurs(r, nil)
	}
	return c.settle(ctx, harvest, s, err)
}

func wrap(before string, document []byte) []byte {
	body := make([]byte, 0, len(before)+len(document)+1)
	body = append(body, before...)
	body = append(body, document...)
	return append(body, '}')
}

// settle decides whether an answer is about one ARC or about all.
func (c *Client) settle(ctx context.Context, harvest string, s *Submission, err error) error {
	switch status := statusOf(err); {
	case err == nil:
		s.done = true
		return nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound:
		return err
	case status == http.StatusConflict:
		// Other content under the same identifier, or a harvest that has ended.
		h, lookErr := c.Harvest(ctx, harvest)
		if lookErr != nil {
			return lookErr
		}
		if h.Status != Running {
			return &fault.Error{Code: CodeRefused, Owner: fault.OwnerRDI, Cause: err,
				Text:   "the harvest has been ended by somebody else: it is " + h.Status,
				Remedy: "run again"}
		}
	case status == 0 || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests ||
		status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		return err
	}
	s.done, s.Err = true, err
	if plain, ok := errors.AsType[*StatusError](err); ok {
		s.Err = plain
	}
	return nil
}

// encoders are shared; EncodeAll may be called concurrently.
var encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
})

// bulk sends ARCs in one request. What is before the API may take no body of that size:
// then they are sent in parts, down to single ones.
func (c *Client) bulk(ctx context.Context, harvest string, batch []*Submission) error {
	left, size := unsettled(batch)
	if len(left) == 0 {
		return nil
	}
	tooLarge := len(left) > 1 && size > c.maxBulk.Load()
	if !tooLarge {
		err := c.bulkWhole(ctx, harvest, left)
		if statusOf(err) != http.StatusRequestEntityTooLarge {
			return err
		}
		if left, size = unsettled(left); len(left) == 1 {
			return c.settle(ctx, harvest, left[0], err)
		}
		c.maxBulk.Store(size / 2)
	}
	half := len(left) / 2
	if err := c.bulk(ctx, harvest, left[:half]); err != nil {
		return err
	}
	return c.bulk(ctx, harvest, left[half:])
}

// unsettled gives those that have no answer, and the size of their documents.
func unsettled(batch []*Submission) (left []*Submission, size int64) {
	for _, s := range batch {
		if !s.done {
			left = append(left, s)
			size += int64(len(s.Document))
		}
	}
	return left, size
}

// bulkWhole takes the answers as they come. After a broken connection only those
// without an answer are sent again.
func (c *Client) bulkWhole(ctx context.Context, harvest string, batch []*Submission) error {
	enc, err := encoder()
	if err != nil {
		return err
	}
	return c.attempts(ctx, true, func(ctx context.Context) (time.Duration, error) {
		left, _ := unsettled(batch)
		if len(left) == 0 {
			return 0, nil
		}
		var lines bytes.Buffer
		for _, s := range left {
			lines.Write(s.Document)
			lines.WriteByte('\n')
		}
		return c.bulkOnce(ctx, harvest, left, enc.EncodeAll(lines.Bytes(), nil))
	})
}

func (c *Client) bulkOnce(ctx context.Context, harvest string, left []*Submission, body []byte) (time.Duration, error) {
	ctx, p := c.patience(ctx)
	defer p.end()
	resp, err := c.send(ctx, request{
		method: http.MethodPost, path: harvestPath(harvest, "/arcs"), body: body,
		contentType: "application/x-ndjson", encoding: "zstd", accept: "application/x-ndjson, application/json",
	}, p)
	if err != nil {
		return 0, p.timedOut(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		err := decode(resp, request{}, nil)
		switch resp.StatusCode {
		case http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusBadRequest:
			// The earlier service takes the body for a broken single submission.
			return 0, ErrUnsupported
		}
		return retryAfter(resp), err
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(make([]byte, 0, 64<<10), maxAnswer)
	for _, s := range left {
		if !in.Scan() {
			err := in.Err()
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return 0, p.timedOut(err)
		}
		p.moved()
		if err := c.line(ctx, harvest, s, in.Bytes()); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// line takes the answer about one ARC.
func (c *Client) line(ctx context.Context, harvest string, s *Submission, text []byte) error {
	var line bulkLine
	if err := json.Unmarshal(text, &line); err != nil {
		return &fault.Error{Code: CodeAnswer, Owner: fault.OwnerOperator, Cause: err, Text: "the answer to a bulk submission is not what the API answers"}
	}
	if line.Status == http.StatusOK && line.Error == nil {
		return c.settle(ctx, harvest, s, nil)
	}
	refusal := &StatusError{Status: line.Status, Detail: detail(text)}
	if line.Error != nil {
		refusal.Detail = line.Error.Message
	}
	return c.settle(ctx, harvest, s, refusal)
}
