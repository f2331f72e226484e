package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

var rdiOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 64609, 1, 1}

var officeOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 64609, 1, 2}

// inOffice puts the extension of operators into a certificate.
func inOffice(c *x509.Certificate) {
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: officeOID, Value: []byte{5, 0}})
}

// authority is a certification authority of one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	return newAuthorityFor(tb, [2]time.Duration{-time.Hour, 48 * time.Hour})
}

// newAuthorityFor gives one that is good from the first of the times to the second,
// counted from now.
func newAuthorityFor(tb testing.TB, good [2]time.Duration) *authority {
	tb.Helper()
	key := newKey(tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(good[0]), NotAfter: time.Now().Add(good[1]), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	return &authority{cert: mustParse(tb, der), key: key}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func mustParse(tb testing.TB, der []byte) *x509.Certificate {
	tb.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

// issue signs a client certificate; change may be nil.
func (a *authority) issue(tb testing.TB, subject pkix.Name, rdis []byte, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	tb.Helper()
	key := newKey(tb)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	if rdis != nil {
		template.ExtraExtensions = []pkix.Extension{{Id: rdiOID, Value: rdis}}
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		tb.Fatal(err)
	}
	return mustParse(tb, der), key
}

// utf8Strings encodes names as SEQUENCE OF UTF8String.
func utf8Strings(tb testing.TB, names ...string) []byte {
	tb.Helper()
	elements := make([]asn1.RawValue, len(names))
	for i, name := range names {
		elements[i] = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(name)}
	}
	der, err := asn1.Marshal(elements)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func pemOf(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

// escaped encodes as nginx does in $ssl_client_escaped_cert.
func escaped(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
