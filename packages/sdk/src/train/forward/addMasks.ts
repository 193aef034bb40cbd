/** @file Masks attention scores by adding −∞ instead of Where, which ONNX Runtime computes many times slower. */

import type { Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isStatic } from '../../graph/value.ts';
import { indexNodes } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { axisOf } from '../../ops/schema.ts';
import { constantNumber, emitted, type ForwardGraph } from './forwardGraph.ts';

/** Adding any score to a number of this size does not change it. */
const SWALLOWS = 1e30;

/**
 * Rewrites `Where(mask, x, −∞)` on the scores of a softmax to x plus a mask, if the constant is huge and the mask
 * smaller than x and equal for all queries. The sum is bit-identical to the constant for |x| < 10²².
 *
 * Softmax of a fully masked row gives equal weights, and addition would pass gradients that Where stops. Masks that
 * differ by query may hide such rows, like DeBERTa's padding queries, and stay. Others may hide all of an example: its
 * scores, or the smaller queries they are computed from, are multiplied by 0.
 */
export function addMasks(graph: ForwardGraph): void {
  const { types, outputs, g: builder } = graph;
  const { producer, readers } = indexNodes(graph.nodes);
  const value = (name: string): Value => ({ name, ...types.get(name) });
  const isScores = (name: string, rank: number): boolean => {
    const [reader, another] = readers.get(name) ?? [];
    return reader?.opType === 'Softmax' && !another && !outputs.has(name) && axisOf(reader, rank, builder.opset) === rank - 1; // prettier-ignore
  };
  const moved = new Set<NodeProto>();
  const rewritten = graph.nodes.map((node): readonly NodeProto[] => {
    if (node.opType !== 'Where') return [node];
    const [mask = '', yes = '', no = ''] = node.input ?? [];
    const fill = [constantNumber(graph, yes), constantNumber(graph, no)];
    const at = fill.findIndex((number) => number !== undefined && Math.abs(number) >= SWALLOWS);
    if (at < 0 || fill[1 - at] !== undefined) return [node];
    const x = value(at === 0 ? no : yes);
    const condition = value(unexpanded(mask, producer));
    if (x.type !== 'float32' || !isStatic(x.shape) || !isStatic(condition.shape)) return [node];
    const result = types.get(node.output![0]!)?.shape;
    if ((condition.shape.at(-2) ?? 1) !== 1 || condition.shape.length === 0) return [node];
    if (result?.join() !== x.shape.join() || sizeOf(condition.shape) * 2 > sizeOf(x.shape)) return [node];
    if (!isScores(node.output![0]!, x.shape.length)) return [node];
    const product = readers.get(x.name)?.length === 1 && !outputs.has(x.name) ? producer.get(x.name) : undefined;
    const queries = value((product?.opType === 'MatMul' && product.input?.[0]) || '');
    return emitted(graph, (g) => {
      const [huge, one, zero] = [g.scalar(fill[at]!), g.scalar(1), g.scalar(0)];
      const choose = (hidden: Value, seen: Value): Value =>
        at === 0 ? g.Where(condition, hidden, seen) : g.Where(condition, seen, hidden);
      const isSeen = g.ReduceMax(choose(zero, one), [condition.shape!.length - 1], true);
      let scores = x;
      if (product && queries.shape?.length === x.shape!.length) {
        moved.add(product);
        g.nodes.push({ ...product, input: [g.Mul(queries, isSeen).name, product.input![1]!] });
      } else scores = g.Mul(x, isSeen);
      g.Add(scores, choose(huge, zero));
      g.nodes.at(-1)!.output = [node.output![0]!];
    });
  });
  graph.nodes = rewritten.flatMap((nodes, i) => (moved.has(graph.nodes[i]!) ? [] : nodes));
}

/** The mask before it was expanded to the size of the scores. */
function unexpanded(name: string, producer: ReadonlyMap<string, NodeProto>): string {
  const node = producer.get(name);
  return node?.opType === 'Expand' ? unexpanded(node.input![0]!, producer) : name;
}
