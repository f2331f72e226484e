package console

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// liveLimit ends a stream, so that a draining worker is not held by browsers:
// they connect again by themselves, to another worker.
const liveLimit = 5 * time.Minute

// live sends the changing part of the overview whenever it has changed, as
// Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (c *Console) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies must not collect events
	out := http.NewResponseController(w)
	ticker := time.NewTicker(c.o.Refresh)
	defer ticker.Stop()
	end := time.NewTimer(liveLimit)
	defer end.Stop()
	var last []byte
	for {
		now, err := c.fragment(r)
		if r.Context().Err() != nil {
			return // what was read on the way out looks like trouble with the database
		}
		if err != nil {
			c.o.Log.ErrorContext(r.Context(), "console page not made", "error", err)
			return
		}
		message := []byte("event: same\ndata: nothing new\n\n") // a comment would not reach the script
		if !bytes.Equal(now, last) {
			message, last = event(now), now
		}
		if _, err := w.Write(message); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-end.C:
			return
		case <-ticker.C:
		}
	}
}

// fragment is the changing part of the overview.
func (c *Console) fragment(r *http.Request) ([]byte, error) {
	p := c.overviewPage(r)
	p.Viewer = viewerOf(r)
	var b bytes.Buffer
	if err := pages()["overview"].ExecuteTemplate(&b, "live", p); err != nil {
		return nil, fmt.Errorf("make page: %w", err)
	}
	return b.Bytes(), nil
}

// event frames a text of several lines.
func event(text []byte) []byte {
	var b bytes.Buffer
	b.WriteString("event: page\n")
	for line := range bytes.Lines(text) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}
