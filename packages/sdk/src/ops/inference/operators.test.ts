/** @file Inferred types and shapes of single operators against what ONNX Runtime really computes. */

import { describe, expect, test } from 'vitest';
import { modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { type Attributes, float } from '../../graph/attributes.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import type { ValueType } from '../../graph/value.ts';
import { type DataType, sizeOf, type Tensor, tensor } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import { constantType } from './sources.ts';

/** A node with constant inputs. */
interface Case {
  readonly inputs?: readonly (Tensor | undefined)[];
  readonly attributes?: Attributes;
  /** 18 by default. */
  readonly opset?: number;
  readonly domain?: string;
  /** How many outputs; 1 by default. */
  readonly outputs?: number;
  /** Positions of the outputs' dimensions that only running tells, as `output.dimension`. */
  readonly open?: readonly string[];
}

const filled = (type: DataType, dims: readonly number[], values: readonly number[]): Tensor => {
  const size = sizeOf(dims);
  const data = Array.from({ length: size }, (_, i) => values[i % values.length]!);
  if (type === 'int64') return tensor(type, BigInt64Array.from(data, BigInt), dims);
  const arrays = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array };
  return tensor(type, arrays[type as keyof typeof arrays].from(data), dims) as Tensor;
};
const x = (...dims: number[]): Tensor => filled('float32', dims, [0.5, -1.25, 3, 0, 2]);
const ints = (...values: number[]): Tensor => filled('int64', [values.length], values);
const int = (value: number): Tensor => filled('int64', [], [value]);
const whole = (...values: number[]): Tensor => filled('float32', [values.length], values);
const u8 = (...dims: number[]): Tensor => filled('uint8', dims, [3, 200, 17]);
const i8 = (...dims: number[]): Tensor => filled('int8', dims, [3, -100, 17]);
const one = filled('float32', [], [0.5]);
const zero = filled('uint8', [], [0]);
const bools = (...dims: number[]): Tensor => filled('bool', dims, [1, 0, 1]);
const ms = 'com.microsoft';

