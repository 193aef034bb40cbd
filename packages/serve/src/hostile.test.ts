/** @file Tests with clients that mean no good, on sockets of their own. */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { rowsOf, smallServer } from '../fixtures/smallServer.ts';
import { isNightly } from '../../../test/support/nightly.ts';

/** A connection that says this, and what it is told until it is closed. */
function saying(url: string, words: string): { readonly socket: Socket; readonly told: Promise<string> } {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  socket.write(words);
  return { socket, told: text(socket).catch((error: unknown) => String(error)) };
}

const rows = rowsOf(1, 1);
const infer = (length: number): string =>
  `POST /v2/models/net/infer HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;

it('slow requests are closed, and others are answered meanwhile', async () => {
  const { server, infer: ask } = await smallServer({ requestTimeout: 400 });
  const slow = [
    saying(server.url, ''),
    saying(server.url, 'POST /v2/models/net/in'),
    saying(server.url, `${infer(1000)}{"inputs`),
    saying(server.url, 'POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab'),
  ];
  const drip = setInterval(() => slow[2]!.socket.write(' '), 50);
  onTestFinished(() => clearInterval(drip));
  expect(await ask('net', rows)).toMatchObject({ status: 200 });
  const told = await Promise.all(slow.map((each) => each.told));
  for (const each of told.slice(1)) expect(each).toMatch(/^HTTP\/1\.1 408 /);
  expect(await ask('net', rows)).toMatchObject({ status: 200 });
});

/** A process of its own, since each process has few connections. It says when it has all, and then says nothing on them. */
const idle = `
const { connect } = require('node:net');
const [, port, count] = process.argv;
let open = 0;
const next = () => {
  if (open === Number(count)) return console.log('open');
  connect(Number(port), '127.0.0.1').on('connect', () => (open++, next())).on('error', () => {}).on('close', () => process.exit(1));
};
next();`;

it('thousands of idle connections take nothing from others', async () => {
  const { server, infer: ask } = await smallServer();
  const count = isNightly ? 10_000 : 500;
  expect(await ask('net:a1', rows)).toMatchObject({ status: 200 });
  const before = process.memoryUsage.rss();
  const child = spawn(process.execPath, ['-e', idle, new URL(server.url).port, String(count)]);
  onTestFinished(() => void child.kill());
  expect(String((await once(child.stdout, 'data'))[0])).toBe('open\n');
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ask('net:a1', rowsOf(1, i))));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(child.exitCode).toBeNull();
  // Per connection, the memory of sockets and Node's state for them.
  expect(process.memoryUsage.rss() - before).toBeLessThan(50 * 2 ** 20 + count * 20_000);
}, 60_000);

