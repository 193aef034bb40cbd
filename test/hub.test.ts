/** @file Models and adapters by hub id, from a server that answers as the hub does. */

import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-hub-'));
const cache = path.join(scratch, 'cache');
const adapter = fileURLToPath(new URL('fixtures/cases/lora-linear/adapter', import.meta.url));
const checkpoint = fileURLToPath(new URL('../packages/build/fixtures/llama', import.meta.url));
const commit = 'a'.repeat(40);
const requests: string[] = [];

/** Folders by the repository that they are served as. */
const repositories: Readonly<Record<string, string>> = {
  'team/vit': fileURLToPath(new URL('../docs/examples/models/vit-mnist', import.meta.url)),
  'team/lora': path.join(scratch, 'lora'),
  'team/whisper': path.join(scratch, 'whisper'),
  'team/checkpoint': path.join(scratch, 'checkpoint'),
  'team/sentences': path.join(scratch, 'sentences'),
  'team/sharded': path.join(scratch, 'sharded'),
  'team/pickled': path.join(scratch, 'pickled'),
};

function filesOf(repository: string): { path: string; type: 'file'; oid: string; size: number }[] {
  const folder = repositories[repository]!;
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(path.join(folder, name)).isFile())
    .map((name) => ({
      path: name.replaceAll(path.sep, '/'),
      type: 'file',
      oid: createHash('sha1')
        .update(repository + name)
        .digest('hex'),
      size: statSync(path.join(folder, name)).size,
    }));
}

