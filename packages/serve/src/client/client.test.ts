/** @file The client against a server: tensors as bytes, files, adapters, what is tried again, and all of it in a browser. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { build, type Rollup } from 'vite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { INPUTS, rowsOf, type SmallServer, smallServer } from '../../fixtures/smallServer.ts';
import { Client, ServerError } from '../client.ts';

const key = 'ops-key';
const ops = { tenant: 'ops', sha256: '2c69bc9111c27110a9b9a7974ba3f8ac0c053c16b23a0738115ee829fbc4d57b', admin: true };

const tensorOf = (rows: number[][]): { data: Float32Array; shape: number[] } => {
  return { data: new Float32Array(rows.flat()), shape: [rows.length, INPUTS] };
};

/** A server that keeps adapters, and a client that may change them. */
async function start(): Promise<SmallServer & { readonly client: Client }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-client-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const server = await smallServer({ keys: [ops], store: { folder: path.join(folder, 'store') } });
  return { ...server, client: new Client(`${server.server.url}/`, { key }) };
}

const filesOf = ({ runs }: SmallServer, adapter: string): { config: Blob; weights: Blob } => {
  const read = (name: string): Blob => new Blob([readFileSync(path.join(runs, adapter, name))]);
  return { config: read('adapter_config.json'), weights: read('adapter_model.safetensors') };
};

/** A server of HTTP that answers as the test says. */
async function answering(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a model', () => {
  it('is asked with tensors as bytes, by adapter and by version', async () => {
    const server = await start();
    const { client, expected } = server;
    const rows = rowsOf(3, 1);
    const found = await client.infer({ x: tensorOf(rows) }, { adapter: 'a1', outputs: ['logits'], priority: 9, timeout: 60_000 }); // prettier-ignore
    const { logits } = found.outputs;
    expect([logits!.datatype, logits!.shape]).toEqual(['FP32', [3, 3]]);
    const wanted = await expected(rows, 'a1');
    wanted.forEach((value, i) => expect(logits!.data[i]).toBeCloseTo(value, 4));
    const { adapters, base } = await client.adapters.list();
    const { version, digest } = adapters.find(({ name }) => name === 'a1')!;
    expect(found.adapter).toEqual({ name: 'a1', version, digest });
    expect(base.name).toBe('net');
    const alone = await client.infer({ x: tensorOf(rows) });
    expect(alone.adapter).toBeNull();
    (await expected(rows, null)).forEach((value, i) => expect(alone.outputs['logits']!.data[i]).toBeCloseTo(value, 4));
    expect((await client.infer({ x: tensorOf(rows) }, { adapter: 'a1', version })).adapter).toEqual(found.adapter);
    expect(await client.metadata({ adapter: 'a1' })).toMatchObject({ name: 'net:a1', inputs: [{ name: 'x', datatype: 'FP32' }] }); // prettier-ignore
    expect((await client.status()).server.name).toBe('net');
    expect(await client.ready()).toBe(true);
  });

  it('tells what is wrong in the words of the server', async () => {
    const { client, server } = await start();
    const failure = async (work: Promise<unknown>): Promise<ServerError> => {
      const error = await work.then(
        () => undefined,
        (each: unknown) => each,
      );
      expect(error).toBeInstanceOf(ServerError);
      return error as ServerError;
    };
    expect(await failure(client.infer({ x: tensorOf(rowsOf(1, 1)) }, { adapter: 'none' }))).toMatchObject({
      status: 404,
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('none'),
    });
    expect(await failure(new Client(server.url).adapters.list())).toMatchObject({ status: 401, code: 'UNAUTHORIZED' });
    expect(await failure(client.predict(new File(['x'], 'cat.jpg')))).toMatchObject({ status: 400 });
    await server.close();
    expect(await client.ready()).toBe(false);
  });
});

