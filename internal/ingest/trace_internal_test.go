package ingest

import (
	"testing"

	"github.com/fairagro/middleware-api/internal/span"
	"github.com/fairagro/middleware-api/internal/store"
)

// An upload that nobody traces makes no attribute, no trace context and no
// allocation for tracing.
func TestUploadsCostNothingWithoutTracing(t *testing.T) {
	name := "client"
	by, sub, ctx := Caller{ClientID: &name}, &store.Submission{RDI: "edal"}, t.Context()
	n := testing.AllocsPerRun(1000, func() {
		in, step := span.Start(ctx, span.Submit)
		sub.Traceparent = span.Traceparent(in)
		ended(step, by, sub, nil)
		if in != ctx || sub.Traceparent != "" {
			t.Error("something is recorded")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
