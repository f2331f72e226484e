package auth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/httpapi/auth"
)

var known = []string{"edal", "bonares", "publisso"}

func newAuthenticator(tb testing.TB, change func(*auth.Options)) *auth.Authenticator {
	tb.Helper()
	options := auth.Options{KnownRDIs: known, RequireCertificate: true}
	if change != nil {
		change(&options)
	}
	a, err := auth.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// request makes a request that a proxy on this host passes on; headers come in pairs.
func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v1/whoami", nil)
	r.RemoteAddr = "127.0.0.1:40000"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func assertFault(tb testing.TB, err error, code fault.Code, text string) {
	tb.Helper()
	f, ok := fault.Of(err)
	if !ok {
		tb.Fatalf("got error %v, want fault %s", err, code)
	}
	if f.Code != code || !strings.HasPrefix(f.Text, text) {
		tb.Fatalf("got fault %s %q, want %s %q", f.Code, f.Text, code, text)
	}
}

// The decision table, from top to bottom.
func TestWhoSends(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	good, _ := ca.issue(t, pkix.Name{CommonName: "harvester-01"}, utf8Strings(t, "edal"), nil)
	umlaut, _ := ca.issue(t, pkix.Name{CommonName: "Ernte-Maschine № 7 äöü😀"}, nil, nil)
	nameless, _ := ca.issue(t, pkix.Name{Organization: []string{"nobody"}}, nil, nil)
	twice, _ := ca.issue(t, pkix.Name{}, nil, func(c *x509.Certificate) {
		der, err := asn1.Marshal(pkix.RDNSequence{
			{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "first"}},
			{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "second"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.RawSubject = der
	})
	emptyFirst, _ := ca.issue(t, pkix.Name{}, nil, func(c *x509.Certificate) {
		der, err := asn1.Marshal(pkix.RDNSequence{
			{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: ""}},
			{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "second"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.RawSubject = der
	})
	expired, _ := ca.issue(t, pkix.Name{CommonName: "late"}, nil, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	})
	blanks := strings.ReplaceAll(pemOf(good), "\n", " ")
	every := func(text string) string {
		var b strings.Builder
		for i := range len(text) {
			fmt.Fprintf(&b, "%%%02x", text[i])
		}
		return b.String()
	}
	long := escaped(pemOf(good))
	long += strings.Repeat(" ", 64<<10-len(long))
	armourless := strings.Join(strings.Fields(pemOf(good))[2:len(strings.Fields(pemOf(good)))-2], "")

	const cert, verify, xcert, xverify = "ssl-client-cert", "ssl-client-verify", "X-SSL-Client-Cert", "X-SSL-Client-Verify"
	cases := []struct {
		rule    string
		headers []string
		lenient bool // no certificate is required
		want    string
		code    fault.Code
		text    string
	}{
		{rule: "no header", code: auth.CodeCertificateMissing, text: "Client certificate required"},
		{rule: "an empty header counts as absent", headers: []string{cert, "", verify, "SUCCESS"}, code: auth.CodeCertificateMissing},
		{rule: "no header, none required", lenient: true, want: ""},
		{rule: "percent-encoded PEM", headers: []string{cert, escaped(pemOf(good)), verify, "SUCCESS"}, want: "harvester-01"},
		{rule: "second header name", headers: []string{xcert, escaped(pemOf(good)), xverify, "SUCCESS"}, want: "harvester-01"},
		{rule: "names mixed", headers: []string{cert, escaped(pemOf(good)), xverify, "SUCCESS"}, want: "harvester-01"},
		{rule: "empty first name, filled second", headers: []string{cert, "", xcert, escaped(pemOf(good)), verify, "", xverify, "SUCCESS"}, want: "harvester-01"},
		{rule: "the first name wins", headers: []string{cert, escaped(pemOf(good)), xcert, "rubbish", verify, "SUCCESS"}, want: "harvester-01"},
		{rule: "the first result wins", headers: []string{cert, escaped(pemOf(good)), verify, "SUCCESS", xverify, "NONE"}, want: "harvester-01"},
		{rule: "of a repeated header the first counts", headers: []string{cert, escaped(pemOf(good)), cert, "rubbish", verify, "SUCCESS", verify, "NONE"}, want: "harvester-01"},
		{rule: "blanks for line breaks", headers: []string{cert, blanks, verify, "SUCCESS"}, want: "harvester-01"},
		{rule: "every byte escaped", headers: []string{cert, every(strings.TrimSpace(pemOf(good))), verify, "SUCCESS"}, want: "harvester-01"},
		{rule: "an invalid escape stays as it is", headers: []string{cert, "%zz %2x% " + escaped(pemOf(good)) + "%2", verify, "SUCCESS"}, want: "harvester-01"},
		{rule: "the other name of the armour", headers: []string{cert, escaped(strings.ReplaceAll(pemOf(good), " CERTIFICATE", " X509 CERTIFICATE")), verify, "SUCCESS"}, want: "harvester-01"},
		{rule: "a header of 64 KiB", headers: []string{cert, long, verify, "SUCCESS"}, want: "harvester-01"},
		{rule: "a header above 64 KiB", headers: []string{cert, long + " ", verify, "SUCCESS"}, code: auth.CodeCertificateUnreadable},
		{rule: "bytes after the certificate", headers: []string{cert, escaped(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: append(slices.Clone(good.Raw), 0)}))), verify, "SUCCESS"}, code: auth.CodeCertificateUnreadable},
		{rule: "a chain: first certificate", headers: []string{cert, escaped(pemOf(good) + pemOf(ca.cert)), verify, "SUCCESS"}, want: "harvester-01"},
		{rule: "any Unicode name", headers: []string{cert, escaped(pemOf(umlaut)), verify, "SUCCESS"}, want: "Ernte-Maschine № 7 äöü😀"},
		{rule: "the first of two names", headers: []string{cert, escaped(pemOf(twice)), verify, "SUCCESS"}, want: "first"},
		{rule: "validity is the proxy's business", headers: []string{cert, escaped(pemOf(expired)), verify, "SUCCESS"}, want: "late"},
		{rule: "no result", headers: []string{cert, escaped(pemOf(good))}, code: auth.CodeCertificateUnverified, text: "Client certificate verification failed: NONE"},
		{rule: "wrong case of the result", headers: []string{cert, escaped(pemOf(good)), verify, "success"}, code: auth.CodeCertificateUnverified, text: "Client certificate verification failed: success"},
		{rule: "failed result", headers: []string{cert, escaped(pemOf(expired)), verify, "FAILED:certificate has expired"}, code: auth.CodeCertificateUnverified, text: "Client certificate verification failed: FAILED:certificate has expired"},
		{rule: "failed result although none is required", lenient: true, headers: []string{cert, escaped(pemOf(good)), verify, "NONE"}, code: auth.CodeCertificateUnverified},
		{rule: "the result is judged before the certificate", headers: []string{cert, "rubbish", verify, "NONE"}, code: auth.CodeCertificateUnverified},
		{rule: "rubbish", headers: []string{cert, "rubbish", verify, "SUCCESS"}, code: auth.CodeCertificateUnreadable, text: "Certificate parsing error: "},
		{rule: "base64 without armour", headers: []string{cert, armourless, verify, "SUCCESS"}, code: auth.CodeCertificateUnreadable, text: "Certificate parsing error: "},
		{rule: "a plus sign is not a blank", headers: []string{cert, strings.ReplaceAll(escaped(pemOf(good)), "%20", "+"), verify, "SUCCESS"}, code: auth.CodeCertificateUnreadable},
		{rule: "a private key is no certificate", headers: []string{cert, "-----BEGIN PRIVATE KEY----- AAAA -----END PRIVATE KEY-----", verify, "SUCCESS"}, code: auth.CodeCertificateUnreadable},
		{rule: "cut off", headers: []string{cert, escaped(pemOf(good))[:400], verify, "SUCCESS"}, code: auth.CodeCertificateUnreadable},
		{rule: "a megabyte of garbage", headers: []string{cert, strings.Repeat("%2D", 350_000), verify, "SUCCESS"}, code: auth.CodeCertificateUnreadable, text: "Certificate parsing error: certificate header of"},
		{rule: "no common name", headers: []string{cert, escaped(pemOf(nameless)), verify, "SUCCESS"}, code: auth.CodeCertificateNameless, text: "Certificate subject does not contain CN"},
		{rule: "the first of two names is empty", headers: []string{cert, escaped(pemOf(emptyFirst)), verify, "SUCCESS"}, code: auth.CodeCertificateNameless},
		{rule: "no common name although none is required", lenient: true, headers: []string{cert, escaped(pemOf(nameless)), verify, "SUCCESS"}, code: auth.CodeCertificateNameless},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			a := newAuthenticator(t, func(o *auth.Options) { o.RequireCertificate = !c.lenient })
			client, err := a.Client(request(c.headers...))
			if c.code != "" {
				assertFault(t, err, c.code, c.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if client.ID != c.want {
				t.Fatalf("got %q, want %q", client.ID, c.want)
			}
			if sum := sha256.Sum256(good.Raw); c.want == "harvester-01" && client.Fingerprint != hex.EncodeToString(sum[:]) {
				t.Errorf("got fingerprint %s, want that of the certificate", client.Fingerprint)
			}
		})
	}
}

// Which RDIs the content of the extension entitles to.
func TestRDIsOfTheCertificate(t *testing.T) {
	t.Parallel()
	element := func(tag int, text string) []byte { return append([]byte{byte(tag), byte(len(text))}, text...) }
	sequence := func(parts ...[]byte) []byte {
		content := slices.Concat(parts...)
		return append([]byte{0x30, byte(len(content))}, content...)
	}
	cases := []struct {
		rule  string
		value []byte
		want  []string
	}{
		{"no such extension", nil, nil},
		{"one name", utf8Strings(t, "edal"), []string{"edal"}},
		{"several, in the order of the configuration", utf8Strings(t, "publisso", "edal"), []string{"edal", "publisso"}},
		{"unknown names do not count", utf8Strings(t, "edal", "elsewhere"), []string{"edal"}},
		{"names are exact", utf8Strings(t, "EDAL", " edal", "eda", "edal2", ""), nil},
		{"a star stands for all known", utf8Strings(t, "*"), known},
		{"a star among others", utf8Strings(t, "nowhere", "*"), known},
		{"another string type ends the list", sequence(element(0x0c, "edal"), element(0x13, "bonares"), element(0x0c, "publisso")), []string{"edal"}},
		{"another string type first", sequence(element(0x13, "edal"), element(0x0c, "bonares")), nil},
		{"bytes after the sequence do not matter", append(utf8Strings(t, "edal"), 1, 2, 3), []string{"edal"}},
		{"a set is no sequence", append([]byte{0x31}, sequence(element(0x0c, "edal"))[1:]...), nil},
		{"a context-specific tag is no sequence", append([]byte{0xb0}, sequence(element(0x0c, "edal"))[1:]...), nil},
		{"an element with a context-specific tag ends the list", sequence(element(0x8c, "edal"), element(0x0c, "bonares")), nil},
		{"an element in pieces ends the list", sequence(element(0x2c, "edal"), element(0x0c, "bonares")), nil},
		{"a bare string is no sequence", element(0x0c, "edal"), nil},
		{"a broken element spoils the list", sequence(element(0x0c, "edal"), []byte{0x0c, 0x7f, 'x'}), nil},
		{"a length beyond the end", []byte{0x30, 0x20, 0x0c, 0x01, 'x'}, nil},
		{"not UTF-8", sequence(element(0x0c, "edal"), element(0x0c, "\xff\xfe")), nil},
		{"an empty sequence", sequence(), nil},
	}
	ca := newAuthority(t)
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			a := newAuthenticator(t, func(o *auth.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			cert, _ := ca.issue(t, pkix.Name{CommonName: "c"}, c.value, nil)
			for range 2 {
				client, err := a.Client(request("ssl-client-cert", escaped(pemOf(cert)), "ssl-client-verify", "SUCCESS"))
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(client.RDIs(), c.want) {
					t.Fatalf("got %q, want %q", client.RDIs(), c.want)
				}
			}
			if n := strings.Count(log.String(), "\n"); n > 1 {
				t.Errorf("the log tells of it %d times: %s", n, &log)
			}
		})
	}
}

