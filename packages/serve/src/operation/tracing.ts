/** @file OpenTelemetry traces of requests, if the program has set it up. */

import type { Context, Span, TextMapGetter, Tracer } from '@opentelemetry/api';

/** Attributes of a span: numbers and names, no client content. */
export type PartAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Part {
  begin(name: string, attributes?: PartAttributes): Part;
  tell(attributes: PartAttributes): void;
  /** Ends the span once; later calls have no effect. */
  end(error?: unknown): void;
}

/** Headers by lower-case name. */
export type TraceHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface Tracing {
  /** Starts a request's span, as a child of the client's (W3C `traceparent`). */
  request(name: string, headers: TraceHeaders, attributes: PartAttributes): Part;
}

/** Where any copy of OpenTelemetry's API registers itself. */
const SET_UP = Symbol.for('opentelemetry.js.api.1');

/** Opens tracing; undefined, and nothing loaded, without a set-up OpenTelemetry. */
export async function openTracing(version: string): Promise<Tracing | undefined> {
  if (!(SET_UP in globalThis)) return undefined;
  const api = await import('@opentelemetry/api').catch((error: NodeJS.ErrnoException) => {
    // The API was registered by a copy that cannot be resolved here.
    if (error.code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  });
  if (!api) return undefined;
  const { context, propagation, SpanKind, SpanStatusCode, trace } = api;
  const tracer: Tracer = trace.getTracer('@onnx-lora/serve', version);
  const partOf = (span: Span, within: Context): Part => {
    const inside = trace.setSpan(within, span);
    let hasEnded = false;
    return {
      begin: (name, attributes = {}) => partOf(tracer.startSpan(name, { attributes }, inside), inside),
      tell: (attributes) => void span.setAttributes(attributes),
      end: (error) => {
        if (hasEnded) return;
        hasEnded = true;
        // Only the code: messages may quote client content.
        if (error !== undefined)
          span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', codeOf(error));
        span.end();
      },
    };
  };
  return {
    request: (name, headers, attributes) => {
      const active = context.active();
      // Continues the program's own HTTP tracing.
      const within = trace.getSpan(active) ? active : propagation.extract(active, headers, fromHeaders);
      return partOf(tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, within), within);
    },
  };
}

const fromHeaders: TextMapGetter<TraceHeaders> = {
  keys: (headers) => Object.keys(headers),
  get: (headers, name) => {
    const value = headers[name.toLowerCase()];
    return typeof value === 'string' || value === undefined ? value : [...value];
  },
};

function codeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  const known = [code, name].find((each) => typeof each === 'string' || typeof each === 'number');
  return known === undefined ? 'INTERNAL' : String(known);
}

const traced = new WeakMap<AbortSignal, Part>();

/** Traces work under this request's signal as part of its span. */
export function traceUnder(signal: AbortSignal, part: Part | undefined): void {
  if (part) traced.set(signal, part);
}

/** The span of a signal's request, if traced. */
export function tracedBy(signal: AbortSignal | undefined): Part | undefined {
  return signal && traced.get(signal);
}
