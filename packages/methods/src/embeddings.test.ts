/** @file OFT of an embedding: what PEFT 0.21 merges, in sessions too, and taken out again. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Adapter, merge, openModel } from '@onnx-lora/sdk';
import { checkAdapterRoundTrip, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { methodsPlugin } from './plugin.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'embeddings-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const plugins = [methodsPlugin];
const file = path.join(import.meta.dirname, '../../../test/fixtures/cases/lora-dora-embedding/model.onnx');

// Row 3 of `tokens.weight`, merged with oft_embedding_R.weight = 0.3 · cos(0, 1, 2 …).
it.each([
  [true, [0.049511, -0.332991, -2.012686, 1.680426, -0.221579, 1.296114, -1.428131, 0.428103]],
  [false, [-1.460854, 0.937831, -0.504724, 1.964956, 0.484299, 0.872797, -0.035135, 1.773885]],
])('by the series: %s', async (isSeries, expected) => {
  const model = await openModel(file, { plugins });
  const tuner = { name: 'oft', oft_block_size: 4, use_cayley_neumann: isSeries };
  const { config } = await randomAdapter(model, { lora: { tuner, targetModules: ['tokens'] } });
  const data = Float32Array.from({ length: 24 }, (_, i) => 0.3 * Math.cos(i));
  const name = 'base_model.model.tokens.oft_embedding_R.weight';
  const adapter = new Adapter(config, new Map([[name, { type: 'float32', dims: [4, 6], data }]]));
  const merged = path.join(folder, `${isSeries}.onnx`);
  await merge(model, adapter, merged);
  const { weight } = (await openModel(merged, { plugins })).sitesByPath().get('tokens')!;
  const row = weight.stored.read().subarray(3 * 16, 3 * 16 + 8);
  expected.forEach((each, i) => expect(row[i]).toBeCloseTo(each, 5));
  expect(await checkAdapterRoundTrip(model, adapter)).toEqual([]);
});
