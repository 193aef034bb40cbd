/** @file Which evaluation is the best, and when further training no longer pays. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { Metrics } from '../../statistics/measure.ts';
import { isLowerBetter, type MetricChoice } from '../../statistics/metricChoice.ts';

/** When a run ends because it has stopped getting better. */
export interface EarlyStopping {
  /** So many evaluations in a row without a better one end the run. */
  readonly patience: number;
  /** How much better an evaluation must be to count; 0 by default. */
  readonly minDelta?: number;
}

/** Where a run stands, as a checkpoint keeps it. */
export interface ObjectiveState {
  readonly best?: { readonly step: number; readonly value: number } | undefined;
  /** The value that the next evaluation must beat by `minDelta` to count. */
  readonly mark?: number | undefined;
  /** Evaluations in a row that did not count. */
  readonly withoutBetter: number;
}

/** A metric that got worse. */
export interface WorseMetric {
  /** The metric's name. */
  readonly name: string;
  /** What it was before the training. */
  readonly before: number;
  /** What it is after. */
  readonly after: number;
}

/**
 * The metric by which models are compared, where it is worse after a training than before, or no number any more; undefined
 * where it is as good or better, or was not measured.
 *
 * @param choice the metric to compare by; the first by default
 */
export function worseMetric(before: Metrics, after: Metrics, choice?: MetricChoice): WorseMetric | undefined {
  const name = choice?.name ?? Object.keys(after)[0] ?? '';
  const [then, now] = [before[name], after[name]];
  if (then === undefined || now === undefined || Number.isNaN(then)) return undefined;
  const isWorse = isLowerBetter(name, choice) ? now > then : now < then;
  return isWorse || Number.isNaN(now) ? { name, before: then, after: now } : undefined;
}

/**
 * Checks that a task gives the metric by which evaluations are to be compared, as far as that is known before one: a task that
 * cannot name its metrics without examples is asked again at the first evaluation.
 *
 * @param empty the metrics of no examples
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function requireMetric(metric: MetricChoice | undefined, empty: () => Metrics): void {
  if (metric === undefined) return;
  let names: string[];
  try {
    names = Object.keys(empty());
  } catch {
    return;
  }
  if (names.length > 0 && !names.includes(metric.name)) throw noSuchMetric(metric.name, names);
}

function noSuchMetric(name: string, names: readonly string[]): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `The task gives no metric "${name}".${didYouMean(name, names)} There are ${names.join(', ') || 'none'}: name one of them as metric (--metric).`,
  );
}

/** Compares evaluations as they come. */
export class Objective {
  readonly #metric: MetricChoice | undefined;
  readonly #stopping: EarlyStopping | undefined;
  #state: ObjectiveState;

  /**
   * @param metric the metric to compare by; the first that the task gives by default
   * @param state where the run stands that goes on
   */
  constructor(metric?: MetricChoice, stopping?: EarlyStopping, state: ObjectiveState = { withoutBetter: 0 }) {
    this.#metric = metric;
    this.#stopping = stopping;
    this.#state = state;
  }

  /** Where the run stands. */
  get state(): ObjectiveState {
    return this.#state;
  }

  /** True once patience is over. */
  get isOver(): boolean {
    return this.#stopping !== undefined && this.#state.withoutBetter >= this.#stopping.patience;
  }

  /**
   * Takes in an evaluation; true when none was better.
   *
   * @throws OnnxLoraError `CONFIG_INVALID` when the metric to compare by is not among them
   */
  update(step: number, metrics: Metrics): boolean {
    const name = this.#metric?.name ?? Object.keys(metrics)[0] ?? '';
    const value = metrics[name];
    if (value === undefined) throw noSuchMetric(name, Object.keys(metrics));
    const isLower = isLowerBetter(name, this.#metric);
    const { best, mark, withoutBetter } = this.#state;
    const beats = (than: number | undefined, by: number): boolean =>
      Number.isFinite(value) && (than === undefined || (isLower ? than - value : value - than) > by);
    const isBest = beats(best?.value, 0);
    const counts = beats(mark, this.#stopping?.minDelta ?? 0);
    this.#state = {
      best: isBest ? { step, value } : best,
      mark: counts ? value : mark,
      withoutBetter: counts ? 0 : withoutBetter + 1,
    };
    return isBest;
  }
}
