// Package span marks the steps on the way of an ARC, from the request to the
// push, so that a trace shows where the time went. Spans hang below whatever
// span the context holds; without one, or with one that nobody records, they
// cost no allocation and no attribute is built. It must never put content of
// ARCs, access tokens or URLs that may hold them into a span.
//
// A Span belongs to one goroutine. The zero Span is one that nobody records.
package span

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Scope names the maker of the spans.
const Scope = "github.com/fairagro/middleware-api"

// Span is a step that is going on.
type Span struct{ recorded trace.Span }

// Start begins a step of what the context is doing.
func Start(ctx context.Context, name string) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, s := parent.TracerProvider().Tracer(Scope).Start(ctx, name)
	return ctx, Span{s}
}

// Resume begins a step in the trace that was going on when traceparent was
// written down (https://www.w3.org/TR/trace-context/), or in a new one. A nil
// tracer records nothing.
func Resume(ctx context.Context, tracer trace.Tracer, traceparent, name string) (context.Context, Span) {
	if tracer == nil {
		return ctx, Span{}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
	ctx, s := tracer.Start(ctx, name)
	if !s.IsRecording() {
		return ctx, Span{}
	}
	return ctx, Span{s}
}

// Traceparent gives what Resume needs to go on in the trace of ctx; empty
// without one.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// On says whether anybody will see the step. Attributes that cost something to
// work out are worked out only then.
func (s Span) On() bool { return s.recorded != nil }

// Text notes an attribute.
func (s Span) Text(key, value string) {
	if s.recorded != nil {
		s.recorded.SetAttributes(attribute.String(key, value))
	}
}

// Count notes an attribute.
func (s Span) Count(key string, value int) {
	if s.recorded != nil {
		s.recorded.SetAttributes(attribute.Int(key, value))
	}
}

// Flag notes an attribute.
func (s Span) Flag(key string, value bool) {
	if s.recorded != nil {
		s.recorded.SetAttributes(attribute.Bool(key, value))
	}
}

// Event notes something that happened during the step. The text must hold no
// secrets.
func (s Span) Event(name, key, text string) {
	if s.recorded != nil {
		s.recorded.AddEvent(name, trace.WithAttributes(attribute.String(key, text)))
	}
}

// Fail says that the step failed, with the code of the fault.
func (s Span) Fail(code string) {
	if s.recorded != nil {
		s.recorded.SetStatus(codes.Error, code)
	}
}

// End says that the step is over.
func (s Span) End() {
	if s.recorded != nil {
		s.recorded.End()
	}
}
