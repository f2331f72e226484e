package auth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/httpapi/auth"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// tlsServer answers with the client's name or the refusal.
type tlsServer struct {
	files auth.TLSFiles
	url   string
	clock atomic.Int64 // seconds ahead of the real time
	log   testenv.Log
}

func writePEM(tb testing.TB, path string, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	tb.Helper()
	text := []byte(pemOf(cert))
	if key != nil {
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			tb.Fatal(err)
		}
		text = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	}
	// Written beside and renamed, as certificate managers do.
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

func (s *tlsServer) write(tb testing.TB, ca *authority, name string) {
	tb.Helper()
	cert, key := ca.issue(tb, pkix.Name{CommonName: name}, nil, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	})
	writePEM(tb, s.files.Key, cert, key)
	writePEM(tb, s.files.Certificate, cert, nil)
}

func startTLS(tb testing.TB, serverCA, clientCA *authority) *tlsServer {
	tb.Helper()
	dir := tb.TempDir()
	s := &tlsServer{files: auth.TLSFiles{
		Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), ClientCA: filepath.Join(dir, "ca.pem"),
	}}
	s.write(tb, serverCA, "server one")
	writePEM(tb, s.files.ClientCA, clientCA.cert, nil)
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	ended, err := auth.LoadTLS(s.files, log)
	if err != nil {
		tb.Fatal(err)
	}
	a := newAuthenticator(tb, func(o *auth.Options) {
		o.TLS, o.OperatorOID = ended, officeOID.String()
		o.Now = func() time.Time { return time.Now().Add(time.Duration(s.clock.Load()) * time.Second) }
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := a.Client(r)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, err.Error())
			return
		}
		io.WriteString(w, client.ID+" "+strings.Join(client.RDIs(), ","))
		if client.Operator {
			io.WriteString(w, " operator")
		}
	}))
	server.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	server.Listener = tls.NewListener(server.Listener, ended.Config())
	server.Start()
	tb.Cleanup(server.Close)
	s.url = strings.Replace(server.URL, "http://", "https://", 1)
	return s
}

