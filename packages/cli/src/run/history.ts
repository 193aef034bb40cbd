/** @file A run's events so far, in bounded memory, for its report. */

import type { Evaluation, TrainEvent } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';

/** Neighbouring steps, combined. */
export interface StepRange {
  /** The middle step. */
  readonly step: number;
  readonly low: number;
  readonly high: number;
  readonly mean: number;
}

/** More than a plot has pixels. */
const MOST = 512;

/** A number per step, as stretches that grow with the run. */
export class Series {
  #stretches: { from: number; to: number; low: number; high: number; sum: number; count: number }[] = [];
  #length = 1;

  /** Adds a step's value; ignores non-finite ones. */
  add(step: number, value: number): void {
    if (!Number.isFinite(value)) return;
    const last = this.#stretches.at(-1);
    if (last && last.count < this.#length) {
      last.to = step;
      last.low = Math.min(last.low, value);
      last.high = Math.max(last.high, value);
      last.sum += value;
      last.count++;
      return;
    }
    if (this.#stretches.length === MOST) this.#merge();
    this.#stretches.push({ from: step, to: step, low: value, high: value, sum: value, count: 1 });
  }

  get stretches(): StepRange[] {
    return this.#stretches.map(({ from, to, low, high, sum, count }) => ({
      step: (from + to) / 2,
      low,
      high,
      mean: sum / count,
    }));
  }

  #merge(): void {
    this.#length *= 2;
    this.#stretches = Array.from({ length: MOST / 2 }, (_, i) => {
      const [a, b] = [this.#stretches[2 * i]!, this.#stretches[2 * i + 1]!];
      return {
        from: a.from,
        to: b.to,
        low: Math.min(a.low, b.low),
        high: Math.max(a.high, b.high),
        sum: a.sum + b.sum,
        count: a.count + b.count,
      };
    });
  }
}

export interface Measured {
  readonly step: number;
  readonly examples: number;
  readonly metrics: Evaluation['metrics'];
  readonly intervals?: Evaluation['intervals'] | undefined;
  readonly draws?: Evaluation['draws'] | undefined;
  /** Whether the base had a new head, probed or untrained. */
  readonly probedHead?: boolean | undefined;
  readonly untrainedHead?: boolean | undefined;
  readonly best?: boolean;
  readonly confusion?: Evaluation['confusion'] | undefined;
}

/** Notices that a report lists. */
const MOST_NOTICES = 100;

/** A run's events lack these. */
const NO_HEAD = { probedHead: undefined, untrainedHead: undefined };

export class RunHistory {
  readonly loss: Series = new Series();
  readonly lr: Series = new Series();
  readonly gradNorm: Series = new Series();
  /** Memory of the process in MB. */
  readonly memory: Series = new Series();
  readonly evaluations: Omit<Measured, 'confusion'>[] = [];
  /** The last evaluation, and the best one during the run. */
  last: Measured | undefined;
  best: Measured | undefined;
  /** Skips and warnings, the first hundred. */
  readonly notices: { readonly step: number; readonly message: string }[] = [];
  skippedSteps = 0;
  badSamples = 0;
  lastLoss: number | undefined;

  /** Adds an event, or a line of metrics.jsonl. */
  add(event: TrainEvent | ({ readonly type: 'evaluation' } & Measured)): void {
    if (event.type === 'step') {
      this.loss.add(event.step, event.loss);
      this.lr.add(event.step, event.lr);
      this.gradNorm.add(event.step, event.gradNorm);
      this.memory.add(event.step, event.memory / 2 ** 20);
      this.lastLoss = event.loss;
    } else if (event.type === 'evaluation') {
      const { step, examples, metrics, best, intervals, probedHead, untrainedHead } = { ...NO_HEAD, ...event };
      this.last = event;
      if (best) this.best = event;
      this.evaluations.push(withoutUndefined({ step, examples, metrics, intervals, best, probedHead, untrainedHead }));
    } else if (event.type !== 'checkpoint') {
      if (event.type === 'skipped') this.skippedSteps++;
      if (event.type === 'badSample') this.badSamples++;
      if (this.notices.length < MOST_NOTICES) this.notices.push({ step: event.step, message: event.message });
    }
  }
}
