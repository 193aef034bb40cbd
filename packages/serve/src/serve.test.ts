/** @file Tests of a server as its clients see it: batches, access, descriptions, and how it stops. */

import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from 'node:tls';
import type { Worker } from 'node:worker_threads';
import { OrtRuntime } from '@onnx-lora/sdk';
import { ENGINES } from '@onnx-lora/sdk/composition';
import { describe, expect, it, onTestFinished } from 'vitest';
import { askedUntilRefused, rowsOf, type SmallServer, smallServer } from '../fixtures/smallServer.ts';
import { type Clock, systemClock } from './scheduler/options.ts';
import { CLOCK } from './services.ts';

const close = (found: readonly number[], expected: readonly number[]): void => {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
};

describe('requests', () => {
  it('that come together are rows of a batch, each with its adapter', async () => {
    const { infer, expected, ask } = await smallServer({ count: 6 });
    const names = [null, 'a0', 'a1', 'a2', 'a3', 'a4', 'a5'];
    const asked = Array.from({ length: 60 }, (_, i) => ({ adapter: names[i % 7]!, rows: rowsOf(1 + (i % 3), i) }));
    const found = await Promise.all(
      asked.map(({ adapter, rows }) => infer(adapter === null ? 'net' : `net:${adapter}`, rows)),
    );
    for (const [i, { adapter, rows }] of asked.entries()) close(found[i]!.values, await expected(rows, adapter));
    const text = await (await ask('/metrics')).text();
    const batches = Number(/^onnx_lora_batch_rows_count (\d+)$/m.exec(text)![1]);
    expect(batches).toBeLessThan(40);
    expect(text).toMatch(
      /^onnx_lora_requests_total\{method="POST",route="\/v2\/models\/:model\/infer",status="200"\} 60$/m,
    );
    expect(text).toMatch(/^onnx_lora_adapters 6$/m);
  });

  it('compute at a time where the graph is loaded more than once', async () => {
    const workers: Worker[] = [];
    const count = (worker: Worker): void => void workers.push(worker);
    process.on('worker', count);
    onTestFinished(() => void process.off('worker', count));
    const { infer, expected, server } = await smallServer({ count: 6, replicas: 3, batches: { maxRows: 2 } });
    const before = workers.length;
    const asked = Array.from({ length: 60 }, (_, i) => ({ adapter: `a${i % 6}`, rows: rowsOf(1 + (i % 2), i) }));
    const found = await Promise.all(asked.map(({ adapter, rows }) => infer(`net:${adapter}`, rows)));
    for (const [i, { adapter, rows }] of asked.entries()) close(found[i]!.values, await expected(rows, adapter));
    // One is that of the model's own sessions.
    expect([before, workers.length]).toEqual([3, 3]);
    await server.close();
  });

  it('compute on the engines of the server', async () => {
    let made = 0;
    const beside = (): OrtRuntime => {
      made++;
      return new OrtRuntime();
    };
    const engines = { here: new OrtRuntime(), beside };
    const { infer } = await smallServer({ replicas: 3, replaced: [(provide) => provide(ENGINES, () => engines)] });
    expect((await infer('net', rowsOf(2, 1))).status).toBe(200);
    // One is that of the model's own sessions.
    expect(made).toBe(2);
  });

  it('get the adapter that has the name now', async () => {
    const { infer, expected, adapters, runs, ask } = await smallServer();
    const rows = rowsOf(2, 1);
    const before = await infer('net:a0', rows);
    if (before.status !== 200) throw new Error(JSON.stringify(before.body));
    close(before.values, await expected(rows, 'a0'));
    await adapters['a2']!.save(path.join(runs, 'a0'), { overwrite: true });
    const after = await infer('net:a0', rows);
    close(after.values, await expected(rows, 'a2'));
    const digest = (body: Readonly<Record<string, unknown>>): unknown =>
      (body['parameters'] as Record<string, unknown>)['lora_digest'];
    expect(digest(after.body)).not.toBe(digest(before.body));
    rmSync(path.join(runs, 'a0'), { recursive: true });
    expect(await infer('net:a0', rows)).toMatchObject({ status: 404 });
    const { adapters: listed } = (await (await ask('/adapters')).json()) as { adapters: { name: string }[] };
    expect(listed.map(({ name }) => name)).toEqual(['a1', 'a2']);
  });

  it('that are refused say why, and after how long they may be sent again', async () => {
    const { infer } = await smallServer({ queue: { maxWaitingRows: 4 } });
    const found = await askedUntilRefused((i) => infer('net', rowsOf(2, i)));
    const refused = found.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]!.body).toMatchObject({ code: 'OVERLOADED' });
    expect(Number(refused[0]!.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(found.filter(({ status }) => status === 200).length + refused.length).toBe(found.length);
  });

  it('are bounded in size', async () => {
    const { ask } = await smallServer({ maxBodyBytes: 100 });
    const answer = await ask('/v2/models/net/infer', { method: 'POST', body: 'x'.repeat(101) });
    expect([answer.status, await answer.json()]).toMatchObject([413, { code: 'INPUT_INVALID' }]);
  });
});

