/** @file Longer texts: frequencies against transformers', and graphs that compute with them. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { float32, int64, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import type { Value } from '@onnx-lora/sdk/tasks';
import { ModelBuilder } from '@onnx-lora/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { textFamilies } from '../families/index.ts';
import { stretchedFrequencies, type StretchMethod } from './frequencies.ts';
import { type StretchOptions, stretchPositions } from './stretchPositions.ts';

interface Golden {
  readonly method: StretchMethod;
  readonly factor: number;
  readonly originalLength: number;
  readonly base: number;
  readonly default: readonly number[];
  readonly frequencies: readonly number[];
  readonly scale: number;
}
const goldens = JSON.parse(readFileSync(path.join(import.meta.dirname, 'fixtures/frequencies.json'), 'utf8')) as readonly Golden[]; // prettier-ignore
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-positions-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

it.each(goldens.map((each) => [`${each.method} of ${each.default.length} pairs`, each] as const))('%s', (_, golden) => {
  const { frequencies, scale } = stretchedFrequencies(golden.default, golden);
  golden.frequencies.forEach((wanted, i) => expect(frequencies[i]! / wanted, `pair ${i}`).toBeCloseTo(1, 5));
  expect(scale).toBeCloseTo(golden.scale, 10);
});

const length = 64;
const golden = goldens.find(({ method, originalLength }) => method === 'yarn' && originalLength === length)!;
const base: readonly number[] = golden.default;
const pairs = base.length;
const positions: Value = { name: 'position_ids', type: 'int64', shape: ['batch', 'sequence'] };

/** Cosines and sines of positions as transformers computes them. */
function computed(): ReturnType<ModelBuilder['model']> {
  const builder = new ModelBuilder();
  const { g } = builder;
  const angles = g.Mul(g.Unsqueeze(g.Cast(positions, 1), [2]), g.constant(float32([...base], [1, 1, pairs])));
  const both = g.Concat([angles, angles], 2);
  return builder.model([positions], [named(builder, g.Cos(both), 'cos'), named(builder, g.Sin(both), 'sin')]);
}

/** RotaryEmbedding of ones and zeros, which yields cosines and sines, with tables as in onnxruntime-genai. */
function tabled(): ReturnType<ModelBuilder['model']> {
  const builder = new ModelBuilder();
  const { g } = builder;
  const table = (wave: (x: number) => number): Value =>
    g.constant(float32(Array.from({ length: length * pairs }, (_, i) => wave(Math.floor(i / pairs) * base[i % pairs]!)), [length, pairs])); // prettier-ignore
  const zeros = g.Mul(g.Unsqueeze(g.Cast(positions, 1), [2]), g.constant(float32(new Float32Array(2 * pairs), [1, 1, 2 * pairs]))); // prettier-ignore
  const unit = float32(Array.from({ length: 2 * pairs }, (_, i) => (i < pairs ? 1 : 0)), [2 * pairs]); // prettier-ignore
  const x = g.Add(zeros, g.constant(unit));
  const turned = g.emit('RotaryEmbedding', [x, positions, table(Math.cos), table(Math.sin)], {}, 'com.microsoft');
  const model = builder.model([positions], [named(builder, turned, 'turned')]);
  return { ...model, opsetImport: [...model.opsetImport!, { domain: 'com.microsoft', version: 1 }] };
}

function named(builder: ModelBuilder, value: Value, name: string): Value {
  builder.name(`/${name}`, name);
  return { ...value, name };
}

async function open(graph: ReturnType<typeof computed>): Promise<Model> {
  const folder = mkdtempSync(path.join(scratch, 'model-'));
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ model_type: 'llama', max_position_embeddings: length, rope_theta: golden.base })); // prettier-ignore
  writeFileSync(path.join(folder, 'chat_template.jinja'), 'a template');
  mkdirSync(path.join(folder, '1_Pooling'));
  writeFileSync(path.join(folder, '1_Pooling', 'config.json'), '{}');
  writeOnnx(path.join(folder, 'model.onnx'), graph);
  return openModel(folder);
}

const stretch = async (model: Model, options: StretchOptions): Promise<Model> =>
  openModel(stretchPositions(model, path.join(mkdtempSync(path.join(scratch, 'to-')), 'longer'), options));

async function run(model: Model, ids: readonly number[]): Promise<Record<string, Tensor>> {
  const session = await model.session();
  try {
    return await session.run({ position_ids: int64(ids, [1, ids.length]) });
  } finally {
    await session.release();
  }
}

