package auth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkEvery is how often the files are looked at; a renewed certificate is in
// use after at most this time.
const checkEvery = time.Second

// maxVerified bounds the memory for chains that were found good.
const maxVerified = 4096

// TLSFiles name what is needed to end TLS in this process.
type TLSFiles struct {
	Certificate string // PEM, the server's chain
	Key         string // PEM
	ClientCA    string // PEM bundle; empty: client certificates are not asked for
}

// TLS ends TLS connections with a certificate, key and client CA that may be
// replaced on disk at any time. A broken replacement is reported and the last
// good files stay in use.
type TLS struct {
	files TLSFiles
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	checked time.Time
	stamps  [3]stamp // of the last attempt to load, so that a bad file is reported once
	pair    *tls.Certificate
	clients *clientCA // nil: client certificates are not asked for
}

// clientCA is one state of the client CA with what it was found to vouch for. A
// new state begins with nothing, also for who is looking at the old one just then.
type clientCA struct {
	roots *x509.CertPool

	mu       sync.Mutex
	verified map[[sha256.Size]byte]validity // leaf → when its chain is good
}

// validity is when all certificates of a chain are good at once.
type validity struct{ from, until time.Time }

func (v validity) holds(now time.Time) bool { return !now.Before(v.from) && now.Before(v.until) }

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// LoadTLS reads the files. A nil log is silent.
func LoadTLS(files TLSFiles, log *slog.Logger) (*TLS, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &TLS{files: files, log: log, now: time.Now}
	if err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

// Config gives the configuration for a listener. Client certificates are
// requested but judged per request, so that a refusal is an HTTP answer and
// an expiry takes effect on open connections.
func (t *TLS) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			t.refresh()
			t.mu.Lock()
			defer t.mu.Unlock()
			config := &tls.Config{
				MinVersion:   tls.VersionTLS12,
				NextProtos:   []string{"http/1.1"}, // what the drain of a worker is made for
				Certificates: []tls.Certificate{*t.pair},
				// A resumed session would keep a key of a replaced certificate in use.
				SessionTicketsDisabled: true,
			}
			if t.clients != nil {
				config.ClientAuth = tls.RequestClientCert
				config.ClientCAs = t.clients.roots
			}
			return config, nil
		},
	}
}

// load replaces everything or nothing.
func (t *TLS) load() error {
	stamps := t.stat()
	t.mu.Lock()
	t.stamps = stamps
	t.mu.Unlock()
	pair, err := tls.LoadX509KeyPair(t.files.Certificate, t.files.Key)
	if err != nil {
		return fmt.Errorf("load server certificate: %w", err)
	}
	var clients *clientCA
	if t.files.ClientCA != "" {
		pem, err := os.ReadFile(t.files.ClientCA)
		if err != nil {
			return fmt.Errorf("load client CA: %w", err)
		}
		clients = &clientCA{roots: x509.NewCertPool(), verified: map[[sha256.Size]byte]validity{}}
		if !clients.roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("load client CA: no certificate in %s", t.files.ClientCA)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pair, t.clients = &pair, clients
	return nil
}

func (t *TLS) stat() (stamps [3]stamp) {
	for i, name := range []string{t.files.Certificate, t.files.Key, t.files.ClientCA} {
		if info, err := os.Stat(name); err == nil {
			stamps[i] = stamp{modified: info.ModTime(), size: info.Size()}
		}
	}
	return stamps
}

// refresh loads the files again when one of them changed.
func (t *TLS) refresh() {
	t.mu.Lock()
	now := t.now()
	due := now.Sub(t.checked) >= checkEvery || now.Before(t.checked)
	if due {
		t.checked = now
	}
	tried := t.stamps
	t.mu.Unlock()
	if !due || t.stat() == tried {
		return
	}
	if err := t.load(); err != nil {
		t.log.Error("changed TLS files are unusable, the old ones stay in use", "error", err)
		return
	}
	t.log.Info("tls files reloaded")
}

// verify checks the chain of a client certificate against the present client
// CA. Good chains are remembered for as long as all of their certificates are
// good: the clock may be set in either direction while a connection is open.
func (t *TLS) verify(chain []*x509.Certificate, now time.Time) error {
	if t == nil {
		return errNoVerifier
	}
	t.refresh()
	if now.After(chain[0].NotAfter) {
		return errors.New("FAILED:certificate has expired")
	}
	t.mu.Lock()
	clients := t.clients
	t.mu.Unlock()
	if clients == nil {
		return errNoVerifier
	}
	return clients.verify(chain, now)
}

func (c *clientCA) verify(chain []*x509.Certificate, now time.Time) error {
	key := sha256.Sum256(chain[0].Raw)
	c.mu.Lock()
	known := c.verified[key]
	c.mu.Unlock()
	if known.holds(now) {
		return nil
	}
	good, err := verifyChain(chain, c.roots, now)
	if err != nil {
		return fmt.Errorf("FAILED:%w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.verified) >= maxVerified {
		clear(c.verified)
	}
	c.verified[key] = good
	return nil
}

// verifyChain tells when the chain is good, which includes now.
func verifyChain(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) (validity, error) {
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	found, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return validity{}, err
	}
	good := validity{from: chain[0].NotBefore, until: chain[0].NotAfter}
	for _, cert := range found[0] {
		if cert.NotBefore.After(good.from) {
			good.from = cert.NotBefore
		}
		if cert.NotAfter.Before(good.until) {
			good.until = cert.NotAfter
		}
	}
	return good, nil
}
