package setting

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// AtLeast demands a minimum.
func AtLeast[T cmp.Ordered](v *T, low T) Rule {
	words := fmt.Sprintf("at least %v", low)
	return Rule{Words: words, Check: check(words, func() bool { return *v >= low })}
}

// Between demands a value within limits, both included.
func Between[T cmp.Ordered](v *T, low, high T) Rule {
	words := fmt.Sprintf("between %v and %v", low, high)
	return Rule{Words: words, Check: check(words, func() bool { return *v >= low && *v <= high })}
}

// OneOf demands one of some texts.
func OneOf(v *string, allowed ...string) Rule {
	words := "one of " + strings.Join(allowed, ", ")
	return Rule{Words: words, Check: check(words, func() bool { return slices.Contains(allowed, *v) })}
}

// Match demands that a text, or every element of a list, is matched by a
// pattern that words describe.
func Match[T *string | *[]string](v T, pattern, words string) Rule {
	return Rule{Words: words, Check: func() error {
		re := regexp.MustCompile(`^(?:` + pattern + `)$`)
		texts := []string{}
		switch v := any(v).(type) {
		case *string:
			texts = append(texts, *v)
		case *[]string:
			texts = *v
		}
		for _, text := range texts {
			if !re.MatchString(text) {
				return fmt.Errorf("%q must be %s", shorten(text), words)
			}
		}
		return nil
	}}
}

// That demands what ok tells, described by words that complete "must be …".
func That(words string, ok func() bool) Rule {
	return Rule{Words: words, Check: check(words, ok)}
}

func check(words string, ok func() bool) func() error {
	return func() error {
		if !ok() {
			return errors.New("must be " + words)
		}
		return nil
	}
}

// shorten keeps messages on one line, whatever the value is.
func shorten(text string) string {
	const limit = 60
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
