package httpapi

import (
	"net/http"
	"strings"
)

// checkContentType wants JSON to be named somewhere in the header, as the newest
// generation does; the case matters there.
func checkContentType(h http.Header) error {
	if strings.Contains(h.Get("Content-Type"), mediaJSON) {
		return nil
	}
	return refuse(codeMediaType, "Content-Type must be application/json")
}

// checkAccept refuses only a client that says it cannot read JSON.
func checkAccept(h http.Header) error {
	accept := h.Get("Accept")
	if accept == "" || strings.Contains(accept, "*/*") || strings.Contains(accept, mediaJSON) {
		return nil
	}
	return refuse(codeNotAcceptable, "Accept must be application/json")
}

// mediaType gives the lower-case media type without parameters; something that
// is not of the form type/subtype counts as plain text.
func mediaType(header string) string {
	media, _, _ := strings.Cut(header, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if strings.Count(media, "/") != 1 {
		return "text/plain"
	}
	return media
}

// isJSON says whether a body with this Content-Type is parsed as JSON.
func isJSON(header string) bool {
	if header == "" {
		return false
	}
	kind, sub, _ := strings.Cut(mediaType(header), "/")
	return kind == "application" && (sub == "json" || strings.HasSuffix(sub, "+json"))
}

// isNDJSON says whether a body is lines of JSON.
func isNDJSON(header string) bool {
	switch mediaType(header) {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		return true
	}
	return false
}
