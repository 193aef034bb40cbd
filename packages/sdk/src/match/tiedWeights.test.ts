/** @file Weights that several layers read: which of them are calls of one module, and what an adapter of it changes. */

import { describe, expect, test } from 'vitest';
import { formAdapter, formDelta, serve, sited } from '../../../../test/support/formAdapters.ts';
import { difference, modelOf, runOnce } from '../../../../test/support/graphs.ts';
import { constantValue, randomFloats, WeightBuilder } from '../../../../test/support/storedWeights.ts';
import { mergeAdapter } from '../adapter/merging/merge.ts';
import type { Value } from '../graph/builder.ts';
import type { ModelProto } from '../graph/proto.ts';
import { Random } from '../runtime/random.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import { haveOneWeight } from './tiedWeights.ts';
import { constantWeight } from './weights/index.ts';
import { floatTensor } from './weights/plain.ts';

const random = new Random(21);

describe('one weight', () => {
  test('two weights are one by their tensor, or by all their numbers', () => {
    const { index } = constantValue((g) => {
      const [a, b, c] = [[1, 2], [1, 2], [1, 3]].map((values) => g.floats(values, [2])); // prettier-ignore
      g.add(floatTensor('', 'float16', [1, 2], [2]));
      return g.Concat([a!, b!, c!, g.Identity(a!), g.Reshape(a!, [2, 1])], 0);
    });
    const weights = ['w0', 'w1', 'w2', 'w3', 'g/Identity_0', 'g/Reshape_1'].map((name) => ({ name, layout: 'torch' as const, stored: constantWeight(name, index)! })); // prettier-ignore
    expect(weights.map((each) => haveOneWeight(weights[0]!, each))).toEqual([true, true, false, false, true, false]);
  });

  test('parts of one tensor are one by their numbers alone', () => {
    const { index } = constantValue((g) => g.Concat(g.Split(g.floats([1, 2, 3, 4, 1, 2], [3, 2]), [1, 1, 1], 0), 0));
    const concat = [...index.producer.values()].find(({ opType }) => opType === 'Concat')!;
    const parts = concat.input!.map((name) => ({ name, layout: 'torch' as const, stored: constantWeight(name, index)! })); // prettier-ignore
    expect(parts.map((each) => haveOneWeight(parts[0]!, each))).toEqual([true, false, true]);
  });

  test('a matrix is one with itself read the same way, and with a transposed copy read the other way', () => {
    const { index } = constantValue((g) => {
      const [a, copy, symmetric] = [[1, 2, 3, 4], [1, 3, 2, 4], [1, 2, 2, 1]].map((values) => g.floats(values, [2, 2])); // prettier-ignore
      return g.Concat([a!, copy!, symmetric!, g.Transpose(a!, [1, 0]), g.Transpose(symmetric!, [1, 0])], 0);
    });
    const read = (name: string, layout: 'out-in' | 'in-out') => ({
      name,
      layout,
      stored: constantWeight(name, index)!,
    });
    const a = read('w0', 'out-in');
    expect(haveOneWeight(a, read('w0', 'in-out'))).toBe(false);
    expect(haveOneWeight(a, read('g/Transpose_0', 'in-out'))).toBe(true);
    expect(haveOneWeight(a, read('g/Transpose_0', 'out-in'))).toBe(false);
    expect(haveOneWeight(a, read('w1', 'in-out'))).toBe(true);
    expect(haveOneWeight(a, read('w1', 'out-in'))).toBe(false);
    // Its numbers do not tell which way it is read.
    expect(haveOneWeight(read('w2', 'out-in'), read('w2', 'in-out'))).toBe(false);
    expect(haveOneWeight(read('w2', 'out-in'), read('g/Transpose_1', 'out-in'))).toBe(false);
  });
});

/** Ways to multiply with W `[out, in]`: as torch's Linear does, and from the other side. */
type Product = (g: WeightBuilder, x: Value, w: Value) => Value;
const ways: Readonly<Record<string, { readonly own: Product; readonly turned: Product }>> = {
  Gemm: {
    own: (g, x, w) => g.Gemm(x, w, undefined, { transB: true }),
    turned: (g, x, w) => g.Gemm(x, w, undefined),
  },
  'Gemm and Transpose': {
    own: (g, x, w) => g.Gemm(x, w, undefined, { transB: true }),
    turned: (g, x, w) => g.Gemm(x, g.Transpose(w, [1, 0]), undefined, { transB: true }),
  },
  'MatMul and Transpose': {
    own: (g, x, w) => g.MatMul(x, g.Transpose(w, [1, 0])),
    turned: (g, x, w) => g.MatMul(x, w),
  },
  'Gemm, and MatMul and Transpose': {
    own: (g, x, w) => g.Gemm(x, w, undefined, { transB: true }),
    turned: (g, x, w) => g.MatMul(x, w),
  },
};