describe('keys', () => {
  // printf %s shop-key | sha256sum
  const shop = { tenant: 'shop', sha256: '44cfdcdd88354fa1412781f5a01a901c9112db33bfa8b165fbec9b618d9cf112' };
  const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
  const rows = rowsOf(1, 1);

  it('have their minute by the clock of the server', async () => {
    let minutes = 0;
    const clock: Clock = { ...systemClock, now: () => 60_000 * minutes };
    const { infer } = await smallServer({
      keys: [{ ...shop, requestsPerMinute: 1 }],
      replaced: [(provide) => provide(CLOCK, () => clock)],
    });
    const ask = async (): Promise<number> => (await infer('net', rows, {}, bearer('shop-key'))).status;
    expect([await ask(), await ask()]).toEqual([200, 429]);
    minutes = 1;
    expect([await ask(), await ask()]).toEqual([200, 429]);
  });

  it('are asked for where there are any, but not for health and numbers', async () => {
    const { infer, ask } = await smallServer({ keys: [shop] });
    expect(await infer('net', rows)).toMatchObject({ status: 401, body: { code: 'UNAUTHORIZED' } });
    expect(await infer('net', rows, {}, bearer('shop-keys'))).toMatchObject({ status: 401 });
    expect(await infer('net', rows, {}, bearer('shop-key'))).toMatchObject({ status: 200 });
    expect(await infer('net', rows, {}, { 'x-api-key': 'shop-key' })).toMatchObject({ status: 200 });
    for (const url of ['/v2/health/live', '/v2/health/ready', '/metrics', '/openapi.json'])
      expect((await ask(url)).status).toBe(200);
    expect((await ask('/adapters')).status).toBe(401);
  });

  it('are for some adapters, and others are not there', async () => {
    const { infer, ask } = await smallServer({ keys: [{ ...shop, adapters: ['a1', 'b*'] }] });
    expect(await infer('net:a1', rows, {}, bearer('shop-key'))).toMatchObject({ status: 200 });
    expect(await infer('net:a0', rows, {}, bearer('shop-key'))).toMatchObject({
      status: 404,
      body: { code: 'FILE_NOT_FOUND' },
    });
    const listed = await ask('/adapters', { headers: bearer('shop-key') });
    expect(await listed.json()).toMatchObject({ adapters: [{ name: 'a1' }] });
  });

  it('have a quota', async () => {
    const { infer } = await smallServer({ keys: [{ ...shop, requestsPerMinute: 12 }] });
    const found = [1, 2, 3].map(() => infer('net', rows, {}, bearer('shop-key')));
    const statuses = (await Promise.all(found)).map(({ status }) => status).sort((a, b) => a - b);
    expect(statuses).toEqual([200, 200, 429]);
  });
});

describe('while it runs', () => {
  const sha256 = '44cfdcdd88354fa1412781f5a01a901c9112db33bfa8b165fbec9b618d9cf112';
  const headers = { authorization: 'Bearer shop-key' };

  it('keys may change', async () => {
    const { server, infer } = await smallServer();
    const rows = rowsOf(1, 1);
    expect(await infer('net', rows)).toMatchObject({ status: 200 });
    await server.reload({ keys: [{ tenant: 'shop', sha256 }] });
    expect(await infer('net', rows)).toMatchObject({ status: 401 });
    expect(await infer('net', rows, {}, headers)).toMatchObject({ status: 200 });
    await expect(server.reload({ keys: [{ tenant: '', sha256 }] })).rejects.toThrow('"keys.0.tenant" of serve');
    expect(await infer('net', rows)).toMatchObject({ status: 401 });
  });

  it.skipIf(spawnSync('openssl', ['version']).status !== 0)('so may the certificate', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-tls-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const made = (name: string): { cert: string; key: string } => {
      const files = { cert: path.join(folder, `${name}.pem`), key: path.join(folder, `${name}.key`) };
      execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-keyout', files.key, '-out', files.cert], { stdio: 'ignore' }); // prettier-ignore
      return files;
    };
    const [old, renewed] = [made('old'), made('renewed')];
    const { server } = await smallServer({ tls: old, grpc: { port: 0 } });
    expect(server.url).toMatch(/^https:/);
    const shownAt = async (url: string): Promise<string> => {
      const port = Number(new URL(url).port);
      const socket = connect({ port, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] });
      await once(socket, 'secureConnect');
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      return String(subject.CN);
    };
    const shown = (): Promise<string[]> => Promise.all([server.url, `https://${server.grpcUrl!}`].map(shownAt));
    expect(await shown()).toEqual(['old', 'old']);
    await server.reload({ tls: renewed });
    expect(await shown()).toEqual(['renewed', 'renewed']);
    const wrong = { cert: old.cert, key: renewed.key };
    await expect(server.reload({ tls: wrong })).rejects.toThrow('are no certificate and its key');
    expect(await shown()).toEqual(['renewed', 'renewed']);
  });
});

