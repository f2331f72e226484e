package convert_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/convert"
)

// A crate with many faults of the folder has all of them listed, each with the
// place in the crate, what is wrong and what to do. The place is that of the comment, the person, the license or the first
// process of the table, of the identifier if that is wrong, of the entry in the list if an entity is listed again, else that of the part.
func TestProblemsOfTheFolderAreFoundInTheCrate(t *testing.T) {
	t.Parallel()
	graph := []map[string]any{
		{
			"@id": "./", "@type": "Dataset", "additionalType": "Investigation", "identifier": "faulty", "name": "n",
			"license": map[string]any{"@id": "../../license"},
			"comment": []any{map[string]any{"@id": "#c1"}, map[string]any{"@id": "#c2"}}, "dateModified": "2026-01-01",
			"creator": map[string]any{"@id": "#person"}, "citation": map[string]any{"@id": "#article"},
			"hasPart": []any{
				map[string]any{"@id": "studies/a/"}, map[string]any{"@id": "studies/b/"}, map[string]any{"@id": "studies/e/"},
				map[string]any{"@id": "assays/c/"}, map[string]any{"@id": "assays/d/"},
				map[string]any{"@id": "studies/b/"}, map[string]any{"@id": "assays/d/"},
			},
		},
		{"@id": "../../license", "@type": "CreativeWork", "text": "none"},
		{"@id": "#c1", "@type": "Comment", "name": "Colour", "text": "green"},
		{"@id": "#c2", "@type": "Comment", "name": "Colour", "text": "blue"},
		{"@id": "studies/a/", "@type": "Dataset", "additionalType": "Study", "identifier": "same"},
		{"@id": "studies/b/", "@type": "Dataset", "additionalType": "Study", "identifier": "same"},
		{"@id": "assays/c/", "@type": "Dataset", "additionalType": "Assay", "identifier": strings.Repeat("c", 300)},
		{"@id": "assays/d/", "@type": "Dataset", "additionalType": "Assay", "identifier": "d", "about": map[string]any{"@id": "#p"}},
		{"@id": "#p", "@type": "LabProcess", "name": "a/b_0", "result": map[string]any{"@id": "#m"}, "object": map[string]any{"@id": "#s"}},
		{"@id": "#s", "@type": "Sample", "name": "s", "additionalType": "Source"},
		{"@id": "#m", "@type": "Sample", "name": "m", "additionalType": "Sample"},
		{"@id": "#person", "@type": "Person", "givenName": "A", "disambiguatingDescription": `Name = "Email"`},
		{"@id": "#article", "@type": "ScholarlyArticle", "headline": "T", "comment": map[string]any{"@id": "#c3"}},
		{"@id": "#c3", "@type": "Comment", "name": "DOI"},
		{"@id": "#c4", "@type": "Comment", "name": "dateModified"},
		{"@id": "studies/e/", "@type": "Dataset", "additionalType": "Study", "identifier": "e", "comment": map[string]any{"@id": "#c4"}, "dateModified": "x"},
	}
	context := []any{
		"https://w3id.org/ro/crate/1.2/context",
		map[string]string{"LabProcess": "https://bioschemas.org/LabProcess", "Sample": "https://bioschemas.org/Sample"},
	}
	crate, err := json.Marshal(map[string]any{"@context": context, "@graph": graph})
	if err != nil {
		t.Fatal(err)
	}
	result := convert.Crate(crate)
	if result.OK() {
		t.Fatal("it became a folder")
	}
	var got []string
	for _, f := range result.Errors() {
		if f.Text == "" || f.Remedy == "" || f.Owner == "" {
			t.Errorf("%+v lacks something", f)
		}
		got = append(got, fmt.Sprint(f.Pointer, " ", f.Entity, " ", f.Code))
	}
	slices.Sort(got)
	want := []string{
		"/@graph/0/hasPart/5 studies/b/ path-taken", "/@graph/0/hasPart/6 assays/d/ path-taken",
		"/@graph/1 ../../license path", "/@graph/11 #person comment", "/@graph/13 #c3 comment", "/@graph/15 studies/e/ comment",
		"/@graph/3 #c2 comment", "/@graph/5/identifier studies/b/ path-taken", "/@graph/6/identifier assays/c/ identifier", "/@graph/8 #p sheet-name", "/@graph/8 #p sheet-name",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
