/** @file Every row of the gradient table against finite differences computed by ONNX Runtime. */

import { describe, expect, test } from 'vitest';
import { type Case, type Composite, type Domain, gradcheck, type Operand } from '../../../../test/support/gradcheck.ts';
import { differentiated, gradientValues } from '../../../../test/support/differentiated.ts';
import { float, type GraphBuilder, type Value } from '../graph/builder.ts';
import { float32 } from '../runtime/tensor.ts';
import { type DifferentiableOp, gradientRules, stopGradientOps } from './rules.ts';

type Cases = readonly [Case, ...Case[]];

const MAX = Number.MAX_SAFE_INTEGER;

/** A float32 check: the CPU provider has no float64 kernel for the operator. */
const single = (...cases: Cases): Cases =>
  cases.map((each): Case => ({ ...each, type: 'float32' })) as [Case, ...Case[]];

const from = (domain: Domain, ...shape: number[]): Operand => ({ shape, domain });

/** Shape pairs of a binary operator: equal, a row, a column, a scalar, either side, both sides, leading ones. */
const pairs: readonly (readonly [a: readonly number[], b: readonly number[]])[] = [
  [[2, 3], [2, 3]],
  [[2, 3, 4], [4]],
  [[2, 3, 4], [3, 1]],
  [[2, 3], []],
  [[3], [2, 2, 3]],
  [[2, 1, 4], [3, 1]],
  [[1, 1], [2, 3]],
  [[2, 3, 1], [2, 1, 4]],
  [[1, 2, 3], [2, 3]],
]; // prettier-ignore

const binary = (a: Domain, b: Domain): Cases =>
  pairs.map(([left, right]): Case => ({ inputs: [from(a, ...left), from(b, ...right)] })) as [Case, ...Case[]];

const twice = (domain: Domain): Case => ({ inputs: [from(domain, 2, 3), { same: 0 }] });

/** Rank pairs of MatMul: vectors, matrices, batches, and batches that are broadcast on either side or both. */
const products: readonly (readonly [a: number[], b: number[]])[] = [
  [[3], [3]],
  [[3], [3, 4]],
  [[3], [2, 3, 4]],
  [[2, 3], [3]],
  [[2, 2, 3], [3]],
  [[2, 3], [3, 4]],
  [[2, 2, 3], [3, 4]],
  [[2, 1, 2, 3], [3, 4]],
  [[2, 3], [2, 3, 2]],
  [[2, 2, 3], [2, 3, 2]],
  [[1, 2, 3], [2, 3, 2]],
  [[2, 2, 3], [1, 3, 2]],
  [[2, 1, 2, 3], [2, 3, 2]],
  [[2, 1, 2, 3], [1, 2, 3, 2]],
]; // prettier-ignore

const gemmShapes = [
  { inputs: [[2, 3], [3, 4]], attributes: {} },
  { inputs: [[2, 3], [4, 3]], attributes: { transB: 1 } },
  { inputs: [[3, 2], [3, 4]], attributes: { transA: 1 } },
  { inputs: [[3, 2], [4, 3]], attributes: { transA: 1, transB: 1 } },
]; // prettier-ignore
const gemmBiases = [[2, 4], [4], [2, 1], [1, 4], [1], []];

/** Reductions: axes by attribute and input, negative, several, all, none; with and without keepdims. */
const reduced = (domain: Domain, inputSince: number): Cases => [
  ...[1, 0].flatMap((keepdims): Case[] => [
    { inputs: [from(domain, 2, 3, 2), { ints: [1] }], attributes: { keepdims } },
    { inputs: [from(domain, 2, 3, 2), { ints: [-1] }], attributes: { keepdims } },
    { inputs: [from(domain, 2, 3, 2), { ints: [2, 0] }], attributes: { keepdims } },
    { inputs: [from(domain, 2, 3, 2)], attributes: { keepdims } },
    { inputs: [from(domain, 2, 3, 2)], attributes: { keepdims, axes: [-2] }, opset: inputSince - 1 },
    { inputs: [from(domain, 2, 3, 2)], attributes: { keepdims, axes: [0, 2] }, opset: inputSince - 1 },
    { inputs: [from(domain, 2, 3, 2)], attributes: { keepdims }, opset: inputSince - 1 },
  ]),
  { inputs: [from(domain, 2, 3)], attributes: { noop_with_empty_axes: 1 } },
  { inputs: [from(domain, 2, 3), { ints: [] }], attributes: { noop_with_empty_axes: 1 } },
  { inputs: [from(domain, 2, 3), { ints: [] }], attributes: { keepdims: 0 } },
] as unknown as Cases; // prettier-ignore

