package httpapi

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
)

const mediaNDJSON = "application/x-ndjson"

// maxZstdWindow bounds the memory that a compressed body makes us use; it is what
// zstd uses up to level 19.
const maxZstdWindow = 8 << 20

// bulkAnswer is the answer to one line.
type bulkAnswer struct {
	Line       int        `json:"line"`
	Status     int        `json:"status"`
	ARCID      string     `json:"arc_id,omitempty"`
	Identifier string     `json:"identifier,omitempty"`
	Outcome    string     `json:"outcome,omitempty"`
	Hash       string     `json:"arc_hash,omitempty"`
	Error      *bulkError `json:"error,omitempty"`
}

// bulkError says what is wrong with one line; the input is not repeated.
type bulkError struct {
	Code    fault.Code   `json:"code"`
	Message string       `json:"message"`
	Remedy  string       `json:"remedy,omitempty"`
	Detail  []lineDetail `json:"detail,omitempty"`
}

type lineDetail struct {
	Type string   `json:"type"`
	Loc  wire.Loc `json:"loc"`
	Msg  string   `json:"msg"`
}

// bulk is POST /v3/harvests/{harvest_id}/arcs with lines.
func (a *API) bulk(x *exchange) error {
	h, err := a.harvestHead(x)
	if err != nil {
		return err
	}
	decompress, err := decompressor(x.r.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	body := newStoppable(a.paced(x.w, x.r, 0))
	defer body.settle()
	stop := context.AfterFunc(a.draining, body.stop)
	defer stop()
	plain, err := decompress(body)
	if err != nil {
		return err
	}
	defer func() { _ = plain.Close() }()                   // it tells nothing that Read has not told
	_ = http.NewResponseController(x.w).EnableFullDuplex() // HTTP/1 needs the permission, others have it
	x.w.bodyDone, x.w.meanwhile, x.w.record.Paced = true, true, true
	x.w.Header().Set("Content-Type", mediaNDJSON)
	out := newLineWriter(x.w)
	lines := &lineReader{from: decoded{plain, body}, limit: int(a.options.MaxBody), memory: x.memory()}
	defer lines.close()
	// Report runs in order, and a line's number is known before its answer.
	report := func(accepted *ingest.Accepted, err error) error {
		number, release := lines.answered()
		defer release()
		if err := failpoint.Hit(failpoint.BulkAnswer); err != nil {
			return err
		}
		return out.write(lineAnswer(number, accepted, err))
	}
	err = a.service.Bulk(x.ctx(), x.caller(), h, x.bulkLines(lines), report)
	if closed := out.close(); closed != nil {
		err = closed
	}
	if err == nil && x.w.record.Status == 0 {
		x.w.WriteHeader(http.StatusOK)
	}
	return abortIfBegun(x.w, err)
}

// bulkLines gives the ARCs of the lines. What ends the body before its time, other
// than its sender or us, takes the place of a last line.
func (x *exchange) bulkLines(lines *lineReader) iter.Seq[ingest.Line] {
	return func(yield func(ingest.Line) bool) {
		for {
			text, err := lines.next()
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, errStopped), errors.Is(err, io.ErrUnexpectedEOF):
				return
			case err == nil || !errors.Is(err, lines.ended):
				if !yield(func() (rocrate.Payload, error) { return x.scanLine(text, err) }) {
					return
				}
			default:
				yield(func() (rocrate.Payload, error) { return rocrate.Payload{}, bodyError(err) })
				return
			}
		}
	}
}

// scanLine reads one line: a crate, or an object with the member arc as in single uploads.
func (x *exchange) scanLine(text []byte, err error) (rocrate.Payload, error) {
	if err != nil {
		return rocrate.Payload{}, err
	}
	doc, err := jsondoc.Parse(text)
	if err != nil {
		return rocrate.Payload{}, parseError(err)
	}
	defer doc.Release()
	crate, loc := doc.Root(), wire.Loc{"body"}
	if wrapped := crate.Member("arc"); wrapped.Exists() && !crate.Member("@graph").Exists() && !crate.Member("graph").Exists() {
		crate, loc = wrapped, loc.With("arc")
	}
	payload, err := rocrate.ScanValue(crate, loc)
	if err != nil {
		return payload, err
	}
	return payload, x.strict(payload.Document, loc)
}

func lineAnswer(number int, accepted *ingest.Accepted, err error) bulkAnswer {
	if err == nil {
		return bulkAnswer{
			Line: number, Status: http.StatusOK, ARCID: accepted.ID.String(), Identifier: accepted.Identifier,
			Outcome: string(accepted.Outcome), Hash: accepted.Hash.String(),
		}
	}
	if invalid, ok := errors.AsType[wire.Errors](err); ok {
		problem := &bulkError{Code: fault.ARCInvalid, Message: invalid[0].Msg}
		for _, e := range invalid {
			problem.Detail = append(problem.Detail, lineDetail{e.Type, e.Loc, e.Msg})
		}
		return bulkAnswer{Line: number, Status: http.StatusUnprocessableEntity, Error: problem}
	}
	status, text := statusOf(err)
	problem := &bulkError{Code: "internal_error", Message: text}
	if f, ok := fault.Of(err); ok && status != http.StatusInternalServerError {
		problem.Code, problem.Remedy = f.Code, f.Remedy
	}
	return bulkAnswer{Line: number, Status: status, Error: problem}
}

// decompressor gives what undoes the content encoding.
func decompressor(encoding string) (func(io.Reader) (io.ReadCloser, error), error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return func(body io.Reader) (io.ReadCloser, error) { return io.NopCloser(body), nil }, nil
	case "gzip", "x-gzip":
		return func(body io.Reader) (io.ReadCloser, error) { return &lazyGzip{body: body}, nil }, nil
	case "zstd":
		return func(body io.Reader) (io.ReadCloser, error) {
			z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
			if err != nil {
				return nil, err
			}
			return z.IOReadCloser(), nil
		}, nil
	}
	return nil, refuse(codeMediaType, "Content-Encoding must be gzip, zstd or absent")
}

// lazyGzip reads the header of the compressed body when somebody reads the body,
// so that its errors are those of a line.
type lazyGzip struct {
	body io.Reader
	z    *gzip.Reader
}

// Read gives plain bytes.
func (l *lazyGzip) Read(b []byte) (int, error) {
	if l.z == nil {
		z, err := gzip.NewReader(l.body)
		if err != nil {
			return 0, err
		}
		l.z = z
	}
	return l.z.Read(b)
}

// Close ends reading.
func (l *lazyGzip) Close() error {
	if l.z == nil {
		return nil
	}
	return l.z.Close()
}
