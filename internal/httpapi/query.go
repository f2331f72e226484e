package httpapi

import (
	"math"
	"slices"
	"strconv"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
)

// query checks the parameters of a URL and collects what is wrong with them.
type query struct {
	x    *exchange
	errs wire.Errors
}

func (x *exchange) newQuery() *query { return &query{x: x} }

func (q *query) err() error {
	if len(q.errs) == 0 {
		return nil
	}
	return q.errs
}

func (q *query) add(name, kind, msg, input, ctx string) {
	e := wire.Error{Type: kind, Loc: wire.Loc{"query", name}, Msg: msg, Input: jsondoc.AppendString(nil, input)}
	if ctx != "" {
		e.Ctx = []byte(ctx)
	}
	q.errs = append(q.errs, e)
}

// integer reads a whole number within bounds; without the parameter it gives fallback.
func (q *query) integer(name string, fallback, least, most int) int {
	text, ok := q.x.query(name)
	if !ok {
		return fallback
	}
	n, problem := wire.ParseInt(text)
	switch {
	case problem != nil:
		q.add(name, problem.Type, problem.Msg, text, "")
	case n < int64(least):
		q.add(name, "greater_than_equal", "Input should be greater than or equal to "+strconv.Itoa(least), text, `{"ge":`+strconv.Itoa(least)+`}`)
	case n > int64(most):
		q.add(name, "less_than_equal", "Input should be less than or equal to "+strconv.Itoa(most), text, `{"le":`+strconv.Itoa(most)+`}`)
	default:
		return int(n)
	}
	return fallback
}

// position reads the number of the last item seen, 0 without one.
func (q *query) position(name string) int64 {
	return int64(q.integer(name, 0, 0, math.MaxInt))
}

// enum reads one of several words, "" without the parameter.
func (q *query) enum(name string, words ...string) string {
	text, ok := q.x.query(name)
	if !ok || slices.Contains(words, text) {
		return text
	}
	expected := wire.Alternatives(words)
	q.add(name, "enum", "Input should be "+expected, text, `{"expected":`+string(jsondoc.AppendString(nil, expected))+`}`)
	return ""
}

// rdis gives the RDIs that a list is limited to: the one of the parameter, which must
// be known and authorised, or all of the caller's.
func (x *exchange) rdis() ([]string, error) {
	rdi, _ := x.query("rdi")
	if rdi == "" {
		return append([]string{}, x.client.RDIs()...), nil
	}
	return []string{rdi}, x.authorize(rdi)
}
