/** @file Rows with different adapters in one batch get what each gets alone, wherever a graph has its rows. */

import { describe, expect, test } from 'vitest';
import { formAdapter, formDelta, serve, type SitedModel, sited } from '../../../../test/support/formAdapters.ts';
import { difference, modelOf, runOnce } from '../../../../test/support/graphs.ts';
import { randomFloats, WeightBuilder } from '../../../../test/support/storedWeights.ts';
import { type Body, scanModel } from '../../../../test/support/subgraphs.ts';
import type { Adapter } from '../adapter/adapter.ts';
import { adapterFeeds } from '../adapter/serving/feeds.ts';
import { mergeAdapter } from '../adapter/merging/merge.ts';
import type { Value } from '../graph/builder.ts';
import type { ModelProto } from '../graph/proto.ts';
import type { Dim } from '../graph/value.ts';
import { Random } from '../runtime/random.ts';
import { type Feeds, float32, type Tensor } from '../runtime/tensor.ts';
import { injectAdapters } from './inject.ts';

const random = new Random(15);
const form = { kind: 'linear', weightShape: [4, 4] } as const;
const weight = randomFloats([4, 4], random);
const positions = randomFloats([1, 5, 4], random);

/** A graph of x and the layer `fc` with a bias. */
function graph(shape: readonly Dim[], body: (g: WeightBuilder, x: Value, fc: (read: Value) => Value) => Value): Base {
  const build = (values: ArrayLike<number>): ModelProto => {
    const g = new WeightBuilder(18, '/');
    const x: Value = { name: 'x', type: 'float32', shape };
    const fc = (read: Value): Value => {
      const from = g.nodes.length;
      const y = g.Add(g.MatMul(read, g.floats(values, [4, 4])), g.floats([1, 2, 3, 4], [4]));
      for (const node of g.nodes.slice(from)) Object.assign(node, { name: `/fc/${node.opType}` });
      return y;
    };
    const y = body(g, x, fc);
    return modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  };
  return { ...sited(build(weight)), build };
}

interface Base extends SitedModel {
  readonly build: (values: ArrayLike<number>) => ModelProto;
}

const adapters: Readonly<Record<string, Adapter>> = {
  small: formAdapter(form, { r: 1, seed: 1 }),
  large: formAdapter(form, { r: 3, seed: 2 }),
  dora: formAdapter(form, { r: 2, dora: true, seed: 3 }),
  biased: formAdapter(form, { r: 2, bias: true, seed: 4 }),
};

/** The weight `[in, out]` with an adapter's delta. */
function merged(adapter: Adapter): Float32Array {
  const delta = formDelta(form, adapter).data as Float32Array;
  return weight.map((value, i) => value + delta[(i % 4) * 4 + Math.floor(i / 4)]!);
}

const output = async (model: ModelProto, feeds: Feeds): Promise<Tensor> =>
  Object.values(await runOnce(model, feeds))[0]!;

/** Row `i` of a tensor that has its rows on `axis`. */
function row({ data, dims }: Tensor, axis: number, i: number): number[] {
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  return [...(data as Float32Array)].filter((_, at) => Math.floor(at / inner) % dims[axis]! === i);
}

/** Every row of a mixed batch against the model that its adapter was merged into, fed the whole batch. */
async function expectRows(base: Base, x: Tensor, axis = 0): Promise<void> {
  expect(base.sites.map(({ path }) => path)).toContain('fc');
  const session = await serve(base, adapters);
  const names = [...Object.keys(adapters), null];
  const choice = Array.from({ length: x.dims[axis]! }, (_, i) => names[(3 * i) % names.length]!);
  const mixed = (await session.run({ x }, { adapter: choice }))[session.outputNames[0]!]!;
  for (const name of new Set(choice)) {
    const model = name === null ? base.model : mergeAdapter(base.model, base.place(adapters[name]!)).model;
    const alone = await output(model, { x });
    const served = (await session.run({ x }, { adapter: name }))[session.outputNames[0]!];
    expect(difference(served, alone), `all rows by ${name}`).toBeLessThan(1e-5);
    expect(mixed.dims).toEqual(alone.dims);
    for (const [i, each] of choice.entries()) {
      if (each !== name) continue;
      const [found, wanted] = [row(mixed, axis, i), row(alone, axis, i)];
      expect(Math.max(...found.map((value, at) => Math.abs(value - wanted[at]!))), `row ${i}`).toBeLessThan(1e-4);
    }
  }
  await session.release();
  // The same from the definition alone, and from the graph that is trained.
  const expected = await output(base.build(merged(adapters['large']!)), { x });
  const placed = base.place(adapters['large']!);
  const plan = placed.tunings.map(({ tuning }) => tuning);
  const { model, inputs } = injectAdapters(base.model, plan, { types: base.types, mode: 'training' });
  const trained = await output(model, { x, ...Object.fromEntries(adapterFeeds(placed, inputs)) });
  expect(difference(trained, expected)).toBeLessThan(1e-5);
  expect(difference(await output(mergeAdapter(base.model, placed).model, { x }), expected)).toBeLessThan(1e-5);
}

const x = (...dims: number[]): Tensor => float32(randomFloats(dims, random), dims);