// A critical extension and another configured identifier work as well.
func TestRDIExtensionIdentifier(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, _ := ca.issue(t, pkix.Name{CommonName: "c"}, nil, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: utf8Strings(t, "edal")}}
	})
	headers := []string{"ssl-client-cert", escaped(pemOf(cert)), "ssl-client-verify", "SUCCESS"}
	for oid, want := range map[string]int{"1.2.3.4": 1, auth.DefaultOID: 0} {
		client, err := newAuthenticator(t, func(o *auth.Options) { o.OID = oid }).Client(request(headers...))
		if err != nil {
			t.Fatal(err)
		}
		if len(client.RDIs()) != want {
			t.Errorf("oid %s: got %q, want %d names", oid, client.RDIs(), want)
		}
	}
	for _, oid := range []string{"1", "1.x", "1..2", "-1.2", "1.2.2147483648"} {
		if _, err := auth.New(auth.Options{OID: oid}); err == nil {
			t.Errorf("identifier %q was accepted", oid)
		}
	}
}

// In the headers of a proxy the extension of operators makes one if it is
// configured, the proxy is trusted and has verified the certificate; it gives no
// right to any RDI.
func TestOperatorByHeader(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	office, _ := ca.issue(t, pkix.Name{CommonName: "jane"}, nil, inOffice)
	plain, _ := ca.issue(t, pkix.Name{CommonName: "harvester"}, utf8Strings(t, "*"), nil)
	for name, c := range map[string]struct {
		cert     *x509.Certificate
		oid      string
		peer     string
		verified string
		require  bool
		operator bool
	}{
		"an operator":          {office, officeOID.String(), "127.0.0.1:1", "SUCCESS", true, true},
		"in a trial":           {office, officeOID.String(), "127.0.0.1:1", "SUCCESS", false, true},
		"nothing configured":   {office, "", "127.0.0.1:1", "SUCCESS", true, false},
		"another extension":    {office, "1.2.3", "127.0.0.1:1", "SUCCESS", true, false},
		"an RDI":               {plain, officeOID.String(), "127.0.0.1:1", "SUCCESS", true, false},
		"not verified":         {office, officeOID.String(), "127.0.0.1:1", "FAILED:unable to verify", true, false},
		"verified by nobody":   {office, officeOID.String(), "127.0.0.1:1", "NONE", false, false},
		"from a stranger":      {office, officeOID.String(), "192.0.2.1:1", "SUCCESS", true, false},
		"stranger, in a trial": {office, officeOID.String(), "192.0.2.1:1", "SUCCESS", false, false},
	} {
		r := request("ssl-client-cert", escaped(pemOf(c.cert)), "ssl-client-verify", c.verified)
		r.RemoteAddr = c.peer
		client, err := newAuthenticator(t, func(o *auth.Options) { o.OperatorOID, o.RequireCertificate = c.oid, c.require }).Client(r)
		if client.Operator != c.operator || c.operator && (err != nil || client.ID != "jane") {
			t.Errorf("%s: operator %t, want %t; %v", name, client.Operator, c.operator, err)
		}
		if c.operator && c.require && client.Authorize("edal") == nil {
			t.Errorf("%s may write for an RDI", name)
		}
	}
	for _, oid := range []string{"1", "1.x", auth.DefaultOID} {
		if _, err := auth.New(auth.Options{OperatorOID: oid}); err == nil {
			t.Errorf("identifier %q was accepted", oid)
		}
	}
}

