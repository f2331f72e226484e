package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// pair is a certificate with its key, as PEM.
type pair struct{ cert, key []byte }

// certify signs a certificate; without an issuer it signs itself.
func certify(tb testing.TB, template *x509.Certificate, issuer *pair) pair {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(0, 3, 0)
	}
	parent, signer := template, any(key)
	if issuer != nil {
		both, err := tls.X509KeyPair(issuer.cert, issuer.key)
		if err != nil {
			tb.Fatal(err)
		}
		parent, signer = both.Leaf, both.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		tb.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}),
	}
}

// clientOf gives a certificate for a client of an RDI.
func clientOf(tb testing.TB, authority *pair, rdi string) pair {
	tb.Helper()
	rdis, err := asn1.Marshal([]asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte(rdi)}})
	if err != nil {
		tb.Fatal(err)
	}
	return certify(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: "harvester.example.org"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 64609, 1, 1}, Value: rdis}},
	}, authority)
}

// serveSite runs the service until the test ends; its log goes to the test's.
func serveSite(tb testing.TB, config, address string) {
	tb.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--config", config}, cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	}()
	tb.Cleanup(func() {
		stop()
		if code := <-ended; code != cli.ExitOK {
			tb.Errorf("the service ended with status %d", code)
		}
	})
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	eventually(tb, "nobody listens on "+address, func() bool {
		conn, err := new(net.Dialer).DialContext(tb.Context(), network, address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

func eventually(tb testing.TB, otherwise string, condition func() bool) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatal(otherwise)
		}
	}
}

// upload sends an ARC over TLS, as a client with a certificate or without; 0 says
// that there was no answer.
func upload(tb testing.TB, address string, authority, certificate *pair, rdi string, header http.Header) (int, string) {
	tb.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.cert)
	config := &tls.Config{RootCAs: pool, ServerName: "arcs.example.org", MinVersion: tls.VersionTLS12}
	if certificate != nil {
		both, err := tls.X509KeyPair(certificate.cert, certificate.key)
		if err != nil {
			tb.Fatal(err)
		}
		config.Certificates = []tls.Certificate{both}
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	body := `{"rdi":"` + rdi + `","arc":` + goodCrate + `}`
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "https://"+address+"/v3/arcs", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// The example for nginx in the manual works as it stands, but for names and
// files: a client with a certificate may upload for its RDI only, one without
// may not, and nobody can claim a certificate in a header.
func TestExampleForNginx(t *testing.T) {
	t.Parallel()
	nginx := testenv.Program(t, "nginx", "nginx-light")
	dir := t.TempDir()
	authority := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "clients"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	server := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "arcs.example.org"}, DNSNames: []string{"arcs.example.org"}}, &authority)
	client := clientOf(t, &authority, "edal")
	files := map[string][]byte{"server.pem": server.cert, "server.key": server.key, "clients.pem": authority.cert}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	socket, address := filepath.Join(dir, "api.sock"), testenv.FreeAddress(t)
	config := write(t, "config.yaml", fmt.Sprintf("known_rdis: [edal, bonares]\nlisten: [%q]\ndatabase:\n  url: %q\ngit_repo:\n  url: %q\n  group: arcs\n",
		"unix:"+socket, pgtest.DSN(t), "file://"+dir))
	serveSite(t, config, socket)

	example := read(t, filepath.Join(testenv.ModuleRoot(t), "docs", "nginx.conf"))
	for from, to := range map[string]string{
		"server 127.0.0.1:8000;": "server unix:" + socket + ";", "listen 443 ssl;": "listen " + address + " ssl;",
		"/etc/ssl/certs/arcs.example.org.pem": filepath.Join(dir, "server.pem"), "/etc/ssl/private/arcs.example.org.key": filepath.Join(dir, "server.key"),
		"/etc/middleware-api/tls/clients.pem": filepath.Join(dir, "clients.pem"),
	} {
		if strings.Count(example, from) != 1 {
			t.Fatalf("the example does not hold %q once", from)
		}
		example = strings.ReplaceAll(example, from, to)
	}
	whole := write(t, "nginx.conf", fmt.Sprintf("user root;\ndaemon off;\npid %[1]s/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"+
		"client_body_temp_path %[1]s/a;\nproxy_temp_path %[1]s/b;\nfastcgi_temp_path %[1]s/c;\nuwsgi_temp_path %[1]s/d;\nscgi_temp_path %[1]s/e;\n%[2]s}\n", dir, example))
	cmd := exec.Command(nginx, "-p", dir, "-c", whole) //nolint:gosec // the test's own configuration
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })

	eventually(t, "nginx does not answer", func() bool { status, _ := upload(t, address, &authority, nil, "edal", nil); return status != 0 })
	claim := url.PathEscape(string(client.cert))
	claims := http.Header{
		"Ssl-Client-Cert": {claim}, "Ssl-Client-Verify": {"SUCCESS"}, "X-Ssl-Client-Cert": {claim}, "X-Ssl-Client-Verify": {"SUCCESS"},
	}
	for name, c := range map[string]struct {
		rdi         string
		certificate *pair
		header      http.Header
		want        []int
	}{
		"with a certificate":    {"edal", &client, nil, []int{200, 201, 202}},
		"of another RDI":        {"bonares", &client, nil, []int{403}},
		"without a certificate": {"edal", nil, nil, []int{401}},
		"with a claim":          {"edal", nil, claims, []int{401}},
	} {
		status, text := upload(t, address, &authority, c.certificate, c.rdi, c.header)
		ok := false
		for _, w := range c.want {
			ok = ok || status == w
		}
		if !ok {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}
