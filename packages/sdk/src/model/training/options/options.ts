/** @file All options of `train`: type, table and defaults. */

import type { Metrics } from '../../../statistics/measure.ts';
import { type DefaultedLearning, type LearningOptions, learningRows } from './learningOptions.ts';
import type { AnyOptionRows } from './optionRow.ts';
import { type DefaultedRun, type TrainingRunOptions, runRows } from './runOptions.ts';

/** Options of `train`. */
export interface TrainOptions<During extends Metrics = Metrics> extends LearningOptions, TrainingRunOptions<During> {}

/** A row per option: the source of checks, defaults, a run's identity, flags, settings files, help and reference. */
export const trainOptionRows: Readonly<Record<keyof TrainOptions, AnyOptionRows[string]>> = {
  ...learningRows,
  ...runRows,
};

/** The options of `train` that have a default. */
export type TrainDefaults = Required<Pick<TrainOptions, DefaultedLearning | DefaultedRun>>;

/** The default values. */
export const trainDefaults: TrainDefaults = Object.fromEntries(
  Object.entries(trainOptionRows).flatMap(([name, row]) => (row.default === undefined ? [] : [[name, row.default]])),
) as unknown as TrainDefaults;

/** Options with their defaults. */
export type CheckedOptions<During extends Metrics = Metrics> = TrainOptions<During> & TrainDefaults;
