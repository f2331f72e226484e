package telemetry

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Access is what is told about one request: who, what, with which outcome.
// There is no place for headers, certificates or bodies.
type Access struct {
	Time      time.Time // of the arrival
	Remote    string    // address of the peer, "" for a unix socket
	Client    string    // client id from the certificate
	Method    string
	URI       string // path and query as the client sent them
	Proto     string
	Status    int
	Bytes     int64 // of the answer's body
	Referer   string
	UserAgent string
	Duration  time.Duration
	RequestID string
}

// AccessLog writes one line per request, in the combined format that earlier
// generations used, with the duration in microseconds and the id of the
// request at the end:
//
//	10.0.0.1 - client "POST /v3/arcs HTTP/1.1" 201 412 "-" "python-httpx/0.28" 5120 0198c5…
//
// A nil AccessLog writes nothing.
type AccessLog struct {
	out    *output
	format string
	polls  bool // tasks that are polled are logged as well
}

// newAccessLog gives nil when the level is above that of access lines.
func newAccessLog(o Options, out *output) *AccessLog {
	if o.Level > slog.LevelInfo {
		return nil
	}
	return &AccessLog{out: out, format: o.Format, polls: o.Level <= slog.LevelDebug}
}

// Log writes the line for one request.
func (l *AccessLog) Log(a *Access) {
	if l == nil || !l.polls && isPoll(a) {
		return
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	if l.format == FormatJSON {
		s.line = appendAccessJSON(s.line[:0], a)
	} else {
		s.line = l.appendLine(s.line[:0], a)
	}
	_ = l.out.write(s.line, maxKeptAccess) // a log that cannot be written has nobody to tell
}

// isPoll recognises the requests of clients that wait for a task: they come
// every second and say nothing.
func isPoll(a *Access) bool {
	return a.Method == http.MethodGet && (strings.HasPrefix(a.URI, "/v1/tasks/") || strings.HasPrefix(a.URI, "/v2/tasks/"))
}

func (l *AccessLog) appendLine(b []byte, a *Access) []byte {
	if l.format == FormatJournal {
		b = append(b, "<6>"...)
	}
	b = appendWord(b, a.Remote)
	b = append(b, " - "...)
	b = appendWord(b, a.Client)
	if l.format != FormatJournal {
		b = a.Time.AppendFormat(b, " [02/Jan/2006:15:04:05 -0700]")
	}
	b = append(b, ` "`...)
	b = appendEscaped(b, a.Method)
	b = append(b, ' ')
	b = appendEscaped(b, a.URI)
	b = append(b, ' ')
	b = appendEscaped(b, a.Proto)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, a.Bytes, 10)
	b = append(b, ` "`...)
	b = appendEscaped(b, orDash(a.Referer))
	b = append(b, `" "`...)
	b = appendEscaped(b, orDash(a.UserAgent))
	b = append(b, `" `...)
	b = strconv.AppendInt(b, a.Duration.Microseconds(), 10)
	b = append(b, ' ')
	b = appendWord(b, a.RequestID)
	return append(b, '\n')
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// appendWord gives a text that holds no blank.
func appendWord(b []byte, text string) []byte {
	start := len(b)
	b = appendEscaped(b, orDash(text))
	for i := start; i < len(b); i++ {
		if b[i] == ' ' {
			b[i] = '_'
		}
	}
	return b
}

// maxAccessText bounds what a client can make us write for one header.
const maxAccessText = 2048

// appendEscaped gives a text that came from outside: quotes, backslashes and
// everything outside of printable ASCII and valid UTF-8 are escaped, so that a
// line stays one line.
func appendEscaped(b []byte, text string) []byte {
	if len(text) > maxAccessText {
		text = text[:maxAccessText]
	}
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			i++
			if c < ' ' || c == 0x7f || c == '"' || c == '\\' {
				b = appendHex(b, c)
				continue
			}
			b = append(b, c)
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError || r < 0xa0 || r == '\u2028' || r == '\u2029' {
			for _, c := range []byte(text[i : i+size]) {
				b = appendHex(b, c)
			}
		} else {
			b = append(b, text[i:i+size]...)
		}
		i += size
	}
	return b
}

func appendHex(b []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'x', digits[c>>4], digits[c&15])
}

// appendAccessJSON gives the same facts as an object.
func appendAccessJSON(b []byte, a *Access) []byte {
	b = append(b, `{"time":"`...)
	b = a.Time.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"INFO","msg":"request"`...)
	for _, f := range [...]struct{ key, value string }{
		{"remote", a.Remote}, {"client_id", a.Client}, {"method", a.Method}, {"uri", a.URI}, {"proto", a.Proto},
		{"referer", a.Referer}, {"user_agent", a.UserAgent}, {"request_id", a.RequestID},
	} {
		if f.value == "" {
			continue
		}
		b = append(b, `,"`...)
		b = append(b, f.key...)
		b = append(b, `":"`...)
		b = appendJSON(b, f.value)
		b = append(b, '"')
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, a.Bytes, 10)
	b = append(b, `,"duration":`...)
	b = strconv.AppendFloat(b, a.Duration.Seconds(), 'f', 6, 64)
	return append(b, "}\n"...)
}

// appendJSON escapes a text for JSON; the \x of other lines does not exist there.
func appendJSON(b []byte, text string) []byte {
	if len(text) > maxAccessText {
		text = text[:maxAccessText]
	}
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r >= 0x7f && r < 0xa0:
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}
