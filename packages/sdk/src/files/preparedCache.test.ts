/** @file Entries are made once, by one of several processes, found again, bounded, and made anew when damaged. */

import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OnnxLoraError } from '../errors.ts';
import { PreparedCache } from './preparedCache.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-prepared-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

let folders = 0;
const newRoot = (): string => path.join(scratch, String(folders++));
const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

/** Prepares an entry of two pieces, and counts how often. */
function preparing(cache: PreparedCache, length = 5000) {
  const calls = { count: 0 };
  const use = (key: string) =>
    cache.use([key], `entry ${key}`, async (write) => {
      calls.count++;
      const first = write(bytes(length, 1));
      return { places: [first, write(bytes(10, 2))] };
    });
  return { calls, use };
}

describe('an entry', () => {
  it('is made once, and found by another process with its bytes at pages', async () => {
    const root = newRoot();
    const { calls, use } = preparing(new PreparedCache(root, 1e6));
    const { file, facts } = (await use('a'))!;
    expect(facts).toEqual({ places: [0, 8192] });
    const data = readFileSync(file);
    expect([...data.subarray(4999, 5001), ...data.subarray(8191, 8203)]).toEqual([1, 0, 0, ...bytes(10, 2), 0]);
    expect(await use('a')).toEqual({ file, facts });
    const other = preparing(new PreparedCache(root, 1e6));
    expect(await other.use('a')).toEqual({ file, facts });
    expect([calls.count, other.calls.count]).toEqual([1, 0]);
    await other.use('b');
    expect(other.calls.count).toBe(1);
    const listed = new PreparedCache(root, 1e6).entries();
    expect(
      listed
        .map(({ what, bytes: size, inUse }) => [what, size, inUse] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ).toEqual([
      ['entry a', 12_288, true],
      ['entry b', 12_288, true],
    ]);
  });

  it('is made anew where its bytes changed, were cut off, or its description is damaged', async () => {
    const damages = [
      (file: string) => writeFileSync(file, bytes(12_288, 9)),
      (file: string) => truncateSync(file, 100),
      (file: string) => writeFileSync(path.join(path.dirname(file), 'manifest.json'), '{"format":1'),
      (file: string) => rmSync(file),
    ];
    for (const damage of damages) {
      const root = newRoot();
      const { file } = (await preparing(new PreparedCache(root, 1e6)).use('a'))!;
      damage(file);
      const { calls, use } = preparing(new PreparedCache(root, 1e6));
      const again = (await use('a'))!;
      expect(calls.count).toBe(1);
      expect(readFileSync(again.file)[0]).toBe(1);
    }
  });

  it('is not kept if preparing fails, or the system refuses to write', async () => {
    const root = newRoot();
    const cache = new PreparedCache(root, 1e6);
    const failure = new OnnxLoraError('DATA_INVALID', 'no data');
    await expect(cache.use(['a'], 'a', () => Promise.reject(failure))).rejects.toBe(failure);
    expect(readdirSync(root)).toEqual([]);
    const file = path.join(scratch, 'file');
    writeFileSync(file, '');
    const { calls, use } = preparing(new PreparedCache(path.join(file, 'inside'), 1e6));
    expect(await use('a')).toBeUndefined();
    expect(await preparing(new PreparedCache(newRoot(), 0)).use('a')).toBeUndefined();
    expect(calls.count).toBe(0);
  });
});

/** Runs a script in another process, on the sources; `cache` is the one in the folder. */
async function elsewhere(root: string, script: string): Promise<string> {
  const program = `const { PreparedCache } = await import(${JSON.stringify(path.join(scratch, 'built/preparedCache.js'))}); const cache = new PreparedCache(${JSON.stringify(root)}, 1e6); ${script}`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  return stdout.trim();
}

beforeAll(() =>
  build({
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: path.join(import.meta.dirname, 'preparedCache.ts'),
      outDir: path.join(scratch, 'built'),
      target: 'node20',
      rollupOptions: { output: { entryFileNames: '[name].js' } },
    },
  }),
);

describe('several processes', () => {
  it('make an entry once, and leave those of the dead to be removed', async () => {
    const root = newRoot();
    const script = `const found = await cache.use(['a'], 'a', async (write) => { await new Promise((r) => setTimeout(r, 500)); write(new Uint8Array(10)); return process.pid; }); console.log(found.facts)`;
    const makers = await Promise.all([1, 2, 3].map(() => elsewhere(root, script)));
    expect(new Set(makers).size).toBe(1);
    const cache = new PreparedCache(root, 1e6);
    expect(cache.entries().map(({ inUse }) => inUse)).toEqual([false]);
    expect(cache.clear()).toHaveLength(1);
    expect(readdirSync(root)).toEqual([]);
  });

  it('lose the least recently used entries beyond the bound, but none in use', async () => {
    const root = newRoot();
    const fill = (key: string): string =>
      `await cache.use(['${key}'], '${key}', async (write) => { write(new Uint8Array(400_000)); return 0; });`;
    await elsewhere(root, `${fill('a')} await new Promise((r) => setTimeout(r, 20)); ${fill('b')}`);
    // Used again, and then later than b.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await elsewhere(root, fill('a'));
    await elsewhere(root, fill('c'));
    const names = (): string[] => new PreparedCache(root, 1e6).entries().map(({ what }) => what);
    expect(names()).toEqual(['a', 'c']);
    const held = preparing(new PreparedCache(root, 10), 400_000);
    await held.use('d');
    expect(names()).toEqual(['entry d']);
    expect(new PreparedCache(root, 1e6).clear()).toEqual([]);
  });
});
