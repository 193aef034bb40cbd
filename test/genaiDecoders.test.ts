/** @file Decoders in the operators of onnxruntime-genai are trained as the same decoders in standard ones. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Adapter, type AdapterSession, type Feeds, float32, int64, loadAdapter, merge, type Model, openModel, type Tensor } from '@onnx-lora/sdk'; // prettier-ignore
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { crossEntropy } from '@onnx-lora/sdk/tasks';
import { randomAdapter } from '@onnx-lora/testing';
import { textFamilies } from '@onnx-lora/text';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planAdapter } from '../packages/sdk/src/model/planning/planAdapter.ts';
import { randomTrainer } from '../packages/testing/src/random.ts';
import { type DecoderForm, sizes } from './support/decoderWeights.ts';
import { smallDecoders } from './support/smallDecoders.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-genai-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const forms: readonly (readonly [string, DecoderForm])[] = [
  ['GroupQueryAttention of a joined product', { attention: 'grouped' }],
  ['GroupQueryAttention of a joined product of four bits', { attention: 'grouped', bits: 4 }],
  ['the same with a bias', { attention: 'grouped', bits: 4, biased: true }],
  ['MultiHeadAttention behind RotaryEmbedding, four bits', { attention: 'multi-head', bits: 4 }],
];

/** The folder of the builder's decoder, as published, and the other decoder's file, both opened. */
async function openBoth(form: DecoderForm): Promise<Record<'builder' | 'plain', Model>> {
  const { builder, plain } = smallDecoders(form);
  const folder = mkdtempSync(path.join(scratch, 'model-'));
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ model_type: 'llama' }));
  writeOnnx(path.join(folder, 'model.onnx'), builder);
  writeOnnx(path.join(folder, 'plain.onnx'), plain);
  const families = textFamilies;
  return {
    builder: await openModel(folder, { families }),
    plain: await openModel(path.join(folder, 'plain.onnx'), { families }),
  };
}

const [rows, length] = [3, 7];
/** How many tokens each row has; the rest is padding. */
const lengths = [7, 4, 6];
const count = rows * length;
const isPadding = (i: number): boolean => i % length >= lengths[Math.floor(i / length)]!;
const tokens = (make: (i: number) => number): Tensor => int64(Array.from({ length: count }, (_, i) => make(i)), [rows, length]); // prettier-ignore
const inputs: Feeds = {
  input_ids: tokens((i) => (i * 7 + 3) % sizes.vocabulary),
  attention_mask: tokens((i) => (isPadding(i) ? 0 : 1)),
  position_ids: tokens((i) => i % length),
};
const labels = tokens((i) => (isPadding(i) ? -100 : (i * 5 + 1) % sizes.vocabulary));

/** Feeds of the batch for the inputs of a model. */
const feedsOf = (model: Model): Feeds => Object.fromEntries(Object.keys(model.inputs).map((name) => [name, inputs[name]!])); // prettier-ignore

/** Logits of all tokens except padding. */
async function logitsOf(model: Model, adapter?: Adapter): Promise<Float32Array> {
  const session = await model.session(adapter ? { adapters: { adapter } } : {});
  try {
    const outputs = await session.run(feedsOf(model), adapter ? { adapter: 'adapter' } : {});
    return floats(outputs['logits']!).filter((_, i) => !isPadding(Math.floor(i / sizes.vocabulary)));
  } finally {
    await session.release();
  }
}

async function gradientsOf(model: Model): Promise<ReadonlyMap<string, Float32Array>> {
  const { plan } = planAdapter(model);
  const trainer = randomTrainer(model, plan, (g, { logits }, targets) => crossEntropy(g, logits!, targets['labels']!));
  try {
    return (await trainer.lossAndGradients(feedsOf(model), { labels })).gradients;
  } finally {
    await trainer.release();
  }
}

const floats = ({ data }: Pick<Tensor, 'data'>): Float32Array => data as Float32Array;
const largest = (values: Float32Array): number => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
/** The largest difference, in parts of the largest number of the second. */
function relative(found: Float32Array, wanted: Float32Array): number {
  expect(found.length).toBe(wanted.length);
  return largest(wanted.map((value, i) => value - found[i]!)) / largest(wanted);
}

