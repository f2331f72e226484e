package gitsync

import (
	"testing"

	"github.com/fairagro/middleware-api/internal/store"
)

// Without a tracer an attempt begins without any allocation and in the context
// it was given, although a trace context is stored with the ARC.
func TestAttemptsCostNothingWithoutTracing(t *testing.T) {
	s := New(nil, nil, Options{})
	c := &store.Claim{RDI: "edal", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	ctx := t.Context()
	n := testing.AllocsPerRun(1000, func() {
		in, step := s.startSync(ctx, c)
		step.Flag("success", true)
		step.End()
		if in != ctx || step.On() {
			t.Error("something is recorded")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
