/** @file Losses of boxes as distributions over distances of their edges (D-FINE, arXiv 2410.13842). */

import { float32, int64 } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import { crossEntropy, distillation, type GraphBuilder, type Value } from '@onnx-lora/sdk/tasks';
import { edgesOf } from './boxes.ts';

/** How bins stand for distances. */
export interface EdgeBins {
  /** Number of intervals; there is one more bin. */
  readonly count: number;
  /** `reg_scale`: a distance of 1 is this part of the reference's width or height. */
  readonly scale: number;
  /** `up`: with the scale, half the distance of the outermost bins. */
  readonly up: number;
}

/** Distributions of decoder layers, one list entry a layer. */
export interface EdgeHeads {
  /** Those with a loss: `[batch, queries, 4 · bins]`, for left, top, right and bottom. */
  readonly corners: readonly Value[];
  /** The boxes that they refine: `[batch, queries, 4]`. */
  readonly references: readonly Value[];
  /** The last layer's, from which the others learn. */
  readonly teacher: Value;
}

/** Request of {@link edgeLosses}. */
export interface EdgeLossRequest {
  readonly edges: EdgeHeads;
  readonly bins: EdgeBins;
  /** The last layer's class scores: `[batch, queries, classes]`. */
  readonly final: Value;
  /** Objects of all images of the whole batch: int64 `[1, images]`. */
  readonly inBatch: Value;
  /** Pairs of all sets of predictions, the final one first. */
  readonly matching: {
    /** IoU of each query's pair, 0 for none: `[problems, queries]`. */
    readonly quality: Value;
    /** bool `[problems, queries]`. */
    readonly isMatched: Value;
    /** int64 `[problems, objects]`. */
    readonly queryOf: Value;
    /** bool `[problems, objects]`. */
    readonly isPair: Value;
    /** `[problems, objects]`. */
    readonly iou: Value;
  };
  /** `[batch, objects, 4]`. */
  readonly objects: Value;
}

/** Distances of the bins: 0 in the middle, growing geometrically to both sides. */
function binDistances({ count, scale, up }: EdgeBins): number[] {
  const end = up * scale;
  const growth = (end + 1) ** (2 / (count - 2));
  return Array.from({ length: count + 1 }, (_, i) => {
    const k = i - count / 2;
    if (k === 0) return 0;
    return Math.sign(k) * (Math.abs(k) === count / 2 ? 2 * end : growth ** Math.abs(k) - 1);
  });
}

/**
 * FGL, the sum over pairs of the weighted cross-entropy of the two bins around the true distance; and DDF, by which
 * layers learn from the last one.
 */
