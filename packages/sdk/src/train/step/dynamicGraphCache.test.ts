/** @file One graph for batches of all sizes: it gives what a graph for each gives, to the bit, and there are no more of them. */

import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { planAdapter } from '../../model/planning/planAdapter.ts';
import { openModel } from '../../model/openModel.ts';
import type { Model } from '../../model/loaded/model.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { Random } from '../../runtime/random.ts';
import type { Session } from '../../runtime/session.ts';
import { type Feeds, float32, int64, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { growthOf, DynamicSizes, probesOf, valueAt } from '../graph/dynamicSizes.ts';
import { ParameterSet } from '../parameters.ts';
import { GradientStep } from './gradientStep.ts';
import type { GradientStepRequest } from './stepRequest.ts';
import { isNightly } from '../../../../../test/support/nightly.ts';

const cases = path.join(import.meta.dirname, '../../../../../test/fixtures/cases');

/** A runtime that counts what it loads. */
class CountingRuntime extends OrtRuntime {
  loaded = 0;

  override async createSession(...given: Parameters<OrtRuntime['createSession']>): Promise<Session> {
    this.loaded++;
    return super.createSession(...given);
  }
}

/** Ids and masks of sequences; the last one is shorter. */
function batchOf(model: Model, rows: number, length: number): { inputs: Feeds; targets: Feeds } {
  const of = (value: (row: number, at: number) => number): Tensor =>
    int64(
      Array.from({ length: rows * length }, (_, i) => value(Math.floor(i / length), i % length)),
      [rows, length],
    );
  const isThere = (row: number, at: number): number => Number(row < rows - 1 || at < length - 2);
  const inputs = Object.entries(model.inputs).map(([name, { dims }]) => [
    name,
    // A decoder's past is empty.
    dims?.length === 4
      ? float32([], [rows, dims[1] as number, 0, dims[3] as number])
      : name.includes('mask')
        ? of(isThere)
        : of((row, at) => (name === 'input_ids' ? 4 + ((7 * row + 5 * at) % 11) : 0)),
  ]);
  const weights = float32(
    Float32Array.from({ length: rows * length }, (_, i) => Math.sin(i + length)),
    [rows, length],
  );
  return { inputs: Object.fromEntries(inputs) as Feeds, targets: { weights } };
}

function requestOf(model: Model, own: Partial<GradientStepRequest> = {}): GradientStepRequest {
  const { plan } = planAdapter(model, { r: 2, targetModules: 'all-linear', loraDropout: 0.2 });
  const [output] = Object.keys(model.outputs);
  return {
    base: model.onnx.model,
    plan,
    // Σ w · |y|² of each token, so that every number of the output counts.
    loss: (g, { [output!]: y }, { weights }) =>
      g.ReduceMean(g.Mul(g.ReduceMean(g.Mul(y!, y!), [-1], false), weights!), [0, 1], false),
    lossWeight: ({ weights }) => sizeOf(weights!.dims),
    runtime: model.runtime,
    session: { provider: 'cpu', threads: 1 },
    parameters: (inputs) => {
      const parameters = ParameterSet.initial(inputs, new Random(1));
      for (const { value } of parameters.all) value.forEach((_, i) => (value[i] = 0.2 * Math.sin(i * i + 1)));
      parameters.refresh();
      return parameters;
    },
    seed: 3,
    name: 'opened',
    ...own,
  };
}

/** Loss and gradients of a batch, by a step that has computed `runs` others before. */
async function given(step: GradientStep, model: Model, [rows, length]: readonly [number, number]) {
  const { inputs, targets } = batchOf(model, rows, length);
  const { loss, gradients } = await step.lossAndGradients(inputs, targets);
  return { loss, gradients: [...gradients].map(([name, values]) => [name, [...values]]) };
}

/** Expects the results of a graph for this batch alone; its session is not counted. */
async function expectAsAlone(
  step: GradientStep,
  model: Model,
  size: readonly [number, number],
  own: Partial<GradientStepRequest>,
): Promise<void> {
  const { runs } = step.masks;
  const found = await given(step, model, size);
  const alone = new GradientStep(requestOf(model, own));
  alone.masks.runs = runs;
  expect(await given(alone, model, size)).toEqual(found);
  (model.runtime as CountingRuntime).loaded--;
  await alone.release();
}

const sizes = [
  [4, 29],
  [4, 24],
  [4, 18],
  [4, 21],
  [6, 24],
  [4, 26],
  [1, 25],
  [4, 29],
] as const;

describe('batches of many sizes', () => {
  it.each(['minilm-embed-v5', 't5-encoder-v5', ...(isNightly ? ['opt-v4', 'molformer', 'deberta-v5'] : [])])(
    '%s has one graph for them, whose gradients have the same bits, with dropout and in pieces',
    { timeout: 120_000 },
    async (name) => {
      for (const own of [{}, { pieceRows: (total: number) => Math.ceil(total / 2) }]) {
        const runtime = new CountingRuntime();
        const model = await openModel(path.join(cases, name, 'model.onnx'), { runtime });
        const step = new GradientStep(requestOf(model, own));
        for (const size of sizes) await expectAsAlone(step, model, size, own);
        await step.release();
        // One for the first shape, one for all others, and one for a single row.
        expect(runtime.loaded).toBe(3);
      }
    },
  );
});

it.each<[string, Partial<GradientStepRequest>, ...(readonly [number, number])[]]>([
  ['short and long, though positions are counted in the graph', {}, [2, 70], [2, 60], [2, 20]],
  // The attention of a whole batch is computed in parts, that of a piece is not.
  ['with alike pieces only', { pieceRows: () => 4 }, [24, 320], [24, 20], [24, 40]],
])('is found for batches %s', { timeout: 120_000 }, async (_, own, ...shapes) => {
  const runtime = new CountingRuntime();
  const model = await openModel(path.join(cases, '../../../docs/examples/models/llama-tiny'), { runtime });
  const step = new GradientStep(requestOf(model, own));
  const [first, ...others] = shapes;
  await given(step, model, first!);
  for (const size of others) await expectAsAlone(step, model, size, own);
  await step.release();
  expect(runtime.loaded).toBe(2);
});

it('is found for batches of a single row, too', async () => {
  const runtime = new CountingRuntime();
  const model = await openModel(path.join(cases, 'minilm-embed-v5/model.onnx'), { runtime });
  const step = new GradientStep(requestOf(model));
  for (const length of [8, 12, 7, 15, 9]) await given(step, model, [1, length]);
  await step.release();
  expect(runtime.loaded).toBe(2);
});

describe('how numbers grow', () => {
  const probes = probesOf([20, 5], false);
  const at = (value: (a: number, b: number) => number): number[] => [...probes.corners, ...probes.checks].map(([a, b]) => value(a!, b!)); // prettier-ignore

  it('is found from a few sizes, products of them included', () => {
    expect(probes.corners).toHaveLength(4);
    for (const value of [() => 7, (a: number) => 3 * a - 2, (a: number, b: number) => 2 * a * b - b + 4]) {
      const found = growthOf(probes, at(value))!;
      for (const [a, b] of [
        [1, 1],
        [40, 3],
        [100, 77],
      ] as const)
        expect(valueAt(found, [a, b])).toBe(value(a, b));
    }
  });

  it('is not found of squares, fractions, and what is so for large ones alone', () => {
    for (const value of [
      (a: number) => a * a,
      (a: number) => Math.floor(a / 2),
      (a: number, b: number) => a / b,
      (a: number) => Math.max(a, 8),
    ])
      expect(growthOf(probes, at(value))).toBeUndefined();
  });

  it('sizes are one where axes change alike', () => {
    const shapes = (rows: number, length: number, more = 1): Map<string, number[]> => new Map([['ids', [rows, length]], ['mask', [rows, length]], ['labels', [rows]], ['other', [rows, 4, more]]]); // prettier-ignore
    const found = DynamicSizes.of([shapes(4, 9), shapes(4, 12)], true)!;
    expect(found.axes.map((axes) => axes.map(([name]) => name))).toEqual([
      ['ids', 'mask', 'labels', 'other'],
      ['ids', 'mask'],
    ]);
    expect(found.sizesOf(shapes(3, 20))).toEqual([3, 20]);
    expect(found.sizesOf(shapes(3, 20, 2))).toBeUndefined();
    expect(DynamicSizes.of([shapes(4, 9), shapes(4, 9)], true)).toBeUndefined();
    expect(DynamicSizes.of([shapes(4, 9), new Map([['ids', [4]]])], false)).toBeUndefined();
  });
});
