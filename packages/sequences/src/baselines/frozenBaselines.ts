/** @file Compares an adapter with baselines on the frozen base. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  bootstrapDraws,
  type Draws,
  intervalsOf,
  type Verdict,
  verdictOf,
  classMeasure,
  drawsFor,
  labelMeasure,
  type Measure,
  type Metrics,
  numberMeasure,
} from '@onnx-lora/sdk/tasks';
import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';
import { type BaselineAnswers, type FeatureRows, meanAnswers, neighboursOn, ridgeOn } from './answers.ts';

/** Training or validation data of the baselines. */
export interface BaselineExamples {
  /** Frozen embeddings `[sequences, width]`: the mean of the base's hidden states. */
  readonly embeddings: Matrix;
  /** A number or a class index per sequence, or 0 or 1 per label, `[sequences, labels]` row by row. */
  readonly targets: ArrayLike<number>;
  /** Raw sequences, for {@link BaselinesRequest.onSequences}. */
  readonly sequences?: readonly string[] | undefined;
}

/** Input of {@link frozenBaselines}. */
export interface BaselinesRequest {
  /** A number, one of several classes, or any of several labels. */
  readonly kind: 'numbers' | 'classes' | 'labels';
  /** The number of classes or labels. */
  readonly outputs?: number | undefined;
  /** The adapter's probability threshold per label; 0.5 by default. */
  readonly thresholds?: readonly number[] | undefined;
  /** Data to fit the baselines on. */
  readonly train: BaselineExamples;
  /** Data to measure all methods on. */
  readonly validation: BaselineExamples;
  /** The adapter's predictions for validation: numbers, or probabilities `[sequences, classes or labels]`. */
  readonly adapted: ArrayLike<number>;
  /** Baselines on raw sequences, if both sides have them; by default ridge on letters, for variants of one length. */
  readonly onSequences?: SequenceBaselines | undefined;
  /** Seeds the bootstrap; 0 by default. */
  readonly seed?: number | undefined;
}

/**
 * Baselines on raw sequences, without a model.
 * @param targets `[sequences, outputs]`: numbers, or one-hot classes or labels
 */
export type SequenceBaselines = (
  sequences: { readonly train: readonly string[]; readonly validation: readonly string[] },
  targets: Matrix,
  asked: { readonly kind: BaselinesRequest['kind']; readonly seed: number },
) => readonly BaselineAnswers[];

const onLetters: SequenceBaselines = ({ train, validation }, targets, { kind, seed }) => {
  const letters = oneHot(train, validation);
  if (!letters) return [];
  return [ridgeOn(letters, targets, { on: 'letters by place', areClasses: kind !== 'numbers', isScaled: true, seed })];
};

/** Metrics of one method. */
export interface MethodResult {
  /** Name: `ridge on frozen embeddings`, or `LoRA` for the adapter. */
  readonly method: string;
  /** Metrics on the validation sequences, by name. */
  readonly metrics: Metrics;
  /** 95% intervals, by metric. */
  readonly intervals: Readonly<Record<string, readonly [low: number, high: number]>>;
  /** Metrics on bootstrap samples, the same samples for each method. */
  readonly draws: Draws;
  /** Hyperparameters chosen on the training data, such as `k = 5`. */
  readonly chosen: string;
}

/** LoRA and its baselines. */
export interface Comparison {
  /** Number of validation sequences. */
  readonly sequences: number;
  /** The baselines, then LoRA. */
  readonly methods: readonly MethodResult[];
  /** LoRA against the best baseline; absent if the metric is undefined for any method. */
  readonly verdict?: Verdict | undefined;
}

/** Metrics in the table; the first decides. */
const shown = {
  numbers: ['spearman', 'rmse', 'r2'],
  classes: ['accuracy', 'macroF1', 'mcc', 'auroc'],
  labels: ['mAP', 'auroc', 'macroF1'],
} as const;

const simplest = { numbers: 'mean', classes: 'most frequent class', labels: 'frequencies' } as const;

/**
 * Compares the adapter on the validation sequences with the training mean (or most frequent class), ridge and k nearest
 * neighbours on frozen embeddings, and ridge on letters for variants of one length. Paired bootstrap samples make the
 * verdict more sensitive than whether intervals overlap. Hyperparameters are chosen on the training data alone.
 * @throws OnnxLoraError `INPUT_INVALID` if embeddings, targets and predictions differ in number; `DATA_INVALID` for
 * fewer than two training or validation sequences; `LOSS_NOT_FINITE` for embeddings with NaN or infinity
 */
