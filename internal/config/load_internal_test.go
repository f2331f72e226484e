package config

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// What nobody names is looked for where it is documented; of a variable that is given
// twice the last one counts, as for every program.
func TestUsualPlaces(t *testing.T) {
	t.Parallel()
	o := Options{Environ: []string{"CREDENTIALS_DIRECTORY=/first", "CREDENTIALS_DIRECTORY=/last"}}.complete()
	if o.Secrets != "/run/secrets" || o.Credentials != "/last" || !slices.Equal(o.Places, []string{"/etc/middleware-api/config.yaml", "/run/secrets/middleware-api-config"}) {
		t.Errorf("got %+v", o)
	}
	o = Options{Environ: []string{"CREDENTIALS_DIRECTORY=/first"}, Secrets: "/s", Credentials: "/c", Places: []string{}}.complete()
	if o.Secrets != "/s" || o.Credentials != "/c" || len(o.Places) != 0 {
		t.Errorf("named: got %+v", o)
	}
}

// Who may not read the configuration is told what to do about it.
func TestRemedyForAnUnreadableFile(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		fs.ErrPermission: "let the user of the service read it", fs.ErrNotExist: "create it", fs.ErrClosed: "",
	} {
		if got := readRemedy(fmt.Errorf("the configuration cannot be read: %w", err)); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%v: got %q", err, got)
		}
	}
}
