package jsondoc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
)

// tree is a JSON value as the slow, obvious implementation holds it: nil, bool, json.Number,
// string, []any, map[string]any.
func tree(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.String(), func(s string) any { return strings.ToValidUTF8(s, "?") }),
		rapid.Map(rapid.Int64(), func(n int64) any { return json.Number(strconv.FormatInt(n, 10)) }),
		rapid.Map(rapid.Float64(), func(f float64) any { return json.Number(strconv.FormatFloat(f, 'e', -1, 64)) }),
	)
	if depth == 0 {
		return leaf
	}
	name := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"a", "b", "dateModified", "datePublished", "ä", "\U0001F600"}))
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(tree(depth-1), 0, 4), func(a []any) any { return a }),
		rapid.Map(rapid.MapOfN(name, tree(depth-1), 0, 5), func(m map[string]any) any { return m }),
	)
}

// slowCanonical is Python's json.dumps(value, sort_keys=True) written down plainly.
func slowCanonical(b *strings.Builder, v any) {
	switch v := v.(type) {
	case string:
		b.WriteByte('"')
		for _, r := range v {
			switch {
			case r == '"' || r == '\\':
				b.WriteString("\\" + string(r))
			case strings.ContainsRune("\n\r\t\f\b", r):
				b.WriteString(strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`, "\b", `\b`).Replace(string(r)))
			case r >= 0x20 && r < 0x7f:
				b.WriteRune(r)
			default:
				for _, u := range utf16.Encode([]rune{r}) {
					fmt.Fprintf(b, `\u%04x`, u)
				}
			}
		}
		b.WriteByte('"')
	case json.Number:
		s := v.String()
		if !strings.ContainsAny(s, ".eE") {
			b.WriteString(s)
			return
		}
		f, _ := v.Float64()
		switch exponent := math.Floor(math.Log10(math.Abs(f))); {
		case f != 0 && (exponent < -4 || math.Abs(f) >= 1e16):
			b.WriteString(strconv.FormatFloat(f, 'e', -1, 64))
		default:
			s = strconv.FormatFloat(f, 'f', -1, 64)
			if !strings.Contains(s, ".") {
				s += ".0"
			}
			b.WriteString(s)
		}
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			slowCanonical(b, e)
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		first := true
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k == "dateModified" || k == "datePublished" {
				continue
			}
			if !first {
				b.WriteString(", ")
			}
			first = false
			slowCanonical(b, k)
			b.WriteString(": ")
			slowCanonical(b, v[k])
		}
		b.WriteByte('}')
	case bool:
		b.WriteString(strconv.FormatBool(v))
	default:
		b.WriteString("null")
	}
}

// The canonical text of any document is that of the slow implementation, however the document is
// spelled: order of members, escapes, white space, duplicates.
func TestCanonicalTextDoesNotDependOnTheSpelling(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := tree(4).Draw(t, "value")
		var want strings.Builder
		slowCanonical(&want, value)
		spelled := spell(t, value)
		d, err := jsondoc.Parse(spelled)
		if err != nil {
			t.Fatalf("%s: %v", spelled, err)
		}
		defer d.Release()
		var got bytes.Buffer
		if err := d.Root().WriteCanonical(&got, "dateModified", "datePublished"); err != nil {
			t.Fatalf("%s: %v", spelled, err)
		}
		if got.String() != want.String() {
			t.Fatalf("%s\n got %s\nwant %s", spelled, got.String(), want.String())
		}
		var same, compact any
		if err := json.Unmarshal(d.Root().AppendCompact(nil), &compact); err != nil {
			t.Fatalf("compact text of %s: %v", spelled, err)
		}
		if err := json.Unmarshal(spelled, &same); err != nil || fmt.Sprint(same) != fmt.Sprint(compact) {
			t.Fatalf("compact text of %s says something else: %v", spelled, err)
		}
	})
}

// spell writes a value in one of many ways.
func spell(t *rapid.T, v any) []byte {
	space := func() string { return rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space") }
	var b bytes.Buffer
	var write func(v any)
	text := func(s string) {
		b.WriteByte('"')
		for _, r := range s {
			switch {
			case r < 0x20 || r == '"' || r == '\\' || rapid.IntRange(0, 9).Draw(t, "escape") == 0:
				for _, u := range utf16.Encode([]rune{r}) {
					fmt.Fprintf(&b, `\u%04X`, u)
				}
			case r == '/':
				b.WriteString(`\/`)
			default:
				b.WriteRune(r)
			}
		}
		b.WriteByte('"')
	}
	write = func(v any) {
		b.WriteString(space())
		switch v := v.(type) {
		case string:
			text(v)
		case []any:
			b.WriteByte('[')
			for i, e := range v {
				if i > 0 {
					b.WriteByte(',')
				}
				write(e)
			}
			b.WriteString(space() + "]")
		case map[string]any:
			b.WriteByte('{')
			names := rapid.Permutation(slices.Sorted(maps.Keys(v))).Draw(t, "order")
			for i, name := range names {
				if i > 0 {
					b.WriteByte(',')
				}
				if rapid.IntRange(0, 9).Draw(t, "twice") == 0 {
					text(name)
					b.WriteString(`:{"gone":[1]},`)
				}
				b.WriteString(space())
				text(name)
				b.WriteString(space() + ":")
				write(v[name])
			}
			b.WriteString(space() + "}")
		default:
			out, _ := json.Marshal(v)
			b.Write(out)
		}
		b.WriteString(space())
	}
	write(v)
	return b.Bytes()
}

// What no JSON text can hold has no canonical text.
func TestCanonicalTextRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]error{
		`[NaN]`: jsondoc.ErrNotFinite, `[1e999]`: jsondoc.ErrNotFinite, `{"a":"\ud800"}`: jsondoc.ErrSurrogate, `{"\udc00":1}`: jsondoc.ErrSurrogate,
	} {
		d, err := jsondoc.Parse([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Root().WriteCanonical(&bytes.Buffer{}); err != want { //nolint:errorlint // identity is the rule
			t.Errorf("%s: %v, want %v", doc, err, want)
		}
		d.Release()
	}
}

// Names that begin alike are told apart, however many there are and however they are
// spelled, also those that are the beginning of others or end with zeros.
func TestCanonicalOrderOfNamesThatBeginAlike(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := map[string]any{}
		for range rapid.IntRange(0, 60).Draw(t, "members") {
			name := strings.Repeat("a", rapid.IntRange(0, 9).Draw(t, "begin")) +
				rapid.StringOfN(rapid.SampledFrom([]rune{'\x00', 'a', 'b', 0x7f, 'é', '😀'}), 0, 3, -1).Draw(t, "end")
			value[name] = strings.Repeat("x", rapid.IntRange(0, 300).Draw(t, "length"))
		}
		var want strings.Builder
		slowCanonical(&want, value)
		d, err := jsondoc.Parse(spell(t, value))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Release()
		var got bytes.Buffer
		if err := d.Root().WriteCanonical(&got); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Fatalf("\n got %s\nwant %s", got.String(), want.String())
		}
	})
}