export function edgeLosses(g: GraphBuilder, request: EdgeLossRequest): { readonly fgl: Value; readonly ddf: Value } {
  const { edges, bins, final, matching, objects } = request;
  const [rows, queries] = final.shape as [number, number];
  const [layers, slots, width] = [edges.corners.length, objects.shape![1] as number, bins.count + 1];
  const problems = layers * rows;
  const joined = (values: readonly Value[]): Value => (values.length === 1 ? values[0]! : g.Concat(values, 0));
  // The problems of the layers, which follow the final set's.
  const ofLayers = (value: Value): Value => g.Slice(value, [rows], [rows + problems], [0]);
  const corners = g.Reshape(joined(edges.corners), [problems * queries, 4 * width]);
  const total = (value: Value): Value => g.ReduceSum(value, Array.from({ length: value.shape!.length }, (_, i) => i), false); // prettier-ignore
  const float = (value: Value): Value => g.Cast(value, dataTypeNumber('float32'));

  const first = g.constant(int64(Array.from({ length: problems }, (_, i) => i * queries), [problems, 1])); // prettier-ignore
  const chosen = g.Reshape(g.Add(ofLayers(matching.queryOf), first), [problems * slots]);
  const reference = g.Gather(g.Reshape(g.stopGradient(joined(edges.references)), [problems * queries, 4]), chosen, 0);
  const truth = g.Reshape(joined(edges.corners.map(() => objects)), [problems * slots, 4]);
  const target = binTargets(g, reference, truth, bins);
  const found = g.Reshape(g.Gather(corners, chosen, 0), [problems * slots * 4, width]);
  const costs = crossEntropy(g, found, target, { reduction: 'none' });
  const isPair = g.Reshape(ofLayers(matching.isPair), [problems * slots, 1]);
  const quality = g.Where(isPair, g.Reshape(g.stopGradient(ofLayers(matching.iou)), [problems * slots, 1]), 0);
  const fgl = total(g.Mul(g.Reshape(costs, [problems * slots, 4]), quality));

  const teacher = g.stopGradient(joined(edges.corners.map(() => edges.teacher)));
  const scores = g.ReduceMax(g.Sigmoid(g.stopGradient(final)), [2], false);
  const isMatched = ofLayers(matching.isMatched);
  const weight = g.Where(isMatched, ofLayers(matching.quality), joined(edges.corners.map(() => scores)));
  const apart = distillation(
    g,
    g.Reshape(corners, [problems, queries * 4, width]),
    g.Reshape(teacher, [problems, queries * 4, width]),
    { temperature: TEMPERATURE, reduction: 'none' },
  );
  const perQuery = g.Mul(g.ReduceSum(g.Reshape(apart, [problems, queries, 4]), [2], false), weight);
  const images = request.inBatch.shape![1] as number;
  const most = g.constant(int64([queries], []));
  const matched = g.Mul(total(float(g.emit('Min', [request.inBatch, most]))), 4);
  const unmatched = g.Sub(g.scalar(4 * images * queries), matched);
  const share = (number: Value): Value => g.Sqrt(g.Div(number, images));
  const part = (isPart: Value, number: Value): Value =>
    g.Mul(g.Div(total(g.Where(isPart, perQuery, 0)), g.Max(number, 1)), share(number));
  const both = g.Add(part(isMatched, matched), part(g.Not(isMatched), unmatched));
  return { fgl, ddf: g.Div(both, g.Add(share(matched), share(unmatched))) };
}

/** Temperature of the distributions in DDF. */
const TEMPERATURE = 5;

/**
 * Shares of the two bins around the true distances of the edges.
 * @param reference boxes `[pairs, 4]`
 * @param truth boxes `[pairs, 4]`
 * @returns `[pairs · 4, bins]`
 */
function binTargets(g: GraphBuilder, reference: Value, truth: Value, bins: EdgeBins): Value {
  const distances = binDistances(bins);
  const [x, y, width, height] = g.Split(reference, [1, 1, 1, 1], 1) as [Value, Value, Value, Value];
  const { left, top, right, bottom } = edgesOf(g, truth);
  const unit = (size: Value): Value => g.Add(g.Div(size, bins.scale), 1e-16);
  const distance = (length: Value, size: Value): Value => g.Sub(g.Div(length, unit(size)), bins.scale / 2);
  const all = g.Concat(
    [
      distance(g.Sub(x, left), width),
      distance(g.Sub(y, top), height),
      distance(g.Sub(right, x), width),
      distance(g.Sub(bottom, y), height),
    ],
    1,
  );
  const pairs = reference.shape![0] as number;
  const inside = g.Max(g.Min(g.Reshape(all, [pairs * 4, 1]), distances.at(-1)!), distances[0]!);
  // A bin's share falls from 1 at its own distance to 0 at its neighbours'.
  const slope = (from: readonly number[], to: readonly number[]): Value => {
    const size = distances.length;
    const gaps = from.map((each, i) => to[i]! - each);
    const rise = g.Sub(inside, g.constant(float32(from, [1, size])));
    return g.Mul(rise, g.constant(float32(gaps.map((gap) => 1 / gap), [1, size]))); // prettier-ignore
  };
  // Beyond the ends there is no neighbour; any does, since distances are clipped.
  const lower = distances.map((each, i) => distances[i - 1] ?? each - 1);
  const upper = distances.map((each, i) => distances[i + 1] ?? each + 1);
  return g.Relu(g.Min(slope(lower, distances), slope(upper, distances)));
}
