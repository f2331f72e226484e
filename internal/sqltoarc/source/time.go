package source

import (
	"fmt"
	"strings"
	"time"
)

// layouts are the spellings of a timestamp by the databases; a fraction of the
// second is taken by Parse whether it is in the layout or not.
var layouts = []string{
	"2006-01-02 15:04:05", "2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00",
	"2006-01-02T15:04:05Z07", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00:00",
	"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04", "20060102",
}

// ISOTime gives a timestamp as ISO 8601 has it: 2026-03-01T10:00:00, with six
// digits of a second's fraction unless that is zero, and with an offset if the
// database has one. The zero date of MySQL and "" give "", which is no time.
func ISOTime(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || strings.HasPrefix(text, "0000-00-00") {
		return "", nil
	}
	for i, layout := range layouts {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		out := "2006-01-02T15:04:05"
		if t.Nanosecond()/1000 != 0 {
			out += ".000000"
		}
		if i >= 2 && strings.Contains(layout, "Z07") {
			out += "-07:00"
		}
		return t.Format(out), nil
	}
	return "", fmt.Errorf("%q is not a date such as 2026-03-01 10:00:00", shorten(text))
}

// shorten keeps a quoted value on one line of a report.
func shorten(text string) string {
	const limit = 60
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
