package gitlab

import (
	"errors"
	"regexp"
	"strings"
	"unicode"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
)

const (
	maxTitle       = 255 // characters that GitLab allows
	maxDescription = 2000
)

var (
	lineBreaks   = regexp.MustCompile(`[\r\n\t]+`)
	whiteSpace   = regexp.MustCompile(`\s+`)
	notAllowed   = regexp.MustCompile(`[^a-zA-Z0-9_.+ -]+`)
	notTopic     = regexp.MustCompile(`[^a-z0-9-]+`)
	startsWell   = regexp.MustCompile(`^[a-zA-Z0-9_]`)
	errTitleless = errors.New("identifier holds no character that GitLab allows")
)

// metadata is what a project says about itself.
type metadata struct {
	Title, Description string
	Topics             []string // nil: leave the existing ones
}

// metadataOf words the metadata of a project for an ARC.
func (c *client) metadataOf(p *remote.Push) (metadata, error) {
	title, err := Title(p.Identifier, p.RDI)
	if err != nil {
		return metadata{}, err
	}
	m := metadata{Title: title, Description: Description(p.Title, p.Description)}
	if topic := Topic(p.RDI, c.topics); topic != "" {
		m.Topics = []string{topic}
	}
	return m, nil
}

// Title makes a project's title of an identifier and an RDI.
func Title(identifier, rdi string) (string, error) {
	s := lineBreaks.ReplaceAllString(strings.TrimSpace(identifier), " ")
	s = whiteSpace.ReplaceAllString(s, " ")
	s = strings.NewReplacer("/", "-", `\`, "-").Replace(s)
	s, err := cleanTitle(s)
	if err != nil {
		return "", err
	}
	suffix := " - " + rdi
	if room := maxTitle - len([]rune(suffix)); len(s) > room {
		s = s[:max(room, 0)]
	}
	return cleanTitle(s + suffix)
}

// cleanTitle leaves nothing but what GitLab allows, all of it ASCII.
func cleanTitle(s string) (string, error) {
	s = notAllowed.ReplaceAllString(s, " ")
	s = strings.TrimSpace(whiteSpace.ReplaceAllString(s, " "))
	if s == "" {
		return "", remote.Fail(fault.TitleInvalid, errTitleless)
	}
	if !startsWell.MatchString(s) {
		s = "_" + s
	}
	return s[:min(len(s), maxTitle)], nil
}

// distinct gives a second title for an ARC whose first one is taken.
func distinct(title, arcID string) string {
	suffix := " - " + arcID[:8]
	return title[:min(len(title), maxTitle-len(suffix))] + suffix
}

// Description joins what an ARC says about itself.
func Description(title, description string) string {
	var parts []string
	for _, s := range []string{title, description} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	text := []rune(strings.Join(parts, "\n"))
	return string(text[:min(len(text), maxDescription)])
}

// Topic gives the topic of an RDI: the configured one, else one made of its
// name, else none.
func Topic(rdi string, topics map[string]string) string {
	if t, ok := topics[rdi]; ok {
		return strings.TrimSpace(t)
	}
	for name, t := range topics {
		if strings.EqualFold(name, rdi) {
			return strings.TrimSpace(t)
		}
	}
	lower := strings.ToLower(rdi)
	if s := strings.Trim(notTopic.ReplaceAllString(lower, "-"), "-"); s != "" {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, lower)
}
