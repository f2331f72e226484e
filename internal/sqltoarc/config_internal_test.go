package sqltoarc

import (
	"os"
	"path/filepath"
	"testing"
)

// The certificate that systemd hands over is taken where none is configured, and only as
// a whole: a credential that was left blank counts as none.
func TestCredentials(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cert, key  string
		configured API
		taken      bool
	}{
		"both":           {"c", "k", API{}, true},
		"a blank key":    {"c", " \n", API{}, false},
		"no certificate": {"", "k", API{}, false},
		"configured":     {"c", "k", API{CertPath: "/own"}, false},
		"a key only":     {"c", "k", API{KeyPath: "/own"}, false},
	} {
		dir := t.TempDir()
		for file, text := range map[string]string{"client-cert": tt.cert, "client-key": tt.key} {
			if text == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, got := tt.configured, tt.configured
		if tt.taken {
			want.CertPath, want.KeyPath = filepath.Join(dir, "client-cert"), filepath.Join(dir, "client-key")
		}
		if got.credentials(dir); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
