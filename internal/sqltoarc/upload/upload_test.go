package upload_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/sqltoarc/apitest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

func client(tb testing.TB, o upload.Options) *upload.Client {
	tb.Helper()
	if o.Backoff == 0 {
		o.Backoff = time.Millisecond
	}
	c, err := upload.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func crate(id, title string) []byte {
	return fmt.Appendf(nil, `{"@context":"https://w3id.org/ro/crate/1.1/context","@graph":[{"@id":"./","identifier":%q,"name":%q}]}`, id, title)
}

func batch(documents ...[]byte) []*upload.Submission {
	all := make([]*upload.Submission, len(documents))
	for i, d := range documents {
		all[i] = &upload.Submission{Document: d}
	}
	return all
}

// The earlier service, which knows neither delta nor bulk, gets every ARC in a
// single submission; a refused one harms no other.
func TestEarlierService(t *testing.T) {
	t.Parallel()
	api := apitest.New(t)
	c := client(t, upload.Options{URL: api.URL})
	h, err := c.Begin(t.Context(), "demo", 3, "k")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Unchanged(t.Context(), h.ID, []upload.Known{{Identifier: "a"}}); err != upload.ErrUnsupported || c.Handshakes() { //nolint:errorlint // exactly this
			t.Errorf("delta handshake: %v", err)
		}
	}
	if n := api.Requests("POST /v3/harvests/{id}/diff"); n != 1 {
		t.Errorf("asked %d times for the delta handshake, want once", n)
	}
	all := batch(crate("a", "1"), []byte(`{"@graph":[]}`), crate("a", "2"), crate("b", "1"))
	if err := c.Submit(t.Context(), "demo", h.ID, all[:2]); err != nil {
		t.Fatal(err)
	}
	if err := c.Submit(t.Context(), "demo", h.ID, all[2:]); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "HTTP 422: Value error, RO-Crate must contain", "HTTP 409: ARC 'a' was already submitted", ""} {
		got := ""
		if all[i].Err != nil {
			got = all[i].Err.Error()
		}
		if !all[i].Settled() || want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("submission %d: settled %v, %q, want %q", i, all[i].Settled(), got, want)
		}
	}
	if h, err := c.End(t.Context(), h.ID, upload.Completed, upload.Rest{}); err != nil || h.Status != upload.Completed {
		t.Errorf("end: %v, %v", h, err)
	}
	if got := api.Harvests()[h.ID]; got.Status != "COMPLETED" || len(got.ARCs) != 2 || fmt.Sprint(got.Expected) != "3" {
		t.Errorf("harvest: %+v", got)
	}
	if n := api.Requests("POST /v3/harvests/{id}/arcs"); n != 5 {
		t.Errorf("%d submissions, want 4 and one that found out about bulk", n)
	}
}

// What is safe to repeat is repeated after overload and cut connections; what
// the service asks for in Retry-After is honoured.
func TestRetries(t *testing.T) {
	t.Parallel()
	api := apitest.New(t)
	var mu sync.Mutex
	var calls []time.Time
	api.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/v3/arcs") {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, time.Now())
		switch len(calls) {
		case 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			w.WriteHeader(http.StatusBadGateway)
		default:
			return false
		}
		return true
	}
	c := client(t, upload.Options{URL: api.URL})
	all := batch(crate("a", "1"))
	if err := c.Submit(t.Context(), "demo", "", all); err != nil || all[0].Err != nil {
		t.Fatalf("%v, %v", err, all[0].Err)
	}
	if len(calls) != 4 || calls[1].Sub(calls[0]) < time.Second {
		t.Errorf("%d calls, the second after %v", len(calls), calls[1].Sub(calls[0]))
	}
}

