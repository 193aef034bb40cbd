/**
 * @file Gradients of LSTM and GRU through time. All states are outputs of the node, so the gates of all positions are
 * computed at once, with two products per direction. The recurrence is unrolled: the sequence length is static.
 */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { attributeType, type NodeProto } from '../../graph/proto.ts';
import { readBytes } from '../../graph/bytes.ts';
import { attribute, floatAttribute, intAttribute } from '../../graph/walk.ts';
import { input, oncePerNode, staticShape, type Vjp, type VjpSite, zeros } from '../vjp.ts';
import { attributeOf } from '../../ops/schema.ts';

/** One direction of a recurrent node. Tensors over time are `[positions, batch, …]`. */
export interface Direction {
  readonly g: GraphBuilder;
  readonly node: NodeProto;
  readonly hidden: number;
  /** `[positions · batch, features]`. */
  readonly x: Value;
  /** The state before each position. */
  readonly previous: Value;
  /** `[gates · hidden, features]` and `[gates · hidden, hidden]`. */
  readonly w: Value;
  readonly r: Value;
  readonly biases: readonly [w: Value, r: Value] | undefined;
  /** `[1, batch, hidden]`; LSTM only. */
  readonly firstCell: Value | undefined;
  /** Positions in processing order. */
  readonly order: readonly number[];
  /** Outer cotangent of the state at each position. */
  readonly dStates: readonly (Value | undefined)[];
  readonly dLastCell: Value | undefined;
}

/** Ingredients of the input gradients. */
export interface Gradients {
  /** By the gates before activation: `[positions · batch, gates · hidden]`. */
  readonly gates: Value;
  /** The products with R: gradients `[positions · batch, …]` of consecutive rows of R, and their inputs. */
  readonly recurrent: readonly { readonly d: Value; readonly read: Value }[];
  readonly first: Value;
  readonly firstCell?: Value;
}

/** Backpropagates through one direction. */
export type Cell = (direction: Direction) => Gradients;

interface Unrolled {
  readonly directions: readonly Direction[];
  readonly gradients: readonly Gradients[];
}

/** Rules of a recurrent operator's inputs: X, W, R, B, lengths, initial h; for LSTM also initial c and peepholes. */
export function recurrentRule(cell: Cell, activations: readonly string[]): (Vjp | null)[] {
  // The inputs' gradients share almost everything.
  const unrolled = oncePerNode((site): Unrolled => {
    check(site, activations);
    const directions = directionsOf(site, activations);
    return { directions, gradients: directions.map(cell) };
  });
  const perDirection =
    (build: (direction: Direction, gradients: Gradients) => Value): Vjp =>
    (site) => {
      const { directions, gradients } = unrolled(site);
      return stacked(site.g, directions.map((each, i) => site.g.Unsqueeze(build(each, gradients[i]!), [0]))); // prettier-ignore
    };
  const first =
    (pick: (gradients: Gradients) => Value): Vjp =>
    (site) =>
      stacked(site.g, unrolled(site).gradients.map(pick));
  return [
    (site) => {
      const { directions, gradients } = unrolled(site);
      const parts = directions.map(({ w }, i) => site.g.Gemm(gradients[i]!.gates, w));
      return site.g.Reshape(parts.reduce((a, b) => site.g.Add(a, b)), staticShape(input(site, 0))); // prettier-ignore
    },
    perDirection(({ g, x }, { gates }) => g.Gemm(gates, x, undefined, { transA: true })),
    perDirection(({ g }, { recurrent }) =>
      stacked(g, recurrent.map(({ d, read }) => g.Gemm(d, read, undefined, { transA: true }))),
    ), // prettier-ignore
    perDirection(({ g }, { gates, recurrent }) =>
      stacked(g, [gates, ...recurrent.map(({ d }) => d)].map((each) => g.ReduceSum(each, [0], false))),
    ), // prettier-ignore
    null,
    first((gradients) => gradients.first),
    first((gradients) => gradients.firstCell!),
  ];
}

/** Concatenates values along the first axis. */
export function stacked(g: GraphBuilder, values: readonly Value[]): Value {
  return values.length === 1 ? values[0]! : g.Concat(values, 0);
}

/** Splits a value over time into positions, `[1, batch, …]` each. */
export function positions(g: GraphBuilder, value: Value): readonly Value[] {
  const [length] = staticShape(value) as [number];
  return length === 1 ? [value] : g.Split(value, new Array<number>(length).fill(1), 0);
}

/** Splits the last axis into equal parts. */
export function parts(g: GraphBuilder, value: Value, count: number): Value[] {
  const shape = staticShape(value);
  return g.Split(value, new Array<number>(count).fill(shape.at(-1)! / count), shape.length - 1);
}

