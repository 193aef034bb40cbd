/** @file A model of two batches, CLIP with texts and images of different numbers: its adapters against what they merge into. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPlugin } from '@onnx-lora/build';
import { type Feeds, float32, int64, merge, openModel, type Tensor } from '@onnx-lora/sdk';
import { randomAdapter } from '@onnx-lora/testing';
import { visionPlugin } from '@onnx-lora/vision';
import { afterAll, expect, it } from 'vitest';
import { difference } from './support/graphs.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-batches-'));
afterAll(() => rmSync(folder, { recursive: true }));

const clip = fileURLToPath(new URL('../packages/build/fixtures/clip-model', import.meta.url));
const model = await openModel(clip, { plugins: [visionPlugin, buildPlugin] });
// DoRA brings a number for each output besides.
const adapter = await randomAdapter(model, { lora: { targetModules: 'all-linear', useDora: true }, seed: 3 });
const session = await model.session({ adapters: { adapter } });
afterAll(() => session.release());

const TOKENS = 5;
/** Texts that end in the token of the end, and images, all different. */
function feedsOf(texts: number, images: number): Feeds {
  const ids = Array.from({ length: texts * TOKENS }, (_, i) => (i % TOKENS === TOKENS - 1 ? 39 : 1 + ((i * 7) % 30)));
  return {
    input_ids: int64(ids, [texts, TOKENS]),
    attention_mask: int64(
      ids.map(() => 1),
      [texts, TOKENS],
    ),
    pixel_values: float32(
      Float32Array.from({ length: images * 768 }, (_, i) => Math.sin(i * i)),
      [images, 3, 16, 16],
    ),
  };
}

it.each([
  [2, 3],
  [3, 2],
  [4, 1],
])('%d texts and %d images have what the merged model gives', async (texts, images) => {
  const file = path.join(folder, 'merged.onnx');
  await merge(model, adapter, file, { overwrite: true });
  const merged = await (await openModel(file)).session();
  const feeds = feedsOf(texts, images);
  const [whole, served, base] = await Promise.all([
    merged.run(feeds),
    session.run(feeds, { adapter: 'adapter' }),
    session.run(feeds),
  ]);
  await merged.release();
  expect(served['logits_per_text']!.dims).toEqual([texts, images]);
  for (const name of session.outputNames) {
    expect(difference(served[name], whole[name]!), name).toBeLessThan(1e-4);
    expect(difference(served[name], base[name]!), name).toBeGreaterThan(1e-3);
  }
});

const rowOf = ({ data, dims }: Tensor, i: number): Float32Array =>
  (data as Float32Array).slice(i * dims[1]!, (i + 1) * dims[1]!);

it('pairs may have different adapters, and texts and images of different numbers are refused with what to do', async () => {
  const pairs = feedsOf(2, 2);
  const mixed = await session.run(pairs, { adapter: ['adapter', null] });
  const [adapted, base] = [await session.run(pairs, { adapter: 'adapter' }), await session.run(pairs)];
  for (const name of ['text_embeds', 'image_embeds'])
    for (const [i, alone] of [adapted, base].entries())
      rowOf(mixed[name]!, i).forEach((value, at) => expect(value).toBeCloseTo(rowOf(alone[name]!, i)[at]!, 5));
  await expect(session.run(feedsOf(2, 3), { adapter: ['adapter', null] })).rejects.toMatchObject({
    code: 'INPUT_INVALID',
    message:
      'Rows of one batch can have different adapters only where all inputs have as many rows, but "input_ids" has 2 and "pixel_values" has 3. Run one batch per adapter, with one name for all of its rows, or give "pixel_values" a row for each of "input_ids".',
  });
  // One name for all rows is one adapter.
  const alike = await session.run(feedsOf(2, 3), { adapter: ['adapter', 'adapter'] });
  expect(alike['logits_per_text']!.dims).toEqual([2, 3]);
});
