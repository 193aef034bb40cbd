/** @file Adapters that are far away: looked up, read into a bounded cache, and answered from it while the place is away. */

import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openModel } from '@onnx-lora/sdk';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { type CacheEntry, DiskCache } from './diskCache.ts';
import { RemoteAdapters, type RemoteOptions, type RemotePlace, FileChanged } from './remoteAdapters.ts';

/** Files of adapters of different seeds. */
const contents: Record<string, Buffer>[] = [];

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-far-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

beforeAll(async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-far-'));
  const model = await openModel(await publishModel(path.join(folder, 'net'), { model: linearNet({ inputs: 4 }) }));
  for (let seed = 0; seed < 4; seed++) {
    const adapter = await randomAdapter(model, { lora: { r: 2, targetModules: 'all-linear' }, seed });
    await adapter.save(path.join(folder, 'a'), { overwrite: true });
    const read = (file: string): [string, Buffer] => [file, readFileSync(path.join(folder, 'a', file))];
    contents.push(Object.fromEntries(['adapter_config.json', 'adapter_model.safetensors'].map(read)));
  }
  rmSync(folder, { recursive: true });
});

const bytesOf = (seed: number): number => Object.values(contents[seed]!).reduce((sum, each) => sum + each.length, 0);

/** A place in memory, and how often it was asked. */
class Place implements RemotePlace {
  readonly url = 's3://bucket/adapters';
  readonly name = 'adapters';
  readonly all = new Map<string, Buffer>();
  readonly asked: string[] = [];
  isAway = false;
  size = 0;

  put(folder: string, seed: number): void {
    for (const [file, content] of Object.entries(contents[seed]!)) this.all.set(path.posix.join(folder, file), content);
  }

  async *files(folder: string | undefined): ReturnType<RemotePlace['files']> {
    this.asked.push(`list ${folder ?? ''}`);
    if (this.isAway) throw new Error('away');
    for (const [file, content] of this.all)
      if (folder === undefined || file.startsWith(`${folder}/`))
        yield { path: file, size: this.size || content.length, tag: tagOf(content) };
  }

  async *read({ path: file, tag }: { path: string; tag: string }): ReturnType<RemotePlace['read']> {
    this.asked.push(`read ${file}`);
    if (this.isAway) throw new Error('away');
    const content = this.all.get(file);
    if (!content || tagOf(content) !== tag) throw new FileChanged(file);
    yield content.subarray(0, 10);
    yield content.subarray(10);
  }
}

const tagOf = (content: Buffer): string => createHash('md5').update(content).digest('hex');

async function far(
  place: Place,
  {
    folder = temporaryFolder(),
    maxBytes = 2 ** 30,
    ...options
  }: RemoteOptions & { folder?: string; maxBytes?: number } = {},
): Promise<{ catalog: RemoteAdapters; cache: DiskCache; folder: string }> {
  const cache = await DiskCache.open(folder, maxBytes);
  onTestFinished(() => cache.close());
  return { catalog: new RemoteAdapters(place, cache, options), cache, folder };
}

const scalesOf = async (catalog: RemoteAdapters, name: string): Promise<number> => {
  const adapter = await catalog.load((await catalog.resolve(name)).key);
  return [...adapter.tensors.values()].reduce((sum, { data }) => sum + Number(data[0]), 0);
};

/** The most bytes of adapters that a folder holds from now on, with those on their way; looked at whenever a file has come. */
function watchBytes(folder: string): () => number {
  let most = 0;
  const look = (): void => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((each) => /adapter_[a-z.]+$/.test(each)); // prettier-ignore
    const sizes = files.map((each) => statSync(path.join(folder, each), { throwIfNoEntry: false })?.size ?? 0);
    most = Math.max(most, sizes.reduce((sum, size) => sum + size, 0)); // prettier-ignore
  };
  const timer = setInterval(look, 1);
  onTestFinished(() => clearInterval(timer));
  return () => most;
}

