package httpapi

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const mediaJSON = "application/json"

// appendJSON encodes as clients are used to: compact, members in the order of
// the struct, nothing escaped that JSON does not demand.
func appendJSON(value any) ([]byte, error) {
	return json.Marshal(value, jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
}

// writeJSON sends a complete JSON answer.
func writeJSON(w http.ResponseWriter, status int, value any) error {
	body, err := appendJSON(value)
	if err != nil {
		return err
	}
	return writeBody(w, status, mediaJSON, body)
}

// writeBody sends a complete answer. That the client went away is not an error
// of ours; there is nobody left to tell.
func writeBody(w http.ResponseWriter, status int, mediaType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}
