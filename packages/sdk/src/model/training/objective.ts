/** @file Tracks the best evaluation, and early stopping. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { Metrics } from '../../statistics/measure.ts';
import { isLowerBetter, type MetricChoice } from '../../statistics/metricChoice.ts';

/** Early stopping settings. */
export interface EarlyStopping {
  /** Ends the run after this many evaluations without improvement. */
  readonly patience: number;
  /** The smallest improvement that counts; 0 by default. */
  readonly minDelta?: number;
}

/** State in a checkpoint. */
export interface ObjectiveState {
  readonly best?: { readonly step: number; readonly value: number } | undefined;
  /** The value that the next evaluation must beat by `minDelta`. */
  readonly mark?: number | undefined;
  readonly withoutBetter: number;
}

/** A metric that got worse. */
export interface WorseMetric {
  /** Name of the metric. */
  readonly name: string;
  /** Its value before training. */
  readonly before: number;
  /** Its value after training. */
  readonly after: number;
}

/**
 * The metric that compares models, if training made it worse or NaN; undefined otherwise, or if unmeasured.
 * @param choice the metric; by default the first
 */
export function worseMetric(before: Metrics, after: Metrics, choice?: MetricChoice): WorseMetric | undefined {
  const name = choice?.name ?? Object.keys(after)[0] ?? '';
  const [then, now] = [before[name], after[name]];
  if (then === undefined || now === undefined || Number.isNaN(then)) return undefined;
  const isWorse = isLowerBetter(name, choice) ? now > then : now < then;
  return isWorse || Number.isNaN(now) ? { name, before: then, after: now } : undefined;
}

/**
 * Checks early that a task has the chosen metric. A task that needs examples to name its metrics is checked at its
 * first evaluation.
 * @param empty the metrics of no examples
 * @throws OnnxLoraError `CONFIG_INVALID` if it does not
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

/** Compares evaluations as they arrive. */
export class Objective {
  readonly #metric: MetricChoice | undefined;
  readonly #stopping: EarlyStopping | undefined;
  #state: ObjectiveState;

  /** @param metric the metric to compare; by default the task's first */
  constructor(metric?: MetricChoice, stopping?: EarlyStopping, state: ObjectiveState = { withoutBetter: 0 }) {
    this.#metric = metric;
    this.#stopping = stopping;
    this.#state = state;
  }

  get state(): ObjectiveState {
    return this.#state;
  }

  get isOver(): boolean {
    return this.#stopping !== undefined && this.#state.withoutBetter >= this.#stopping.patience;
  }

  /**
   * Records an evaluation. Returns true for the best so far.
   * @throws OnnxLoraError `CONFIG_INVALID` if the chosen metric is missing
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