// With a service that does not know how to begin a harvest once, it is not begun
// twice when the first answer may have been lost; a lost answer to its end is
// looked up.
func TestUnsafeIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, proxy := range []int{0, http.StatusBadGateway, http.StatusGatewayTimeout} { // what is told instead; 0 is a cut
		t.Run(strconv.Itoa(proxy), func(t *testing.T) {
			t.Parallel()
			api := apitest.New(t)
			var lose atomic.Bool
			lose.Store(true)
			api.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || strings.HasSuffix(r.URL.Path, "/arcs") || !lose.CompareAndSwap(true, false) {
					return false
				}
				api.ServeHTTP(httptest.NewRecorder(), r) // done, but nobody is told
				if proxy == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(proxy)
				return true
			}
			c := client(t, upload.Options{URL: api.URL})
			if _, err := c.Begin(t.Context(), "demo", 1, "k"); fault.CodeOf(err) != upload.CodeUnreachable {
				t.Errorf("begin: %v", err)
			}
			if n := len(api.Harvests()); n != 1 {
				t.Errorf("%d harvests, want the one that was begun unheard", n)
			}
			lose.Store(true)
			if h, err := c.End(t.Context(), "harvest-1", upload.Completed, upload.Rest{}); err != nil || h.Status != upload.Completed {
				t.Errorf("a harvest that was completed unheard: %v, %v", h, err)
			}
		})
	}
}

// Whoever ends the harvest meanwhile ends the run; a conflict about one ARC does
// not.
func TestHarvestEndedBySomebodyElse(t *testing.T) {
	t.Parallel()
	api := apitest.New(t)
	api.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/arcs") {
			w.WriteHeader(http.StatusConflict)
			return true
		}
		return false
	}
	c := client(t, upload.Options{URL: api.URL})
	h, err := c.Begin(t.Context(), "demo", 1, "k")
	if err != nil {
		t.Fatal(err)
	}
	all := batch(crate("a", "1"))
	if err := c.Submit(t.Context(), "demo", h.ID, all); err != nil || all[0].Err == nil {
		t.Errorf("conflict in a running harvest: %v, %v", err, all[0].Err)
	}
	if _, err := c.End(t.Context(), h.ID, upload.Failed, upload.Rest{}); err != nil {
		t.Fatal(err)
	}
	all = batch(crate("a", "1"))
	if err := c.Submit(t.Context(), "demo", h.ID, all); fault.CodeOf(err) != upload.CodeRefused {
		t.Errorf("conflict in an ended harvest: %v", err)
	}
}

// Who may not send for an RDI, or names none that there is, is told so, and that it is
// not a matter of time.
func TestHarvestIsNotAllowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusUnprocessableEntity} {
		api := apitest.New(t)
		api.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return true
		}
		if _, err := client(t, upload.Options{URL: api.URL}).Begin(t.Context(), "demo", 1, "k"); fault.CodeOf(err) != upload.CodeDenied || !strings.Contains(err.Error(), `of the RDI "demo"`) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A harvest that is gone is a matter of the whole run: neither does it make an earlier
// service of this one, nor is it a fault of the ARCs.
func TestHarvestIsGone(t *testing.T) {
	t.Parallel()
	c := client(t, upload.Options{URL: apitest.New(t).URL})
	if _, err := c.Unchanged(t.Context(), "gone", []upload.Known{{Identifier: "a"}}); fault.CodeOf(err) != upload.CodeRefused || !c.Handshakes() {
		t.Errorf("delta handshake: %v, has it: %t", err, c.Handshakes())
	}
	all := batch(crate("a", "1"))
	if err := c.Submit(t.Context(), "demo", "gone", all); fault.CodeOf(err) != upload.CodeRefused || all[0].Settled() {
		t.Errorf("submission: %v, settled %t", err, all[0].Settled())
	}
}