describe('adapters of clients', () => {
  // printf %s ops-key | sha256sum
  const ops = {
    tenant: 'ops',
    admin: true,
    sha256: '2c69bc9111c27110a9b9a7974ba3f8ac0c053c16b23a0738115ee829fbc4d57b',
  };
  const shop = { tenant: 'shop', sha256: '44cfdcdd88354fa1412781f5a01a901c9112db33bfa8b165fbec9b618d9cf112' };
  const headers = { authorization: 'Bearer ops-key' };
  const rows = rowsOf(2, 3);
  const start = async (): Promise<
    SmallServer & {
      send: (url: string, method: string, body?: object) => Promise<[number, unknown]>;
      bring: (name: string, from: string, query?: string) => Promise<[number, unknown]>;
    }
  > => {
    const place = mkdtempSync(path.join(tmpdir(), 'onnx-lora-store-'));
    onTestFinished(() => rmSync(place, { recursive: true, force: true }));
    const small = await smallServer({ keys: [ops, shop], store: { folder: place } });
    const told = async (answer: Response): Promise<[number, unknown]> => [answer.status, await answer.json()];
    return {
      ...small,
      send: async (url, method, body) =>
        told(await small.ask(url, { method, headers, ...(body && { body: JSON.stringify(body) }) })),
      bring: async (name, from, query = '') => {
        const form = new FormData();
        for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
          form.append('file', new Blob([readFileSync(path.join(small.runs, from, file))]), file);
        return told(await small.ask(`/adapters/${name}${query}`, { method: 'PUT', headers, body: form }));
      },
    };
  };

  it('are brought, chosen, split, pinned and deleted', async () => {
    const { bring, send, infer, expected, ask } = await start();
    const values = async (model: string, more = {}): Promise<number[]> =>
      (await infer(model, rows, more, headers)).values;
    expect(await bring('new', 'a1', '?version=1')).toMatchObject([200, { name: 'new', version: '1', isCurrent: true }]);
    close(await values('net:new'), await expected(rows, 'a1'));
    expect(await bring('new', 'a2', '?version=2&activate=false')).toMatchObject([200, { isCurrent: false }]);
    close(await values('net:new'), await expected(rows, 'a1'));
    expect(await send('/adapters/new/activate', 'POST', { version: '2' })).toEqual([200, { done: true }]);
    close(await values('net:new'), await expected(rows, 'a2'));
    const one = await infer('net', rows, { parameters: { lora: 'new' } }, headers);
    close(one.values, await expected(rows, 'a2'));
    expect(one.body).toMatchObject({ model_version: '2' });

    const shares = [
      { version: '1', weight: 1 },
      { version: '2', weight: 1 },
    ];
    expect(await send('/adapters/new/split', 'POST', { shares })).toEqual([200, { done: true }]);
    const versions = new Map<string, unknown>();
    for (let i = 0; i < 40; i++) {
      const sticky = `user ${i % 20}`;
      const { body } = await infer('net:new', rows, { parameters: { sticky } }, headers);
      expect(body['model_version']).toBe(versions.get(sticky) ?? body['model_version']);
      versions.set(sticky, body['model_version']);
    }
    expect(new Set(versions.values())).toEqual(new Set(['1', '2']));
    expect(await send('/adapters/new/split', 'POST', { shares: null })).toEqual([200, { done: true }]);

    await send('/adapters/new/pin', 'POST', { pinned: true });
    expect(await send('/adapters/new', 'DELETE')).toMatchObject([400, { error: expect.stringContaining('pinned') }]);
    await send('/adapters/new/pin', 'POST', { pinned: false });
    expect(await send('/adapters/new/load', 'POST')).toEqual([200, { done: true }]);
    const loaded = async (): Promise<boolean> => /"name":"new","version":"2"[^}]*"loaded":true/.test(JSON.stringify(await send('/adapters', 'GET'))); // prettier-ignore
    expect(await loaded()).toBe(true);
    expect((await ask('/v2/repository/models/net:new/unload', { method: 'POST', headers })).status).toBe(200);
    expect(await loaded()).toBe(false);
    close(await values('net:new'), await expected(rows, 'a2'));
    expect(await loaded()).toBe(true);
    expect(await send('/adapters/new', 'DELETE')).toEqual([200, { done: true }]);
    expect(await infer('net:new', rows, {}, headers)).toMatchObject({ status: 404 });
    // Those of the folder are still there.
    close(await values('net:a1'), await expected(rows, 'a1'));
  });

  it('are refused where they are none, and of who may not bring any', async () => {
    const { ask, bring, send } = await start();
    expect(await bring('..%2Fx', 'a1')).toMatchObject([400, { code: 'INPUT_INVALID' }]);
    expect(await bring('x', 'a1', '?digest=00')).toMatchObject([400, { code: 'ADAPTER_INVALID' }]);
    const form = new FormData();
    form.append('file', new Blob(['{}']), 'adapter_config.json');
    const answer = await ask('/adapters/x', { method: 'PUT', headers, body: form });
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { error: expect.stringContaining('was not sent') },
    ]);
    const asShop = { headers: { authorization: 'Bearer shop-key' } };
    expect((await ask('/adapters/a1', { method: 'DELETE', ...asShop })).status).toBe(403);
    expect((await ask('/adapters/a1', { method: 'DELETE' })).status).toBe(401);
    expect(await send('/adapters/a1', 'DELETE')).toMatchObject([404, {}]);
  });

  it('need a store and a key', async () => {
    const { ask } = await smallServer();
    expect((await ask('/adapters/a1', { method: 'DELETE' })).status).toBe(403);
    const { ask: other } = await smallServer({ keys: [ops] });
    expect(await (await other('/adapters/a1', { method: 'DELETE', headers })).json()).toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});

