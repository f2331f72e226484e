package auth

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a header holds, reading it ends with a certificate or an error.
func FuzzCertificateHeader(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----%0AMIIB%0A-----END CERTIFICATE-----")
	f.Add("-----BEGIN X-----a-----END X----------BEGIN CERTIFICATE----- -----END CERTIFICATE-----")
	f.Add("%%%2")
	f.Add(strings.Repeat("-----BEGIN ", 50))
	f.Fuzz(func(t *testing.T, value string) {
		cert, err := parseHeader(value)
		if (cert == nil) == (err == nil) {
			t.Fatalf("got %v and %v", cert, err)
		}
		if cert != nil {
			_ = cert.commonName()
		}
	})
}

// Whatever an extension holds, the names are valid text of at most its length.
func FuzzRDIExtension(f *testing.F) {
	f.Add([]byte{0x30, 0x06, 0x0c, 0x04, 'e', 'd', 'a', 'l'})
	f.Add([]byte{0x30, 0x80, 0x0c, 0x01, '*', 0, 0})
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, der []byte) {
		names, err := parseRDIs(der)
		if err != nil && names != nil {
			t.Fatalf("got names %q together with error %v", names, err)
		}
		total := 0
		for _, name := range names {
			total += len(name) + 2
			if !utf8.ValidString(name) {
				t.Fatalf("name %q is not UTF-8", name)
			}
		}
		if total > len(der) {
			t.Fatalf("names of %d bytes out of %d", total, len(der))
		}
	})
}