// An answer to the delta handshake that is not about the ARCs in question is believed
// for none of them.
func TestHandshakeAboutOthers(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"arcs":[{"identifier":"a","status":"unchanged"}]}`)
	}))
	t.Cleanup(web.Close)
	c := client(t, upload.Options{URL: web.URL})
	if same, err := c.Unchanged(t.Context(), "h", []upload.Known{{Identifier: "a"}, {Identifier: "b"}}); fault.CodeOf(err) != upload.CodeAnswer {
		t.Errorf("%v, %v", same, err)
	}
}

// Redirects are followed, unless that is switched off.
func TestRedirects(t *testing.T) {
	t.Parallel()
	api := apitest.New(t)
	web := httptest.NewServer(http.RedirectHandler(api.URL+"/v3/arcs", http.StatusTemporaryRedirect))
	t.Cleanup(web.Close)
	for _, keep := range []bool{false, true} {
		all := batch(crate("a", "1"))
		err := client(t, upload.Options{URL: web.URL, KeepRedirects: keep}).Submit(t.Context(), "demo", "", all)
		if all[0].Err != nil {
			err = all[0].Err
		}
		if (err == nil) == keep {
			t.Errorf("kept: %t: %v", keep, err)
		}
	}
}

// A redirect after which a POST is a GET is none to follow: what is there then answers with success, and has nothing. The
// check sees it as well.
func TestRedirectsThatLoseWhatIsSent(t *testing.T) {
	t.Parallel()
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"arcs":[],"arc_id":"another","next":null}`)
	}))
	t.Cleanup(there.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther} {
		web := httptest.NewServer(http.RedirectHandler(there.URL+"/v3/arcs", status))
		t.Cleanup(web.Close)
		c := client(t, upload.Options{URL: web.URL})
		all := batch(crate("a", "1"))
		err := c.Submit(t.Context(), "demo", "", all)
		if f, ok := fault.Of(err); !ok || f.Code != upload.CodeAnswer || !strings.Contains(f.Text, there.URL) || all[0].Settled() {
			t.Errorf("%d: %v, settled %v", status, err, all[0].Settled())
		}
		if err := c.Alive(t.Context()); fault.CodeOf(err) != upload.CodeAnswer {
			t.Errorf("%d: alive: %v", status, err)
		}
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/again", http.StatusPermanentRedirect)
	}))
	t.Cleanup(web.Close)
	if err := client(t, upload.Options{URL: web.URL}).Submit(t.Context(), "demo", "", batch(crate("a", "1"))); fault.CodeOf(err) != upload.CodeAnswer {
		t.Errorf("in circles: %v", err)
	}
}

// A success of something before the API, such as a page to log in, acknowledges no ARC and ends no harvest.
func TestSuccessOfSomethingElse(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"<html>Please log in</html>", `{}`, `{"status":"RUNNING","harvest_id":"h"}`, ""} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) }))
		t.Cleanup(web.Close)
		c := client(t, upload.Options{URL: web.URL})
		for _, harvest := range []string{"", "h"} {
			all := batch(crate("a", "1"))
			if err := c.Submit(t.Context(), "demo", harvest, all); fault.CodeOf(err) != upload.CodeAnswer || all[0].Settled() {
				t.Errorf("%q, harvest %q: %v, settled %v", page, harvest, err, all[0].Settled())
			}
		}
		for _, status := range []string{upload.Completed, upload.Failed} {
			if _, err := c.End(t.Context(), "h", status, upload.Rest{}); fault.CodeOf(err) != upload.CodeAnswer {
				t.Errorf("%q, end as %s: %v", page, status, err)
			}
		}
	}
}

