package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// crate gives a small valid RO-Crate; the title makes contents differ.
func crate(identifier, title string) string {
	quoted, _ := json.Marshal(identifier)
	name, _ := json.Marshal(title)
	return `{"@context":"https://w3id.org/ro/crate/1.1/context","@graph":[` +
		`{"@id":"./","@type":"Dataset","additionalType":"Investigation","identifier":` + string(quoted) + `,"name":` + string(name) + `},` +
		`{"@id":"ro-crate-metadata.json","@type":"CreativeWork","conformsTo":{"@id":"https://w3id.org/ro/crate/1.1"},"about":{"@id":"./"}}]}`
}

// upload is the body that uploads one crate.
func upload(rdi, crate string) string { return `{"rdi":"` + rdi + `","arc":` + crate + `}` }

// arcID is the id of an ARC of edal.
func arcID(identifier string) string {
	sum := sha256.Sum256([]byte(identifier + ":edal"))
	return hex.EncodeToString(sum[:])
}

var (
	timesOfARC = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00Z`)
	timesZulu  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z`)
	hashes     = regexp.MustCompile(`"arc_hash":"[0-9a-f]{64}"`)
	uuids      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
)

// masked replaces what differs from run to run by its form.
func masked(body string) string {
	body = timesOfARC.ReplaceAllString(body, "<time+00:00Z>")
	body = timesZulu.ReplaceAllString(body, "<timeZ>")
	body = hashes.ReplaceAllString(body, `"arc_hash":"<hash>"`)
	return uuids.ReplaceAllString(body, "<uuid>")
}

// member gives a text member of a JSON object.
func member(tb testing.TB, body string, path ...string) string {
	tb.Helper()
	var value any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		tb.Fatalf("%v in %s", err, clip(body))
	}
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			tb.Fatalf("no %s in %s", strings.Join(path, "."), clip(body))
		}
		value = object[name]
	}
	text, ok := value.(string)
	if !ok {
		tb.Fatalf("%s is %v in %s", strings.Join(path, "."), value, clip(body))
	}
	return text
}
