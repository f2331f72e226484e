package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
)

// errStopped says that we, not the sender, ended a body.
var errStopped = errors.New("reading was stopped")

// stoppable is a body whose reading another goroutine can end.
type stoppable struct {
	from *pacedReader

	mu      sync.Mutex
	stopped bool
	broken  bool // reading has failed, other than at the end
}

func newStoppable(from *pacedReader) *stoppable {
	s := &stoppable{from: from}
	from.guard = s.setDeadline
	return s
}

// setDeadline sets the deadline of the next read, unless reading has been stopped.
func (s *stoppable) setDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		_ = s.from.control.SetReadDeadline(t)
	}
}

func (s *stoppable) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.from.giveUp()
}

// settle sees to what nobody read of the body.
func (s *stoppable) settle() {
	s.mu.Lock()
	patience := shortRestTime
	if s.stopped {
		patience = 0
	}
	s.mu.Unlock()
	exhaust(s.from.control, s.from.body, patience)
}

// Read reads from the body.
func (s *stoppable) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return n, errStopped
	}
	s.broken = s.broken || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

// decoded is a body without its content encoding. It tells a body that is no such
// encoding from one that did not arrive.
type decoded struct {
	plain io.Reader
	body  *stoppable
}

// Read gives plain bytes.
func (d decoded) Read(b []byte) (int, error) {
	n, err := d.plain.Read(b)
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, err
	}
	d.body.mu.Lock()
	defer d.body.mu.Unlock()
	if !d.body.broken && !d.body.stopped {
		err = &fault.Error{Code: codeMediaType, Owner: fault.OwnerRDI, Text: "The request body is not encoded as Content-Encoding says", Cause: err}
	}
	return n, err
}

// lineReader cuts a body into lines and knows which of them have been answered.
// Next and answered may be called from two goroutines.
type lineReader struct {
	from   io.Reader
	limit  int // bytes of a line
	memory share
	buffer []byte // read and not yet given
	held   int    // of memory, for the buffer
	ended  error  // what the body ended with
	number int    // of the last line given, as an editor counts

	mu    sync.Mutex
	given []givenLine
}

type givenLine struct {
	number int
	taken  int // of memory
}

// readChunk is how much is read at a time.
const readChunk = 64 << 10

// next gives the next line that is not blank. A line that is too long is passed
// over and gives tooLarge; others go on.
func (l *lineReader) next() ([]byte, error) {
	for {
		line, err := l.cut()
		if err != nil && !isTooLarge(err) {
			return nil, err
		}
		l.number++
		if err != nil {
			l.give(0)
			return nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if !l.memory.take(len(line), len(line) > firstChunk) {
			l.give(0)
			return nil, overloaded()
		}
		l.give(len(line))
		return line, nil
	}
}

func (l *lineReader) give(taken int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given = append(l.given, givenLine{l.number, taken})
}

// answered gives the number of the oldest line without answer, and what gives its
// memory back.
func (l *lineReader) answered() (number int, release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.given) == 0 { // what ended the body is answered as a line of its own
		return l.number + 1, func() {}
	}
	first := l.given[0]
	l.given = l.given[1:]
	return first.number, func() { l.memory.give(first.taken) }
}

// cut gives the next line, as memory of its own. What follows the last line break
// is a line only if the body ended properly.
func (l *lineReader) cut() ([]byte, error) {
	searched := 0
	tooLong := false
	for {
		if i := bytes.IndexByte(l.buffer[searched:], '\n'); i >= 0 {
			end := searched + i
			line := bytes.Clone(l.buffer[:end])
			l.buffer = l.buffer[end+1:]
			if tooLong || len(line) > l.limit {
				return nil, tooLarge()
			}
			return line, nil
		}
		searched = len(l.buffer)
		if searched > l.limit {
			tooLong = true
			l.buffer, searched = l.buffer[:0], 0
		}
		if l.ended != nil {
			return l.last(tooLong)
		}
		l.fill()
	}
}

func (l *lineReader) last(tooLong bool) ([]byte, error) {
	if !errors.Is(l.ended, io.EOF) || len(l.buffer) == 0 && !tooLong {
		return nil, l.ended
	}
	line := bytes.Clone(l.buffer)
	l.buffer = nil
	if tooLong {
		return nil, tooLarge()
	}
	return line, nil
}

func (l *lineReader) fill() {
	if cap(l.buffer)-len(l.buffer) < readChunk {
		size := max(2*len(l.buffer), 2*readChunk)
		if size > l.held {
			if !l.memory.take(size-l.held, true) {
				l.ended = overloaded()
				return
			}
			l.held = size
		}
		l.buffer = append(make([]byte, 0, size), l.buffer...)
	}
	n, err := l.from.Read(l.buffer[len(l.buffer) : len(l.buffer)+readChunk])
	l.buffer = l.buffer[:len(l.buffer)+n]
	l.ended = err
}

// close gives the buffer's memory back, once nobody reads any more.
func (l *lineReader) close() { l.memory.give(l.held) }

func isTooLarge(err error) bool { return fault.CodeOf(err) == codeTooLarge }

// maxUnread is how many bytes of answers wait for a client that sends everything
// before it reads anything.
const maxUnread = 8 << 20

// lineWriter sends lines as soon as the client takes them, without making the
// one who writes wait for that.
type lineWriter struct {
	w    http.ResponseWriter
	done chan struct{}

	mu      sync.Mutex
	change  sync.Cond
	waiting []byte
	closing bool
	err     error
}

func newLineWriter(w http.ResponseWriter) *lineWriter {
	l := &lineWriter{w: w, done: make(chan struct{})}
	l.change.L = &l.mu
	go l.run()
	return l
}

// write adds a line. The error is that of an earlier one.
func (l *lineWriter) write(value any) error {
	text, err := appendJSON(value)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) > maxUnread && l.err == nil {
		l.change.Wait()
	}
	l.waiting = append(append(l.waiting, text...), '\n')
	l.change.Broadcast()
	return l.err
}

// close waits until everything has been sent.
func (l *lineWriter) close() error {
	l.mu.Lock()
	l.closing = true
	l.change.Broadcast()
	l.mu.Unlock()
	<-l.done
	return l.err
}

func (l *lineWriter) run() {
	defer close(l.done)
	control := http.NewResponseController(l.w)
	var sending []byte
	for {
		l.mu.Lock()
		for len(l.waiting) == 0 && !l.closing {
			l.change.Wait()
		}
		if len(l.waiting) == 0 {
			l.mu.Unlock()
			return
		}
		sending, l.waiting = l.waiting, sending[:0]
		l.change.Broadcast()
		l.mu.Unlock()
		_, err := l.w.Write(sending)
		if err == nil {
			err = control.Flush()
		}
		if err != nil {
			l.mu.Lock()
			l.err = err
			l.waiting = nil
			l.change.Broadcast()
			l.mu.Unlock()
			return
		}
	}
}
