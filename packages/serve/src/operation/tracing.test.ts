/** @file Traces as a program gets them that has set up OpenTelemetry, and nothing of it for one that has not. */

import { propagation, SpanStatusCode, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { grpcClient, inferring } from '../../fixtures/grpcClient.ts';
import { askedUntilRefused, rowsOf, smallServer } from '../../fixtures/smallServer.ts';
import { openTracing } from './tracing.ts';

let exporter: InMemorySpanExporter;
beforeEach(() => {
  exporter = new InMemorySpanExporter();
});
afterEach(() => {
  trace.disable();
  propagation.disable();
});

function setUp(): void {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
}

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CLIENT = 'b7ad6b7169203331';
const traceparent = `00-${TRACE}-${CLIENT}-01`;

/** Spans when a request has ended for the server too. */
async function spansOf(requests: number): Promise<ReadableSpan[]> {
  const isRequest = ({ parentSpanContext: parent }: ReadableSpan): boolean => !parent || parent.isRemote === true;
  await vi.waitFor(() => expect(exporter.getFinishedSpans().filter(isRequest)).toHaveLength(requests));
  return exporter.getFinishedSpans();
}

const milliseconds = ([seconds, nanoseconds]: readonly [number, number]): number => seconds * 1e3 + nanoseconds / 1e6;

it('go on from that of the client: it waited, and was computed in a batch with others', async () => {
  setUp();
  const { infer } = await smallServer();
  await Promise.all([
    infer('net:a0', rowsOf(2, 1), {}, { traceparent }),
    ...Array.from({ length: 5 }, (_, i) => infer('net:a1', rowsOf(1, i))),
  ]);
  const spans = await spansOf(6);
  const own = spans.filter((each) => each.spanContext().traceId === TRACE);
  const named = (name: string): ReadableSpan => {
    const found = own.filter((each) => each.name === name);
    expect(found).toHaveLength(1);
    return found[0]!;
  };
  const request = named('POST /v2/models/:model/infer');
  expect(request.parentSpanContext?.spanId).toBe(CLIENT);
  expect(request.attributes).toEqual({
    'http.request.method': 'POST',
    'http.route': '/v2/models/:model/infer',
    'http.response.status_code': 200,
  });
  const [wait, batch, compute] = [named('wait'), named('batch'), named('compute')];
  const within = (part: ReadableSpan): string | undefined => part.parentSpanContext?.spanId;
  expect([within(wait), within(batch)]).toEqual(Array(2).fill(request.spanContext().spanId));
  expect(within(compute)).toBe(batch.spanContext().spanId);
  expect(own).toHaveLength(4);
  expect(wait.attributes).toEqual({ 'onnx_lora.adapter': expect.stringMatching(/^a0@[0-9a-f]{64}$/), 'onnx_lora.rows': 2 }); // prettier-ignore
  expect(milliseconds(batch.startTime)).toBeGreaterThanOrEqual(milliseconds(wait.endTime) - 1);
  expect(milliseconds(compute.endTime)).toBeLessThanOrEqual(milliseconds(batch.endTime) + 1);
  // The rows of all batches are those of all requests.
  const jobs = spans.filter(({ name }) => name === 'batch').map(({ attributes }) => attributes);
  expect(jobs).toHaveLength(6);
  const rows = jobs.reduce((sum, each) => sum + Number(each['onnx_lora.batch.rows']) / Number(each['onnx_lora.batch.requests']), 0); // prettier-ignore
  expect(rows).toBeCloseTo(7, 6);
});

it('of gRPC, and of what is refused, say so by a code, and hold nothing of what was sent', async () => {
  setUp();
  const server = await smallServer({ grpc: { port: 0 }, queue: { maxWaitingRows: 5 } });
  const secret = 'secret-of-a-client';
  await server.infer(secret, rowsOf(1, 1), {}, { traceparent });
  const asked = await askedUntilRefused((i) => server.infer('net', rowsOf(2, i), { id: secret }));
  const refused = asked.filter(({ status }) => status === 429).length;
  expect(refused).toBeGreaterThan(0);
  const spans = await spansOf(1 + asked.length);
  const waits = spans.filter(({ name, status }) => name === 'wait' && status.code === SpanStatusCode.ERROR);
  expect(waits.map(({ attributes }) => attributes['error.type'])).toEqual(Array(refused).fill('OVERLOADED'));
  // A client's own mistake, or too many of them, is no failure of the server.
  expect(spans.filter(({ name, status }) => name.startsWith('POST') && status.code === SpanStatusCode.ERROR)).toEqual(
    [],
  );
  expect(JSON.stringify(spans.map(({ name, attributes, events, status }) => [name, attributes, events, status]))).not.toContain(secret); // prettier-ignore
  exporter.reset();
  const call = grpcClient(server.server.grpcUrl!);
  expect((await call('ModelInfer', inferring('nobody', rowsOf(1, 1)), { headers: { traceparent } })).code).not.toBe(0);
  const [span] = await spansOf(1);
  expect(span!.spanContext().traceId).toBe(TRACE);
  expect(span!.name).toBe('/inference.GRPCInferenceService/ModelInfer');
  expect(span!.status.code).toBe(SpanStatusCode.ERROR);
});

it('are not there where nobody has set up any', async () => {
  const api = Symbol.for('opentelemetry.js.api.1');
  const own = globalThis as unknown as Record<symbol, unknown>;
  const before = own[api];
  delete own[api];
  try {
    expect(await openTracing('1.0.0')).toBeUndefined();
  } finally {
    if (before !== undefined) own[api] = before;
  }
});