// Authorisation: unknown is told from forbidden; without required certificates every known RDI is open.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, _ := ca.issue(t, pkix.Name{CommonName: "c"}, utf8Strings(t, "edal"), nil)
	headers := []string{"ssl-client-cert", escaped(pemOf(cert)), "ssl-client-verify", "SUCCESS"}
	cases := []struct {
		rule    string
		lenient bool
		headers []string
		rdi     string
		code    fault.Code
		text    string
	}{
		{"listed", false, headers, "edal", "", ""},
		{"known but not listed", false, headers, "bonares", auth.CodeRDIForbidden, "RDI 'bonares' not authorized."},
		{"unknown", false, headers, "nope", auth.CodeRDIUnknown, "RDI 'nope' is not recognized."},
		{"not trimmed", false, headers, "edal ", auth.CodeRDIUnknown, "RDI 'edal ' is not recognized."},
		{"case matters", false, headers, "Edal", auth.CodeRDIUnknown, ""},
		{"the star is not a name", false, headers, "*", auth.CodeRDIUnknown, ""},
		{"anonymous, none required", true, nil, "bonares", "", ""},
		{"certificate, none required", true, headers, "bonares", "", ""},
		{"unknown, none required", true, nil, "nope", auth.CodeRDIUnknown, ""},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			client, err := newAuthenticator(t, func(o *auth.Options) { o.RequireCertificate = !c.lenient }).Client(request(c.headers...))
			if err != nil {
				t.Fatal(err)
			}
			err = client.Authorize(c.rdi)
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			assertFault(t, err, c.code, c.text)
		})
	}
	none := newAuthenticator(t, func(o *auth.Options) { o.KnownRDIs = nil; o.RequireCertificate = false })
	client, err := none.Client(request())
	if err != nil {
		t.Fatal(err)
	}
	assertFault(t, client.Authorize("edal"), auth.CodeRDIUnknown, "")
}

