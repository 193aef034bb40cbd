/** @file What a rule of inference sees, and what many of them ask. */

import type { NodeProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { intsAttribute } from '../../graph/walk.ts';
import { symbol } from '../dim.ts';

/** What a rule sees: the node, the types of its inputs (undefined for an omitted one), and the opset of its domain. */
export interface InferenceSite {
  /** The node. */
  readonly node: NodeProto;
  /** Types of its inputs, in order. */
  readonly inputs: readonly (ValueType | undefined)[];
  /** Version of the operator set of the node's domain. */
  readonly opset: number;
}

/** The types of a node's outputs, in order; fewer where no more is known. */
export type Rule = (site: InferenceSite) => readonly ValueType[];

/** The type of input number `index`; `{}` for one that is omitted. */
export const input = ({ inputs }: InferenceSite, index = 0): ValueType => inputs[index] ?? {};

/** The element type of the first input. */
export const firstType = (site: InferenceSite): ValueType['type'] => input(site).type;

/** Same type and shape as the first input, for each of `count` outputs. */
export const like =
  (count: number): Rule =>
  (site) =>
    Array.from({ length: count }, () => ({ type: input(site).type, shape: input(site).shape }));

/** The type of the first input, in a shape that is made of its own; unknown where that is, or what is made of it. */
export const shaped =
  (make: (shape: readonly Dim[], site: InferenceSite) => readonly Dim[] | undefined): Rule =>
  (site) => {
    const { type, shape } = input(site);
    return [{ type, shape: shape && make(shape, site) }];
  };

/** Axes as attribute (older opsets) or as input number `index`; undefined where they are absent or not known. */
export function axesOf(site: InferenceSite, index: number): readonly number[] | undefined {
  return intsAttribute(site.node, 'axes') ?? numbersIn(input(site, index));
}

/** The contents of a value, where all of them are numbers. */
export function numbersIn({ ints }: ValueType): readonly number[] | undefined {
  return ints?.every((value) => typeof value === 'number') ? (ints as readonly number[]) : undefined;
}

/** A size that nothing is known of: the node's own, for position `key` of its output number `output`. */
export function unknownDim({ node }: InferenceSite, key: number | string, output = 0): Dim {
  return symbol(`?${node.output?.[output] ?? ''}.${key}`);
}