describe('one value for all rows', () => {
  test('relative positions that queries are multiplied with', async () => {
    const base = graph(['batch', 5, 4], (g, value, fc) => {
      // As exports write it: heads of two numbers, `[1, heads, 2, positions]`.
      const keys = g.Transpose(g.Reshape(fc(g.Tanh(g.floats(positions, [1, 5, 4]))), [1, -1, 2, 2]), [0, 2, 3, 1]);
      return g.MatMul(g.Transpose(g.Reshape(value, [0, 5, 2, 2]), [0, 2, 1, 3]), keys);
    });
    await expectRows(base, x(7, 5, 4));
  });
  test('a bias of positions, made by a layer from a table', async () => {
    const base = graph(['batch', 4, 3, 3], (g, scores, fc) => {
      const bias = fc(g.Tanh(g.floats(randomFloats([9, 4], new Random(3)), [9, 4])));
      return g.Add(scores, g.Unsqueeze(g.Transpose(g.Reshape(bias, [3, 3, 4]), [2, 0, 1]), [0]));
    });
    await expectRows(base, x(6, 4, 3, 3));
  });
  test('a table as long as the sequence that is fed', async () => {
    const base = graph(['batch', 'seq', 4], (g, value, fc) => {
      const table = g.floats(randomFloats([8, 4], new Random(4)), [8, 4]);
      const length = g.Gather(g.Shape(value), g.scalar(1, 'int64'), 0);
      const places = g.emit('Range', [g.scalar(0, 'int64'), length, g.scalar(1, 'int64')]);
      return g.Mul(value, fc(g.Gather(table, places, 0)));
    });
    await expectRows(base, x(6, 5, 4));
    // Its size is a multiple of the rows, and still it is not theirs.
    await expectRows(base, x(4, 8, 4));
  });
  test('in a graph for so many rows and no others', async () => {
    const base = graph([5, 5, 4], (g, value, fc) => g.Add(value, fc(g.Tanh(g.floats(positions, [1, 5, 4])))));
    await expectRows(base, x(5, 5, 4));
  });
  test('an output that all rows share is refused for rows that differ', async () => {
    const base = graph(['batch', 4], (g, value, fc) => {
      const y = g.ReduceSum(g.MatMul(value, g.floats(weight, [4, 4])), [0], false);
      return g.Add(y, fc(g.Tanh(g.floats(positions, [5, 4]))));
    });
    const session = await serve(base, adapters);
    const choice = { adapter: ['small', null] };
    await expect(session.run({ x: x(2, 4) }, choice)).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringMatching(/different adapters in "test".*"fc".*output "[^"]+".*Run one batch per adapter/),
    });
    await session.run({ x: x(2, 4) }, { adapter: ['small', 'small'] });
    await session.release();
  });
});

describe('rows that are not at the front', () => {
  test('positions first, as torch has sequences', async () => {
    const base = graph(['batch', 'seq', 4], (g, value, fc) =>
      g.Transpose(fc(g.Transpose(value, [1, 0, 2])), [1, 0, 2]),
    );
    await expectRows(base, x(5, 3, 4));
    await expectRows(base, x(3, 3, 4));
  });
  test('in what is fed and what comes out', async () => {
    await expectRows(
      graph(['seq', 'batch', 4], (_, value, fc) => fc(value)),
      x(3, 5, 4),
      0,
    );
  });
  test('positions and rows joined to one axis', async () => {
    const base = graph(['batch', 'seq', 4], (g, value, fc) => {
      const joined = fc(g.Reshape(g.Transpose(value, [1, 0, 2]), [-1, 4]));
      const shape = g.Shape(g.Transpose(value, [1, 0, 2]));
      return g.Transpose(g.Reshape(joined, shape), [1, 0, 2]);
    });
    await expectRows(base, x(5, 3, 4));
    await expectRows(base, x(3, 3, 4));
  });
  test('rows and positions joined to one axis', async () => {
    const base = graph(['batch', 'seq', 4], (g, value, fc) => g.Reshape(fc(g.Reshape(value, [-1, 4])), g.Shape(value)));
    await expectRows(base, x(5, 3, 4));
  });
});

describe('a slice of the rows', () => {
  const sliced = (end: number): Base =>
    graph(['batch', 3, 4], (g, value, fc) => fc(g.emit('Slice', [value, g.ints([0, 0]), g.ints([end, end])])));
  test.each([1e9, 2 ** 31 - 1, 99_999])('to an end written as %d is all of them', async (end) => {
    await expectRows(sliced(end), x(12, 3, 4));
  });
  test('that leaves some out takes one adapter for all, and no others', async () => {
    const base = sliced(10);
    const session = await serve(base, adapters);
    const batch = x(12, 3, 4);
    for (const [name, adapter] of Object.entries(adapters)) {
      const alone = await output(mergeAdapter(base.model, base.place(adapter)).model, { x: batch });
      expect(alone.dims).toEqual([10, 3, 4]);
      expect(difference((await session.run({ x: batch }, { adapter: name }))[session.outputNames[0]!], alone)).toBeLessThan(1e-5); // prettier-ignore
    }
    const choice = batch.dims.slice(0, 1).flatMap((rows) => Array.from({ length: rows }, (_, i) => (i % 2 ? 'small' : null))); // prettier-ignore
    await expect(session.run({ x: batch }, { adapter: choice })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    await session.release();
  });
});

test('the body of a Scan', async () => {
  const byWeight: Body = (g, value) => g.MatMul(value, g.floats(weight, [4, 4]));
  const base = { ...sited(scanModel(byWeight)), build: () => scanModel(byWeight) };
  const session = await serve(base, adapters);
  const batch = x(3, 4);
  await session.run({ x: batch }, { adapter: 'large' });
  await expect(session.run({ x: batch }, { adapter: ['large', null, 'small'] })).rejects.toMatchObject({ code: 'INPUT_INVALID' }); // prettier-ignore
  await session.release();
});
