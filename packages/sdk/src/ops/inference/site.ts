/** @file Input and helpers of inference rules. */

import type { NodeProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { intsAttribute } from '../../graph/walk.ts';
import { symbol } from '../dim.ts';

/** Input of an inference rule. */
export interface InferenceSite {
  /** The node. */
  readonly node: NodeProto;
  /** Types of its inputs, in order; undefined for an omitted one. */
  readonly inputs: readonly (ValueType | undefined)[];
  /** Opset of the node's domain. */
  readonly opset: number;
}

/** Types of a node's outputs, in order; fewer if no more are known. */
export type Rule = (site: InferenceSite) => readonly ValueType[];

/** The type of an input; `{}` for an omitted one. */
export const input = ({ inputs }: InferenceSite, index = 0): ValueType => inputs[index] ?? {};

/** The element type of the first input. */
export const firstType = (site: InferenceSite): ValueType['type'] => input(site).type;

/** The type and shape of the first input, for `count` outputs. */
export const like =
  (count: number): Rule =>
  (site) =>
    Array.from({ length: count }, () => ({ type: input(site).type, shape: input(site).shape }));

/** The first input's type with a shape made from its own; undefined if either is unknown. */
export const shaped =
  (make: (shape: readonly Dim[], site: InferenceSite) => readonly Dim[] | undefined): Rule =>
  (site) => {
    const { type, shape } = input(site);
    return [{ type, shape: shape && make(shape, site) }];
  };

/** The attribute `axes` (older opsets) or input `index`; undefined if absent or unknown. */
export function axesOf(site: InferenceSite, index: number): readonly number[] | undefined {
  return intsAttribute(site.node, 'axes') ?? numbersIn(input(site, index));
}

/** The contents of a value if all are numbers. */
export function numbersIn(value: Pick<ValueType, 'ints'> | undefined): readonly number[] | undefined {
  const ints = value?.ints;
  return ints?.every((each) => typeof each === 'number') ? (ints as readonly number[]) : undefined;
}

/** A symbol for an unknown dimension, unique to `key` of the node's output. */
export function unknownDim({ node }: InferenceSite, key: number | string, output = 0): Dim {
  return symbol(`?${node.output?.[output] ?? ''}.${key}`);
}