describe.each(forms)('%s', (_, form) => {
  let builder: Model;
  let plain: Model;
  beforeAll(async () => {
    ({ builder, plain } = await openBoth(form));
  });

  it('asks for no past, and computes what standard operators do', async () => {
    const asked = ['input_ids', 'attention_mask', ...(form.attention === 'grouped' ? [] : ['position_ids'])];
    expect(Object.keys(builder.inputs)).toEqual(asked);
    expect(Object.keys(builder.outputs)).toEqual(['logits']);
    expect(relative(await logitsOf(builder), await logitsOf(plain))).toBeLessThan(1e-5);
  });

  it('gives the adapter of all layers the same gradients, under the same names', async () => {
    const [found, wanted] = [await gradientsOf(builder), await gradientsOf(plain)];
    expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
    expect(found.size).toBe(2 * 7 * sizes.layers);
    for (const [name, gradient] of wanted) {
      expect(largest(gradient), name).toBeGreaterThan(1e-4);
      expect(relative(found.get(name)!, gradient), name).toBeLessThan(1e-4);
    }
  });

  it('takes an adapter from there, saves one in its names, and merges', async () => {
    const made = await randomAdapter(plain);
    const adapter = new Adapter(made.config, made.tensors);
    const adapted = await logitsOf(plain, adapter);
    const change = relative(await logitsOf(plain), adapted);
    expect(change).toBeGreaterThan(0.1);
    expect(relative(await logitsOf(builder, adapter), adapted)).toBeLessThan(1e-5);

    const own = await randomAdapter(builder);
    const saved = mkdtempSync(path.join(scratch, 'adapter-'));
    await own.save(path.join(saved, 'own'));
    expect([...(await loadAdapter(path.join(saved, 'own'))).tensors.keys()].sort()).toEqual([...made.tensors.keys()].sort()); // prettier-ignore

    const folder = mkdtempSync(path.join(scratch, 'merged-'));
    const { rounding } = await merge(builder, adapter, folder, { requantize: true });
    expect(rounding).toHaveLength(form.bits ? 7 * sizes.layers : 0);
    const merged = await openModel(folder, { families: textFamilies });
    // Four bits are rounded again.
    expect(relative(await logitsOf(merged), adapted)).toBeLessThan(form.bits ? 0.5 * change : 1e-5);
  });

  it.runIf(form.attention === 'grouped')(
    'writes token by token with the adapter what the whole yields at once',
    async () => {
      const adapter = await randomAdapter(builder);
      const feeds = (from: number, to: number): Feeds => ({
        input_ids: int64(
          Array.from({ length: to - from }, (__, i) => (from + i) * 5 + 1),
          [1, to - from],
        ),
        attention_mask: int64(new Array<number>(to).fill(1), [1, to]),
      });
      const [whole, file] = [builder, builder.part('model')];
      const sessions = [await whole.session({ adapters: { adapter } }), await file.session({ adapters: { adapter } })];
      const [atOnce, byToken] = sessions as [AdapterSession, AdapterSession];
      const { logits } = await atOnce.run(feeds(0, 4), { adapter: 'adapter' });
      const pasts = Object.keys(file.inputs).filter((name) => name.startsWith('past'));
      let past: Feeds = Object.fromEntries(pasts.map((name) => [name, float32([], [1, 2, 0, sizes.width])]));
      for (const [from, to] of [
        [0, 2],
        [2, 3],
        [3, 4],
      ] as const) {
        // prettier-ignore
        const outputs = await byToken.run({ ...feeds(from, to), ...past }, { adapter: 'adapter' });
        const wanted = floats(logits!).slice(from * sizes.vocabulary, to * sizes.vocabulary);
        expect(relative(floats(outputs['logits']!), wanted)).toBeLessThan(1e-5);
        past = Object.fromEntries(pasts.map((name) => [name, outputs[name.replace('past_key_values', 'present')]!]));
      }
      for (const each of sessions) await each.release();
    },
  );
});
