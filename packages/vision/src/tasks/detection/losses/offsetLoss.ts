/** @file The loss of dense heads as YOLOX's: boxes as offsets from places, assigned by least cost. */

import { float32, int64 } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import { binaryCrossEntropy, type GraphBuilder, type Value, weightedSum } from '@onnx-lora/sdk/tasks';
import { type Edges, edgesOf, overlapsOf } from './boxes.ts';
import { assignByCost } from './costAssignment.ts';
import type { DetectionTargets } from './detectionLoss.ts';
import { flattened, mapEdges, objectRows, placesOf } from './places.ts';

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
  const { all, sizes, batch, channels } = flattened(g, levels);
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
  const order = g.constant(int64(Array.from({ length: objects }, (_, i) => i), [1, objects])); // prettier-ignore
  const counts = g.Unsqueeze(g.Less(order, g.Reshape(targets.counts, [batch, 1])), [2]);
  const { object, isObject, overlap } = assignByCost(g, {
    logits: g.stopGradient(logits),
    any: g.stopGradient(any),
    found: mapEdges(found, (edge) => g.stopGradient(edge)),
    truth: edgesOf(g, pixels),
    labels: targets.labels,
    counts,
    x: row(x.map((each, i) => each * stride[i]!)),
    y: row(y.map((each, i) => each * stride[i]!)),
    stride: row(stride),
  });
  const [weight, quality] = [g.stopGradient(isObject), g.stopGradient(overlap)];
  const total = (value: Value): Value => g.ReduceSum(value, value.shape!.map((_, i) => i), false); // prettier-ignore
  const norm = g.Max(total(weight), 1);

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
  const boxCost = total(g.Mul(g.Sub(g.scalar(1), g.Mul(iou, iou)), g.Unsqueeze(weight, [1])));
  const anyCost = binaryCrossEntropy(g, any, g.Unsqueeze(weight, [2]), { reduction: 'sum' });
  const isClass = g.Equal(label, g.constant(int64(Array.from({ length: classes }, (_, i) => i), [1, 1, classes]))); // prettier-ignore
  const target = g.Mul(g.Cast(isClass, dataTypeNumber('float32')), g.Unsqueeze(quality, [2]));
  const classCosts = binaryCrossEntropy(g, logits, target, { weight: g.Unsqueeze(weight, [2]), reduction: 'sum' });
  return weightedSum(g, [
    [BOX, g.Div(boxCost, norm)],
    [1, g.Div(anyCost, norm)],
    [1, g.Div(classCosts, norm)],
  ]);
}
