package convert_test

import (
	"bytes"
	"path"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/convert"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold/conformance"
)

// What becomes of a crate is either a folder, whose paths stay in it and whose workbooks strict readers
// read, the same each time, or at least one error.
func FuzzCrate(f *testing.F) {
	f.Add([]byte(`{"@context":"https://w3id.org/ro/crate/1.2/context","@graph":[{"@id":"./","@type":"Dataset","identifier":"I"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		result := convert.Crate(doc)
		if result.OK() != (len(result.Errors()) == 0) {
			t.Fatalf("folder %v, errors %v", result.OK(), result.Errors())
		}
		again := convert.Crate(doc)
		for i, file := range result.Files {
			if file.Path != path.Clean(file.Path) || path.IsAbs(file.Path) || strings.HasPrefix(file.Path+"/", "../") || strings.HasPrefix(file.Path+"/", ".git/") {
				t.Fatalf("the path %q leads out of the folder", file.Path)
			}
			var content, second bytes.Buffer
			if _, err := file.WriteTo(&content); err != nil {
				t.Fatalf("%s: %v", file.Path, err)
			}
			if _, err := again.Files[i].WriteTo(&second); err != nil || !bytes.Equal(content.Bytes(), second.Bytes()) {
				t.Fatalf("%s is another file the second time (%v)", file.Path, err)
			}
			if !strings.HasSuffix(file.Path, ".xlsx") || isLicense(result, file.Path) {
				continue
			}
			if _, err := conformance.ReadWorkbook(content.Bytes()); err != nil {
				t.Fatalf("%s: %v", file.Path, err)
			}
		}
		if result.Investigation != nil {
			if _, err := rocrate.Encode(result.Investigation); err != nil && err.Error() == "" {
				t.Fatal("an error without a text")
			}
		}
	})
}

// isLicense says whether a file is the license, which may have any name.
func isLicense(result convert.Result, name string) bool {
	l := result.Investigation.License
	return l != nil && path.Base(name) == path.Base(strings.ReplaceAll(l.ID, `\`, "/"))
}