func tlsClient(tb testing.TB, serverCA *authority, cert *x509.Certificate, key *ecdsa.PrivateKey) *http.Client {
	tb.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(serverCA.cert)
	config := &tls.Config{RootCAs: roots}
	if cert != nil {
		pair := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
		// As a client would that does not look at the list of accepted authorities.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(tb testing.TB, client *http.Client, url string) (int, string) {
	tb.Helper()
	resp, err := client.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func assertAnswer(tb testing.TB, client *http.Client, url string, status int, text string) {
	tb.Helper()
	gotStatus, got := get(tb, client, url)
	if gotStatus != status || !strings.Contains(got, text) {
		tb.Fatalf("got %d %q, want %d with %q", gotStatus, got, status, text)
	}
}

// The extension of operators makes one on our own listener only in a certificate
// that an accepted authority signed and that has not expired.
func TestOperatorOverTLS(t *testing.T) {
	t.Parallel()
	serverCA, clientCA, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	s := startTLS(t, serverCA, clientCA)
	subject := pkix.Name{CommonName: "jane"}
	good, goodKey := clientCA.issue(t, subject, nil, inOffice)
	plain, plainKey := clientCA.issue(t, subject, utf8Strings(t, "*"), nil)
	foreign, foreignKey := stranger.issue(t, subject, nil, inOffice)
	old, oldKey := clientCA.issue(t, subject, nil, func(c *x509.Certificate) {
		inOffice(c)
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
	})
	assertAnswer(t, tlsClient(t, serverCA, good, goodKey), s.url, http.StatusOK, "jane  operator")
	if _, got := get(t, tlsClient(t, serverCA, plain, plainKey), s.url); strings.Contains(got, "operator") {
		t.Errorf("without the extension: %s", got)
	}
	assertAnswer(t, tlsClient(t, serverCA, foreign, foreignKey), s.url, http.StatusUnauthorized, "verification failed: FAILED:")
	assertAnswer(t, tlsClient(t, serverCA, old, oldKey), s.url, http.StatusUnauthorized, "verification failed: FAILED:certificate has expired")
}

// Certificates of our own listener: who has a good one gets in, everybody else gets an HTTP answer.
func TestTLSEndedHere(t *testing.T) {
	t.Parallel()
	serverCA, clientCA, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	s := startTLS(t, serverCA, clientCA)
	good, goodKey := clientCA.issue(t, pkix.Name{CommonName: "harvester"}, utf8Strings(t, "edal"), nil)
	foreign, foreignKey := stranger.issue(t, pkix.Name{CommonName: "harvester"}, utf8Strings(t, "*"), nil)
	old, oldKey := clientCA.issue(t, pkix.Name{CommonName: "harvester"}, nil, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
	})
	server, serverKey := clientCA.issue(t, pkix.Name{CommonName: "harvester"}, nil, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	assertAnswer(t, tlsClient(t, serverCA, good, goodKey), s.url, http.StatusOK, "harvester edal")
	assertAnswer(t, tlsClient(t, serverCA, nil, nil), s.url, http.StatusUnauthorized, "Client certificate required")
	assertAnswer(t, tlsClient(t, serverCA, foreign, foreignKey), s.url, http.StatusUnauthorized, "verification failed: FAILED:")
	assertAnswer(t, tlsClient(t, serverCA, old, oldKey), s.url, http.StatusUnauthorized, "verification failed: FAILED:certificate has expired")
	assertAnswer(t, tlsClient(t, serverCA, server, serverKey), s.url, http.StatusUnauthorized, "verification failed: FAILED:")
}

// The certificate of the connection counts before that of a header, even of a trusted
// peer, and whatever becomes of it.
func TestTheConnectionCountsBeforeHeaders(t *testing.T) {
	t.Parallel()
	serverCA, clientCA, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	s := startTLS(t, serverCA, clientCA)
	good, goodKey := clientCA.issue(t, pkix.Name{CommonName: "harvester"}, utf8Strings(t, "edal"), nil)
	foreign, foreignKey := stranger.issue(t, pkix.Name{CommonName: "harvester"}, utf8Strings(t, "edal"), nil)
	other, _ := clientCA.issue(t, pkix.Name{CommonName: "mallory"}, utf8Strings(t, "*"), nil)
	for _, c := range []struct {
		client *http.Client
		status int
		want   string
	}{
		{tlsClient(t, serverCA, good, goodKey), http.StatusOK, "harvester edal"},
		{tlsClient(t, serverCA, foreign, foreignKey), http.StatusUnauthorized, "verification failed: FAILED:"},
		{tlsClient(t, serverCA, nil, nil), http.StatusOK, "mallory edal,bonares,publisso"}, // a proxy on this host
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("ssl-client-cert", escaped(pemOf(other)))
		r.Header.Set("ssl-client-verify", "SUCCESS")
		resp, err := c.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("got %d %q, %v; want %d with %q", resp.StatusCode, body, err, c.status, c.want)
		}
	}
}

// An authority may have others sign for it; clients send their certificates along.
func TestChainOfAuthorities(t *testing.T) {
	t.Parallel()
	serverCA, clientCA := newAuthority(t), newAuthority(t)
	s := startTLS(t, serverCA, clientCA)
	between := &authority{}
	between.cert, between.key = clientCA.issue(t, pkix.Name{CommonName: "between"}, nil, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
	cert, key := between.issue(t, pkix.Name{CommonName: "harvester"}, utf8Strings(t, "edal"), nil)
	client := tlsClient(t, serverCA, cert, key)
	assertAnswer(t, client, s.url, http.StatusUnauthorized, "verification failed: FAILED:")
	client = tlsClient(t, serverCA, cert, key)
	chain := tls.Certificate{Certificate: [][]byte{cert.Raw, between.cert.Raw}, PrivateKey: key}
	client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &chain, nil }
	assertAnswer(t, client, s.url, http.StatusOK, "harvester edal")
}

// The handshake names the authorities whose certificates are of use, offers nothing
// older than TLS 1.2 and no other protocol than the drain of a worker is made for,
// and begins anew each time, so that no replaced key stays in use.
func TestHandshake(t *testing.T) {
	t.Parallel()
	serverCA, clientCA := newAuthority(t), newAuthority(t)
	s := startTLS(t, serverCA, clientCA)
	roots := x509.NewCertPool()
	roots.AddCert(serverCA.cert)
	var asked [][]byte
	config := &tls.Config{
		RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}, ClientSessionCache: tls.NewLRUClientSessionCache(1),
		GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = info.AcceptableCAs
			return &tls.Certificate{}, nil
		},
	}
	address := strings.TrimPrefix(s.url, "https://")
	for range 2 {
		conn, err := tls.Dial("tcp", address, config)
		if err != nil {
			t.Fatal(err)
		}
		// An answer comes after what a session could be resumed with.
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		state := conn.ConnectionState()
		_ = conn.Close()
		if state.NegotiatedProtocol != "http/1.1" || state.DidResume {
			t.Errorf("got protocol %q, resumed %t", state.NegotiatedProtocol, state.DidResume)
		}
	}
	if len(asked) != 1 || !bytes.Equal(asked[0], clientCA.cert.RawSubject) {
		t.Errorf("the client is asked for certificates of %q", asked)
	}
	old := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", address, old); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

