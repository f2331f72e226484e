package store_test

import (
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
)

// What is stored is given as it came, or not at all: a frame that holds another
// document than the one recorded, or none, is a fault of its own.
func TestADamagedDocumentIsNotGiven(t *testing.T) {
	t.Parallel()
	const document = `{"@graph": []}`
	frame := store.Compress([]byte(document))
	got, err := (&store.Content{Frame: frame, Size: int64(len(document))}).Document()
	if err != nil || string(got) != document {
		t.Fatalf("got %q, %v", got, err)
	}
	broken := []byte(strings.Clone(string(frame)))
	broken[len(broken)/2] ^= 0xff
	for name, c := range map[string]store.Content{
		"shorter than recorded": {Frame: frame, Size: int64(len(document)) + 1},
		"longer than recorded":  {Frame: frame, Size: int64(len(document)) - 1},
		"of no size":            {Frame: frame, Size: -1},
		"of a senseless size":   {Frame: frame, Size: 1 << 62},
		"cut":                   {Frame: frame[:len(frame)-2], Size: int64(len(document))},
		"changed":               {Frame: broken, Size: int64(len(document))},
		"empty":                 {Size: int64(len(document))},
	} {
		if got, err := c.Document(); fault.CodeOf(err) != fault.ContentDamaged {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}
