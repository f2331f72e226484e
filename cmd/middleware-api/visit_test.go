package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// identity is a client certificate.
type identity struct{ header, fingerprint string }

// issue makes a certificate for the RDIs; nil leaves the extension out.
func issue(tb testing.TB, name string, rdis ...string) identity {
	tb.Helper()
	if rdis == nil {
		return issueWith(tb, name)
	}
	elements := make([]asn1.RawValue, len(rdis))
	for i, rdi := range rdis {
		elements[i] = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(rdi)}
	}
	der, err := asn1.Marshal(elements)
	if err != nil {
		tb.Fatal(err)
	}
	return issueWith(tb, name, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 64609, 1, 1}, Value: der})
}

var operatorOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 64609, 1, 2}

func issueWith(tb testing.TB, name string, extensions ...pkix.Extension) identity {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtraExtensions: extensions,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(der)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return identity{header: strings.ReplaceAll(url.QueryEscape(text), "+", "%20"), fingerprint: hex.EncodeToString(sum[:])}
}

// portal is the service with its console over HTTP, behind a proxy that has
// verified the certificates.
type portal struct {
	tb    testing.TB
	store *store.Store
	api   *httpapi.API
	url   string
}

func newPortal(tb testing.TB, operators ...string) *portal {
	tb.Helper()
	quiet := slog.New(slog.DiscardHandler)
	st, err := store.Open(tb.Context(), store.Options{DSN: pgtest.DSN(tb), Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(st.Close)
	page := newConsole(&config.Config{}, st, quiet, certifiedViewer(operators))
	api, err := httpapi.New(ingest.New(st, ingest.Options{Logger: quiet}), httpapi.Options{
		KnownRDIs: []string{"edal", "bonares"}, OperatorOID: operatorOID.String(), RequireCertificate: true, Console: visit(page), Log: quiet,
	})
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(api)
	tb.Cleanup(func() { api.Drain(); server.Close() })
	return &portal{tb: tb, store: st, api: api, url: server.URL}
}

func (s *portal) submit(rdi, identifier string) store.ID {
	s.tb.Helper()
	id := store.ID(rocrate.Identity(identifier, rdi))
	if _, err := s.store.Submit(s.tb.Context(), &store.Submission{
		ID: id, RDI: rdi, Identifier: identifier, Hash: store.Hash(id), Size: 2, Content: func() []byte { return store.Compress([]byte("{}")) },
	}); err != nil {
		s.tb.Fatal(err)
	}
	return id
}

// open sends a request without a body; who may be nil.
func (s *portal) open(method, path string, who *identity, headers ...string) *http.Response {
	s.tb.Helper()
	r, err := http.NewRequestWithContext(s.tb.Context(), method, s.url+path, http.NoBody)
	if err != nil {
		s.tb.Fatal(err)
	}
	if who != nil {
		r.Header.Set("Ssl-Client-Cert", who.header)
		r.Header.Set("Ssl-Client-Verify", "SUCCESS")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func (s *portal) do(method, path string, who *identity, headers ...string) (status int, body string) {
	s.tb.Helper()
	response := s.open(method, path, who, headers...)
	data, err := io.ReadAll(response.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// Over HTTP the certificate decides: operators, listed by name or fingerprint or
// made by an extension, see everything and may act; an RDI sees its own; others and the unknown see nothing.
func TestConsoleOverHTTPGoesByCertificate(t *testing.T) {
	t.Parallel()
	byName, byPrint := issue(t, "jane@example.org"), issue(t, "somebody")
	namesake, rdi, stranger := issue(t, "somebody"), issue(t, "harvester of edal", "edal"), issue(t, "stranger")
	byExtension := issueWith(t, "joe", pkix.Extension{Id: operatorOID, Value: []byte{5, 0}})
	s := newPortal(t, "jane@example.org", "sha256:"+byPrint.fingerprint)
	own, other := s.submit("edal", "mine"), s.submit("bonares", "theirs")

	for what, c := range map[string]struct {
		who    *identity
		status int
		sees   []string
		lacks  []string
	}{
		"an operator by name":        {&byName, 200, []string{"edal", "bonares", "Audit trail"}, nil},
		"an operator by fingerprint": {&byPrint, 200, []string{"edal", "bonares", "Audit trail"}, nil},
		"an operator by extension":   {&byExtension, 200, []string{"edal", "bonares", "Audit trail"}, nil},
		"one with the same name":     {&namesake, 403, nil, []string{"edal", "bonares"}},
		"an RDI":                     {&rdi, 200, []string{"edal", "data of edal"}, []string{"bonares", "Audit trail", "<form method"}},
		"a stranger":                 {&stranger, 403, nil, []string{"edal", "bonares"}},
		"nobody":                     {nil, 401, nil, []string{"edal", "bonares"}},
	} {
		status, body := s.do(http.MethodGet, "/console", c.who)
		if status != c.status {
			t.Errorf("%s: status %d, want %d", what, status, c.status)
		}
		for _, text := range c.sees {
			if !strings.Contains(body, text) {
				t.Errorf("%s does not see %q", what, text)
			}
		}
		for _, text := range c.lacks {
			if strings.Contains(body, text) {
				t.Errorf("%s sees %q", what, text)
			}
		}
	}
	for path, want := range map[string]int{
		"/console/arcs/" + own.String(): 200, "/console/arcs/" + other.String(): 404, "/console/audit": 403,
		"/console/static/console.css": 200, "/consoles": 404, "/console/nothing": 404,
	} {
		if status, body := s.do(http.MethodGet, path, &rdi); status != want || strings.Contains(body, "theirs") {
			t.Errorf("an RDI at %s: %d, want %d", path, status, want)
		}
	}
	for _, who := range []*identity{&rdi, &stranger, &namesake, nil} {
		for _, path := range []string{"/console/arcs/" + own.String() + "/park", "/console/remotes/git/pause", "/console/causes/x/resync"} {
			if status, _ := s.do(http.MethodPost, path, who); status != 401 && status != 403 {
				t.Errorf("POST %s: %d", path, status)
			}
		}
	}
	trail, err := s.store.AuditTrail(t.Context(), store.ID{}, 0, 10)
	if err != nil || len(trail) != 2 {
		t.Errorf("the audit trail has %d lines, want the two uploads; %v", len(trail), err)
	}
}

// Whoever comes without a certificate is no operator, even if what is listed looks
// like his name or his fingerprint.
func TestTheAnonymousAreNoOperators(t *testing.T) {
	t.Parallel()
	for _, listed := range []string{"", "sha256:"} {
		r := httptest.NewRequest(http.MethodGet, "/console", http.NoBody)
		visit(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if who, ok := certifiedViewer([]string{listed})(r); !ok || who.Operator {
				t.Errorf("listed %q: got %+v, %t", listed, who, ok)
			}
		}))(httptest.NewRecorder(), r, httpapi.Visitor{Actor: store.Actor{Subject: "anonymous"}})
	}
}

// What an operator does is written down with his certificate and the request; a
// form of another site does nothing.
func TestActionsOverHTTPAreWrittenDown(t *testing.T) {
	t.Parallel()
	jane := issue(t, "jane@example.org")
	s := newPortal(t, "jane@example.org")
	id := s.submit("edal", "A")
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		if status, _ := s.do(http.MethodPost, "/console/arcs/"+id.String()+"/park", &jane, headers...); status != http.StatusForbidden {
			t.Errorf("%v: status %d, want 403", headers, status)
		}
	}
	if status, _ := s.do(http.MethodPost, "/console/arcs/"+id.String()+"/park", &jane, "Sec-Fetch-Site", "same-origin", "X-Request-Id", "r-1"); status != http.StatusSeeOther {
		t.Fatalf("park: status %d", status)
	}
	trail, err := s.store.AuditTrail(t.Context(), id, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := store.Actor{Subject: "jane@example.org", Fingerprint: jane.fingerprint, RequestID: "r-1"}
	if len(trail) != 2 || trail[0].Action != "arc.park" || trail[0].Actor != want {
		t.Errorf("audit trail: %+v, want a parking by %+v", trail, want)
	}
}

// The stream of an open page ends at once when the worker drains: the browser
// comes back to another one.
func TestPagesLetAWorkerDrain(t *testing.T) {
	t.Parallel()
	jane := issue(t, "jane@example.org")
	s := newPortal(t, "jane@example.org")
	response := s.open(http.MethodGet, "/console/live", &jane)
	first := make([]byte, 12)
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "event: page\n" {
		t.Fatalf("the stream begins with %q, %v", first, err)
	}
	s.api.Drain()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = response.Body.Close() })()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Errorf("the stream did not end in order: %v", err)
	}
}