/** `1 − value`. */
export function complement(g: GraphBuilder, value: Value): Value {
  return g.Sub(g.scalar(1, value.type), value);
}

function check(site: VjpSite, activations: readonly string[]): void {
  const { node, x } = site;
  const refuse = (what: string): never => {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `${node.opType} "${node.name}" with ${what} has no gradient rule. Adapt only layers after it, or export the model without it.`,
    );
  };
  const given = attribute(node, 'activations')?.strings?.map((each) => new TextDecoder().decode(readBytes(each)));
  if (given?.some((name, i) => name.toLowerCase() !== activations[i % activations.length])) {
    refuse(`activations ${given.join(', ')}`);
  }
  if (floatAttribute(node, 'clip', 0) !== 0) refuse('clip');
  if (intAttribute(node, 'input_forget', 0) !== 0) refuse('input_forget');
  if (attributeOf(node, 'layout') !== 0) refuse('layout 1');
  if (x[7]) refuse('peepholes');
  const [length] = staticShape(x[0]!);
  if (x[4] && !x[4].ints?.every((each) => each === length))
    refuse('sequence_lens, which may be shorter than the input,');
}

function directionsOf(site: VjpSite, activations: readonly string[]): Direction[] {
  const { g, node, x, dys } = site;
  const [length, batch, features] = staticShape(x[0]!) as [number, number, number];
  const [count, , hidden] = staticShape(x[2]!) as [number, number, number];
  const isReverse = attributeOf(node, 'direction') === 'reverse';
  const forwards = Array.from({ length }, (_, t) => t);
  const rows = g.Reshape(x[0]!, [length * batch, features]);
  const one = (value: Value, d: number, axis: number): Value =>
    count === 1 ? value : g.Slice(value, [d], [d + 1], [axis]);
  const matrix = (value: Value, d: number): Value => g.Squeeze(one(value, d, 0), [0]);
  const states = statesOf(site, activations);
  const first = (value: Value | undefined, d: number): Value =>
    value ? one(value, d, 0) : zeros(g, [1, batch, hidden], x[0]!.type);
  return Array.from({ length: count }, (_, d): Direction => {
    const backwards = isReverse || d === 1;
    const own = g.Reshape(one(states, d, 1), [length, batch, hidden]);
    const rest = backwards ? g.Slice(own, [1], [length], [0]) : g.Slice(own, [0], [length - 1], [0]);
    const start = first(x[5], d);
    const order = backwards ? forwards.toReversed() : forwards;
    const dAll = dys[0] && positions(g, g.Reshape(one(dys[0], d, 1), [length, batch, hidden]));
    const dLast = dys[1] && one(dys[1], d, 0);
    const last = order.at(-1);
    const sum = (a: Value | undefined, b: Value | undefined): Value | undefined => (a && b ? g.Add(a, b) : (a ?? b));
    const halves = x[3] && parts(g, matrix(x[3], d), 2);
    return {
      g,
      node,
      hidden,
      x: rows,
      previous: length === 1 ? start : g.Concat(backwards ? [rest, start] : [start, rest], 0),
      w: matrix(x[1]!, d),
      r: matrix(x[2]!, d),
      biases: halves && [halves[0]!, halves[1]!],
      firstCell: first(x[6], d),
      order,
      dStates: forwards.map((t) => sum(dAll?.[t], t === last ? dLast : undefined)),
      dLastCell: dys[2] && one(dys[2], d, 0),
    };
  });
}

/** All states `[positions, directions, batch, hidden]`: the first output; a node without it is emitted again. */
function statesOf({ g, node, x, y }: VjpSite, activations: readonly string[]): Value {
  if (y[0]?.name) return y[0];
  const again = g.emit(node.opType!, x);
  const [length, batch] = staticShape(x[0]!) as [number, number];
  const [count, , hidden] = staticShape(x[2]!) as [number, number, number];
  // Vary the spelling of attributes, so that the runtime does not merge both nodes into the one without the output.
  const others = (node.attribute ?? []).filter(({ name }) => name !== 'activations');
  const strings = Array.from({ length: count }, () => activations).flat().map((name) => encoder.encode(spelled(name))); // prettier-ignore
  const said = { name: 'activations', type: attributeType.strings, strings };
  g.nodes.at(-1)!.attribute = attribute(node, 'activations') ? others : [...others, said];
  const type = { type: x[0]!.type, shape: [length, count, batch, hidden] };
  g.types.set(again.name, type);
  return { name: again.name, ...type };
}

const encoder = new TextEncoder();

function spelled(name: string): string {
  return name[0]!.toUpperCase() + name.slice(1);
}
