/** @file Tests of the store: what is told of uploads, who gets which version, and what is refused. */

import { spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openModel, OrtRuntime } from '@onnx-lora/sdk';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { IncomingFile } from './incoming.ts';
import { AdapterStore, type StoreOptions } from './store.ts';
import type { Upload } from './upload.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-store-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Three adapters of one base. */
let base: string;
const adapters: { config: Buffer; weights: Buffer; digest: string }[] = [];
beforeAll(async () => {
  const model = await openModel(await publishModel(path.join(scratch, 'net'), { model: linearNet() }), { runtime: new OrtRuntime() }); // prettier-ignore
  base = await model.digest();
  for (const seed of [1, 2, 3]) {
    const folder = path.join(scratch, String(seed));
    await (await randomAdapter(model, { lora: { r: 2, targetModules: 'all-linear' }, seed })).save(folder);
    const [config, weights] = ['adapter_config.json', 'adapter_model.safetensors'].map((name) => readFileSync(path.join(folder, name))); // prettier-ignore
    const digest = createHash('sha256')
      .update(Buffer.concat([config!, weights!]))
      .digest('hex');
    adapters.push({ config: config!, weights: weights!, digest });
  }
});

const root = (): string => mkdtempSync(path.join(scratch, 'root-'));
const open = async (folder: string, options?: StoreOptions): Promise<AdapterStore> => {
  const store = await AdapterStore.open(folder, options);
  onTestFinished(() => store.close());
  return store;
};

async function* pieces(bytes: Uint8Array, size = 100): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
/** As HTTP brings it. */
const upload = (name: string, seed: number, more: Partial<Upload> = {}): Upload => {
  const { config, weights } = adapters[seed - 1]!;
  const files = [
    { name: 'adapter_model.safetensors', content: pieces(weights) },
    { name: 'adapter_config.json', size: config.length, content: pieces(config) },
  ];
  return { name, files, ...more };
};
const keyOf = (name: string, seed: number): string => `${name}@${adapters[seed - 1]!.digest}`;
const left = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /incoming.|tmp/.test(name)); // prettier-ignore

test('an upload is there, as it was sent, also for who opens the store again', async () => {
  const folder = root();
  let store = await AdapterStore.open(folder, { baseDigest: base });
  const { digest, weights, config } = adapters[0]!;
  const told = await store.upload(upload('cats', 1, { digest: digest.toUpperCase() }));
  const bytes = config.length + weights.length;
  expect(told).toMatchObject({ key: `cats@${digest}`, name: 'cats', version: digest.slice(0, 12), digest, bytes, base, isCurrent: true }); // prettier-ignore
  expect(readFileSync(path.join(folder, 'cats', told.version, 'adapter_model.safetensors')).equals(weights)).toBe(true);
  await store.upload(upload('dogs', 2, { version: 'v1' }));
  expect(left(folder)).toEqual([]);
  const before = await store.list();
  await store.close();
  store = await open(folder);
  expect(await store.list()).toEqual(before);
  expect(await store.resolve('dogs')).toEqual({ key: keyOf('dogs', 2), name: 'dogs', version: 'v1', digest: adapters[1]!.digest }); // prettier-ignore
  const { tensors } = await store.load(keyOf('dogs', 2));
  expect(tensors.get('base_model.model.head.lora_A.weight')!.dims).toEqual([2, 6]);
});

