package httpapi

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Limits for what is read and thrown away after an answer that did not wait for
// the body, so that a client that sends first and reads later gets to see it.
const (
	// shortRest is what net/http itself reads before it sends the answer.
	shortRest     = 256 << 10
	shortRestTime = 5 * time.Second
	lingerBytes   = 64 << 20
	lingerTime    = 10 * time.Second
)

// quickBytes of an answer fit into the buffers on its way: nobody waits until a client
// has taken them.
const quickBytes = 16 << 10

// writer remembers what was answered, and sees to what is left of the request.
type writer struct {
	http.ResponseWriter
	request   *http.Request
	record    Record
	place     *place // at the gate; nil if there is no limit
	bodyDone  bool   // nothing of the body is left that could be read
	lingering bool
	meanwhile bool // the request is read while the answer is written, and reading tells when the place is free
}

// WriteHeader notes the status.
func (w *writer) WriteHeader(status int) {
	if w.record.Status == 0 && status >= http.StatusOK {
		w.record.Status = status
		w.prepareRest()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes, and does not hold the place while a slow client takes them.
func (w *writer) Write(b []byte) (n int, err error) {
	if w.record.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.meanwhile || w.record.Bytes+int64(len(b)) <= quickBytes {
		n, err = w.ResponseWriter.Write(b)
	} else {
		w.place.wait(func() { n, err = w.ResponseWriter.Write(b) })
	}
	w.record.Bytes += int64(n)
	return n, err
}

// Unwrap serves http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// prepareRest decides, before an answer goes out, what happens to a body that was
// not read: a short one is read by net/http, with a deadline from us; a long
// one is read after the answer and the connection ends. Who waits for permission
// to send needs neither.
func (w *writer) prepareRest() {
	r := w.request
	if w.bodyDone || r.ContentLength == 0 || r.Body == nil || r.Header.Get("Expect") != "" {
		return
	}
	control := http.NewResponseController(w.ResponseWriter)
	if 0 < r.ContentLength && r.ContentLength <= shortRest {
		_ = control.SetReadDeadline(time.Now().Add(shortRestTime))
		return
	}
	if control.EnableFullDuplex() == nil {
		w.lingering = true
		w.Header().Set("Connection", "close")
	}
}

// finish reads what is left of a long body.
func (w *writer) finish() {
	if !w.lingering {
		return
	}
	control := http.NewResponseController(w.ResponseWriter)
	_ = control.Flush()
	exhaust(control, w.request.Body, lingerTime)
}

// exhaust reads what is left of a body within limits. In full duplex a handler
// must not leave the end of the body for net/http to find: it would begin to wait
// for the next request twice (and panic). So what has arrived is read in any case,
// and what has not is made unreadable.
func exhaust(control *http.ResponseController, body io.Reader, patience time.Duration) {
	if patience > 0 {
		_ = control.SetReadDeadline(time.Now().Add(patience))
		if n, err := io.CopyN(io.Discard, body, lingerBytes); errors.Is(err, io.EOF) && n < lingerBytes {
			_ = control.SetReadDeadline(time.Time{})
			return
		}
	}
	_ = control.SetReadDeadline(time.Unix(1, 0))
	_, _ = io.Copy(io.Discard, body)
}

// abortIfBegun keeps half an answer from looking whole.
func abortIfBegun(w *writer, err error) error {
	if err != nil && w.record.Status != 0 {
		panic(http.ErrAbortHandler)
	}
	return err
}