export function frozenBaselines(request: BaselinesRequest): Comparison {
  check(request);
  const { kind, train, validation, adapted, onSequences = onLetters, seed = 0 } = request;
  const targets = targetsOf(request);
  const areClasses = kind !== 'numbers';
  const rows = validation.embeddings.rows;
  const embedded = { train: train.embeddings, validation: validation.embeddings };
  const sequences = train.sequences && validation.sequences && { train: train.sequences, validation: validation.sequences }; // prettier-ignore
  const baselines: readonly BaselineAnswers[] = [
    meanAnswers(targets, rows, simplest[kind]),
    ...(sequences ? onSequences(sequences, targets, { kind, seed }) : []),
    neighboursOn(embedded, targets, 'frozen embeddings'),
    ridgeOn(embedded, targets, { on: 'frozen embeddings', areClasses, isScaled: false, seed }),
  ];
  const measures = [
    ...baselines.map(({ method, answers, threshold, chosen }) => ({
      method,
      chosen,
      measure: measureOf(request, answers.data, threshold),
    })),
    { method: 'LoRA', chosen: '', measure: measureOf(request, adapted) },
  ];
  const samples = drawsFor(adapted.length);
  const methods = measures.map(({ method, chosen, measure }): MethodResult => {
    const picked = (times?: ArrayLike<number>): Metrics => pick(measure(times), shown[kind]);
    const draws = bootstrapDraws(picked, rows, { seed, samples });
    return { method, metrics: picked(), draws, intervals: intervalsOf(draws), chosen };
  });
  const verdict = verdictOf(methods.at(-1)!, baselinesIn(methods));
  return { sequences: rows, methods, verdict };
}

/** All methods but LoRA, the last, by name. */
export function baselinesIn(methods: readonly MethodResult[]): Readonly<Record<string, MethodResult>> {
  return Object.fromEntries(methods.slice(0, -1).map((each) => [each.method, each]));
}

function targetsOf({ kind, outputs = 1, train: { embeddings, targets } }: BaselinesRequest): Matrix {
  if (kind !== 'classes') return matrix(embeddings.rows, outputs, targets);
  const result = matrix(embeddings.rows, outputs);
  for (let i = 0; i < embeddings.rows; i++) result.data[i * outputs + targets[i]!] = 1;
  return result;
}

/** `threshold` applies to all labels; by default the adapter's own thresholds. */
function measureOf(
  { kind, outputs = 1, thresholds, validation: { targets: truths } }: BaselinesRequest,
  answers: ArrayLike<number>,
  threshold?: number,
): Measure {
  if (kind === 'numbers') return numberMeasure(answers, truths);
  if (kind === 'classes') return classMeasure({ classes: outputs, truths, probabilities: answers });
  const all = Array.from({ length: outputs }, (_, label) => threshold ?? thresholds?.[label] ?? 0.5);
  return labelMeasure({ labels: outputs, truths, probabilities: answers, thresholds: all });
}

function pick(metrics: Metrics, names: readonly string[]): Metrics {
  return Object.fromEntries(names.map((name) => [name, metrics[name]!]));
}

function check({ kind, outputs = 1, train, validation, adapted }: BaselinesRequest): void {
  const perTarget = kind === 'labels' ? outputs : 1;
  for (const [name, { embeddings, targets }] of Object.entries({ training: train, validation })) {
    if (embeddings.rows < 2) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `Baselines need at least two ${name} sequences, but there are ${embeddings.rows}. Add some, or leave the comparison out.`,
      );
    }
    const bad = embeddings.data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new OnnxLoraError(
        'LOSS_NOT_FINITE',
        `The embedding of ${name} sequence ${Math.floor(bad / embeddings.columns) + 1} holds ${embeddings.data[bad]}. Check the model, or leave the sequence out.`,
      );
    }
    if (targets.length !== embeddings.rows * perTarget) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `${embeddings.rows} ${name} sequences have ${targets.length} targets. Give ${perTarget} for each.`,
      );
    }
  }
  if (validation.embeddings.columns !== train.embeddings.columns) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Training embeddings are ${train.embeddings.columns} wide and validation embeddings ${validation.embeddings.columns}. Make both with one model.`,
    );
  }
  if (adapted.length !== validation.embeddings.rows * outputs) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The adapter has ${adapted.length} answers for ${validation.embeddings.rows} validation sequences. Give ${outputs} for each.`,
    );
  }
}

/** One-hot training letters at the places where they vary; undefined if lengths differ or no place varies. */
export function oneHot(train: readonly string[], validation: readonly string[]): FeatureRows | undefined {
  const length = train[0]?.length;
  if (length === undefined || [...train, ...validation].some((sequence) => sequence.length !== length))
    return undefined;
  const columns = new Map<string, number>();
  for (let place = 0; place < length; place++) {
    const letters = new Set(train.map((sequence) => sequence[place]!));
    if (letters.size > 1) for (const letter of letters) columns.set(place + letter, columns.size);
  }
  if (columns.size === 0) return undefined;
  const encoded = (sequences: readonly string[]): Matrix => {
    const result = matrix(sequences.length, columns.size);
    sequences.forEach((sequence, i) => {
      for (let place = 0; place < length; place++) {
        const column = columns.get(place + sequence[place]!);
        if (column !== undefined) result.data[i * columns.size + column] = 1;
      }
    });
    return result;
  };
  return { train: encoded(train), validation: encoded(validation) };
}
