/** @file A server whose adapters are in an object store, or on the hub, by the protocols of both. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { objectStore, signedStore, useStore } from '../../fixtures/objectStore.ts';
import { rowsOf, type SmallServer, smallServer } from '../../fixtures/smallServer.ts';
import type { ServeOptions } from '../services.ts';
import { serve } from '../serve.ts';
import { FileChanged } from './remoteAdapters.ts';
import { s3Place } from './s3.ts';

const rows = rowsOf(2, 3);

/** A server beside the small one, with the same model, and adapters from elsewhere. */
async function serverOf(
  small: SmallServer,
  adapters: string,
  options: ServeOptions = {},
): Promise<(model: string) => Promise<{ status: number; values: number[]; error?: string }>> {
  const server = await serve(small.model, { adapters, port: 0, log: 'nothing', cache: { folder: path.join(small.folder, `cache${Math.random()}`), refresh: 1 }, ...options }); // prettier-ignore
  onTestFinished(() => server.close());
  return async (model) => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [rows.length, rows[0]!.length], data: rows.flat() }];
    const answer = await fetch(`${server.url}/v2/models/${model}/infer`, { method: 'POST', body: JSON.stringify({ inputs }) }); // prettier-ignore
    const { outputs, error } = (await answer.json()) as { outputs?: { data: number[] }[]; error?: string };
    return { status: answer.status, values: outputs?.[0]?.data ?? [], ...(error !== undefined && { error }) };
  };
}

async function all<T>(given: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of given) found.push(each);
  return found;
}

const expectClose = (found: readonly number[], expected: readonly number[]): void => {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
};

it('serves adapters of an object store, replaced ones too, and continues while it is away', async () => {
  const small = await smallServer();
  const bucket = path.join(small.folder, 'bucket');
  cpSync(small.runs, path.join(bucket, 'vit/adapters'), { recursive: true });
  const store = await objectStore(bucket, { pageSize: 2 });
  const ask = await serverOf(small, 's3://models/vit/adapters');
  for (const name of ['a0', 'a1']) expectClose((await ask(`net:${name}`)).values, await small.expected(rows, name));
  expect(await ask('net:none')).toMatchObject({ status: 404 });
  expect(store.requests).toContain('GET vit/adapters/a0/adapter_model.safetensors');
  cpSync(path.join(small.runs, 'a2'), path.join(bucket, 'vit/adapters/a0'), { recursive: true });
  await new Promise((resolve) => setTimeout(resolve, 10));
  expectClose((await ask('net:a0')).values, await small.expected(rows, 'a2'));
  const place = await s3Place('s3://models/vit/adapters');
  onTestFinished(() => place.close());
  const signal = AbortSignal.timeout(5000);
  const listed = await all(place.files(undefined, signal));
  expect(listed.map((each) => each.path)).toHaveLength(6);
  const read = all(place.read({ ...listed[0]!, tag: '"other"' }, signal));
  await expect(read).rejects.toBeInstanceOf(FileChanged);
  await store.stop();
  expectClose((await ask('net:a1')).values, await small.expected(rows, 'a1'));
  expect(await ask('net:a2')).toMatchObject({ status: 503, error: expect.stringContaining('s3://models/vit/adapters cannot be asked') }); // prettier-ignore
});

it('signs its requests so that others find them right', async ({ skip }) => {
  const small = await smallServer();
  const signed = await signedStore(small.runs);
  if (!signed) return skip();
  const ask = await serverOf(small, 's3://models');
  const answer = await ask('net:a1');
  expect(answer).toEqual({ status: 200, values: expect.any(Array) as unknown });
  expectClose(answer.values, await small.expected(rows, 'a1'));
  useStore(process.env['AWS_ENDPOINT_URL_S3']!, signed.key, 'wrong');
  const other = await serverOf(small, 's3://models');
  expect(await other('net:a1')).toMatchObject({ status: 503 });
});

it.each([
  ['s3://a', 'is no place in an object store'],
  ['s3://Bucket/x', 'is no place in an object store'],
  ['hf://team', 'is no repository on the hub'],
  ['hf://team/x/y', 'is no repository on the hub'],
])('refuses %s', async (adapters, message) => {
  const { model } = await smallServer();
  await expect(serve(model, { adapters, port: 0 })).rejects.toThrow(message);
});

/** A hub whose repository `team/adapters` is a folder. */
async function hub(folder: string): Promise<{ damage: (file: string) => void }> {
  const damaged = new Set<string>();
  const commit = 'c'.repeat(40);
  const entries = (): object[] =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((each) => statSync(path.join(folder, each)).isFile())
      .map((each) => {
        const content = readFileSync(path.join(folder, each));
        const oid = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
        const lfs = { oid: createHash('sha256').update(content).digest('hex'), size: content.length, pointerSize: 130 };
        return { path: each, type: 'file', size: content.length, oid, ...(each.endsWith('.safetensors') && { lfs }) };
      });
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost');
    const json = (value: unknown): void => void response.setHeader('content-type', 'application/json').end(JSON.stringify(value)); // prettier-ignore
    if (/^\/api\/models\/team\/adapters\/revision\/(main|v1)$/.test(pathname))
      return json({ id: 'team/adapters', sha: commit });
    if (pathname === `/api/models/team/adapters/tree/${commit}`) return json(entries());
    const [, file] = new RegExp(`^/team/adapters/resolve/${commit}/(.+)$`).exec(pathname) ?? [];
    if (file === undefined) return void response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end('{}');
    const content = readFileSync(path.join(folder, decodeURIComponent(file)));
    if (damaged.has(file)) content[content.length - 1]! ^= 1;
    response.setHeader('etag', `"${createHash('sha256').update(content).digest('hex')}"`);
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    const [from, to] = range
      ? [Number(range[1]), Math.min(Number(range[2]), content.length - 1)]
      : [0, content.length - 1];
    if (range) response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${content.length}` });
    response.end(request.method === 'HEAD' ? undefined : content.subarray(from, to + 1));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  return { damage: (file) => damaged.add(file) };
}

it('serves adapters of a repository on the hub, whose hashes must be right', async () => {
  const small = await smallServer();
  const repository = path.join(small.folder, 'repository');
  cpSync(small.runs, repository, { recursive: true });
  cpSync(path.join(small.runs, 'a2'), repository, { recursive: true });
  writeFileSync(path.join(repository, 'README.md'), '# Adapters');
  const { damage } = await hub(repository);
  damage('a1/adapter_model.safetensors');
  const ask = await serverOf(small, 'hf://team/adapters@v1');
  expectClose((await ask('net:a0')).values, await small.expected(rows, 'a0'));
  expectClose((await ask('net:adapters')).values, await small.expected(rows, 'a2'));
  expect(await ask('net:a1')).toMatchObject({ status: 400, error: expect.stringContaining('is not what the hub says') }); // prettier-ignore
  rmSync(path.join(repository, 'a0'), { recursive: true });
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await ask('net:a0')).toMatchObject({ status: 404 });
});