test('a request keeps the version that it was resolved to', async () => {
  const store = await open(root());
  await store.upload(upload('cats', 1));
  const { key } = await store.resolve('cats');
  await store.upload(upload('cats', 2));
  expect((await store.resolve('cats')).key).toBe(keyOf('cats', 2));
  expect((await store.resolve('cats', { version: adapters[0]!.digest.slice(0, 12) })).key).toBe(key);
  const valuesOf = async (asked: string): Promise<unknown> => [...(await store.load(asked)).tensors.values()][0]!.data;
  const old = await valuesOf(key);
  expect(await valuesOf(keyOf('cats', 2))).not.toEqual(old);
  await store.delete('cats');
  await expect(store.resolve('cats')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  expect(await valuesOf(key)).toEqual(old);
  await expect(store.load(keyOf('cats', 3))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
});

test('what was deleted is gone from the disk after a while', async () => {
  const folder = root();
  const store = await open(folder, { grace: 1 });
  await store.upload(upload('cats', 1));
  await store.delete('cats');
  expect(existsSync(path.join(folder, 'cats'))).toBe(false);
  await expect.poll(() => readdirSync(path.join(folder, '~removed'))).toEqual([]);
  await expect(store.load(keyOf('cats', 1))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
});

test('names stand for the version that is activated, else for the newest', async () => {
  const store = await open(root());
  await store.upload(upload('cats', 1, { version: 'a' }));
  await store.upload(upload('cats', 2, { version: 'b', activate: false }));
  const now = async (): Promise<string> => (await store.resolve('cats')).version;
  expect(await now()).toBe('a');
  await store.activate('cats', 'b');
  expect(await now()).toBe('b');
  await store.activate('cats', 'a');
  await store.upload(upload('cats', 3, { version: 'c', activate: false }));
  await store.delete('cats', 'a');
  expect(await now()).toBe('c');
  expect((await store.list()).map(({ version, isCurrent }) => [version, isCurrent])).toEqual([['b', false], ['c', true]]); // prettier-ignore
  await expect(store.activate('cats', 'a')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  // The same files again are the same version, other files are not.
  await store.upload(upload('cats', 2, { version: 'b' }));
  expect(await now()).toBe('b');
  await expect(store.upload(upload('cats', 1, { version: 'b' }))).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  // Whatever objects have of themselves is no name.
  await expect(store.resolve('constructor')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
});

test('requests are split by weight, and with a key always in the same way', async () => {
  let at = 0;
  const folder = root();
  let store = await AdapterStore.open(folder, { random: () => (at++ % 100) / 100 });
  await store.upload(upload('cats', 1, { version: 'old' }));
  await store.upload(upload('cats', 2, { version: 'new', activate: false }));
  await store.upload(upload('dogs', 3));
  const share = async (name: string, version: string, sticky?: (i: number) => string): Promise<number[]> => {
    const got: number[] = [];
    for (let i = 0; i < 1000; i++) {
      const found = await store.resolve(name, sticky ? { sticky: sticky(i) } : {});
      if (found.version === version) got.push(i);
    }
    return got;
  };
  await store.split('cats', [{ weight: 9 }, { version: 'new', weight: 1 }]);
  await store.close();
  store = await open(folder, { random: () => (at++ % 100) / 100 });
  expect(await share('cats', 'new')).toHaveLength(100);
  const some = await share('cats', 'new', String);
  expect(some.length).toBeGreaterThan(60);
  expect(some.length).toBeLessThan(140);
  expect(await share('cats', 'new', String)).toEqual(some);
  await store.split('cats', [{ weight: 8 }, { version: 'new', weight: 2 }]);
  expect(await share('cats', 'new', String)).toEqual(expect.arrayContaining(some));
  // A version that is named is no part of it.
  expect((await store.resolve('cats', { version: 'old' })).version).toBe('old');
  await expect(store.delete('cats', 'new')).rejects.toMatchObject({ code: 'INPUT_INVALID', message: expect.stringContaining('split') }); // prettier-ignore
  await expect(store.delete('cats')).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  await store.split('pets', [{ name: 'cats', weight: 1 }, { name: 'dogs', weight: 1 }]); // prettier-ignore
  expect(await store.resolve('pets', { sticky: 'me' })).toMatchObject({ name: 'pets' });
  expect(await share('pets', 'old')).toHaveLength(500);
  await expect(store.delete('dogs')).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  for (const name of ['pets', 'cats']) await store.split(name, null);
  await store.delete('cats');
  await store.delete('dogs');
  expect(store.splits).toEqual({});
  await expect(store.split('pets', [{ name: 'cats', weight: 1 }])).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
});

test('what is pinned is kept in memory and on disk', async () => {
  const folder = root();
  const store = await open(folder);
  const { version } = await store.upload(upload('cats', 1));
  await store.pin('cats', undefined, true);
  expect((await store.list())[0]).toMatchObject({ isPinned: true });
  expect(await store.load(keyOf('cats', 1))).toBe(await store.load(keyOf('cats', 1)));
  await expect(store.delete('cats')).rejects.toMatchObject({ code: 'INPUT_INVALID', message: expect.stringContaining('pinned') }); // prettier-ignore
  await store.pin('cats', version, false);
  expect(await store.load(keyOf('cats', 1))).not.toBe(await store.load(keyOf('cats', 1)));
  await store.delete('cats');
});

test('signed by one of the keys that are trusted, under its own name', async () => {
  const [ours, theirs] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
  const keys = [ours.publicKey.export({ type: 'spki', format: 'pem' }) as string];
  const store = await open(root(), { keys });
  const signature = (words: string, key = ours.privateKey): string => sign(null, Buffer.from(words), key).toString('base64'); // prettier-ignore
  const right = signature(keyOf('cats', 1));
  for (const wrong of [undefined, 'nonsense', signature(keyOf('cats', 1), theirs.privateKey), signature(keyOf('cats', 2))])
    await expect(store.upload(upload('cats', 1, wrong === undefined ? {} : { signature: wrong }))).rejects.toMatchObject({ code: 'ADAPTER_INVALID' }); // prettier-ignore
  await expect(store.upload(upload('dogs', 1, { signature: right }))).rejects.toThrow('none of the keys');
  expect(await store.upload(upload('cats', 1, { signature: right }))).toMatchObject({ isCurrent: true });
  await expect(AdapterStore.open(root(), { keys: ['nonsense'] })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('refuses what is no adapter for this base, and leaves nothing of it', async () => {
  const folder = root();
  const check = (adapter: { config: { loraAlpha: number } }): void => {
    if (adapter.config.loraAlpha > 1000) throw new Error('too large a scaling');
  };
  const store = await open(folder, { baseDigest: base, maxConfigBytes: 2000, maxWeightBytes: 5000, check });
  const { config, weights, digest } = adapters[0]!;
  let wasRead = false;
  const unread = (async function* (): AsyncGenerator<Uint8Array> {
    wasRead = true;
    yield new Uint8Array(1);
  })();
  const given = (first: Uint8Array, second: Uint8Array): IncomingFile[] => [
    { name: 'adapter_config.json', content: pieces(first) },
    { name: 'adapter_model.safetensors', content: pieces(second) },
  ];
  const text = (change: (json: Record<string, unknown>) => object): Uint8Array =>
    Buffer.from(JSON.stringify(change(JSON.parse(config.toString()) as Record<string, unknown>)));
  const other = Buffer.from(weights.toString('latin1').replace(base, base.replace(/./g, 'a')), 'latin1');
  const cut = (async function* (): AsyncGenerator<Uint8Array> {
    yield weights.subarray(0, 100);
    throw new Error('the client has gone');
  })();
  const refused: [Partial<Upload>, unknown][] = [
    ...['', '.', '..', 'a/b', '../x', 'a\\b', 'ü', 'x'.repeat(129)].map((name): [Partial<Upload>, unknown] => [{ name }, { code: 'INPUT_INVALID' }]), // prettier-ignore
    [{ version: '..' }, { code: 'INPUT_INVALID' }],
    [{ digest: digest.replace(/./, (first) => (first === '0' ? '1' : '0')) }, { code: 'ADAPTER_INVALID' }],
    [{ files: [{ name: '../evil', content: unread }] }, { code: 'INPUT_INVALID' }],
    [{ files: [{ name: 'adapter_model.safetensors', size: 5001, content: unread }] }, { code: 'INPUT_INVALID' }],
    [{ files: given(config, Buffer.alloc(5001)) }, { message: expect.stringContaining('5000 bytes') }],
    [{ files: given(Buffer.alloc(2001, ' '), weights) }, { message: expect.stringContaining('2000 bytes') }],
    [{ files: given(config, weights).slice(0, 1) }, { message: expect.stringContaining('was not sent') }],
    [{ files: [...given(config, weights), ...given(config, weights)] }, { code: 'INPUT_INVALID' }],
    [{ files: given(Buffer.from('{'), weights) }, { code: 'ADAPTER_INVALID' }],
    [{ files: given(config, weights.subarray(0, -4)) }, { code: 'FILE_INVALID' }],
    [{ files: given(config, other) }, { code: 'ADAPTER_MISMATCH' }],
    [
      {
        files: given(
          text((json) => ({ ...json, r: 4 })),
          weights,
        ),
      },
      { code: 'ADAPTER_INVALID', message: expect.stringContaining('the rank 4 (r), and its tensors have the rank') },
    ],
    [
      {
        files: given(
          text((json) => ({ ...json, lora_alpha: 2000 })),
          weights,
        ),
      },
      { message: 'too large a scaling' },
    ],
    [{ files: [{ name: 'adapter_model.safetensors', content: cut }] }, { message: 'the client has gone' }],
  ];
  for (const [change, error] of refused) await expect(store.upload({ ...upload('cats', 1), ...change })).rejects.toMatchObject(error as object); // prettier-ignore
  expect(wasRead).toBe(false);
  expect(await store.list()).toEqual([]);
  expect(readdirSync(folder).sort()).toEqual(['~incoming', '~lock']);
  expect(left(folder)).toEqual([]);
});

test('a store has a size, a process, and clears up what a crash has left', async () => {
  const folder = root();
  mkdirSync(path.join(folder, '~incoming/torn'), { recursive: true });
  mkdirSync(path.join(folder, '~removed/old'), { recursive: true });
  mkdirSync(path.join(folder, 'cats/half'), { recursive: true });
  const room = adapters[0]!.config.length + adapters[0]!.weights.length;
  const store = await open(folder, { maxBytes: room });
  expect(readdirSync(folder).sort()).toEqual(['cats', '~lock']);
  await expect(store.resolve('cats')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  await store.upload(upload('cats', 1));
  await store.upload(upload('cats', 1));
  await expect(store.upload(upload('cats', 2))).rejects.toThrow('no room');
  await expect(AdapterStore.open(folder)).rejects.toMatchObject({ code: 'FILE_INVALID' });
});

/** A small disk, where the system lets us have one; what needs it is left out elsewhere. */
const tiny = path.join(scratch, 'tiny');
mkdirSync(tiny);
const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=100k', 'tmpfs', tiny]).status === 0;
afterAll(() => {
  if (isMounted) spawnSync('umount', [tiny]);
});

test.runIf(isMounted)('a disk that is full keeps what it has, and takes more when there is room', async () => {
  let store = await AdapterStore.open(tiny, { grace: 0 });
  const kept: string[] = [];
  const fill = async (): Promise<unknown> => {
    try {
      for (let i = kept.length; ; i++) kept.push((await store.upload(upload('cats', 1 + (i % 3), { version: `v${i}` }))).version); // prettier-ignore
    } catch (error) {
      return error;
    }
  };
  expect(await fill()).toMatchObject({ code: 'FILE_INVALID' });
  expect(kept.length).toBeGreaterThan(1);
  const there = async (): Promise<string[]> => (await store.list()).map(({ version }) => version).slice(0, kept.length);
  expect(await there()).toEqual(kept);
  expect(left(tiny)).toEqual([]);
  for (const { key } of await store.list()) await store.load(key);
  await store.delete('cats', kept.shift());
  await store.delete('cats', kept.shift());
  await expect.poll(() => readdirSync(path.join(tiny, '~removed'))).toEqual([]);
  await store.close();
  store = await open(tiny);
  expect(await there()).toEqual(kept);
  await store.upload(upload('dogs', 1));
  expect((await store.resolve('dogs')).key).toBe(keyOf('dogs', 1));
});

test('reads again what something else has brought, and knows files that are not what they were', async () => {
  const folder = root();
  const [here, elsewhere] = [await open(folder), root()];
  const other = await AdapterStore.open(elsewhere);
  const { version } = await other.upload(upload('dogs', 2));
  await other.close();
  await here.upload(upload('cats', 1));
  cpSync(path.join(elsewhere, 'dogs'), path.join(folder, 'dogs'), { recursive: true });
  await here.reload();
  expect((await here.list()).map(({ name }) => name)).toEqual(['cats', 'dogs']);
  writeFileSync(path.join(folder, 'dogs', version, 'adapter_model.safetensors'), adapters[0]!.weights);
  await expect(here.load(keyOf('dogs', 2))).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
  writeFileSync(path.join(folder, 'dogs', version, 'manifest.json'), '{}');
  await expect(here.reload()).rejects.toMatchObject({ code: 'FILE_INVALID' });
  expect((await here.resolve('cats')).key).toBe(keyOf('cats', 1));
});
