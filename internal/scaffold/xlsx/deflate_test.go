package xlsx

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// checkDeflate compresses a text and lets the standard library decompress it.
func checkDeflate(tb rapid.TB, d *deflater, text []byte) {
	tb.Helper()
	compressed := d.deflate(text)
	r := bytes.NewReader(compressed)
	got, err := io.ReadAll(flate.NewReader(r))
	if err != nil || !bytes.Equal(got, text) || r.Len() != 0 {
		tb.Fatalf("%q came back as %q, with %d bytes left over: %v", text, got, r.Len(), err)
	}
	if most := len(text) + len(text)/8 + 3; len(compressed) > most {
		tb.Fatalf("%d bytes became %d", len(text), len(compressed))
	}
}

// Whatever is compressed can be decompressed by others, and grows by an eighth at most.
func TestDeflatedTextsAreReadable(t *testing.T) {
	t.Parallel()
	var d deflater
	for n := range 600 { // every length of a match
		checkDeflate(t, &d, []byte(strings.Repeat("x", n)))
	}
	for distance := 1; distance < smallPart-10; distance = distance*5/4 + 1 { // every class of distances
		text := append([]byte("<row>"), bytes.Repeat([]byte{0xff}, distance)...)
		checkDeflate(t, &d, append(text, "<row>"...))
	}
	piece := rapid.OneOf(rapid.StringN(0, 40, 80), rapid.SampledFrom([]string{"<c r=\"", "\" t=\"s\"><v>", "</v></c>", "\xff\xfe", strings.Repeat("a", 300)}))
	rapid.Check(t, func(rt *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 60).Draw(rt, "pieces"), "")
		checkDeflate(rt, &d, []byte(text[:min(len(text), smallPart)]))
	})
}

// FuzzDeflate looks for texts that cannot be decompressed.
func FuzzDeflate(f *testing.F) {
	for _, s := range []string{"", "a", "aaaaaaaaaaaa", "abcdabcdabce", "\xff\x90\x8f\x00"} {
		f.Add([]byte(s))
	}
	var d deflater
	f.Fuzz(func(t *testing.T, text []byte) { checkDeflate(t, &d, text[:min(len(text), smallPart)]) })
}
