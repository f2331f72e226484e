package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/fairagro/middleware-api/internal/span"
)

// exportTimeout keeps a collector that hangs from holding memory.
const exportTimeout = 10 * time.Second

// TraceOptions says where spans go.
type TraceOptions struct {
	Endpoint     string // base URL of the collector; "" switches the export off
	ConsoleSpans bool   // log every span when it ends
	Service      string // service.name: middleware-api or middleware-worker
	Version      string
	SampleRatio  float64 // of traces that begin here
	Logger       *slog.Logger
}

// Tracing is what a process traces with.
type Tracing struct {
	Provider trace.TracerProvider
	// Tracer makes the spans that hang below no other; nil if nobody looks at them.
	Tracer trace.Tracer
	// Enabled is false when nobody looks at spans; they then cost nothing.
	Enabled  bool
	shutdown func(context.Context) error
}

// Trace sets up tracing. Nothing is sent before spans end, so that an
// unreachable collector is no error here; what it refuses is logged.
func Trace(ctx context.Context, o TraceOptions) (*Tracing, error) {
	if o.Endpoint == "" && !o.ConsoleSpans {
		return &Tracing{Provider: noop.NewTracerProvider(), shutdown: func(context.Context) error { return nil }}, nil
	}
	options := []sdk.TracerProviderOption{
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", o.Service),
			attribute.String("service.version", o.Version),
			attribute.Int("process.pid", os.Getpid()),
		)),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.SampleRatio))),
	}
	if o.Endpoint != "" {
		exporter, err := otlptracehttp.New(ctx,
			otlptracehttp.WithEndpointURL(strings.TrimSuffix(o.Endpoint, "/")+"/v1/traces"),
			otlptracehttp.WithTimeout(exportTimeout))
		if err != nil {
			return nil, fmt.Errorf("set up tracing: %w", err)
		}
		options = append(options, sdk.WithBatcher(&reporting{SpanExporter: exporter, log: o.Logger}))
	}
	if o.ConsoleSpans {
		options = append(options, sdk.WithSpanProcessor(console{o.Logger}))
	}
	provider := sdk.NewTracerProvider(options...)
	return &Tracing{Provider: provider, Tracer: provider.Tracer(span.Scope), Enabled: true, shutdown: provider.Shutdown}, nil
}

// Shutdown sends what is left, at most until ctx ends.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if err := t.shutdown(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

// reporting logs refused exports, instead of leaving them to a global handler.
type reporting struct {
	sdk.SpanExporter
	log *slog.Logger
}

func (r *reporting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := r.SpanExporter.ExportSpans(ctx, spans); err != nil {
		r.log.WarnContext(ctx, "spans were not accepted", "spans", len(spans), "error", err)
	}
	return nil
}

// console logs spans when they end.
type console struct{ log *slog.Logger }

func (console) OnStart(context.Context, sdk.ReadWriteSpan) {}

func (c console) OnEnd(s sdk.ReadOnlySpan) {
	attrs := []any{
		"span", s.Name(), "duration", s.EndTime().Sub(s.StartTime()),
		"trace_id", s.SpanContext().TraceID().String(),
	}
	for _, a := range s.Attributes() {
		attrs = append(attrs, slog.String(string(a.Key), a.Value.String()))
	}
	c.log.Info("span ended", attrs...)
}

func (console) Shutdown(context.Context) error   { return nil }
func (console) ForceFlush(context.Context) error { return nil }
