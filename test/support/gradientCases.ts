/** @file The numeric checks of the gradient table: a row per operator, run on the CPU and on WebGPU. */

import { float } from '../../packages/sdk/src/graph/attributes.ts';
import type { DifferentiableOp, StraightThroughOp } from '../../packages/sdk/src/autodiff/rules.ts';
import { type Cases, from, single } from './caseForms.ts';
import type { Case, Domain } from './gradcheck.ts';
import { imageCases } from './imageCases.ts';
import { movementCases } from './movementCases.ts';
import { recurrentCases } from './recurrentCases.ts';

const MAX = Number.MAX_SAFE_INTEGER;

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
  [[0, 3], [3]],
]; // prettier-ignore

const binary = (a: Domain, b: Domain): Cases =>
  pairs.map(([left, right]): Case => ({ inputs: [from(a, ...left), from(b, ...right)] })) as [Case, ...Case[]];

const twice = (domain: Domain): Case => ({ inputs: [from(domain, 2, 3), { same: 0 }] });

/** An operator of one input that bends: an odd number of elements keeps distinct values away from multiples of ½. */
const activation = (domain: Domain, ...attributes: NonNullable<Case['attributes']>[]): Cases =>
  [...attributes.map((each) => ({ inputs: [from(domain, 3, 5)], attributes: each })), { inputs: [[0, 3]] }].map(
    (each): Case => ({ ...each, type: 'float32' }),
  ) as unknown as Cases;

const extremes: Cases = [
  ...binary('any', 'any'),
  twice('any'),
  { inputs: [[2, 3]] },
  { inputs: [[2, 3], [3], [2, 1]] },
  { inputs: [[2, 3], [], { same: 0 }, [2, 3]] },
  { inputs: [[0, 3], [3]] },
  { inputs: [from('distinct', 2, 4), { floats: [0.25], dims: [] }], opset: 10, type: 'float32' },
];

/** By head and not, in halves and in pairs, of all features and of the first, by a first position and by each position's own. */
const rotations: Cases = single(
  ...([
    { inputs: [[2, 3, 4, 6], { ints: [0] }, [4, 3], [4, 3]] },
    { inputs: [[2, 3, 12], { ints: [1, 0, 3, 2, 2, 1], dims: [2, 3] }, [4, 2], [4, 2]] },
    { inputs: [[1, 2, 3, 4], { ints: [1] }, [4, 2], [4, 2]], attributes: { interleaved: 1 } },
    { inputs: [[2, 3, 16], { ints: [0] }, [3, 2], [3, 2]], attributes: { num_heads: 2, rotary_embedding_dim: 4 } },
  ].map((each) => ({ ...each, domain: 'com.microsoft' })) as unknown as Cases),
  { inputs: [[2, 3, 4, 6], [5, 3], [5, 3], { ints: [1, 0, 3, 2, 2, 1, 4, 0], dims: [2, 4] }], opset: 23 },
  {
    inputs: [
      [2, 3, 4, 6],
      [2, 4, 3],
      [2, 4, 3],
    ],
    opset: 23,
    attributes: { interleaved: 1 },
  },
);

const rmsNorms: Cases = [
  { inputs: [[2, 2, 5], from('nonzero', 5)] },
  { inputs: [[2, 3, 2], from('nonzero', 3, 2)], attributes: { axis: 1, epsilon: 0.25 } },
  { inputs: [[2, 3, 2], from('nonzero', 2)], attributes: { axis: -1, epsilon: 0.5 } },
  { inputs: [[0, 4], from('nonzero', 4)] },
];

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
  [[0, 3], [3, 4]],
  [[2, 0], [0, 4]],
  [[2, 0, 3], [2, 3, 2]],
]; // prettier-ignore

const gemmShapes = [
  { inputs: [[2, 3], [3, 4]], attributes: {} },
  { inputs: [[2, 3], [4, 3]], attributes: { transB: 1 } },
  { inputs: [[3, 2], [3, 4]], attributes: { transA: 1 } },
  { inputs: [[3, 2], [4, 3]], attributes: { transA: 1, transB: 1 } },
]; // prettier-ignore
const gemmBiases = [[2, 4], [4], [2, 1], [1, 4], [1], []];

