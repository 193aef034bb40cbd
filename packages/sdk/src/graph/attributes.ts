/** @file Attributes of nodes: plain values as the builder takes them, made into those of the file. */

import { type AttributeProto, attributeType, type GraphProto } from './proto.ts';

/** Attributes of a node as plain values: whole numbers become ints, `float(x)` makes a float of a whole number. */
export type Attributes = Readonly<
  Record<string, number | string | readonly number[] | FloatAttribute | GraphAttribute | undefined>
>;

/** Marks an attribute as a float even when its value is whole. */
export interface FloatAttribute {
  readonly float: number;
}

/** The body of a loop, or a branch. */
export interface GraphAttribute {
  /** The inner graph. It may read values of the outer one. */
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
