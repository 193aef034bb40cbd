/** @file The loss of dense heads as YOLOv8's: boxes as distributions of distances, assigned by task alignment. */

import { float32, OnnxLoraError } from '@onnx-lora/sdk';
import { binaryCrossEntropy, type GraphBuilder, type Value, weightedSum } from '@onnx-lora/sdk/tasks';
import { completeIou, edgesOf } from './boxes.ts';
import type { DetectionTargets } from './detectionLoss.ts';
import { binCosts, edgesOfBins } from './distances.ts';
import { assignPlaces, type GridAssignmentOptions } from './gridAssignment.ts';
import { countedObjects, edgesInPlaces, flattened, mapEdges, objectRows, oneHot, placesOf, total } from './places.ts';

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

  const binned = { scores: edges, bins, x: row(x), y: row(y) };
  const found = edgesOfBins(g, binned);

  const pixels = g.Mul(targets.boxes, g.constant(float32([...count, ...count], [1, 1, 4])));
  const truth = edgesOf(g, pixels);
  const inPixels = mapEdges(found, (edge) => g.Mul(g.stopGradient(edge), row(stride)));
  const { object, score } = assignPlaces(
    g,
    {
      logits: g.stopGradient(logits),
      found: inPixels,
      truth,
      labels: targets.labels,
      counts: countedObjects(g, targets.counts, objects),
      x: row(x.map((each, i) => each * stride[i]!)),
      y: row(y.map((each, i) => each * stride[i]!)),
    },
    options,
  );
  const weight = g.stopGradient(score);
  const norm = g.Div(g.Max(total(g, weight), 1), batch);

  const { label, box } = objectRows(g, object, { labels: targets.labels, pixels });
  const target = g.Mul(oneHot(g, label, classes), g.Unsqueeze(weight, [2]));
  const classCost = binaryCrossEntropy(g, logits, target, { reduction: 'sum' });

  const own = edgesInPlaces(g, box, row(stride));
  // Places without an object have no weight, whatever the box that they are compared with.
  const share = g.Unsqueeze(weight, [1]);
  const boxCost = total(g, g.Mul(g.Sub(g.scalar(1), completeIou(g, found, own)), share));

  const binCost = total(g, g.Mul(binCosts(g, binned, own), weight));
  return weightedSum(g, [
    [weights.box, g.Div(boxCost, norm)],
    [weights.class, g.Div(classCost, norm)],
    [weights.bins, g.Div(binCost, norm)],
  ]);
}