const noop = 'It yields x itself where it should take the square or the logarithm of each element.';

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
  { inputs: [from(domain, 2, 3)], attributes: { noop_with_empty_axes: 1 }, webgpu: noop },
  { inputs: [from(domain, 2, 3), { ints: [] }], attributes: { noop_with_empty_axes: 1 }, webgpu: noop },
  { inputs: [from(domain, 2, 3), { ints: [] }], attributes: { keepdims: 0 } },
  { inputs: [from(domain, 0, 3), { ints: [1] }], ...(domain === 'distinct' && { webgpu: 'It refuses empty tensors.' }) },
] as unknown as Cases; // prettier-ignore

const softmaxes: Cases = [
  { inputs: [[2, 4]] },
  { inputs: [[0, 4]], webgpu: 'It refuses empty tensors.' },
  { inputs: [[2, 3, 2]], attributes: { axis: 1 } },
  { inputs: [[2, 3, 2]], attributes: { axis: -3 } },
  // Before opset 13 everything from the axis on, 1 by default, is one row.
  { inputs: [[2, 3, 2]], opset: 12 },
  { inputs: [[2, 3, 2]], attributes: { axis: -1 }, opset: 11 },
  { inputs: [[2, 3, 2]], attributes: { axis: 0 }, opset: 12, webgpu: 'It fails on rows over several axes.' },
];

const einsum = (equation: string, ...inputs: number[][]): Case => ({ inputs, attributes: { equation } });

