/** @file Traces by OpenTelemetry, where the program has set it up: what a request waited for, and what it was computed with. */

import type { Context, Span, TextMapGetter, Tracer } from '@opentelemetry/api';

/** What is told of a part: numbers and names, and nothing of what clients send. */
export type PartAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** A part of what is done for a request. */
export interface Part {
  /** A part of this one, which begins now. */
  begin(name: string, attributes?: PartAttributes): Part;
  /** What is known of it by now. */
  tell(attributes: PartAttributes): void;
  /** It ends, whichever way; only the first time counts. */
  end(error?: unknown): void;
}

/** Headers, by their names in lower case. */
export type TraceHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Writes traces. */
export interface Tracing {
  /** A request, as a part of what its client does where its headers say so (W3C `traceparent`). */
  request(name: string, headers: TraceHeaders, attributes: PartAttributes): Part;
}

/** Where OpenTelemetry's API keeps what was set up, whichever copy of it did so. */
const SET_UP = Symbol.for('opentelemetry.js.api.1');

/**
 * The traces of a program that has set up OpenTelemetry before; undefined where it has not. Then nothing of it is loaded.
 *
 * @param version of this package, as traces name it
 */
export async function openTracing(version: string): Promise<Tracing | undefined> {
  if (!(SET_UP in globalThis)) return undefined;
  const api = await import('@opentelemetry/api').catch((error: NodeJS.ErrnoException) => {
    // Somebody else's copy of the API, out of this package's reach.
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
        // By its code alone: messages may quote what was sent.
        if (error !== undefined)
          span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', codeOf(error));
        span.end();
      },
    };
  };
  return {
    request: (name, headers, attributes) => {
      const active = context.active();
      // Where the program traces its HTTP servers itself, that trace goes on.
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

/** Has what is done under this signal, which is aborted when the client has gone, be a part of its request. */
export function traceUnder(signal: AbortSignal, part: Part | undefined): void {
  if (part) traced.set(signal, part);
}

/** The request that this signal is of, where it is traced. */
export function tracedBy(signal: AbortSignal | undefined): Part | undefined {
  return signal && traced.get(signal);
}