describe.each([
  ['frequencies in the graph', computed],
  ['tables of a rotary operator', tabled],
])('%s', (_, graph) => {
  it.each(
    goldens.filter(({ originalLength }) => originalLength === length).map((each) => [each.method, each] as const),
  )('turn as in transformers with %s', async (method, wanted) => {
    const longer = await stretch(await open(graph()), { method, factor: wanted.factor });
    // The last position is one that the model did not have.
    const ids = [0, 5, Math.floor(wanted.factor * length) - 1];
    const found = Object.values(await run(longer, ids)).map(({ data }) => data as Float32Array);
    for (const [i, id] of ids.entries())
      for (const [pair, frequency] of wanted.frequencies.entries()) {
        const at = 2 * i * pairs + pair;
        const [cos, sin] = graph === computed ? [found[0]![at], found[1]![at]] : [found[0]![at], found[0]![at + pairs]]; // prettier-ignore
        expect(cos).toBeCloseTo(wanted.scale * Math.cos(id * frequency), 4);
        expect(sin).toBeCloseTo(wanted.scale * Math.sin(id * frequency), 4);
      }
  });

  it('are not stretched twice', async () => {
    const longer = await stretch(await open(graph()), { factor: 2 });
    await expect(stretch(longer, { factor: 2 })).rejects.toMatchObject({ code: 'MODEL_UNSUPPORTED' });
  });
});

it('what lies beside the model comes along, and config.json says what transformers reads', async () => {
  const model = await open(computed());
  const longer = await stretch(model, { factor: 1.5 });
  expect(longer.config).toEqual({
    model_type: 'llama',
    max_position_embeddings: 96,
    rope_theta: golden.base,
    rope_scaling: { rope_type: 'yarn', factor: 1.5, original_max_position_embeddings: length },
  });
  for (const name of ['chat_template.jinja', '1_Pooling/config.json'])
    expect(existsSync(path.join(longer.folder!, name))).toBe(true);
  const { rope_scaling, rope_theta } = (await stretch(model, { factor: 1.5, method: 'ntk' })).config!;
  expect(rope_scaling).toBe(null);
  // The default frequencies of this base are those that transformers' dynamic kind has.
  const { frequencies } = goldens.find((each) => each.method === 'ntk' && each.originalLength === length)!;
  expect((rope_theta as number) ** (-1 / pairs)).toBeCloseTo(frequencies[1]!, 6);
});

it.each([
  [{ factor: 1 }, 'The option "factor" must be a number above 1, but it is 1.'],
  [{ factor: 2, method: 'alibi' as never }, 'The option "method" must be "linear", "ntk" or "yarn", but it is alibi.'],
  [{ factor: 2, betaFast: 0.5 }, 'The option "betaFast" must be above betaSlow, 1, but it is 0.5.'],
  [{ factor: 2, originalLength: 0 }, 'must be a whole number above 0'],
])('%o is refused', async (options, message) => {
  await expect(stretch(await open(computed()), options)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }); // prettier-ignore
});

const tiny = path.join(import.meta.dirname, '../../../../../shared/models/llama-tiny');

it.runIf(existsSync(tiny))(
  'a real LLaMA with positions twice as dense reads twice the positions as before',
  async () => {
    const model = await openModel(tiny, { families: textFamilies });
    const folder = stretchPositions(model, path.join(scratch, 'tiny'), { factor: 2, method: 'linear' });
    const longer = await openModel(folder, { families: textFamilies });
    expect(longer.part('model').outputs).toHaveProperty(['present.0.key']);
    const logits = async (each: Model, step: number): Promise<Tensor> => {
      const session = await each.session();
      const ids = (value: (i: number) => number): Tensor => int64(Array.from({ length: 6 }, (_, i) => value(i)), [1, 6]); // prettier-ignore
      const feeds = {
        input_ids: ids((i) => 300 + 7 * i),
        attention_mask: ids(() => 1),
        position_ids: ids((i) => step * i),
      };
      const found = (await session.run(feeds))['logits']!;
      await session.release();
      return found;
    };
    const [found, wanted] = [await logits(longer, 2), await logits(model, 1)];
    (wanted.data as Float32Array).forEach((value, i) => expect(Math.abs(value - Number(found.data[i]))).toBeLessThan(1e-4)); // prettier-ignore
  },
);