// A certificate counts while it and its authority are good by the clock of the host,
// whatever that said when the connection was opened: on one connection it is refused
// from its end on, before its beginning, and while the authority is not good.
func TestExpiryOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	serverCA := newAuthority(t)
	for name, c := range map[string]struct {
		leaf, authority [2]time.Duration // from now, beginning and end
		good, bad       []time.Duration
	}{
		"certificate": {
			leaf: [2]time.Duration{-time.Hour, 24 * time.Hour}, authority: [2]time.Duration{-48 * time.Hour, 48 * time.Hour},
			good: []time.Duration{0, 23 * time.Hour}, bad: []time.Duration{25 * time.Hour, -2 * time.Hour, -47 * time.Hour},
		},
		"authority": {
			leaf: [2]time.Duration{-48 * time.Hour, 48 * time.Hour}, authority: [2]time.Duration{-time.Hour, 24 * time.Hour},
			good: []time.Duration{0, 23 * time.Hour}, bad: []time.Duration{25 * time.Hour, -2 * time.Hour, 47 * time.Hour},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clientCA := newAuthorityFor(t, c.authority)
			s := startTLS(t, serverCA, clientCA)
			cert, key := clientCA.issue(t, pkix.Name{CommonName: "harvester"}, nil, func(l *x509.Certificate) {
				l.NotBefore, l.NotAfter = time.Now().Add(c.leaf[0]), time.Now().Add(c.leaf[1])
			})
			client := tlsClient(t, serverCA, cert, key)
			for _, ahead := range c.bad {
				for _, good := range c.good {
					s.clock.Store(int64(good.Seconds()))
					assertAnswer(t, client, s.url, http.StatusOK, "harvester")
				}
				s.clock.Store(int64(ahead.Seconds()))
				assertAnswer(t, client, s.url, http.StatusUnauthorized, "certificate has expired")
			}
		})
	}
}

// New files are used without a restart, broken ones are reported once and change nothing.
func TestTLSFilesAreReloaded(t *testing.T) {
	t.Parallel()
	serverCA, clientCA, nextCA := newAuthority(t), newAuthority(t), newAuthority(t)
	s := startTLS(t, serverCA, clientCA)
	first, firstKey := clientCA.issue(t, pkix.Name{CommonName: "first"}, nil, nil)
	second, secondKey := nextCA.issue(t, pkix.Name{CommonName: "second"}, nil, nil)
	open := tlsClient(t, serverCA, first, firstKey)
	assertAnswer(t, open, s.url, http.StatusOK, "first")

	s.write(t, serverCA, "server two")
	testenv.Await(t, "the new server certificate", func() bool {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return false
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName == "server two"
	})
	writePEM(t, s.files.ClientCA, nextCA.cert, nil)
	testenv.Await(t, "the new authority on a new connection", func() bool {
		status, _ := get(t, tlsClient(t, serverCA, second, secondKey), s.url)
		return status == http.StatusOK
	})
	assertAnswer(t, open, s.url, http.StatusUnauthorized, "verification failed: FAILED:")

	if err := os.WriteFile(s.files.ClientCA, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := tlsClient(t, serverCA, second, secondKey)
	const complaint = "changed TLS files are unusable"
	testenv.Await(t, "the complaint about the broken file", func() bool {
		assertAnswer(t, client, s.url, http.StatusOK, "second")
		return strings.Contains(s.log.String(), complaint)
	})
	if n := s.log.Count(complaint); n != 1 {
		t.Errorf("got %d complaints, want 1", n)
	}
}

// Files that cannot be used are an error when the service starts.
func TestUnusableTLSFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := newAuthority(t)
	cert, key := ca.issue(t, pkix.Name{CommonName: "s"}, nil, nil)
	certFile, keyFile, empty := filepath.Join(dir, "c"), filepath.Join(dir, "k"), filepath.Join(dir, "e")
	writePEM(t, certFile, cert, nil)
	writePEM(t, keyFile, cert, key)
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, files := range []auth.TLSFiles{
		{Certificate: certFile, Key: filepath.Join(dir, "missing")},
		{Certificate: empty, Key: keyFile},
		{Certificate: certFile, Key: keyFile, ClientCA: empty},
		{Certificate: certFile, Key: keyFile, ClientCA: filepath.Join(dir, "missing")},
	} {
		if _, err := auth.LoadTLS(files, nil); err == nil {
			t.Errorf("%+v were accepted", files)
		}
	}
}
