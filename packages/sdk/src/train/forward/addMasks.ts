/**
 * @file Masks scores of attention by adding to them. `Where(mask, scores, −∞)` goes over all scores of all heads, and
 * ONNX Runtime's Where takes many times as long as Add; the mask itself is the same for every head.
 */

import type { Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isStatic } from '../../graph/value.ts';
import { indexNodes } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { constantNumber, emitted, type ForwardGraph } from './forwardGraph.ts';

/** From here on a number swallows any score that it is added to. */
const SWALLOWS = 1e30;

/**
 * Rewrites each Where between a value and a constant of huge magnitude, `Where(mask, x, −∞)`, to x plus a mask, where that
 * mask is smaller than x and the same for every query. The sum is the constant, to the last bit, wherever |x| < 10²².
 *
 * Masks that differ by query may hide a whole row, as DeBERTa's do of queries that are padding: softmax then gives equal
 * weights, through which an addition would lead gradients that Where holds back.
 */
export function addMasks(graph: ForwardGraph): void {
  const { types } = graph;
  const { producer } = indexNodes(graph.nodes);
  const value = (name: string): Value => ({ name, ...types.get(name) });
  graph.nodes = graph.nodes.flatMap((node) => {
    if (node.opType !== 'Where') return [node];
    const [mask = '', yes = '', no = ''] = node.input ?? [];
    const fill = [constantNumber(graph, yes), constantNumber(graph, no)];
    const at = fill.findIndex((number) => number !== undefined && Math.abs(number) >= SWALLOWS);
    if (at < 0 || fill[1 - at] !== undefined) return [node];
    const x = value(at === 0 ? no : yes);
    const condition = value(unexpanded(mask, producer));
    if (x.type !== 'float32' || !isStatic(x.shape) || !isStatic(condition.shape)) return [node];
    const result = types.get(node.output![0]!)?.shape;
    if ((condition.shape.at(-2) ?? 1) !== 1) return [node];
    if (result?.join() !== x.shape.join() || sizeOf(condition.shape) * 2 > sizeOf(x.shape)) return [node];
    return emitted(graph, (g) => {
      const [huge, zero] = [g.scalar(fill[at]!), g.scalar(0)];
      const bias = at === 0 ? g.Where(condition, huge, zero) : g.Where(condition, zero, huge);
      g.Add(x, bias);
      g.nodes.at(-1)!.output = [node.output![0]!];
    });
  });
}

/** What was expanded to a mask of the size of the scores. */
function unexpanded(name: string, producer: ReadonlyMap<string, NodeProto>): string {
  const node = producer.get(name);
  return node?.opType === 'Expand' ? unexpanded(node.input![0]!, producer) : name;
}
