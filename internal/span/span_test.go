package span_test

import (
	"context"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fairagro/middleware-api/internal/span"
)

const before = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Steps that nobody records cost nothing: no allocation and no other context,
// neither for a step of a request nor for one that goes on in a stored trace.
func TestUnrecordedStepsCostNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := testing.AllocsPerRun(1000, func() {
		root, outer := span.Resume(ctx, nil, before, span.Sync)
		in, step := span.Start(root, span.StorePut)
		step.Text("rdi", "edal")
		step.Count("attempt", 1)
		step.Flag("success", true)
		step.Event("git.expected_failure", "code", "X")
		step.Fail("X")
		step.End()
		outer.End()
		if in != ctx || step.On() || outer.On() || span.Traceparent(in) != "" {
			t.Error("something is recorded")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A step goes on in the trace that was written down, tells that trace to
// others, and its own steps hang below it.
func TestResumeGoesOnInTheStoredTrace(t *testing.T) {
	t.Parallel()
	seen := tracetest.NewSpanRecorder()
	tracer := sdk.NewTracerProvider(sdk.WithSpanProcessor(seen)).Tracer(span.Scope)
	ctx, outer := span.Resume(t.Context(), tracer, before, span.Sync)
	_, step := span.Start(ctx, span.StorePut)
	step.Text("rdi", "edal")
	step.Fail("REMOTE_DOWN")
	step.End()
	outer.End()
	ended := seen.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans", len(ended))
	}
	in, out := ended[0], ended[1]
	if got := out.SpanContext().TraceID().String(); got != before[3:35] || out.Parent().SpanID().String() != before[36:52] {
		t.Errorf("trace %s below %s", got, out.Parent().SpanID())
	}
	if in.Parent().SpanID() != out.SpanContext().SpanID() || in.Name() != span.StorePut || len(in.Attributes()) != 1 || in.Status().Description != "REMOTE_DOWN" {
		t.Errorf("%s with %v and %v is below %s", in.Name(), in.Attributes(), in.Status(), in.Parent().SpanID())
	}
	if got := span.Traceparent(ctx); len(got) != len(before) || got[:36] != before[:36] {
		t.Errorf("told to others as %q", got)
	}
}