// Bulk submissions take the answers line by line; after a cut only what has no
// answer is sent again.
func TestBulkGoesOnAfterACut(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	received := map[string]int{}
	requests := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests++
		z, err := zstd.NewReader(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/x-ndjson" || r.Header.Get("Content-Encoding") != "zstd" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		defer z.Close()
		in := bufio.NewScanner(z)
		for n := 1; in.Scan(); n++ {
			id := apitest.Identifier(in.Bytes())
			received[id]++
			if requests == 1 && n == 3 {
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			if id == "bad" {
				fmt.Fprintf(w, `{"line":%d,"status":422,"error":{"code":"arc_invalid","message":"no good"}}`+"\n", n)
				continue
			}
			fmt.Fprintf(w, `{"line":%d,"status":200,"arc_id":"x","identifier":%q,"outcome":"created"}`+"\n", n, id)
		}
	}))
	t.Cleanup(web.Close)
	c := client(t, upload.Options{URL: web.URL})
	all := batch(crate("a", ""), crate("bad", ""), crate("c", ""), crate("d", ""))
	if err := c.Submit(t.Context(), "demo", "harvest-1", all); err != nil {
		t.Fatal(err)
	}
	if requests != 2 || received["a"] != 1 || received["bad"] != 1 || received["c"] != 2 || received["d"] != 1 {
		t.Errorf("%d requests, received %v", requests, received)
	}
	for i, s := range all {
		if !s.Settled() || (s.Err != nil) != (i == 1) {
			t.Errorf("submission %d: settled %v, %v", i, s.Settled(), s.Err)
		}
	}
}

// Where something before the service takes no body as large as a batch, its ARCs are sent in parts; one that is too large
// alone is refused, and harms no other. Later batches are no larger than it takes.
func TestBulkIsTooLargeForSomethingBetween(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	var received []string
	refused := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > limit {
			refused++
			http.Error(w, "<html>too large</html>", http.StatusRequestEntityTooLarge)
			return
		}
		z, err := zstd.NewReader(r.Body)
		if err != nil || r.Header.Get("Content-Encoding") != "zstd" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		defer z.Close()
		in := bufio.NewScanner(z)
		for in.Buffer(nil, 1<<20); in.Scan(); {
			received = append(received, apitest.Identifier(in.Bytes()))
			fmt.Fprintln(w, `{"status":200}`)
		}
	}))
	t.Cleanup(web.Close)
	c := client(t, upload.Options{URL: web.URL, MaxConcurrency: 1})
	noise := func(n int) string { // of which compression makes nothing small
		text := make([]byte, n)
		_, _ = rand.Read(text)
		return hex.EncodeToString(text)
	}
	for round, wasted := range []int{5, 0} {
		all := batch(crate("a", noise(4000)), crate("b", noise(4000)), crate("large", noise(40_000)), crate("d", noise(4000)))
		if round == 1 {
			all = slices.Delete(all, 2, 3)
		}
		received, refused = nil, 0
		if err := c.Submit(t.Context(), "demo", "harvest-1", all); err != nil {
			t.Fatal(err)
		}
		if len(received) != 3 || refused > wasted {
			t.Errorf("received %v after %d refusals", received, refused)
		}
		for i, s := range all {
			if bad := round == 0 && i == 2; !s.Settled() || (s.Err != nil) != bad || bad && !strings.Contains(s.Err.Error(), "413") {
				t.Errorf("submission %d: settled %v, %v", i, s.Settled(), s.Err)
			}
		}
	}
	// Alone, and without a harvest.
	for _, harvest := range []string{"harvest-1", ""} {
		all := batch(crate("large", noise(40_000)))
		if err := c.Submit(t.Context(), "demo", harvest, all); err != nil || !all[0].Settled() || all[0].Err == nil {
			t.Errorf("alone: %v, settled %v, %v", err, all[0].Settled(), all[0].Err)
		}
	}
}

// A service that does not answer is given up after the time-out, not waited for.
func TestTimeout(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(web.Close)
	t.Cleanup(func() { close(hang) })
	c := client(t, upload.Options{URL: web.URL, Timeout: 50 * time.Millisecond, MaxRetries: 1})
	for _, all := range [][]*upload.Submission{batch(crate("a", "")), batch(crate("a", ""), crate("b", ""))} {
		if err := c.Submit(t.Context(), "demo", "harvest-1", all); fault.CodeOf(err) != upload.CodeUnreachable || all[0].Settled() {
			t.Errorf("%d ARCs: %v, settled %v", len(all), err, all[0].Settled())
		}
	}
}

