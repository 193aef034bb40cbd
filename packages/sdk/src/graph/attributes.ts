/** @file Node attributes: plain values converted to protobuf messages. */

import { type AttributeProto, attributeType, type GraphProto } from './proto.ts';

/** Attributes of a node as plain values: integers become ints; `float(x)` makes an integer a float. */
export type Attributes = Readonly<
  Record<string, number | string | readonly number[] | FloatAttribute | GraphAttribute | undefined>
>;

/** Marks an attribute as a float even if its value is an integer. */
export interface FloatAttribute {
  readonly float: number;
}

/** A subgraph attribute: the body of a loop, or a branch. */
export interface GraphAttribute {
  /** The subgraph; may read values of the outer graph. */
  readonly graph: GraphProto;
}

/** A float attribute: `{ alpha: float(2) }`. */
export function float(value: number): FloatAttribute {
  return { float: value };
}

const text = new TextEncoder();

export function attributeProto(name: string, value: NonNullable<Attributes[string]>): AttributeProto {
  if (typeof value === 'string') return { name, type: attributeType.string, s: text.encode(value) };
  if (typeof value === 'object' && 'float' in value) return { name, type: attributeType.float, f: value.float };
  if (typeof value === 'object' && 'graph' in value) return { name, type: attributeType.graph, g: value.graph };
  if (typeof value === 'object') return { name, type: attributeType.ints, ints: [...value] };
  return Number.isInteger(value)
    ? { name, type: attributeType.int, i: value }
    : { name, type: attributeType.float, f: value };
}
