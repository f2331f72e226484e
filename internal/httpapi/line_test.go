package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/fairagro/middleware-api/internal/fault"
)

// A line that we failed tells as little as any other answer about that; one that its
// sender may mend or send again says how.
func TestLinesThatAreNotStored(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		want   bulkError
	}{
		{io.ErrShortWrite, 500, bulkError{Code: "internal_error", Message: textInternal}},
		{&fault.Error{Code: "listed_nowhere", Text: "secret", Remedy: "secret"}, 500, bulkError{Code: "internal_error", Message: textInternal}},
		{fault.New(fault.StoreFull, nil), 503, bulkError{Code: fault.StoreFull, Message: textUnavailable, Remedy: fault.New(fault.StoreFull, nil).Remedy}},
		{tooLarge(), 413, bulkError{Code: codeTooLarge, Message: "Request body too large", Remedy: "send fewer ARCs per request; the operator can raise the limit"}},
	} {
		got := lineAnswer(7, nil, c.err)
		if got.Line != 7 || got.Status != c.status || got.Error == nil || got.Error.Code != c.want.Code ||
			got.Error.Message != c.want.Message || got.Error.Remedy != c.want.Remedy {
			t.Errorf("%v: got %+v with %+v, want %d with %+v", c.err, got, got.Error, c.status, c.want)
		}
	}
}

// Bodies come as they are, or compressed in one of two ways, whatever the case of its
// name; one that needs much memory to be read is refused.
func TestContentEncodings(t *testing.T) {
	t.Parallel()
	gzipped := func(text []byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(text)
		_ = z.Close()
		return b.Bytes()
	}
	zstandard := func(window int) func(text []byte) []byte {
		return func(text []byte) []byte {
			z, err := zstd.NewWriter(nil, zstd.WithWindowSize(window), zstd.WithSingleSegment(false))
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			z.Reset(&b)
			_, _ = z.Write(text)
			_ = z.Close()
			return b.Bytes()
		}
	}
	plain := func(text []byte) []byte { return text }
	text := []byte(strings.Repeat("some words ", 2<<20))
	for _, c := range []struct {
		encoding string
		encode   func([]byte) []byte
		readable bool
	}{
		{"", plain, true}, {"identity", plain, true}, {" Identity ", plain, true}, {"gzip", gzipped, true}, {"x-gzip", gzipped, true},
		{"GZIP", gzipped, true}, {"gzip", plain, false}, {"zstd", zstandard(maxZstdWindow), true}, {"Zstd", zstandard(1 << 20), true},
		{"zstd", zstandard(2 * maxZstdWindow), false}, {"zstd", gzipped, false},
	} {
		decompress, err := decompressor(c.encoding)
		if err != nil {
			t.Errorf("%q: %v", c.encoding, err)
			continue
		}
		z, err := decompress(bytes.NewReader(c.encode(text)))
		if err != nil {
			t.Errorf("%q: %v", c.encoding, err)
			continue
		}
		got, err := io.ReadAll(z)
		_ = z.Close()
		if readable := err == nil && bytes.Equal(got, text); readable != c.readable {
			t.Errorf("%q: got %d bytes, %v; want readable: %t", c.encoding, len(got), err, c.readable)
		}
	}
	for _, encoding := range []string{"br", "gzip, gzip", "deflate"} {
		if _, err := decompressor(encoding); fault.CodeOf(err) != codeMediaType {
			t.Errorf("%q: got %v", encoding, err)
		}
	}
}

// readLines gives what a body has as lines, the number of each in front.
func readLines(tb testing.TB, body io.Reader, limit int, b *budget) []string {
	tb.Helper()
	l := &lineReader{from: body, limit: limit, memory: b.of("")}
	var got []string
	for {
		text, err := l.next()
		if err != nil && !isTooLarge(err) {
			got = append(got, err.Error())
			break
		}
		number, release := l.answered()
		release()
		if err != nil {
			text = []byte("too large")
		}
		got = append(got, string(rune('0'+number))+" "+string(text))
	}
	l.close()
	if n := b.used; n != 0 {
		tb.Errorf("%d bytes are left in memory", n)
	}
	return got
}

// A line has up to as many bytes as a body; blank ones do not count, half a line at the
// end of a body that broke off is none, and nothing of it stays in memory.
func TestLinesOfABody(t *testing.T) {
	t.Parallel()
	broken := func(text string) io.Reader {
		return io.MultiReader(strings.NewReader(text), &failingReader{})
	}
	long := strings.Repeat("x", 3*readChunk)
	for rule, c := range map[string]struct {
		body  io.Reader
		limit int
		want  string
	}{
		"blank lines":             {strings.NewReader("a\n\n \t\r\nb\n"), 9, "1 a|4 b|EOF"},
		"no break at the end":     {strings.NewReader("a\nb"), 9, "1 a|2 b|EOF"},
		"nothing":                 {strings.NewReader(""), 9, "EOF"},
		"the limit and beyond":    {strings.NewReader("123\n1234\n123"), 3, "1 123|2 too large|3 123|EOF"},
		"beyond it at the end":    {strings.NewReader("1\n1234"), 3, "1 1|2 too large|EOF"},
		"far beyond it":           {strings.NewReader(long + "\nb\n"), 3, "1 too large|2 b|EOF"},
		"far beyond, at the end":  {strings.NewReader("a\n" + long), 3, "1 a|2 too large|EOF"},
		"just a long one":         {strings.NewReader(long + "\n"), len(long), "1 " + long + "|EOF"},
		"half a line":             {broken("a\nb"), 9, "1 a|unexpected EOF"},
		"broken between two":      {broken("a\n"), 9, "1 a|unexpected EOF"},
		"half a line of too many": {broken("a\n" + long), 3, "1 a|unexpected EOF"},
	} {
		got := strings.Join(readLines(t, c.body, c.limit, newBudget(1<<30, 1)), "|")
		if got != c.want {
			t.Errorf("%s: got %.200q, want %.200q", rule, got, c.want)
		}
	}
}

// failingReader is a connection that broke.
type failingReader struct{}

func (*failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// deaf is a client that has gone away.
type deaf struct{ http.ResponseWriter }

func (deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Who writes lines for a client that has gone away is told so, and is never kept waiting.
func TestLinesForNobody(t *testing.T) {
	t.Parallel()
	l := newLineWriter(deaf{httptest.NewRecorder()})
	done := make(chan error)
	go func() {
		var err error
		for err == nil {
			err = l.write(strings.Repeat("x", 1<<20))
		}
		done <- err
		done <- l.close()
	}()
	for _, what := range []string{"write", "close"} {
		select {
		case err := <-done:
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s waits for ever", what)
		}
	}
}
