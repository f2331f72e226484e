package report

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"time"
)

// Certificate is one certificate that the service depends on.
type Certificate struct {
	Subject string    `json:"subject"`
	File    string    `json:"file"`
	End     time.Time `json:"end,omitzero"`
	Days    int       `json:"days"`  // left; negative once it has expired
	Light   Light     `json:"light"` // yellow and red well before the end
	Text    string    `json:"text"`  // one sentence without its full stop
	Remedy  string    `json:"remedy,omitempty"`
}

// ReadCertificates looks at every certificate in PEM files. A file that cannot be
// read is in the list as well: nobody could say when it ends.
func ReadCertificates(now time.Time, files ...string) []Certificate {
	var list []Certificate
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			list = append(list, Certificate{File: file, Light: Yellow, Text: fmt.Sprintf("The certificates in %s cannot be read: %s", file, cause(err)), Remedy: "Let the user of the service read it"})
			continue
		}
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if c, err := x509.ParseCertificate(block.Bytes); block.Type == "CERTIFICATE" && err == nil {
				list = append(list, judged(file, c, now))
			}
		}
	}
	return list
}

// cause gives what is behind an error of the file system, without the path again.
func cause(err error) error {
	type unwrapper interface{ Unwrap() error }
	if u, ok := err.(unwrapper); ok { //nolint:errorlint // the outermost is what repeats the path
		return u.Unwrap()
	}
	return err
}

func judged(file string, c *x509.Certificate, now time.Time) Certificate {
	f := certificate(file, c, now)
	light := map[Verdict]Light{OK: Green, Warning: Yellow, Failed: Red}[f.Verdict]
	left := c.NotAfter.Sub(now)
	days := int(left.Hours() / 24)
	if left < 0 {
		days--
	}
	return Certificate{
		Subject: clean(c.Subject.String()), File: file, End: c.NotAfter, Days: days, Light: light,
		Text: "The certificate " + f.Text, Remedy: f.Remedy,
	}
}
