package telemetry_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/telemetry"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// The ids of events never change: alerts and saved searches rely on them.
func TestMessageIDsAreStable(t *testing.T) {
	t.Parallel()
	published := map[telemetry.Event]string{
		telemetry.WorkerReady:          "e14adefc05934dd8ae09de6bed743f34",
		telemetry.WorkerDraining:       "4fe214e83ac24d669749d0e47d9a93d4",
		telemetry.WorkerRecycled:       "b09ab55c8f104a329bdea64f4ec923ea",
		telemetry.WorkerStuck:          "7e5ce6ae2efb46ad9b7460e6db75b4fe",
		telemetry.DatabaseUnavailable:  "1ff412810b6e45428c945c468bb41379",
		telemetry.DatabaseRecovered:    "9720f411824c489a82bf52bbf1907f85",
		telemetry.SchemaMigrated:       "1e6f12efd9d0489f92f60266dbe70cda",
		telemetry.ConfigurationInvalid: "aee9a77edb68406694dca66f101364da",
		telemetry.PushParked:           "5f309d145be84edb9f86e1cd9af41650",
		telemetry.PushFailing:          "6121bb04508c4f6491cb66d68fbff7aa",
		telemetry.RemotePaused:         "3d9f1895f6f6459683ef5d12bd452daf",
		telemetry.RemoteResumed:        "3f501bdc243d4533aaf9b640dc22dd13",
		telemetry.ForeignCommit:        "e52c54a0fe104264a0e146b7bfa169d3",
		telemetry.HarvestGuarded:       "b47c0760d2b245cc93f9f67e96d6bc83",
		telemetry.HarvestExpired:       "83e9652798bd4d2a81459f3a6319b200",
		telemetry.UntrustedProxy:       "53dca82789994a30afecbd3bace94baf",
		"certificate-expiring":         "0c3b7b0e5d8a4c1f9a6e2f4b8d7c1e35",
		telemetry.InternalError:        "63393adabfd9478e97f5314aa4b97c9a",
	}
	seen := map[string]bool{}
	for _, event := range telemetry.Events() {
		if published[event] != event.MessageID() {
			t.Errorf("%s has the id %q, published was %q", event, event.MessageID(), published[event])
		}
		if seen[event.MessageID()] {
			t.Errorf("the id of %s is taken twice", event)
		}
		seen[event.MessageID()] = true
	}
	if len(published) != len(telemetry.Events()) {
		t.Errorf("%d events, %d were published", len(telemetry.Events()), len(published))
	}
	if id := telemetry.Event("unheard-of").MessageID(); id != "" {
		t.Errorf("an unknown event has the id %q", id)
	}
}

// Every event is explained, in lines that fit a terminal.
func TestEveryEventIsExplained(t *testing.T) {
	t.Parallel()
	catalog := string(telemetry.Catalog())
	for _, event := range telemetry.Events() {
		_, entry, ok := strings.Cut(catalog, "\n-- "+event.MessageID()+"\n")
		if !ok {
			t.Errorf("%s is not in the catalogue", event)
			continue
		}
		entry, _, _ = strings.Cut(entry, "\n-- ")
		if !regexp.MustCompile(`^Subject: \S.+\nDefined-By: middleware-api\nSupport: .+\nDocumentation: .+\n\n\S`).MatchString(entry) {
			t.Errorf("%s has an incomplete entry:\n%s", event, entry)
		}
	}
	for line := range strings.Lines(catalog) {
		if len(line) > 90 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
}

// systemd's own tool reads the catalogue and finds every event in it.
func TestSystemdReadsTheCatalogue(t *testing.T) {
	t.Parallel()
	journalctl := testenv.Program(t, "journalctl", "systemd")
	root := t.TempDir()
	dir := filepath.Join(root, "usr/lib/systemd/catalog")
	for _, folder := range []string{dir, filepath.Join(root, "var/lib/systemd/catalog")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "middleware-api.catalog"), telemetry.Catalog(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), journalctl, "--root="+root, "--update-catalog").CombinedOutput(); err != nil {
		t.Fatalf("journalctl --update-catalog: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), journalctl, "--root="+root, "--list-catalog").CombinedOutput()
	if err != nil {
		t.Fatalf("journalctl --list-catalog: %v\n%s", err, out)
	}
	for _, event := range telemetry.Events() {
		if !bytes.Contains(out, []byte(event.MessageID()+" middleware-api: ")) {
			t.Errorf("systemd does not know %s; it lists:\n%s", event, out)
		}
	}
}
