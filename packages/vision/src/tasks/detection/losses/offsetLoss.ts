/** @file The loss of dense heads as YOLOX's: boxes as offsets from places, assigned by least cost. */

import { float32 } from '@onnx-lora/sdk';
import { binaryCrossEntropy, type GraphBuilder, type Value, weightedSum } from '@onnx-lora/sdk/tasks';
import { type Edges, edgesOf, overlapsOf } from './boxes.ts';
import { assignByCost } from './costAssignment.ts';
import type { DetectionTargets } from './detectionLoss.ts';
import { countedObjects, flattened, mapEdges, objectRows, ofLabels, oneHot, placesOf, total } from './places.ts';

/** Weight of the boxes' term, as the paper's. */
const BOX = 5;

/**
 * The loss of a dense head with offsets: `1 − IoU²` of boxes, and cross-entropy of "any object" and of the classes, whose
 * target is the overlap; all divided by the number of places with an object.
 * @param levels raw outputs, one a level: `[batch, 4 + 1 + classes, rows, columns]`: offset of the center from the place
 *   in places, logarithms of width and height in places, score of any object, scores of classes
 * @see Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (2021), arXiv:2107.08430
 */
export function offsetLoss(
  g: GraphBuilder,
  levels: readonly Value[],
  targets: Pick<DetectionTargets, 'labels' | 'boxes' | 'counts'>,
  strides: readonly number[],
): Value {
  const { all, sizes, channels } = flattened(g, levels);
  const classes = channels - 5;
  const { x, y, stride, count } = placesOf(sizes, strides);
  const places = x.length;
  const objects = targets.labels.shape![1] as number;
  const row = (values: readonly number[]): Value => g.constant(float32(values, [1, 1, places]));
  const [numbers, any, logits] = g.Split(all, [4, 1, classes], 2) as [Value, Value, Value];
  const [dx, dy, dw, dh] = g.Split(g.Transpose(numbers, [0, 2, 1]), [1, 1, 1, 1], 1) as [Value, Value, Value, Value];
  const scaled = (value: Value): Value => g.Mul(value, row(stride));
  const corner = (values: readonly number[]): Value => row(values.map((each) => each - 0.5));
  const [cx, cy] = [scaled(g.Add(dx, corner(x))), scaled(g.Add(dy, corner(y)))];
  const [halfWidth, halfHeight] = [dw, dh].map((each) => g.Mul(scaled(g.Exp(each)), 0.5)) as [Value, Value];
  const found: Edges = {
    left: g.Sub(cx, halfWidth),
    top: g.Sub(cy, halfHeight),
    right: g.Add(cx, halfWidth),
    bottom: g.Add(cy, halfHeight),
  };

  const pixels = g.Mul(targets.boxes, g.constant(float32([...count, ...count], [1, 1, 4])));
  const { object, isObject, overlap } = assignByCost(g, {
    found: mapEdges(found, (edge) => g.stopGradient(edge)),
    truth: edgesOf(g, pixels),
    counts: countedObjects(g, targets.counts, objects),
    x: row(x.map((each, i) => each * stride[i]!)),
    y: row(y.map((each, i) => each * stride[i]!)),
    stride: row(stride),
    costs: ({ iou }) => entropyCosts(g, { logits, any, labels: targets.labels, iou }),
  });
  const [weight, quality] = [g.stopGradient(isObject), g.stopGradient(overlap)];
  const norm = g.Max(total(g, weight), 1);

  const { label, box } = objectRows(g, object, { labels: targets.labels, pixels });
  const own = edgesOf(g, box);
  const columns = mapEdges(own, (edge) => g.Transpose(edge, [0, 2, 1]));
  // Places without an object are compared with themselves: a size that overflows has no gradient there.
  const isTaken = g.Greater(g.Unsqueeze(weight, [1]), 0.5);
  const kept: Edges = {
    left: g.Where(isTaken, found.left, columns.left),
    top: g.Where(isTaken, found.top, columns.top),
    right: g.Where(isTaken, found.right, columns.right),
    bottom: g.Where(isTaken, found.bottom, columns.bottom),
  };
  const { iou } = overlapsOf(g, kept, columns);
  const boxCost = total(g, g.Mul(g.Sub(g.scalar(1), g.Mul(iou, iou)), g.Unsqueeze(weight, [1])));
  const anyCost = binaryCrossEntropy(g, any, g.Unsqueeze(weight, [2]), { reduction: 'sum' });
  const target = g.Mul(oneHot(g, label, classes), g.Unsqueeze(quality, [2]));
  const classCosts = binaryCrossEntropy(g, logits, target, { weight: g.Unsqueeze(weight, [2]), reduction: 'sum' });
  return weightedSum(g, [
    [BOX, g.Div(boxCost, norm)],
    [1, g.Div(anyCost, norm)],
    [1, g.Div(classCosts, norm)],
  ]);
}

/** Weight of the overlap's cost beside that of the class. */
const BALANCE = 3;

/** Cross-entropy of all classes with the one that is wanted, and the negative logarithm of the overlap. */
function entropyCosts(
  g: GraphBuilder,
  { logits, any, labels, iou }: { readonly logits: Value; readonly any: Value; readonly labels: Value; readonly iou: Value }, // prettier-ignore
): Value {
  const score = g.Sqrt(g.Mul(g.Sigmoid(g.stopGradient(logits)), g.Sigmoid(g.stopGradient(any))));
  const bounded = g.Max(g.Min(score, 1 - 1e-7), 1e-12);
  // A place's sum of log(1 − p) is taken once.
  const missed = g.Neg(g.Log(g.Sub(g.scalar(1), bounded)));
  const others = g.Sub(g.Unsqueeze(g.ReduceSum(missed, [2], false), [1]), ofLabels(g, missed, labels));
  const byClass = g.Sub(others, ofLabels(g, g.Log(bounded), labels));
  return g.Add(byClass, g.Mul(g.Neg(g.Log(g.Add(iou, 1e-8))), BALANCE));
}
