package torture

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// sender is the client of one RDI. It uploads over new connections, so that
// every request can meet every worker, and never tries again behind our back.
type sender struct {
	m       *model
	rdi     string
	address string
	r       *rand.Rand
	arcs    int // how many different ones it sends
}

var httpClient = &http.Client{
	Timeout:   20 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true},
}

// crate is version v of an ARC; the version is its title.
func crate(identifier string, v int) map[string]any {
	return map[string]any{
		"@context": "https://w3id.org/ro/crate/1.2/context",
		"@graph": []any{
			map[string]any{
				"@id": "./", "@type": "Dataset", "additionalType": "Investigation",
				"identifier": identifier, "name": fmt.Sprintf("v%d", v), "datePublished": time.Now().Format(time.RFC3339Nano),
			},
		},
	}
}

// brokenCrate can be stored but not become an ARC folder.
func brokenCrate(identifier string) map[string]any {
	return map[string]any{
		"@context": "https://w3id.org/ro/crate/1.2/context",
		"@graph": []any{
			map[string]any{"@id": "./", "@type": "Dataset", "identifier": identifier, "name": "broken", "hasPart": map[string]any{"@id": "a"}},
			map[string]any{"@id": "a", "@type": "Dataset", "additionalType": "Assay", "identifier": "a/1"},
		},
	}
}

// answerError is an answer other than 2xx.
type answerError struct {
	status int
	text   string
}

func (e answerError) Error() string { return fmt.Sprintf("status %d: %.200s", e.status, e.text) }

// call makes one request and gives the answer's body.
func (s *sender) call(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := httpClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = answerError{resp.StatusCode, string(answer)}
	}
	return answer, err
}

func (s *sender) post(ctx context.Context, path string, value, answer any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	text, err := s.call(ctx, http.MethodPost, path, "application/json", body)
	if err == nil && answer != nil {
		err = json.Unmarshal(text, answer)
	}
	return err
}

// upload sends the next version of an ARC, or the same again, over one of the
// three generations of routes.
func (s *sender) upload(ctx context.Context, identifier string, again bool, generation int) error {
	k := arcKey{s.rdi, identifier}
	v := s.m.next(k, again)
	var task struct {
		ID *string `json:"task_id"`
	}
	var err error
	switch generation {
	case 1:
		err = s.post(ctx, "/v1/arcs", map[string]any{"rdi": s.rdi, "arcs": []any{crate(identifier, v)}}, &task)
	case 2:
		err = s.post(ctx, "/v2/arcs", map[string]any{"rdi": s.rdi, "arc": crate(identifier, v)}, &task)
	default:
		err = s.post(ctx, "/v3/arcs", map[string]any{"rdi": s.rdi, "arc": crate(identifier, v)}, nil)
	}
	if err != nil {
		s.m.unanswered(k, v)
		return err
	}
	s.m.acknowledge(k, v)
	if generation < 3 && task.ID != nil {
		s.m.mu.Lock()
		s.m.tasks[*task.ID] = k
		s.m.mu.Unlock()
	}
	return nil
}

// settle sends the newest version of an ARC until it is acknowledged.
func (s *sender) settle(ctx context.Context, identifier string) {
	for ctx.Err() == nil && s.upload(ctx, identifier, true, 3) != nil {
		rest(ctx)
	}
}

// rest is the pause before a request is tried again.
func rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Millisecond):
	}
}

// step does one thing by chance: mostly an upload, sometimes a whole harvest.
func (s *sender) step(ctx context.Context) {
	if s.r.IntN(40) == 0 {
		s.harvest(ctx)
		return
	}
	generation := 3
	if x := s.r.IntN(8); x < 2 {
		generation = x + 1
	}
	_ = s.upload(ctx, fmt.Sprintf("arc-%d", s.r.IntN(s.arcs)), s.r.IntN(6) == 0, generation)
}

