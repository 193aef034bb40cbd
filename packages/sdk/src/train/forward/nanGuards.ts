/** @file Replaces exporters' NaN guards of softmax, `Where(IsNaN(p), 0, p)` for fully masked rows, by masks. */

import type { Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isStatic } from '../../graph/value.ts';
import { indexNodes } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { constantNumber, emitted, type ForwardGraph } from './forwardGraph.ts';
import { axisOf } from '../../ops/schema.ts';

/** A guarded softmax of masked scores, and the product that reads it. */
interface Guarded {
  readonly add: NodeProto;
  /** Index of the mask among the inputs of `add`. */
  readonly maskAt: 0 | 1;
  readonly softmax: NodeProto;
  readonly isNaN: NodeProto;
  readonly where: NodeProto;
  readonly product: NodeProto;
}

/**
 * Rewrites `Where(IsNaN(softmax(s + mask)), 0, softmax(s + mask)) · v` to `softmax(s + mask′) · v · alive`: mask′ is 0
 * in rows of −∞, where alive is 0. Results and gradients are equal for finite s.
 */
export function replaceNanGuards(graph: ForwardGraph): void {
  const found = find(graph);
  if (found.length === 0) return;
  const { types } = graph;
  const value = (name: string): Value => ({ name, ...types.get(name) });
  const dropped = new Set(found.flatMap(({ isNaN, where }) => [isNaN, where]));
  const replacement = new Map<NodeProto, NodeProto[]>();
  for (const { add, maskAt, softmax, product } of found) {
    const mask = value(add.input![maskAt]!);
    let alive: Value | undefined;
    replacement.set(
      add,
      emitted(graph, (g) => {
        const dead = g.Equal(g.ReduceMax(mask, [mask.shape!.length - 1], true), -Infinity);
        alive = g.Sub(g.scalar(1), g.Cast(dead, dataTypeNumber('float32')));
        const open = g.Where(dead, g.scalar(0), mask);
        const input = [...add.input!];
        input[maskAt] = open.name;
        g.nodes.push({ ...add, input });
      }),
    );
    replacement.set(
      product,
      emitted(graph, (g) => {
        const name = `${product.output![0]!}/unguarded`;
        const rows: Value = { name, ...types.get(product.output![0]!) };
        types.set(name, types.get(product.output![0]!)!);
        g.nodes.push({ ...product, input: [softmax.output![0]!, product.input![1]!], output: [name] });
        g.Mul(rows, alive!);
        g.nodes.at(-1)!.output = [product.output![0]!];
      }),
    );
  }
  graph.nodes = graph.nodes.flatMap((node) => (dropped.has(node) ? [] : (replacement.get(node) ?? [node])));
}

function find(graph: ForwardGraph): Guarded[] {
  const { types, outputs } = graph;
  const { producer, readers } = indexNodes(graph.nodes);
  /** Whether a value is a product, scaled or not: other terms may be masks too, which hide rows in combination. */
  const isProduct = (name: string): boolean => {
    const node = producer.get(name);
    if (node?.opType !== 'Mul' && node?.opType !== 'Div') return node?.opType === 'MatMul';
    const [a, b] = node.input as [string, string];
    return (constantNumber(graph, b) !== undefined && isProduct(a)) || (constantNumber(graph, a) !== undefined && isProduct(b)); // prettier-ignore
  };
  return graph.nodes.flatMap((where): Guarded[] => {
    const [condition = '', zero = '', weights = ''] = where.input ?? [];
    const [isNaN, softmax] = [producer.get(condition), producer.get(weights)];
    if (where.opType !== 'Where' || isNaN?.opType !== 'IsNaN' || softmax?.opType !== 'Softmax') return [];
    if (isNaN.input![0] !== weights || constantNumber(graph, zero) !== 0) return [];
    const [product, another] = readers.get(where.output![0]!) ?? [];
    if (product?.opType !== 'MatMul' || another || product.input!.indexOf(where.output![0]!) !== 0) return [];
    if (product.input![1] === product.input![0]) return [];
    const readsWeights = readers.get(weights) ?? [];
    if (readsWeights.length !== 2 || (readers.get(condition) ?? []).length !== 1) return [];
    if ([weights, condition, where.output![0]!].some((name) => outputs.has(name))) return [];
    const add = producer.get(softmax.input![0]!);
    if (add?.opType !== 'Add' || (readers.get(add.output![0]!) ?? []).length !== 1) return [];
    const [shape, output] = [types.get(weights)?.shape, types.get(product.output![0]!)?.shape];
    if (!isStatic(shape) || !isStatic(output) || shape.slice(0, -1).join() !== output.slice(0, -1).join()) return [];
    if (axisOf(softmax, shape.length, graph.g.opset) !== shape.length - 1) return [];
    const maskAt = ([0, 1] as const).find(
      (at) => isProduct(add.input![1 - at]!) && isMask(graph, add.input![at]!, add.input![1 - at]!, shape),
    );
    return maskAt === undefined ? [] : [{ add, maskAt, softmax, isNaN, where, product }];
  });
}

/** Whether a value added to scores is as wide as them. */
function isMask({ types }: ForwardGraph, mask: string, scores: string, shape: readonly number[]): boolean {
  const [small, whole] = [types.get(mask), types.get(scores)];
  return (
    small?.type === 'float32' &&
    isStatic(small.shape) &&
    small.shape.at(-1) === shape.at(-1) &&
    sizeOf(small.shape) <= sizeOf(shape) &&
    whole?.shape?.join() === shape.join()
  );
}
