/** @file Attributes of operators with the defaults that their schemas give them, where more than one reader asks for them. */

import type { NodeProto } from '../graph/proto.ts';
import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from '../graph/walk.ts';

/** Defaults that all operators share which have the attribute. */
const defaults = {
  allowzero: 0,
  auto_pad: 'NOTSET',
  batch_dims: 0,
  bits: 4,
  block_size: 0,
  blocksize: 1,
  channels_last: 0,
  direction: 'forward',
  epsilon: 1e-5,
  fmod: 0,
  group: 1,
  keepdims: 1,
  layout: 0,
  noop_with_empty_axes: 0,
  p: 2,
  training_mode: 0,
  transA: 0,
  transB: 0,
  transBatchA: 0,
  transBatchB: 0,
};

type Defaults = typeof defaults;

/** Where `axis` is not 0 by default. */
const axes: Readonly<Record<string, number>> = {
  DequantizeLinear: 1,
  Flatten: 1,
  LayerNormalization: -1,
  LogSoftmax: -1,
  LpNormalization: -1,
  OneHot: -1,
  QuantizeLinear: 1,
  RMSNormalization: -1,
  SimplifiedLayerNormalization: -1,
  Softmax: -1,
  TopK: -1,
};

const random: ReadonlySet<string> = new Set([
  'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike', 'Bernoulli', 'Multinomial',
]); // prettier-ignore

/** Whether a node gives something else each time: it draws, or drops what it draws of (since opset 12 where an input says so). */
export function isRandom({ opType = '', input = [] }: NodeProto): boolean {
  return random.has(opType) || (opType === 'Dropout' && Boolean(input[2]));
}

/** An attribute of a node, or its default. */
export function attributeOf<Name extends keyof Defaults>(node: NodeProto, name: Name): Defaults[Name] {
  const value: number | string = defaults[name];
  const read = typeof value === 'string' ? stringAttribute : Number.isInteger(value) ? intAttribute : floatAttribute;
  return (read as (node: NodeProto, name: string, fallback: unknown) => Defaults[Name])(node, name, value);
}

/** An axis counted from the front. */
export function fromFront(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** The attribute `axis` of a node, counted from the front of `rank` axes. Softmax had another default before opset 13. */
export function axisOf(node: NodeProto, rank: number, opset = 13): number {
  const { opType = '' } = node;
  const isOld = opset < 13 && (opType === 'Softmax' || opType === 'LogSoftmax');
  return fromFront(intAttribute(node, 'axis', isOld ? 1 : (axes[opType] ?? 0)), rank);
}

/** The order in which a Transpose has the axes of its operand: all turned round by default. */
export function permOf(node: NodeProto, rank: number): readonly number[] {
  return intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
}

/** The axes of an Einsum's operands and of its result, a letter for each. */
export interface Equation {
  readonly terms: readonly string[];
  /** Where it is not written, what stands once. */
  readonly result: string;
  readonly isWritten: boolean;
}

/** The equation of an Einsum. */
export function equationOf(node: NodeProto): Equation {
  const [left = '', written] = stringAttribute(node, 'equation', '').replaceAll(' ', '').split('->');
  const letters = [...left].filter((letter) => /[A-Za-z]/.test(letter));
  const once = letters.filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter)).sort();
  const result = written ?? `${left.includes('...') ? '...' : ''}${once.join('')}`;
  return { terms: left.split(','), result, isWritten: written !== undefined };
}
