/** @file The loss of dense heads as PicoDet's: distributions of distances, scores that are qualities, assigned by least cost. */

import { float32 } from '@onnx-lora/sdk';
import { binaryCrossEntropy, type GraphBuilder, type Value, weightedSum } from '@onnx-lora/sdk/tasks';
import { edgesOf, type Overlaps, overlapsOf } from './boxes.ts';
import { assignByCost } from './costAssignment.ts';
import type { DetectionTargets } from './detectionLoss.ts';
import { binCosts, edgesOfBins } from './distances.ts';
import {
  countedObjects,
  edgesInPlaces,
  flattened,
  mapEdges,
  objectRows,
  ofLabels,
  oneHot,
  placesOf,
  total,
} from './places.ts';

/** Weights of the terms, as the paper's. */
const [BOX, BINS] = [2, 0.25];
/** Weight of the box's cost beside that of the class. */
const BALANCE = 6;
/** Weight of the squared score of a class that is not there (arXiv 2008.13367). */
const ALPHA = 0.75;

/** Settings of {@link qualityLoss}. */
export interface QualityLossOptions {
  /** Pixels of the model's input per place, of each level. */
  readonly strides: readonly number[];
  /** Bins of an edge's distance. */
  readonly bins: number;
}

/**
 * The loss of a dense head as PicoDet's: varifocal loss of the classes, whose target is the overlap, divided by the number
 * of places with an object; GIoU of boxes and distribution focal loss of edges, weighted by the places' best scores.
 * @param levels raw outputs, one a level: `[batch, 4 · bins + classes, rows, columns]`
 * @see Yu et al., "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices" (2021), arXiv:2111.00902
 */
export function qualityLoss(
  g: GraphBuilder,
  levels: readonly Value[],
  targets: Pick<DetectionTargets, 'labels' | 'boxes' | 'counts'>,
  { strides, bins }: QualityLossOptions,
): Value {
  const { all, sizes, channels } = flattened(g, levels);
  const classes = channels - 4 * bins;
  const [edges, logits] = g.Split(all, [4 * bins, classes], 2) as [Value, Value];
  const { x, y, stride, count } = placesOf(sizes, strides);
  const row = (values: readonly number[]): Value => g.constant(float32(values, [1, 1, x.length]));
  const binned = { scores: edges, bins, x: row(x), y: row(y) };
  const found = edgesOfBins(g, binned);
  const pixels = g.Mul(targets.boxes, g.constant(float32([...count, ...count], [1, 1, 4])));
  const objects = targets.labels.shape![1] as number;
  const { object, isObject, overlap } = assignByCost(g, {
    found: mapEdges(found, (edge) => g.Mul(g.stopGradient(edge), row(stride))),
    truth: edgesOf(g, pixels),
    counts: countedObjects(g, targets.counts, objects),
    x: row(x.map((each, i) => each * stride[i]!)),
    y: row(y.map((each, i) => each * stride[i]!)),
    stride: row(stride),
    costs: (overlaps) => qualityCosts(g, g.stopGradient(logits), targets.labels, overlaps),
  });
  const [taken, quality] = [g.stopGradient(isObject), g.stopGradient(overlap)];

  const { label, box } = objectRows(g, object, { labels: targets.labels, pixels });
  const target = g.Mul(oneHot(g, label, classes), g.Unsqueeze(quality, [2]));
  const weight = g.Where(g.Greater(target, 0), target, negative(g, logits));
  const classCost = binaryCrossEntropy(g, logits, target, { weight, reduction: 'sum' });

  const own = edgesInPlaces(g, box, row(stride));
  const best = g.Sigmoid(g.ReduceMax(g.stopGradient(logits), [2], false));
  const share = g.Mul(best, taken);
  const norm = g.Max(total(g, share), 1e-6);
  const boxCost = g.Mul(g.Sub(g.scalar(1), overlapsOf(g, found, own).giou), g.Unsqueeze(share, [1]));
  return weightedSum(g, [
    [1, g.Div(classCost, g.Max(total(g, taken), 1))],
    [BOX, g.Div(total(g, boxCost), norm)],
    [BINS, g.Div(total(g, g.Mul(binCosts(g, binned, own), share)), norm)],
  ]);
}

/** Weight of a class that is not there. */
function negative(g: GraphBuilder, logits: Value): Value {
  const score = g.Sigmoid(logits);
  return g.Mul(g.Mul(score, score), ALPHA);
}

/** The varifocal loss of each place if it had each object, and the generalised overlap's cost. */
function qualityCosts(g: GraphBuilder, logits: Value, labels: Value, { iou, giou }: Overlaps): Value {
  const missing = g.Mul(negative(g, logits), g.Softplus(logits));
  const others = g.Sub(g.Unsqueeze(g.ReduceSum(missing, [2], false), [1]), ofLabels(g, missing, labels));
  const own = ofLabels(g, logits, labels);
  // Cross-entropy of a logit x with the target q: log(1 + e^x) − q·x.
  const entropy = g.Sub(g.Softplus(own), g.Mul(iou, own));
  const hit = g.Where(g.Greater(iou, 0), g.Mul(iou, entropy), ofLabels(g, missing, labels));
  return g.Add(g.Add(others, hit), g.Mul(g.Sub(g.scalar(1), giou), BALANCE));
}