// Headers count only when a trusted proxy sends them; others are ignored, and the log says so once.
func TestHeadersOfUntrustedPeers(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, _ := ca.issue(t, pkix.Name{CommonName: "mallory"}, utf8Strings(t, "*"), nil)
	onSocket := func(network string) net.Addr {
		if network == "unix" {
			return &net.UnixAddr{Name: "/run/middleware-api.sock", Net: "unix"}
		}
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8000}
	}
	cases := []struct {
		rule            string
		trusted         []string
		network, remote string
		believed        bool
	}{
		{"loopback by default", nil, "tcp", "127.0.0.1:1", true},
		{"all of loopback", nil, "tcp", "127.9.9.9:1", true},
		{"IPv6 loopback by default", nil, "tcp", "[::1]:1", true},
		{"IPv4 in IPv6", nil, "tcp", "[::ffff:127.0.0.1]:1", true},
		{"unix socket by default", nil, "unix", "@", true},
		{"unix socket without peer name", nil, "unix", "", true},
		{"another host by default", nil, "tcp", "192.0.2.7:1", false},
		{"no address at all", nil, "tcp", "", false},
		{"a name is no address", nil, "tcp", "localhost:1", false},
		{"listed network", []string{"192.0.2.0/24"}, "tcp", "192.0.2.7:1", true},
		{"beside the listed network", []string{"192.0.2.0/24"}, "tcp", "192.0.3.7:1", false},
		{"listed address", []string{"192.0.2.7"}, "tcp", "192.0.2.7:1", true},
		{"listed as IPv4 in IPv6", []string{"::ffff:192.0.2.7"}, "tcp", "192.0.2.7:1", true},
		{"next to the listed address", []string{"192.0.2.7"}, "tcp", "192.0.2.8:1", false},
		{"next to the listed IPv6 address", []string{"2001:db8::7"}, "tcp", "[2001:db8::8]:1", false},
		{"IPv6 with zone", []string{"fe80::/10"}, "tcp", "[fe80::1%eth0]:1", true},
		{"a list replaces the default", []string{"192.0.2.7"}, "tcp", "127.0.0.1:1", false},
		{"unix not listed", []string{"192.0.2.7"}, "unix", "@", false},
		{"nobody", []string{}, "tcp", "127.0.0.1:1", false},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			a := newAuthenticator(t, func(o *auth.Options) {
				o.TrustedProxies = c.trusted
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			for range 3 {
				r := request("ssl-client-cert", escaped(pemOf(cert)), "ssl-client-verify", "SUCCESS")
				r.RemoteAddr = c.remote
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, onSocket(c.network)))
				if got := a.HeaderCertificate(r) != ""; got != c.believed {
					t.Errorf("the certificate tells its sender from others: got %t, want %t", got, c.believed)
				}
				client, err := a.Client(r)
				if c.believed {
					if err != nil || client.ID != "mallory" {
						t.Fatalf("got %+v, %v; want the headers believed", client, err)
					}
					continue
				}
				assertFault(t, err, auth.CodeCertificateMissing, "")
			}
			lines := strings.Count(log.String(), "\n")
			if want := map[bool]int{true: 0, false: 1}[c.believed]; lines != want {
				t.Errorf("got %d log lines, want %d: %s", lines, want, log.String())
			}
		})
	}
	if _, err := auth.New(auth.Options{TrustedProxies: []string{"proxy.example.org"}}); err == nil {
		t.Error("a host name among the trusted proxies was accepted")
	}
}

