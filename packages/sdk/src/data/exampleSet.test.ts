/** @file Training data are recognised by their content alone, and damaged notes of them are refused. */

import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Dataset } from '../plugin/dataset.ts';
import { contentKey, ExampleSet } from './exampleSet.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-examples-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => path.join(folder, name);

/** Files as examples. */
const dataset = (...files: string[]): Dataset<string> => ({
  length: files.length,
  get: (index) => Promise.resolve(files[index]!),
  keyOf: (index) => contentKey(files[index]!),
});

test('files are told apart by their content, wherever a large one differs at its ends or in its middle', async () => {
  const large = Buffer.alloc(300_000);
  const files = [0, 150_000, 299_999].map((place, i) => {
    const bytes = Buffer.from(large);
    bytes[place] = 1;
    writeFileSync(at(`large-${i}`), bytes);
    return at(`large-${i}`);
  });
  writeFileSync(at('same'), Buffer.from(large).fill(1, 0, 1));
  writeFileSync(at('longer'), Buffer.concat([Buffer.from(large).fill(1, 0, 1), Buffer.alloc(1)]));
  const keys = await Promise.all([...files, at('longer')].map(contentKey));
  expect(new Set(keys).size).toBe(4);
  expect(await contentKey(at('same'))).toBe(keys[0]);
});

test('what was trained on is found again, and read back from its file', async () => {
  for (const name of ['a', 'b', 'c']) writeFileSync(at(name), name);
  const trained = (await ExampleSet.of(dataset(at('a'), at('b'), at('gone'))))!;
  expect(trained.size).toBe(2);
  writeFileSync(at('copy of b'), 'b');
  const measured = dataset(at('c'), at('copy of b'), at('gone'), at('a'));
  writeFileSync(at('trained-on.txt'), trained.text);
  const read = (await ExampleSet.read(at('trained-on.txt')))!;
  for (const each of [trained, read]) expect(await each.among(measured)).toEqual(new Set([1, 3]));
  expect(await trained.among({ length: 1, get: () => Promise.resolve('') })).toBeUndefined();
  expect(await ExampleSet.of({ length: 1, get: () => Promise.resolve('') })).toBeUndefined();
  expect(await ExampleSet.read(at('no such'))).toBeUndefined();
  truncateSync(at('trained-on.txt'), 20);
  await expect(ExampleSet.read(at('trained-on.txt'))).rejects.toMatchObject({
    code: 'FILE_INVALID',
    message: expect.stringContaining('trained-on.txt') as string,
  });
});
