package setting

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// masked is what is shown in the place of every secret.
const masked = "***"

// Secret is a text that no way of printing shows: fmt with any verb, slog,
// JSON, YAML and text encoders give "***". Only Reveal gives it. The zero value
// is "no secret".
//
// The text is kept behind a pointer, because fmt prints the bare content of
// fields that it may not ask for their methods.
type Secret struct {
	text *string
}

// NewSecret makes a secret of a text; an empty text is no secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal gives the text itself, "" if there is none. What calls it is
// responsible for where the text goes.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// String gives "***", or "" if there is no secret.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return masked
}

// Format prints "***" whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue gives "***" to slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText gives "***" to JSON and everything else that encodes text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML gives "***" to YAML.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// Set takes the text. Line ends around it are not part of it: files that hold
// a secret usually end with one.
func (s *Secret) Set(text string) error {
	*s = NewSecret(strings.TrimSpace(text))
	return nil
}

// Type names the type in the documentation.
func (s Secret) Type() string { return "secret text" }

func (s Secret) secret() {}

// DSN says how a database is reached: a URL or a list of key=value pairs. A
// password in it is treated as a secret: printing shows "***" in its place.
type DSN struct {
	Secret
}

// NewDSN makes a DSN of a text.
func NewDSN(text string) DSN { return DSN{NewSecret(text)} }

var dsnPassword = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)((?:password|passwd|pwd|sslpassword)\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]*)`)
})

// String gives the DSN without its password.
func (d DSN) String() string {
	text := d.Reveal()
	if text == "" {
		return ""
	}
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil {
			return masked
		}
		if _, has := u.User.Password(); has {
			u.User = url.UserPassword(u.User.Username(), "xxxxx")
			text = strings.Replace(u.String(), ":xxxxx@", ":"+masked+"@", 1)
		}
	}
	return dsnPassword().ReplaceAllString(text, "${1}"+masked)
}

// Format prints the DSN without its password, whatever the verb.
func (d DSN) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// LogValue gives slog the DSN without its password.
func (d DSN) LogValue() slog.Value { return slog.StringValue(d.String()) }

// MarshalText gives encoders the DSN without its password.
func (d DSN) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalYAML gives YAML the DSN without its password.
func (d DSN) MarshalYAML() (any, error) { return d.String(), nil }

// Set takes the text; what cannot be read as a URL although it looks like one
// is refused without being repeated.
func (d *DSN) Set(text string) error {
	text = strings.TrimSpace(text)
	if strings.Contains(text, "://") {
		if _, err := url.Parse(text); err != nil {
			return errors.New("is not a valid URL (characters such as # or @ in a password must be percent-encoded)")
		}
	}
	*d = NewDSN(text)
	return nil
}

// Type names the type in the documentation.
func (d DSN) Type() string { return "database URL" }
