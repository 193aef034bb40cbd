/** @file Baselines on frozen features: k nearest neighbours and a linear probe. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  bestNeighbourCount as bestCount,
  bootstrapDraws,
  type Draws,
  forEachNeighbours,
  l2Normalize,
  meanMeasure,
  type Nearest,
  takeRows,
} from '@onnx-lora/sdk/tasks';
import { matrix, type Matrix } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { fitLogisticRegression, type LogisticRegression, predictClasses } from './logisticRegression.ts';

/** Values of k that are tried; DINO tries 10, 20, 100 and 200. */
const candidates = [1, 2, 5, 10, 20, 50, 100, 200];

/** Temperature of the neighbours' weights, as in DINO. */
const temperature = 0.07;

const most = 2000;

/** Normalised features `[examples, features]` with class numbers. */
interface LabelledRows {
  readonly features: Matrix;
  readonly labels: readonly number[];
}

/**
 * DINO's weighted k nearest neighbours. @see https://arxiv.org/abs/1805.01978 section 3.4, arXiv:2104.14294 section 4.1
 */
export function nearestClasses({ features, labels }: LabelledRows, queries: Matrix, k: number): number[] {
  const found: number[] = [];
  forEachNeighbours({ features, isUnit: true }, queries, k, (near) => found.push(vote(near, labels)));
  return found;
}

/** The k with the best leave-one-out accuracy on the training images. */
export function bestNeighbourCount({ features, labels }: LabelledRows): number {
  const errorOf = (near: Nearest, image: number): number => Number(vote(near, labels) !== labels[image]);
  return bestCount({ features, isUnit: true }, { candidates, most, errorOf });
}

/** The class with the largest weight; ties go to the nearer image. */
function vote({ rows, products }: Nearest, labels: readonly number[]): number {
  const weights = new Map<number, number>();
  for (const [i, row] of rows.entries()) {
    const label = labels[row]!;
    weights.set(label, (weights.get(label) ?? 0) + Math.exp(products[i]! / temperature));
  }
  return [...weights].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
}

/** Embeddings with the images' classes. */
export interface LabelledEmbeddings {
  /** Float32 `[images, width]`, as from {@link imageEmbeddings}. */
  readonly embeddings: Tensor;
  /** The class of each row. */
  readonly labels: readonly string[];
}

/** Input of {@link frozenBaselines}. */
export interface FrozenBaselinesRequest {
  /** Training images. */
  readonly train: LabelledEmbeddings;
  /** Validation images. */
  readonly validation: LabelledEmbeddings;
  /** Seed of the cross-validation; 0 by default. */
  readonly seed?: number;
}

/** A baseline's score. */
export interface MeasuredBaseline {
  /** Accuracy on the validation images. */
  readonly accuracy: number;
  /** The accuracy on resampled sets of images. */
  readonly draws: Draws;
}

/** Scores of the baselines. */
export interface FrozenBaselines {
  /** k nearest neighbours by cosine, weighted as in DINO; `k` by leave-one-out on the training images. */
  readonly knn: MeasuredBaseline & { readonly k: number };
  /** Multinomial logistic regression on standardised features; `C` by cross-validation on the training images. */
  readonly linearProbe: MeasuredBaseline & { readonly C: number };
}

/** Values of C from strong to weak penalties. */
const penalties = [1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100];
/** Coarse fits to compare penalties, each starting from the previous one. */
const rough = { tolerance: 1e-3, iterations: 40 };
const folds = 5;

/**
 * Baselines for an adapter: k nearest neighbours and a linear probe on frozen features. The validation images choose
 * nothing.
 * @throws OnnxLoraError `INPUT_INVALID` for mismatched embeddings and labels; `DATA_INVALID` for fewer than two classes
 */
export function frozenBaselines({ train, validation, seed = 0 }: FrozenBaselinesRequest): FrozenBaselines {
  const features = checked(train, 'training');
  const held = checked(validation, 'validation');
  if (features.columns !== held.columns) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Training embeddings are ${features.columns} wide and validation embeddings ${held.columns}. Make both with one model.`,
    );
  }
  const names = [...new Set(train.labels)].sort();
  if (names.length < 2) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      'Frozen baselines need training images of at least two classes. Add images of another class.',
    );
  }
  const labels = train.labels.map((label) => names.indexOf(label));
  const truths = validation.labels.map((label) => names.indexOf(label));
  const measured = (answers: readonly number[]): MeasuredBaseline => {
    const measure = meanMeasure({ accuracy: answers.map((answer, i) => Number(answer === truths[i])) });
    return { ...measure(), draws: bootstrapDraws(measure, truths.length) };
  };

  const near = { features: l2Normalize(features), labels };
  const k = bestNeighbourCount(near);
  const C = bestPenalty(features, labels, names.length, seed);
  const probe = fitLogisticRegression({ features, labels, classes: names.length, C });
  return {
    knn: { ...measured(nearestClasses(near, l2Normalize(held), k)), k },
    linearProbe: { ...measured(predictClasses(probe, held)), C },
  };
}

/** The strongest penalty with the best accuracy over the folds; stops after two weaker ones are worse. */
function bestPenalty(features: Matrix, labels: readonly number[], classes: number, seed: number): number {
  const fold = stratifiedFolds(labels, Math.min(folds, labels.length), seed);
  const parts = [...new Set(fold)].map((held) => {
    const pick = (isHeld: boolean): number[] => labels.flatMap((_, i) => ((fold[i] === held) === isHeld ? [i] : []));
    const [inside, outside] = [pick(false), pick(true)];
    return {
      own: takeRows(features, inside),
      ownLabels: inside.map((i) => labels[i]!),
      others: takeRows(features, outside),
      truths: outside.map((i) => labels[i]!),
      from: undefined as LogisticRegression | undefined,
    };
  });
  let best = { right: -1, C: penalties[0]! };
  let worse = 0;
  for (const C of penalties) {
    let right = 0;
    for (const part of parts) {
      const { own, ownLabels, others, truths, from } = part;
      part.from = fitLogisticRegression({ features: own, labels: ownLabels, classes, C, from, ...rough });
      right += predictClasses(part.from, others).filter((answer, i) => answer === truths[i]).length;
    }
    worse = right > best.right ? 0 : worse + 1;
    if (right > best.right) best = { right, C };
    if (worse === 2) break;
  }
  return best.C;
}

function checked({ embeddings, labels }: LabelledEmbeddings, which: string): Matrix {
  const [count, width] = embeddings.dims;
  const { data } = embeddings;
  if (embeddings.dims.length === 2 && data instanceof Float32Array && count === labels.length && count > 0) {
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) return matrix(count, width!, data);
    throw new OnnxLoraError(
      'LOSS_NOT_FINITE',
      `The ${which} embedding of image ${Math.floor(bad / width!)} holds ${data[bad]}. Check the model, or the adapter it was made with.`,
    );
  }
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `The ${which} embeddings must be float32 [images, width], with a label for each image, but they are ${embeddings.type} [${embeddings.dims.join(', ')}] with ${labels.length} labels. Give a label for each row.`,
  );
}

/** Stratified random folds. */
export function stratifiedFolds(labels: readonly number[], folds: number, seed: number): number[] {
  const random = new Random(seed);
  const result = new Array<number>(labels.length).fill(0);
  let next = 0;
  for (const label of [...new Set(labels)].sort((a, b) => a - b)) {
    const members = labels.flatMap((each, i) => (each === label ? [i] : []));
    // Each class continues where the last ended, so that small ones do not share the first folds.
    for (const at of random.permutation(members.length)) result[members[at]!] = next++ % folds;
  }
  return result;
}