// harvest brings all ARCs of the RDI but a few, some of them changed, some of
// them new, and expects the statistics that follow.
func (s *sender) harvest(ctx context.Context) {
	_, others := s.m.of(s.rdi)
	for _, k := range others {
		s.settle(ctx, k.identifier)
	}
	known, _ := s.m.of(s.rdi)
	slices.SortFunc(known, func(a, b arcKey) int { return cmp.Compare(a.identifier, b.identifier) })
	id, ok := s.beginHarvest(ctx)
	if !ok {
		return
	}
	var want harvestModel
	lines := map[arcKey]int{}
	for _, k := range known {
		switch x := s.r.IntN(20); {
		case x == 0:
			want.missing++
		case x < 10:
			lines[k] = s.m.next(k, false)
			want.updated++
		default:
			lines[k] = s.m.next(k, true)
			want.unchanged++
		}
	}
	for n := range s.r.IntN(4) {
		k := arcKey{s.rdi, fmt.Sprintf("arc-%d", s.r.IntN(s.arcs))}
		if _, there := lines[k]; !there && !slices.Contains(known, k) {
			lines[k] = s.m.next(k, false)
			want.added++
		}
		_ = n
	}
	for len(lines) > 0 && ctx.Err() == nil {
		s.bring(ctx, id, lines)
	}
	if ctx.Err() == nil && s.complete(ctx, id) {
		s.m.mu.Lock()
		s.m.harvests[id] = want
		s.m.mu.Unlock()
	}
}

func (s *sender) beginHarvest(ctx context.Context) (id string, ok bool) {
	for ctx.Err() == nil {
		var begun struct {
			ID string `json:"harvest_id"`
		}
		if s.post(ctx, "/v3/harvests", map[string]any{"rdi": s.rdi}, &begun) == nil {
			return begun.ID, true
		}
		s.m.mu.Lock()
		s.m.lost++
		s.m.mu.Unlock()
		rest(ctx)
	}
	return "", false
}

// bring sends what is left of a harvest, at once or one by one, and takes away
// what was acknowledged.
func (s *sender) bring(ctx context.Context, id string, lines map[arcKey]int) {
	keys := make([]arcKey, 0, len(lines))
	for k := range lines {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b arcKey) int { return cmp.Compare(a.identifier, b.identifier) })
	acked := func(k arcKey) {
		s.m.acknowledge(k, lines[k])
		delete(lines, k)
	}
	if len(keys) < 3 {
		for _, k := range keys {
			if s.post(ctx, "/v3/harvests/"+id+"/arcs", map[string]any{"arc": crate(k.identifier, lines[k])}, nil) == nil {
				acked(k)
			} else {
				s.m.unanswered(k, lines[k])
			}
		}
		return
	}
	var body bytes.Buffer
	for _, k := range keys {
		line, _ := json.Marshal(crate(k.identifier, lines[k]))
		body.Write(append(line, '\n'))
	}
	text, _ := s.call(ctx, http.MethodPost, "/v3/harvests/"+id+"/arcs", "application/x-ndjson", body.Bytes())
	for line := range strings.Lines(string(text)) {
		var one struct {
			Line   int `json:"line"`
			Status int `json:"status"`
		}
		// A line that was cut acknowledges nothing.
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &one) == nil && one.Status == http.StatusOK {
			acked(keys[one.Line-1])
		}
	}
	for _, k := range keys {
		if v, left := lines[k]; left {
			s.m.unanswered(k, v)
		}
	}
}

// complete ends a harvest. After a request without an answer it looks whether
// the harvest has ended before it tries again.
func (s *sender) complete(ctx context.Context, id string) bool {
	for ctx.Err() == nil {
		if s.post(ctx, "/v3/harvests/"+id+"/complete", map[string]any{}, nil) == nil {
			return true
		}
		var now struct {
			Status string `json:"status"`
		}
		text, err := s.call(ctx, http.MethodGet, "/v3/harvests/"+id, "application/json", nil)
		if err == nil && json.Unmarshal(text, &now) == nil && now.Status == "COMPLETED" {
			return true
		}
		rest(ctx)
	}
	return false
}
