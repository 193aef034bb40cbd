/** @file Narrows a graph that selects one position of a sequence, such as a classifier on the first token. */

import type { GraphBuilder } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { readNames, subgraphs } from '../../graph/walk.ts';
import { isElementwise, traceAxis } from '../axes.ts';
import { axisOf } from '../schema.ts';

interface Pick {
  readonly axis: number;
  readonly index: number;
}

type Need = 'all' | Pick;

/** Operators that can compute one position alone, at most with another target shape. */
function isPositionwise(node: NodeProto): boolean {
  return isElementwise(node) || others.has(node.opType ?? '');
}

const others = new Set(['LayerNormalization', 'RMSNormalization', 'Softmax', 'MatMul', 'Transpose', 'Reshape']);

/**
 * Computes values read at a single position for that position alone. Exact. Updates `types`. Nodes of `g` are placed
 * where they are read; `outputs` are needed whole.
 */
export function pushDownSelections(
  nodes: readonly NodeProto[],
  types: Map<string, ValueType>,
  g: GraphBuilder,
  outputs: Iterable<string>,
): NodeProto[] {
  const needs = needsOf(nodes, types, g.opset, outputs);
  // Graph inputs and constants are whole, and sliced where they are read.
  const computed = new Set(nodes.flatMap(({ output }) => output ?? []));
  const isPicked = (name: string): boolean => computed.has(name) && typeof needs.get(name) === 'object';
  if (![...needs.values()].some((need) => typeof need === 'object')) return [...nodes];
  const full = new Map(types);
  const result: NodeProto[] = [];
  const slices = new Map<string, string>();
  for (const node of nodes) {
    const [output = ''] = node.output ?? [];
    const pick = needs.get(output);
    const wanted = inputNeeds(node, pick, full, g.opset);
    const input = (node.input ?? []).map((name, i) => {
      const want = wanted?.[i] ?? 'all';
      if (want === 'all' || isPicked(name)) return name;
      const key = `${name} ${want.axis} ${want.index}`;
      let slice = slices.get(key);
      if (slice === undefined) {
        const value = g.Slice({ name, ...full.get(name) }, [want.index], [want.index + 1], [want.axis]);
        result.push(...g.nodes.splice(0));
        types.set(value.name, value);
        slices.set(key, (slice = value.name));
      }
      return slice;
    });
    if (typeof pick === 'object') {
      const shape = full.get(output)!.shape!.map((size, i) => (i === pick.axis ? 1 : size));
      types.set(output, { ...full.get(output), shape, ints: undefined });
      if (node.opType === 'Reshape') input[1] = g.ints(shape as number[]).name;
    }
    if (isGatherOfOne(node, full) && wanted) input[1] = scalarLike(g, full.get(node.input![1]!)!);
    result.push({ ...node, input });
  }
  for (const [name, type] of g.types) if (!types.has(name)) types.set(name, type);
  return result;
}

/** Index 0 in the shape of the replaced index. */
function scalarLike(g: GraphBuilder, { shape }: ValueType): string {
  return (shape!.length === 0 ? g.scalar(0, 'int64') : g.ints([0])).name;
}

function needsOf(
  nodes: readonly NodeProto[],
  types: ReadonlyMap<string, ValueType>,
  opset: number,
  outputs: Iterable<string>,
): Map<string, Need> {
  const needs = new Map<string, Need>();
  const require = (name: string, need: Need): void => {
    const before = needs.get(name) ?? need;
    const arePicks = before !== 'all' && need !== 'all';
    needs.set(name, arePicks && before.axis === need.axis && before.index === need.index ? need : 'all');
  };
  for (const name of outputs) require(name, 'all');
  for (const node of [...nodes].reverse()) {
    const [output = ''] = node.output ?? [];
    const wanted = inputNeeds(node, needs.get(output), types, opset);
    // Other nodes compute all positions.
    if (!wanted) for (const name of node.output ?? []) if (needs.has(name)) needs.set(name, 'all');
    (node.input ?? []).forEach((name, i) => {
      if (name) require(name, wanted?.[i] ?? 'all');
    });
    if (subgraphs(node).length > 0) for (const name of readNames(node)) require(name, 'all');
  }
  return needs;
}

/** The needs of a node's inputs for `need` of its output; undefined for all of them. */
function inputNeeds(
  node: NodeProto,
  need: Need | undefined,
  types: ReadonlyMap<string, ValueType>,
  opset: number,
): readonly Need[] | undefined {
  if (need === 'all' && isGatherOfOne(node, types)) {
    const { axis, index } = gatherPick(node, types);
    return [{ axis, index }, 'all'];
  }
  if (typeof need !== 'object' || !isPositionwise(node) || node.output?.length !== 1) return undefined;
  const [y, ...x] = [node.output[0]!, ...(node.input ?? [])].map((name) => types.get(name)?.shape);
  if (!isStatic(y) || !x.every((shape) => isStatic(shape))) return undefined;
  const operands = x.map((shape) => ({ shape }));
  const { axis, index } = need;
  const traced = traceAxis({ node, opset, x: operands, y, output: 0, axis, parts: y[axis]! });
  // A position may cover several of an axis split by Reshape.
  if (!traced?.every((own, i) => own === 'whole' || x[i]![own] === y[axis])) return undefined;
  return traced.map((own) => (own === 'whole' ? 'all' : { axis: own, index }));
}

function isGatherOfOne(node: NodeProto, types: ReadonlyMap<string, ValueType>): boolean {
  if (node.opType !== 'Gather') return false;
  const [data, indices] = (node.input ?? []).map((name) => types.get(name));
  return (
    data?.type === 'float32' &&
    isStatic(data.shape) &&
    indices?.ints?.length === 1 &&
    typeof indices.ints[0] === 'number' &&
    indices.shape !== undefined &&
    indices.shape.length <= 1
  );
}

function gatherPick(node: NodeProto, types: ReadonlyMap<string, ValueType>): Pick {
  const [data, indices] = (node.input ?? []).map((name) => types.get(name)!);
  const front = axisOf(node, data!.shape!.length);
  const index = indices!.ints![0] as number;
  return { axis: front, index: index < 0 ? index + (data!.shape![front] as number) : index };
}
