package gitlab_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/remote/gitlab"
)

// Titles are cleaned as the system before did, so that projects keep theirs.
func TestTitle(t *testing.T) {
	t.Parallel()
	for identifier, want := range map[string]string{
		"10.5447/IPK/2020/1 (v2) ü": "10.5447-IPK-2020-1 v2 - rdi-1",
		"-x":                        "_-x - rdi-1",
		"é x":                       "x - rdi-1",
		" a\r\n\tb  c\\d ":          "a b c-d - rdi-1",
		strings.Repeat("x", 300):    strings.Repeat("x", 247) + " - rdi-1",
	} {
		if got, err := gitlab.Title(identifier, "rdi-1"); err != nil || got != want {
			t.Errorf("Title(%q) = %q, %v, want %q", identifier, got, err, want)
		}
	}
	for _, identifier := range []string{"", " ", "Ячмень", "()"} {
		if got, err := gitlab.Title(identifier, "rdi-1"); err == nil {
			t.Errorf("Title(%q) = %q, want an error", identifier, got)
		}
	}
}

// Whatever the identifier and the RDI, a title is one that GitLab takes.
func TestTitleIsAlwaysAllowed(t *testing.T) {
	t.Parallel()
	allowed := regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_.+ -]{0,254}$`)
	rapid.Check(t, func(t *rapid.T) {
		title, err := gitlab.Title(rapid.String().Draw(t, "identifier"), rapid.String().Draw(t, "rdi"))
		if err == nil && !allowed.MatchString(title) {
			t.Fatalf("title %q", title)
		}
	})
}

// The topic is the configured one, else one made of the RDI's name.
func TestTopic(t *testing.T) {
	t.Parallel()
	topics := map[string]string{"edal": " e!DAL ", "BonaRes": "bonares-repo"}
	for rdi, want := range map[string]string{
		"edal": "e!DAL", "bonares": "bonares-repo", "e!DAL": "e-dal", "Thunen_Atlas": "thunen-atlas", "Ячмень": "ячмень", "!": "",
	} {
		if got := gitlab.Topic(rdi, topics); got != want {
			t.Errorf("Topic(%q) = %q, want %q", rdi, got, want)
		}
	}
}

// The description joins what there is and is cut by characters, not bytes.
func TestDescription(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{{"a", "b", "a\nb"}, {"", "b", "b"}, {"a", "", "a"}, {"", "", ""}, {strings.Repeat("ü", 1999), "bcd", strings.Repeat("ü", 1999) + "\n"}} {
		if got := gitlab.Description(c[0], c[1]); got != c[2] {
			t.Errorf("Description(%q, %q) = %q", c[0], c[1], got)
		}
	}
}