// Over a slow line a large ARC takes longer than an answer may, and arrives nevertheless.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	api := apitest.New(t)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(trickle{r.Body})
		api.ServeHTTP(w, r)
	}))
	// What waits in buffers of the system says nothing about the line.
	web.Listener = narrow{web.Listener}
	web.Start()
	t.Cleanup(web.Close)
	const limit = 2 * time.Second
	all := batch(crate("a", strings.Repeat("x", 4<<20)))
	began := time.Now()
	err := client(t, upload.Options{URL: web.URL, Timeout: limit, MaxRetries: -1}).Submit(t.Context(), "demo", "", all)
	if err != nil || !all[0].Settled() || all[0].Err != nil {
		t.Fatalf("%v, settled %v, %v", err, all[0].Settled(), all[0].Err)
	}
	if took := time.Since(began); took < limit {
		t.Errorf("the line was not slow: %v", took)
	}
}

// trickle brings 64 KiB at a time, and then takes a rest.
type trickle struct{ io.Reader }

func (r trickle) Read(to []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	n, err := io.ReadFull(r.Reader, to[:min(len(to), 64<<10)])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// narrow accepts connections with a small buffer.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(64 << 10)
	}
	return conn, err
}

// certificates makes an authority, a server certificate and a client's.
func certificates(tb testing.TB) (caFile string, server tls.Certificate, certFile, keyFile string, pool *x509.CertPool) {
	tb.Helper()
	dir := tb.TempDir()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		return k
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			tb.Fatal(err)
		}
		return path
	}
	caKey := key()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		tb.Fatal(err)
	}
	ca, _ = x509.ParseCertificate(caDER)
	pool = x509.NewCertPool()
	pool.AddCert(ca)
	issue := func(serial int64, name string) ([]byte, *ecdsa.PrivateKey) {
		k := key()
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, ca, &k.PublicKey, caKey)
		if err != nil {
			tb.Fatal(err)
		}
		return der, k
	}
	serverDER, serverKey := issue(2, "server")
	clientDER, clientKey := issue(3, "rdi-client")
	keyDER, err := x509.MarshalPKCS8PrivateKey(clientKey)
	if err != nil {
		tb.Fatal(err)
	}
	return write("ca.pem", "CERTIFICATE", caDER), tls.Certificate{Certificate: [][]byte{serverDER}, PrivateKey: serverKey},
		write("client.pem", "CERTIFICATE", clientDER), write("client.key", "PRIVATE KEY", keyDER), pool
}

// A private authority is believed if it is configured, and the client shows its
// certificate; without the authority nothing is sent.
func TestCertificates(t *testing.T) {
	t.Parallel()
	caFile, server, certFile, keyFile, pool := certificates(t)
	api := apitest.New(t)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 || r.TLS.PeerCertificates[0].Subject.CommonName != "rdi-client" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		api.ServeHTTP(w, r)
	}))
	web.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}
	web.StartTLS()
	t.Cleanup(web.Close)
	for _, c := range []struct {
		name string
		o    upload.Options
		want fault.Code
	}{
		{"both", upload.Options{CAFile: caFile, CertFile: certFile, KeyFile: keyFile}, ""},
		{"no certificate", upload.Options{CAFile: caFile}, upload.CodeDenied},
		{"unknown authority", upload.Options{CertFile: certFile, KeyFile: keyFile, MaxRetries: -1}, upload.CodeCertificate},
		{"not verified, no certificate shown", upload.Options{Insecure: true, CertFile: certFile, KeyFile: keyFile}, upload.CodeDenied},
	} {
		c.o.URL = web.URL
		_, err := client(t, c.o).WhoAmI(t.Context())
		if got := fault.CodeOf(err); got != c.want {
			t.Errorf("%s: got %q (%v), want %q", c.name, got, err, c.want)
		}
	}
	for name, o := range map[string]upload.Options{
		"no key": {CertFile: certFile}, "no certificate": {KeyFile: keyFile}, "no authority": {CAFile: keyFile}, "no pair": {CertFile: keyFile, KeyFile: certFile},
	} {
		o.URL = web.URL
		if _, err := upload.New(o); fault.CodeOf(err) != upload.CodeCertificate {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A proxy that is configured is used.
func TestProxy(t *testing.T) {
	t.Parallel()
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.String())
		fmt.Fprint(w, `{"message":"ok"}`)
	}))
	t.Cleanup(proxy.Close)
	if err := client(t, upload.Options{URL: "http://api.invalid/prefix", Proxy: proxy.URL}).Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := asked.Load(); got != "http://api.invalid/prefix/v1/liveness" {
		t.Errorf("the proxy was asked for %v", got)
	}
}

