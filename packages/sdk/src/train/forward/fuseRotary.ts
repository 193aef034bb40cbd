/** @file Fuses rotary position embeddings, which exporters write as `x·cos + [−b, a]·sin` for halves a and b of x. */

import type { Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { readFloats } from '../../graph/tensorData.ts';
import { isStatic } from '../../graph/value.ts';
import { indexNodes } from '../../graph/walk.ts';
import { CONTRIB } from '../../ops/domains.ts';
import { axisOf } from '../../ops/schema.ts';
import { emitted, type ForwardGraph } from './forwardGraph.ts';

/** `[batch, heads, positions, width]`, and tables `[1 or batch, 1, positions, width]`. */
interface Rotation {
  readonly x: Value;
  readonly cos: Value;
  readonly sin: Value;
}

/** For narrower heads the operator is no faster. */
const NARROWEST = 24;

/** Rewrites such sums to RotaryEmbedding if both halves of the tables are equal. */
export function fuseRotary(graph: ForwardGraph): void {
  const found = new Map<NodeProto, Rotation>();
  for (const [node, rotation] of rotations(graph)) found.set(node, rotation);
  graph.nodes = graph.nodes.flatMap((node) => {
    const rotation = found.get(node);
    if (!rotation) return [node];
    const { x, cos, sin } = rotation;
    const [batch, , positions, width] = x.shape as readonly [number, number, number, number];
    const half = width / 2;
    return emitted(graph, (g) => {
      const table = (values: Value): Value => g.Reshape(g.Slice(values, [0], [half], [3]), [-1, half]);
      const count = g.scalar(batch * positions, 'int64');
      const rows = (): Value => g.emit('Range', [g.scalar(0, 'int64'), count, g.scalar(1, 'int64')]);
      const ids = cos.shape![0] === 1 && sin.shape![0] === 1 ? g.ints([0]) : g.Reshape(rows(), [batch, positions]);
      g.emit('RotaryEmbedding', [x, ids, table(cos), table(sin)], {}, CONTRIB);
      g.nodes.at(-1)!.output = [...node.output!];
    });
  });
}

function* rotations(graph: ForwardGraph): Generator<readonly [NodeProto, Rotation]> {
  const { types, constants } = graph;
  const { producer } = indexNodes(graph.nodes);
  const value = (name: string): Value => ({ name, ...types.get(name) });
  const made = (name: string, opType: string): NodeProto | undefined => {
    const node = producer.get(name);
    return node?.opType === opType ? node : undefined;
  };
  /** The value before casts to its own type. */
  const own = (name = ''): string => {
    let found = name;
    for (let cast = made(found, 'Cast'); cast; cast = made(found, 'Cast')) {
      const input = cast.input![0]!;
      if (types.get(input)?.type !== types.get(found)?.type) break;
      found = input;
    }
    return found;
  };
  const isLast = (node: NodeProto): boolean => {
    const rank = types.get(node.output![0]!)?.shape?.length;
    return rank !== undefined && axisOf(node, rank, graph.g.opset) === rank - 1;
  };
  /** The source of the halves of `[−b, a]`. */
  const halved = (name: string): string | undefined => {
    const joined = made(own(name), 'Concat');
    if (joined?.input?.length !== 2 || !isLast(joined)) return undefined;
    const [b, a] = [own(made(own(joined.input[0]), 'Neg')?.input?.[0]), own(joined.input[1])];
    const split = made(a, 'Split');
    const halves = split?.output?.map((each) => types.get(each)?.shape?.at(-1)) ?? [];
    if (!split || !isLast(split) || split.output!.join() !== [a, b].join() || halves[0] !== halves[1]) return undefined;
    return own(split.input![0]);
  };
  /** Large tables, which every layer reads. */
  const doubled = new Map<string, boolean>();
  /** Whether the last axis repeats its first half: by Concat, or in a table. */
  const isTwice = (name: string): boolean => {
    let at = name;
    for (;;) {
      const node = producer.get(at);
      const tensor = constants.get(at);
      if (tensor?.dataType === dataTypeNumber('float32')) {
        const known = doubled.get(at) ?? isDoubled(readFloats(tensor), tensor.dims!.at(-1) ?? 1);
        doubled.set(at, known);
        return known;
      }
      const inputs = node?.input ?? [];
      if (node?.opType === 'Concat') return isLast(node) && inputs.length === 2 && own(inputs[0]) === own(inputs[1]);
      // Scalars only scale; gathered rows, and axes added before the last, preserve it.
      const scale = inputs.findIndex((each) => types.get(each)?.shape?.every((dim) => dim === 1));
      const next =
        node?.opType === 'Mul' ? inputs[1 - scale] : KEEPS_LAST.has(node?.opType ?? '') ? inputs[0] : undefined;
      const widths = [at, next ?? ''].map((each) => types.get(each)?.shape?.at(-1));
      if (next === undefined || widths[0] !== widths[1]) return false;
      const rank = types.get(next)!.shape!.length;
      if (node?.opType === 'Gather' && (rank === 1 || axisOf(node, rank, graph.g.opset) !== 0)) return false;
      at = next;
    }
  };
  for (const node of graph.nodes) {
    const products = node.opType === 'Add' ? node.input!.map((name) => made(name, 'Mul')?.input ?? []) : [];
    for (const [one = [], other = []] of [products, products.toReversed()])
      for (const [turned, sin] of [other, other.toReversed()]) {
        const source = turned === undefined ? undefined : halved(turned);
        const cos = one.find((name) => own(name) !== source);
        if (source === undefined || cos === undefined || !one.some((name) => own(name) === source)) continue;
        const rotation = { x: value(source), cos: value(cos), sin: value(sin!) };
        // Its gradient is for x alone.
        if ([cos, sin!].some((table) => graph.trained.has(table))) continue;
        if (fits(rotation) && isTwice(cos) && isTwice(sin!)) yield [node, rotation];
      }
  }
}

/** Operators that map the last axis of their first operand elementwise and uniformly. */
const KEEPS_LAST: ReadonlySet<string> = new Set(['Cos', 'Sin', 'Cast', 'Unsqueeze', 'Gather']);

function isDoubled(numbers: Float32Array, width: number): boolean {
  return numbers.every((each, at) => at % width >= width / 2 || each === numbers[at + width / 2]);
}

function fits({ x, cos, sin }: Rotation): boolean {
  if (x.type !== 'float32' || !isStatic(x.shape) || x.shape.length !== 4 || x.shape[3]! % 2 !== 0) return false;
  const [batch, , positions, width] = x.shape as readonly [number, number, number, number];
  if (width < NARROWEST) return false;
  const isTable = ({ shape }: Value): boolean =>
    shape?.length === 4 &&
    (shape[0] === 1 || shape[0] === batch) &&
    shape.slice(1).join() === [1, positions, width].join();
  return isTable(cos) && isTable(sin) && cos.shape![0] === sin.shape![0];
}