const cases: Readonly<Record<string, Case | readonly Case[]>> = {
  BitShift: { inputs: [u8(2, 3), u8(3)], attributes: { direction: 'LEFT' } },
  BitwiseAnd: { inputs: [u8(2, 1), u8(3)] },
  BitwiseNot: { inputs: [u8(2, 1)] },
  Acosh: { inputs: [x(2)] },
  Shrink: { inputs: [x(2, 3)] },
  PRelu: { inputs: [x(2, 3), x(3)] },
  Celu: { inputs: [x(2, 3)] },
  IsInf: { inputs: [x(2)] },
  Mod: [{ inputs: [ints(-7, 7), ints(3)] }, { inputs: [ints(-7, 7), ints(3)], attributes: { fmod: 1 } }],
  Div: [{ inputs: [ints(-7, 6), ints(2)] }, { inputs: [whole(7, 6), whole(2)] }, { inputs: [x(3), whole(0)] }],
  Min: { inputs: [ints(5, 1), ints(3), ints(4, 4)] },
  Max: { inputs: [ints(5, 1)] },
  Neg: { inputs: [ints(5, -1)] },
  Floor: [{ inputs: [whole(3, 4)] }, { inputs: [x(3)] }],
  Ceil: { inputs: [x(3)] },
  Round: { inputs: [filled('float32', [6], [0.5, 1.5, 2.5, -0.5, -1.5, 1.25])] },
  Sqrt: [{ inputs: [whole(16, 2)] }, { inputs: [whole(-1)] }],
  Reciprocal: [{ inputs: [whole(4, 3)] }, { inputs: [whole(0)] }],
  Pow: [{ inputs: [whole(16, 4), filled('float32', [1], [0.5])] }, { inputs: [ints(3), ints(2)] }],
  And: { inputs: [bools(3), filled('bool', [3], [1, 1, 0])] },
  Xor: { inputs: [bools(3), filled('bool', [3], [1, 1, 0])] },
  Not: { inputs: [bools(3)] },
  Cast: [
    { inputs: [ints(5, 0)], attributes: { to: 9 } },
    { inputs: [ints(2 ** 40, 1)], attributes: { to: 6 } },
    { inputs: [whole(3, 4)], attributes: { to: 7 } },
    { inputs: [x(3)], attributes: { to: 7 } },
  ],
  CastLike: { inputs: [ints(5, 0), x(1)], opset: 19 },
  Dropout: { inputs: [x(2, 3)], outputs: 2 },
  Trilu: { inputs: [x(3, 3), int(1)] },
  CumSum: { inputs: [x(3, 3), int(1)] },
  ReverseSequence: { inputs: [x(4, 2), ints(2, 4)] },
  ScatterND: { inputs: [x(4, 2), filled('int64', [2, 1], [0, 2]), x(2, 2)] },
  ScatterElements: { inputs: [x(4, 2), filled('int64', [1, 2], [0, 1]), x(1, 2)] },
  ReduceProd: [
    { inputs: [ints(5, 2)], attributes: { keepdims: 0 } },
    { inputs: [x(2, 3, 4), ints(0, -1)], attributes: { keepdims: 0 } },
    { inputs: [x(2, 3), ints()], attributes: { noop_with_empty_axes: 1 } },
  ],
  ReduceMax: { inputs: [ints(5, 2)] },
  ReduceLogSumExp: { inputs: [x(2, 3), ints(1)] },
  InstanceNormalization: { inputs: [x(2, 3, 4), x(3), x(3)] },
  GroupNormalization: { inputs: [x(2, 4, 4), x(2), x(2)], attributes: { num_groups: 2 } },
  LpNormalization: { inputs: [x(2, 3)] },
  MeanVarianceNormalization: { inputs: [x(2, 3, 2, 2)] },
  LRN: { inputs: [x(2, 3, 2, 2)], attributes: { size: 3 } },
  BatchNormalization: { inputs: [x(2, 3, 2, 2), x(3), x(3), x(3), whole(1, 2, 3)] },
  Einsum: [
    { inputs: [x(2, 3, 4), x(5, 4)], attributes: { equation: '...ij,kj->...ik' } },
    { inputs: [x(5, 3, 4), x(5, 4, 2)], attributes: { equation: '...ij,...jk' } },
    { inputs: [x(2, 3), x(3, 4)], attributes: { equation: 'zb,ba' } },
    { inputs: [x(3, 3)], attributes: { equation: 'ii' } },
  ],
  ConvTranspose: [
    { inputs: [x(1, 2, 5, 4), x(2, 3, 3, 3)], attributes: { strides: [2, 2], auto_pad: 'SAME_UPPER' } },
    { inputs: [x(1, 2, 5, 4), x(2, 3, 3, 3)], attributes: { strides: [2, 2], output_shape: [11, 8] } },
    { inputs: [x(1, 2, 5), x(2, 3, 4)], attributes: { strides: [3], pads: [1, 2], dilations: [2], group: 2 } },
  ],
  Conv: { inputs: [x(1, 2, 9, 8), x(3, 2, 3, 2)], attributes: { dilations: [2, 1], auto_pad: 'VALID', strides: [2, 3] } },
  ConvInteger: { inputs: [u8(1, 2, 5, 4), u8(3, 2, 3, 3)] },
  Det: { inputs: [x(2, 3, 3)] },
  LpPool: { inputs: [x(1, 2, 5, 5)], attributes: { kernel_shape: [2, 2] } },
  GlobalLpPool: { inputs: [x(1, 2, 5, 5)] },
  MaxUnpool: [
    { inputs: [x(1, 1, 2, 2), filled('int64', [1, 1, 2, 2], [5, 7, 13, 15])], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
    { inputs: [x(1, 1, 2, 2), filled('int64', [1, 1, 2, 2], [5, 7, 13, 15]), ints(1, 1, 5, 5)], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  ],
  Col2Im: { inputs: [x(1, 8, 4), ints(4, 4), ints(2, 2)], attributes: { strides: [2, 2] } },
  Resize: [
    { inputs: [x(1, 2, 3, 4), undefined, whole(1, 1, 2, 3)] },
    { inputs: [x(1, 2, 3, 4), undefined, undefined, ints(1, 2, 5, 6)] },
    { inputs: [x(1, 2, 3, 4), undefined, undefined, ints(5, 6)], attributes: { axes: [2, 3] } },
    { inputs: [x(1, 2, 3, 4), undefined, undefined, ints(7, 6)], attributes: { axes: [2, 3], keep_aspect_ratio_policy: 'not_larger' }, open: ['0.2', '0.3'] },
    { inputs: [x(1, 2, 3, 4), whole(1, 1, 2, 2)], opset: 10 },
    { inputs: [x(1, 2, 3, 4), undefined, filled('float32', [4], [1, 1, 1.5, 2])] },
  ],
  Upsample: { inputs: [x(1, 2, 3, 4), whole(1, 1, 2, 3)], opset: 9 },
  DepthToSpace: { inputs: [x(1, 8, 3, 4)], attributes: { blocksize: 2 } },
  SpaceToDepth: { inputs: [x(1, 2, 6, 4)], attributes: { blocksize: 2 } },
  GridSample: { inputs: [x(2, 3, 4, 5), x(2, 6, 7, 2)] },
  AffineGrid: { inputs: [x(2, 2, 3), ints(2, 3, 4, 5)], opset: 20 },
  CenterCropPad: [{ inputs: [x(4, 5), ints(2, 6)] }, { inputs: [x(4, 5), ints(6)], attributes: { axes: [-1] } }],
  RoiAlign: { inputs: [x(1, 2, 6, 6), whole(0, 0, 3, 3), ints(0)].map((each, i) => (i === 1 ? { ...each, dims: [1, 4] } : each)), attributes: { output_height: 2, output_width: 3 } },
  MaxRoiPool: { inputs: [x(1, 2, 6, 6), filled('float32', [1, 5], [0, 0, 0, 3, 3])], attributes: { pooled_shape: [2, 3] } },
  NonMaxSuppression: { inputs: [x(1, 3, 4), x(1, 2, 3), ints(2)], open: ['0.0'] },
  Reshape: { inputs: [x(4, 6), ints(0, -1, 2)] },
  Squeeze: [{ inputs: [x(1, 2, 1)] }, { inputs: [x(1, 2, 1), ints(-1)] }],
  Split: [
    { inputs: [x(2, 7), ints(3, 4)], attributes: { axis: 1 }, outputs: 2 },
    { inputs: [ints(1, 2, 3, 4)], attributes: { num_outputs: 2 }, outputs: 2 },
    { inputs: [x(6, 2)], opset: 13, outputs: 3 },
  ],
  Expand: { inputs: [ints(3), ints(4)] },
  Tile: { inputs: [x(2, 3), ints(2, 1)] },
  Pad: [{ inputs: [x(2, 3), ints(0, 1, 2, 1)], attributes: { mode: 'edge' } }, { inputs: [x(2, 3), ints(1, -1), undefined, ints(-1)] }],
  Slice: { inputs: [x(4, 5), ints(1), ints(4), ints(1)] },
  Gather: { inputs: [x(4, 5), filled('int64', [2, 2], [0, 3])], attributes: { axis: -1 } },
  GatherElements: { inputs: [x(4, 5), filled('int64', [2, 5], [0, 3])] },
  GatherND: { inputs: [x(2, 3, 4), filled('int64', [2, 1], [0, 2])], attributes: { batch_dims: 1 } },
  TopK: [{ inputs: [x(4, 5), ints(2)], attributes: { axis: 0 }, outputs: 2 }, { inputs: [x(4, 5)], attributes: { k: 3 }, opset: 9, outputs: 2 }],
  OneHot: { inputs: [ints(1, 0), int(3), whole(0, 1)], attributes: { axis: 0 } },
  NonZero: { inputs: [x(2, 3)], open: ['0.1'] },
  Compress: [{ inputs: [x(3, 2), bools(3)], attributes: { axis: 0 }, open: ['0.0'] }, { inputs: [x(3, 2), bools(3)], open: ['0.0'] }],
  Unique: [
    { inputs: [x(6)], outputs: 4, open: ['0.0', '1.0', '2.0', '3.0'] },
    { inputs: [x(4, 3)], attributes: { axis: 1 }, outputs: 4, open: ['0.1', '1.0', '2.0', '3.0'] },
  ],
  Constant: [
    { attributes: { value_ints: [3, 4] } },
    { attributes: { value_int: 3 } },
    { attributes: { value_float: float(3) } },
  ],
  ConstantOfShape: { inputs: [ints(2, 3)] },
  Range: { inputs: [int(2), int(9), int(3)] },
  Size: { inputs: [x(2, 3)] },
  RandomNormal: { attributes: { shape: [2, 3] } },
  RandomUniform: { attributes: { shape: [2, 3], dtype: 11 } },
  RandomNormalLike: { inputs: [x(2, 3)] },
  RandomUniformLike: { inputs: [ints(2, 3)], attributes: { dtype: 1 } },
  EyeLike: { inputs: [x(2, 3)], attributes: { dtype: 7 } },
  Bernoulli: { inputs: [filled('float32', [2, 3], [0.5])] },
  Multinomial: { inputs: [x(2, 3)], attributes: { sample_size: 4 } },
  HannWindow: [{ inputs: [int(10)] }, { inputs: [int(10)], attributes: { output_datatype: 11 } }],
  BlackmanWindow: { inputs: [int(10)] },
  MelWeightMatrix: { inputs: [int(8), int(16), int(8192), filled('float32', [], [0]), filled('float32', [], [4096])] },
  DFT: [
    { inputs: [x(2, 10, 1)], attributes: { axis: 1 } },
    { inputs: [x(2, 10, 1), int(8)], attributes: { axis: 1, onesided: 1 } },
    { inputs: [x(2, 10, 2), undefined, int(1)], attributes: { inverse: 1 }, opset: 20 },
  ],
  STFT: [
    { inputs: [x(2, 20, 1), int(4), x(8)] },
    { inputs: [x(2, 20, 1), int(4), undefined, int(8)], attributes: { onesided: 0 } },
  ],
  LSTM: [
    { inputs: [x(5, 2, 3), x(1, 16, 3), x(1, 16, 4)], attributes: { hidden_size: 4 }, outputs: 3 },
    { inputs: [x(5, 2, 3), x(2, 16, 3), x(2, 16, 4)], attributes: { hidden_size: 4, direction: 'bidirectional' }, outputs: 3 },
  ],
  GRU: { inputs: [x(5, 2, 3), x(1, 12, 3), x(1, 12, 4)], attributes: { hidden_size: 4 }, outputs: 2 },
  RNN: { inputs: [x(5, 2, 3), x(1, 4, 3), x(1, 4, 4)], attributes: { hidden_size: 4 }, outputs: 2 },
  QuantizeLinear: [{ inputs: [x(2, 3), one] }, { inputs: [x(2, 3), one, filled('int8', [], [1])] }],
  DequantizeLinear: { inputs: [u8(2, 3), one, zero] },
  DynamicQuantizeLinear: { inputs: [x(2, 3)], outputs: 3 },
  MatMulInteger: { inputs: [u8(2, 3), i8(3, 4)] },
  QLinearMatMul: { inputs: [u8(2, 3), one, zero, u8(3, 4), one, zero, one, zero] },
  QLinearConv: { inputs: [u8(1, 2, 5, 5), one, zero, u8(3, 2, 2, 2), one, zero, one, zero] },
  QGemm: [
    { domain: ms, inputs: [u8(2, 3), one, zero, u8(4, 3), one, zero], attributes: { transB: 1 } },
    { domain: ms, inputs: [u8(2, 3), one, zero, u8(3, 4), one, zero, undefined, one, zero] },
  ],
  QLinearAdd: { domain: ms, inputs: [u8(2, 3), one, zero, u8(3), one, zero, one, zero] },
  QLinearSoftmax: { domain: ms, inputs: [u8(2, 3), one, zero, one, zero], attributes: { opset: 13 } },
  QLinearAveragePool: { domain: ms, inputs: [u8(1, 5, 5, 2), one, zero, one, zero], attributes: { kernel_shape: [2, 2], channels_last: 1 } },
  QLinearGlobalAveragePool: { domain: ms, inputs: [u8(1, 5, 4, 2), one, zero, one, zero], attributes: { channels_last: 1 } },
  QLinearConcat: { domain: ms, inputs: [one, zero, u8(2, 3), one, zero, u8(2, 1), one, zero], attributes: { axis: 1 } },
  QLinearWhere: { domain: ms, inputs: [bools(3), u8(2, 3), one, zero, u8(1), one, zero, one, zero] },
  MatMulBnb4: { domain: ms, inputs: [x(2, 3, 16), u8(64), x(8)], attributes: { K: 16, N: 8, block_size: 16, quant_type: 1 } },
  NhwcMaxPool: { domain: ms, inputs: [u8(1, 5, 5, 2)], attributes: { kernel_shape: [2, 2] } },
  ExpandDims: { domain: ms, inputs: [x(2, 3), filled('int32', [], [-1])] },
}; // prettier-ignore

interface Outcome {
  readonly type: ValueType;
  readonly real: Tensor;
}

/** Runs the node once, and infers its outputs with and without the contents of its inputs. */
async function outcomes(op: string, each: Case): Promise<{ known: Outcome[]; fed: Outcome[] }> {
  const { inputs = [], attributes = {}, opset = 18, domain = '', outputs = 1 } = each;
  const values = inputs.map((given, i): Value | undefined =>
    given && { name: `in${i}`, ...constantType(tensorProto(`in${i}`, given)) },
  ); // prettier-ignore
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: '' });
  const results = g.emitMany(op, values, outputs, attributes, domain);
  const initializers = inputs.flatMap((given, i) => (given ? [tensorProto(`in${i}`, given)] : []));
  const names = results.map(({ name }) => name);
  const real = await runOnce(modelOf({ opset, inputs: [], outputs: names, nodes: g.nodes, initializers }), {});
  const contentless = values.map((value) => value && { type: value.type, shape: value.shape });
  const fed = inferNode({ node: g.nodes[0]!, inputs: contentless, opset });
  return {
    known: results.map((type) => ({ type, real: real[type.name]! })),
    fed: names.map((name, i) => ({ type: fed[i] ?? {}, real: real[name]! })),
  };
}

