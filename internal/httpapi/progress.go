package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/store"
)

// Rhythm of event streams.
const (
	progressPoll = time.Second      // how often the database is asked
	progressBeat = 15 * time.Second // silence after which a comment keeps proxies from hanging up
	progressPage = 500
)

// progressEvent is one event of the stream.
type progressEvent struct {
	ARCID     string `json:"arc_id"`
	Timestamp string `json:"timestamp"`
	Type      string `json:"type"`
	Message   string `json:"message"`
}

// harvestProgress is GET /v3/harvests/{harvest_id}/events: Server-Sent Events, one for
// each event of the harvest with its number as id, so that a client that comes
// back with Last-Event-ID has missed nothing, and one named harvest whenever
// status or counts have changed.
func (a *API) harvestProgress(x *exchange) error {
	after, err := x.lastEventID()
	if err != nil {
		return err
	}
	h, err := a.visibleHarvest(x)
	if err != nil {
		return err
	}
	end, err := a.stream(x.w)
	if err != nil {
		return err
	}
	defer end()
	header := x.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // proxies must not collect events
	ctx, cancel := context.WithCancel(x.ctx())
	defer cancel()
	defer context.AfterFunc(a.draining, cancel)()
	s := &eventStream{api: a, x: x, h: h, after: after}
	return s.run(ctx)
}

// stream begins an answer that lasts, if the client has not enough of them. Its
// reader does no work that others would have to wait for, so its place is free.
func (a *API) stream(w *writer) (end func(), err error) {
	s := a.streams.of(a.admissionKey(w.request))
	if !s.take(1, true) {
		return nil, overloaded()
	}
	w.place.end()
	return func() { s.give(1) }, nil
}

// lastEventID reads where to go on: the header of browsers, else the parameter.
func (x *exchange) lastEventID() (int64, error) {
	q := x.newQuery()
	after := q.position("last_event_id")
	if text := x.r.Header.Get("Last-Event-ID"); text != "" {
		if n, err := strconv.ParseUint(text, 10, 63); err == nil {
			return int64(n), nil
		}
	}
	return after, q.err()
}

// eventStream sends the events of one harvest to one client.
type eventStream struct {
	api   *API
	x     *exchange
	h     store.Harvest
	after int64
	last  []byte // the harvest as it was told last
	beat  time.Time
}

// run ends when the client goes, the worker drains or the database fails; the
// client comes back with the id of the last event it got.
func (s *eventStream) run(ctx context.Context) error {
	tick := time.NewTicker(progressPoll)
	defer tick.Stop()
	s.beat = time.Now()
	if err := s.send([]byte("retry: 2000\n\n")); err != nil {
		return nil //nolint:nilerr // the client is gone
	}
	for {
		more, err := s.step(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.api.log.WarnContext(ctx, "event stream ended", "harvest_id", ingest.HarvestID(s.h), "error", err)
			}
			return nil
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// step sends what is new, and says whether there may be more at once.
func (s *eventStream) step(ctx context.Context) (more bool, err error) {
	events, err := s.api.service.HarvestEvents(ctx, s.h, s.after, progressPage)
	if err != nil {
		return false, err
	}
	var out bytes.Buffer
	for _, e := range events {
		data, err := appendJSON(progressEvent{e.ARC.String(), zulu(e.At), e.Type, e.Message})
		if err != nil {
			return false, err
		}
		fmt.Fprintf(&out, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Type, data)
		s.after = e.ID
	}
	if len(events) < progressPage {
		h, err := s.api.service.Harvest(ctx, ingest.HarvestID(s.h))
		if err != nil {
			return false, err
		}
		data, err := appendJSON(newHarvestAnswer(h))
		if err != nil {
			return false, err
		}
		if !bytes.Equal(data, s.last) {
			s.last = data
			fmt.Fprintf(&out, "event: harvest\ndata: %s\n\n", data)
		}
	}
	if out.Len() == 0 && time.Since(s.beat) >= progressBeat {
		out.WriteString(": still there\n\n")
	}
	return len(events) == progressPage, s.send(out.Bytes())
}

func (s *eventStream) send(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	s.beat = time.Now()
	if _, err := s.x.w.Write(text); err != nil {
		return err
	}
	return http.NewResponseController(s.x.w).Flush()
}
