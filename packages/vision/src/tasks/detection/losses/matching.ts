/** @file Bipartite matching of queries with objects, as a part of the loss's graph. */

import { int64 } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { assign } from './assignment.ts';
import { edgesOf, overlapsOf } from './boxes.ts';

/** Weights of the costs of a pair, as in transformers' configs. */
export interface MatchingCost {
  /** Cost of the class. */
  readonly class: number;
  /** Cost of the absolute differences of center, width and height. */
  readonly bbox: number;
  /** Cost of the negative generalised IoU. */
  readonly giou: number;
  /** Cost of the masks' pixels; 0 by default. */
  readonly mask?: number;
  /** Cost of one minus the Dice coefficient of the masks; 0 by default. */
  readonly dice?: number;
  /** Settings of the focal cost of a class; without them the cost is the negative softmax. */
  readonly focal?: { readonly alpha: number; readonly gamma: number };
}

/** Queries and objects of all sets of outputs, each set and image a problem. */
export interface MatchingRequest {
  /** `[problems, queries, classes]`. */
  readonly logits: Value;
  /** `[problems, queries, 4]`: center, width and height; absent where a model gives none. */
  readonly boxes?: Value;
  /** int64 `[problems, objects]`. */
  readonly labels: Value;
  /** `[problems, objects, 4]`. */
  readonly objects: Value;
  /** int64 `[problems]`: objects that count; others are padding. */
  readonly counts: Value;
  /** Further costs `[some problems, objects, queries]`, of the first problems. */
  readonly more?: Value;
}

/** Which query answers for which object. */
export interface Matching {
  /** Object of each query, -1 for none: int64 `[problems, queries]`. */
  readonly objectOf: Value;
  /** Query of each object; 0 where it has none: int64 `[problems, objects]`. */
  readonly queryOf: Value;
  /** Whether an object has a query: bool `[problems, objects]`. */
  readonly isPair: Value;
}

/** Matches at the least cost, without gradients. @throws OnnxLoraError `MODEL_UNSUPPORTED` for an opset below 13 */
export function match(g: GraphBuilder, request: MatchingRequest, cost: MatchingCost): Matching {
  const { labels, counts, boxes, more } = request;
  const logits = g.stopGradient(request.logits);
  const [problems, queries, classes] = logits.shape as [number, number, number];
  const slots = labels.shape![1] as number;
  // [problems, objects, queries]
  const starts = g.constant(int64(Array.from({ length: problems }, (_, i) => i * classes), [problems, 1])); // prettier-ignore
  const byClass = cost.focal ? logits : g.Softmax(logits, 2);
  const columns = g.Reshape(g.Transpose(byClass, [0, 2, 1]), [problems * classes, queries]);
  const picked = g.Gather(columns, g.Add(labels, starts), 0);
  const classCost = cost.focal ? focalCost(g, picked, cost.focal) : g.Neg(picked);
  const parts = [g.Mul(classCost, cost.class)];
  if (boxes) {
    const [found, truth] = [g.Unsqueeze(g.stopGradient(boxes), [1]), g.Unsqueeze(g.stopGradient(request.objects), [2])];
    const distance = g.ReduceSum(g.Abs(g.Sub(found, truth)), [3], false);
    const { giou } = overlapsOf(g, edgesOf(g, found), edgesOf(g, truth));
    parts.push(g.Mul(distance, cost.bbox), g.Mul(g.Squeeze(giou, [3]), -cost.giou));
  }
  if (more) {
    const rest = problems - (more.shape![0] as number);
    parts.push(rest === 0 ? more : g.Concat([more, g.Expand(g.scalar(0), [rest, slots, queries])], 0));
  }
  const costs = parts.reduce((a, b) => g.Add(a, b));
  const objectOf = assign(g, costs, counts);
  const places = g.constant(int64(Array.from({ length: slots }, (_, i) => i), [1, slots, 1])); // prettier-ignore
  const pairs = g.Cast(g.Equal(g.Unsqueeze(objectOf, [1]), places), dataTypeNumber('int32'));
  const queryOf = g.emit('ArgMax', [pairs], { axis: 2, keepdims: 0 });
  return {
    objectOf,
    queryOf: { ...queryOf, type: 'int64', shape: [problems, slots] },
    isPair: g.Cast(g.ReduceMax(pairs, [2], false), dataTypeNumber('bool')),
  };
}

/** Rise of the focal loss from "not this class" to "this class", as Deformable DETR (arXiv 2010.04159). */
function focalCost(g: GraphBuilder, logits: Value, { alpha, gamma }: { alpha: number; gamma: number }): Value {
  const p = g.Sigmoid(logits);
  const rest = g.Sub(g.scalar(1), p);
  const power = (x: Value): Value => (gamma === 2 ? g.Mul(x, x) : g.Pow(x, gamma));
  const cost = (share: number, miss: Value, hit: Value): Value =>
    g.Mul(g.Mul(power(miss), g.Neg(g.Log(g.Add(hit, 1e-8)))), share);
  return g.Sub(cost(alpha, rest, p), cost(1 - alpha, p, rest));
}
