/** @file Losses of detectors whose queries are matched with objects (DETR and its kin), as transformers computes them. */

import { int64 } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import {
  binaryCrossEntropy,
  crossEntropy,
  type GraphBuilder,
  sigmoidFocal,
  type Value,
  weightedSum,
} from '@onnx-lora/sdk/tasks';
import { edgesOf, overlapsOf } from './boxes.ts';
import { type EdgeBins, type EdgeHeads, edgeLosses } from './edgeLosses.ts';
import { maskCosts, maskPairCosts, type PixelLoss } from './maskLoss.ts';
import { match, type MatchingCost } from './matching.ts';

/** The loss of the classes. */
export type ClassLoss =
  /** Cross-entropy, the last class being "no object" with a weight of its own (DETR, YOLOS). */
  | { readonly kind: 'cross-entropy'; readonly noObject: number }
  /** Sigmoid focal loss (Deformable and Conditional DETR). */
  | { readonly kind: 'focal'; readonly alpha: number; readonly gamma: number }
  /** Varifocal loss: the target of a matched query is its IoU (RT-DETR, D-FINE; arXiv 2008.13367). */
  | { readonly kind: 'varifocal'; readonly alpha: number; readonly gamma: number }
  /** Cross-entropy whose target is aligned with score and IoU, `p^alpha · IoU^(1 − alpha)` (LW-DETR, RF-DETR; arXiv 2406.03459). */
  | { readonly kind: 'aligned'; readonly alpha: number };

/** Settings of {@link detectionLoss}. */
export interface DetectionLoss {
  /** The loss of the class scores. */
  readonly classes: ClassLoss;
  /** Weights by which queries are matched with objects. */
  readonly cost: MatchingCost;
  /** Weights of the terms. `fgl` and `ddf` are for boxes as distributions of edges. */
  readonly weights: {
    readonly class: number;
    readonly bbox: number;
    readonly giou: number;
    readonly fgl?: number;
    readonly ddf?: number;
    /** The masks' pixels. */
    readonly mask?: number;
    /** The masks' shapes: one minus the Dice coefficient. */
    readonly dice?: number;
  };
  /** The loss of masks' pixels; focal by default. */
  readonly pixels?: PixelLoss;
  /** Whether predicted boxes' numbers are clipped to 0 and 1 (D-FINE); false by default. */
  readonly clipped?: boolean;
  /** For boxes as distributions of edges (D-FINE). */
  readonly bins?: EdgeBins;
}

/** A set of class scores and boxes, matched by itself. */
export interface Predictions {
  /** `[batch, queries, classes]`. */
  readonly logits: Value;
  /** `[batch, queries, 4]`: center, width and height in shares of the image; absent where a model gives masks alone. */
  readonly boxes?: Value;
}

/** Outputs of a detector. */
export interface DetectorOutputs {
  /** The final set, then those of auxiliary losses. All sets have equal shapes. */
  readonly sets: readonly Predictions[];
  /** Distributions of edges of the sets from the second on, as many as there are. */
  readonly edges?: EdgeHeads;
  /** Masks of the final set, before the sigmoid: `[batch, queries, rows, columns]`. */
  readonly masks?: Value;
}

/** Targets of a batch; see `detectionTargets`. */
export interface DetectionTargets {
  /** int64 `[batch, objects]`. */
  readonly labels: Value;
  /** float32 `[batch, objects, 4]`: center, width and height in shares of the image; padding is any sound box. */
  readonly boxes: Value;
  /** int64 `[batch]`: objects of each image. */
  readonly counts: Value;
  /** int64 `[batch, images]`: in each row those of all images of the whole batch, also where this is a part. */
  readonly batchCounts: Value;
  /** The objects' pixels, 0 and 1, for a model with masks: uint8 `[batch, objects, height, width]`. */
  readonly masks?: Value;
}

/**
 * The loss of a batch. Terms are divided by the number of objects in the whole batch, cross-entropy by the weights of
 * its labels; a part of a batch gives its share times the number of parts, so that the mean over rows is the batch's.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an opset below 13
 */