it.each([
  ['headers of a megabyte', `GET /v2 HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(1 << 20)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
  ['no HTTP', '\x16\x03\x01\x02\x00\x01', /^HTTP\/1\.1 400 /],
  [
    'two lengths',
    'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde',
    /^HTTP\/1\.1 400 /,
  ],
  [
    'length and chunks',
    'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /^HTTP\/1\.1 400 /,
  ],
  ['a body that is announced to be huge', `${infer(2 ** 40)}abc`, /^HTTP\/1\.1 413 /],
])('%s is refused', async (_, words, answer) => {
  const { server, infer: ask } = await smallServer({ requestTimeout: 1000 });
  const { told, socket } = saying(server.url, words);
  socket.end();
  expect(await told).toMatch(answer);
  expect(await ask('net', rows)).toMatchObject({ status: 200 });
});

it('bodies are bounded together, by what has come of them', async () => {
  const { server, infer: ask } = await smallServer({ maxBodiesBytes: 100_000 });
  const first = saying(server.url, `${infer(90_000)}${' '.repeat(80_000)}`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const second = saying(server.url, `${infer(60_000)}${' '.repeat(50_000)}`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  second.socket.end();
  expect(await second.told).toMatch(/^HTTP\/1\.1 429 /);
  expect(await ask('net', rows)).toMatchObject({ status: 200 });
  first.socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const third = saying(server.url, `${infer(60_000)}${' '.repeat(60_000)}`);
  third.socket.end();
  expect(await third.told).toMatch(/^HTTP\/1\.1 400 .*no JSON/s);
});

it('a request whose client has gone is no failure', async () => {
  const { server, ask } = await smallServer();
  const { socket } = saying(server.url, `${infer(1000)}{"inp`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect((await ask('/v2/health/ready')).status).toBe(200);
});

it.each([
  ['nested JSON', `{"inputs":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
  [
    'a prototype',
    '{"__proto__":{"inputs":[]},"inputs":[{"name":"__proto__","datatype":"FP32","shape":[1],"data":[1]}]}',
  ],
  ['a shape beyond all memory', '{"inputs":[{"name":"x","datatype":"FP32","shape":[9007199254740991,8],"data":[1]}]}'],
  [
    'nested values',
    `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,8],"data":${'['.repeat(5000)}1${']'.repeat(5000)}}]}`,
  ],
  ['another type', '{"inputs":[{"name":"x","datatype":"BYTES","shape":[1,8],"data":["a"]}]}'],
])('%s is a mistake of the client', async (_, body) => {
  const { ask } = await smallServer();
  const answer = await ask('/v2/models/net/infer', { method: 'POST', body });
  expect([answer.status, await answer.json()]).toMatchObject([400, { code: 'INPUT_INVALID' }]);
});

/** A safetensors file of this header alone. */
function weightsOf(header: string): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  return Buffer.concat([length, Buffer.from(header)]);
}

const empty = (count: number): string =>
  Array.from({ length: count }, (_, i) => `"t${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`).join();

it.each([
  // None of these is JSON to its end: what is refused for its size was not parsed before.
  [
    '200,000 empty tensors',
    {},
    weightsOf(`{${empty(200_000)}`),
    'FILE_INVALID',
    'describes more than the 1096 tensors',
  ],
  ['50,000 empty tensors', {}, weightsOf(`{${empty(50_000)}`), 'FILE_INVALID', 'objects have more than 5384 members'],
  ['1,200 empty tensors', {}, weightsOf(`{${empty(1200)}}`), 'FILE_INVALID', 'describes more than the 1096 tensors'],
  ['a header of one endless text', {}, weightsOf(`{"a":"${'x'.repeat(50e6)}`), 'FILE_INVALID', 'describes more than'],
  ['a config of 30,000 patterns', { rank_pattern: Object.fromEntries(Array.from({ length: 30_000 }, (_, i) => [`a${i}`, 1])) }, undefined, 'ADAPTER_INVALID', 'objects have more than 10000 members'], // prettier-ignore
])('an upload with %s is refused by its size', async (_, config, weights, code, message) => {
  const { ask, runs, folder } = await smallServer({
    store: { folder: path.join(mkdtempSync(path.join(tmpdir(), 'onnx-lora-hostile-')), 'store') },
    keys: [{ tenant: 'ops', admin: true, sha256: createHash('sha256').update('key').digest('hex') }],
  });
  const [own, tensors] = ['adapter_config.json', 'adapter_model.safetensors'].map((name) => readFileSync(path.join(runs, 'a0', name))) as [Buffer, Buffer]; // prettier-ignore
  const form = new FormData();
  const json = JSON.stringify({ ...(JSON.parse(own.toString()) as object), ...config });
  form.append('file', new File([json], 'adapter_config.json'));
  form.append('file', new File([Uint8Array.from(weights ?? tensors)], 'adapter_model.safetensors'));
  const answer = await ask('/adapters/x', { method: 'PUT', headers: { authorization: 'Bearer key' }, body: form });
  const told = (await answer.json()) as { error: string };
  expect([answer.status, told]).toMatchObject([400, { code, error: expect.stringContaining(message) }]);
  expect(told.error).not.toContain(folder);
  expect(told.error).not.toContain(tmpdir());
});

it.each(['..%2F..%2Fetc', '%2e%2e', 'a%00b', '__proto__', 'constructor', '%F0%9F%98%80'])(
  'the adapter %s is not there',
  async (own) => {
    const { ask } = await smallServer();
    for (const name of [own, own.repeat(40)])
      for (const url of [`/v2/models/net:${name}`, `/v2/models/net:${name}/ready`, `/v2/models/net/versions/${name}`])
        expect((await ask(url)).status).toBe(404);
    expect((await ask(`/predict?adapter=${own}`, { method: 'POST', body: 'x' })).status).toBe(404);
  },
);
