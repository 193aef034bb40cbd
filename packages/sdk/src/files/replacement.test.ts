/** @file Tests that a write is all or nothing. */

import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeFolderAtomic } from './replacement.ts';
import { writeFileAtomic } from './atomicWriter.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'onnx-lora-'))));
afterEach(() => rm(folder, { recursive: true }));

describe('writeFileAtomic', () => {
  it('writes text and bytes, makes folders, replaces, and leaves nothing else', async () => {
    const path = join(folder, 'a/b.txt');
    await writeFileAtomic(path, 'old');
    await writeFileAtomic(path, Uint8Array.of(110, 101, 119));
    expect(await readFile(path, 'utf8')).toBe('new');
    expect(await readdir(join(folder, 'a'))).toEqual(['b.txt']);
  });

  it('leaves the old content and no temporary file when it fails', async () => {
    const path = join(folder, 'there');
    await mkdir(join(path, 'child'), { recursive: true });
    await expect(writeFileAtomic(path, 'x')).rejects.toMatchObject({ name: 'OnnxLoraError', code: 'FILE_INVALID' });
    expect(await readdir(folder)).toEqual(['there']);
    expect(await readdir(path)).toEqual(['child']);
  });

  it('says that a parent is a file', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(writeFileAtomic(join(folder, 'file/x'), 'x')).rejects.toThrow(
      /file\/x" could not be written: .*Check/,
    );
  });
});

describe('writeFolderAtomic', () => {
  const path = (): string => join(folder, 'out/adapter');
  const content = async (): Promise<Record<string, string>> =>
    Object.fromEntries(
      await Promise.all(
        (await readdir(path())).map(async (name) => [name, await readFile(join(path(), name), 'utf8')]),
      ),
    );

  it('makes a new folder with everything in it', async () => {
    await writeFolderAtomic(`${path()}/`, { config: 'c1', weights: 'w1' });
    expect(await content()).toEqual({ config: 'c1', weights: 'w1' });
    expect(await readdir(join(folder, 'out'))).toEqual(['adapter']);
  });

  it('replaces its files and keeps the others', async () => {
    await writeFolderAtomic(path(), { config: 'c1', weights: 'w1' });
    await writeFile(join(path(), 'README.md'), 'mine');
    await writeFolderAtomic(path(), { config: 'c2', weights: 'w2', more: 'm2' });
    expect(await content()).toEqual({ config: 'c2', weights: 'w2', more: 'm2', 'README.md': 'mine' });
  });

  it('takes files away together with what comes, also as the only change', async () => {
    await writeFolderAtomic(path(), { config: 'c1', weights: 'w1', none: null });
    await writeFolderAtomic(path(), { config: 'c2', weights: null, parts: 'p2' });
    expect(await content()).toEqual({ config: 'c2', parts: 'p2' });
    await writeFolderAtomic(path(), { config: 'c2', parts: null, weights: null });
    expect(await content()).toEqual({ config: 'c2' });
  });

  it('does not touch a file that stays the same', async () => {
    await writeFolderAtomic(path(), { config: 'c1', weights: 'w1' });
    const { ino } = await stat(join(path(), 'config'));
    await writeFolderAtomic(path(), { config: 'c1', weights: 'w2' });
    expect((await stat(join(path(), 'config'))).ino).toBe(ino);
    expect(await content()).toEqual({ config: 'c1', weights: 'w2' });
  });

  it('puts everything back when one file cannot be replaced', async () => {
    await mkdir(join(path(), 'b/child'), { recursive: true });
    await writeFile(join(path(), 'a'), 'a1');
    await writeFile(join(path(), 'c'), 'c1');
    // A folder stands where "b" should go.
    await expect(writeFolderAtomic(path(), { a: 'a2', b: 'b2', c: 'c2' })).rejects.toMatchObject({
      code: 'FILE_INVALID',
    });
    expect((await readdir(path())).sort()).toEqual(['a', 'b', 'c']);
    expect(await readFile(join(path(), 'a'), 'utf8')).toBe('a1');
  });

  it('never lets an old and a new file stand side by side', async () => {
    await writeFolderAtomic(path(), { config: '0', weights: '0' });
    const read = (name: string): string => readFileSync(join(path(), name), 'utf8');
    const mixed: string[] = [];
    let complete = 0;
    const reader = eachTurn(() => {
      try {
        const [config, weights] = [read('config'), read('weights')];
        // The same config before and after: it was there all the time.
        if (read('config') !== config) return;
        complete++;
        if (weights !== config) mixed.push(`${config} with ${weights}`);
      } catch {
        // A file is missing: no reader mistakes that for an adapter.
      }
    });
    for (let i = 1; i <= 30; i++) await writeFolderAtomic(path(), { config: `${i}`, weights: `${i}` });
    reader.stop();
    expect(mixed).toEqual([]);
    expect(complete).toBeGreaterThan(30);
    expect(await content()).toEqual({ config: '30', weights: '30' });
  });

  it.each(['../x', 'a/b', '', '..', '.', 'a\\b'])('refuses the file name %j', async (name) => {
    await expect(writeFolderAtomic(path(), { [name]: '' })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  });
});

/** Runs between the steps of asynchronous work, once in every turn of the event loop. */
function eachTurn(act: () => void): { stop(): void } {
  let running = true;
  const turn = (): void => {
    if (!running) return;
    act();
    setImmediate(turn);
  };
  setImmediate(turn);
  return { stop: () => void (running = false) };
}
