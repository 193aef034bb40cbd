/** @file The loss and the metrics of prompted masks. */

import { OnnxLoraError, type Feeds, int64, type Tensor } from '@onnx-lora/sdk';
import {
  binaryCrossEntropy,
  dice,
  type GraphBuilder,
  sigmoidFocal,
  type Value,
  weightedSum,
  bootstrapDraws,
  type Draws,
  drawsFor,
  meanMeasure,
  type Measure,
  type MetricCollector,
  type MetricsNamed,
} from '@onnx-lora/sdk/tasks';
import type { Mask } from '../../augment/sample.ts';
import { boundaryF, diceScore, intersectionOverUnion, overlapOf } from '../../metrics/maskMetrics.ts';
import { geometryOf } from '../../preprocess/geometry.ts';
import type { ImagePlan } from '../../preprocess/imagePlan.ts';
import { cutLogits, logitsOfImage, masksOf } from './imageMask.ts';
import type { SamPorts } from './samPorts.ts';

/** Weights of the loss; SAM's by default. */
export interface PromptableLoss {
  /** Pixel focal loss; 20 by default, unless `bce` is given. */
  readonly focal?: number;
  /** Pixel binary cross-entropy; 0 by default. */
  readonly bce?: number;
  /** Dice loss; 1 by default. */
  readonly dice?: number;
  /** Squared error of the estimated IoU; 1 by default. */
  readonly iou?: number;
}

/** Target value outside of the image. */
export const OUTSIDE = -1;

/**
 * SAM's loss: 20 parts focal loss, one part Dice, one part squared error of the estimated IoU. Among several masks for a
 * prompt, the one with the largest true IoU is trained, since a prompt is ambiguous; all estimates are. Padding is
 * ignored.
 * @param outputs logits `masks` `[batch, prompts, masks, height, width]` and estimated IoU `scores` `[batch, prompts,
 *   masks]`; `isSingle` for the first mask only
 * @param targets at the size of the model's input: `truth` float32 `[batch, prompts, input height, input width]` with
 *   1, 0 and {@link OUTSIDE}; `weights` float32 `[batch, prompts]`, 0 for padding prompts
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

/** Object share of each decoder pixel, and 1 for pixels inside the image. */
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
      `The model makes masks of ${width} x ${height} from images of ${inputWidth} x ${inputHeight}; the image's size must be a whole multiple of the mask's. Check preprocessor_config.json.`,
    );
  }
  const isInside = g.Cast(g.Greater(truth, OUTSIDE / 2), 1);
  const means = (value: Value): Value =>
    g.Reshape(g.ReduceMean(g.Reshape(value, [rows, height, y, width, x]), [2, 4], false), [rows, 1, height, width]);
  return {
    target: means(g.Relu(truth)),
    // A pixel that is partly padding counts as image, since the decoder cannot tell.
    inside: g.Cast(g.Greater(means(isInside), 0), 1),
  };
}

/** IoU of each mask at threshold 0: `[rows, masks]`. */
function trueIou(g: GraphBuilder, logits: Value, target: Value, inside: Value): Value {
  const found = g.Mul(g.Cast(g.Greater(logits, 0), 1), inside);
  const there = g.Cast(g.Greater(target, 0.5), 1);
  const sum = (value: Value): Value => g.ReduceSum(value, [2, 3], false);
  const both = sum(g.Mul(found, there));
  const either = g.Sub(g.Add(sum(found), sum(there)), both);
  // Two empty masks have IoU 1.
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

/** Packs masks: `bits` uint8 `[images, masks, bytes]` and `sizes` int64 `[images, 2]`, height and width. */
export function packMasks(images: readonly (readonly Mask[])[]): {
  readonly bits: Feeds[string];
  readonly sizes: Feeds[string];
} {
  const bytes = Math.max(...images.flat().map(({ data }) => Math.ceil(data.length / 8)));
  const each = images[0]!.length;
  const data = new Uint8Array(images.length * each * bytes);
  images.flat().forEach((mask, k) => {
    const start = k * bytes;
    for (let i = 0; i < mask.data.length; i++) if (mask.data[i] !== 0) data[start + (i >> 3)]! |= 1 << (i & 7);
  });
  return {
    bits: { type: 'uint8', dims: [images.length, each, bytes], data },
    sizes: int64(
      images.flatMap(([mask]) => [mask!.height, mask!.width]),
      [images.length, 2],
    ),
  };
}

function unpackMasks(bits: Feeds[string], sizes: Feeds[string]): Mask[][] {
  const [images = 0, each = 0, bytes = 0] = bits.dims;
  return Array.from({ length: images }, (_, i) => {
    const [height, width] = [Number(sizes.data[2 * i]), Number(sizes.data[2 * i + 1])];
    return Array.from({ length: each }, (__, j) => {
      const start = (i * each + j) * bytes;
      const data = new Uint8Array(height * width);
      for (let k = 0; k < data.length; k++) data[k] = ((bits.data[start + (k >> 3)] as number) >> (k & 7)) & 1;
      return { height, width, data };
    });
  });
}

/** Metrics of prompted masks. */
export type PromptableScores = MetricsNamed<'meanIou' | 'dice' | 'boundaryF'>;

/**
 * Means over prompts: `meanIou`, `dice`, `boundaryF` of the mask with the highest score, `bestIou` of the actual best.
 */
export class PromptableMetrics implements MetricCollector<PromptableScores> {
  readonly #ports: SamPorts;
  readonly #plan: ImagePlan;
  #masks = 1;
  readonly #images: number[] = [];
  readonly #iou: number[] = [];
  readonly #dice: number[] = [];
  readonly #boundary: number[] = [];
  readonly #best: number[] = [];

  constructor(ports: SamPorts, plan: ImagePlan) {
    this.#ports = ports;
    this.#plan = plan;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const { bits, sizes, weights, images } = targets;
    if (!bits || !sizes || !weights || !images)
      throw new OnnxLoraError(
        'INPUT_INVALID',
        'Examples drawn for training cannot be measured. Get them without a draw.',
      );
    const found = masksOf(outputs, this.#ports);
    const isPadded = this.#plan.pad !== undefined;
    for (const [i, truths] of unpackMasks(bits, sizes).entries()) {
      for (const [j, truth] of truths.entries()) {
        if (weights.data[i * truths.length + j] === 0) continue;
        const geometry = geometryOf(this.#plan, truth);
        const { logits, best } = found(i, j);
        const cut = logits.map((each) => cutLogits(logitsOfImage(each, geometry, { isPadded })));
        const overlaps = cut.map((mask) => overlapOf(mask, truth.data));
        this.#images.push(Number(images.data[i]));
        this.#masks = cut.length;
        this.#iou.push(intersectionOverUnion(overlaps[best]!));
        this.#dice.push(diceScore(overlaps[best]!));
        this.#boundary.push(boundaryF({ ...truth, data: cut[best]! }, truth));
        this.#best.push(Math.max(...overlaps.map(intersectionOverUnion)));
      }
    }
  }

  result(): PromptableScores {
    return this.#measure();
  }

  /** The metrics on resampled images, since objects of one image are alike. */
  draws(): Draws {
    const prompts = this.#images.length;
    return bootstrapDraws(this.#measure, prompts, { samples: drawsFor(prompts), groups: this.#images });
  }

  get #measure(): Measure<PromptableScores> {
    return meanMeasure<'meanIou' | 'dice' | 'boundaryF'>({
      meanIou: this.#iou,
      dice: this.#dice,
      boundaryF: this.#boundary,
      ...(this.#masks > 1 && { bestIou: this.#best }),
    });
  }
}
