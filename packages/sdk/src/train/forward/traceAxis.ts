/** @file Follows one axis of a value back through a node: which axis of each input holds the same rows. */

import type { NodeProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { intAttribute, intsAttribute } from '../../graph/walk.ts';

/** An axis of an input, or `whole` where each part of the output needs all of it. */
export type TracedAxis = number | 'whole';

type Rule = (site: {
  readonly node: NodeProto;
  readonly axis: number;
  readonly parts: number;
  readonly x: readonly (readonly number[])[];
  readonly y: readonly number[];
}) => readonly TracedAxis[] | undefined;

const elementwise: Rule = ({ axis, x, y }) =>
  x.map((shape) => {
    const own = axis - (y.length - shape.length);
    return own < 0 || shape[own] === 1 ? 'whole' : own;
  });

const softmax: Rule = ({ node, axis, y }) => {
  const over = intAttribute(node, 'axis', -1);
  return (over < 0 ? over + y.length : over) === axis ? undefined : [axis];
};

/** Rows need rows of the left operand, columns those of the right, and batches both. */
const matMul: Rule = ({ axis, x: [a, b], y }) => {
  const rank = y.length;
  if (a!.length < 2 || b!.length < 2) return undefined;
  if (axis === rank - 2) return [a!.length - 2, 'whole'];
  if (axis === rank - 1) return ['whole', b!.length - 1];
  return [a!, b!].map((shape) => {
    const own = axis - (rank - shape.length);
    return own < 0 || shape[own] === 1 ? 'whole' : own;
  });
};

const transpose: Rule = ({ node, axis, y }) => [
  (intsAttribute(node, 'perm') ?? y.map((_, i) => y.length - 1 - i))[axis]!,
];

/** Equal parts of an axis stay together when as many elements lie before it on both sides, and both divide. */
const reshape: Rule = ({ axis, parts, x, y }) => {
  const before = (shape: readonly number[], at: number): number => shape.slice(0, at).reduce((a, b) => a * b, 1);
  const from = x[0]!;
  const own = from.findIndex((size, i) => size > 1 && size % parts === 0 && before(from, i) === before(y, axis));
  return own < 0 ? undefined : [own, ...x.slice(1).map((): TracedAxis => 'whole')];
};

const elementwiseOps = ['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Exp', 'Tanh', 'Where', 'Cast', 'Identity', 'IsNaN', 'Equal', 'Max', 'Min']; // prettier-ignore

const rules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(elementwiseOps.map((op) => [op, elementwise])),
  Softmax: softmax,
  MatMul: matMul,
  Transpose: transpose,
  Reshape: reshape,
  Unsqueeze: reshape,
  Squeeze: reshape,
  Expand: (site) => [elementwise({ ...site, x: [site.x[0]!] })![0]!, 'whole'],
};

/** Whether {@link traceAxis} knows the operator. */
export function isTraceable({ opType = '', domain = '' }: NodeProto): boolean {
  return domain === '' && Object.hasOwn(rules, opType);
}

/**
 * For a node whose output is computed in `parts` equal parts of `axis`: the axis of each input whose parts these need.
 * Undefined where parts of the output cannot be computed from parts of the inputs.
 */
export function traceAxis(
  node: NodeProto,
  axis: number,
  parts: number,
  typeOf: (name: string) => ValueType | undefined,
): readonly TracedAxis[] | undefined {
  const y = typeOf(node.output![0]!)?.shape;
  const x = (node.input ?? []).map((name) => typeOf(name)?.shape);
  if (!isTraceable(node) || !isStatic(y) || !x.every((each) => isStatic(each))) return undefined;
  return rules[node.opType!]!({ node, axis, parts, x, y });
}
