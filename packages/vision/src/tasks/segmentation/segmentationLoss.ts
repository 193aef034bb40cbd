/** @file The loss of scores per pixel against a class map. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import { crossEntropy, dice, type GraphBuilder, type Value } from '@onnx-lora/sdk/tasks';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';

/** The number of pixels that do not count: nobody knows their class. */
export const IGNORED = 255;

/** How scores and class maps of different sizes are compared, and by what. */
export interface SegmentationLossOptions {
  /**
   * `labels` (the default) resizes the scores to the class map, bilinearly, as transformers does. `logits` takes of the class
   * map the pixels nearest to the scores instead: for scores of a quarter of the size a sixteenth of the work, and small things
   * count less.
   */
  readonly lossSize?: 'labels' | 'logits' | undefined;
  /** How much the Dice loss counts beside the cross-entropy; 0 by default. It makes up for classes of few pixels. */
  readonly dice?: number | undefined;
  /** How much each class counts in the cross-entropy, in the order of the labels. */
  readonly classWeights?: readonly number[] | undefined;
  /** How much of a label is spread evenly over all classes, from 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
}

/**
 * Mean cross-entropy over the pixels whose class is known, plus the Dice loss.
 *
 * @param logits `[batch, classes, rows, columns]`, float32
 * @param labels `[batch, height, width]`, int64; {@link IGNORED} where a pixel does not count
 */
export function segmentationLoss(
  g: GraphBuilder,
  logits: Value,
  labels: Value,
  { lossSize = 'labels', dice: diceWeight = 0, classWeights, labelSmoothing }: SegmentationLossOptions,
): Value {
  const [batch, classes, rows, columns] = sizes(logits);
  const [, height, width] = sizes(labels);
  // The classes go last before the scores grow, so that the large tensor is not transposed.
  const small = g.Transpose(logits, [0, 2, 3, 1]);
  const sameSize = rows === height && columns === width;
  const scores =
    sameSize || lossSize === 'logits' ? small : resizeBilinear(g, small, [batch!, height!, width!, classes!]);
  const truth =
    sameSize || lossSize === 'labels'
      ? labels
      : g.Gather(g.Gather(labels, g.ints(nearest(height!, rows!)), 1), g.ints(nearest(width!, columns!)), 2);
  const entropy = crossEntropy(g, scores, truth, { ignoreIndex: IGNORED, weight: classWeights, labelSmoothing });
  return diceWeight === 0 ? entropy : g.Add(entropy, g.Mul(overlap(g, scores, truth), diceWeight));
}

/** Dice loss over the whole batch: a class that one image lacks is judged by those that have it. */
function overlap(g: GraphBuilder, scores: Value, labels: Value): Value {
  const [batch, height, width, classes] = sizes(scores) as [number, number, number, number];
  const numbers = g.constant(int64(Array.from({ length: classes }, (_, i) => i), [1, classes, 1, 1])); // prettier-ignore
  const map = g.Reshape(labels, [batch, 1, height, width]);
  const isClass = g.Equal(map, numbers);
  const known = g.Not(g.Equal(map, g.constant(int64([IGNORED], [1, 1, 1, 1]))));
  const probabilities = g.Transpose(g.Softmax(scores, 3), [0, 3, 1, 2]);
  const float = (value: Value): Value => g.Cast(value, dataTypeNumber('float32'));
  return dice(g, probabilities, float(isClass), { activation: 'none', over: 'batch', mask: float(known) });
}

function resizeBilinear(g: GraphBuilder, x: Value, size: readonly number[]): Value {
  if (g.opset < 11) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The model is of opset ${g.opset}, whose Resize cannot do what the loss needs. Export it with opset 11 or later, or set lossSize to "logits".`,
    );
  }
  // Opset 11 wants a region and scales even where they say nothing.
  return g.emit('Resize', [x, none(g), none(g), g.ints(size)], {
    mode: 'linear',
    coordinate_transformation_mode: 'half_pixel',
  });
}

function none(g: GraphBuilder): Value | undefined {
  return g.opset < 13 ? g.constant({ type: 'float32', data: new Float32Array(0), dims: [0] }) : undefined;
}

/** For each of `to` places the one of `from` under its middle. */
function nearest(from: number, to: number): number[] {
  return Array.from({ length: to }, (_, i) => Math.min(from - 1, Math.floor(((i + 0.5) * from) / to)));
}

function sizes({ name, shape }: Value): readonly number[] {
  if (shape?.every((dim) => typeof dim === 'number')) return shape as readonly number[];
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The size of "${name}" is not known before the model runs, so its scores cannot be compared with class maps. Export the model with a fixed height and width.`,
  );
}