/** x `[rows, n]` · W `[m, n]`ᵀ, or with the weight turned x `[rows, m]` · W, number by number. */
function times({ data, dims }: Tensor, w: Float32Array, [m, n]: readonly number[], isTurned: boolean): Tensor {
  const [rows, width, out] = [dims[0]!, isTurned ? m! : n!, isTurned ? n! : m!];
  const y = new Float32Array(rows * out);
  for (let i = 0; i < y.length; i++)
    for (let k = 0; k < width; k++) {
      const [row, o] = [Math.floor(i / out), i % out];
      y[i]! += (data as Float32Array)[row * width + k]! * w[isTurned ? k * n! + o : o * n! + k]!;
    }
  return float32(y, [rows, out]);
}

const sizes = [
  [4, 4],
  [6, 4],
] as const;
const orders = ['own, turned', 'turned, own', 'own, turned, own'] as const;
const cases = Object.keys(ways).flatMap((way) =>
  sizes.flatMap((size) => orders.flatMap((order) => [false, true].map((isNamed) => ({ way, size, order, isNamed })))),
);

describe('a weight that is read both ways', () => {
  test.each(cases)('$way, $size, $order, scopes: $isNamed', async ({ way, size, order, isNamed }) => {
    const form = { kind: 'linear', weightShape: size } as const;
    const weight = randomFloats(size, random);
    const calls = order.split(', ') as ('own' | 'turned')[];
    const x = float32(randomFloats([3, size[calls[0] === 'own' ? 1 : 0]], random), [
      3,
      size[calls[0] === 'own' ? 1 : 0],
    ]);
    const g = new WeightBuilder(18, '/');
    const w = g.floats(weight, size, 'fc.weight');
    let value: Value = { name: 'x', type: 'float32', shape: ['batch', x.dims[1]!] };
    const inputs = [value];
    for (const [i, call] of calls.entries()) {
      const from = g.nodes.length;
      value = ways[way]![call](g, value, w);
      const product = g.nodes.slice(from).at(-1)!;
      const scope = call === 'own' ? `/fc/${product.opType}${i === 2 ? '_1' : ''}` : `/${product.opType}`;
      product.name = isNamed ? scope : `node_${i}`;
    }
    const proto: ModelProto = modelOf({ opset: 18, inputs, outputs: [value.name], nodes: g.nodes, initializers: g.initializers }); // prettier-ignore
    const base = sited(proto);
    expect(base.sites.map(({ weightShape }) => weightShape.join())).toEqual(
      calls.slice(0, 2).map((call) => (call === 'own' ? size : size.toReversed()).join()),
    );
    const own = base.sites[calls.indexOf('own')]!;
    expect(own.path).toBe('fc');
    expect(own.alsoAt).toHaveLength(calls.length - 2);
    expect(base.sites[calls.indexOf('turned')]).toMatchObject({ alsoAt: [], pathSource: 'value-name' });

    const adapter = formAdapter(form);
    const delta = formDelta(form, adapter).data as Float32Array;
    const adapted = weight.map((number, i) => number + delta[i]!);
    const expected = calls.reduce(
      (before, call) => times(before, call === 'own' ? adapted : weight, size, call === 'turned'),
      x,
    );
    const session = await serve(base, { adapter });
    const served = (await session.run({ x }, { adapter: 'adapter' }))[value.name]!;
    await session.release();
    expect(difference(served, expected)).toBeLessThan(1e-5);
    const { model, untied } = mergeAdapter(base.model, base.place(adapter));
    expect(untied).toEqual(['fc']);
    expect(difference((await runOnce(model, { x }))[value.name]!, expected)).toBeLessThan(1e-5);
  });
});

test('DoRA of a module that is called in two ways has one magnitude for both', async () => {
  const size = [6, 6] as const;
  const g = new WeightBuilder(18, '/');
  const w = g.floats(randomFloats(size, random), size, 'fc.weight');
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', 6] };
  const { own: first } = ways['Gemm']!;
  const { own: second } = ways['MatMul and Transpose']!;
  const y = second(g, first(g, x, w), w);
  const base = sited(modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers })); // prettier-ignore
  expect(base.sites).toMatchObject([{ path: 'fc', alsoAt: [{ path: 'fc' }] }]);
  const adapter = formAdapter({ kind: 'linear', weightShape: size }, { dora: true });
  const { model, untied } = mergeAdapter(base.model, base.place(adapter));
  expect(untied).toEqual([]);
  const feeds = { x: float32(randomFloats([2, 6], random), [2, 6]) };
  const session = await serve(base, { adapter });
  const served = (await session.run(feeds, { adapter: 'adapter' }))[y.name]!;
  await session.release();
  expect(difference((await runOnce(model, feeds))[y.name]!, served)).toBeLessThan(1e-4);
  expect(difference((await runOnce(base.model, feeds))[y.name]!, served)).toBeGreaterThan(0.1);
});
