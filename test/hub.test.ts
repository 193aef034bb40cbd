/** @file A model by hub id, from a server that answers as the hub does. */

import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

const repository = fileURLToPath(new URL('../docs/examples/models/vit-mnist', import.meta.url));
const cache = mkdtempSync(path.join(tmpdir(), 'onnx-lora-hub-'));
const commit = 'a'.repeat(40);
const requests: string[] = [];

const files = readdirSync(repository, { recursive: true, encoding: 'utf8' })
  .filter((name) => statSync(path.join(repository, name)).isFile())
  .map((name) => name.replaceAll(path.sep, '/'));
const oid = (name: string): string => createHash('sha1').update(name).digest('hex');

const server: Server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  requests.push(`${request.method} ${pathname}`);
  if (pathname === '/api/models/team/vit/tree/main') {
    const tree = files.map((name) => ({
      type: 'file',
      path: name,
      oid: oid(name),
      size: statSync(path.join(repository, name)).size,
    }));
    response.setHeader('content-type', 'application/json').end(JSON.stringify(tree));
  } else if (pathname.startsWith('/team/vit/resolve/main/') || pathname.startsWith('/team/vit/raw/main/')) {
    const name = decodeURIComponent(pathname.split('/main/')[1]!);
    const content = readFileSync(path.join(repository, name));
    response
      .setHeader('etag', `"${oid(name)}"`)
      .setHeader('x-repo-commit', commit)
      .setHeader('x-linked-etag', `"${oid(name)}"`);
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    const [from, to] = range
      ? [Number(range[1]), Math.min(Number(range[2]), content.length - 1)]
      : [0, content.length - 1];
    if (range) response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${content.length}` });
    response.end(request.method === 'HEAD' ? undefined : content.subarray(from, to + 1));
  } else if (
    /^\/api\/(models\/team\/vit\/)?paths-info/.test(pathname) ||
    pathname === '/api/models/team/vit/paths-info/main'
  ) {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const wanted = (JSON.parse(body) as { paths: string[] }).paths;
      const infos = wanted.map((name) => ({
        path: name,
        type: 'file',
        oid: oid(name),
        size: statSync(path.join(repository, name)).size,
        lastCommit: { id: commit, title: 'x', date: '2026-01-01T00:00:00.000Z' },
      }));
      response.setHeader('content-type', 'application/json').end(JSON.stringify(infos));
    });
  } else {
    response
      .writeHead(404, { 'content-type': 'application/json', 'x-error-code': 'RepoNotFound' })
      .end('{"error":"Repository not found"}');
  }
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('HF_HOME', cache);
  vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterAll(() => {
  server.close();
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true });
});

it('downloads what a model needs into the cache of the hub client, once', async () => {
  // The client reads its environment when it is loaded.
  const { openModel } = await import('@onnx-lora/sdk');
  const downloaded: string[] = [];
  const model = await openModel('team/vit', { onDownload: (file) => downloaded.push(file) });
  expect(downloaded.sort()).toEqual(['config.json', 'onnx/model.onnx', 'preprocessor_config.json']);
  expect(model.name).toBe('team/vit');
  expect(model.config?.['model_type']).toBe('vit');
  expect(model.modules()).toHaveLength(38);
  expect(model.folder).toContain(cache);
  expect(readdirSync(model.folder!).sort()).toEqual(['config.json', 'onnx', 'preprocessor_config.json']);
  const session = await model.session({ provider: 'cpu' });
  await session.release();

  const before = requests.filter((request) => request.startsWith('GET') && request.includes('.onnx')).length;
  await openModel('team/vit');
  expect(requests.filter((request) => request.startsWith('GET') && request.includes('.onnx'))).toHaveLength(before);
});

it('says what is wrong with a name that the hub does not know', async () => {
  const { openModel } = await import('@onnx-lora/sdk');
  await expect(openModel('team/unknown')).rejects.toThrow(
    /There is no file or folder "team\/unknown", and the hub did not give a model of that name: .*Check the name, the network, and HF_TOKEN/,
  );
});
