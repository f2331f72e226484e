package couchimport

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// Whatever a line holds, it is taken or refused with a reason; what is taken has
// the id that its content and its RDI give it.
func FuzzLine(f *testing.F) {
	id := store.ID(rocrate.Identity("A", "r"))
	arc := fmt.Sprintf(`{"_id":"arc_%s","rdi":"r","arc_content":{"@context":"x","@graph":[{"@id":"./","identifier":"A"}]},"metadata":{"first_seen":"2025-05-01T00:00:00Z","events":[{"timestamp":"2025-05-01T00:00:01.5Z","type":"GIT_PUSH_SUCCESS","message":""}]}}`, id)
	f.Add([]byte(arc))
	f.Add([]byte(`{"id":"x","key":"x","value":{},"doc":` + arc + `}`))
	f.Add([]byte(`{"_id":"harvest-6f1c2a4e-8f0b-4c1e-9d57-2a86a1b5c9f3","rdi":"r","started_at":"2025-05-01T00:00:00Z","status":"RUNNING","statistics":{}}`))
	f.Add([]byte(`{"id":"x","key":"x","value":{},"doc":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		d, err := parse(line)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("refused without a reason")
			}
			return
		}
		if in, _, err := d.readARC(); err == nil {
			if in.ARC.ID != store.ID(rocrate.Identity(in.ARC.Identifier, d.RDI)) || !strings.HasSuffix(d.ID, in.ARC.ID.String()) {
				t.Fatalf("%s became %s", d.ID, in.ARC.ID)
			}
			if in.ARC.FirstSeen.IsZero() || in.ARC.LastSeen.IsZero() || in.ARC.LastChanged.IsZero() {
				t.Fatalf("without times: %+v", in.ARC)
			}
		}
		if h, err := d.readHarvest(); err == nil && "harvest-"+h.ID.String() != d.ID {
			t.Fatalf("%s became %s", d.ID, h.ID)
		}
	})
}
