package httpapi_test

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

// certHeaders gives the headers with which a proxy on this host hands over a
// certificate of the name with the RDIs.
func certHeaders(tb testing.TB, name string, rdis ...string) []string {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	elements := make([]asn1.RawValue, len(rdis))
	for i, rdi := range rdis {
		elements[i] = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(rdi)}
	}
	list, err := asn1.Marshal(elements)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 64609, 1, 1}, Value: list}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return []string{
		"ssl-client-cert", strings.ReplaceAll(url.QueryEscape(text), "+", "%20"),
		"ssl-client-verify", "SUCCESS",
	}
}