export function detectionLoss(
  g: GraphBuilder,
  { sets, edges, masks }: DetectorOutputs,
  targets: DetectionTargets,
  { classes: classLoss, cost, weights, clipped = false, bins, pixels = 'focal' }: DetectionLoss,
): Value {
  const [rows, queries, classes] = sets[0]!.logits.shape as [number, number, number];
  const images = targets.batchCounts.shape![1] as number;
  const problems = sets.length * rows;
  const slots = targets.labels.shape![1] as number;
  const joined = (values: readonly Value[]): Value => (values.length === 1 ? values[0]! : g.Concat(values, 0));
  const again = (value: Value): Value => joined(sets.map(() => value));
  const logits = joined(sets.map((each) => each.logits));
  const given = sets.flatMap((each) => each.boxes ?? []);
  const all = given.length === sets.length ? joined(given) : undefined;
  const boxes = all && clipped ? g.emit('Clip', [all, g.scalar(0), g.scalar(1)]) : all;
  const [labels, objects, counts] = [again(targets.labels), again(targets.boxes), again(targets.counts)];
  const outlines = masks && targets.masks ? { masks, truth: targets.masks } : undefined;
  const more = outlines && (cost.mask ?? cost.dice) !== undefined ? maskPairCosts(g, outlines, { mask: cost.mask ?? 0, dice: cost.dice ?? 0 }, pixels) : undefined; // prettier-ignore
  const problem = { logits, labels, objects, counts, ...(boxes && { boxes }), ...(more && { more }) };
  const { objectOf, queryOf, isPair } = match(g, problem, cost);

  const inBatch = g.Slice(targets.batchCounts, [0], [1], [0]);
  const total = (value: Value): Value => g.ReduceSum(value, range(value.shape!.length), false);
  const float = (value: Value): Value => g.Cast(value, dataTypeNumber('float32'));
  /** Divides a sum over the part's rows, such that the mean over parts is the batch's. */
  const per = (sum: Value, number: Value): Value => g.Mul(g.Div(sum, number), images / rows);
  const number = g.Max(total(float(inBatch)), 1);

  // Pairs, one row each; padding is a pair of two equal boxes.
  const nothing = g.constant({ type: 'float32', dims: [1, 4], data: Float32Array.of(0.5, 0.5, 1, 1) });
  const isTrue = g.Reshape(isPair, [problems * slots, 1]);
  const firstQueries = starts(g, problems, queries);
  const chosen = g.Reshape(g.Add(queryOf, firstQueries), [problems * slots]);
  const paired = (value: Value, width: number): Value => g.Gather(g.Reshape(value, [problems * queries, width]), chosen, 0); // prettier-ignore
  const truth = g.Where(isTrue, g.Reshape(objects, [problems * slots, 4]), nothing);
  const found = boxes ? g.Where(isTrue, paired(boxes, 4), nothing) : truth;
  const { iou, giou } = overlapsOf(g, edgesOf(g, found), edgesOf(g, truth));

  // Targets of each query.
  const isMatched = g.Not(g.Less(objectOf, g.constant(int64([0], []))));
  const object = g.Where(isMatched, objectOf, g.constant(int64([0], [])));
  const place = g.Reshape(g.Add(object, starts(g, problems, slots)), [problems * queries]);
  const ofObject = (value: Value): Value => g.Reshape(g.Gather(g.Reshape(value, [problems * slots]), place, 0), [problems, queries]); // prettier-ignore
  const label = g.Where(isMatched, ofObject(labels), g.constant(int64([classes - 1], [])));
  const quality = g.Where(isMatched, ofObject(g.stopGradient(iou)), 0);
  const isClass = g.And(
    g.Unsqueeze(isMatched, [2]),
    g.Equal(g.Unsqueeze(label, [2]), g.constant(int64(range(classes), [1, 1, classes]))),
  );

  const classCost = (): Value => {
    if (classLoss.kind === 'cross-entropy') {
      const { noObject } = classLoss;
      const weight = range(classes).map((each) => (each === classes - 1 ? noObject : 1));
      const matched = total(float(g.emit('Min', [inBatch, g.constant(int64([queries], []))])));
      const share = g.Add(g.Mul(matched, 1 - noObject), noObject * images * queries);
      return per(crossEntropy(g, logits, label, { weight, reduction: 'sum' }), share);
    }
    if (classLoss.kind === 'aligned') {
      const { alpha } = classLoss;
      const score = g.Sigmoid(logits);
      const fit = g.Mul(g.Pow(g.stopGradient(score), alpha), g.Unsqueeze(g.Pow(quality, 1 - alpha), [2]));
      const target = g.Where(isClass, g.Max(fit, 0.01), 0);
      const weight = g.Where(isClass, 1, g.Mul(score, score));
      return per(binaryCrossEntropy(g, logits, target, { weight, reduction: 'sum' }), number);
    }
    const { alpha, gamma } = classLoss;
    if (classLoss.kind === 'focal')
      return per(sigmoidFocal(g, logits, float(isClass), { alpha, gamma, reduction: 'sum' }), number);
    const score = g.Sigmoid(g.stopGradient(logits));
    const quality3 = g.Unsqueeze(quality, [2]);
    const negative = g.Mul(gamma === 2 ? g.Mul(score, score) : g.Pow(score, gamma), alpha);
    const weight = g.Where(isClass, quality3, negative);
    const target = g.Where(isClass, quality3, 0);
    return per(binaryCrossEntropy(g, logits, target, { weight, reduction: 'sum' }), number);
  };
  const terms: [number, Value][] = [[weights.class, classCost()]];
  if (boxes) {
    const apart = total(g.Mul(g.Sub(g.scalar(1), giou), float(isTrue)));
    terms.push([weights.bbox, per(total(g.Abs(g.Sub(found, truth))), number)], [weights.giou, per(apart, number)]);
  }
  if (outlines) {
    const ofFinal = (value: Value): Value => (sets.length === 1 ? value : g.Slice(value, [0], [rows], [0]));
    const costs = maskCosts(g, { ...outlines, queryOf: ofFinal(queryOf), isPair: ofFinal(isPair) }, pixels);
    terms.push([weights.mask ?? 0, per(costs.pixels, number)], [weights.dice ?? 0, per(costs.dice, number)]);
  }
  if (edges && bins) {
    const { fgl, ddf } = edgeLosses(g, {
      edges,
      bins,
      final: sets[0]!.logits,
      inBatch,
      matching: { quality, isMatched, queryOf, isPair, iou: g.Reshape(iou, [problems, slots]) },
      objects: targets.boxes,
    });
    terms.push([weights.fgl ?? 0, per(fgl, number)], [weights.ddf ?? 0, g.Mul(ddf, images / rows)]);
  }
  return weightedSum(g, terms.filter(([weight]) => weight !== 0)); // prettier-ignore
}

/** First place of each problem in a joined axis: `[problems, 1]`. */
function starts(g: GraphBuilder, problems: number, size: number): Value {
  return g.constant(int64(range(problems).map((i) => i * size), [problems, 1])); // prettier-ignore
}

function range(size: number): number[] {
  return Array.from({ length: size }, (_, i) => i);
}