// A peer has the name of its address without the port, whatever its socket, and
// speaks https if the connection does or a trusted proxy says so.
func TestPeers(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	onSocket := request()
	onSocket.RemoteAddr = "@"
	onSocket = onSocket.WithContext(context.WithValue(onSocket.Context(), http.LocalAddrContextKey, &net.UnixAddr{Net: "unix"}))
	overTLS := request()
	overTLS.RemoteAddr, overTLS.TLS = "[2001:db8::7]:1", &tls.ConnectionState{}
	plainBehind := request("X-Forwarded-Proto", "http")
	plainBehind.TLS = &tls.ConnectionState{}
	stranger := request("X-Forwarded-Proto", "https")
	stranger.RemoteAddr = "192.0.2.7:1"
	for rule, c := range map[string]struct {
		r            *http.Request
		name, scheme string
	}{
		"proxy on this host":        {request(), "127.0.0.1", "http"},
		"proxy that ended TLS":      {request("X-Forwarded-Proto", "https"), "127.0.0.1", "https"},
		"unix socket":               {onSocket, "unix", "http"},
		"TLS ended here":            {overTLS, "2001:db8::7", "https"},
		"proxy that speaks TLS":     {plainBehind, "127.0.0.1", "http"},
		"a stranger's word":         {stranger, "192.0.2.7", "http"},
		"a scheme that there isn't": {request("X-Forwarded-Proto", "ftp"), "127.0.0.1", "http"},
	} {
		if name, scheme := auth.PeerName(c.r), a.Scheme(c.r); name != c.name || scheme != c.scheme {
			t.Errorf("%s: got %s with %s, want %s with %s", rule, name, scheme, c.name, c.scheme)
		}
	}
}

// A fault of this package never hides behind another error type.
func TestRefusalsAreFaults(t *testing.T) {
	t.Parallel()
	_, err := newAuthenticator(t, nil).Client(request())
	if _, ok := errors.AsType[*fault.Error](err); !ok {
		t.Fatalf("got %T", err)
	}
}
