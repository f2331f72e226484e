package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// newFiles writes a certificate that is its own authority, and its key, to a folder of
// the test's own.
func newFiles(tb testing.TB) TLSFiles {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	files := TLSFiles{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), ClientCA: filepath.Join(dir, "ca.pem")}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{
		files.Certificate: certificate, files.ClientCA: certificate, files.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return files
}

// Files are loaded again when one of them was replaced, and only then: also if the clock
// was set back since the last look, or the new file is as old as the old one, as long as
// their sizes differ.
func TestRenewedFilesAreNoticed(t *testing.T) {
	t.Parallel()
	files := newFiles(t)
	ended, err := LoadTLS(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ended.now = func() time.Time { return now }
	before := ended.clients
	if ended.refresh(); ended.clients != before {
		t.Error("files that are the same were loaded again")
	}
	info, err := os.Stat(files.ClientCA)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(files.ClientCA)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.ClientCA, append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(files.ClientCA, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if ended.refresh(); ended.clients != before {
		t.Error("the files are looked at again at once")
	}
	now = now.Add(-time.Hour)
	if ended.refresh(); ended.clients == before {
		t.Error("the new file is not in use")
	}
}

// What is remembered of good chains is bounded.
func TestRememberedChainsAreBounded(t *testing.T) {
	t.Parallel()
	files := newFiles(t)
	ended, err := LoadTLS(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf := ended.pair.Leaf
	for i := range maxVerified {
		ended.clients.verified[sha256.Sum256([]byte{byte(i), byte(i >> 8)})] = validity{}
	}
	if err := ended.clients.verify([]*x509.Certificate{leaf}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := len(ended.clients.verified); n > maxVerified {
		t.Errorf("%d chains are remembered, want at most %d", n, maxVerified)
	}
}