const einsums: Cases = [
  einsum('bhwc,hkc->bhwk', [2, 3, 4, 5], [3, 6, 5]),
  einsum('ij, jk, k -> ik', [2, 3], [3, 4], [4]),
  einsum('ij,ij->', [2, 3], [2, 3]),
  einsum('ij->ji', [2, 3]),
  // An output that is not written: the letters that stand once, sorted.
  einsum('ba', [2, 3]),
  einsum('bj,jA->Ab', [2, 3], [3, 4]),
  einsum('ij,ij', [2, 3], [2, 3]),
  // Ellipses in the middle, broadcast, and with an output that is not written.
  einsum('...ij,...jk->...ik', [2, 2, 3], [2, 3, 2]),
  { ...einsum('...ij,...jk->...ik', [2, 1, 2, 3], [1, 4, 3, 2]), webgpu: 'It refuses to broadcast.' },
  einsum('a...b,b...->a...', [2, 3, 4], [4, 3]),
  einsum('a...b,b->a...', [2, 3, 2, 4], [4]),
  einsum('...i,...i', [2, 3], [2, 3]),
  einsum('...->...', [2, 3]),
  einsum('i...->...', [2, 3]),
  // Diagonals, traces, and a diagonal that meets another operand.
  einsum('ii->i', [3, 3]),
  einsum('ii', [3, 3]),
  einsum('iij->ji', [2, 2, 3]),
  einsum('iji,j->i', [2, 3, 2], [3]),
  einsum('iii->i', [2, 2, 2]),
  // Letters that stand in one operand alone.
  einsum('ij->i', [2, 3]),
  einsum('i->', [3]),
  einsum('ijk,j->', [2, 3, 2], [3]),
  einsum('ij,kl->il', [2, 3], [2, 4]),
  einsum('i,j->ij', [2], [3]),
  // A dimension of size 1 that is broadcast.
  { ...einsum('ij,jk->ik', [2, 1], [3, 4]), webgpu: 'It does not broadcast, and reads other memory.' },
  { ...einsum('ij,jk->ik', [2, 3], [1, 4]), webgpu: 'It does not broadcast, and reads other memory.' },
  { inputs: [[3, 3], { same: 0 }], attributes: { equation: 'ij,jk->ik' } },
  { ...einsum('ij,jk->ik', [0, 3], [3, 2]), webgpu: 'A sum of nothing ends the process.' },
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
export const cases: { readonly [Op in Exclude<DifferentiableOp, StraightThroughOp>]: Cases } = {
  ...imageCases,
  ...movementCases,
  ...recurrentCases,
  Add: [...binary('any', 'any'), twice('any')],
  Sub: [...binary('any', 'any'), twice('any')],
  Mul: [...binary('any', 'any'), twice('any')],
  Div: [...binary('any', 'nonzero'), twice('nonzero')],
  Neg: [{ inputs: [[2, 3]] }, { inputs: [[0, 3]] }],
  Abs: [{ inputs: [from('nonzero', 2, 3)] }],
  Exp: [{ inputs: [[2, 3]] }, { inputs: [[0, 3]] }],
  Log: [{ inputs: [from('positive', 2, 3)] }],
  Sqrt: [{ inputs: [from('positive', 2, 3)] }],
  Reciprocal: [{ inputs: [from('nonzero', 2, 3)] }],
  Pow: [
    ...binary('positive', 'any').map((each) => ({ ...each, webgpu: 'It fails where the exponent is broadcast along its last axis.' })),
    twice('positive'),
    { inputs: [from('positive', 2, 3), [3]] },
    ...[0, 1, 2, 3, 4, -1].map((e): Case => ({ inputs: [from('nonzero', 2, 3), { ints: [e], dims: [] }] })),
    { inputs: [[2, 3], { ints: [2] }] },
  ] as unknown as Cases,
  Erf: single({ inputs: [[2, 3]] }),
  Tanh: [{ inputs: [[2, 3]] }, { inputs: [[0, 3]] }],
  Sigmoid: [{ inputs: [[2, 3]] }, { inputs: [[0, 3]] }],
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
  BiasGelu: single({ inputs: [[2, 3, 5], [5]], domain: 'com.microsoft' }),
  FastGelu: single({ inputs: [[3, 5]], domain: 'com.microsoft' }, { inputs: [[2, 3, 5], [5]], domain: 'com.microsoft' }),
  RotaryEmbedding: rotations,
  Softmax: softmaxes,
  LogSoftmax: softmaxes,
  LayerNormalization: [
    { inputs: [[2, 2, 5], from('nonzero', 5), [5]] },
    { inputs: [[2, 2, 5], from('nonzero', 5)], attributes: { axis: -1, epsilon: 0.25 } },
    { inputs: [[2, 3, 2], from('nonzero', 3, 2), [3, 2]], attributes: { axis: 1 } },
    { inputs: [[2, 3, 2], from('nonzero', 3, 2), [3, 2]], attributes: { axis: -2, epsilon: 0.5 } },
    { inputs: [[2, 3], from('nonzero', 2, 3), [2, 3]], attributes: { axis: 0 } },
    { inputs: [[2, 2, 5], from('nonzero', 5), [5]], type: 'float32' },
    { inputs: [[2, 3, 2], from('nonzero', 3, 2), [3, 2]], attributes: { axis: 1 }, type: 'float32' },
    { inputs: [[2, 3, 2], from('nonzero', 2)], attributes: { axis: -1 }, type: 'float32', opset: 16 },
    { inputs: [[0, 4], from('nonzero', 4), [4]], type: 'float32' },
  ],
  MatMul: [
    ...products.map(([a, b]): Case => ({ inputs: [a, b], ...(a[1] === 0 && { webgpu: 'A sum of nothing ends the process.' }) })), { inputs: [[3, 3], { same: 0 }] }] as unknown as Cases,
  Gemm: [
    ...gemmShapes.map((each): Case => each),
    ...gemmShapes.map(({ inputs, attributes }): Case => ({
      inputs: [...inputs, [4]],
      attributes: { ...attributes, alpha: 0.5, beta: -2.25 },
    })),
    ...gemmBiases.map((bias): Case => ({ inputs: [[2, 3], [3, 4], bias], attributes: { beta: 0.25, alpha: float(2) } })),
    { inputs: [[3, 3], { same: 0 }] },
  ] as unknown as Cases,
  BatchNormalization: single(
    { inputs: [[2, 3, 2, 2], [3], [3], from('any', 3), from('positive', 3)] },
    { inputs: [[2, 3, 4], [3], [3], from('any', 3), from('positive', 3)], attributes: { epsilon: 0.1 } },
  ),
  Einsum: einsums,
  Transpose: [
    { inputs: [[2, 3, 4]] },
    { inputs: [[2, 3, 4]], attributes: { perm: [1, 2, 0] } },
    { inputs: [[2, 0, 4]], attributes: { perm: [1, 2, 0] } },
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
    { inputs: [[2, 0], [2, 3]], attributes: { axis: 1 } },
    { inputs: [[2, 2]], attributes: { axis: 0 } },
    { inputs: [[0, 2], [3, 2], [0, 2]], attributes: { axis: 0 } },
  ],
  Split: [
    { inputs: [[2, 6], { ints: [1, 2, 3] }], attributes: { axis: 1 }, outputs: 3 },
    { inputs: [[2, 6], { ints: [1, 2, 3] }], attributes: { axis: -1 }, outputs: 3, read: [1] },
    { inputs: [[2, 6], { ints: [1, 2, 3] }], attributes: { axis: -1 }, outputs: 3, read: [0, 2] },
    { inputs: [[4, 3]], outputs: 2, opset: 13 },
    { inputs: [[5, 2]], attributes: { num_outputs: 2 }, outputs: 2 },
    { inputs: [[5, 2]], attributes: { split: [4, 1] }, outputs: 2, read: [1], opset: 12 },
    { inputs: [[2, 3], { ints: [0, 3] }], attributes: { axis: 1 }, outputs: 2 },
    { inputs: [[2, 3], { ints: [3, 0] }], attributes: { axis: 1 }, outputs: 2, read: [1] },
  ],
  Slice: [
    slice([4, 5], [1], [3]),
    slice([4, 5], [2], [2]),
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
  Expand: [
    { inputs: [[3, 1], { ints: [2, 3, 4] }] },
    { inputs: [[2, 3], { ints: [1, 1] }] },
    { inputs: [[1, 3], { ints: [0, 3] }] },
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
  Cast: [
    { inputs: [[2, 3]], attributes: { to: 11 }, type: 'float32', webgpu: 'It has no float64.' },
    { inputs: [[2, 3]], attributes: { to: 1 }, type: 'float32' },
  ],
  CastLike: [{ inputs: [[2, 3], [2]] }],
  Identity: [{ inputs: [[2, 3]] }, { inputs: [[0, 3]] }],
  ReduceSum: reduced('any', 13),
  ReduceMean: reduced('any', 18),
  ReduceMax: reduced('distinct', 18),
  ReduceMin: reduced('distinct', 18),
  ReduceL1: reduced('nonzero', 18),
  ReduceL2: reduced('nonzero', 18),
  ReduceSumSquare: reduced('any', 18),
  ReduceLogSum: reduced('positive', 18),
  ReduceLogSumExp: reduced('any', 18),
  ReduceProd: [
    ...reduced('nonzero', 18),
    { inputs: [{ floats: [2, 0, 3, -1, 0.5, 4, 0, 1, 0], dims: [3, 3] }, { ints: [1] }] },
  ],
  Sum: [
    ...binary('any', 'any'),
    twice('any'),
    { inputs: [[2, 3]] },
    { inputs: [[2, 3], [3], [2, 1], []] },
    { inputs: [[2, 3], { same: 0 }, { same: 0 }] },
  ],
  Mean: single(
    { inputs: [[2, 3]] },
    { inputs: [[2, 3], [2, 3]] },
    { inputs: [[2, 3], [3], [2, 1], []] },
    { inputs: [[2, 3], { same: 0 }, [3]] },
  ),
  Min: extremes,
  Max: extremes,
  Clip: [
    { inputs: [from('distinct', 2, 4), { floats: [-0.75], dims: [] }, { floats: [0.75], dims: [] }] },
    { inputs: [from('distinct', 2, 4), { floats: [-0.75], dims: [] }] },
    { inputs: [from('distinct', 2, 4), undefined, { floats: [0.25], dims: [] }] },
    { inputs: [from('distinct', 2, 4)] },
    { inputs: [[0, 3], { floats: [0], dims: [] }] },
    { inputs: [from('distinct', 8), { floats: [-0.75], dims: [] }, { floats: [0.25], dims: [] }], opset: 12 },
    { inputs: [from('distinct', 8), { floats: [-0.75], dims: [] }, { floats: [0.25], dims: [] }], opset: 11, type: 'float32' },
    { inputs: [from('distinct', 8)], attributes: { min: -0.75, max: 0.25 }, opset: 10, type: 'float32' },
    { inputs: [from('distinct', 8)], attributes: { max: 0.25 }, opset: 10, type: 'float32' },
  ],
  Mod: [
    { inputs: [{ floats: [5.5, -5.5, 1.2, -0.3], dims: [4] }, { floats: [2, 2.1, -0.7, 3], dims: [4] }], attributes: { fmod: 1 } },
    { inputs: [{ floats: [5.5, -5.5, 1.2, -0.3], dims: [2, 2] }, { floats: [0.8], dims: [] }], attributes: { fmod: 1 } },
  ],
  LeakyRelu: activation('nonzero', {}, { alpha: 0.3 }, { alpha: float(0) }),
  PRelu: [
    { inputs: [from('nonzero', 2, 3), [2, 3]] },
    { inputs: [from('nonzero', 2, 3, 2), [3, 1]] },
    { inputs: [from('nonzero', 2, 3), [1]] },
    { inputs: [from('nonzero', 2, 3), []] },
    { inputs: [from('nonzero', 0, 3), [3]] },
  ],
  ThresholdedRelu: activation('distinct', {}, { alpha: 0.5 }),
  Elu: activation('nonzero', {}, { alpha: 0.5 }),
  Selu: activation('nonzero', {}, { alpha: 1.5, gamma: 0.75 }),
  Celu: activation('nonzero', {}, { alpha: 0.5 }),
  HardSigmoid: activation('distinct', {}, { alpha: 0.25, beta: 0.375 }),
  HardSwish: activation('distinct', {}),
  Mish: activation('any', {}),
  Swish: activation('any', {}, { alpha: 1.5 }).map((each) => ({ ...each, opset: 24 })) as unknown as Cases,
  QuickGelu: activation('any', {}, { alpha: 0.5 }, { alpha: float(1) }).map((each) => ({ ...each, domain: 'com.microsoft' })) as unknown as Cases,
  Softsign: activation('nonzero', {}),
  Shrink: activation('distinct', {}, { lambd: float(1), bias: 0.25 }),
  Tan: single({ inputs: [from('small', 2, 3)] }),
  Asin: single({ inputs: [from('small', 2, 3)] }),
  Acos: single({ inputs: [from('small', 2, 3)] }),
  Atan: single({ inputs: [[2, 3]] }),
  Sinh: single({ inputs: [[2, 3]] }),
  Cosh: single({ inputs: [[2, 3]] }),
  Asinh: single({ inputs: [[2, 3]] }),
  Acosh: single({ inputs: [from('large', 2, 3)] }),
  Atanh: single({ inputs: [from('small', 2, 3)] }),
  CumSum: [
    { inputs: [[2, 3], { ints: [1], dims: [] }] },
    { inputs: [[2, 3], { ints: [-2], dims: [] }] },
    { inputs: [[2, 3, 2], { ints: [1] }], attributes: { exclusive: 1 } },
    { inputs: [[2, 3], { ints: [1], dims: [] }], attributes: { reverse: 1 } },
    { inputs: [[2, 3], { ints: [-1], dims: [] }], attributes: { reverse: 1, exclusive: 1 }, opset: 11 },
    { inputs: [[2, 3], { fed: [1], dims: [] }] },
    { inputs: [[0, 3], { ints: [1], dims: [] }] },
  ],
  Trilu: [
    { inputs: [[3, 4]] },
    { inputs: [[2, 3, 3]], attributes: { upper: 0 } },
    { inputs: [[3, 4], { ints: [1], dims: [] }] },
    { inputs: [[4, 3], { ints: [-1], dims: [] }], attributes: { upper: 0 }, opset: 14 },
    { inputs: [[3, 3], { fed: [-1], dims: [] }] },
  ],
  TopK: [
    { inputs: [from('distinct', 2, 5), { ints: [2] }], outputs: 2, read: [0] },
    { inputs: [from('distinct', 4, 3), { ints: [3] }], attributes: { axis: 0, largest: 0 }, outputs: 2, read: [0] },
    { inputs: [from('distinct', 2, 4, 2), { ints: [2] }], attributes: { axis: -2 }, outputs: 2, read: [0] },
    { inputs: [from('distinct', 2, 4), { ints: [0] }], outputs: 2, read: [0] },
    { inputs: [from('distinct', 2, 5), { ints: [2] }], outputs: 2, read: [0], opset: 11 },
    { inputs: [from('distinct', 2, 5), { ints: [2] }], outputs: 2, read: [0], opset: 10 },
    { inputs: [from('distinct', 2, 5)], attributes: { k: 2 }, outputs: 2, read: [0], opset: 9 },
  ],
  Dropout: [
    { inputs: [[2, 3]] },
    { inputs: [[2, 3], { floats: [0.25], dims: [] }] },
    { inputs: [[2, 3], { floats: [0.25], dims: [] }, { bools: [0], dims: [] }], outputs: 2, read: [0] },
    { inputs: [[2, 3], { floats: [0.25], dims: [] }], opset: 12 },
    { inputs: [[2, 3], undefined, { bools: [0], dims: [] }], outputs: 2, read: [0], opset: 22 },
    { inputs: [[2, 3]], attributes: { ratio: 0.5 }, opset: 10 },
    { inputs: [[2, 3]], attributes: { ratio: 0.5 }, opset: 8, type: 'float32' },
    { inputs: [[0, 3], { floats: [0.25], dims: [] }, { bools: [0], dims: [] }], outputs: 2, read: [0] },
  ],
  RMSNormalization: rmsNorms.map((each) => ({ ...each, opset: 23 })) as unknown as Cases,
  SimplifiedLayerNormalization: rmsNorms,
  InstanceNormalization: single(
    { inputs: [[2, 3, 4], from('nonzero', 3), [3]] },
    { inputs: [[2, 3, 2, 3], from('nonzero', 3), [3]], attributes: { epsilon: 0.25 } },
    { inputs: [[1, 2, 3, 2, 2], from('nonzero', 2), [2]], opset: 15 },
    { inputs: [[2, 3, 4], from('nonzero', 3), [3]], opset: 22 },
  ),
  GroupNormalization: single(
    { inputs: [[2, 4, 3], from('nonzero', 4), [4]], attributes: { num_groups: 2 }, opset: 21 },
    { inputs: [[2, 4, 2, 2], from('nonzero', 4), [4]], attributes: { num_groups: 1, epsilon: 0.25 }, opset: 21 },
    { inputs: [[2, 4, 5], from('nonzero', 4), [4]], attributes: { num_groups: 4 }, opset: 22 },
    { inputs: [[2, 4, 3], from('nonzero', 2), [2]], attributes: { num_groups: 2 }, opset: 18 },
    { inputs: [[1, 6, 2, 2], from('nonzero', 3), [3]], attributes: { num_groups: 3 }, opset: 20 },
  ),
  LpNormalization: [
    { inputs: [from('nonzero', 2, 4)] },
    { inputs: [from('nonzero', 2, 3, 2)], attributes: { axis: 1, p: 2 } },
    { inputs: [from('nonzero', 2, 4)], attributes: { p: 1 } },
    { inputs: [from('nonzero', 3, 2)], attributes: { axis: -2, p: 1 }, opset: 22 },
  ],
  LRN: single(
    { inputs: [[1, 5, 2, 2]], attributes: { size: 3, alpha: 0.9, beta: 0.5, bias: float(1) } },
    { inputs: [[2, 4, 3, 1]], attributes: { size: 5, alpha: 0.5 } },
    { inputs: [[1, 3, 2, 2]], attributes: { size: 7, alpha: 0.5, bias: float(2) }, opset: 12 },
    { inputs: [[2, 3, 1, 2]], attributes: { size: 1 } },
  ),
  MeanVarianceNormalization: single(
    { inputs: [[2, 3, 2, 2]] },
    { inputs: [[2, 3, 4]], attributes: { axes: [-1] } },
    { inputs: [[2, 3, 2, 2]], attributes: { axes: [2, 3] }, opset: 9 },
  ),
}; // prettier-ignore
