package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// lineHandler writes a record as one line, "message key=value …", in one
// write, and sends those worth finding by field to the journal instead.
type lineHandler struct {
	level      slog.Level
	out        *output
	native     *journalWriter // nil without a journal
	identifier string
	stamped    bool // time and level before the message, instead of <N>
	prefix     string
	before     facts // what WithAttrs has added
}

func newLineHandler(o Options, out *output, native *journalWriter) *lineHandler {
	return &lineHandler{
		level: o.Level, out: out, native: native, identifier: o.Identifier,
		stamped: o.Format != FormatJournal,
	}
}

// facts are attributes in the two forms in which they leave.
type facts struct {
	text   []byte // " key=value …"
	fields []byte // journal fields, only kept with a journal
	native bool   // one of them is worth finding
	event  bool   // one of them is an event
}

func (f *facts) clone() facts {
	return facts{text: append([]byte(nil), f.text...), fields: append([]byte(nil), f.fields...), native: f.native, event: f.event}
}

// Enabled reports whether records of the level are written.
func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// WithAttrs gives a handler whose records carry attrs.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.before = h.before.clone()
	for _, a := range attrs {
		next.add(&next.before, next.prefix, a)
	}
	return &next
}

// WithGroup gives a handler that puts a name before the keys that follow.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix += name + "."
	return &next
}

// scratch is the memory for one record.
type scratch struct {
	line, record []byte
	facts        facts
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// maxScratch keeps a single giant record from staying in memory for ever.
const maxScratch = 64 << 10

func (s *scratch) free() {
	if cap(s.line)+cap(s.record)+cap(s.facts.text)+cap(s.facts.fields) <= maxScratch {
		scratches.Put(s)
	}
}

// Handle writes one record.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	s := scratches.Get().(*scratch)
	defer s.free()
	s.facts.text = append(s.facts.text[:0], h.before.text...)
	s.facts.fields = append(s.facts.fields[:0], h.before.fields...)
	s.facts.native = h.before.native || r.Level >= slog.LevelWarn
	s.facts.event = h.before.event
	r.Attrs(func(a slog.Attr) bool {
		h.add(&s.facts, h.prefix, a)
		return true
	})
	if h.native != nil {
		h.recognise(&s.facts, &r)
	}
	if h.native != nil && s.facts.native && h.send(s, &r) == nil {
		return nil
	}
	s.line = s.line[:0]
	if h.stamped {
		s.line = r.Time.AppendFormat(s.line, "2006-01-02T15:04:05.000Z07:00")
		s.line = append(s.line, ' ')
		s.line = append(s.line, levelName(r.Level)...)
		s.line = append(s.line, ' ')
	} else {
		s.line = append(s.line, '<', priority(r.Level), '>')
	}
	s.line = appendPlain(s.line, r.Message)
	s.line = append(s.line, s.facts.text...)
	s.line = append(s.line, '\n')
	_, err := h.out.Write(s.line)
	return err
}

// send gives the record to the journal.
func (h *lineHandler) send(s *scratch, r *slog.Record) error {
	s.line = append(appendPlain(s.line[:0], r.Message), s.facts.text...)
	s.record = appendField(s.record[:0], "MESSAGE", s.line)
	s.record = append(s.record, "PRIORITY="...)
	s.record = append(s.record, priority(r.Level), '\n')
	s.record = appendField(s.record, "SYSLOG_IDENTIFIER", h.identifier)
	s.record = append(s.record, s.facts.fields...)
	return h.native.send(s.record)
}

// add encodes one attribute, groups flattened.
func (h *lineHandler) add(f *facts, prefix string, a slog.Attr) {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range value.Group() {
			h.add(f, prefix, inner)
		}
		return
	}
	if a.Key == "" {
		return
	}
	f.text = append(f.text, ' ')
	f.text = append(f.text, prefix...)
	f.text = append(f.text, a.Key...)
	f.text = append(f.text, '=')
	start := len(f.text)
	f.text = appendValue(f.text, value)
	if h.native == nil {
		f.text = quoteFrom(f.text, start)
		return
	}
	if event, ok := value.Any().(Event); ok && value.Kind() == slog.KindAny {
		f.fields = appendField(f.fields, "MESSAGE_ID", event.MessageID())
		f.native, f.event = true, true
	}
	switch a.Key {
	case "arc_id", "harvest_id":
		f.native = true
	}
	f.fields = appendFieldNamed(f.fields, prefix, a.Key, f.text[start:])
	f.text = quoteFrom(f.text, start)
}

// appendValue gives a value as text, without quotes.
func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return append(b, v.String()...)
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return append(b, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	}
	switch x := v.Any().(type) {
	case error:
		return append(b, x.Error()...)
	case Event:
		return append(b, x...)
	case []byte:
		return append(b, x...)
	}
	return fmt.Appendf(b, "%+v", v.Any())
}

// quoteFrom quotes what stands from start on, if it would not be one word.
func quoteFrom(b []byte, start int) []byte {
	if isWord(b[start:]) {
		return b
	}
	return strconv.AppendQuote(b[:start], string(b[start:]))
}

func isWord(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c == '"' || c == '=' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// appendPlain gives a text on one line: whatever could end the line or steer
// a terminal is escaped.
func appendPlain(b []byte, text string) []byte {
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			quoted := strconv.QuoteRune(r)
			b = append(b, quoted[1:len(quoted)-1]...)
			continue
		}
		b = utf8.AppendRune(b, r)
	}
	return b
}
