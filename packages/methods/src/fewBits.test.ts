/** @file Every tuner merged into weights of few bits: merged is unmerged, and taken out it is the base to the last byte. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Adapter, merge, type Model, openModel, quantize, type QuantizedBits, unmerge } from '@onnx-lora/sdk';
import { linearNet, publishModel, randomAdapter, randomFeeds } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkedTuners } from '../fixtures/checkedTuners.ts';
import { methodsPlugin } from './plugin.ts';
import { isNightly } from '../../../test/support/nightly.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'few-bits-'));
afterAll(() => rmSync(folder, { recursive: true }));
const plugins = [methodsPlugin];

const first = checkedTuners.filter(([, tuner], i) => tuner !== checkedTuners[i - 1]?.[1]);
/** Each tuner in one of the forms; every night all settings of all tuners in each. */
const checkedIn = (form: number): typeof checkedTuners =>
  isNightly ? checkedTuners : first.filter((_, i) => i % 3 === form);

/** They compute no weight. */
const noWeight = /^(?:hydralora|lily|mixlora|mola)$/;
/** They compute a layer with another input, and layers of 8 bits round theirs: such adapters are not made. */
const inOtherInputs = /rounds its input before it multiplies/;

async function logits(model: Model, adapter?: Adapter): Promise<Float32Array> {
  await using session = await model.session({
    adapters: adapter ? { adapter } : {},
    threads: 1,
    worker: false,
    provider: 'cpu',
  });
  const outputs = await session.run(randomFeeds(model), { adapter: adapter ? 'adapter' : null });
  return outputs['logits']!.data as Float32Array;
}

const norm = (values: Float32Array): number => Math.hypot(...values);
const minus = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, i) => value - b[i]!);

describe.each([
  [4, 0],
  ['nf4', 1],
  [8, 2],
] satisfies [QuantizedBits, number][])('%s bits', (bits, form) => {
  const base = path.join(folder, `${bits}.onnx`);
  beforeAll(async () => {
    const published = await publishModel(path.join(folder, `float32-${bits}`), { model: linearNet() });
    const asked = bits === 'nf4' ? { bits, blockSize: 16 } : { bits };
    await quantize(await openModel(published), base, { ...asked, smallest: 1, maxError: 1 });
  });

  it.each(checkedIn(form))('%s', async (_, tuner, settings) => {
    const model = await openModel(base, { plugins });
    const lora = { tuner: { name: tuner.name, ...settings }, targetModules: ['encoder.0', 'encoder.1'] };
    const adapter = await randomAdapter(model, { lora }).catch((error: Error) => {
      if (bits === 8 && inOtherInputs.test(error.message)) return undefined;
      throw error;
    });
    if (!adapter) return;
    const files = ['merged', 'back'].map((each) => path.join(folder, `${each}.onnx`)) as [string, string];
    if (noWeight.test(tuner.name)) {
      await expect(merge(model, adapter, files[0], { overwrite: true })).rejects.toThrow('computes is no weight');
      return;
    }
    const { beside, rounding } = await merge(model, adapter, files[0], { overwrite: true });
    const [before, wanted] = [await logits(model), await logits(model, adapter)];
    const merged = await openModel(files[0], { plugins });
    const found = await logits(merged);
    const change = norm(minus(wanted, before));
    expect(change).toBeGreaterThan(1e-3 * norm(before));
    // No weight loses more than a fiftieth; in so narrow layers the losses of several add up. 8-bit layers also round their
    // inputs, which depend on the layers before: up to half a hundredth of the output.
    const roundedInputs = bits === 8 ? 0.005 * norm(before) : 0;
    expect(norm(minus(found, wanted))).toBeLessThan(
      rounding.length > 0 ? 0.05 * change + roundedInputs : 1e-4 * change,
    );
    if (rounding.length > 0) return;
    const taken = await unmerge(merged, adapter, files[1], { overwrite: true }).catch((error: Error) => error);
    // A layer that is computed without its weight has lost it; and AdaMSS finds its groups in the weights.
    if (taken instanceof Error)
      expect(taken.message).toMatch(/cannot be taken out of a merged model|^The adapter has groups of/);
    else if (bits === 4 && beside.length === 2) expect(readFileSync(files[1]).equals(readFileSync(base))).toBe(true);
    else
      expect(norm(minus(await logits(await openModel(files[1], { plugins })), before))).toBeLessThan(
        1e-5 * norm(before),
      );
  });
});