// A certificate that is not trusted, on either side, is told as such at once:
// trying again does not help, and the network is not to blame.
func TestDistrust(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	server.StartTLS()
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for ca, want := range map[string]fault.Code{"": upload.CodeCertificate, authority: upload.CodeDenied} {
		connections.Store(0)
		c, err := upload.New(upload.Options{URL: server.URL, CAFile: ca, Backoff: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Alive(t.Context()); fault.CodeOf(err) != want {
			t.Errorf("authority %q: %v (%s), want %s", ca, err, fault.CodeOf(err), want)
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("authority %q: %d attempts", ca, n)
		}
	}
}

// Where the API is and why it cannot be reached is said once.
func TestUnreachableIsSaidOnce(t *testing.T) {
	t.Parallel()
	err := client(t, upload.Options{URL: "http://127.0.0.1:1", MaxRetries: -1}).Alive(t.Context())
	f, ok := fault.Of(err)
	if want := "the API at 127.0.0.1:1 cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused"; !ok || f.Text != want {
		t.Errorf("got %+v, want %s", err, want)
	}
}

// What a harvest could not bring is named when it ends; where that cannot be done
// it is asked that nothing counts as missing.
func TestTheRestIsNamed(t *testing.T) {
	t.Parallel()
	many := slices.Repeat([]string{"a"}, 10_001)
	for _, c := range []struct {
		rest   upload.Rest
		refuse int // the status that the naming request gets
		want   string
	}{
		{upload.Rest{}, 0, ""},
		{upload.Rest{Identifiers: []string{"a", "ü"}}, 0, `{"status":"COMPLETED","keep":["a","ü"]}`},
		{upload.Rest{Identifiers: []string{"a"}, Unnamed: true}, 0, "missing=keep"},
		{upload.Rest{Identifiers: many}, 0, "missing=keep"},
		{upload.Rest{Identifiers: many[:10_000]}, 405, "missing=keep"},
		{upload.Rest{Identifiers: many[:10_000]}, 413, "missing=keep"},
		{upload.Rest{Identifiers: many[:10_000]}, 422, "missing=keep"},
	} {
		api := apitest.New(t)
		api.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPatch || c.refuse == 0 {
				return false
			}
			w.WriteHeader(c.refuse)
			return true
		}
		cl := client(t, upload.Options{URL: api.URL})
		h, err := cl.Begin(t.Context(), "demo", 1, "k")
		if err != nil {
			t.Fatal(err)
		}
		if h, err := cl.End(t.Context(), h.ID, upload.Completed, c.rest); err != nil || h.Status != upload.Completed {
			t.Errorf("%d named, %d: %v, %v", len(c.rest.Identifiers), c.refuse, h, err)
		}
		if got := api.Harvests()[h.ID].Ending; got != c.want {
			t.Errorf("%d named, %d: ended with %q, want %q", len(c.rest.Identifiers), c.refuse, got, c.want)
		}
	}
}
