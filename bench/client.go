package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// patience is the longest wait for one answer.
const patience = 60 * time.Second

// load is a group of clients that send uploads one after the other, each on a
// connection of its own that stays open. It writes and reads raw HTTP/1.1 and
// does little else, since it shares the processors with what is measured.
type load struct {
	address string
	clients int
	body    template
	path    string
	serials *atomic.Int64 // counts on over rounds; nil for a request without a body
	repeat  int64         // serials wrap around after so many; 0 never
}

// outcome is what became of the requests.
type outcome struct {
	done      int
	elapsed   time.Duration
	latencies []time.Duration // sorted
}

func (o outcome) rate() float64 { return float64(o.done) / o.elapsed.Seconds() }

func (o outcome) quantile(q float64) time.Duration {
	if len(o.latencies) == 0 {
		return 0
	}
	return o.latencies[min(len(o.latencies)-1, int(q*float64(len(o.latencies))))]
}

// run sends requests until the time is over, or until the number of them is
// reached if one is given, and fails if a single one is not answered by 2xx.
func (l load) run(ctx context.Context, d time.Duration, limit int64) (outcome, error) {
	conns := make([]*conn, l.clients)
	for i := range conns {
		c, err := l.dial(ctx)
		if err != nil {
			return outcome{}, err
		}
		defer c.close()
		conns[i] = c
	}
	var wg sync.WaitGroup
	var issued atomic.Int64
	errs := make([]error, len(conns))
	start := time.Now()
	for i, c := range conns {
		wg.Go(func() {
			for errs[i] == nil && ctx.Err() == nil && time.Since(start) < d {
				if limit > 0 && issued.Add(1) > limit {
					return
				}
				errs[i] = c.exchange(l)
			}
		})
	}
	wg.Wait()
	o := outcome{elapsed: time.Since(start)}
	for _, c := range conns {
		o.latencies = append(o.latencies, c.latencies...)
	}
	o.done = len(o.latencies)
	slices.Sort(o.latencies)
	return o, errors.Join(append(errs, ctx.Err())...)
}

// conn is one client.
type conn struct {
	net.Conn

	reader    *bufio.Reader
	request   []byte
	body      []byte // the part of request behind the header
	latencies []time.Duration
}

func (l load) dial(ctx context.Context) (*conn, error) {
	var d net.Dialer
	n, err := d.DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: n, reader: bufio.NewReaderSize(n, 8<<10)}
	if l.serials == nil {
		c.request = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", l.path, l.address)
		return c, nil
	}
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		l.path, l.address, len(l.body.text))
	c.request = slices.Concat(head, l.body.text)
	c.body = c.request[len(head):]
	return c, nil
}

func (c *conn) close() { _ = c.Close() }

func (c *conn) exchange(l load) error {
	if l.serials != nil {
		serial := l.serials.Add(1)
		if l.repeat > 0 {
			serial %= l.repeat
		}
		l.body.number(c.body, int(serial))
	}
	start := time.Now()
	if err := c.SetDeadline(start.Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write(c.request); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := c.answer(); err != nil {
		return err
	}
	c.latencies = append(c.latencies, time.Since(start))
	return nil
}

var contentLength = []byte("content-length:")

// answer reads one answer with a Content-Length and forgets it.
func (c *conn) answer() error {
	status, err := c.reader.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	good := len(status) > 9 && status[9] == '2'
	text := string(bytes.TrimSpace(status[:min(len(status), 40)]))
	length := 0
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("receive header: %w", err)
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return fmt.Errorf("receive header: %w", err)
			}
		}
	}
	if !good {
		body, _ := io.ReadAll(io.LimitReader(c.reader, int64(min(length, 300))))
		return fmt.Errorf("answered %s: %s", text, body)
	}
	_, err = c.reader.Discard(length)
	return err
}