/** Claims that are not so. */
function wrong({ type, real }: Outcome): string[] {
  const sizes = type.shape?.every((dim, i) => typeof dim === 'string' || dim === real.dims[i]);
  return [
    ...(type.type === undefined || type.type === real.type ? [] : [`${type.type}, really ${real.type}`]),
    ...(!type.shape || (type.shape.length === real.dims.length && sizes) ? [] : [`${type.shape.join()}, really ${real.dims.join()}`]),
    ...(!type.ints || type.ints.join() === Array.from(real.data, Number).join() ? [] : [`holds ${type.ints.join()}`]),
  ]; // prettier-ignore
}

describe.each(Object.entries(cases).map(([op, each]) => [op, [each].flat() as Case[]] as const))('%s', (op, all) => {
  test.each(all.map((each) => [JSON.stringify(each.attributes ?? {}), each] as const))('%s', async (_, each) => {
    const { known, fed } = await outcomes(op, each);
    expect(known.flatMap(wrong)).toEqual([]);
    expect(fed.flatMap(wrong)).toEqual([]);
    expect([...known, ...fed].filter(({ type }) => !type.type)).toEqual([]);
    const unknown = known.flatMap(({ type, real }, i) =>
      real.dims.flatMap((_, k) => (typeof type.shape?.[k] === 'number' ? [] : [`${i}.${k}`])),
    );
    expect(unknown).toEqual(each.open ?? []);
  });
});

test.each([
  ['an operator without a row', { opType: 'Novelty', output: ['y'] }],
  ['a namesake of another domain', { opType: 'Relu', domain: 'com.example', output: ['y'] }],
  ['a sequence', { opType: 'SplitToSequence', output: ['y'] }],
])('%s is unknown', (_, node) => {
  expect(inferNode({ node, inputs: [{ type: 'float32', shape: [2] }], opset: 18 })).toEqual([]);
});