it('finds adapters in folders, in those of runs, and at the root; reads each once', async () => {
  const place = new Place();
  place.put('cats', 0);
  place.put('birds/adapter', 1);
  place.put('', 2);
  place.put('cats/checkpoint-3', 3);
  place.put('no name', 3);
  place.all.set('half/adapter_config.json', Buffer.from('{}'));
  const { catalog } = await far(place);
  expect((await catalog.list()).map(({ name, bytes }) => [name, bytes])).toEqual([
    ['adapters', bytesOf(2)],
    ['birds', bytesOf(1)],
    ['cats', bytesOf(0)],
  ]);
  place.asked.length = 0;
  const sums = await Promise.all(['cats', 'cats', 'birds', 'adapters'].map((name) => scalesOf(catalog, name)));
  expect(new Set(sums).size).toBe(3);
  expect(place.asked.filter((each) => each.startsWith('read')).sort()).toEqual([
    'read adapter_config.json',
    'read adapter_model.safetensors',
    'read birds/adapter/adapter_config.json',
    'read birds/adapter/adapter_model.safetensors',
    'read cats/adapter_config.json',
    'read cats/adapter_model.safetensors',
  ]);
  for (const name of ['half', 'none', '..', 'cats/adapter', '__proto__'])
    await expect(catalog.resolve(name)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  const { version } = await catalog.resolve('cats');
  expect(await catalog.resolve('cats', { version })).toMatchObject({ name: 'cats' });
  await expect(catalog.resolve('cats', { version: 'x' })).rejects.toThrow('"cats" of version "x"');
});

it('gives what a request was bound to, or nothing: never what has taken its name', async () => {
  const place = new Place();
  place.put('cats', 0);
  const { catalog } = await far(place, { refresh: 0 });
  const first = await catalog.resolve('cats');
  const sum = await scalesOf(catalog, 'cats');
  place.put('cats', 1);
  const second = await catalog.resolve('cats');
  expect(second.key).not.toBe(first.key);
  expect(await scalesOf(catalog, 'cats')).not.toBe(sum);
  // The first is in the cache.
  expect((await catalog.load(first.key)).tensors.size).toBeGreaterThan(0);
  place.put('cats', 2);
  const third = await catalog.resolve('cats');
  place.put('cats', 3);
  await expect(catalog.load(third.key)).rejects.toThrow('was exchanged while it was read');
  await expect(catalog.load(`cats@${'0'.repeat(64)}`)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
});

it('looks a name up again when it is time, once for all who ask', async () => {
  const place = new Place();
  place.put('cats', 0);
  const { catalog } = await far(place, { refresh: 50 });
  await Promise.all([catalog.resolve('cats'), catalog.resolve('cats'), catalog.resolve('cats')]);
  await catalog.resolve('none').catch(() => undefined);
  await catalog.resolve('none').catch(() => undefined);
  expect(place.asked).toEqual(['list cats', 'list none']);
  place.put('none', 1);
  await vi.waitFor(() => catalog.resolve('none'));
});

it('answers from the cache while the place is away, also after a restart', async () => {
  const place = new Place();
  place.put('cats', 0);
  place.put('birds', 1);
  const { catalog, cache, folder } = await far(place, { refresh: 0 });
  const sum = await scalesOf(catalog, 'cats');
  place.isAway = true;
  expect(await scalesOf(catalog, 'cats')).toBe(sum);
  const away = { status: 503, code: 'ADAPTERS_AWAY', retryAfter: 5 };
  await expect(catalog.resolve('birds')).rejects.toMatchObject(away);
  cache.close();
  const again = await far(place, { folder, refresh: 0 });
  expect(await scalesOf(again.catalog, 'cats')).toBe(sum);
  expect((await again.catalog.list()).map(({ name }) => name)).toEqual(['cats']);
  place.isAway = false;
  const { key } = await again.catalog.resolve('birds');
  place.isAway = true;
  await expect(again.catalog.load(key)).rejects.toMatchObject(away);
  place.isAway = false;
  await again.catalog.load(key);
});

it('does not wait for a place that does not answer, where it knows the adapter', async () => {
  const place = new Place();
  place.put('cats', 0);
  const { catalog } = await far(place, { refresh: 0, patience: 20 });
  const { key } = await catalog.resolve('cats');
  place.files = async function* () {
    await new Promise(() => undefined);
    yield* [];
  };
  expect((await catalog.resolve('cats')).key).toBe(key);
});

it('keeps as many bytes as it may, and those that were used last', async () => {
  const place = new Place();
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) place.put(name, i);
  const maxBytes = bytesOf(0) + bytesOf(1) + bytesOf(2);
  const { catalog, cache, folder } = await far(place, { maxBytes });
  for (const name of ['a', 'b', 'c', 'a', 'd']) await scalesOf(catalog, name);
  expect(cache.entries.map(({ name }) => name)).toEqual(['c', 'a', 'd']);
  const inFolder = (): string[] => readdirSync(folder).filter((each) => !each.startsWith('~'));
  expect(inFolder().sort()).toEqual(cache.entries.map(({ id }) => id).sort());
  // All at once: none is taken away while it is read, and there is never more than may be.
  const most = watchBytes(folder);
  await Promise.all(['a', 'b', 'c', 'd', 'a', 'b', 'c', 'd'].map((name) => scalesOf(catalog, name)));
  expect(most()).toBeLessThanOrEqual(maxBytes);
  await scalesOf(catalog, 'a');
  cache.close();
  const again = await far(place, { folder, maxBytes: bytesOf(0) });
  expect(again.cache.entries.map(({ name }) => name)).toEqual(['a']);
  await expect(far(place, { folder })).rejects.toThrow('is that of another server');
  const tiny = await far(place, { maxBytes: 10 });
  await expect(scalesOf(tiny.catalog, 'a')).rejects.toThrow('the cache on the disk may have 10');
});

it('reads nothing of an adapter that says it is too large, and no more of one that is larger than it says', async () => {
  const place = new Place();
  place.put('cats', 0);
  const { catalog } = await far(place, { maxWeightBytes: 100, refresh: 0 });
  await expect(scalesOf(catalog, 'cats')).rejects.toThrow('more than the 100 bytes that it may');
  expect(place.asked.filter((each) => each.includes('safetensors'))).toEqual([]);
  for (const size of [1, 90_000]) {
    place.size = size;
    const other = await far(place, { refresh: 0 });
    await expect(scalesOf(other.catalog, 'cats')).rejects.toThrow('was exchanged while it was read');
    expect(other.cache.entries).toEqual([]);
  }
});

it('fetches again what is damaged on the disk, and clears up what was torn', async () => {
  const place = new Place();
  place.put('cats', 0);
  place.put('birds', 1);
  const { catalog, cache, folder } = await far(place);
  const sum = await scalesOf(catalog, 'cats');
  await scalesOf(catalog, 'birds');
  const [cats, birds] = cache.entries as readonly [CacheEntry, CacheEntry];
  cache.close();
  const file = path.join(folder, cats.id, 'adapter_model.safetensors');
  const bytes = readFileSync(file);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(file, bytes);
  writeFileSync(path.join(folder, birds.id, 'manifest.json'), '{');
  const again = await far(place, { folder });
  expect(again.cache.entries.map(({ name }) => name)).toEqual(['cats']);
  expect(readdirSync(folder)).not.toContain(birds.id);
  expect(await scalesOf(again.catalog, 'cats')).toBe(sum);
  expect(readdirSync(path.join(folder, '~incoming'))).toEqual([]);
});
