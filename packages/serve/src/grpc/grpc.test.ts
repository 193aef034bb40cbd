/** @file Tests of gRPC as its clients see it; those that others wrote are in clients.test.ts. */

import { status } from '@grpc/grpc-js';
import { connect } from 'node:http2';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Call, grpcClient, inferring } from '../../fixtures/grpcClient.ts';
import { rowsOf, type SmallServer, smallServer } from '../../fixtures/smallServer.ts';
import type { ServeOptions } from '../services.ts';

const close = (found: readonly number[], expected: readonly number[]): void => {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
};

async function grpcServer(options: ServeOptions = {}): Promise<SmallServer & { readonly call: Call }> {
  const small = await smallServer({ grpc: { port: 0 }, ...options });
  return { ...small, call: grpcClient(small.server.grpcUrl!) };
}

const rows = rowsOf(2, 1);
const lora = (name: string): object => ({ parameters: { lora: { string_param: name } } });

describe('calls', () => {
  it('infer with bytes and with values, by parameter and by name', async () => {
    const { call, expected, ask } = await grpcServer();
    const values = { name: 'x', datatype: 'FP32', shape: [2, 8], contents: { fp32_contents: rows.flat() } };
    const asked = [
      inferring('net', rows, lora('a1')),
      inferring('net:a1', rows, { id: '7', outputs: [{ name: 'logits' }] }),
      { model_name: 'net', inputs: [values], ...lora('a1') },
    ];
    for (const message of asked) close((await call('ModelInfer', message)).values, await expected(rows, 'a1'));
    const { answer, values: base } = await call('ModelInfer', inferring('net', rows, { id: '7' }));
    close(base, await expected(rows, null));
    expect(answer).toMatchObject({ model_name: 'net', model_version: '1', id: '7' });
    const { parameters } = (await call('ModelInfer', asked[0]!)).answer as { parameters: Record<string, object> };
    expect(parameters['lora']).toEqual({ string_param: 'a1' });
    const text = await (await ask('/metrics')).text();
    const route = '/inference.GRPCInferenceService/ModelInfer';
    expect(text).toContain(`onnx_lora_requests_total{method="gRPC",route="${route}",status="0"} 5`);
  });

  it('describe the server and its models', async () => {
    const { call } = await grpcServer();
    const answers = async (name: Parameters<Call>[0], message = {}): Promise<unknown> =>
      (await call(name, message)).answer;
    expect(await answers('ServerLive')).toEqual({ live: true });
    expect(await answers('ServerReady')).toEqual({ ready: true });
    expect(await answers('ModelMetadata', { name: 'net:a0' })).toMatchObject({
      name: 'net:a0',
      inputs: [{ name: 'x', datatype: 'FP32', shape: ['-1', '8'] }],
    });
    expect(await answers('ModelReady', { name: 'net:a0' })).toEqual({ ready: true });
    expect(await answers('ModelReady', { name: 'net:none' })).toEqual({ ready: false });
    expect(await call('ModelMetadata', { name: 'net:none' })).toMatchObject({ code: status.NOT_FOUND });
  });

  it('tell how a model is configured, and what it has computed', async () => {
    const { call, ask } = await grpcServer({ batches: { maxRows: 16 } });
    const { answer: configured } = await call('ModelConfig', { name: 'net:a0' });
    expect(configured).toMatchObject({
      config: {
        name: 'net:a0',
        platform: 'onnxruntime_onnx',
        backend: 'onnxruntime',
        max_batch_size: 16,
        input: [{ name: 'x', data_type: 'TYPE_FP32', dims: ['8'] }],
        output: [{ name: 'logits', data_type: 'TYPE_FP32' }],
      },
    });
    for (const count of [1, 2, 3]) await call('ModelInfer', inferring('net:a1', rowsOf(count, 1)));
    await call('ModelInfer', inferring('net', rows));
    expect((await call('ModelInfer', { ...inferring('net:a1', rows), outputs: [{ name: 'none' }] })).code).toBe(status.INVALID_ARGUMENT); // prettier-ignore
    interface Counted {
      readonly count: string;
      readonly ns: string;
    }
    interface Told {
      readonly name: string;
      readonly inference_count: string;
      readonly execution_count: string;
      readonly inference_stats: Readonly<Record<'success' | 'fail' | 'queue' | 'compute_infer', Counted>>;
      readonly batch_stats: readonly { readonly batch_size: string; readonly compute_infer: Counted }[];
    }
    const told = async (name: string): Promise<readonly Told[]> =>
      (await call('ModelStatistics', { name })).answer['model_stats'] as readonly Told[];
    const [a1] = await told('net:a1');
    const { success, fail, queue, compute_infer: computed } = a1!.inference_stats;
    expect([a1!.inference_count, a1!.execution_count, success.count, fail.count]).toEqual(['6', '3', '3', '0']);
    expect(Number(success.ns)).toBe(Number(queue.ns) + Number(computed.ns));
    expect(Number(computed.ns)).toBeGreaterThan(0);
    expect(a1!.batch_stats.map(({ batch_size: size, compute_infer: { count } }) => [size, count])).toEqual([['1', '1'], ['2', '1'], ['3', '1']]); // prettier-ignore
    const all = await told('');
    expect(all.map(({ name, inference_count: count }) => [name, count])).toEqual([['net', '2'], ['net:a0', '0'], ['net:a1', '6'], ['net:a2', '0']]); // prettier-ignore
    expect(await call('ModelStatistics', { name: 'net:none' })).toMatchObject({ code: status.NOT_FOUND });
    expect(await (await ask('/v2/models/net/config')).json()).toMatchObject({ max_batch_size: 16 });
    expect(await (await ask('/v2/models/net%3Aa1/stats')).json()).toMatchObject({ model_stats: [{ inference_count: 6 }] }); // prettier-ignore
    expect(((await (await ask('/v2/models/stats')).json()) as { model_stats: unknown[] }).model_stats).toHaveLength(4);
  });

  it('that are refused say why, and after how long they may be sent again', async () => {
    const { call } = await grpcServer({ queue: { maxWaitingRows: 4 } });
    const found = await Promise.all(Array.from({ length: 40 }, (_, i) => call('ModelInfer', inferring('net', rowsOf(2, i))))); // prettier-ignore
    const refused = found.filter(({ code }) => code === status.RESOURCE_EXHAUSTED);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]!.metadata.get('code')).toEqual(['OVERLOADED']);
    expect(Number(refused[0]!.metadata.get('retry-after')[0])).toBeGreaterThan(0);
    expect(Number(refused[0]!.metadata.get('grpc-retry-pushback-ms')[0])).toBeGreaterThan(0);
    expect(found.filter(({ code }) => code === status.OK).length + refused.length).toBe(40);
  });

  it('are not computed for who has gone', async () => {
    const { call, ask } = await grpcServer({ queue: { maxWaitingRows: 1000 } });
    const cancelled = Array.from({ length: 30 }, (_, i) =>
      call('ModelInfer', inferring('net', rowsOf(1 + i, i)), { onCall: (each) => setTimeout(() => each.cancel(), 1) }),
    );
    const passed = call('ModelInfer', inferring('net', rows), { deadline: Date.now() - 1 });
    for (const { code } of await Promise.all(cancelled)) expect([status.OK, status.CANCELLED]).toContain(code);
    expect(await passed).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(await call('ModelInfer', inferring('net', rows))).toMatchObject({ code: status.OK });
    expect(await (await ask('/metrics')).text()).toMatch(/^onnx_lora_waiting_requests 0$/m);
  });

  it('that have come are answered before the server ends', async () => {
    const { call, server, expected } = await grpcServer();
    await call('ServerLive', {});
    const last = Array.from({ length: 8 }, () => call('ModelInfer', inferring('net:a2', rows)));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await server.close();
    for (const { values } of await Promise.all(last)) close(values, await expected(rows, 'a2'));
    expect(await call('ServerLive', {})).toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe('keys', () => {
  const shop = { tenant: 'shop', sha256: '44cfdcdd88354fa1412781f5a01a901c9112db33bfa8b165fbec9b618d9cf112' };
  const ops = {
    tenant: 'ops',
    sha256: '2c69bc9111c27110a9b9a7974ba3f8ac0c053c16b23a0738115ee829fbc4d57b',
    admin: true,
  };
  const asShop = { headers: { authorization: 'Bearer shop-key' } };

  it('are asked for, but not by probes', async () => {
    const { call } = await grpcServer({ keys: [{ ...shop, adapters: ['a1'] }, ops] });
    const message = inferring('net:a1', rows);
    expect(await call('ModelInfer', message)).toMatchObject({ code: status.UNAUTHENTICATED });
    expect(await call('ModelInfer', message, { headers: { 'x-api-key': 'other' } })).toMatchObject({ code: status.UNAUTHENTICATED }); // prettier-ignore
    expect(await call('ModelInfer', message, asShop)).toMatchObject({ code: 0 });
    expect(await call('ModelInfer', message, { headers: { 'x-api-key': 'shop-key' } })).toMatchObject({ code: 0 });
    expect(await call('ModelInfer', inferring('net:a0', rows), asShop)).toMatchObject({ code: status.NOT_FOUND });
    expect(await call('ServerReady', {})).toMatchObject({ answer: { ready: true } });
    const { answer } = await call('RepositoryIndex', {}, asShop);
    expect(answer).toMatchObject({ models: [{ name: 'net' }, { name: 'net:a1' }] });
    expect(await call('RepositoryModelLoad', { model_name: 'net:a1' }, asShop)).toMatchObject({ code: status.PERMISSION_DENIED }); // prettier-ignore
  });
});

describe('who means no good', () => {
  const MEGABYTE = 2 ** 20;
  const input = { name: 'x', datatype: 'FP32', shape: [1, 8] };
  const raw = Buffer.alloc(32);
  const asked = (inputs: readonly object[], bytes: readonly Buffer[]): object => ({ model_name: 'net', inputs, raw_input_contents: bytes }); // prettier-ignore

  it.each<[string, object | Buffer, number]>([
    ['no message', Buffer.from('GET / HTTP/1.1\r\n'), status.INVALID_ARGUMENT],
    ['a length beyond the end', Buffer.from([0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f]), status.INVALID_ARGUMENT],
    ['a varint without an end', Buffer.alloc(100, 0xff), status.INVALID_ARGUMENT],
    ['nested groups', Buffer.alloc(MEGABYTE, 0x0b), status.INVALID_ARGUMENT],
    ['millions of inputs', Buffer.alloc(MEGABYTE, Buffer.from([0x2a, 0])), status.RESOURCE_EXHAUSTED],
    ['millions of tensors', Buffer.alloc(MEGABYTE, Buffer.from([0x3a, 0])), status.RESOURCE_EXHAUSTED],
    ['millions of parameters', Buffer.alloc(MEGABYTE, Buffer.from([0x22, 0])), status.RESOURCE_EXHAUSTED],
    ['a long name', { model_name: 'n'.repeat(5 * MEGABYTE) }, status.RESOURCE_EXHAUSTED],
    ['a message that ends in half a letter', inferring('😀'.repeat(10_000), rows), status.NOT_FOUND],
    ['no inputs', asked([], []), status.INVALID_ARGUMENT],
    ['a shape that lies', asked([{ ...input, shape: [1000, 8] }], [raw]), status.INVALID_ARGUMENT],
    [
      'a shape beyond all memory',
      asked([{ ...input, shape: ['9007199254740991', 8] }], [raw]),
      status.INVALID_ARGUMENT,
    ],
    ['a shape below nothing', asked([{ ...input, shape: [-1, -8] }], [raw]), status.INVALID_ARGUMENT],
    ['a long shape', asked([{ ...input, shape: Array<number>(100_000).fill(1) }], [raw]), status.INVALID_ARGUMENT],
    ['half a number', asked([input], [raw.subarray(1)]), status.INVALID_ARGUMENT],
    ['too few tensors', asked([input, { ...input, name: 'y' }], [raw]), status.INVALID_ARGUMENT],
    ['an input twice', asked([input, input], [raw, raw]), status.INVALID_ARGUMENT],
    ['another type', asked([{ ...input, datatype: 'BYTES' }], [raw]), status.INVALID_ARGUMENT],
    ['no values', asked([input], []), status.INVALID_ARGUMENT],
    ['values of another type', asked([{ ...input, contents: { int_contents: [1] } }], []), status.INVALID_ARGUMENT],
    ['half precision as values', asked([{ ...input, datatype: 'FP16', contents: {} }], []), status.INVALID_ARGUMENT],
    ['a priority', inferring('net', rows, { parameters: { priority: { uint64_param: '18446744073709551615' } } }), status.INVALID_ARGUMENT], // prettier-ignore
    ['an adapter that is a path', inferring('net:../../etc', rows), status.NOT_FOUND],
    ['a prototype', inferring('net', rows, lora('__proto__')), status.NOT_FOUND],
  ])('%s is a mistake of the client', async (_, message, code) => {
    const { call } = await grpcServer();
    expect(await call('ModelInfer', message)).toMatchObject({ code });
    expect(await call('ModelInfer', inferring('net', rows))).toMatchObject({ code: status.OK });
  });

  it('sends no more than it may', async () => {
    const { call } = await grpcServer({ maxBodyBytes: 1000, maxBodiesBytes: 500 });
    const { code } = await call('ModelInfer', inferring('net', rowsOf(40, 1)));
    expect(code).toBe(status.RESOURCE_EXHAUSTED);
    const { code: all, metadata } = await call('ModelInfer', inferring('net', rowsOf(20, 1)));
    expect([all, metadata.get('code')]).toEqual([status.RESOURCE_EXHAUSTED, ['OVERLOADED']]);
    for (let i = 0; i < 8; i++) expect(await call('ModelInfer', inferring('net', rows))).toMatchObject({ code: 0 });
  });

  it('is not waited for', async () => {
    const { server } = await grpcServer({ requestTimeout: 200 });
    const session = connect(`http://${server.grpcUrl!}`);
    onTestFinished(() => session.destroy());
    const stream = session.request({
      ':method': 'POST',
      ':path': '/inference.GRPCInferenceService/ModelInfer',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.write(Buffer.from([0, 0, 0, 1, 0, 1]));
    const headers = await new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve));
    expect(headers).toMatchObject({ 'grpc-status': String(status.DEADLINE_EXCEEDED), code: 'CANCELLED' });
  });
});
