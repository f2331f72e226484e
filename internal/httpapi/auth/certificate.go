package auth

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"
)

// maxHeader bounds the certificate header. A certificate chain of RSA-4096
// keys needs about 10 KiB; what is longer is not looked at.
const maxHeader = 64 << 10

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// certificate is what the service needs of an X.509 certificate (RFC 5280
// section 4.1). Keys and signatures are the proxy's business and stay
// unparsed, so that a curve this program does not know locks nobody out.
type certificate struct {
	structure
	fingerprint string // SHA-256 of the whole, hex
}

type structure struct {
	TBS       tbsCertificate
	Algorithm asn1.RawValue
	Signature asn1.BitString
}

type tbsCertificate struct {
	Version    int `asn1:"optional,explicit,default:0,tag:0"`
	Serial     *big.Int
	Algorithm  asn1.RawValue
	Issuer     asn1.RawValue
	Validity   asn1.RawValue
	Subject    pkix.RDNSequence
	PublicKey  asn1.RawValue
	IssuerID   asn1.BitString   `asn1:"optional,tag:1"`
	SubjectID  asn1.BitString   `asn1:"optional,tag:2"`
	Extensions []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

// parseHeader reads the certificate out of a proxy header: percent-decoded
// once, first PEM block of a certificate.
func parseHeader(value string) (*certificate, error) {
	if len(value) > maxHeader {
		return nil, fmt.Errorf("certificate header of %d bytes is longer than %d", len(value), maxHeader)
	}
	der, err := firstCertificate(Unescape(value))
	if err != nil {
		return nil, err
	}
	return parseDER(der)
}

func parseDER(der []byte) (*certificate, error) {
	var cert certificate
	rest, err := asn1.Unmarshal(der, &cert.structure)
	if err != nil {
		return nil, fmt.Errorf("malformed certificate: %w", err)
	}
	if len(rest) > 0 {
		return nil, errors.New("malformed certificate: trailing data")
	}
	sum := sha256.Sum256(der)
	cert.fingerprint = hex.EncodeToString(sum[:])
	return &cert, nil
}

// commonName gives the first CN attribute of the subject, or "".
func (c *certificate) commonName() string {
	for _, set := range c.TBS.Subject {
		for _, attribute := range set {
			if !attribute.Type.Equal(oidCommonName) {
				continue
			}
			name, _ := attribute.Value.(string)
			return name
		}
	}
	return ""
}

// extension gives the value of the extension with the given identifier; no
// extension has the identifier nil.
func extension(list []pkix.Extension, id asn1.ObjectIdentifier) ([]byte, bool) {
	for _, e := range list {
		if e.Id.Equal(id) {
			return e.Value, true
		}
	}
	return nil, false
}

// parseRDIs reads the names in the RDI extension, a SEQUENCE OF UTF8String.
// An element of another type ends the list; what is not such a sequence gives
// an error and no name at all. Bytes after the sequence do not matter.
func parseRDIs(der []byte) ([]string, error) {
	var sequence asn1.RawValue
	if _, err := asn1.Unmarshal(der, &sequence); err != nil {
		return nil, fmt.Errorf("RDI extension: %w", err)
	}
	if sequence.Class != asn1.ClassUniversal || sequence.Tag != asn1.TagSequence || !sequence.IsCompound {
		return nil, errors.New("RDI extension is not a SEQUENCE")
	}
	var names []string
	for rest := sequence.Bytes; len(rest) > 0; {
		var element asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &element); err != nil {
			return nil, fmt.Errorf("RDI extension: %w", err)
		}
		if element.Class != asn1.ClassUniversal || element.Tag != asn1.TagUTF8String || element.IsCompound {
			return names, nil
		}
		if !utf8.Valid(element.Bytes) {
			return nil, errors.New("RDI extension: a name is not UTF-8")
		}
		names = append(names, string(element.Bytes))
	}
	return names, nil
}

// Unescape undoes percent-encoding. A plus sign stays a plus sign, for it is
// base64 in certificates, and an invalid escape stays as it is.
func Unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := hexDigit(s[i+1]), hexDigit(s[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// firstCertificate gives the content of the first certificate among the PEM
// blocks (RFC 7468). Unlike encoding/pem it takes any white space for a line
// break, because proxies replace line breaks by blanks or tabs.
func firstCertificate(text string) ([]byte, error) {
	for {
		_, after, found := strings.Cut(text, "-----BEGIN ")
		if !found {
			return nil, errors.New("no PEM certificate found")
		}
		label, body, found := strings.Cut(after, "-----")
		if !found {
			return nil, errors.New("unfinished PEM header")
		}
		content, rest, found := strings.Cut(body, "-----END "+label+"-----")
		if !found {
			return nil, errors.New("unfinished PEM block")
		}
		if label != "CERTIFICATE" && label != "X509 CERTIFICATE" {
			text = rest
			continue
		}
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(content), ""))
		if err != nil {
			return nil, fmt.Errorf("PEM content is not base64: %w", err)
		}
		return der, nil
	}
}
