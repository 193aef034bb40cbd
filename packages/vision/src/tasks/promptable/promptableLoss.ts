/** @file The loss of masks that a prompt asked for. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  binaryCrossEntropy,
  dice,
  type GraphBuilder,
  sigmoidFocal,
  type Value,
  weightedSum,
} from '@onnx-lora/sdk/tasks';

/** What of a mask counts how much; SAM's own by default. */
export interface PromptableLoss {
  /** Focal loss of each pixel; 20 by default, unless `bce` is given. */
  readonly focal?: number;
  /** Binary cross-entropy of each pixel; 0 by default. */
  readonly bce?: number;
  /** Dice loss of each mask; 1 by default. */
  readonly dice?: number;
  /** Squared error of the decoder's estimate of each mask's IoU; 1 by default. */
  readonly iou?: number;
}

/** Outside of the image in what the masks are compared with. */
export const OUTSIDE = -1;

/**
 * The loss of SAM: 20 parts focal loss, one part Dice, one part squared error of the estimated IoU. Of several masks for one
 * prompt the one with the largest true IoU is trained, for a prompt can mean a whole or its part; the estimates of all are.
 * Pixels that pad the image do not count.
 *
 * @param outputs logits `masks` `[batch, prompts, masks, height, width]` and estimated IoU `scores` `[batch, prompts, masks]`;
 *   `isSingle` where only the first mask is meant
 * @param targets what is there at the size of the model's input: `truth` float32 `[batch, prompts, input height, input width]`
 *   with 1, 0 and {@link OUTSIDE}; `weights` float32 `[batch, prompts]`, 0 for prompts that only fill the batch up
 * @see Kirillov et al., "Segment Anything" (2023), arXiv:2304.02643, §3 and appendix A
 */
export function promptableLoss(
  g: GraphBuilder,
  outputs: { readonly masks: Value; readonly scores: Value; readonly isSingle: boolean },
  { truth, weights }: { readonly truth: Value; readonly weights: Value },
  { bce = 0, focal = bce > 0 ? 0 : 20, dice: overlap = 1, iou = 1 }: PromptableLoss = {},
): Value {
  const first = (value: Value): Value => (outputs.isSingle ? g.Slice(value, [0], [1], [2]) : value);
  const [masks, scores] = [first(outputs.masks), first(outputs.scores)];
  const [batch, prompts, count, height, width] = shapeOf(masks, 5);
  const rows = batch * prompts;
  const { target, inside } = targetsOf(g, truth, [rows, 1, height, width]);
  const logits = g.Reshape(masks, [rows, count, height, width]);
  const share = g.Reshape(weights, [rows, 1]);
  const total = g.Max(g.ReduceSum(share, [0, 1], false), 1);
  const mean = (cost: Value): Value => g.Div(g.ReduceSum(g.Mul(cost, share), [0, 1], false), total);

  const needsIou = count > 1 || iou > 0;
  const found = needsIou ? trueIou(g, g.stopGradient(logits), target, inside) : undefined;
  const chosen = count > 1 ? best(g, logits, found!) : logits;
  const area = g.ReduceSum(inside, [1, 2, 3], false);
  const perPixel = (costs: Value): Value =>
    g.Reshape(g.Div(g.ReduceSum(g.Mul(costs, inside), [1, 2, 3], false), area), [rows, 1]);
  const terms: (readonly [weight: number, cost: Value])[] = [];
  if (focal > 0) terms.push([focal, mean(perPixel(sigmoidFocal(g, chosen, target, { reduction: 'none' })))]);
  if (bce > 0) terms.push([bce, mean(perPixel(binaryCrossEntropy(g, chosen, target, { reduction: 'none' })))]);
  if (overlap > 0) terms.push([overlap, mean(dice(g, chosen, target, { mask: inside, reduction: 'none' }))]);
  if (iou > 0) {
    const miss = g.Sub(g.Reshape(scores, [rows, count]), found!);
    terms.push([iou, mean(g.ReduceMean(g.Mul(miss, miss), [1], true))]);
  }
  if (terms.length === 0) {
    throw new OnnxLoraError('CONFIG_INVALID', 'All parts of the loss are 0. Give at least one of focal, bce and dice.');
  }
  return weightedSum(g, terms);
}

/** How much of each pixel of the decoder's mask is object, and whether it shows the image, in 1 and 0. */
function targetsOf(
  g: GraphBuilder,
  truth: Value,
  [rows, , height, width]: readonly [number, number, number, number],
): { target: Value; inside: Value } {
  const [, , inputHeight, inputWidth] = shapeOf(truth, 4);
  const [y, x] = [inputHeight / height, inputWidth / width];
  if (!Number.isInteger(y) || !Number.isInteger(x)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The model makes masks of ${width} x ${height} from images of ${inputWidth} x ${inputHeight}, which is no whole multiple. Check preprocessor_config.json.`,
    );
  }
  const isInside = g.Cast(g.Greater(truth, OUTSIDE / 2), 1);
  const means = (value: Value): Value =>
    g.Reshape(g.ReduceMean(g.Reshape(value, [rows, height, y, width, x]), [2, 4], false), [rows, 1, height, width]);
  return {
    target: means(g.Relu(truth)),
    // A pixel that is partly padding counts as the image: the decoder cannot tell.
    inside: g.Cast(g.Greater(means(isInside), 0), 1),
  };
}

/** IoU of each mask cut at 0: `[rows, masks]`. */
function trueIou(g: GraphBuilder, logits: Value, target: Value, inside: Value): Value {
  const found = g.Mul(g.Cast(g.Greater(logits, 0), 1), inside);
  const there = g.Cast(g.Greater(target, 0.5), 1);
  const sum = (value: Value): Value => g.ReduceSum(value, [2, 3], false);
  const both = sum(g.Mul(found, there));
  const either = g.Sub(g.Add(sum(found), sum(there)), both);
  // No pixel in either: the mask of nothing is found.
  return g.Div(g.Add(both, 1e-6), g.Add(either, 1e-6));
}

/** The mask with the largest IoU of each row: `[rows, 1, height, width]`. */
function best(g: GraphBuilder, logits: Value, iou: Value): Value {
  const [rows, count, height, width] = shapeOf(logits, 4);
  const choice = g.emit('ArgMax', [iou], { axis: 1, keepdims: 1 });
  const first = g.ints(Array.from({ length: rows }, (_, i) => i * count));
  const places = g.Add(g.Reshape(choice, [rows]), first);
  const picked = g.Gather(g.Reshape(logits, [rows * count, height * width]), places, 0);
  return g.Reshape(picked, [rows, 1, height, width]);
}

function shapeOf<Rank extends 4 | 5>(value: Value, rank: Rank): Rank extends 5 ? Five : Four {
  const { shape } = value;
  if (shape?.length === rank && shape.every((size) => typeof size === 'number')) {
    return shape as unknown as Rank extends 5 ? Five : Four;
  }
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${value.name}" must have ${rank} dimensions of known size to be trained. Export the model with transformers or optimum.`,
  );
}

type Four = readonly [number, number, number, number];
type Five = readonly [number, number, number, number, number];
