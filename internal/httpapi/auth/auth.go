package auth

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
)

// DefaultOID identifies the certificate extension that lists RDIs.
const DefaultOID = "1.3.6.1.4.1.64609.1.1"

// everyRDI in a certificate stands for all known RDIs.
const everyRDI = "*"

// Options say whom to believe and which RDIs there are.
type Options struct {
	KnownRDIs          []string
	OID                string   // of the RDI extension; empty means DefaultOID
	OperatorOID        string   // of the extension that makes the holder an operator; empty means there is none
	RequireCertificate bool     // false: everybody may speak for every known RDI
	TrustedProxies     []string // addresses, networks, "unix"; nil means DefaultTrusted
	TLS                *TLS     // for client certificates of our own listener; may be nil
	Log                *slog.Logger
	Now                func() time.Time
}

// Authenticator tells who sends a request.
type Authenticator struct {
	known   []string
	oid     asn1.ObjectIdentifier
	office  asn1.ObjectIdentifier // of operators; nil is none
	require bool
	trusted peers
	tls     *TLS
	log     *slog.Logger
	now     func() time.Time

	spoofed sync.Once
	odd     sync.Once
}

// Client is the sender of a request.
type Client struct {
	ID string // common name; "" for an anonymous client
	// Fingerprint is the SHA-256 of the certificate in hex, "" without one.
	Fingerprint string
	// Operator says that the certificate has the extension of operators, whatever is in it.
	Operator bool
	rdis     []string // the known RDIs it may speak for, in the order of the configuration
	known    []string
}

// New checks the options and gives an Authenticator.
func New(o Options) (*Authenticator, error) {
	if o.OID == "" {
		o.OID = DefaultOID
	}
	if o.TrustedProxies == nil {
		o.TrustedProxies = DefaultTrusted()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	oid, err := parseOID(o.OID)
	if err != nil {
		return nil, err
	}
	var office asn1.ObjectIdentifier
	if o.OperatorOID != "" {
		if office, err = parseOID(o.OperatorOID); err != nil {
			return nil, err
		}
		if office.Equal(oid) {
			return nil, fmt.Errorf("%s cannot be the extension of RDIs and that of operators", o.OID)
		}
	}
	trusted, err := parsePeers(o.TrustedProxies)
	if err != nil {
		return nil, err
	}
	return &Authenticator{
		known: slices.Clone(o.KnownRDIs), oid: oid, office: office, require: o.RequireCertificate,
		trusted: trusted, tls: o.TLS, log: o.Log, now: o.Now,
	}, nil
}

func parseOID(s string) (asn1.ObjectIdentifier, error) {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("%q is not an object identifier", s)
		}
		oid = append(oid, int(n))
	}
	if len(oid) < 2 {
		return nil, fmt.Errorf("%q is not an object identifier", s)
	}
	return oid, nil
}

// Client tells who sends r, or why the request is refused, as a fault.
func (a *Authenticator) Client(r *http.Request) (Client, error) {
	cert, err := a.certificate(r)
	if err != nil {
		return Client{}, err
	}
	if cert == nil {
		if a.require {
			return Client{}, missing()
		}
		return Client{rdis: a.known, known: a.known}, nil
	}
	name := cert.commonName()
	if name == "" {
		return Client{}, nameless()
	}
	_, operator := extension(cert.TBS.Extensions, a.office)
	return Client{ID: name, Fingerprint: cert.fingerprint, Operator: operator, rdis: a.allowed(r, cert), known: a.known}, nil
}

// certificate finds the verified certificate of the sender: the connection's
// own first, then the headers of a trusted proxy. Nil means there is none.
func (a *Authenticator) certificate(r *http.Request) (*certificate, error) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		if err := a.tls.verify(r.TLS.PeerCertificates, a.now()); err != nil {
			return nil, unverified(err.Error())
		}
		cert, err := parseDER(r.TLS.PeerCertificates[0].Raw)
		if err != nil {
			return nil, unreadable(err)
		}
		return cert, nil
	}
	value, result := certificateHeaders(r.Header)
	if value == "" {
		return nil, nil
	}
	if !a.trusted.contains(r) {
		a.spoofed.Do(func() {
			a.log.WarnContext(r.Context(), "certificate headers of an untrusted peer ignored; list proxies in trusted_proxies",
				"peer", PeerName(r))
		})
		return nil, nil
	}
	if result != "SUCCESS" {
		return nil, unverified(result)
	}
	cert, err := parseHeader(value)
	if err != nil {
		return nil, unreadable(err)
	}
	return cert, nil
}

// certificateHeaders finds the certificate and the result of its verification;
// the two are looked up independently, and an empty value counts as absent.
func certificateHeaders(h http.Header) (cert, result string) {
	cert = firstOf(h, "Ssl-Client-Cert", "X-Ssl-Client-Cert")
	result = firstOf(h, "Ssl-Client-Verify", "X-Ssl-Client-Verify")
	if result == "" {
		result = "NONE"
	}
	return cert, result
}

func firstOf(h http.Header, names ...string) string {
	for _, name := range names {
		if value := h.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// allowed gives the known RDIs that the certificate entitles to. Odd content of
// the extension entitles to nothing and is worth one line in the log.
func (a *Authenticator) allowed(r *http.Request, cert *certificate) []string {
	if !a.require {
		return a.known
	}
	der, ok := extension(cert.TBS.Extensions, a.oid)
	if !ok {
		return nil
	}
	names, err := parseRDIs(der)
	if err != nil {
		a.odd.Do(func() {
			a.log.WarnContext(r.Context(), "certificate extension with RDIs is unreadable", "client_id", cert.commonName(), "error", err)
		})
		return nil
	}
	if slices.Contains(names, everyRDI) {
		return a.known
	}
	var rdis []string
	for _, rdi := range a.known {
		if slices.Contains(names, rdi) {
			rdis = append(rdis, rdi)
		}
	}
	return rdis
}

// RDIs gives the known RDIs the client may speak for, in the order in which
// they are configured. The caller must not change it.
func (c Client) RDIs() []string { return c.rdis }

// Authorize tells whether the client may speak for the RDI; a refusal is a fault.
func (c Client) Authorize(rdi string) error {
	if !slices.Contains(c.known, rdi) {
		return &fault.Error{
			Code: CodeRDIUnknown, Owner: fault.OwnerRDI,
			Text:   "RDI '" + rdi + "' is not recognized.",
			Remedy: "use one of the names that the operator configured under known_rdis",
		}
	}
	if !slices.Contains(c.rdis, rdi) {
		return &fault.Error{
			Code: CodeRDIForbidden, Owner: fault.OwnerRDI,
			Text:   "RDI '" + rdi + "' not authorized.",
			Remedy: "ask for a certificate that names this RDI",
		}
	}
	return nil
}

// errNoVerifier answers a certificate on a listener that was not told whom to believe.
var errNoVerifier = errors.New("no client certification authority is configured")

// HeaderCertificate gives the certificate header of a trusted proxy as it is, ""
// without one. It tells clients apart cheaply and proves nothing.
func (a *Authenticator) HeaderCertificate(r *http.Request) string {
	value, _ := certificateHeaders(r.Header)
	if value == "" || !a.trusted.contains(r) {
		return ""
	}
	return value
}
