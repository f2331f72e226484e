package report

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// BundleFile is one file of a bundle.
type BundleFile struct {
	Name string
	Data []byte
}

// redaction replaces what matches.
type redaction struct {
	pattern *regexp.Regexp
	with    string
}

// redactions are what secrets look like when nobody knows that they are there. They
// are compiled for the first text: most processes never make a bundle.
var redactions = sync.OnceValue(func() []redaction {
	return []redaction{
		{regexp.MustCompile(`\bgl[a-z]{2,6}-[A-Za-z0-9_=.-]{16,}`), "***"}, // GitLab's tokens begin so
		{regexp.MustCompile(`(://[^/\s:@"]*):[^/\s@"]+@`), "$1:***@"},
		{regexp.MustCompile(`(?i)\b((?:private-token|authorization|x-api-key|cookie|set-cookie)"?\s*[:=]\s*"?)[^"\n]+`), "$1***"},
		{regexp.MustCompile(`(?i)((?:password|passwd|secret|token)["']?\s*[:=]\s*)(?:"[^"\n]*"|'[^'\n]*'|[^\s"',}]+)`), "$1***"},
		{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`), "*** private key ***"},
		{regexp.MustCompile(`(?i)-----BEGIN(?: |%20|\+)CERTIFICATE-----[\s\S]*?(?:-----END(?: |%20|\+)CERTIFICATE-----|\z)`), "*** certificate ***"},
	}
})

// shortestSecret keeps a secret of one letter from blackening every text.
const shortestSecret = 4

// redact takes the given secrets, and whatever looks like one, out of a text.
func redact(text string, secrets ...string) string {
	for _, secret := range secrets {
		if len(secret) >= shortestSecret {
			text = strings.ReplaceAll(text, secret, masked)
		}
	}
	for _, r := range redactions() {
		text = r.pattern.ReplaceAllString(text, r.with)
	}
	return text
}

const masked = "***"

// Bundle writes an archive (tar, gzip) for somebody who helps from afar, with
// every file redacted.
func Bundle(w io.Writer, at time.Time, files []BundleFile, secrets ...string) error {
	zip := gzip.NewWriter(w)
	archive := tar.NewWriter(zip)
	folder := "middleware-api-" + at.UTC().Format("20060102-150405") + "/"
	for _, f := range files {
		data := []byte(redact(string(f.Data), secrets...))
		header := &tar.Header{Name: folder + f.Name, Mode: 0o600, Size: int64(len(data)), ModTime: at}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		if _, err := archive.Write(data); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}
