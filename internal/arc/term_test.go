package arc_test

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/arc"
)

// An accession in any spelling gives source, short form and URL.
func TestAccessions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ accession, short, tsr, url string }{
		{"http://www.ebi.ac.uk/efo/EFO_0000721", "EFO:0000721", "EFO", "https://bioregistry.io/EFO:0000721"},
		{"https://bioregistry.io/NCIT:C25206", "NCIT:C25206", "NCIT", "https://bioregistry.io/NCIT:C25206"},
		{"ncit:c25206", "ncit:c25206", "ncit", "http://purl.obolibrary.org/obo/ncit_c25206"},
		{"x (MS:1000031)", "MS:1000031", "MS", "https://www.ebi.ac.uk/ols4/ontologies/ms/classes/http%253A%252F%252Fpurl.obolibrary.org%252Fobo%252FMS_1000031"},
		{"a:b:c", "a:b", "a", "http://purl.obolibrary.org/obo/a_b"},
		{"http://x/y/z_1_2", "z:1_2", "z", "http://purl.obolibrary.org/obo/z_1_2"},
		{"DPBO:1000161", "DPBO:1000161", "DPBO", "http://purl.org/nfdi4plants/ontology/dpbo/DPBO_1000161"},
		{"https://www.ebi.ac.uk/ols4/ontologies/po/classes/http%253A%252F%252Fpurl.obolibrary.org%252Fobo%252FPO_0009005", "PO:0009005", "PO",
			"https://www.ebi.ac.uk/ols4/ontologies/po/classes/http%253A%252F%252Fpurl.obolibrary.org%252Fobo%252FPO_0009005"},
		{" OBI:1 ", "OBI:1", "OBI", "https://bioregistry.io/OBI:1"},
		{"https://doi.org/10.1000/182", "", "", ""},
		{"abc", "", "", ""},
		{"http://example.org/#T_7", "", "", ""},
		{"", "", "", ""},
	} {
		term := arc.NewTerm("n", tt.accession)
		if term.Short() != tt.short || term.TSR != tt.tsr || term.URL() != tt.url {
			t.Errorf("%q: short %q, source %q, URL %q; want %q, %q, %q", tt.accession, term.Short(), term.TSR, term.URL(), tt.short, tt.tsr, tt.url)
		}
		if tt.short == "" && term.TAN != tt.accession {
			t.Errorf("%q: kept as %q", tt.accession, term.TAN)
		}
	}
}

// The hand-written search finds what the patterns find.
func TestParseAccessionEqualsThePatterns(t *testing.T) {
	t.Parallel()
	patterns := []*regexp.Regexp{
		regexp.MustCompile(`(\w+?):(\w+)`),
		regexp.MustCompile(`http://purl.obolibrary.org/obo/(\w+?)_(\w+)`),
		regexp.MustCompile(`.*\/(\w+?)[:_](\w+)`),
		regexp.MustCompile(`.*252F(\w+?)_(\w+)`),
	}
	part := rapid.SampledFrom([]string{"A", "b1", "_", "__", ":", "/", "//", "http:", "http://purl.obolibrary.org/obo/", "http://purlxobolibraryyorg/obo/", "252F", "252", "%", " ", "ä", "\n", "#", "MS"})
	rapid.Check(t, func(t *rapid.T) {
		s := ""
		for _, p := range rapid.SliceOfN(part, 0, 9).Draw(t, "parts") {
			s += p
		}
		var wantID, wantLocal string
		trimmed := arc.TrimSpace(s)
		for _, p := range patterns {
			if m := p.FindStringSubmatch(trimmed); m != nil {
				wantID, wantLocal = m[1], m[2]
				break
			}
		}
		id, local, ok := arc.ParseAccession(s)
		if id != wantID || local != wantLocal || ok != (wantID != "") {
			t.Fatalf("%q: got %q %q %v, want %q %q", s, id, local, ok, wantID, wantLocal)
		}
	})
}

// A short form is its own accession: parsing what was parsed changes nothing.
func TestShortFormsAreStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := arc.NewTerm("n", rapid.StringMatching(`[\w:/. #]{0,20}`).Draw(t, "accession"))
		if again := arc.NewTerm("n", first.TAN); again != first {
			t.Fatalf("%+v became %+v", first, again)
		}
	})
}