describe('a description', () => {
  it('has every route, with what it takes', async () => {
    const { ask } = await smallServer({ count: 0 });
    const { paths } = (await (await ask('/openapi.json')).json()) as { paths: Record<string, Record<string, unknown>> };
    expect(Object.keys(paths).sort()).toEqual([
      '/',
      '/adapters',
      '/adapters/{name}',
      '/adapters/{name}/activate',
      '/adapters/{name}/load',
      '/adapters/{name}/pin',
      '/adapters/{name}/split',
      '/metrics',
      '/openapi.json',
      '/predict',
      '/status',
      '/status.json',
      '/v1/audio/transcriptions',
      '/v1/chat/completions',
      '/v1/completions',
      '/v1/embeddings',
      '/v1/models',
      '/v1/models/{model}',
      '/v2',
      '/v2/health/live',
      '/v2/health/ready',
      '/v2/models/stats',
      '/v2/models/{model}',
      '/v2/models/{model}/config',
      '/v2/models/{model}/infer',
      '/v2/models/{model}/ready',
      '/v2/models/{model}/stats',
      '/v2/models/{model}/versions/{version}',
      '/v2/models/{model}/versions/{version}/config',
      '/v2/models/{model}/versions/{version}/infer',
      '/v2/models/{model}/versions/{version}/ready',
      '/v2/models/{model}/versions/{version}/stats',
      '/v2/repository/index',
      '/v2/repository/models/{model}/load',
      '/v2/repository/models/{model}/unload',
    ]);
    expect(paths['/v2/models/{model}/infer']!['post']).toMatchObject({
      parameters: [{ name: 'model', in: 'path', required: true }],
      requestBody: { content: { 'application/json': { schema: { required: ['inputs'] } } } },
    });
  });
});

describe('the end', () => {
  it('comes after the requests that have come', async () => {
    const { infer, expected, server } = await smallServer();
    const asked = Array.from({ length: 20 }, (_, i) => infer('net:a1', rowsOf(1, i)));
    await asked[0];
    await server.close();
    const found = await Promise.allSettled(asked);
    for (const [i, each] of found.entries())
      if (each.status === 'fulfilled' && each.value.status === 200)
        close(each.value.values, await expected(rowsOf(1, i), 'a1'));
    await expect(infer('net', rowsOf(1, 1))).rejects.toThrow('fetch failed');
  });
});
