/** @file The loss of dense heads as YOLOv8's: boxes as distributions of distances, assigned by task alignment. */

import { float32, int64, OnnxLoraError } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import { binaryCrossEntropy, crossEntropy, type GraphBuilder, type Value, weightedSum } from '@onnx-lora/sdk/tasks';
import { completeIou, type Edges, edgesOf } from './boxes.ts';
import type { DetectionTargets } from './detectionLoss.ts';
import { assignPlaces, type GridAssignmentOptions } from './gridAssignment.ts';
import { flattened, mapEdges, objectRows, placesOf } from './places.ts';

/** Settings of {@link gridLoss}; by default those of YOLOv8. */
export interface GridLossOptions extends GridAssignmentOptions {
  /** Pixels of the model's input per place, of each level; 8, 16, 32 by default. */
  readonly strides?: readonly number[] | undefined;
  /** Bins of an edge's distance; 16 by default. */
  readonly bins?: number | undefined;
  /** Weights of the terms; 7.5, 0.5 and 1.5 by default. */
  readonly weights?: { readonly box: number; readonly class: number; readonly bins: number } | undefined;
}

/**
 * The loss of a dense head: CIoU of boxes, cross-entropy of classes, and distribution focal loss of edges, all divided
 * by the sum of the target scores and times the number of images. Objects are assigned without a gradient.
 * @param levels raw outputs, one a level: `[batch, 4 · bins + classes, rows, columns]`
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for another number of levels than strides
 * @see Li et al., "Generalized Focal Loss" (2020), arXiv:2006.04388; Zheng et al., "Enhancing Geometric Factors in Model
 *   Learning and Inference for Object Detection and Instance Segmentation" (2020), arXiv:2005.03572
 */
export function gridLoss(
  g: GraphBuilder,
  levels: readonly Value[],
  targets: Pick<DetectionTargets, 'labels' | 'boxes' | 'counts'>,
  options: GridLossOptions = {},
): Value {
  const { strides = [8, 16, 32], bins = 16, weights = { box: 7.5, class: 0.5, bins: 1.5 } } = options;
  if (levels.length !== strides.length) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `There are ${levels.length} levels of outputs and ${strides.length} strides. Give a stride for each level.`,
    );
  }
  const { all, sizes, batch, channels } = flattened(g, levels);
  const classes = channels - 4 * bins;
  const [edges, logits] = g.Split(all, [4 * bins, classes], 2) as [Value, Value];
  const { x, y, stride, count } = placesOf(sizes, strides);
  const places = all.shape![1] as number;
  const row = (values: readonly number[]): Value => g.constant(float32(values, [1, 1, places]));
  const objects = targets.labels.shape![1] as number;

  // Distances in places, from each place's center to left, top, right and bottom.
  const scores = g.Reshape(edges, [batch * places * 4, bins]);
  const steps = g.constant(float32(Array.from({ length: bins }, (_, i) => i), [1, bins])); // prettier-ignore
  const distances = g.Reshape(g.ReduceSum(g.Mul(g.Softmax(scores, 1), steps), [1], false), [batch, places, 4]);
  const [left, top, right, bottom] = g.Split(g.Transpose(distances, [0, 2, 1]), [1, 1, 1, 1], 1) as [Value, Value, Value, Value]; // prettier-ignore
  const found: Edges = {
    left: g.Sub(row(x), left),
    top: g.Sub(row(y), top),
    right: g.Add(row(x), right),
    bottom: g.Add(row(y), bottom),
  };

  const pixels = g.Mul(targets.boxes, g.constant(float32([...count, ...count], [1, 1, 4])));
  const truth = edgesOf(g, pixels);
  const order = g.constant(int64(Array.from({ length: objects }, (_, i) => i), [1, objects])); // prettier-ignore
  const counts = g.Unsqueeze(g.Less(order, g.Reshape(targets.counts, [batch, 1])), [2]);
  const inPixels = mapEdges(found, (edge) => g.Mul(g.stopGradient(edge), row(stride)));
  const { object, score } = assignPlaces(
    g,
    {
      logits: g.stopGradient(logits),
      found: inPixels,
      truth,
      labels: targets.labels,
      counts,
      x: row(x.map((each, i) => each * stride[i]!)),
      y: row(y.map((each, i) => each * stride[i]!)),
    },
    options,
  );
  const weight = g.stopGradient(score);
  const total = (value: Value): Value => g.ReduceSum(value, value.shape!.map((_, i) => i), false); // prettier-ignore
  const norm = g.Div(g.Max(total(weight), 1), batch);

  const { label, box } = objectRows(g, object, { labels: targets.labels, pixels });
  const isClass = g.Cast(g.Equal(label, g.constant(int64(Array.from({ length: classes }, (_, i) => i), [1, 1, classes]))), dataTypeNumber('float32')); // prettier-ignore
  const target = g.Mul(isClass, g.Unsqueeze(weight, [2]));
  const classCost = binaryCrossEntropy(g, logits, target, { reduction: 'sum' });

  const parts = g.Split(g.Transpose(box, [0, 2, 1]), [1, 1, 1, 1], 1) as [Value, Value, Value, Value];
  const [cx, cy, width, height] = parts.map((part) => g.Div(part, row(stride))) as [Value, Value, Value, Value];
  const own: Edges = {
    left: g.Sub(cx, g.Mul(width, 0.5)),
    top: g.Sub(cy, g.Mul(height, 0.5)),
    right: g.Add(cx, g.Mul(width, 0.5)),
    bottom: g.Add(cy, g.Mul(height, 0.5)),
  };
  // Places without an object have no weight, whatever the box that they are compared with.
  const share = g.Unsqueeze(weight, [1]);
  const boxCost = total(g.Mul(g.Sub(g.scalar(1), completeIou(g, found, own)), share));

  const wanted = g.Concat([g.Sub(row(x), own.left), g.Sub(row(y), own.top), g.Sub(own.right, row(x)), g.Sub(own.bottom, row(y))], 1); // prettier-ignore
  const inside = g.Max(g.Min(g.Reshape(g.Transpose(wanted, [0, 2, 1]), [batch * places * 4, 1]), bins - 1 - 0.01), 0);
  const shares = g.Relu(g.Sub(g.scalar(1), g.Abs(g.Sub(inside, steps))));
  const costs = g.Reshape(crossEntropy(g, scores, shares, { reduction: 'none' }), [batch, places, 4]);
  const binCost = total(g.Mul(g.ReduceMean(costs, [2], false), weight));
  return weightedSum(g, [
    [weights.box, g.Div(boxCost, norm)],
    [weights.class, g.Div(classCost, norm)],
    [weights.bins, g.Div(binCost, norm)],
  ]);
}
