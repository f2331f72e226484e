// Package load is a merciless HTTP client for tests of restarts and upgrades:
// it writes raw requests on raw connections and never repeats one. A request
// without one complete 2xx answer is a failure. Go's own client would hide
// many, since it repeats what it believes to be safe.
//
// It is for tests only. Run may be called concurrently.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// answerLimit is the longest a client waits for one answer. It exceeds every
// drain, so that slowness is seen as latency and not as failure.
const answerLimit = 60 * time.Second

// Request is one HTTP/1.1 request as it goes over the wire.
type Request struct {
	Head []byte // request line and header, with the empty line
	Body []byte
	// Pieces is the number of parts in which the body is sent, Pause the time
	// between two parts.
	Pieces int
	Pause  time.Duration
}

// Clients is a group of equal clients.
type Clients struct {
	Network, Address string // as for net.Dial
	Count            int
	// KeepAlive uses a connection for as long as the server does not end it;
	// otherwise each request has its own.
	KeepAlive bool
	// Think is the time between an answer and the next request of a client.
	Think time.Duration
	// Next gives the request number n, counted over the whole group from 0.
	Next func(n int) Request
	// Limit ends the group after so many requests; 0 means when ctx ends.
	Limit int64
}

// Progress counts the requests of a Run that goes on.
type Progress struct{ total atomic.Int64 }

// Total is the number of requests that were brought to their end.
func (p *Progress) Total() int64 { return p.total.Load() }

type progressKey struct{}

// WithProgress lets the requests of a Run with this context be counted in p.
func WithProgress(ctx context.Context, p *Progress) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// Report is what became of the requests.
type Report struct {
	Total, Failed int64
	Errors        map[string]int64 // the first few different reasons
	P50, P99, Max time.Duration
}

func (r Report) String() string {
	return fmt.Sprintf("%d requests, %d failed %v, p50 %s, p99 %s, max %s",
		r.Total, r.Failed, r.Errors, r.P50, r.P99, r.Max)
}

// Run lets all groups work until ctx ends or their limits are reached, and
// gives one report per group. A request begun is always brought to its end.
func Run(ctx context.Context, groups ...Clients) []Report {
	reports := make([]Report, len(groups))
	var wg sync.WaitGroup
	for i, g := range groups {
		wg.Go(func() { reports[i] = g.run(ctx) })
	}
	wg.Wait()
	return reports
}

func (g Clients) run(ctx context.Context) Report {
	var issued atomic.Int64
	results := make([]result, g.Count)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			c := client{group: g, result: &results[i]}
			c.work(ctx, &issued)
		})
	}
	wg.Wait()
	return merge(results)
}

type result struct {
	failed    int64
	errors    map[string]int64
	latencies []time.Duration
}

func merge(results []result) Report {
	report := Report{Errors: map[string]int64{}}
	var all []time.Duration
	for _, r := range results {
		all = append(all, r.latencies...)
		report.Failed += r.failed
		for text, n := range r.errors {
			if len(report.Errors) < 10 {
				report.Errors[text] += n
			}
		}
	}
	report.Total = int64(len(all))
	if len(all) > 0 {
		slices.Sort(all)
		report.P50, report.P99, report.Max = all[len(all)/2], all[len(all)*99/100], all[len(all)-1]
	}
	return report
}

// client is one sequence of requests.
type client struct {
	group  Clients
	result *result
	conn   net.Conn
	reader *bufio.Reader
}

func (c *client) work(ctx context.Context, issued *atomic.Int64) {
	defer c.hangUp()
	progress, _ := ctx.Value(progressKey{}).(*Progress)
	for ctx.Err() == nil {
		n := issued.Add(1) - 1
		if c.group.Limit > 0 && n >= c.group.Limit {
			return
		}
		began := time.Now()
		err := c.exchange(c.group.Next(int(n)))
		c.result.latencies = append(c.result.latencies, time.Since(began))
		if err != nil {
			c.fail(err)
		}
		if progress != nil {
			progress.total.Add(1)
		}
		if c.group.Think > 0 {
			rest(ctx, c.group.Think)
		}
	}
}

func (c *client) fail(err error) {
	c.hangUp()
	c.result.failed++
	if c.result.errors == nil {
		c.result.errors = map[string]int64{}
	}
	var op *net.OpError
	text := err.Error()
	if errors.As(err, &op) { // without the port, which differs each time
		text = op.Op + ": " + op.Err.Error()
	}
	if len(c.result.errors) < 10 {
		c.result.errors[text]++
	}
}

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// exchange sends one request and reads its answer to the last byte.
func (c *client) exchange(r Request) error {
	if c.conn == nil {
		d := net.Dialer{Timeout: answerLimit}
		conn, err := d.DialContext(context.Background(), c.group.Network, c.group.Address)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return err
	}
	if err := send(c.conn, r); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return fmt.Errorf("receive body: %w", err)
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s: %.120s", answer.Status, text)
	}
	if answer.Close || !c.group.KeepAlive {
		c.hangUp()
	}
	return nil
}

func send(w io.Writer, r Request) error {
	if r.Pieces <= 1 {
		_, err := w.Write(slices.Concat(r.Head, r.Body))
		return err
	}
	if _, err := w.Write(r.Head); err != nil {
		return err
	}
	for piece := range slices.Chunk(r.Body, max(1, (len(r.Body)+r.Pieces-1)/r.Pieces)) {
		rest(context.Background(), r.Pause)
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Get is a request without a body.
func Get(path string, header ...string) Request {
	return Request{Head: head("GET", path, header, -1)}
}

// Post is a request with a JSON body.
func Post(path string, body []byte, header ...string) Request {
	return Request{Head: head("POST", path, append(header, "Content-Type: application/json"), len(body)), Body: body}
}

func head(method, path string, header []string, length int) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: load\r\n", method, path)
	for _, line := range header {
		b = append(b, line...)
		b = append(b, "\r\n"...)
	}
	if length >= 0 {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", length)
	}
	return append(b, "\r\n"...)
}