const softmaxes: Cases = [
  { inputs: [[2, 4]] },
  { inputs: [[2, 3, 2]], attributes: { axis: 1 } },
  { inputs: [[2, 3, 2]], attributes: { axis: -3 } },
  // Before opset 13 everything from the axis on, 1 by default, is one row.
  { inputs: [[2, 3, 2]], opset: 12 },
  { inputs: [[2, 3, 2]], attributes: { axis: -1 }, opset: 11 },
  { inputs: [[2, 3, 2]], attributes: { axis: 0 }, opset: 12 },
];

const slice = (
  shape: readonly number[],
  starts: number[],
  ends: number[],
  axes?: number[],
  steps?: number[],
): Case => ({
  inputs: [shape, { ints: starts }, { ints: ends }, axes && { ints: axes }, steps && { ints: steps }],
});

/**
 * The checks of each operator. Inputs are float64 where the CPU provider has the kernel.
 *
 * The mapped type makes a rule without a check an error of the compiler.
 */
const cases: { readonly [Op in DifferentiableOp]: Cases } = {
  Add: [...binary('any', 'any'), twice('any')],
  Sub: [...binary('any', 'any'), twice('any')],
  Mul: [...binary('any', 'any'), twice('any')],
  Div: [...binary('any', 'nonzero'), twice('nonzero')],
  Neg: [{ inputs: [[2, 3]] }],
  Abs: [{ inputs: [from('nonzero', 2, 3)] }],
  Exp: [{ inputs: [[2, 3]] }],
  Log: [{ inputs: [from('positive', 2, 3)] }],
  Sqrt: [{ inputs: [from('positive', 2, 3)] }],
  Reciprocal: [{ inputs: [from('nonzero', 2, 3)] }],
  Pow: [...binary('positive', 'any'), twice('positive')],
  Erf: single({ inputs: [[2, 3]] }),
  Tanh: [{ inputs: [[2, 3]] }],
  Sigmoid: [{ inputs: [[2, 3]] }],
  Relu: [{ inputs: [from('nonzero', 2, 5)] }],
  Sin: [{ inputs: [[2, 3]] }],
  Cos: single({ inputs: [[2, 3]] }),
  Softplus: single({ inputs: [[2, 3]] }),
  Gelu: single(
    { inputs: [[3, 5]], domain: 'com.microsoft' },
    { inputs: [[3, 5]], opset: 20 },
    { inputs: [[3, 5]], opset: 20, attributes: { approximate: 'none' } },
    { inputs: [[3, 5]], opset: 20, attributes: { approximate: 'tanh' } },
  ),
  Softmax: softmaxes,
  LogSoftmax: softmaxes,
  LayerNormalization: [
    { inputs: [[2, 2, 5], from('nonzero', 5), [5]] },
    { inputs: [[2, 2, 5], from('nonzero', 5)], attributes: { axis: -1, epsilon: 0.25 } },
    { inputs: [[2, 3, 2], from('nonzero', 3, 2), [3, 2]], attributes: { axis: 1 } },
    { inputs: [[2, 3, 2], from('nonzero', 3, 2), [3, 2]], attributes: { axis: -2, epsilon: 0.5 } },
    { inputs: [[2, 3], from('nonzero', 2, 3), [2, 3]], attributes: { axis: 0 } },
  ],
  MatMul: [...products.map(([a, b]): Case => ({ inputs: [a, b] })), { inputs: [[3, 3], { same: 0 }] }] as unknown as Cases,
  Gemm: [
    ...gemmShapes.map((each): Case => each),
    ...gemmShapes.map(({ inputs, attributes }): Case => ({
      inputs: [...inputs, [4]],
      attributes: { ...attributes, alpha: 0.5, beta: -2.25 },
    })),
    ...gemmBiases.map((bias): Case => ({ inputs: [[2, 3], [3, 4], bias], attributes: { beta: 0.25, alpha: float(2) } })),
    { inputs: [[3, 3], { same: 0 }] },
  ] as unknown as Cases,
  Conv: single(
    { inputs: [[2, 3, 6], [4, 3, 3], [4]] },
    { inputs: [[1, 2, 7], [3, 2, 3]], attributes: { strides: [2], pads: [1, 2] } },
    { inputs: [[1, 4, 8], [4, 2, 2], [4]], attributes: { dilations: [2], group: 2, pads: [2, 0] } },
    { inputs: [[2, 2, 5, 5], [3, 2, 3, 3], [3]] },
    { inputs: [[2, 2, 6, 5], [3, 2, 3, 2], [3]], attributes: { strides: [2, 2], pads: [1, 1, 1, 1] } },
    // The last row is reached by no window.
    { inputs: [[1, 2, 6, 6], [2, 2, 3, 3]], attributes: { strides: [2, 2] } },
    { inputs: [[1, 2, 7, 6], [2, 2, 3, 2]], attributes: { dilations: [2, 2], pads: [2, 1, 0, 1] } },
    { inputs: [[1, 4, 6, 6], [4, 2, 3, 3], [4]], attributes: { group: 2, strides: [2, 1], dilations: [1, 2], pads: [0, 2, 1, 0] } },
    // Depthwise, and depthwise with two filters a channel.
    { inputs: [[2, 4, 5, 5], [4, 1, 3, 3], [4]], attributes: { group: 4, pads: [1, 1, 1, 1] } },
    { inputs: [[2, 4, 4, 4], [8, 1, 2, 2]], attributes: { group: 4, strides: [2, 2] } },
    // Patch embedding: kernel = stride.
    { inputs: [[2, 3, 4, 4], [5, 3, 2, 2], [5]], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
    { inputs: [[1, 2, 5, 5], [2, 2, 2, 2]], attributes: { auto_pad: 'VALID', strides: [3, 3] } },
    { inputs: [[1, 2, 5, 6], [2, 2, 4, 3]], attributes: { auto_pad: 'SAME_UPPER', strides: [2, 1] } },
    { inputs: [[1, 2, 6], [2, 2, 4]], attributes: { auto_pad: 'SAME_LOWER' } },
    { inputs: [[1, 3, 1, 1], [2, 3, 1, 1], [2]] },
  ),
  BatchNormalization: single(
    { inputs: [[2, 3, 2, 2], [3], [3], from('any', 3), from('positive', 3)] },
    { inputs: [[2, 3, 4], [3], [3], from('any', 3), from('positive', 3)], attributes: { epsilon: 0.1 } },
  ),
  Einsum: [
    { inputs: [[2, 3, 4, 5], [3, 6, 5]], attributes: { equation: 'bhwc,hkc->bhwk' } },
    { inputs: [[2, 3], [3, 4], [4]], attributes: { equation: 'ij, jk, k -> ik' } },
    { inputs: [[2, 3], [2, 3]], attributes: { equation: 'ij,ij->' } },
    { inputs: [[2, 3]], attributes: { equation: 'ij->ji' } },
  ],
  MaxPool: [
    { inputs: [from('distinct', 1, 2, 4, 4)], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
    // Windows that overlap, and one that is all padding but for a corner.
    { inputs: [from('distinct', 1, 2, 5, 4)], attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
    { inputs: [from('distinct', 2, 1, 7)], attributes: { kernel_shape: [2], dilations: [2], strides: [1] } },
    { inputs: [from('distinct', 1, 1, 5, 5)], attributes: { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'SAME_UPPER' } },
    { inputs: [from('distinct', 1, 1, 5)], attributes: { kernel_shape: [2], strides: [2], ceil_mode: 1 } },
  ],
  GlobalAveragePool: single({ inputs: [[2, 3, 4]] }, { inputs: [[1, 2, 3, 2]] }),
  Transpose: [
    { inputs: [[2, 3, 4]] },
    { inputs: [[2, 3, 4]], attributes: { perm: [1, 2, 0] } },
    { inputs: [[2, 3, 2, 2]], attributes: { perm: [0, 2, 1, 3] } },
  ],
  Reshape: [
    { inputs: [[2, 3, 4], { ints: [4, -1] }] },
    { inputs: [[2, 3, 4], { ints: [0, 0, 2, 2] }] },
    { inputs: [[1, 1], { ints: [] }] },
  ],
  Flatten: [{ inputs: [[2, 3, 2]] }, { inputs: [[2, 3, 2]], attributes: { axis: -1 } }, { inputs: [[2, 3]], attributes: { axis: 0 } }],
  Squeeze: [
    { inputs: [[1, 3, 1], { ints: [-1] }] },
    { inputs: [[1, 3, 1]] },
    { inputs: [[1, 3, 1]], attributes: { axes: [0] }, opset: 11 },
  ],
  Unsqueeze: [{ inputs: [[2, 3], { ints: [0, -1] }] }, { inputs: [[2, 3]], attributes: { axes: [1] }, opset: 12 }],
  Concat: [
    { inputs: [[2, 1], [2, 3], [2, 2]], attributes: { axis: 1 } },
    { inputs: [[1, 2, 2], [3, 2, 2]], attributes: { axis: -3 } },
    { inputs: [[2, 2], { same: 0 }], attributes: { axis: 0 } },
    { inputs: [[2, 2]], attributes: { axis: 0 } },
  ],
  Split: [
    { inputs: [[2, 6], { ints: [1, 2, 3] }], attributes: { axis: 1 }, outputs: 3 },
    { inputs: [[2, 6], { ints: [1, 2, 3] }], attributes: { axis: -1 }, outputs: 3, read: [1] },
    { inputs: [[2, 6], { ints: [1, 2, 3] }], attributes: { axis: -1 }, outputs: 3, read: [0, 2] },
    { inputs: [[4, 3]], outputs: 2, opset: 13 },
    { inputs: [[5, 2]], attributes: { num_outputs: 2 }, outputs: 2 },
    { inputs: [[5, 2]], attributes: { split: [4, 1] }, outputs: 2, read: [1], opset: 12 },
  ],
  Slice: [
    slice([4, 5], [1], [3]),
    slice([4, 5], [1, -3], [MAX, -1], [0, 1]),
    slice([4, 5], [1], [4], [-1]),
    slice([7, 2], [0], [7], [0], [2]),
    slice([7, 2], [1], [6], [0], [3]),
    slice([5], [-1], [-MAX], [0], [-1]),
    slice([7], [5], [0], [0], [-2]),
    slice([6, 3], [-2, 2], [-6, 0], [0, 1], [-2, -1]),
    slice([4, 5], [3, 0], [100, 5], [1, 0], [1, 2]),
    { inputs: [[4, 5]], attributes: { starts: [1], ends: [3], axes: [1] }, opset: 9 },
  ],
  Pad: [
    { inputs: [[2, 3], { ints: [1, 0, 0, 2] }] },
    { inputs: [[4, 5], { ints: [-1, 2, 1, -3] }] },
    { inputs: [[4, 5], { ints: [-1, 2] }, undefined, { ints: [-1] }] },
    { inputs: [[2, 3], { ints: [1, 1, 1, 1] }], attributes: { mode: 'constant' } },
  ],
  Gather: [
    { inputs: [[4, 3], { ints: [2], dims: [] }] },
    { inputs: [[4, 3], { ints: [-1], dims: [] }], attributes: { axis: 1 } },
    { inputs: [[4, 3], { ints: [1] }], attributes: { axis: -1 } },
    { inputs: [[4, 3], { ints: [3, 0, 3, 3] }] },
    { inputs: [[2, 4, 3], { ints: [1, 1, 2] }], attributes: { axis: 1 } },
    { inputs: [[4, 3], { fed: [3, 0, -1, 1], dims: [2, 2] }] },
    { inputs: [[2, 4], { fed: [3, 0, 3, 1, 3, -4], dims: [2, 3] }], attributes: { axis: 1 } },
    { inputs: [[2, 3, 2], { fed: [1], dims: [] }], attributes: { axis: 1 } },
    { inputs: [[4, 2], { fed: [2, 2], dims: [1, 2] }], opset: 16 },
    { inputs: [[4, 3], { fed: [3, 0, -1, 3], dims: [2, 2] }], opset: 13 },
    { inputs: [[2, 4, 3], { fed: [3, 0, 3], dims: [3] }], attributes: { axis: 1 }, opset: 14 },
  ],
  Expand: [
    { inputs: [[3, 1], { ints: [2, 3, 4] }] },
    { inputs: [[2, 3], { ints: [1, 1] }] },
    { inputs: [[], { ints: [2, 2] }] },
  ],
  Where: [
    { inputs: [{ bools: [1, 0, 0, 1, 1, 0], dims: [2, 3] }, [2, 3], [2, 3]] },
    { inputs: [{ bools: [1, 0, 1], dims: [3] }, [2, 3], []] },
    { inputs: [{ bools: [1, 0], dims: [2, 1] }, [3], [1, 3]] },
    { inputs: [{ bools: [1, 0, 0, 1, 1, 0], dims: [2, 3] }, [1, 3], [2, 1]] },
    { inputs: [{ bools: [0], dims: [] }, [2, 3], [3]] },
    { inputs: [{ bools: [0, 1], dims: [2, 1] }, [2, 3], { same: 1 }] },
  ],
  Cast: [{ inputs: [[2, 3]], attributes: { to: 11 } }],
  Identity: [{ inputs: [[2, 3]] }],
  ReduceSum: reduced('any', 13),
  ReduceMean: reduced('any', 18),
  ReduceMax: reduced('distinct', 18),
}; // prettier-ignore

describe.each(Object.entries(cases) as [DifferentiableOp, Cases][])('%s', (op, checks) => {
  test.each(checks.map((check, i) => ({ check, i, what: describeCase(check) })))('$i: $what', async ({ check }) => {
    const results = await gradcheck(op, check);
    expect(results.length).toBeGreaterThan(0);
    for (const { input, error, tolerance } of results) expect(error, `input ${input}`).toBeLessThan(tolerance);
  });

  test('has a check for the gradient of every input', () => {
    const rule = gradientRules[op];
    const missing = (typeof rule === 'function' ? [] : rule).flatMap((vjp, input) =>
      vjp && !checks.some(({ inputs }) => inputs[input] !== undefined) ? [input] : [],
    );
    expect(missing).toEqual([]);
  });
});

function describeCase({ inputs, attributes, opset, domain, read }: Case): string {
  return JSON.stringify({ inputs, ...attributes, opset, domain, read }).replaceAll('"', '');
}

/** Operators together, where a rule looks at its neighbours or gradients of several uses are added up. */
const composites: Readonly<Record<string, readonly [Composite, Case]>> = {
  'attention with scaled queries and keys': [
    (g, [x, q, k, v]) => {
      const heads = (w: Value): Value => g.Transpose(g.Reshape(g.MatMul(x!, w), [2, 4, 2, 2]), [0, 2, 1, 3]);
      const keys = g.Mul(g.Transpose(heads(k!), [0, 1, 3, 2]), 0.75);
      const weights = g.Softmax(g.MatMul(g.Mul(heads(q!), 0.75), keys), -1);
      return g.Reshape(g.Transpose(g.MatMul(weights, heads(v!)), [0, 2, 1, 3]), [2, 4, 4]);
    },
    { inputs: [[2, 4, 3], [3, 4], [3, 4], [3, 4]] },
  ],
  'attention whose weights are read twice': [
    (g, [q, k, v]) => {
      const weights = g.Softmax(g.MatMul(q!, g.Transpose(k!, [0, 2, 1])), -1);
      return g.Add(g.MatMul(weights, v!), g.ReduceSum(g.Mul(weights, weights), [2], true));
    },
    { inputs: [[2, 5, 2], [2, 5, 2], [2, 5, 2]] },
  ],
  'attention over another axis, or as the right operand': [
    (g, [a, v]) => g.Add(g.MatMul(g.Softmax(a!, 1), v!), g.Transpose(g.MatMul(g.Transpose(v!, [0, 2, 1]), g.Softmax(a!, 2)), [0, 2, 1])),
    { inputs: [[2, 3, 3], [2, 3, 2]] },
  ],
  'attention with values that every head shares': [
    (g, [a, v]) => g.MatMul(g.Softmax(a!, -1), v!),
    { inputs: [[2, 3, 4], [4, 2]] },
  ],
  'attention with a mask and a broadcast batch of values': [
    (g, [a, mask, v]) => g.MatMul(g.Softmax(g.Add(a!, mask!), -1), v!),
    { inputs: [[1, 3, 4], [4], [2, 4, 2]] },
  ],
  'adapters on three layers that read one value': [
    (g, [x, a, b, c, d, w]) => {
      const low = g.MatMul(g.MatMul(x!, a!), b!);
      return g.Tanh(g.Add(g.Add(g.MatMul(x!, w!), low), g.MatMul(g.MatMul(x!, c!), d!)));
    },
    { inputs: [[2, 3, 4], [4, 2], [2, 3], [4, 1], [1, 3], [4, 3]] },
  ],
  'a matrix that is read three times': [
    (g, [x, w]) => g.MatMul(g.Sin(g.MatMul(g.Sin(g.MatMul(x!, w!)), w!)), w!),
    { inputs: [[2, 3], [3, 3]] },
  ],
  'a product that is scaled by a trained scalar': [
    (g, [x, w, s]) => g.MatMul(g.Mul(x!, s!), g.Mul(w!, 3)),
    { inputs: [[2, 2, 3], [2, 3, 2], []] },
  ],
  'a residual block': [
    (g, [x, scale, w]) => {
      const y = g.emit('LayerNormalization', [x!, scale!], { axis: -1 });
      return g.Add(g.Softplus(g.MatMul(y, w!)), x!);
    },
    { inputs: [[2, 2, 4], from('nonzero', 4), [4, 4]], type: 'float32' },
  ],
}; // prettier-ignore

test.each(Object.entries(composites))('%s', async (_, [build, check]) => {
  for (const { input, error, tolerance } of await gradcheck(build, check)) {
    expect(error, `input ${input}`).toBeLessThan(tolerance);
  }
});

describe('where the derivative jumps or has no limit', () => {
  const sum = (g: GraphBuilder, y: Value): Value => g.ReduceSum(y, y.shape!.map((_, i) => i), false); // prettier-ignore
  const gradientAt = async (values: readonly number[], f: (g: GraphBuilder, x: Value) => Value): Promise<number[]> => {
    const graph = differentiated({ x: [values.length] }, ['x'], (g, { x }) => sum(g, f(g, x!)));
    return [...((await gradientValues(graph, { x: float32(values, [values.length]) }))['x']!.data as Float32Array)];
  };

  // torch: torch.autograd of amax, relu, abs, pow and where at these points.
  test('ReduceMax shares evenly between ties', async () => {
    expect(await gradientAt([3, 1, 3, 2], (g, x) => g.ReduceMax(x, [0], false))).toEqual([0.5, 0, 0.5, 0]);
  });
  test('Relu and Abs are flat at 0', async () => {
    expect(await gradientAt([-1, 0, 2], (g, x) => g.Relu(x))).toEqual([0, 0, 1]);
    expect(await gradientAt([-1, 0, 2], (g, x) => g.Abs(x))).toEqual([-1, 0, 1]);
  });
  test('Pow is finite for negative bases and at 0', async () => {
    expect(await gradientAt([-2, 0, 3], (g, x) => g.Pow(x, 2))).toEqual([-4, 0, 6]);
    expect(await gradientAt([-2, 0, 3], (g, x) => g.Pow(x, 3))).toEqual([12, 0, 27]);
    expect(await gradientAt([-2, 0, 3], (g, x) => g.Pow(x, 1))).toEqual([1, 1, 1]);
  });
  test('Pow takes an integer exponent', async () => {
    expect(await gradientAt([-2, 3], (g, x) => g.Pow(x, g.scalar(2, 'int64')))).toEqual([-4, 6]);
  });
  test('Where lets no NaN through from the branch that was not taken', async () => {
    const f = (g: GraphBuilder, x: Value): Value => g.Where(g.Greater(x, 0), x, g.scalar(NaN));
    expect(await gradientAt([-1, 2], f)).toEqual([0, 1]);
  });
  test('Softmax of a row with masked entries has gradient 0 there', async () => {
    const f = (g: GraphBuilder, x: Value): Value => {
      const masked = g.Add(x, g.constant(float32([0, -Infinity, 0], [3])));
      return g.Mul(g.Softmax(masked, 0), g.constant(float32([1, 2, 0], [3])));
    };
    // Over two equal entries: y = [½, 0, ½], dx = y·(w − Σ y·w) with w = [1, 2, 0].
    expect(await gradientAt([1, 5, 1], f)).toEqual([0.25, 0, -0.25]);
  });
});

describe('what has no rule', () => {
  test('an operator either has a gradient or ends it', () => {
    expect(Object.keys(gradientRules).filter((op) => stopGradientOps.has(op))).toEqual([]);
  });
  test.each<[string, (g: GraphBuilder, x: Value) => Value]>([
    ['Pad "Pad_0" with mode "reflect"', (g, x) => g.emit('Pad', [x, g.ints([1, 1])], { mode: 'reflect' })],
    [
      'MaxPool "MaxPool_1" needs opset 16',
      (g, x) => g.emit('MaxPool', [g.Reshape(x, [1, 1, 6])], { kernel_shape: [2] }),
    ],
    ['for the equation "i->"', (g, x) => g.emit('Einsum', [x], { equation: 'i->' })],
    [
      'is in training mode',
      (g, x) => {
        const c = g.constant(float32([1], [1]));
        return g.emit('BatchNormalization', [g.Reshape(x, [2, 1, 3]), c, c, c, c], { training_mode: 1 });
      },
    ],
  ])('%s', (message, f) => {
    const build = (): unknown => differentiated({ x: [6] }, ['x'], (g, { x }) => g.ReduceSum(f(g, x!), [], false), 13);
    expect(build).toThrow(expect.objectContaining({ code: 'NO_GRADIENT', message: expect.stringContaining(message) }));
  });
});