const server: Server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  requests.push(`${request.method} ${pathname}`);
  const json = (value: unknown): void =>
    void response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
  const [, ofApi, api, ofRevision] =
    /^\/api\/models\/(team\/\w+)\/(revision|tree|paths-info)\/(\w+)$/.exec(pathname) ?? [];
  const [, ofFile, name] = /^\/(team\/\w+)\/(?:resolve|raw)\/a+\/(.+)$/.exec(pathname) ?? [];
  const repository = ofApi ?? ofFile ?? '';
  if (!(repository in repositories)) {
    response.statusCode = 404;
    response.setHeader('x-error-code', 'RepoNotFound');
    json({ error: 'Repository not found' });
  } else if (api === 'revision') json({ id: repository, sha: commit });
  else if (ofApi && ofRevision !== commit) throw new Error(`files of "${ofRevision}" were asked for`);
  else if (api === 'tree') json(filesOf(repository));
  else if (api === 'paths-info') {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const wanted = (JSON.parse(body) as { paths: string[] }).paths;
      // Each file was changed last by a commit of its own.
      const lastCommit = (oid: string) => ({ id: oid, title: 'x', date: '2026-01-01T00:00:00.000Z' });
      json(filesOf(repository).flatMap((file) => (wanted.includes(file.path) ? [{ ...file, lastCommit: lastCommit(file.oid) }] : []))); // prettier-ignore
    });
  } else {
    const file = decodeURIComponent(name!);
    const content = readFileSync(path.join(repositories[repository]!, file));
    const oid = filesOf(repository).find((each) => each.path === file)!.oid;
    response.setHeader('etag', `"${oid}"`).setHeader('x-repo-commit', commit).setHeader('x-linked-etag', `"${oid}"`);
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    const [from, to] = range
      ? [Number(range[1]), Math.min(Number(range[2]), content.length - 1)]
      : [0, content.length - 1];
    if (range) response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${content.length}` });
    response.end(request.method === 'HEAD' ? undefined : content.subarray(from, to + 1));
  }
});

beforeAll(async () => {
  const { loadAdapter } = await import('@onnx-lora/sdk');
  cpSync(adapter, repositories['team/lora']!, { recursive: true });
  // Files of programs other than PEFT.
  for (const name of ['adapter_model.bin', 'optimizer.pt', 'README.md', 'checkpoint-1/adapter_model.safetensors']) {
    const file = path.join(repositories['team/lora']!, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, 'not to be downloaded');
  }
  await (await loadAdapter(adapter)).save(repositories['team/sharded']!, { maxShardBytes: 3000 });
  mkdirSync(repositories['team/pickled']!);
  cpSync(path.join(adapter, 'adapter_config.json'), path.join(repositories['team/pickled']!, 'adapter_config.json'));
  writeFileSync(path.join(repositories['team/pickled']!, 'adapter_model.bin'), 'PK');
  for (const name of readdirSync(checkpoint).filter((each) => /^(?:config\.json|model.*)$/.test(each)))
    cpSync(path.join(checkpoint, name), path.join(repositories['team/checkpoint']!, name));
  writeFileSync(path.join(repositories['team/checkpoint']!, 'pytorch_model.bin'), 'not to be downloaded');
  // Files of sentence-transformers beside a model; weights of its further modules are not downloaded.
  const sentences = path.join(repositories['team/sentences']!, '1_Pooling');
  cpSync(repositories['team/vit']!, repositories['team/sentences']!, { recursive: true });
  mkdirSync(sentences);
  writeFileSync(path.join(sentences, 'config.json'), '{}');
  writeFileSync(path.join(sentences, 'model.safetensors'), 'not to be downloaded');
  for (const name of ['modules.json', 'sentence_bert_config.json', 'config_sentence_transformers.json', 'README.md'])
    writeFileSync(path.join(repositories['team/sentences']!, name), '{}');
  const whisper = fileURLToPath(new URL('fixtures/whisperMerged', import.meta.url));
  cpSync(path.join(whisper, 'config.json'), path.join(repositories['team/whisper']!, 'config.json'));
  for (const name of ['vocab.json', 'merges.txt', 'processor_config.json', 'flax_model.json'])
    writeFileSync(path.join(repositories['team/whisper']!, name), '{}');
  for (const ending of ['', '_fp16']) {
    const to = (part: string): string => path.join(repositories['team/whisper']!, `onnx/${part}${ending}.onnx`);
    cpSync(path.join(whisper, 'onnx/encoder_model.onnx'), to('encoder_model'));
    cpSync(path.join(whisper, 'onnx/decoder_model_merged.onnx'), to('decoder_model'));
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('HF_HOME', cache);
  vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterAll(() => {
  server.close();
  vi.unstubAllEnvs();
  rmSync(scratch, { recursive: true });
});

it('downloads the files of a model of several, or those of a variant', async () => {
  const { openModel } = await import('@onnx-lora/sdk');
  const { speechFamilies: families } = await import('@onnx-lora/speech');
  const downloaded: string[] = [];
  const onDownload = (file: string): unknown => downloaded.push(file);
  const model = await openModel('team/whisper', { families, onDownload });
  const companions = ['config.json', 'merges.txt', 'processor_config.json', 'vocab.json'];
  expect(downloaded.sort()).toEqual([...companions, 'onnx/decoder_model.onnx', 'onnx/encoder_model.onnx'].toSorted());
  expect(model.parts.map(({ name }) => name)).toEqual(['encoder_model', 'decoder_model']);
  // The cache keeps every file under the name of its content, and links to it: both parts' weights are found.
  const session = await model.session({ provider: 'cpu' });
  await session.release();
  await openModel('team/whisper', { families, variant: 'fp16', onDownload });
  expect(downloaded.slice(6).sort()).toEqual(['onnx/decoder_model_fp16.onnx', 'onnx/encoder_model_fp16.onnx']);
  await expect(openModel('team/whisper', { families, variant: 'q4' })).rejects.toThrow(
    'no ONNX file of the variant "q4"',
  );
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

it('downloads how sentences become vectors', async () => {
  const { openModel } = await import('@onnx-lora/sdk');
  const downloaded: string[] = [];
  await openModel('team/sentences', { onDownload: (file) => downloaded.push(file) });
  const own = ['1_Pooling/config.json', 'config_sentence_transformers.json', 'modules.json', 'sentence_bert_config.json']; // prettier-ignore
  expect(downloaded.sort()).toEqual([...own, 'config.json', 'onnx/model.onnx', 'preprocessor_config.json'].toSorted());
});

it('says what is wrong with a name that the hub does not know', async () => {
  const { openModel } = await import('@onnx-lora/sdk');
  await expect(openModel('team/unknown')).rejects.toThrow(
    /There is no file or folder "team\/unknown". The hub did not give a model of that name: .*Check the name, the network, and HF_TOKEN/,
  );
});

it('downloads an adapter, without what else lies beside it, once', async () => {
  const { loadAdapter } = await import('@onnx-lora/sdk');
  const downloaded: string[] = [];
  const found = await loadAdapter('team/lora', { onDownload: (file) => downloaded.push(file) });
  expect(downloaded.sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  expect(found).toEqual(await loadAdapter(adapter));
  const contents = (): string[] => requests.filter((request) => /^GET .*safetensors/.test(request));
  const before = contents();
  expect(before).not.toEqual([]);
  await loadAdapter('team/lora');
  expect(contents()).toEqual(before);
});

it('takes what the cache has when the hub cannot be reached, or shall not be', async () => {
  const { loadAdapter } = await import('@onnx-lora/sdk');
  const before = [...requests];
  const endpoint = process.env['HF_ENDPOINT']!;
  vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1');
  expect(await loadAdapter('team/lora')).toEqual(await loadAdapter(adapter));
  expect(await loadAdapter('team/lora', { revision: commit })).toEqual(await loadAdapter(adapter));
  await expect(loadAdapter('team/other')).rejects.toThrow('Check the name, the network, and HF_TOKEN');
  await expect(loadAdapter('team/lora', { revision: '../../x' })).rejects.toThrow('Check the name, the network');
  vi.stubEnv('HF_ENDPOINT', endpoint);
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  expect((await loadAdapter('team/lora')).tensors.size).toBe(16);
  await expect(loadAdapter('team/sharded')).rejects.toThrow('HF_HUB_OFFLINE is set, and the cache does not have it');
  vi.stubEnv('HF_HUB_OFFLINE', undefined);
  expect(requests).toEqual(before);
});

it('downloads an adapter in several files', async () => {
  const { loadAdapter } = await import('@onnx-lora/sdk');
  expect((await loadAdapter('team/sharded')).tensors).toEqual((await loadAdapter(adapter)).tensors);
});

it('refuses pickles, and repositories that hold no adapter', async () => {
  const { loadAdapter } = await import('@onnx-lora/sdk');
  await expect(loadAdapter('team/pickled')).rejects.toThrow('holds its weights as a pickle (adapter_model.bin)');
  expect(requests.filter((request) => request.includes('.bin'))).toEqual([]);
  await expect(loadAdapter('team/vit')).rejects.toThrow('holds no adapter_config.json');
  await expect(loadAdapter('team/unknown')).rejects.toThrow('The hub did not give an adapter of that name');
});

it('builds what is published as a checkpoint, in shards, and leaves its pickle where it is', async () => {
  const [{ openModel }, { buildPlugin }] = await Promise.all([import('@onnx-lora/sdk'), import('@onnx-lora/build')]);
  const model = await openModel('team/checkpoint', { plugins: [buildPlugin] });
  expect(model.modules().map((each) => each.path)).toContain('model.layers.1.self_attn.q_proj');
  expect(readdirSync(model.folder!).sort()).toEqual([
    'config.json',
    ...[1, 2, 3, 4, 5].map((i) => `model-0000${i}-of-00005.safetensors`),
    'model.safetensors.index.json',
  ]);
  await expect(openModel('team/checkpoint')).rejects.toThrow(/has no ONNX file\. Build it with onnx-lora build/);
});
