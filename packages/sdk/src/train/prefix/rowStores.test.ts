import { mkdtempSync, openSync, closeSync, readdirSync, readlinkSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MemoryRows, RowFile, type RowStore } from './rowStore.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-rows-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const row = (seed: number, length = 100): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) % 251);

describe.each<[string, (limit: number) => Promise<RowStore>]>([
  ['memory', (limit) => Promise.resolve(new MemoryRows(limit))],
  ['a file', (limit) => RowFile.create(path.join(folder, 'new', 'one'), limit)],
])('rows kept in %s', (_, make) => {
  it('come back as they were, each under its key', async () => {
    const store = await make(1000);
    expect(await store.write('a', row(1))).toBe(true);
    expect(await store.write('b', row(2, 37))).toBe(true);
    expect(await store.read('a')).toEqual(row(1));
    expect(await store.read('b')).toEqual(row(2, 37));
    expect(await store.read('c')).toBeUndefined();
    await store.release();
  });

  it('are those that came first, when there is no room for more', async () => {
    const store = await make(250);
    const kept = [];
    for (const key of ['a', 'b', 'c', 'd']) kept.push(await store.write(key, row(key.charCodeAt(0))));
    expect(kept).toEqual([true, true, false, false]);
    expect(await store.write('e', row(5, 50))).toBe(true);
    expect(await store.write('a', row(97))).toBe(true);
    expect(await store.read('a')).toEqual(row(97));
    expect(await store.read('c')).toBeUndefined();
    expect(await store.read('e')).toEqual(row(5, 50));
    await store.release();
  });
});

describe('a file of rows', () => {
  it('leaves nothing behind', async () => {
    const own = path.join(folder, 'own');
    const store = await RowFile.create(own, 1000);
    await store.write('a', row(1));
    await store.release();
    expect(readdirSync(own)).toEqual([]);
  });

  // The file has lost its name, but Linux still shows it.
  it.runIf(process.platform === 'linux')('does not give damaged rows back, and keeps them again', async () => {
    const own = path.join(folder, 'damaged');
    const store = await RowFile.create(own, 300);
    for (const key of ['a', 'b', 'c']) await store.write(key, row(key.charCodeAt(0)));
    const descriptor = readdirSync('/proc/self/fd').find((each) => {
      try {
        return readlinkSync(`/proc/self/fd/${each}`).startsWith(own);
      } catch {
        return false;
      }
    });
    const file = openSync(`/proc/self/fd/${descriptor}`, 'r+');
    writeSync(file, Uint8Array.of(255), 0, 1, 150);
    closeSync(file);
    expect(await store.read('a')).toEqual(row(97));
    expect(await store.read('b')).toBeUndefined();
    expect(await store.write('b', row(98))).toBe(true);
    expect(await store.read('b')).toEqual(row(98));
    expect(await store.read('c')).toEqual(row(99));
    await store.release();
  });

  it.runIf(process.platform === 'linux')('keeps nothing more once the disk is full', async () => {
    const store = new RowFile(await open('/dev/full', 'r+'), undefined, 1000);
    expect(await store.write('a', row(1))).toBe(false);
    expect(await store.read('a')).toBeUndefined();
    expect(await store.write('b', row(2, 1))).toBe(false);
    await store.release();
  });

  it('refuses a folder that cannot be one', async () => {
    const file = path.join(folder, 'file');
    writeFileSync(file, '');
    await expect(RowFile.create(file, 1)).rejects.toThrow(`Values of the frozen prefix cannot be kept in "${file}"`);
  });
});