describe('adapters', () => {
  it('are brought, pinned, split, given other names and deleted', async () => {
    const server = await start();
    const { client, expected } = server;
    const rows = rowsOf(2, 4);
    const answers = async (adapter: string, like: string): Promise<void> => {
      const { outputs } = await client.infer({ x: tensorOf(rows) }, { adapter });
      (await expected(rows, like)).forEach((value, i) => expect(outputs['logits']!.data[i]).toBeCloseTo(value, 4));
    };
    const first = await client.adapters.upload('new', filesOf(server, 'a0'), { version: '1' });
    expect(first).toMatchObject({ name: 'new', version: '1', isCurrent: true, isPinned: false });
    await client.adapters.upload('new', filesOf(server, 'a2'), { version: '2', activate: false });
    await answers('new', 'a0');
    await client.adapters.activate('new', '2');
    await answers('new', 'a2');
    await client.adapters.alias('other', 'new', { version: '1' });
    await answers('other', 'a0');
    await client.adapters.split('other', null);
    await expect(client.infer({ x: tensorOf(rows) }, { adapter: 'other' })).rejects.toMatchObject({ status: 404 });
    await client.adapters.pin('new', true, { version: '2' });
    await expect(client.adapters.delete('new')).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    await client.adapters.pin('new', false, { version: '2' });
    await client.adapters.load('new', { version: '1' });
    await client.adapters.delete('new', { version: '1' });
    expect((await client.adapters.list()).adapters.filter(({ name }) => name === 'new')).toMatchObject([
      { version: '2' },
    ]);
    await client.adapters.delete('new');
    await expect(client.adapters.upload('new', filesOf(server, 'a0'), { digest: '00' })).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
    });
  });
});

describe('a busy server', () => {
  it('is asked again when it says, and not for longer than that is wanted', async () => {
    let asked = 0;
    const url = await answering((_, reply) => {
      asked++;
      if (asked % 3 === 0) reply.setHeader('content-type', 'application/json').end('{"ready":true}');
      else reply.writeHead(429, { 'retry-after': '0' }).end('{"error":"Too much.","code":"OVERLOADED"}');
    });
    expect(await new Client(url, { retries: 2 }).ready()).toBe(true);
    expect(asked).toBe(3);
    await expect(new Client(url, { retries: 1, model: 'm' }).metadata()).rejects.toMatchObject({
      status: 429,
      retryAfter: 0,
    });
    expect(asked).toBe(5);
  });

  it('is not waited for longer than the client wants, nor once it has gone', async () => {
    let asked = 0;
    const url = await answering((_, reply) => {
      asked++;
      reply.writeHead(429, { 'retry-after': '20' }).end('not JSON');
    });
    await expect(new Client(url, { maxRetryAfter: 10, model: 'm' }).metadata()).rejects.toMatchObject({
      code: 'HTTP',
      retryAfter: 20,
      message: expect.stringContaining('not JSON'),
    });
    const gone = new AbortController();
    const waiting = new Client(url, { model: 'm' }).metadata({ signal: gone.signal });
    setTimeout(() => gone.abort(new Error('gone')), 50);
    await expect(waiting).rejects.toThrow('gone');
    expect(asked).toBe(2);
  });
});

const executablePath = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (file) => file !== undefined && existsSync(file),
);

describe('a browser', () => {
  /** The client as a page would have it: a module that imports nothing. */
  async function bundled(): Promise<string> {
    const lib = { entry: path.join(import.meta.dirname, '../client.ts'), formats: ['es' as const] };
    const made = (await build({ configFile: false, logLevel: 'error', build: { lib, write: false, minify: false } })) as Rollup.RollupOutput[]; // prettier-ignore
    const [{ code }] = made[0]!.output;
    return code;
  }

  it('needs nothing but the client', async () => {
    const code = await bundled();
    expect(code).not.toMatch(/\bimport\b|\brequire\(|\bBuffer\b|\bprocess\b/);
  });

  it.skipIf(executablePath === undefined)('infers', { timeout: 60_000 }, async () => {
    const { server, expected } = await smallServer();
    const browser = await chromium.launch({
      executablePath: executablePath!,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'], // prettier-ignore
    });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(`${server.url}/v2/health/live`);
    const rows = rowsOf(2, 3);
    const module = `data:text/javascript,${encodeURIComponent(await bundled())}`;
    const found = (await page.evaluate(`(async () => {
      const { Client } = await import(${JSON.stringify(module)});
      const data = new Float32Array(${JSON.stringify(rows.flat())});
      const { outputs } = await new Client(location.origin).infer({ x: { data, shape: [2, ${INPUTS}] } }, { adapter: 'a1' });
      return [...outputs.logits.data];
    })()`)) as number[];
    (await expected(rows, 'a1')).forEach((value, i) => expect(found[i]).toBeCloseTo(value, 4));
  });
});
