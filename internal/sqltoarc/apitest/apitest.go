// Package apitest is a stand-in for the earlier generation of the API, for
// tests of the upload side: harvests with single submissions, neither bulk nor
// delta handshake, one kind of answer for what it does not know. It can be told
// to fail in the ways that networks and services fail.
//
// It keeps everything in memory and is safe for concurrent use.
package apitest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Harvest is a harvest as the stand-in keeps it.
type Harvest struct {
	RDI      string
	Status   string
	Expected any
	ARCs     map[string]string // content by identifier
	Ending   string            // query and body of the request that has ended it
}

// Server is the stand-in.
type Server struct {
	URL string
	// Fault may answer a request in the server's place; it returns whether it
	// has. It runs before everything else.
	Fault func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	harvests map[string]*Harvest
	arcs     map[string]string
	requests map[string]int
}

// New starts a stand-in that ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{harvests: map[string]*Harvest{}, arcs: map[string]string{}, requests: map[string]int{}}
	web := httptest.NewServer(s)
	tb.Cleanup(web.Close)
	s.URL = web.URL
	return s
}

// Harvests gives copies of all harvests.
func (s *Server) Harvests() map[string]Harvest {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Harvest{}
	for id, h := range s.harvests {
		all[id] = *h
	}
	return all
}

// ARCs gives the newest content of each identifier.
func (s *Server) ARCs() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	for id, content := range s.arcs {
		all[id] = content
	}
	return all
}

// Requests counts the requests to a route, such as "POST /v3/harvests/{id}/arcs".
func (s *Server) Requests(route string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[route]
}

// ServeHTTP answers as the earlier generation does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Fault != nil && s.Fault(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(parts) > 2 {
		parts[2] = "{id}"
	}
	s.requests[r.Method+" /"+strings.Join(parts, "/")]++
	id := ""
	if all := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); len(all) > 2 {
		id = all[2]
	}
	switch r.Method + " /" + strings.Join(parts, "/") {
	case "GET /v1/liveness":
		answer(w, http.StatusOK, map[string]any{"message": "ok"})
	case "GET /v1/whoami":
		answer(w, http.StatusOK, map[string]any{"client_id": "rdi-client", "message": "Client authenticated successfully", "accessible_rdis": []string{"demo"}})
	case "POST /v3/arcs":
		s.submit(w, r, body, nil)
	case "POST /v3/harvests":
		s.begin(w, body)
	case "GET /v3/harvests/{id}", "PATCH /v3/harvests/{id}", "POST /v3/harvests/{id}/complete", "POST /v3/harvests/{id}/arcs":
		h := s.harvests[id]
		switch {
		case h == nil:
			detail(w, http.StatusNotFound, "Harvest not found")
		case r.Method == http.MethodPatch || strings.HasSuffix(r.URL.Path, "/complete"):
			h.Ending = r.URL.RawQuery + string(body)
			s.end(w, id, h, body)
		case r.Method == http.MethodGet:
			answer(w, http.StatusOK, harvestAnswer(id, h))
		default:
			s.submit(w, r, body, h)
		}
	default:
		detail(w, http.StatusNotFound, "Not Found")
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func detail(w http.ResponseWriter, status int, text any) {
	answer(w, status, map[string]any{"detail": text})
}

func harvestAnswer(id string, h *Harvest) map[string]any {
	return map[string]any{"client_id": nil, "message": "", "harvest_id": id, "rdi": h.RDI, "status": h.Status,
		"started_at": "2026-03-01T09:00:00.000123Z", "completed_at": nil, "statistics": map[string]any{}}
}

func (s *Server) begin(w http.ResponseWriter, body []byte) {
	var in struct {
		RDI      string `json:"rdi"`
		Expected any    `json:"expected_datasets"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.RDI == "" {
		detail(w, http.StatusUnprocessableEntity, []any{map[string]any{"msg": "Field required"}})
		return
	}
	if in.RDI != "demo" {
		detail(w, http.StatusBadRequest, fmt.Sprintf("RDI '%s' is not recognized.", in.RDI))
		return
	}
	id := fmt.Sprintf("harvest-%d", len(s.harvests)+1)
	s.harvests[id] = &Harvest{RDI: in.RDI, Status: "RUNNING", Expected: in.Expected, ARCs: map[string]string{}}
	answer(w, http.StatusOK, harvestAnswer(id, s.harvests[id]))
}

func (s *Server) end(w http.ResponseWriter, id string, h *Harvest, body []byte) {
	in := struct{ Status string }{"COMPLETED"}
	if len(body) > 0 {
		_ = json.Unmarshal(body, &in)
	}
	if h.Status != "RUNNING" {
		detail(w, http.StatusConflict, fmt.Sprintf("Harvest %s cannot transition to %s: current status is %s", id, in.Status, h.Status))
		return
	}
	h.Status = in.Status
	answer(w, http.StatusOK, harvestAnswer(id, h))
}

// submit stores a crate, in a harvest or alone.
func (s *Server) submit(w http.ResponseWriter, r *http.Request, body []byte, h *Harvest) {
	var in struct{ ARC json.RawMessage }
	if r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, &in) != nil || len(in.ARC) == 0 {
		detail(w, http.StatusUnprocessableEntity, []any{map[string]any{"type": "model_attributes_type", "loc": []string{"body"},
			"msg": "Input should be a valid dictionary or object to extract fields from"}})
		return
	}
	id := Identifier(in.ARC)
	switch {
	case id == "":
		detail(w, http.StatusUnprocessableEntity, []any{map[string]any{"msg": "Value error, RO-Crate must contain a root data entity with @id './'"}})
		return
	case h != nil && h.ARCs[id] != "" && h.ARCs[id] != string(in.ARC):
		detail(w, http.StatusConflict, fmt.Sprintf("ARC '%s' was already submitted in harvest with different content.", id))
		return
	}
	if h != nil {
		h.ARCs[id] = string(in.ARC)
	}
	s.arcs[id] = string(in.ARC)
	answer(w, http.StatusOK, map[string]any{"arc_id": id, "status": "created", "message": "ARC processed successfully"})
}

// Identifier gives the identifier of a crate's root, "" without one.
func Identifier(crate []byte) string {
	var doc struct {
		Graph []struct {
			ID         string `json:"@id"`
			Identifier any    `json:"identifier"`
		} `json:"@graph"`
	}
	if json.Unmarshal(crate, &doc) != nil {
		return ""
	}
	for _, e := range doc.Graph {
		if id, ok := e.Identifier.(string); ok && e.ID == "./" {
			return strings.TrimSpace(id)
		}
	}
	return ""
}
