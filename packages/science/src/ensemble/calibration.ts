/** @file Whether the deviations of an ensemble's answers tell how far these are from what was measured. */

import { spearman } from '@onnx-lora/sdk/tasks';

/** Answers of an ensemble, and what was measured. */
export interface UncertainAnswers {
  /** The true number of each record, in the order of `mean`. */
  readonly measured: readonly number[];
  /** The mean over the adapters. */
  readonly mean: readonly number[];
  /** How far the adapters differ, as a standard deviation. */
  readonly deviation: readonly number[];
}

/** How far deviations can be trusted. */
export interface EnsembleCalibration {
  /** The share of measured numbers inside mean ± z · deviation, where a normal distribution would have `level` of them. */
  readonly coverage: readonly { readonly level: number; readonly found: number }[];
  /**
   * What deviations must be multiplied by so that errors are as large as they say: above 1 where the ensemble is too sure of
   * itself, as ensembles of adapters on one base mostly are. NaN where all deviations are 0.
   */
  readonly factor: number;
  /** Spearman's correlation of deviations and errors: above 0 where uncertain answers are wrong more often. */
  readonly ranking: number;
}

/** Levels, and the z of a normal distribution inside which they lie. */
const levels = [
  [0.5, 0.6744897501960817],
  [0.8, 1.2815515655446004],
  [0.9, 1.6448536269514722],
  [0.95, 1.959963984540054],
] as const;

/** Checks deviations against measured numbers that no adapter of the ensemble was trained on. */
export function ensembleCalibration({ measured, mean, deviation }: UncertainAnswers): EnsembleCalibration {
  const errors = measured.map((value, i) => Math.abs(value - mean[i]!));
  const inside = (z: number): number => errors.filter((error, i) => error <= z * deviation[i]!).length / errors.length;
  const squares = errors.flatMap((error, i) => (deviation[i]! > 0 ? [(error / deviation[i]!) ** 2] : []));
  return {
    coverage: levels.map(([level, z]) => ({ level, found: inside(z) })),
    factor: Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / squares.length),
    ranking: spearman(deviation, errors),
  };
}
