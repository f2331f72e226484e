package sqltoarc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

// A client certificate that has expired fails the check, and one that soon will is told of.
func TestCheckOfTheCertificate(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	for left, want := range map[time.Duration]struct {
		ok     bool
		remedy string
	}{-time.Hour: {false, "have it renewed"}, 10 * day: {true, "have it renewed"}, 60 * day: {true, ""}} {
		cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rdi"}, NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(left)}
		der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "client.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		c := checkCertificate(upload.Options{CertFile: file})
		if c.OK != want.ok || c.Remedy != want.remedy || !strings.HasPrefix(c.Text, "rdi, valid until ") || !c.OK && fault.CodeOf(c.Err) != upload.CodeCertificate {
			t.Errorf("%s left: %+v", left, c)
		}
	}
}
