/** @file The merge of an adapter, `unmerge` undoes: weights and biases are those of the base again. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadAdapter, merge, openModel, unmerge } from '@onnx-lora/sdk';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { methodsPlugin } from './plugin.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'unmerge-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const plugins = [methodsPlugin];

/** Numbers of the adapted layers' weights and biases, one after the other. */
async function numbers(file: string): Promise<number[]> {
  const model = await openModel(file, { plugins });
  return [...model.sitesByPath().values()].flatMap(({ weight, bias }) => [
    ...weight.stored.read(),
    ...(bias?.stored.read() ?? []),
  ]);
}

// A convolution's change is removed by the tuner's formula, others' by their computed change.
it.each([
  'boft',
  'boft-conv2d',
  'hra',
  'hra-conv2d',
  'oft',
  'oft-coft',
  'oft-conv2d',
  'road',
  'beft',
  'glora',
  'glora-vector',
])('%s', async (name) => {
  const own = path.join(import.meta.dirname, '../../../test/fixtures/cases', `peft-${name}`);
  const files = ['merged', 'back'].map((each) => path.join(folder, `${name}-${each}.onnx`)) as [string, string];
  const base = path.join(own, 'model.onnx');
  const adapter = await loadAdapter(path.join(own, 'adapter'));
  await merge(await openModel(base, { plugins }), adapter, files[0]);
  await unmerge(await openModel(files[0], { plugins }), adapter, files[1]);
  const [before, merged, back] = [await numbers(base), await numbers(files[0]), await numbers(files[1])];
  const off = (other: readonly number[]): number => Math.max(...other.map((each, i) => Math.abs(each - before[i]!)));
  expect(off(merged)).toBeGreaterThan(0.01);
  expect(off(back)).toBeLessThan(1e-6);
});
