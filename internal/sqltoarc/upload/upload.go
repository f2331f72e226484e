// Package upload speaks to the API that takes the ARCs: harvests, the delta
// handshake, bulk and single submissions. It works with the newest service and
// with the earlier one, and finds out by itself which of the two it has before
// it.
//
// What is safe to repeat is repeated after overload and broken connections,
// after as long as the service asks for; what is not is looked up instead. The
// package must never report an ARC as accepted that the service has not
// acknowledged. A Client is safe for concurrent use.
package upload

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Options of a client. Zero values of the sizes stand for the defaults.
type Options struct {
	URL            string
	CertFile       string // client certificate, with KeyFile
	KeyFile        string
	CAFile         string // replaces the system's authorities
	Proxy          string // empty: the environment decides
	Insecure       bool   // neither the server is verified nor a client certificate shown
	KeepRedirects  bool   // redirects are errors
	Timeout        time.Duration
	MaxConcurrency int           // requests at a time; default 10
	MaxRetries     int           // further attempts; negative: none; default 8
	Backoff        time.Duration // before the first of them, doubled each time; default 2 s
	UserAgent      string
	// Waiting, if set, is told why a request has failed that is repeated after so long a wait. It is called by several
	// goroutines.
	Waiting func(why error, wait time.Duration)
	// Tracing, if set, makes a span of each request, which goes on at the API.
	Tracing trace.TracerProvider
}

// Codes of the problems with the API.
const (
	CodeAddress     fault.Code = "upload.address"
	CodeCertificate fault.Code = "upload.certificate"
	CodeUnreachable fault.Code = "upload.unreachable"
	CodeDenied      fault.Code = "upload.denied"
	CodeRefused     fault.Code = "upload.refused"
	CodeAnswer      fault.Code = "upload.answer"
)

// Limits on waiting.
const (
	// maxDelay bounds the wait between attempts if the service names none.
	maxDelay = 30 * time.Second
	// maxRetryAfter bounds what the service may ask for.
	maxRetryAfter = 10 * time.Minute
	// maxAnswer bounds an answer that is kept in memory.
	maxAnswer = 8 << 20
)

// Client is a connection to the API.
type Client struct {
	options Options
	base    *url.URL
	http    *http.Client
	slots   chan struct{}
	// What the service has turned out not to have.
	noDiff atomic.Bool
	noBulk atomic.Bool
	// maxBulk is how many bytes of documents to send at a time, after more were too many
	// for something before the service.
	maxBulk atomic.Int64
}

// New makes a client. Certificates are loaded now, so that a wrong path is
// found before any work is done.
func New(o Options) (*Client, error) {
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.MaxConcurrency = cmp.Or(o.MaxConcurrency, 10)
	o.MaxRetries = cmp.Or(o.MaxRetries, 8)
	o.Backoff = cmp.Or(o.Backoff, 2*time.Second)
	base, err := url.Parse(strings.TrimSuffix(o.URL, "/") + "/")
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &fault.Error{Code: CodeAddress, Owner: fault.OwnerRDI,
			Text: "api_url is not an http or https URL", Remedy: "write api_client.api_url: https://HOST/"}
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Control: keepLittle}).DialContext,
		MaxIdleConnsPerHost: o.MaxConcurrency,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: 20 * time.Second,
		// A client of harvests is a batch program: one protocol, no surprises
		// with streams that share a connection.
		ForceAttemptHTTP2: false,
	}
	if o.Proxy != "" {
		proxy, err := url.Parse(o.Proxy)
		if err != nil || proxy.Host == "" {
			return nil, &fault.Error{Code: CodeAddress, Owner: fault.OwnerRDI, Text: "proxy is not a URL", Remedy: "write http://HOST:PORT"}
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	if transport.TLSClientConfig, err = tlsConfig(o); err != nil {
		return nil, &fault.Error{Code: CodeCertificate, Owner: fault.OwnerRDI, Text: err.Error(), Cause: err}
	}
	c := &Client{options: o, base: base, slots: make(chan struct{}, o.MaxConcurrency)}
	c.maxBulk.Store(math.MaxInt64)
	c.http = &http.Client{Transport: transport, CheckRedirect: sameMethod}
	if o.Tracing != nil {
		c.http.Transport = otelhttp.NewTransport(transport, otelhttp.WithTracerProvider(o.Tracing), otelhttp.WithPropagators(propagation.TraceContext{}))
	}
	if o.KeepRedirects {
		c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return c, nil
}

// unsent is how much the kernel may keep that has not been sent: some packets, so that the line is never idle.
const unsent = 128 << 10

// keepLittle sees to it that what the kernel has taken has nearly been sent. Its buffers hold megabytes, which on
// a slow line is more than a time-out; see TCP_NOTSENT_LOWAT in tcp(7).
func keepLittle(_, _ string, c syscall.RawConn) (err error) {
	failed := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	})
	return errors.Join(failed, err)
}

// maxRedirects is where going on leads in circles.
const maxRedirects = 10

// sameMethod refuses the redirects after which a POST becomes a GET without a body
// (RFC 9110, section 15.4): that is answered with success, and nothing is stored. To
// refuse them for a GET as well lets a check see what would keep a run from its work.
func sameMethod(r *http.Request, via []*http.Request) error {
	f := &fault.Error{Code: CodeAnswer, Owner: fault.OwnerRDI, Text: "the redirects of api_url lead in circles", Remedy: "check that api_url is the address of the API"}
	switch status := r.Response.StatusCode; {
	case status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect:
		f.Text = fmt.Sprintf("api_url leads elsewhere with HTTP %d, after which nothing can be sent: to %s", status, r.URL.Redacted())
		f.Remedy = "if the API is there, write that address into api_client.api_url"
		return f
	case len(via) >= maxRedirects:
		return f
	}
	return nil
}

// Address gives the address of the API without a password.
func (c *Client) Address() string { return c.base.Redacted() }

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func tlsConfig(o Options) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.Insecure {
		config.InsecureSkipVerify = true //nolint:gosec // the operator has asked for it
		return config, nil
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("a client certificate needs both client_cert_path and client_key_path")
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_cert_path: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_cert_path: no certificate in %s", o.CAFile)
		}
	}
	return config, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
