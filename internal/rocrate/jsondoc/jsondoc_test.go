package jsondoc_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// A text that is not JSON is refused with the words and the character offset of Python's parser.
func TestParseTellsSyntaxErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		offset int
		want   string
	}{
		{"", 0, "Expecting value"},
		{"  \n", 3, "Expecting value"},
		{"[", 1, "Expecting value"},
		{"[1,]", 3, "Expecting value"},
		{"[1 2]", 3, "Expecting ',' delimiter"},
		{"[1", 2, "Expecting ',' delimiter"},
		{"[01]", 2, "Expecting ',' delimiter"},
		{"[1.]", 2, "Expecting ',' delimiter"},
		{"-", 0, "Expecting value"},
		{"[-x]", 1, "Expecting value"},
		{"[-Infin]", 1, "Expecting value"},
		{"nul", 0, "Expecting value"},
		{"{", 1, "Expecting property name enclosed in double quotes"},
		{`{"a":1,}`, 7, "Expecting property name enclosed in double quotes"},
		{`{a:1}`, 1, "Expecting property name enclosed in double quotes"},
		{`{"a" 1}`, 5, "Expecting ':' delimiter"},
		{`{"a":}`, 5, "Expecting value"},
		{`{"a":1 "b":2}`, 7, "Expecting ',' delimiter"},
		{`{} x`, 3, "Extra data"},
		{`["ü😀", x]`, 7, "Expecting value"},
		{`["abc`, 1, "Unterminated string starting at"},
		{`["abc\`, 1, "Unterminated string starting at"},
		{"[\"ab\n\"]", 4, "Invalid control character at"},
		{`["ab\x"]`, 4, `Invalid \escape`},
		{`["ab\u12g4"]`, 5, `Invalid \uXXXX escape`},
		{`["\u0041`, 3, `Invalid \uXXXX escape`},
		{`["\ud83d\u12"]`, 9, `Invalid \uXXXX escape`},
	} {
		_, err := jsondoc.Parse([]byte(c.text))
		var got *jsondoc.SyntaxError
		if !errors.As(err, &got) || got.Text != c.want || got.Offset != c.offset {
			t.Errorf("%q: %v, want %s: char %d", c.text, err, c.want, c.offset)
		}
	}
}

// Depth, length of integers and broken encodings have their limits.
func TestParseKeepsLimits(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	digits := func(n int) string { return strings.Repeat("7", n) }
	for name, c := range map[string]struct {
		text    string
		refused bool
	}{
		"deepest":             {nested(jsondoc.MaxDepth), false},
		"too deep":            {nested(jsondoc.MaxDepth + 1), true},
		"never closed":        {strings.Repeat(`{"a":`, 1<<20), true},
		"longest integer":     {digits(jsondoc.MaxIntDigits), false},
		"too long":            {"[-" + digits(jsondoc.MaxIntDigits+1) + "]", true},
		"long, but no int":    {digits(jsondoc.MaxIntDigits+1) + ".5", false},
		"not UTF-8":           {"[\"\xff\"]", true},
		"half a UTF-16 unit":  {"\xff\xfe[\x00]", true},
		"beyond Unicode":      {"\xff\xfe\x00\x00\x00\x00\x11\x00", true},
		"Python's constants":  {"[NaN, Infinity, -Infinity]", false},
		"duplicate members":   {`{"a":1,"a":2}`, false},
		"surrogate in UTF-8":  {"[\"\xed\xa0\x80\"]", false},
		"surrogate in escape": {`["\udc00\ud800"]`, false},
	} {
		d, err := jsondoc.Parse([]byte(c.text))
		var limit *jsondoc.LimitError
		if errors.As(err, &limit) != c.refused || !c.refused && err != nil {
			t.Errorf("%s: %v, want refused %v", name, err, c.refused)
		}
		if err == nil {
			d.Release()
		}
	}
}

// The encoding is told from the byte order mark, or without one from the zero bytes.
func TestParseDecodesEveryUnicodeEncoding(t *testing.T) {
	t.Parallel()
	const text = `{"a":"ü😀"}`
	u16 := func(order binary.AppendByteOrder, s string) (b []byte) {
		for _, u := range utf16.Encode([]rune(s)) {
			b = order.AppendUint16(b, u)
		}
		return b
	}
	u32 := func(order binary.AppendByteOrder, s string) (b []byte) {
		for _, r := range s {
			b = order.AppendUint32(b, uint32(r))
		}
		return b
	}
	const mark = "\ufeff"
	for name, body := range map[string][]byte{
		"UTF-8":         []byte(text),
		"UTF-8 mark":    []byte(mark + text),
		"UTF-16LE":      u16(binary.LittleEndian, text),
		"UTF-16BE":      u16(binary.BigEndian, text),
		"UTF-16LE mark": u16(binary.LittleEndian, mark+text),
		"UTF-16BE mark": u16(binary.BigEndian, mark+text),
		"UTF-32LE":      u32(binary.LittleEndian, text),
		"UTF-32BE":      u32(binary.BigEndian, text),
		"UTF-32LE mark": u32(binary.LittleEndian, mark+text),
		"UTF-32BE mark": u32(binary.BigEndian, mark+text),
	} {
		d, err := jsondoc.Parse(body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := d.Root().Member("a").Text(); got != "ü😀" {
			t.Errorf("%s: text %q", name, got)
		}
		d.Release()
	}
}

// The last of equal members counts, at the place of the first when rendered.
func TestDuplicateMembers(t *testing.T) {
	t.Parallel()
	d, err := jsondoc.Parse([]byte(`{ "a" : 1.50, "b": [1e2, -0, "\u00e4\/\u0001"], "\u0061": {"x": null} }`))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Release()
	if got, want := string(d.Root().AppendCompact(nil)), `{"a":{"x":null},"b":[100.0,0,"ä/\u0001"]}`; got != want {
		t.Errorf("compact %s, want %s", got, want)
	}
	var canonical bytes.Buffer
	if err := d.Root().WriteCanonical(&canonical, "x"); err != nil {
		t.Fatal(err)
	}
	if got, want := canonical.String(), `{"a": {}, "b": [100.0, 0, "\u00e4/\u0001"]}`; got != want {
		t.Errorf("canonical %s, want %s", got, want)
	}
}
