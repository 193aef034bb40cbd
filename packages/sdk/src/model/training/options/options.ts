/** @file All options of `train`: their type, their table, and what each is where nobody says otherwise. */

import type { Metrics } from '../../../statistics/measure.ts';
import { type DefaultedLearning, type LearningOptions, learningRows } from './learningOptions.ts';
import type { AnyOptionRows } from './optionRow.ts';
import { type DefaultedRun, type TrainingRunOptions, runRows } from './runOptions.ts';

/** Options of `train`. */
export interface TrainOptions<During extends Metrics = Metrics> extends LearningOptions, TrainingRunOptions<During> {}

/**
 * A row for each option. The check of options, their defaults, the identity of a run, the flags of the command line, its
 * settings files, help and reference are made from it.
 */
export const trainOptionRows: Readonly<Record<keyof TrainOptions, AnyOptionRows[string]>> = {
  ...learningRows,
  ...runRows,
};

/** The options of `train` that always have a value. */
export type TrainDefaults = Required<Pick<TrainOptions, DefaultedLearning | DefaultedRun>>;

/** What a run does where nobody says otherwise. */
export const trainDefaults: TrainDefaults = Object.fromEntries(
  Object.entries(trainOptionRows).flatMap(([name, row]) => (row.default === undefined ? [] : [[name, row.default]])),
) as unknown as TrainDefaults;

/** Options with their defaults. */
export type CheckedOptions<During extends Metrics = Metrics> = TrainOptions<During> & TrainDefaults;
