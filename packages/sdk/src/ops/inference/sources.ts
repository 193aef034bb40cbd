/** @file Shape inference of generators: constants, sizes, ranges, random numbers, windows. */

import { dataTypeName } from '../../graph/dataType.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { readTensor } from '../../graph/tensorData.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { attribute, intAttribute, intsAttribute } from '../../graph/walk.ts';
import { product } from '../dim.ts';
import { firstType, type InferenceSite, input, type Rule, unknownDim } from './site.ts';

/** The type of an initializer or constant tensor, with contents of small ones. */
export function constantType(proto: TensorProto): ValueType {
  const type = dataTypeName(proto.dataType);
  const shape = proto.dims ?? [];
  const size = shape.length <= 1 ? (shape[0] ?? 1) : Infinity;
  const isInteger = type === 'int64' || type === 'int32' || type === 'bool';
  const isFloat = type === 'float32' || type === 'float64';
  if (size > 64 || !(isInteger || (isFloat && size <= 8))) return { type, shape };
  const ints = Array.from(readTensor(proto).data, Number);
  return { type, shape, ints: ints.every(Number.isFinite) ? ints : undefined };
}

const constant: Rule = ({ node }) => {
  const value = attribute(node, 'value')?.t;
  if (value) return [constantType(value)];
  const int = attribute(node, 'value_int');
  if (int) return [{ type: 'int64', shape: [], ints: [Number(int.i)] }];
  const ints = intsAttribute(node, 'value_ints');
  if (ints) return [{ type: 'int64', shape: [ints.length], ints: ints.length <= 64 ? ints : undefined }];
  const floats = attribute(node, 'value_floats')?.floats;
  if (floats) return [{ type: 'float32', shape: [floats.length], ints: floats.length <= 8 ? [...floats] : undefined }];
  const float = attribute(node, 'value_float');
  return float ? [{ type: 'float32', shape: [], ints: [float.f ?? 0] }] : [];
};

const constantOfShape: Rule = (site) => {
  const { ints: shape } = input(site);
  const proto = attribute(site.node, 'value')?.t;
  const value = proto ? readTensor(proto) : undefined;
  const type = value?.type ?? 'float32';
  const count = shape?.length === 1 && typeof shape[0] === 'number' && shape[0] <= 64 ? shape[0] : undefined;
  const ints =
    value && type === 'int64' && count !== undefined ? new Array<Dim>(count).fill(Number(value.data[0])) : undefined;
  return [{ type, shape, ints }];
};

/** Most elements of a known range: axes, but not positions, or graphs would differ by sequence length. */
const MOST_COUNTED = 2;

const range: Rule = (site) => {
  const [start, limit, delta] = [0, 1, 2].map((i) => input(site, i).ints?.[0]);
  const type = firstType(site);
  if (typeof start === 'number' && typeof limit === 'number' && typeof delta === 'number') {
    const count = Math.max(0, Math.ceil((limit - start) / delta));
    const ints = count <= MOST_COUNTED ? Array.from({ length: count }, (_, i) => start + i * delta) : undefined;
    return [{ type, shape: [count], ints }];
  }
  return [{ type, shape: [start === 0 && delta === 1 && limit !== undefined ? limit : unknownDim(site, 0)] }];
};

const shapeOf: Rule = (site) => {
  const { shape } = input(site);
  if (!shape) return [{ type: 'int64' }];
  const [start, end] = [intAttribute(site.node, 'start', 0), intAttribute(site.node, 'end', shape.length)];
  const ints = shape.slice(start, end);
  return [{ type: 'int64', shape: [ints.length], ints }];
};

const size: Rule = (site) => {
  const { shape } = input(site);
  return [{ type: 'int64', shape: [], ints: shape && [product(shape)] }];
};

function chosenType(site: InferenceSite, name: string, fallback: ValueType['type']): ValueType['type'] {
  const number = intAttribute(site.node, name, undefined);
  return number === undefined ? fallback : dataTypeName(number);
}

const random: Rule = (site) => [
  { type: chosenType(site, 'dtype', 'float32'), shape: intsAttribute(site.node, 'shape') },
];

const likeFirst: Rule = (site) => [{ type: chosenType(site, 'dtype', firstType(site)), shape: input(site).shape }];

const multinomial: Rule = (site) => {
  const { shape } = input(site);
  const samples = intAttribute(site.node, 'sample_size', 1);
  return [{ type: chosenType(site, 'dtype', 'int32'), shape: shape && [shape[0]!, samples] }];
};

/** A window function of the length in the input. */
const window: Rule = (site) => [
  { type: chosenType(site, 'output_datatype', 'float32'), shape: [input(site).ints?.[0] ?? unknownDim(site, 0)] },
];

const melWeightMatrix: Rule = (site) => {
  const [bins, length] = [0, 1].map((i) => input(site, i).ints?.[0]);
  const frequencies = typeof length === 'number' ? Math.floor(length / 2) + 1 : unknownDim(site, 0);
  const type = chosenType(site, 'output_datatype', 'float32');
  return [{ type, shape: [frequencies, bins ?? unknownDim(site, 1)] }];
};

export const sourceRules: Readonly<Record<string, Rule>> = {
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: range,
  Shape: shapeOf,
  Size: size,
  RandomNormal: random,
  RandomUniform: random,
  RandomNormalLike: likeFirst,
  RandomUniformLike: likeFirst,
  EyeLike: likeFirst,
  Bernoulli: likeFirst,
  Multinomial: multinomial,
  HannWindow: window,
  HammingWindow: window,
  BlackmanWindow: window,
  MelWeightMatrix: melWeightMatrix,
  SequenceLength: () => [{ type: 'int64', shape: [] }],
  OptionalHasElement: () => [{ type: 'bool', shape: [] }],
};
