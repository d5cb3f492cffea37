package server

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"tandem"
)

// Traces sends spans of requests and of what they lead to. A nil Traces is ready to use and does nothing.
type Traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// NewTraces starts tracing when an exporter is configured, as OpenTelemetry has it: by OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; its other variables count too. Without, it gives nil.
func NewTraces(ctx context.Context, environment func(string) string, version string) (*Traces, error) {
	if environment("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" ||
		environment("OTEL_SDK_DISABLED") == "true" {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "server: start traces", "", "the exporter of traces cannot be set up: %w", err).
			WithHint("look at the variables that begin with OTEL_")
	}
	return newTraces(exporter, version)
}

// newTraces traces into an exporter.
func newTraces(exporter sdktrace.SpanExporter, version string) (*Traces, error) {
	what, err := resource.New(context.Background(), resource.WithAttributes(
		attribute.String("service.name", "tandem"), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "server: start traces", "", "what the traces are of cannot be said: %w", err).
			WithHint("look at OTEL_RESOURCE_ATTRIBUTES")
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(what))
	return &Traces{provider: provider, tracer: provider.Tracer("tandem")}, nil
}

// Span begins a span of work, with pairs of names and values. The function that it gives ends it.
func (t *Traces) Span(ctx context.Context, name string, pairs ...string) (context.Context, func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	attributes := make([]attribute.KeyValue, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		attributes = append(attributes, attribute.String(pairs[i], pairs[i+1]))
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(attributes...))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, string(tandem.CodeOf(err)))
		}
		span.End()
	}
}

// Close sends what is left.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// wrap gives each request a span, named by its route. A caller's trace is gone on with. What machines ask every few
// seconds has none.
func (t *Traces) wrap(next http.Handler) http.Handler {
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		rec := recordOf(r.Context())
		span := trace.SpanFromContext(r.Context())
		if c := span.SpanContext(); c.HasTraceID() {
			rec.trace = c.TraceID().String()
		}
		span.SetAttributes(attribute.String("http.route", rec.route), attribute.String("tandem.request_id", rec.id))
	})
	return otelhttp.NewHandler(inner, "request", otelhttp.WithTracerProvider(t.provider), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return method(r) + " " + recordOf(r.Context()).route }),
		otelhttp.WithFilter(func(r *http.Request) bool { return !probed(r.URL.Path) }))
}
